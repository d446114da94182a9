"""The guide's conclusion as HTML: its own table, marked where it is wrong; and the computed one, each cell with
links to the conversations behind it, on one node and across nodes.

Both are ordinary tables; on a narrow screen the style sheet turns rows into lists, so the roles are said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mcnilib.cluster.settings import Placement, Settings
from mcnilib.cluster.spec import PodKind
from mcnilib.language import mark, tr
from mcnilib.scenarios.conclusion import (
    COLUMNS,
    DOCUMENT,
    NOBODY,
    POD_NAMES,
    TABLE_ROWS,
    WRONG_MARK,
    Cell,
    Column,
    cell_of,
    name_of,
)
from mcnilib.scenarios.matrix import SHORT_VERDICTS
from mcnilib.show.html.markup import Html, element, joined
from mcnilib.show.picture.palette import role_of

CellKey = tuple[PodKind, Column]
"""Row and column."""

NAME_WIDTH = "150px"

CORNER = mark("from \\ to")
"""Names the rows and the columns of both tables."""

StateLink = Callable[[Cell], str]
"""The address that shows the conversation behind a cell; empty where there is none."""


_COUNTS = {
    Placement.SAME_NODE: mark("same node: {works} of {pairs} pairs reach each other"),
    Placement.ACROSS_NODES: mark("across nodes: {works} of {pairs} pairs reach each other"),
}


def conclusion_summary(cells: Iterable[Cell]) -> str:
    """Say how many pairs reach each other, for each placement, and where the guide is wrong."""
    every = tuple(cells)
    same_node, across_nodes = (_count(placement, every) for placement in Placement)
    wrong = sum(cell.holds is False for cell in every)
    if wrong:
        return tr(
            "{same_node}, {across_nodes}. The guide's table is wrong in {wrong} of them ({mark}).",
            same_node=same_node, across_nodes=across_nodes, wrong=wrong, mark=WRONG_MARK,
        )  # fmt: skip
    return tr("{same_node}, {across_nodes}. Spiderpool's guide agrees.", same_node=same_node, across_nodes=across_nodes)


def _count(placement: Placement, cells: Iterable[Cell]) -> str:
    outcomes = [cell.outcome for cell in cells if cell.placement is placement]
    there = [outcome for outcome in outcomes if outcome]
    works = sum(outcome.works for outcome in there)
    return tr(_COUNTS[placement], works=works, pairs=len(there))


def fate_text(cell: Cell) -> str:
    """Return the fate of a cell's conversation: a glyph and a word or two."""
    if cell.outcome is None:
        return f"– {tr(NOBODY)}"
    return f"{role_of(cell.outcome).glyph} {tr(SHORT_VERDICTS[cell.outcome.verdict])}"


def conclusion_html(settings: Settings, link: StateLink) -> Html:
    """Return the table as it comes out under some settings, beside what the guide says."""
    heads = (element("th", text, scope="col", role="columnheader") for text in (tr(CORNER), *map(str, COLUMNS)))
    head = element("thead", element("tr", *heads, role="row"), role="rowgroup")
    rows = (_computed_row(settings, source, link) for source in TABLE_ROWS)
    caption = tr("Who reaches whom; {mark} where Linux does something else than the guide says", mark=WRONG_MARK)
    body = element("tbody", *rows, role="rowgroup")
    return element("table", element("caption", caption), head, body, class_="conclusion", role="table")


def _computed_row(settings: Settings, source: PodKind, link: StateLink) -> Html:
    cells = (_computed(settings, (source, target), link) for target in COLUMNS)
    name = element(
        "th", element("span", tr("from "), class_="narrow"), tr(POD_NAMES[source]), scope="row", role="rowheader"
    )
    return element("tr", name, *cells, role="row")


def _computed(settings: Settings, key: CellKey, link: StateLink) -> Html:
    """Return a cell: what the guide says, and a link for each placement."""
    target = element("span", tr("to {column}", column=key[1]), class_="narrow to", aria_hidden="true")
    says = element("span", tr("guide: {says}", says=tr(DOCUMENT[key])), class_="says")
    return element(
        "td", target, says, *(fate_link(cell_of(settings, where, *key), link) for where in Placement), role="cell"
    )


def fate_link(cell: Cell, link: StateLink, *, whole: bool = False) -> Html:
    """Return a link to the conversation behind a cell, named by its placement and fate; `whole` names its ends too."""
    name = name_of(cell) if whole else tr(cell.placement.value)
    if cell.outcome is None:
        return element("span", f"{name} ", element("b", fate_text(cell)), class_="fate")
    mark = f" {WRONG_MARK}" if cell.holds is False else ""
    ends, address = f"fate {'works' if cell.outcome.works else 'fails'}", link(cell)
    said = joined(f"{name} ", element("b", f"{fate_text(cell)}{mark}"))
    return element("a", said, href=address, class_=ends) if address else element("span", said, class_=ends)


def document_html(wrong: Iterable[Cell]) -> Html:
    """Return the guide's own table, with a mark where it is wrong, and for which placement."""
    cells: dict[CellKey, list[Cell]] = {}
    for cell in wrong:
        cells.setdefault((cell.source, cell.target), []).append(cell)
    caption = tr("The guide's own table; {mark} where Linux does something else", mark=WRONG_MARK)
    heads = (element("th", text, scope="col") for text in (tr(CORNER), *map(str, COLUMNS)))
    columns = Html(f'<colgroup><col style="width: {NAME_WIDTH}"></colgroup>')
    lines = (_line(source, cells) for source in TABLE_ROWS)
    return element(
        "table", element("caption", caption), columns, element("tr", *heads), *lines, class_="mcni mcni-document"
    )


def _line(source: PodKind, wrong: dict[CellKey, list[Cell]]) -> Html:
    cells = (_says(DOCUMENT[source, target], wrong.get((source, target), [])) for target in COLUMNS)
    return element("tr", element("th", tr(POD_NAMES[source]), scope="row"), *cells)


def _says(text: str, wrong: list[Cell]) -> Html:
    marks = (joined(Html("<br>"), f"{WRONG_MARK} {fate_text(cell)}, {tr(cell.placement.value)}") for cell in wrong)
    return element("td", tr(text), *marks, class_="wrong" if wrong else "")
