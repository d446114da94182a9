"""Where the marks of a picture stand on its lines: ✗ where packets were lost, ⇄ where they were rewritten, and the
numbers of the packets on their arrow. Each covers nothing and is covered by nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from mcnilib.show.labels.label_text import loss_lines, new_addresses, numbers_in_short, rewrite_lines, rewrites
from mcnilib.show.labels.text_metrics import SIZE, width
from mcnilib.show.layout.edge_routing import ENTRY, EXIT, GAP, Way, lanes, packed, where_in
from mcnilib.show.layout.geometry import Line, Point, Rect, along, clip, length, strokes
from mcnilib.show.layout.scene import Arrow, Label, Places, Scene
from mcnilib.trace.trace import Journey, Step

Bundles = dict[Way, list[Journey]]

Lines = dict[Way, Line]

RADIUS = 9.0
"""Of a mark with its edge, in pixels."""


class Pin(NamedTuple):
    """A mark on a line: what it means, where it stands, what is to be said about it, and in which namespace it is."""

    role: str
    at: Point
    words: tuple[str, ...]
    netns: str

    @property
    def rect(self) -> Rect:
        """The area the mark covers."""
        return mark_rect(self.at)


def mark_rect(at: Point) -> Rect:
    """Return the area a mark covers."""
    return Rect(at[0] - RADIUS, at[1] - RADIUS, 2 * RADIUS, 2 * RADIUS)


def text_rect(label: Label) -> Rect:
    """Return the area a line of text covers."""
    wide, high = width(label.text, label.size, label.bold) * 1.02, label.size * 1.3
    x = label.x - {"left": 0.0, "center": wide / 2, "right": wide}[label.align]
    return Rect(x, label.y - high / 2, wide, high)


def number_rect(arrow: Arrow) -> Rect:
    """Return the area of the packet numbers on an arrow that has a mark."""
    return _number_rect((arrow.mark or (arrow.points[0], 1))[0], arrow.numbers)


def _number_rect(at: Point, numbers: Sequence[int]) -> Rect:
    wide = width(numbers_in_short(numbers), SIZE, bold=True) + 10
    return Rect(at[0] - wide / 2, at[1] - 8, wide, 16)


def standing(places: Places, step: Step) -> Point:
    """Return the spot of a step for which the picture has no line."""
    rect = places.rect(step.netns)
    return (rect.cx, rect.bottom)


def pins_of(places: Places, scene: Scene, bundles: Bundles, lines: Lines) -> list[Pin]:
    """Return the marks, losses first."""
    pins = []
    for way, journeys in bundles.items():
        if not way.delivered:
            at = lines[way][-1] if way in lines else standing(places, journeys[0].last)
            pins.append(Pin("drop", at, loss_lines(journeys), journeys[0].last.netns))
    taken = [text_rect(label) for label in scene.labels] + [nic.rect for nic in scene.nics if not nic.wide]
    taken += [r for way in bundles for part in packed(places, way) for r in strokes(part, 2 * GAP + 10)]
    return pins + list(_rewrites(places, taken + [pin.rect for pin in pins], bundles, lines))


def _rewrites(places: Places, taken: list[Rect], bundles: Bundles, lines: Lines) -> Iterator[Pin]:
    """Yield a mark for every namespace that rewrites addresses, once for all packets it does the same to."""
    told: set[tuple[str, tuple[str, ...]]] = set()
    for way in lines:
        firsts = {netns: (j, steps) for j in reversed(bundles[way]) for netns, steps in rewrites(j).items()}
        for netns in dict.fromkeys(netns for journey in bundles[way] for netns in rewrites(journey)):
            journey, steps = firsts[netns]
            what = (netns, new_addresses(steps))
            if what not in told:
                told.add(what)
                others = [r for other, line in lines.items() if other != way for r in strokes(line, 3)]
                at = _clear(_rewriting(places, lines[way], steps[0]), taken, others)
                taken.append(mark_rect(at).grow(5))
                yield Pin("rewrite", at, rewrite_lines(journey, steps), netns)


def _rewriting(places: Places, line: Line, step: Step) -> list[Point]:
    """Return points of a line where a step of a namespace happens, the best first."""
    part = clip(line, places.rect(step.netns))
    if len(part) < 2:
        return [standing(places, step)]
    long = length(part)
    best = {ENTRY: min(34.0, long / 2), EXIT: max(long - 34, long / 2)}.get(where_in(step), long / 2)
    steps = sorted((abs(at - best), at) for at in (best + 6 * i for i in range(-60, 61)) if 10 <= at <= long - 10)
    return [along(part, at) for _, at in steps] or [along(part, best)]


def _clear(points: list[Point], taken: list[Rect], others: list[Rect]) -> Point:
    """Return the first point where a mark covers nothing and leaves other lines free, or the best of what there is."""
    free = [p for p in points if not _meets(mark_rect(p), taken)]
    alone = (p for p in free if not _meets(mark_rect(p).grow(-2), others))
    return next(alone, (free or points)[0])


def _meets(rect: Rect, others: Iterable[Rect]) -> bool:
    return any(rect.meets(other) for other in others)


def numbers_of(scene: Scene, lines: Lines, pins: Sequence[Pin], bundles: Bundles) -> dict[Way, tuple[Point, int]]:
    """Say where the numbers of the packets stand on their arrows, and whether it runs to the right there.

    Only a long arrow has them: near the middle of its level runs, further back the further out its lane is.
    """
    taken = [text_rect(label) for label in scene.labels] + [pin.rect for pin in pins]
    taken += [nic.rect for nic in scene.nics if not nic.wide]
    by, found = lanes(lines), {}
    for way, line in lines.items():
        others = [r for other, points in lines.items() if other != way for r in strokes(points, 3)]
        numbers = [journey.number for journey in bundles[way]]
        for at, to in _levels(line, 72 * (by[way].level // GAP)):
            rect = _number_rect(at, numbers).grow(-1)
            tip = Rect(rect.x - 11 if to < 0 else rect.right, rect.y, 11, rect.h)
            if not _meets(rect, (*taken, *others)) and not _meets(tip, taken):
                found[way] = (at, to)
                taken.append(rect.grow(3))
                break
    return found


LONG = 240.0
"""A level run of this many pixels has room for numbers."""


def _levels(line: Line, back: float) -> Iterator[tuple[Point, int]]:
    """Yield points of the long level runs, with 1 where they run to the right, the best first."""
    runs = [(a, b) for a, b in pairwise(line) if abs(a[1] - b[1]) < 0.01 and abs(a[0] - b[0]) >= LONG]
    for (ax, y), (bx, _) in sorted(runs, key=lambda run: -abs(run[0][0] - run[1][0])):
        way, long = (1 if bx > ax else -1), abs(bx - ax)
        best = max(44.0, long * 0.36 - back)
        for at in sorted((36.0 + 8 * i for i in range(int((long - 72) // 8) + 1)), key=lambda x: abs(x - best)):
            yield (ax + way * at, y), way
