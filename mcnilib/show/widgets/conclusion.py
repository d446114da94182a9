"""The guide's conclusion under settings that can be changed: who reaches whom, and how each cell comes about.

Everything shown is the value of a widget. Cells are computed a few at a time, so that the reader sees how far it is
and a further click does not wait; what one click may bring is prefetched afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ipywidgets as widgets

from mcnilib.cluster.settings import Placement, SettingError, Settings
from mcnilib.language import in_own_language, keeping, mark, tr
from mcnilib.scenarios.conclusion import (
    COLUMNS,
    MACVLAN,
    POD_NAMES,
    TABLE_ROWS,
    TO_CALICO,
    WRONG_MARK,
    Cell,
    conclude,
    conclusion_text,
    differences,
    name_of,
    toggles,
)
from mcnilib.scenarios.conclusion import cell_of as cell_of
from mcnilib.scenarios.link import print_link
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show.html.conclusion_table import CORNER, NAME_WIDTH, CellKey, conclusion_summary, document_html, fate_text
from mcnilib.show.html.markup import (
    Bundle,
    Html,
    block,
    element,
    error_boundary,
    error_html,
    joined,
    static_fallback,
    status,
)
from mcnilib.show.html.outcome import Remark, no_remark, reasons_html, verdict_html
from mcnilib.show.picture.story_picture import picture_of
from mcnilib.show.widgets.controls import Controls
from mcnilib.show.widgets.frame import PanelFrame
from mcnilib.show.widgets.prefetch import Prefetch, running_loop
from mcnilib.show.widgets.trace_view import Picture

COMPUTE, REST = 0.1, 0.01
"""Seconds: computing at a stretch, and the rest after it."""

WAITING = mark("… computing")


class ConclusionTable(widgets.GridBox):  # type: ignore[misc]
    """The computed table: a native button for each cell; `chosen` is told which one the reader presses."""

    def __init__(self, chosen: Callable[[CellKey], None]) -> None:
        """Build the names and the buttons; nothing is known yet."""
        self.buttons = {(source, target): widgets.Button() for source in TABLE_ROWS for target in COLUMNS}
        for key, button in self.buttons.items():
            button.on_click(keeping(lambda _, key=key: chosen(key)))
        parts = [_head(tr(CORNER)), *(_head(str(target)) for target in COLUMNS)]
        for source in TABLE_ROWS:
            parts += [_head(tr(POD_NAMES[source])), *(self.buttons[source, target] for target in COLUMNS)]
        columns = f"{NAME_WIDTH} repeat({len(COLUMNS)}, minmax(0, 1fr))"
        super().__init__(parts, layout=widgets.Layout(grid_template_columns=columns, width="100%"))
        self.add_class("mcni-table")

    def fill(self, cell: Cell, chosen: bool) -> None:
        """Show what becomes of one cell's conversation."""
        button = self.buttons[cell.source, cell.target]
        kind = "" if cell.outcome is None else "works" if cell.outcome.works else "fails"
        with button.hold_sync():
            button.description = (
                f"{fate_text(cell)}\n{WRONG_MARK} {tr('guide')}" if cell.holds is False else fate_text(cell)
            )
            button.tooltip = tr(
                "{conversation}: {fate}. Spiderpool's guide: {says}",
                conversation=name_of(cell), fate=fate_text(cell), says=tr(cell.says),
            )  # fmt: skip
            button.disabled = cell.story is None
            button._dom_classes = tuple(name for name in (kind, "chosen" if chosen else "") if name)

    def wait(self, keys: Iterable[CellKey]) -> None:
        """Show that these cells are being computed."""
        for key in keys:
            self.buttons[key].description = tr(WAITING)
            self.buttons[key]._dom_classes = ()


def _head(text: str) -> Any:
    return widgets.HTML(element("div", text, class_="head"), layout=widgets.Layout(align_self="flex-end"))


