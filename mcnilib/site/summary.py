"""The page of the guide's conclusion: who reaches whom, and what a change of one setting makes of it.

Everything is computed while the site is written, each cell is a link to its conversation: no script is needed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mcnilib.cluster.settings import Option, Placement, Settings
from mcnilib.language import mark, tr
from mcnilib.scenarios.conclusion import MACVLAN, TO_CALICO, Cell, cell_of, conclude, failing, failing_singly, name_of
from mcnilib.scenarios.link import parse_link, print_query
from mcnilib.show.html.conclusion_table import conclusion_html, conclusion_summary, fate_link
from mcnilib.show.html.markup import Html, element, joined
from mcnilib.show.html.outcome import guide_html
from mcnilib.site.frame import Page

ABOUT_TABLE = mark(
    "Spiderpool's guide ends with a table: which kind of pod reaches which, at its own address and through a service. "
    "Here every cell is a conversation of the model, on one node and across nodes; each is a link to it."
)

ABOUT_CHANGES = mark(
    "Each of these settings, changed alone, makes other pairs fail or work than above; what is not named here changes "
    "nothing in the table alone. An entry that is no link depends on a setting its conversation has no control for."
)

CURE = {"kube_proxy": "1.30", "be_liberal": True, "restarted": True}
"""What the guide's condition comes to: three settings together."""


def conclusion_page() -> Page:
    """Return the page of the conclusion, under the settings a cluster starts with."""
    settings = Settings()
    cells = (cell for placement in Placement for row in conclude(settings, placement) for cell in row)
    main = joined(
        element("p", tr(ABOUT_TABLE), " ", guide_html()),
        element("p", element("b", conclusion_summary(cells))),
        conclusion_html(settings, _state),
        element("h2", tr("What one change makes of it")),
        element("p", tr(ABOUT_CHANGES)),
        _changes(settings),
        element("p", tr("All of kube-proxy 1.30, nf_conntrack_tcp_be_liberal 1 and a restart of kube-proxy together:")),
        fate_link(_under(cell_of(settings, Placement.ACROSS_NODES, MACVLAN, TO_CALICO), CURE), _state, whole=True),
    )
    title = tr("Who reaches whom?")
    return Page("conclusion.html", tr("Conclusion"), title, tr(ABOUT_TABLE), element("div", main, class_="summary"))


def _state(cell: Cell) -> str:
    """Return the address of a cell's conversation in the explorer; without scripts it leads to how that one starts.

    Empty where the explorer has no control for a setting that matters.
    """
    if not cell.story:
        return ""
    query = print_query(cell.story, cell.settings)
    story, settings = parse_link(query)
    same = story.outcome(settings).works == cell.story.outcome(cell.settings).works
    return f"index.html?{query}#{story.name}" if same else ""


def _changes(settings: Settings) -> Html:
    before = _named(failing(settings))
    changes = (_change(option, value, after, before) for option, value, after in _telling(settings, before))
    return element("dl", *changes, class_="changes")


def _telling(settings: Settings, before: dict[str, Cell]) -> Iterator[tuple[Option, object, dict[str, Cell]]]:
    """Yield the changes after which other cells fail."""
    for option, value, cells in failing_singly(settings):
        after = _named(cells)
        if after.keys() != before.keys():
            yield option, value, after


def _named(cells: Iterable[Cell]) -> dict[str, Cell]:
    return {name_of(cell): cell for cell in cells}


def _change(option: Option, value: object, after: dict[str, Cell], before: dict[str, Cell]) -> Html:
    fails = [cell for name, cell in after.items() if name not in before]
    works = [_under(cell, {option.attribute: value}) for name, cell in before.items() if name not in after]
    head = element("dt", f"{tr(option.label)}: {tr(option.text(value))}")
    return element("div", head, *(element("dd", fate_link(cell, _state, whole=True)) for cell in (*fails, *works)))


def _under(cell: Cell, changed: dict[str, object]) -> Cell:
    return cell_of(cell.settings.but(**changed), cell.placement, cell.source, cell.target)
