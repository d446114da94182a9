"""Find room for words on a drawing: near what they speak of, on nothing that is already there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mcnilib.show.geometry import Point, Rect
from mcnilib.show.lettering import LINE_HEIGHT, width

SIZE, PAD = 11.0, 6.0


def size_of(lines: Sequence[str], *, margin: float = 5.0) -> tuple[float, float]:
    """Return the width and height of a note with these lines, the first of them bold; `margin` is above and below."""
    widths = [width(line, SIZE, bold=i == 0) for i, line in enumerate(lines)]
    return max(widths, default=0.0) * 1.02 + 2 * PAD, len(lines) * SIZE * LINE_HEIGHT + 2 * (margin - 1)


REACH, FAR = 330.0, 110.0
"""No note begins further from its spot than the first; up to the second, distance does not matter."""

GOOD = 60.0
"""A spot that costs no more than this, in square pixels covered or pixels too far away, is taken at once."""

Lines = tuple[str, ...]
Try = tuple[Lines, tuple[float, float], Iterable[Point]]
"""The lines of a note, its size, and the spots (upper left corners) it may stand at, the best first."""


@dataclass
class Room:
    """The sheet and what is taken on it. `hard` must not be covered, `soft` had better not be."""

    sheet: Rect
    hard: list[Rect] = field(default_factory=list)
    soft: list[Rect] = field(default_factory=list)

    def choose(self, tries: Iterable[Try], pin: Point | None = None) -> tuple[Lines, Rect]:
        """Take the first of several tries that covers nothing, or the spot that covers least; return lines and place.

        `pin` is the point the note will be joined to by a straight line, which should be short and cross no words.
        """
        best: tuple[float, Lines, Rect] = (float("inf"), (), Rect(0, 0, 0, 0))
        for lines, size, spots in tries:
            cost, rect = self._best(size, spots, pin)
            best = (cost, lines, rect) if cost < best[0] else best
            if cost <= GOOD:
                break
        self.hard.append(best[2])
        return best[1:]

    def _best(self, size: tuple[float, float], spots: Iterable[Point], pin: Point | None) -> tuple[float, Rect]:
        hard, soft = (_reachable(rects, pin) for rects in (self.hard, self.soft))
        best = (float("inf"), Rect(0, 0, *size))
        for x, y in spots:
            rect = Rect(min(max(x, self.sheet.x), self.sheet.right - size[0]), y, *size)
            if pin and max(abs(rect.x - pin[0]), abs(rect.y - pin[1])) > REACH:
                continue
            cost = (0.0 if rect.inside(self.sheet) else 1e6) + 40 * _covered(rect, hard) + _covered(rect, soft)
            if pin and cost < best[0]:
                cost += self._far(pin, rect, hard)
            best = (cost, rect) if cost < best[0] else best
            if best[0] <= GOOD:
                break
        return best

    def _far(self, pin: Point, rect: Rect, hard: list[Rect]) -> float:
        """Return the cost of a long line to the pin, and of words under it."""
        (ax, ay), (bx, by) = pin, nearest(rect, pin)
        far = max(0.0, abs(ax - bx) + abs(ay - by) - FAR)
        dots = [Rect(ax + (bx - ax) * i / 12 - 1, ay + (by - ay) * i / 12 - 1, 2, 2) for i in range(1, 12)]
        own = Rect(ax - 9, ay - 9, 18, 18)
        return far + sum(200.0 for dot in dots for r in hard if r != own and dot.meets(r))


def _reachable(rects: list[Rect], pin: Point | None) -> list[Rect]:
    """Leave out what is too far from the pin to be covered."""
    if pin is None:
        return rects
    reach = Rect(*pin, 0, 0).grow(REACH + 200)
    return [r for r in rects if r.meets(reach)]


def _covered(rect: Rect, others: list[Rect]) -> float:
    """Return the area that a rectangle, with a small margin, shares with others."""
    x, y, right, bottom = rect.x - 2, rect.y - 2, rect.right + 2, rect.bottom + 2
    area = 0.0
    for ox, oy, ow, oh in others:
        across = min(right, ox + ow) - max(x, ox)
        if across > 0:
            down = min(bottom, oy + oh) - max(y, oy)
            if down > 0:
                area += across * down
    return area


def nearest(rect: Rect, point: Point) -> Point:
    """Return the point of a rectangle that is nearest to a point."""
    return (min(max(point[0], rect.x), rect.right), min(max(point[1], rect.y), rect.bottom))


def around(at: Point, size: tuple[float, float], rooms: Sequence[Rect] = ()) -> Iterator[Point]:
    """Offer spots for a note about a point: in the rooms kept for notes of its box, then in growing
    circles, then anywhere near."""
    w, h = size
    x, y = at
    for room in rooms:
        if room.w >= w:
            levels = [room.y + dy for dy in range(0, max(1, int(room.h - h) + 1), 4)]
            columns = (min(max(x - w / 2, room.x), room.right - w), room.x, room.right - w)
            yield from ((column, level) for level in levels for column in columns)
    for distance in (14.0, 24.0, 38.0, 56.0, 78.0, 105.0, 140.0, 180.0):
        for dx in (-w / 2, 6.0, -w - 6.0, -w / 4, -3 * w / 4):
            yield x + dx, y + distance
            yield x + dx, y - distance - h
        for dy in (-h / 2, 0.0, -h):
            yield x + distance, y + dy
            yield x - distance - w, y + dy
    yield from ((x + dx, y + dy) for dy in range(-240, 241, 24) for dx in range(-320, 321, 40))


def beside(at: Point, size: tuple[float, float]) -> Iterator[Point]:
    """Offer spots for the label of an arrow that begins at a point: below it to the right or left, then above."""
    w, h = size
    x, y = at
    for dx in (10.0, 18.0, 27.0, 36.0):
        yield x + dx, y + 9
        yield x - dx - w, y + 9
    for dx in (10.0, 18.0, 27.0, 36.0):
        yield x + dx, y - h - 8
        yield x - dx - w, y - h - 8
