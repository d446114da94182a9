"""Points, rectangles and orthogonal polylines in picture units: pixels at natural size, y grows downwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import hypot
from typing import NamedTuple

Point = tuple[float, float]

Polyline = tuple[Point, ...]


class Rect(NamedTuple):
    """A rectangle by its upper left corner and its size."""

    x: float
    y: float
    w: float
    h: float

    @property
    def right(self) -> float:
        """The x of the right edge."""
        return self.x + self.w

    @property
    def bottom(self) -> float:
        """The y of the lower edge."""
        return self.y + self.h

    @property
    def cx(self) -> float:
        """The x of the middle."""
        return self.x + self.w / 2

    @property
    def cy(self) -> float:
        """The y of the middle."""
        return self.y + self.h / 2

    def grow(self, by: float) -> Rect:
        """Return the rectangle with a margin on every side; negative shrinks it."""
        return Rect(self.x - by, self.y - by, self.w + 2 * by, self.h + 2 * by)

    def meets(self, other: Rect) -> bool:
        """Tell whether the two share any area."""
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom

    def meet(self, other: Rect) -> Rect:
        """Return what two rectangles share; its size is negative when that is nothing."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        return Rect(x, y, min(self.right, other.right) - x, min(self.bottom, other.bottom) - y)

    def shares(self, other: Rect) -> float:
        """Return the area two rectangles share."""
        return max(0.0, (both := self.meet(other)).w) * max(0.0, both.h)

    def distance(self, other: Rect) -> float:
        """Return how far two rectangles are from each other, zero when they touch."""
        (x, y, w, h), (to_x, to_y, to_w, to_h) = self, other
        across = x - to_x - to_w if x > to_x + to_w else to_x - x - w if to_x > x + w else 0.0
        down = y - to_y - to_h if y > to_y + to_h else to_y - y - h if to_y > y + h else 0.0
        return hypot(across, down) if across and down else across or down

    def inside(self, other: Rect) -> bool:
        """Tell whether this one lies within the other."""
        return self.x >= other.x and self.y >= other.y and self.right <= other.right and self.bottom <= other.bottom


def tidy(points: Iterable[Point]) -> Polyline:
    """Drop points that repeat their predecessor or lie on a straight run."""
    kept: list[Point] = []
    for point in points:
        if kept and abs(kept[-1][0] - point[0]) < 0.01 and abs(kept[-1][1] - point[1]) < 0.01:
            continue
        if len(kept) > 1 and _straight(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return tuple(kept)


def _straight(a: Point, b: Point, c: Point) -> bool:
    """Tell whether b lies between a and c on one vertical or horizontal run."""
    vertical = abs(a[0] - b[0]) < 0.01 and abs(b[0] - c[0]) < 0.01 and (b[1] - a[1]) * (c[1] - b[1]) > 0
    level = abs(a[1] - b[1]) < 0.01 and abs(b[1] - c[1]) < 0.01 and (b[0] - a[0]) * (c[0] - b[0]) > 0
    return vertical or level


def shift(points: Sequence[Point], by: float, upright: float | None = None) -> Polyline:
    """Move an orthogonal polyline sideways: `by` pixels to the left of its direction of travel, corners stay square.

    Its upright runs are moved by `upright` pixels, where that is given.
    """
    if len(points) < 2:
        return tuple(points)
    across = by if upright is None else upright
    normals = [_left(a, b) for a, b in pairwise(points)]
    moved = [_aside(points[0], normals[0], across, by)]
    for point, before, after in zip(points[1:-1], normals, normals[1:], strict=False):
        both = (before[0] + after[0], before[1] + after[1])
        sides = (before, after) if both == (0, 0) else (before,) if before == after else (both,)
        moved += [_aside(point, side, across, by) for side in sides]
    return (*moved, _aside(points[-1], normals[-1], across, by))


def _aside(point: Point, side: Point, across: float, down: float) -> Point:
    return (point[0] + side[0] * across, point[1] + side[1] * down)


def _left(a: Point, b: Point) -> Point:
    """Return the unit vector to the left of the way from a to b, seen on the sheet (y grows downwards)."""
    dx, dy = _sign(b[0] - a[0]), _sign(b[1] - a[1])
    return (dy, -dx)


def _sign(value: float) -> int:
    return (value > 0.01) - (value < -0.01)


def length(points: Sequence[Point]) -> float:
    """Return the length of an orthogonal polyline."""
    return sum(abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in pairwise(points))


def along(points: Sequence[Point], distance: float) -> Point:
    """Return the point of a polyline at a distance from its beginning; beyond its ends, the end."""
    for a, b in pairwise(points):
        step = abs(a[0] - b[0]) + abs(a[1] - b[1])
        if step and distance <= step:
            part = max(distance, 0.0) / step
            return (a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part)
        distance -= step
    return points[-1]


def clip(points: Sequence[Point], rect: Rect) -> Polyline:
    """Return the part of an orthogonal polyline that lies within a rectangle."""
    kept: list[Point] = []
    for a, b in pairwise(points):
        xs = sorted((a[0], b[0]))
        ys = sorted((a[1], b[1]))
        if xs[0] <= rect.right and xs[1] >= rect.x and ys[0] <= rect.bottom and ys[1] >= rect.y:
            kept += [_into(a, rect), _into(b, rect)]
    return tidy(kept)


def _into(point: Point, rect: Rect) -> Point:
    return (min(max(point[0], rect.x), rect.right), min(max(point[1], rect.y), rect.bottom))


def nearest_point(rect: Rect, point: Point) -> Point:
    """Return the point of a rectangle that is nearest to a point."""
    return (min(max(point[0], rect.x), rect.right), min(max(point[1], rect.y), rect.bottom))


def strokes(points: Sequence[Point], thickness: float) -> tuple[Rect, ...]:
    """Return the rectangles a polyline covers: obstacles for labels."""
    half = thickness / 2
    pairs = pairwise(points)
    return tuple(
        Rect(min(a[0], b[0]) - half, min(a[1], b[1]) - half, abs(a[0] - b[0]) + thickness, abs(a[1] - b[1]) + thickness)
        for a, b in pairs
    )
