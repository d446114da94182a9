"""Find room for words on a sheet: what every spot costs, and which spots cost least for several notes together.

The sheet is a grid; what stands on it makes its cells dear. The price of a note is what it would cover, summed over
the cells under it, and of its leader what that would cross.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcnilib.show.layout.geometry import Point, Rect

CELL = 2
"""Pixels of a cell's edge."""

STEP = 3
"""Spots are tried this many cells apart."""

AWAY, LEADER = 4.0, 2.0
"""Price of a pixel between a note and its pin, and of a pixel of the leader for each price of a cell it crosses."""

OWN, SHUT = 11.0, 60.0
"""Pixels around a pin that belong to its mark, and the price of cells no leader may cross."""

CLASH = 1e5
"""Price of a leader that crosses what it must not."""

MOST, APART = 60, 4
"""So many spots of a note in one form are compared with those of others, one of each square of so many spots."""

Array = NDArray[np.float64]

Truths = NDArray[np.bool_]


class Spot(NamedTuple):
    """A place for some lines, and its price."""

    price: float
    lines: tuple[str, ...]
    rect: Rect


class Spots(NamedTuple):
    """Upper left corners in rows and columns, and the price of each."""

    x: Array
    y: Array
    price: Array


def nearest(rect: Rect, point: Point) -> Point:
    """Return the point of a rectangle that is nearest to a point."""
    return (min(max(point[0], rect.x), rect.right), min(max(point[1], rect.y), rect.bottom))


