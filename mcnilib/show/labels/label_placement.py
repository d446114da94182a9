"""Choose the places of words: what an arrow carries, what was lost and by which line, what was rewritten.

The label of an arrow stands beside its line, a callout in or beside the machine it speaks of. All of them are placed
together, so that none covers another and no leader crosses another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mcnilib.show.labels.label_text import numbers_in_short, packets_in_short
from mcnilib.show.labels.placement_cost import Candidate, CostGrid, Form, solve
from mcnilib.show.labels.text_metrics import label_size, wrap
from mcnilib.show.layout.edge_routing import Bundles, Edge, EdgeLines
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

NEAR = 26.0
"""No label stands further from its line, in pixels."""


def place_labels(
    layout: Layout, scene: Scene, bundles: Bundles, lines: EdgeLines, markers: Sequence[Marker], numbers: Iterable[Rect]
) -> list[Callout]:
    """Return what each arrow carries, then losses, then rewrites; all as callouts, which have found their place."""
    costs = _cost_grid(scene, lines, [*(marker.rect for marker in markers)], numbers)
    spots = [*(None for _ in lines), *(marker.at for marker in markers)]
    for most in CANDIDATES:
        options = [_label_candidates(costs, edge, lines, bundles[edge], most) for edge in lines]
        options += [_callout_candidates(costs, layout, marker, most) for marker in markers]
        candidates, clashes = solve(options, spots)
        if not clashes:
            break
    subjects = [(edge.role, polyline[0], (0, 0)) for edge, polyline in lines.items()]
    subjects += [(marker.role, marker.at, marker.since) for marker in markers]
    return [
        Callout(role, at, candidate.lines, candidate.rect, since)
        for (role, at, since), candidate in zip(subjects, candidates, strict=True)
    ]


def _cost_grid(scene: Scene, lines: EdgeLines, marks: Iterable[Rect], numbers: Iterable[Rect]) -> CostGrid:
    """Return the sheet with everything on it that words had better not cover."""
    top = min((box.rect.y for box in scene.boxes), default=48.0) + 2
    costs = CostGrid(Rect(8, top, scene.width - 16, scene.height - top - 8))
    costs.add((text_rect(label) for label in scene.labels), TEXT_COST)
    costs.add((device.rect for device in scene.devices if not device.wide), DEVICE_COST)
    costs.add((device.rect for device in scene.devices if device.wide), NIC_COST)
    costs.add((box.rect for box in scene.boxes if box.kind == "segment"), SEGMENT_COST)
    costs.add((r for box in scene.boxes for r in _edges(box.rect)), OUTLINE_COST)
    costs.add((r for polyline in lines.values() for r in strokes(polyline, 7)), LINE_COST)
    costs.add(marks, MARKER_COST)
    costs.add(numbers, TEXT_COST)
    return costs


def _edges(r: Rect) -> tuple[Rect, ...]:
    """Return the edges of an area: a callout that lies across one looks lost."""
    return strokes(((r.x, r.y), (r.right, r.y), (r.right, r.bottom), (r.x, r.bottom), (r.x, r.y)), 6)


def _label_candidates(
    costs: CostGrid, edge: Edge, lines: EdgeLines, journeys: list[Journey], most: int
) -> list[Candidate]:
    """Return the candidates for the label of an arrow: at length where there is room, in short where there is not."""
    polyline = lines[edge]
    runs = strokes(polyline, 3)
    texts = dict.fromkeys(
        [packets_in_short(journeys), packets_in_short(journeys, 2), numbers_in_short([j.number for j in journeys])]
    )
    forms = [Form((text,), label_size((text,), margin=3.0), 60.0 * i) for i, text in enumerate(texts)]
    areas = ((form, _along_line(polyline, form.size)) for form in forms)
    return costs.cheapest(areas, polyline[0], lambda rect: _beside(rect, runs), most) or [_only(forms[-1], polyline[0])]


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


def _callout_candidates(costs: CostGrid, layout: Layout, marker: Marker, most: int) -> list[Candidate]:
    """Return the candidates for a callout, its lines broken at the usual width, or another where that fits better."""
    home, foreign = _home_of(layout, marker)

    def more(rect: Rect) -> float:
        return costs.leader(rect, marker.at) + sum(cost * rect.shares(area) for area, cost in foreign)

    forms: dict[tuple[str, ...], Form] = {}
    for limit, extra_cost in WRAP_COSTS.items():
        text = tuple(part for i, line in enumerate(marker.lines) for part in wrap(line, limit, bold=i == 0))
        forms.setdefault(text, Form(text, label_size(text), extra_cost))
    areas = ((form, _about(home, form.size)) for form in forms.values())
    return costs.cheapest(areas, marker.at, more, most) or [_only(form, marker.at) for form in forms.values()][-1:]


def _only(form: Form, at: Point) -> Candidate:
    """Return the only candidate of words that fit nowhere: where they belong, on the sheet or not."""
    return Candidate(0.0, form.lines, Rect(*at, *form.size))


def _home_of(layout: Layout, marker: Marker) -> tuple[Rect, list[tuple[Rect, float]]]:
    """Return the box a note stands in or beside, the machine's or the pod's, and what it costs to cover others."""
    own = layout.rect_of(marker.netns)
    machines = [box.rect for box in layout.boxes if box.kind == "machine"]
    hosts = [box.rect for box in layout.boxes if box.kind == "host"]
    machines += [host for host in hosts if not any(host.inside(machine) for machine in machines)]
    home = next((machine for machine in machines if own.inside(machine)), own)
    foreign = [(machine, FOREIGN_COST) for machine in machines if machine is not home]
    foreign += [(box.rect, FOREIGN_COST) for box in layout.boxes if box.kind == "pod" and box.rect is not own]
    if layout.is_pod(marker.netns):
        return own, foreign + [(host, HOST_COST) for host in hosts if host.inside(home)]
    return home, foreign


def _about(machine: Rect, size: tuple[float, float]) -> Rect:
    """Return the area in which callouts about a machine stand: in it or beside it."""
    beside = Rect(
        machine.x - 30 - size[0], machine.y - 30 - size[1], machine.w + 60 + 2 * size[0], machine.h + 60 + 2 * size[1]
    )
    return beside if machine.h < 300 else machine.grow(30)
