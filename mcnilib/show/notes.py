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


@dataclass
class Room:
    """The sheet and what is taken on it. `hard` must not be covered, `soft` had better not be."""

    sheet: Rect
    hard: list[Rect] = field(default_factory=list)
    soft: list[Rect] = field(default_factory=list)

    def put(self, size: tuple[float, float], spots: Iterable[Point], pin: Point | None = None) -> Rect:
        """Take the first spot (upper left corners) where nothing is covered, or the one that covers least.

        `pin` is the point the note will be joined to by a straight line, which had better not cross words either.
        """
        return self.choose([("", size, spots)], pin)[1]

    def choose(
        self, tries: Iterable[tuple[str, tuple[float, float], Iterable[Point]]], pin: Point | None = None
    ) -> tuple[str, Rect]:
        """Take the first free spot of several texts with their sizes and spots; return the text and its place."""
        best = (float("inf"), "", Rect(0, 0, 0, 0))
        for text, size, spots in tries:
            cost, rect = self._best(size, spots, pin)
            best = (cost, text, rect) if cost < best[0] else best
            if cost == 0:
                break
        self.hard.append(best[2])
        return best[1:]

    def _best(self, size: tuple[float, float], spots: Iterable[Point], pin: Point | None) -> tuple[float, Rect]:
        best = (float("inf"), Rect(0, 0, *size))
        for x, y in spots:
            rect = Rect(min(max(x, self.sheet.x), self.sheet.right - size[0]), y, *size)
            cost = self._cost(rect)
            if pin and cost < best[0]:
                cost += self._crossed(pin, rect)
            best = (cost, rect) if cost < best[0] else best
            if cost == 0:
                break
        return best

    def _crossed(self, pin: Point, rect: Rect) -> float:
        """Return the cost of words under the line that joins a note to its pin."""
        end = nearest(rect, pin)
        dots = [
            Rect(pin[0] + (end[0] - pin[0]) * i / 12 - 1, pin[1] + (end[1] - pin[1]) * i / 12 - 1, 2, 2)
            for i in range(1, 12)
        ]
        own = Rect(pin[0] - 9, pin[1] - 9, 18, 18)
        return sum(400.0 for dot in dots for r in self.hard if r != own and dot.meets(r))

    def _cost(self, rect: Rect) -> float:
        outside = 0.0 if rect.inside(self.sheet) else 1e6
        near = rect.grow(2)
        return outside + sum(40 * _shared(near, r) for r in self.hard) + sum(_shared(near, r) for r in self.soft)


def nearest(rect: Rect, point: Point) -> Point:
    """Return the point of a rectangle that is nearest to a point."""
    return (min(max(point[0], rect.x), rect.right), min(max(point[1], rect.y), rect.bottom))


def _shared(a: Rect, b: Rect) -> float:
    if not a.meets(b):
        return 0.0
    return (min(a.right, b.right) - max(a.x, b.x)) * (min(a.bottom, b.bottom) - max(a.y, b.y))


def around(at: Point, size: tuple[float, float], rooms: Sequence[Rect] = ()) -> Iterator[Point]:
    """Offer spots for a note about a point: in the rooms kept for notes of its box, then in growing circles."""
    w, h = size
    x, y = at
    for room in rooms:
        if room.w >= w:
            levels = [room.y + dy for dy in range(0, max(1, int(room.h - h) + 1), 4)]
            columns = (min(max(x - w / 2, room.x), room.right - w), room.x, room.right - w)
            yield from ((column, level) for level in levels for column in columns)
    for distance in (14.0, 22.0, 34.0, 50.0, 70.0, 95.0, 130.0, 180.0):
        for dx in (-w / 2, 6.0, -w - 6.0, -w / 4, -3 * w / 4):
            yield x + dx, y + distance
            yield x + dx, y - distance - h
        for dy in (-h / 2, 0.0, -h):
            yield x + distance, y + dy
            yield x - distance - w, y + dy


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