class Room:
    """A sheet and what is taken on it."""

    def __init__(self, sheet: Rect) -> None:
        """Begin with an empty sheet; nothing is ever placed outside of it."""
        self.sheet = sheet
        self._prices: Array = np.zeros((int(sheet.bottom) // CELL + 1, int(sheet.right) // CELL + 1))
        self._sums: Array | None = None

    def cover(self, rects: Iterable[Rect], price: float) -> None:
        """Make every square pixel under these rectangles cost so much more."""
        for x, y, w, h in rects:
            rows = slice(max(0, int(y // CELL)), max(0, int((y + h) // CELL) + 1))
            self._prices[rows, max(0, int(x // CELL)) : max(0, int((x + w) // CELL) + 1)] += price
        self._sums = None

    def spots(self, window: Rect, size: tuple[float, float]) -> Spots:
        """Return the spots for something of a size within a window, with what it would cover there."""
        left, right = max(window.x, self.sheet.x), min(window.right, self.sheet.right) - size[0]
        top, bottom = max(window.y, self.sheet.y), min(window.bottom, self.sheet.bottom) - size[1]
        columns = np.arange(int(left) // CELL + 1, int(right) // CELL, STEP)
        rows = np.arange(int(top) // CELL + 1, int(bottom) // CELL, STEP)
        wide, high = int(size[0]) // CELL + 2, int(size[1]) // CELL + 2
        sums = self._integral()
        up, down = np.ix_(rows, columns), np.ix_(rows + high, columns)
        there, across = np.ix_(rows, columns + wide), np.ix_(rows + high, columns + wide)
        price = (sums[across] - sums[there] - sums[down] + sums[up]) * CELL * CELL
        x, y = (CELL * grid.astype(np.float64) + 1 for grid in (columns, rows))
        return Spots(x[None, :], y[:, None], price)

    def _integral(self) -> Array:
        """Return the prices summed up from the upper left corner."""
        if self._sums is None:
            high, wide = self._prices.shape
            self._sums = np.zeros((high + 80, wide + 200))
            self._sums[1 : high + 1, 1 : wide + 1] = self._prices.cumsum(0).cumsum(1)
            self._sums[high + 1 :] = self._sums[high]
            self._sums[:, wide + 1 :] = self._sums[:, wide : wide + 1]
        return self._sums

    def leaders(self, spots: Spots, size: tuple[float, float], pin: Point) -> Array:
        """Return the price of the straight line from a pin to each spot; the mark around the pin is free."""
        x, y = np.clip(pin[0], spots.x, spots.x + size[0]), np.clip(pin[1], spots.y, spots.y + size[1])
        far = np.hypot(x - pin[0], y - pin[1])
        price = AWAY * far
        high, wide = self._prices.shape
        for part in np.linspace(0.04, 0.96, 12):
            rows = np.clip((pin[1] + (y - pin[1]) * part) // CELL, 0, high - 1).astype(int)
            columns = np.clip((pin[0] + (x - pin[0]) * part) // CELL, 0, wide - 1).astype(int)
            under = self._prices[rows, columns]
            price += np.where(far * part > OWN, LEADER * far / 12 * under + np.where(under >= SHUT, CLASH, 0), 0.0)
        return np.where(far < OWN, CLASH, price)


def cheapest(spots: Spots, lines: tuple[str, ...], size: tuple[float, float]) -> list[Spot]:
    """Return the cheapest spot of every square of `APART` cells, the cheapest `MOST` of them."""
    high, wide = (-(-n // APART) * APART for n in spots.price.shape)
    padded = np.full((high, wide), np.inf)
    padded[: spots.price.shape[0], : spots.price.shape[1]] = spots.price
    squares = padded.reshape(high // APART, APART, wide // APART, APART).swapaxes(1, 2).reshape(-1, APART * APART)
    best = squares.argmin(1)
    prices = squares[np.arange(len(best)), best]
    found = []
    for square in np.argsort(prices, kind="stable")[:MOST]:
        if np.isfinite(prices[square]):
            row = square // (wide // APART) * APART + best[square] // APART
            column = square % (wide // APART) * APART + best[square] % APART
            place = Rect(float(spots.x[0, column]), float(spots.y[row, 0]), *size)
            found.append(Spot(float(prices[square]), lines, place))
    return found


ROUNDS = 6
"""Times all pairs are gone through at most."""

BETWEEN = 5.0
"""Pixels that are left between two notes, or between a note and the leader of another."""


def together(offers: Sequence[Sequence[Spot]], pins: Sequence[Point | None]) -> list[Spot]:
    """Choose one spot for each pin so that all together cost least; what has no pin has no leader.

    The search begins twice, choosing one by one in the given order and in the opposite one.
    """
    prices = [np.array([spot.price for spot in offer]) for offer in offers]
    sides = [_Side.of(offer, pin) for offer, pin in zip(offers, pins, strict=True)]
    clashes = {(i, j): _clashes(sides[i], sides[j]) for i, j in combinations(range(len(offers)), 2)}
    clashes |= {(j, i): table.T for (i, j), table in clashes.items()}
    table = _Table(prices, clashes)
    order = list(range(len(offers)))
    best = min((table.better(table.one_by_one(way)) for way in (order, order[::-1])), key=table.total)
    return [offer[k] for offer, k in zip(offers, best, strict=True)]


class _Table(NamedTuple):
    """The price of every spot of every note, and of every pair of spots beside each other."""

    prices: list[Array]
    clashes: dict[tuple[int, int], Array]

    def total(self, chosen: list[int]) -> float:
        """Return the price of a choice."""
        alone = sum(float(self.prices[i][k]) for i, k in enumerate(chosen))
        pairs = combinations(range(len(chosen)), 2)
        return alone + sum(float(self.clashes[i, j][chosen[i], chosen[j]]) for i, j in pairs)

    def one_by_one(self, order: Sequence[int]) -> list[int]:
        """Choose for one note after the other, each beside those before it."""
        chosen = [0] * len(order)
        for at, note in enumerate(order):
            chosen[note] = int(self._beside(note, order[:at], chosen).argmin())
        return chosen

    def better(self, start: list[int]) -> list[int]:
        """Give every pair of notes the best pair of spots until nothing gets better."""
        chosen, everyone = list(start), range(len(start))
        for _ in range(ROUNDS):
            before = list(chosen)
            for i, j in combinations(everyone, 2):
                rest = [k for k in everyone if k not in (i, j)]
                one, other = self._beside(i, rest, chosen), self._beside(j, rest, chosen)
                both = one[:, None] + other[None, :] + self.clashes[i, j]
                chosen[i], chosen[j] = divmod(int(both.argmin()), both.shape[1])
            if chosen == before:
                break
        return chosen

    def _beside(self, note: int, others: Sequence[int], chosen: list[int]) -> Array:
        """Return what every spot of a note costs beside other notes that stay where they are."""
        return sum((self.clashes[note, k][:, chosen[k]] for k in others), start=self.prices[note])


class _Ends(NamedTuple):
    """Points: one, or one for every spot."""

    x: Array
    y: Array


class _Side(NamedTuple):
    """The spots of one note in columns: their edges, and the two ends of their leaders."""

    left: Array
    top: Array
    right: Array
    bottom: Array
    pin: _Ends
    end: _Ends
    leads: bool  # whether there is a leader

    @classmethod
    def of(cls, offer: Sequence[Spot], pin: Point | None) -> _Side:
        """Read the spots of a note."""
        x, y, w, h = np.array([spot.rect for spot in offer]).T[:, :, None]
        at = _Ends(np.full_like(x, pin[0]), np.full_like(y, pin[1])) if pin else _Ends(x, y)
        return cls(x, y, x + w, y + h, at, _Ends(np.clip(at.x, x, x + w), np.clip(at.y, y, y + h)), pin is not None)

    @property
    def across(self) -> _Side:
        """The same in rows, to be compared with columns."""
        pin, end = _Ends(self.pin.x.T, self.pin.y.T), _Ends(self.end.x.T, self.end.y.T)
        return _Side(self.left.T, self.top.T, self.right.T, self.bottom.T, pin, end, self.leads)

    def grown(self, by: float) -> _Side:
        """The same with a margin about every spot."""
        return self._replace(left=self.left - by, top=self.top - by, right=self.right + by, bottom=self.bottom + by)


def _clashes(a: _Side, columns: _Side) -> Array:
    """Return the price of every pair of spots beside each other: none unless they, or their leaders, meet."""
    b = columns.across
    wide = b.grown(BETWEEN)
    meet = (a.left < wide.right) & (wide.left < a.right) & (a.top < wide.bottom) & (wide.top < a.bottom)
    if a.leads and b.leads:
        meet |= _cross((a.pin, a.end), (b.pin, b.end))
    if a.leads:
        meet |= _through(a, wide)
    if b.leads:
        meet |= _through(b, a.grown(BETWEEN))
    return np.where(meet, CLASH, 0.0)


def _through(a: _Side, rects: _Side) -> Truths:
    """Tell which leaders of one note have a point in the spots of another."""
    inside: Truths = np.zeros(1, bool)
    for at in (a.pin, a.end):
        inside = inside | ((rects.left < at.x) & (at.x < rects.right) & (rects.top < at.y) & (at.y < rects.bottom))
    falling = (_Ends(rects.left, rects.top), _Ends(rects.right, rects.bottom))
    rising = (_Ends(rects.left, rects.bottom), _Ends(rects.right, rects.top))
    return inside | _cross((a.pin, a.end), falling) | _cross((a.pin, a.end), rising)


def _cross(one: tuple[_Ends, _Ends], other: tuple[_Ends, _Ends]) -> Truths:
    """Tell which straight lines cross."""
    (a, b), (c, d) = one, other
    return (_turn(a, b, c) * _turn(a, b, d) < 0) & (_turn(c, d, a) * _turn(c, d, b) < 0)


def _turn(a: _Ends, b: _Ends, c: _Ends) -> Array:
    """Return on which side of the line from a to b a point lies, as the sign of the result."""
    return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)
