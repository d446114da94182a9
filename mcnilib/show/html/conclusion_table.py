"""The guide's conclusion as HTML: its own table, marked where it is wrong; and the computed one, each cell with
links to the conversations behind it, on one node and across nodes.

Both are ordinary tables; on a narrow screen the style sheet turns rows into lists, so the roles are said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mcnilib.cluster.settings import Placement, Settings
from mcnilib.cluster.spec import PodKind
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

StateLink = Callable[[Cell], str]
"""The address that shows the conversation behind a cell; empty where there is none."""


def conclusion_summary(cells: Iterable[Cell]) -> str:
    """Say how many pairs reach each other, for each placement, and where the guide is wrong."""
    every = tuple(cells)
    counts = ", ".join(_count(placement, every) for placement in Placement)
    wrong = sum(cell.holds is False for cell in every)
    differs = (
        f"The guide's table is wrong in {wrong} of them ({WRONG_MARK})." if wrong else "Spiderpool's guide agrees."
    )
    return f"{counts}. {differs}"


def _count(placement: Placement, cells: Iterable[Cell]) -> str:
    outcomes = [cell.outcome for cell in cells if cell.placement is placement]
    there = [outcome for outcome in outcomes if outcome]
    return f"{placement.value}: {sum(outcome.works for outcome in there)} of {len(there)} pairs reach each other"


def fate_text(cell: Cell) -> str:
    """Return the fate of a cell's conversation: a glyph and a word or two."""
    if cell.outcome is None:
        return f"– {NOBODY}"
    return f"{role_of(cell.outcome).glyph} {SHORT_VERDICTS[cell.outcome.verdict]}"


def conclusion_html(settings: Settings, link: StateLink) -> Html:
    """Return the table as it comes out under some settings, beside what the guide says."""
    heads = (element("th", text, scope="col", role="columnheader") for text in ("from \\ to", *map(str, COLUMNS)))
    head = element("thead", element("tr", *heads, role="row"), role="rowgroup")
    rows = (_computed_row(settings, source, link) for source in TABLE_ROWS)
    caption = f"Who reaches whom; {WRONG_MARK} where Linux does something else than the guide says"
    body = element("tbody", *rows, role="rowgroup")
    return element("table", element("caption", caption), head, body, class_="conclusion", role="table")


def _computed_row(settings: Settings, source: PodKind, link: StateLink) -> Html:
    cells = (_computed(settings, (source, target), link) for target in COLUMNS)
    name = element("th", element("span", "from ", class_="narrow"), POD_NAMES[source], scope="row", role="rowheader")
    return element("tr", name, *cells, role="row")


def _computed(settings: Settings, key: CellKey, link: StateLink) -> Html:
    """Return a cell: what the guide says, and a link for each placement."""
    target = element("span", f"to {key[1]}", class_="narrow to", aria_hidden="true")
    says = element("span", f"guide: {DOCUMENT[key]}", class_="says")
    return element(
        "td", target, says, *(fate_link(cell_of(settings, where, *key), link) for where in Placement), role="cell"
    )


def fate_link(cell: Cell, link: StateLink, *, whole: bool = False) -> Html:
    """Return a link to the conversation behind a cell, named by its placement and fate; `whole` names its ends too."""
    name = name_of(cell) if whole else cell.placement.value
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
    caption = f"The guide's own table; {WRONG_MARK} where Linux does something else"
    heads = (element("th", text, scope="col") for text in ("from \\ to", *map(str, COLUMNS)))
    columns = Html(f'<colgroup><col style="width: {NAME_WIDTH}"></colgroup>')
    lines = (_line(source, cells) for source in TABLE_ROWS)
    return element(
        "table", element("caption", caption), columns, element("tr", *heads), *lines, class_="mcni mcni-document"
    )


def _line(source: PodKind, wrong: dict[CellKey, list[Cell]]) -> Html:
    cells = (_says(DOCUMENT[source, target], wrong.get((source, target), [])) for target in COLUMNS)
    return element("tr", element("th", POD_NAMES[source], scope="row"), *cells)


def _says(text: str, wrong: list[Cell]) -> Html:
    marks = (joined(Html("<br>"), f"{WRONG_MARK} {fate_text(cell)}, {cell.placement.value}") for cell in wrong)
    return element("td", text, *marks, class_="wrong" if wrong else "")
