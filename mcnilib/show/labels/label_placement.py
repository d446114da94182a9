"""Choose the places of words: what an arrow carries, what was lost and by which line, what was rewritten.

The label of an arrow stands beside its line, a callout in or beside the machine it speaks of. All of them are placed
together, so that none covers another and no leader crosses another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mcnilib.show.labels.label_text import numbers_in_short, packets_in_short
from mcnilib.show.labels.placement_cost import Candidate, CostGrid, Form, solve
from mcnilib.show.labels.text_metrics import label_size, wrap
from mcnilib.show.layout.edge_routing import Bundles, EdgeLines
from mcnilib.show.layout.geometry import Point, Polyline, Rect, along, length, strokes
from mcnilib.show.layout.markers import Marker, text_rect
from mcnilib.show.layout.scene import Callout, Layout, Scene
from mcnilib.trace.trace import Journey

WRAP_COSTS = {160.0: 0.0, 116.0: 500.0, 230.0: 300.0}
"""Lines of a callout are broken at one of these widths, in pixels; the cost of each."""

TEXT_COST, DEVICE_COST, MARKER_COST, FOREIGN_COST, HOST_COST = 40.0, 30.0, 60.0, 40.0, 1.0
LINE_COST, SEGMENT_COST, NIC_COST, OUTLINE_COST = 12.0, 6.0, 8.0, 3.0
"""What a covered square pixel costs: of words, a device (under which a leader
may pass), a marker, a machine or pod the callout does not speak of, the box
of the host's namespace for one that speaks of a pod; a line, a segment, a
wide NIC, the outline of an area.
"""

CANDIDATES = (16, 60, 150)
"""Candidates of each label that are compared with those of others; more, if two labels meet wherever they stand."""

BELOW_POD = 66.0
"""A callout begins at most so far below its pod, in pixels: below the end of the pod's veth pair."""

NEAR = 26.0
"""No label stands further from its line, in pixels."""


Taken = tuple[tuple[tuple[Rect, ...], float], ...]
"""Areas of a sheet, and what covering a square pixel of them costs."""


@dataclass(frozen=True, slots=True)
class _ArrowWords:
    """What an arrow carries, at length and in short, and its line."""

    texts: tuple[str, ...]
    polyline: Polyline


@dataclass(frozen=True, slots=True)
class _Note:
    """What is said of a marker, the area it stands in or beside, and those it had better not cover."""

    lines: tuple[str, ...]
    at: Point
    home: Rect
    foreign: Taken


def place_labels(
    layout: Layout, scene: Scene, bundles: Bundles, lines: EdgeLines, markers: Sequence[Marker], numbers: Iterable[Rect]
) -> list[Callout]:
    """Return what each arrow carries, then losses, then rewrites; all as callouts, which have found their place."""
    arrows = tuple(_ArrowWords(_texts(bundles[edge]), polyline) for edge, polyline in lines.items())
    notes = tuple(_Note(marker.lines, marker.at, *_home_of(layout, marker)) for marker in markers)
    taken = _taken(scene, lines, tuple(marker.rect for marker in markers), tuple(numbers))
    candidates = _placed(_sheet(scene), taken, arrows, notes)
    subjects = [(edge.role, polyline[0], (0, 0)) for edge, polyline in lines.items()]
    subjects += [(marker.role, marker.at, marker.since) for marker in markers]
    return [
        Callout(role, at, candidate.lines, candidate.rect, since)
        for (role, at, since), candidate in zip(subjects, candidates, strict=True)
    ]


@lru_cache(maxsize=1024)
def _placed(
    sheet: Rect, taken: Taken, arrows: tuple[_ArrowWords, ...], notes: tuple[_Note, ...]
) -> tuple[Candidate, ...]:
    """Choose the places. Pictures that differ only in words with places of their own have the same."""
    costs = CostGrid(sheet)
    for rects, cost in taken:
        costs.add(rects, cost)
    spots = [*(None for _ in arrows), *(note.at for note in notes)]
    for most in CANDIDATES:
        options = [_label_candidates(costs, arrow, most) for arrow in arrows]
        options += [_callout_candidates(costs, note, most) for note in notes]
        candidates, clashes = solve(options, spots)
        if not clashes:
            break
    return tuple(candidates)


def _sheet(scene: Scene) -> Rect:
    """Return where words may stand."""
    top = min((box.rect.y for box in scene.boxes), default=48.0) + 2
    return Rect(8, top, scene.width - 16, scene.height - top - 8)


