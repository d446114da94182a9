"""Where the markers of a picture stand on its lines: ✗ where packets were lost, ⇄ where they were rewritten, and the
numbers of the packets on their arrow. Each covers nothing and is covered by nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from mcnilib.show.labels.label_text import (
    by_writer,
    loss_lines,
    new_addresses,
    numbers_in_short,
    rewrite_lines,
    rewrites,
)
from mcnilib.show.labels.text_metrics import FONT_SIZE, text_width
from mcnilib.show.layout.edge_routing import (
    EDGE_GAP,
    ENTRY,
    EXIT,
    Bundles,
    Edge,
    EdgeLines,
    free_spots,
    offsets,
    position_of,
    tunnel_lines,
)
from mcnilib.show.layout.geometry import Point, Polyline, Rect, along, clip, length, strokes
from mcnilib.show.layout.scene import Arrow, Label, Layout, Scene
from mcnilib.trace.trace import Step

RADIUS = 9.0
"""Of a marker with its outline, in pixels."""


class Marker(NamedTuple):
    """A sign on a line: what it means, where it stands, what is to be said about it, in which namespace it is, and the
    step that it marks (the packet's number, the index)."""

    role: str
    at: Point
    lines: tuple[str, ...]
    netns: str
    since: tuple[int, int]

    @property
    def rect(self) -> Rect:
        """The area the marker covers."""
        return marker_rect(self.at)


def marker_rect(at: Point) -> Rect:
    """Return the area a marker covers."""
    return Rect(at[0] - RADIUS, at[1] - RADIUS, 2 * RADIUS, 2 * RADIUS)


def text_rect(label: Label) -> Rect:
    """Return the area a line of text covers."""
    wide, high = text_width(label.text, label.size, label.bold) * 1.02, label.size * 1.3
    x = label.x - {"left": 0.0, "center": wide / 2, "right": wide}[label.align]
    return Rect(x, label.y - high / 2, wide, high)


def number_rect(arrow: Arrow) -> Rect:
    """Return the area of the packet numbers on an arrow that has room for them."""
    return _number_rect((arrow.numbers_at or (arrow.points[0], 1))[0], arrow.numbers)


def _number_rect(at: Point, numbers: Sequence[int]) -> Rect:
    wide = text_width(numbers_in_short(numbers), FONT_SIZE, bold=True) + 10
    return Rect(at[0] - wide / 2, at[1] - 8, wide, 16)


def spots_without_line(layout: Layout, step: Step) -> list[Point]:
    """Return spots of a step for which the picture has no line, the best first."""
    rect = layout.rect_of(step.netns)
    inside = free_spots(layout, step.netns) if layout.is_pod(step.netns) else []
    edges = [(x, y) for _, y in inside[:1] for x in (rect.right, rect.x)]
    return [*inside, *edges] or [(rect.cx, rect.bottom)]


def place_markers(layout: Layout, scene: Scene, bundles: Bundles, lines: EdgeLines) -> list[Marker]:
    """Return the markers, losses first."""
    markers = []
    for edge, journeys in bundles.items():
        if not edge.delivered:
            first = journeys[0]
            at = lines[edge][-1] if edge in lines else spots_without_line(layout, first.last)[0]
            since = (first.number, len(first.steps) - 1)
            markers.append(Marker("drop", at, loss_lines(journeys), first.last.netns, since))
    taken = [text_rect(label) for label in scene.labels] + [device.rect for device in scene.devices if not device.wide]
    taken += [r for edge in bundles for part in tunnel_lines(layout, edge) for r in strokes(part, 2 * EDGE_GAP + 10)]
    return markers + list(_rewrites(layout, taken + [marker.rect for marker in markers], bundles, lines))


def _rewrites(layout: Layout, taken: list[Rect], bundles: Bundles, lines: EdgeLines) -> Iterator[Marker]:
    """Yield a marker for every program that rewrites addresses in a namespace, once for all packets it does the same
    to."""
    marked: set[tuple[str, tuple[str, ...]]] = set()
    for edge in lines:
        firsts = {netns: (j, steps) for j in reversed(bundles[edge]) for netns, steps in rewrites(j).items()}
        for netns in dict.fromkeys(netns for journey in bundles[edge] for netns in rewrites(journey)):
            journey, all_steps = firsts[netns]
            for steps in by_writer(all_steps):
                what = (netns, new_addresses(steps))
                if what not in marked:
                    marked.add(what)
                    others = [r for other, points in lines.items() if other != edge for r in strokes(points, 3)]
                    at = _clear(_rewriting(layout, lines[edge], steps[0]), taken, others)
                    taken.append(marker_rect(at).grow(5))
                    since = (journey.number, next(i for i, step in enumerate(journey.steps) if step is steps[0]))
                    yield Marker("rewrite", at, rewrite_lines(journey, steps), netns, since)


def _rewriting(layout: Layout, polyline: Polyline, step: Step) -> list[Point]:
    """Return points of a line where a step of a namespace happens, the best first."""
    part = clip(polyline, layout.rect_of(step.netns))
    if len(part) < 2:
        return spots_without_line(layout, step)
    long = length(part)
    best = {ENTRY: min(34.0, long / 2), EXIT: max(long - 34, long / 2)}.get(position_of(step), long / 2)
    steps = sorted((abs(at - best), at) for at in (best + 6 * i for i in range(-60, 61)) if 10 <= at <= long - 10)
    return [along(part, at) for _, at in steps] or [along(part, best)]


def _clear(points: list[Point], taken: list[Rect], others: list[Rect]) -> Point:
    """Return the first point where a marker covers nothing and leaves other lines free, or the best there is."""
    uncovered = [p for p in points if not _meets(marker_rect(p), taken)]
    alone = (p for p in uncovered if not _meets(marker_rect(p).grow(-2), others))
    return next(alone, (uncovered or points)[0])


def _meets(rect: Rect, others: Iterable[Rect]) -> bool:
    return any(rect.meets(area) for area in others)


def place_numbers(
    scene: Scene, lines: EdgeLines, markers: Sequence[Marker], bundles: Bundles
) -> dict[Edge, tuple[Point, int]]:
    """Say where the numbers of the packets stand on their arrows, and whether it runs to the right there.

    Only a long arrow has them: near the middle of its level runs, further back the further its line is from the middle.
    """
    taken = [text_rect(label) for label in scene.labels] + [marker.rect for marker in markers]
    taken += [device.rect for device in scene.devices if not device.wide]
    offset_of, spots = offsets(lines), {}
    for edge, polyline in lines.items():
        others = [r for other_edge, points in lines.items() if other_edge != edge for r in strokes(points, 3)]
        numbers = [journey.number for journey in bundles[edge]]
        for at, to in _levels(polyline, 72 * (offset_of[edge].level // EDGE_GAP)):
            rect = _number_rect(at, numbers).grow(-1)
            tip = Rect(rect.x - 11 if to < 0 else rect.right, rect.y, 11, rect.h)
            if not _meets(rect, (*taken, *others)) and not _meets(tip, taken):
                spots[edge] = (at, to)
                taken.append(rect.grow(3))
                break
    return spots


LONG_RUN = 240.0
"""A level run of this many pixels has room for numbers."""


def _levels(polyline: Polyline, back: float) -> Iterator[tuple[Point, int]]:
    """Yield points of the long level runs, with 1 where they run to the right, the best first."""
    runs = [(a, b) for a, b in pairwise(polyline) if abs(a[1] - b[1]) < 0.01 and abs(a[0] - b[0]) >= LONG_RUN]
    for (ax, y), (bx, _) in sorted(runs, key=lambda run: -abs(run[0][0] - run[1][0])):
        direction, long = (1 if bx > ax else -1), abs(bx - ax)
        best = max(44.0, long * 0.36 - back)
        for at in sorted((36.0 + 8 * i for i in range(int((long - 72) // 8) + 1)), key=lambda x: abs(x - best)):
            yield (ax + direction * at, y), direction
