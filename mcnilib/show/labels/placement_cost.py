"""Placement cost: what every candidate place for words costs, and which cost least for several labels together.

The sheet is a grid; what stands on it makes its cells dear. The cost of a label is what it would cover, summed over
the cells under it, and of its leader what that would cross. Plain Python: the pictures of a browser have no numpy.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import accumulate, combinations
from math import hypot, inf
from operator import add
from typing import NamedTuple

from mcnilib.show.layout.geometry import Point, Rect, nearest_point

CELL = 3
"""Pixels of a cell's edge."""

STEP, SQUARE = 4, 8
"""Cells between two places that are tried, and of a square of which only the cheapest place becomes a candidate."""

DISTANCE_COST, LEADER_COST = 4.0, 2.0
"""Cost of a pixel between a label and its marker, and of a pixel of the leader for each cost of a cell it crosses."""

MARKER_RADIUS, NO_LEADER = 11.0, 60.0
"""Pixels around a point that belong to its marker, and the cost of cells no leader may cross."""

LEADER_SAMPLES = 12
"""Points of a leader at which the sheet is looked at."""

CLASH_COST = 1e5
"""Cost of two labels, or leaders, that meet; and of a leader that crosses what it must not."""


class Candidate(NamedTuple):
    """A place for some lines, and its cost."""

    cost: float
    lines: tuple[str, ...]
    rect: Rect


class Form(NamedTuple):
    """How words may be set: their lines, the size these need, and what it costs to set them so."""

    lines: tuple[str, ...]
    size: tuple[float, float]
    cost: float


