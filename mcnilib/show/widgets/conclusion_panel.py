"""The document's conclusion under settings that can be changed: who reaches whom, and how each cell comes about.

Everything shown is the value of a widget. Cells are computed a few at a time, so that the reader sees how far it is
and a further click does not wait; what one click may bring is prepared afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import ipywidgets as widgets

from mcnilib.cluster.settings import Placement, SettingError, Settings
from mcnilib.scenarios.conclusion import (
    MACVLAN,
    MARK,
    NOBODY,
    TO_CALICO,
    Cell,
    cell,
    conclude,
    conclusion_text,
    differences,
    name_of,
    toggles,
)
from mcnilib.scenarios.link import print_link
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show.html.conclusion_table import ConclusionTable, Key, document_html, table_style
from mcnilib.show.html.style import style_sheet
from mcnilib.show.picture.cache import svg_of
from mcnilib.show.widgets.controls import Controls
from mcnilib.show.widgets.fallback import Bundle, alert_html, or_gives_up, still
from mcnilib.show.widgets.panel import no_remark, reasons_html, verdict_html
from mcnilib.show.widgets.prefetch import Ahead, running_loop

SLICE, PAUSE = 0.1, 0.01
"""Seconds: computing at a stretch, and the rest after it."""


def _count(placement: Placement, cells: list[Cell]) -> str:
    outcomes = [one.outcome for one in cells if one.placement is placement]
    there = [outcome for outcome in outcomes if outcome]
    return f"{placement.value}: {sum(outcome.works for outcome in there)} of {len(there)} pairs reach each other"


class ConclusionPanel(widgets.VBox):  # type: ignore[misc]
    """Controls, the computed table, the conversation behind the chosen cell, and the document's own table."""

    _count = 0

    def __init__(
        self, settings: Settings, scale: float = 1.0, remark: Callable[[Scenario, Settings], str] = no_remark
    ) -> None:
        """Build the controls and show the table; `remark` adds a few words to the conversation behind a cell."""
        ConclusionPanel._count += 1
        self.settings, self.chosen, self._scale, self._remark = settings, (MACVLAN, TO_CALICO), scale, remark
        self._uid, self._round = f"mcnicell{ConclusionPanel._count}", 0
        self._ahead = Ahead()
        box = Controls(toggles(), settings, self._change)
        self.controls = box.of
        self.table = ConclusionTable(self.choose)
        self.summary, self.verdict, self.facts, self.picture, self.reasons = (widgets.HTML() for _ in range(5))
        self.document = widgets.HTML()
        sheets = widgets.HTML(style_sheet(scale) + table_style(scale))
        below = [self.verdict, self.facts, self.picture, self.reasons, self.document]
        super().__init__([sheets, box, self.summary, self.table, *below])
        self.refresh()

    @or_gives_up
    def choose(self, key: Key) -> None:
        """Show the conversation behind a cell."""
        before, self.chosen = self.chosen, key
        for one in (before, key):
            self.table.fill(self._cell(one), chosen=one == key)
        self._show()
        self._prepare_later()

    @or_gives_up
    def refresh(self) -> None:
        """Show the chosen conversation under the current settings at once, then the table, a few cells at a time."""
        self._round += 1
        self._ahead.stop()
        self._show()
        self._compute(self._cells(), 0, self._round)

    def _change(self, settings: Settings) -> None:
        self.settings = settings
        self.refresh()

    def _cell(self, key: Key) -> Cell:
        return cell(self.settings, self.settings.placement, *key)

    def _cells(self) -> list[Cell]:
        """Return the cells of both placements, those in sight first."""
        placements = sorted(Placement, key=lambda one: one is not self.settings.placement)
        return [one for placement in placements for row in conclude(self.settings, placement) for one in row]

    @or_gives_up
    def _compute(self, cells: list[Cell], done: int, round: int) -> None:
        """Go on computing; after SLICE seconds say how far it is, and let other clicks through."""
        if round != self._round:
            return
        loop = running_loop()
        until = loop.time() + SLICE if loop else 0.0
        for at in range(done, len(cells)):
            self._fill(cells[at])
            if loop and loop.time() > until and at + 1 < len(cells):
                self._wait(cells, at + 1, first=done == 0)
                loop.call_later(PAUSE, self._compute, cells, at + 1, round)
                return
        self._finish(cells)
        self._prepare_later()

    def _fill(self, one: Cell) -> None:
        _ = one.outcome
        if one.placement is self.settings.placement:
            self.table.fill(one, chosen=(one.source, one.target) == self.chosen)

    def _wait(self, cells: list[Cell], done: int, first: bool) -> None:
        """Say how far it is; what is in sight and not known yet must not show old words."""
        self.summary.value = _status(f"computing: {done} of {len(cells)} cells")
        if first:
            self.table.wait((c.source, c.target) for c in cells[done:] if c.placement is self.settings.placement)

    def _finish(self, cells: list[Cell]) -> None:
        wrong = differences(self.settings)
        counts = ", ".join(_count(placement, cells) for placement in Placement)
        differs = (
            f"The document's table is wrong in {len(wrong)} of them ({MARK})." if wrong else "The document agrees."
        )
        self.summary.value = _status(f"{counts}. {differs}")
        self.document.value = document_html(wrong)

    def _show(self) -> None:
        """Show the conversation behind the chosen cell."""
        one = self._cell(self.chosen)
        if one.story is None:
            self.verdict.value = _status(f"{name_of(one)}: {NOBODY} in this cluster.")
            self.facts.value = self.picture.value = self.reasons.value = ""
            return
        self.picture.value = self._picture(one)
        self.verdict.value = verdict_html(one.story, one.settings)
        self.facts.value = facts_html(one, one.story)
        self.reasons.value = reasons_html(one.story, one.settings, self._remark(one.story, one.settings))

    def give_up(self, problem: Exception) -> None:
        """Say where the verdict stands what is wrong, and show nothing else: it would tell of other settings."""
        self._round += 1  # no more cells
        self._ahead.stop()
        self.verdict.value = alert_html(problem)
        for part in (self.summary, self.facts, self.picture, self.reasons, self.document):
            part.value = ""
        self.table.wait(self.table.buttons)

    def _picture(self, one: Cell) -> str:
        return svg_of(one.story, one.settings, self._uid, self._scale, None) if one.story else ""

    def _likely(self) -> Iterator[object]:
        """Prepare what one click may bring, piece by piece: pictures of the cells in sight, then other settings."""
        for one in self._cells():
            if one.placement is self.settings.placement:
                self._picture(one)
                yield True
        for toggle in toggles():
            for value in toggle.values:
                changed = self.settings.but(**{toggle.attribute: value})
                for one in (one for placement in Placement for row in conclude(changed, placement) for one in row):
                    yield one.outcome
                self._picture(cell(changed, changed.placement, *self.chosen))
                yield True

    def _prepare_later(self) -> None:
        """Begin to prepare when the reader has not clicked for a while."""
        self._ahead.start(self._likely())

    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """Add the tables as text, for viewers without a kernel."""
        return still(super()._repr_mimebundle_(**kwargs), [conclusion_text(self.settings)])


def facts_html(one: Cell, story: Scenario) -> str:
    """Return which cell this is, the scenario behind it, a link to its notebook, and the command that shows it."""
    return (
        f'<div class="mcni"><div><b>{escape(name_of(one))}</b>: scenario {story.number}, '
        f"<code>{escape(story.name)}</code>{_book(one, story)}</div><div><code>{escape(one.link)}</code></div></div>"
    )


def _book(one: Cell, story: Scenario) -> str:
    """Return the link to the notebook beside this one; it carries the state where all of it can be set there."""
    if not story.notebook:
        return ""
    try:
        address, words = print_link(story, one.settings, base="."), "in this state"
    except SettingError:
        address, words = f"./{story.notebook}", "as it starts"
    link = f'<a href="{escape(address)}" target="_blank" rel="noopener">{escape(story.notebook)}</a>'
    return f", notebook {link} ({words}, in a new tab)"


def _status(text: str) -> str:
    """Return a sentence that screen readers read out when it changes."""
    return f'<div class="mcni" role="status" aria-live="polite">{escape(text)}</div>'
