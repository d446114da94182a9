"""Choose spots for several notes at once, so that none covers another and no leader crosses another.

Two notes at a time are given the best pair of their spots while the others stay where they are, until nothing gets
better: exact for two notes, and nearly so for the few more a picture has.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from mcnilib.show.geometry import Point
from mcnilib.show.room import CLASH, Array, Spot, Truths

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