class CostGrid:
    """A sheet and what is taken on it."""

    def __init__(self, sheet: Rect) -> None:
        """Begin with an empty sheet; nothing is ever placed outside of it."""
        self.sheet = sheet
        self._columns, self._rows = int(sheet.right) // CELL + 1, int(sheet.bottom) // CELL + 1
        self._corners = [[0.0] * (self._columns + 1) for _ in range(self._rows + 1)]

    def add(self, rects: Iterable[Rect], cost: float) -> None:
        """Make every square pixel under these rectangles cost so much more. Only before the first question."""
        for rect in rects:
            left, top, right, bottom = self._cells(rect)
            self._corners[top][left] += cost
            self._corners[top][right] -= cost
            self._corners[bottom][left] -= cost
            self._corners[bottom][right] += cost

    def _cells(self, rect: Rect) -> tuple[int, int, int, int]:
        """Return the first and the last column and row under a rectangle, the last ones exclusive."""
        left, right = (
            min(max(int(x // CELL) + extra, 0), self._columns) for x, extra in ((rect.x, 0), (rect.right, 1))
        )
        top, bottom = (min(max(int(y // CELL) + extra, 0), self._rows) for y, extra in ((rect.y, 0), (rect.bottom, 1)))
        return left, top, right, bottom

    @cached_property
    def _costs(self) -> list[list[float]]:
        """The cost of a square pixel in every cell."""
        return _summed(self._corners)

    @cached_property
    def _sums(self) -> list[list[float]]:
        """The costs summed up from the upper left corner, a row and a column of zeros before."""
        rows = _summed([row[: self._columns] for row in self._costs[: self._rows]])
        return [[0.0] * (self._columns + 1), *([0.0, *row] for row in rows)]

    def leader(self, rect: Rect, marker: Point) -> float:
        """Return the cost of the straight line from a marker to a rectangle; the marker itself is free."""
        (x, y), (to_x, to_y) = marker, nearest_point(rect, marker)
        far = hypot(to_x - x, to_y - y)
        if far < MARKER_RADIUS:
            return CLASH_COST
        cost = 0.0
        for sample in range(1, LEADER_SAMPLES + 1):
            part = sample / (LEADER_SAMPLES + 0.5)
            if far * part > MARKER_RADIUS:
                under = self._costs[int((y + (to_y - y) * part) // CELL)][int((x + (to_x - x) * part) // CELL)]
                cost += CLASH_COST if under >= NO_LEADER else LEADER_COST * far / LEADER_SAMPLES * under
        return cost

    def cheapest(
        self, forms: Iterable[tuple[Form, Rect]], at: Point, more: Callable[[Rect], float], most: int
    ) -> list[Candidate]:
        """Return the `most` cheapest candidates for words in any of these forms, each with the area it may stand in.

        There is at most one in each square of a form. It costs its form, what it covers, its distance from `at`, and
        `more`, which is never negative.
        """
        best: list[Candidate] = []
        for form, area in forms:
            window = area.meet(self.sheet)
            columns, rows = (
                _starts(start, end - size)
                for start, end, size in zip(window[:2], (window.right, window.bottom), form.size, strict=True)
            )
            for bound, left, top in self._squares(form, columns, rows, at):
                limit = best[most - 1].cost if len(best) >= most else inf
                if limit <= bound:
                    break
                across = range(left, min(left + SQUARE, columns.stop), STEP)
                down = range(top, min(top + SQUARE, rows.stop), STEP)
                if candidate := self._best_of(form, across, down, at, more, limit):
                    insort(best, candidate)
        return best[:most]

    @staticmethod
    def _squares(form: Form, columns: range, rows: range, at: Point) -> list[tuple[float, int, int]]:
        """Return the squares in which a form may begin, by what it costs there at least."""
        wide, high = (size + CELL * SQUARE for size in form.size)
        across = [(left, _gap(CELL * left, wide, at[0])) for left in columns[::SQUARE]]
        down = [(top, _gap(CELL * top, high, at[1])) for top in rows[::SQUARE]]
        return sorted((form.cost + DISTANCE_COST * hypot(x, y), left, top) for left, x in across for top, y in down)

    def _best_of(
        self, form: Form, columns: range, rows: range, at: Point, more: Callable[[Rect], float], limit: float
    ) -> Candidate | None:
        """Return the cheapest candidate with its corner in one of these cells, if it costs less than a limit."""
        best, (x, y), (w, h) = None, at, form.size
        wide, high = int(w) // CELL + 2, int(h) // CELL + 2
        for top in rows:
            above, below = self._sums[top], self._sums[min(top + high, self._rows)]
            y_gap = _gap(CELL * top, h, y)
            for left in columns:
                right = min(left + wide, self._columns)
                cost = form.cost + (below[right] - below[left] - above[right] + above[left]) * CELL * CELL
                if cost < limit:
                    cost += DISTANCE_COST * hypot(_gap(CELL * left, w, x), y_gap)
                    if cost < limit:
                        rect = Rect(float(CELL * left), float(CELL * top), w, h)
                        if (cost := cost + more(rect)) < limit:
                            best, limit = Candidate(cost, form.lines, rect), cost
        return best


def _summed(rows: Iterable[Sequence[float]]) -> list[list[float]]:
    """Sum up each row, then each column."""
    return list(accumulate((list(accumulate(row)) for row in rows), lambda above, row: list(map(add, above, row))))


def _starts(first: float, last: float) -> range:
    """Return the cells of a row or column at which something may begin."""
    return range(int(first) // CELL + 1, int(last) // CELL + 1)


def _gap(start: float, size: float, at: float) -> float:
    """Return how far a coordinate is from an interval."""
    return start - at if start > at else at - start - size if at > start + size else 0.0


ROUNDS = 6
"""Times all pairs are gone through at most."""

CLEARANCE = 5.0
"""Pixels that are left between two labels, or between a label and the leader of another."""


def solve(options: Sequence[Sequence[Candidate]], markers: Sequence[Point | None]) -> tuple[list[Candidate], bool]:
    """Choose one candidate for each label so that all together cost least, and tell whether some meet all the same.

    What has no marker has no leader. `options` are sorted, the cheapest first. The search begins twice, choosing one
    by one in the given order and in the opposite one.
    """
    problem = _Problem(options, markers)
    order = list(range(len(options)))
    best = problem.improved(problem.greedy(order))
    if problem.total(best) > sum(option[0].cost for option in options):  # else nothing costs less
        best = min((best, problem.improved(problem.greedy(order[::-1]))), key=problem.total)
    chosen = [option[k] for option, k in zip(options, best, strict=True)]
    return chosen, problem.total(best) > sum(candidate.cost for candidate in chosen)


class _Extent(NamedTuple):
    """All a candidate needs: its area, that with a clearance, its leader, and a rectangle around all of them."""

    rect: Rect
    grown: Rect
    leader: tuple[Point, Point] | None
    left: float
    top: float
    right: float
    bottom: float


def _extent(rect: Rect, marker: Point | None) -> _Extent:
    grown = rect.grow(CLEARANCE)
    if marker is None:
        return _Extent(rect, grown, None, grown.x, grown.y, grown.right, grown.bottom)
    x, y = marker
    left, top, right, bottom = min(grown.x, x), min(grown.y, y), max(grown.right, x), max(grown.bottom, y)
    return _Extent(rect, grown, (marker, nearest_point(rect, marker)), left, top, right, bottom)


class _Problem:
    """Candidates of several labels, and which of them clash."""

    def __init__(self, options: Sequence[Sequence[Candidate]], markers: Sequence[Point | None]) -> None:
        self.options = options
        self._extents = [
            [_extent(candidate.rect, marker) for candidate in option]
            for option, marker in zip(options, markers, strict=True)
        ]
        self._known: dict[tuple[int, int, int, int], bool] = {}

    def clash(self, i: int, a: int, j: int, b: int) -> bool:
        """Tell whether candidate a of label i and candidate b of label j, or their leaders, meet."""
        if i > j:
            i, a, j, b = j, b, i, a
        one, other = self._extents[i][a], self._extents[j][b]
        if one.left > other.right or other.left > one.right or one.top > other.bottom or other.top > one.bottom:
            return False
        if (known := self._known.get((i, a, j, b))) is None:
            known = self._known[i, a, j, b] = _clash(one, other)
        return known

    def total(self, chosen: Sequence[int]) -> float:
        """Return the cost of a choice."""
        return sum(self.beside(label, k, range(label), chosen) for label, k in enumerate(chosen))

    def beside(self, label: int, k: int, others: Iterable[int], chosen: Sequence[int]) -> float:
        """Return what candidate k of a label costs beside others that stay where they are."""
        met = 0
        for neighbour in others:
            met += self.clash(label, k, neighbour, chosen[neighbour])
        return self.options[label][k].cost + CLASH_COST * met

    def greedy(self, order: Sequence[int]) -> list[int]:
        """Choose for one label after the other, each beside those before it."""
        chosen = [0] * len(order)
        for at, label in enumerate(order):
            least = inf
            for k, candidate in enumerate(self.options[label]):
                if candidate.cost >= least:
                    break  # all others cost as much by themselves
                if (cost := self.beside(label, k, order[:at], chosen)) < least:
                    chosen[label], least = k, cost
        return chosen

    def improved(self, start: Sequence[int]) -> list[int]:
        """Give every pair of labels the best pair of candidates until nothing gets better."""
        chosen = list(start)
        for _ in range(ROUNDS):
            before = list(chosen)
            for i, j in combinations(range(len(start)), 2):
                chosen[i], chosen[j] = self._pair(i, j, chosen)
            if chosen == before:
                break
        return chosen

    def _pair(self, i: int, j: int, chosen: Sequence[int]) -> tuple[int, int]:
        """Return the best pair of candidates of two labels beside the others; looks at no pair that is too dear."""
        rest = [k for k in range(len(chosen)) if k not in (i, j)]
        best, cheapest_other = (chosen[i], chosen[j]), self.options[j][0].cost
        least = self.beside(i, best[0], rest, chosen) + self.beside(j, best[1], [*rest, i], chosen)
        beside: list[float] = []  # what each candidate of j costs beside the rest
        for a, first in enumerate(self.options[i]):
            if first.cost + cheapest_other >= least:
                break
            so_far = self.beside(i, a, rest, chosen)
            for b, second in enumerate(self.options[j]):
                if so_far + second.cost >= least:
                    break
                if b == len(beside):
                    beside.append(self.beside(j, b, rest, chosen))
                cost = so_far + beside[b]
                if cost < least and (cost := cost + CLASH_COST * self.clash(i, a, j, b)) < least:
                    best, least = (a, b), cost
        return best


def _clash(one: _Extent, other: _Extent) -> bool:
    """Tell whether two labels or their leaders meet."""
    if one.rect.meets(other.grown):
        return True
    return bool(
        (one.leader and other.leader and _cross(*one.leader, *other.leader))
        or (one.leader and _runs_through(*one.leader, other.grown))
        or (other.leader and _runs_through(*other.leader, one.grown))
    )


def _runs_through(a: Point, b: Point, rect: Rect) -> bool:
    """Tell whether the straight line from a to b has a point within a rectangle."""
    if any(rect.x < x < rect.right and rect.y < y < rect.bottom for x, y in (a, b)):
        return True
    upper_left, lower_right = (rect.x, rect.y), (rect.right, rect.bottom)
    lower_left, upper_right = (rect.x, rect.bottom), (rect.right, rect.y)
    return _cross(a, b, upper_left, lower_right) or _cross(a, b, lower_left, upper_right)


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Tell whether the straight lines from a to b and from c to d cross."""
    return _side(a, b, c) * _side(a, b, d) < 0 and _side(c, d, a) * _side(c, d, b) < 0


def _side(a: Point, b: Point, c: Point) -> float:
    """Return on which side of the line from a to b a point lies, as the sign of the result."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
