"""The conclusion as plain text: the computed table, and where the document's own table says something else."""

from __future__ import annotations

from itertools import zip_longest
from textwrap import wrap

from mcnilib.cluster.settings import Placement, Settings
from mcnilib.scenarios import matrix
from mcnilib.scenarios.conclusion import NAMES, SOURCES, TARGETS, Cell, conclude, differences

NOBODY = "no such pods"
"""What stands in a cell that the cluster has no two pods for."""
MARK = "≠"
"""Stands where the document's table says something else."""
COLUMN = 16
"""Characters after which the name of a line or a column is broken."""


def conclusion_matrix(settings: Settings, placement: Placement, where: bool = False) -> str:
    """Return the table for one placement; MARK stands where the document's table is wrong.

    `where` adds the namespace that decided to each failure.
    """
    names = [wrap(str(target), COLUMN) for target in TARGETS]
    heads = [["", *line] for line in zip_longest(*names, fillvalue="")]
    heads[0][0] = placement.value
    rows = zip(SOURCES, conclude(settings, placement), strict=True)
    body = [line for source, row in rows for line in _named(NAMES[source], [said(one, where=where) for one in row])]
    return matrix.draw([*heads, *body], len(heads))


def _named(name: str, cells: list[str]) -> list[list[str]]:
    """Return a line of the table; the rest of a long name stands in the next one."""
    return [list(line) for line in zip_longest(wrap(name, COLUMN), *([cell] for cell in cells), fillvalue="")]


def said(cell: Cell, *, where: bool = False) -> str:
    """Return what becomes of a cell's conversation in a word or two, and MARK where the document is wrong."""
    trace = cell.trace()
    word = matrix.cell(trace, where=where) if trace else NOBODY
    return f"{word} {MARK}" if cell.holds is False else word


def difference_lines(settings: Settings) -> list[str]:
    """Return a line for each cell in which the document's table is wrong, in both placements."""
    return [
        f"{name_of(cell)}: the document says '{cell.says}'; Linux: {said(cell)[:-2]}" for cell in differences(settings)
    ]


def name_of(cell: Cell) -> str:
    """Name a cell: `Macvlan Pod to Calico Pod, across nodes`."""
    return f"{NAMES[cell.source]} to {cell.target}, {cell.placement.value}"


def conclusion_text(settings: Settings) -> str:
    """Return the tables of both placements, and the differences from the document's."""
    tables = [conclusion_matrix(settings, placement) for placement in Placement]
    lines = difference_lines(settings) or ["the document's table is right in every cell"]
    return "\n\n".join([*tables, "\n".join(lines)])
