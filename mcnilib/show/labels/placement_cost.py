"""Placement cost: what every candidate place for words costs, and which cost least for several labels together.

The sheet is a grid; what stands on it makes its cells dear. The cost of a label is what it would cover, summed over
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

CANDIDATE_STEP = 3
"""Candidates are tried this many cells apart."""

DISTANCE_COST, LEADER_COST = 4.0, 2.0
"""Cost of a pixel between a label and its marker, and of a pixel of the leader for each cost of a cell it crosses."""

MARKER_RADIUS, NO_LEADER = 11.0, 60.0
"""Pixels around a point that belong to its marker, and the cost of cells no leader may cross."""

CLASH_COST = 1e5
"""Cost of a leader that crosses what it must not."""

MOST_CANDIDATES, THINNED_BY = 60, 4
"""So many candidates of a label in one form are compared with those of others, one of each square of so many."""

Array = NDArray[np.float64]

Truths = NDArray[np.bool_]


class Candidate(NamedTuple):
    """A place for some lines, and its cost."""

    cost: float
    lines: tuple[str, ...]
    rect: Rect


class CandidateGrid(NamedTuple):
    """Upper left corners in rows and columns, and the cost of each."""

    x: Array
    y: Array
    cost: Array


class CostGrid:
    """A sheet and what is taken on it."""

    def __init__(self, sheet: Rect) -> None:
        """Begin with an empty sheet; nothing is ever placed outside of it."""
        self.sheet = sheet
        self._costs: Array = np.zeros((int(sheet.bottom) // CELL + 1, int(sheet.right) // CELL + 1))
        self._sums: Array | None = None

    def add(self, rects: Iterable[Rect], cost: float) -> None:
        """Make every square pixel under these rectangles cost so much more."""
        for x, y, w, h in rects:
            rows = slice(max(0, int(y // CELL)), max(0, int((y + h) // CELL) + 1))
            self._costs[rows, max(0, int(x // CELL)) : max(0, int((x + w) // CELL) + 1)] += cost
        self._sums = None

    def candidates(self, window: Rect, size: tuple[float, float]) -> CandidateGrid:
        """Return the candidates for something of a size within a window, with what it would cover there."""
        left, right = max(window.x, self.sheet.x), min(window.right, self.sheet.right) - size[0]
        top, bottom = max(window.y, self.sheet.y), min(window.bottom, self.sheet.bottom) - size[1]
        columns = np.arange(int(left) // CELL + 1, int(right) // CELL, CANDIDATE_STEP)
        rows = np.arange(int(top) // CELL + 1, int(bottom) // CELL, CANDIDATE_STEP)
        wide, high = int(size[0]) // CELL + 2, int(size[1]) // CELL + 2
        sums = self._integral()
        up, down = np.ix_(rows, columns), np.ix_(rows + high, columns)
        there, across = np.ix_(rows, columns + wide), np.ix_(rows + high, columns + wide)
        cost = (sums[across] - sums[there] - sums[down] + sums[up]) * CELL * CELL
        x, y = (CELL * grid.astype(np.float64) + 1 for grid in (columns, rows))
        return CandidateGrid(x[None, :], y[:, None], cost)

    def _integral(self) -> Array:
        """Return the costs summed up from the upper left corner."""
        if self._sums is None:
            high, wide = self._costs.shape
            self._sums = np.zeros((high + 80, wide + 200))
            self._sums[1 : high + 1, 1 : wide + 1] = self._costs.cumsum(0).cumsum(1)
            self._sums[high + 1 :] = self._sums[high]
            self._sums[:, wide + 1 :] = self._sums[:, wide : wide + 1]
        return self._sums

    def leaders(self, grid: CandidateGrid, size: tuple[float, float], marker: Point) -> Array:
        """Return the cost of the straight line from a marker to each candidate; the marker itself is free."""
        x, y = np.clip(marker[0], grid.x, grid.x + size[0]), np.clip(marker[1], grid.y, grid.y + size[1])
        far = np.hypot(x - marker[0], y - marker[1])
        cost = DISTANCE_COST * far
        high, wide = self._costs.shape
        for part in np.linspace(0.04, 0.96, 12):
            rows = np.clip((marker[1] + (y - marker[1]) * part) // CELL, 0, high - 1).astype(int)
            columns = np.clip((marker[0] + (x - marker[0]) * part) // CELL, 0, wide - 1).astype(int)
            under = self._costs[rows, columns]
            crossing = LEADER_COST * far / 12 * under + np.where(under >= NO_LEADER, CLASH_COST, 0)
            cost += np.where(far * part > MARKER_RADIUS, crossing, 0.0)
        return np.where(far < MARKER_RADIUS, CLASH_COST, cost)


def cheapest(grid: CandidateGrid, lines: tuple[str, ...], size: tuple[float, float]) -> list[Candidate]:
    """Return the cheapest candidate of every square of `THINNED_BY` cells, the cheapest `MOST_CANDIDATES` of them."""
    high, wide = (-(-n // THINNED_BY) * THINNED_BY for n in grid.cost.shape)
    padded = np.full((high, wide), np.inf)
    padded[: grid.cost.shape[0], : grid.cost.shape[1]] = grid.cost
    blocks = padded.reshape(high // THINNED_BY, THINNED_BY, wide // THINNED_BY, THINNED_BY)
    squares = blocks.swapaxes(1, 2).reshape(-1, THINNED_BY * THINNED_BY)
    best = squares.argmin(1)
    costs = squares[np.arange(len(best)), best]
    candidates: list[Candidate] = []
    for square in np.argsort(costs, kind="stable")[:MOST_CANDIDATES]:
        if np.isfinite(costs[square]):
            row = square // (wide // THINNED_BY) * THINNED_BY + best[square] // THINNED_BY
            column = square % (wide // THINNED_BY) * THINNED_BY + best[square] % THINNED_BY
            rect = Rect(float(grid.x[0, column]), float(grid.y[row, 0]), *size)
            candidates.append(Candidate(float(costs[square]), lines, rect))
    return candidates


ROUNDS = 6
"""Times all pairs are gone through at most."""

CLEARANCE = 5.0
"""Pixels that are left between two labels, or between a label and the leader of another."""


def solve(options: Sequence[Sequence[Candidate]], markers: Sequence[Point | None]) -> list[Candidate]:
    """Choose one candidate for each label so that all together cost least; what has no marker has no leader.

    The search begins twice, choosing one by one in the given order and in the opposite one.
    """
    costs = [np.array([candidate.cost for candidate in option]) for option in options]
    boxes = [_Boxes.of(option, marker) for option, marker in zip(options, markers, strict=True)]
    clashes = {(i, j): _clashes(boxes[i], boxes[j]) for i, j in combinations(range(len(options)), 2)}
    clashes |= {(j, i): pair.T for (i, j), pair in clashes.items()}
    problem = _Problem(costs, clashes)
    order = list(range(len(options)))
    best = min((problem.improved(problem.greedy(sequence)) for sequence in (order, order[::-1])), key=problem.total)
    return [option[k] for option, k in zip(options, best, strict=True)]


class _Problem(NamedTuple):
    """The cost of every candidate of every label, and of every pair of candidates beside each other."""

    costs: list[Array]
    clashes: dict[tuple[int, int], Array]

    def total(self, chosen: list[int]) -> float:
        """Return the cost of a choice."""
        alone = sum(float(self.costs[i][k]) for i, k in enumerate(chosen))
        pairs = combinations(range(len(chosen)), 2)
        return alone + sum(float(self.clashes[i, j][chosen[i], chosen[j]]) for i, j in pairs)

    def greedy(self, order: Sequence[int]) -> list[int]:
        """Choose for one label after the other, each beside those before it."""
        chosen = [0] * len(order)
        for at, label in enumerate(order):
            chosen[label] = int(self._beside(label, order[:at], chosen).argmin())
        return chosen

    def improved(self, start: list[int]) -> list[int]:
        """Give every pair of labels the best pair of candidates until nothing gets better."""
        chosen, all_labels = list(start), range(len(start))
        for _ in range(ROUNDS):
            before = list(chosen)
            for i, j in combinations(all_labels, 2):
                rest = [k for k in all_labels if k not in (i, j)]
                one, other = self._beside(i, rest, chosen), self._beside(j, rest, chosen)
                both = one[:, None] + other[None, :] + self.clashes[i, j]
                chosen[i], chosen[j] = divmod(int(both.argmin()), both.shape[1])
            if chosen == before:
                break
        return chosen

    def _beside(self, label: int, others: Sequence[int], chosen: list[int]) -> Array:
        """Return what every candidate of a label costs beside other labels that stay where they are."""
        return sum((self.clashes[label, k][:, chosen[k]] for k in others), start=self.costs[label])


class _Points(NamedTuple):
    """Points: one, or one for every candidate."""

    x: Array
    y: Array


class _Boxes(NamedTuple):
    """The candidates of one label in columns: their edges, and the two ends of their leaders."""

    left: Array
    top: Array
    right: Array
    bottom: Array
    marker: _Points
    end: _Points
    leads: bool  # whether there is a leader

    @classmethod
    def of(cls, option: Sequence[Candidate], marker: Point | None) -> _Boxes:
        """Read the candidates of a label."""
        x, y, w, h = np.array([candidate.rect for candidate in option]).T[:, :, None]
        at = _Points(np.full_like(x, marker[0]), np.full_like(y, marker[1])) if marker else _Points(x, y)
        end = _Points(np.clip(at.x, x, x + w), np.clip(at.y, y, y + h))
        return cls(x, y, x + w, y + h, at, end, marker is not None)

    @property
    def across(self) -> _Boxes:
        """The same in rows, to be compared with columns."""
        marker, end = _Points(self.marker.x.T, self.marker.y.T), _Points(self.end.x.T, self.end.y.T)
        return _Boxes(self.left.T, self.top.T, self.right.T, self.bottom.T, marker, end, self.leads)

    def grown(self, by: float) -> _Boxes:
        """The same with a margin about every candidate."""
        return self._replace(left=self.left - by, top=self.top - by, right=self.right + by, bottom=self.bottom + by)


def _clashes(a: _Boxes, columns: _Boxes) -> Array:
    """Return the cost of every pair of candidates beside each other: none unless they, or their leaders, meet."""
    b = columns.across
    wide = b.grown(CLEARANCE)
    meet = (a.left < wide.right) & (wide.left < a.right) & (a.top < wide.bottom) & (wide.top < a.bottom)
    if a.leads and b.leads:
        meet |= _cross((a.marker, a.end), (b.marker, b.end))
    if a.leads:
        meet |= _leader_meets(a, wide)
    if b.leads:
        meet |= _leader_meets(b, a.grown(CLEARANCE))
    return np.where(meet, CLASH_COST, 0.0)


def _leader_meets(a: _Boxes, rects: _Boxes) -> Truths:
    """Tell which leaders of one label have a point in the candidates of another."""
    inside: Truths = np.zeros(1, bool)
    for at in (a.marker, a.end):
        inside = inside | ((rects.left < at.x) & (at.x < rects.right) & (rects.top < at.y) & (at.y < rects.bottom))
    falling = (_Points(rects.left, rects.top), _Points(rects.right, rects.bottom))
    rising = (_Points(rects.left, rects.bottom), _Points(rects.right, rects.top))
    return inside | _cross((a.marker, a.end), falling) | _cross((a.marker, a.end), rising)


def _cross(one: tuple[_Points, _Points], other: tuple[_Points, _Points]) -> Truths:
    """Tell which straight lines cross."""
    (a, b), (c, d) = one, other
    return (_orientation(a, b, c) * _orientation(a, b, d) < 0) & (_orientation(c, d, a) * _orientation(c, d, b) < 0)


def _orientation(a: _Points, b: _Points, c: _Points) -> Array:
    """Return on which side of the line from a to b a point lies, as the sign of the result."""
    return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)