class ConclusionPanel(PanelFrame):
    """Controls, the computed table, the conversation behind the chosen cell, and the guide's own table."""

    def __init__(self, settings: Settings, scale: float = 1.0, remark: Remark = no_remark) -> None:
        """Build the controls and show the table; `remark` adds a few words to the conversation behind a cell."""
        self.settings, self.chosen, self._remark = settings, (MACVLAN, TO_CALICO), remark
        self._round, self._prefetch = 0, Prefetch()
        box = Controls(toggles(), settings, self._change, self.show_error)
        self.controls = box.of
        self.table = ConclusionTable(self.choose)
        self.picture = Picture(scale)
        self.summary, self.verdict, self.facts, self.reasons, self.document = (widgets.HTML() for _ in range(5))
        below = [self.verdict, self.facts, self.picture, self.reasons, self.document]
        super().__init__([box, self.summary, self.table, *below], scale)
        self.refresh()

    @error_boundary
    def choose(self, key: CellKey) -> None:
        """Show the conversation behind a cell."""
        before, self.chosen = self.chosen, key
        for touched in (before, key):
            self.table.fill(self._cell(touched), chosen=touched == key)
        self._show()
        self._prefetch.start(self._likely())

    @error_boundary
    def refresh(self) -> None:
        """Show the chosen conversation under the current settings at once, then the table, a few cells at a time."""
        self._round += 1
        self._prefetch.stop()
        self._show()
        self._compute(self._cells(), 0, self._round)

    def _change(self, settings: Settings) -> None:
        self.settings = settings
        self.refresh()

    def _cell(self, key: CellKey) -> Cell:
        return cell_of(self.settings, self.settings.placement, *key)

    def _cells(self) -> list[Cell]:
        """Return the cells of both placements, those in sight first."""
        placements = sorted(Placement, key=lambda placement: placement is not self.settings.placement)
        return [cell for placement in placements for row in conclude(self.settings, placement) for cell in row]

    def _in_sight(self, cells: Iterable[Cell]) -> list[Cell]:
        return [cell for cell in cells if cell.placement is self.settings.placement]

    @error_boundary
    def _compute(self, cells: list[Cell], done: int, round: int) -> None:
        """Go on computing; after COMPUTE seconds say how far it is, and let other clicks through."""
        if round != self._round:
            return
        loop = running_loop()
        until = loop.time() + COMPUTE if loop else 0.0
        for at in range(done, len(cells)):
            self._fill(cells[at])
            if loop and loop.time() > until and at + 1 < len(cells):
                self._wait(cells, at + 1, first=done == 0)
                loop.call_later(REST, self._compute, cells, at + 1, round)
                return
        self._finish(cells)
        self._prefetch.start(self._likely())

    def _fill(self, cell: Cell) -> None:
        _ = cell.outcome
        if cell.placement is self.settings.placement:
            self.table.fill(cell, chosen=(cell.source, cell.target) == self.chosen)

    def _wait(self, cells: list[Cell], done: int, first: bool) -> None:
        """Say how far it is; what is in sight and not known yet must not show old words."""
        self.summary.value = status(tr("computing: {done} of {cells} cells", done=done, cells=len(cells)))
        if first:
            self.table.wait((cell.source, cell.target) for cell in self._in_sight(cells[done:]))

    def _finish(self, cells: list[Cell]) -> None:
        self.summary.value = status(conclusion_summary(cells))
        self.document.value = document_html(differences(self.settings))

    def _show(self) -> None:
        """Show the conversation behind the chosen cell."""
        cell = self._cell(self.chosen)
        if cell.story is None:
            self.verdict.value = status(tr("{conversation}: no such pods in this cluster.", conversation=name_of(cell)))
            self.facts.value = self.picture.value = self.reasons.value = ""
            return
        self.picture.show(picture_of(cell.story, cell.settings))
        self.verdict.value = verdict_html(cell.story.run(cell.settings))
        self.facts.value = facts_html(cell, cell.story)
        self.reasons.value = reasons_html(cell.story, cell.settings, self._remark)

    def show_error(self, problem: Exception) -> None:
        """Say where the verdict stands what is wrong, and show nothing else: it would tell of other settings."""
        self._round += 1  # no more cells
        self._prefetch.stop()
        self.verdict.value = error_html(problem)
        for part in (self.summary, self.facts, self.picture, self.reasons, self.document):
            part.value = ""
        self.table.wait(self.table.buttons)

    def _likely(self) -> Iterator[object]:
        """Prefetch what one click may bring, piece by piece: pictures of the cells in sight, then other settings."""
        for cell in self._in_sight(self._cells()):
            yield self._svg(cell)
        for toggle in toggles():
            for value in toggle.values:
                changed = self.settings.but(**{toggle.attribute: value})
                for row in (row for placement in Placement for row in conclude(changed, placement)):
                    for cell in row:
                        yield cell.outcome
                yield self._svg(cell_of(changed, changed.placement, *self.chosen))

    def _svg(self, cell: Cell) -> str:
        return self.picture.svg(picture_of(cell.story, cell.settings)) if cell.story else ""

    @in_own_language
    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """Add the tables as text, for viewers without a kernel."""
        return static_fallback(super()._repr_mimebundle_(**kwargs), lambda: [conclusion_text(self.settings)])


def facts_html(cell: Cell, story: Scenario) -> Html:
    """Return which cell this is, the scenario behind it, a link to its notebook, and the command that shows it."""
    name = joined(
        element("b", name_of(cell)), tr(": scenario {number}, ", number=story.number), element("code", story.name)
    )
    return block(element("div", name, _book(cell, story)), element("div", element("code", cell.link)))


def _book(cell: Cell, story: Scenario) -> str:
    """Return the link to the notebook beside this one; it carries the state where all of it can be set there."""
    if not story.notebook:
        return ""
    try:
        address, state = print_link(story, cell.settings, base="."), tr("in this state, in a new tab")
    except SettingError:
        address, state = f"./{story.notebook}", tr("as it starts, in a new tab")
    link = element("a", story.notebook, href=address, target="_blank", rel="noopener")
    return joined(tr(", notebook "), link, f" ({state})")
