"""Find room for words on a sheet: what every spot costs, and which spots cost least for several notes together.

The sheet is a grid; what stands on it makes its cells dear. The price of a note is what it would cover, summed over
the cells under it, and of its leader what that would cross.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcnilib.show.geometry import Point, Rect

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