def _taken(scene: Scene, lines: EdgeLines, marks: tuple[Rect, ...], numbers: tuple[Rect, ...]) -> Taken:
    """Return everything on the sheet that words had better not cover."""
    return (
        (tuple(text_rect(label) for label in scene.labels), TEXT_COST),
        (tuple(device.rect for device in scene.devices if not device.wide), DEVICE_COST),
        (tuple(device.rect for device in scene.devices if device.wide), NIC_COST),
        (tuple(box.rect for box in scene.boxes if box.kind == "segment"), SEGMENT_COST),
        (tuple(r for box in scene.boxes for r in _edges(box.rect)), OUTLINE_COST),
        (tuple(r for polyline in lines.values() for r in strokes(polyline, 7)), LINE_COST),
        (marks, MARKER_COST),
        (numbers, TEXT_COST),
    )


def _edges(r: Rect) -> tuple[Rect, ...]:
    """Return the edges of an area: a callout that lies across one looks lost."""
    return strokes(((r.x, r.y), (r.right, r.y), (r.right, r.bottom), (r.x, r.bottom), (r.x, r.y)), 6)


def _texts(journeys: list[Journey]) -> tuple[str, ...]:
    """Return what an arrow may carry: all there is to say where there is room, less where there is not."""
    short = numbers_in_short([journey.number for journey in journeys])
    return tuple(dict.fromkeys((packets_in_short(journeys), packets_in_short(journeys, 2), short)))


def _label_candidates(costs: CostGrid, arrow: _ArrowWords, most: int) -> list[Candidate]:
    """Return the candidates for the label of an arrow: at length where there is room, in short where there is not."""
    runs = strokes(arrow.polyline, 3)
    forms = [Form((text,), label_size((text,), margin=3.0), 60.0 * i) for i, text in enumerate(arrow.texts)]
    areas = ((form, _along_line(arrow.polyline, form.size)) for form in forms)
    at = arrow.polyline[0]
    return costs.cheapest(areas, at, lambda rect: _beside(rect, runs), most) or [_only(forms[-1], at)]


def _along_line(polyline: Polyline, size: tuple[float, float]) -> Rect:
    """Return the area about the beginning of a line, where its label may stand."""
    points = [along(polyline, min(length(polyline), at)) for at in range(0, 241, 20)]
    x, y = min(p[0] for p in points) - size[0] - NEAR, min(p[1] for p in points) - size[1] - NEAR
    right, bottom = max(p[0] for p in points) + size[0] + NEAR, max(p[1] for p in points) + size[1] + NEAR
    return Rect(x, y, right - x, bottom - y)


def _beside(rect: Rect, runs: Iterable[Rect]) -> float:
    """Return the cost of being away from a line."""
    gap = min(rect.distance(run) for run in runs)
    return 1e5 if gap > NEAR else 6.0 * gap


def _callout_candidates(costs: CostGrid, note: _Note, most: int) -> list[Candidate]:
    """Return the candidates for a callout, its lines broken at the usual width, or another where that fits better."""

    def more(rect: Rect) -> float:
        shared = sum(cost * rect.shares(area) for areas, cost in note.foreign for area in areas)
        return costs.leader(rect, note.at) + shared

    forms: dict[tuple[str, ...], Form] = {}
    for limit, extra_cost in WRAP_COSTS.items():
        text = tuple(part for i, line in enumerate(note.lines) for part in wrap(line, limit, bold=i == 0))
        forms.setdefault(text, Form(text, label_size(text), extra_cost))
    areas = ((form, _about(note.home, form.size)) for form in forms.values())
    return costs.cheapest(areas, note.at, more, most) or [_only(form, note.at) for form in forms.values()][-1:]


def _only(form: Form, at: Point) -> Candidate:
    """Return the only candidate of words that fit nowhere: where they belong, on the sheet or not."""
    return Candidate(0.0, form.lines, Rect(*at, *form.size))


def _home_of(layout: Layout, marker: Marker) -> tuple[Rect, Taken]:
    """Return the box a note stands in or beside, the machine's or the pod's, and what it costs to cover others."""
    own = layout.rect_of(marker.netns)
    machines = [box.rect for box in layout.boxes if box.kind == "machine"]
    hosts = [box.rect for box in layout.boxes if box.kind == "host"]
    machines += [host for host in hosts if not any(host.inside(machine) for machine in machines)]
    home = next((machine for machine in machines if own.inside(machine)), own)
    foreign = [machine for machine in machines if machine is not home]
    foreign += [box.rect for box in layout.boxes if box.kind == "pod" and box.rect is not own]
    if layout.is_pod(marker.netns):
        around = tuple(host for host in hosts if host.inside(home))
        return own, ((tuple(foreign), FOREIGN_COST), (around, HOST_COST))
    return home, ((tuple(foreign), FOREIGN_COST),)


def _about(machine: Rect, size: tuple[float, float]) -> Rect:
    """Return the area in which callouts about a machine stand: in it or beside it."""
    beside = Rect(
        machine.x - 30 - size[0],
        machine.y - 30 - size[1],
        machine.w + 60 + 2 * size[0],
        machine.h + 30 + BELOW_POD + 2 * size[1],
    )
    return beside if machine.h < 300 else machine.grow(30)
