"""The 18 cells of the conclusion as buttons, and the document's own table below them, in the same columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from string import Template
from typing import Any

import ipywidgets as widgets

from mcnilib.cluster.spec import PodKind
from mcnilib.scenarios.conclusion import DOCUMENT, MARK, NAMES, NOBODY, SOURCES, TARGETS, Cell, Target, name_of
from mcnilib.scenarios.matrix import SHORT
from mcnilib.show.picture.palette import ROLES, role_of

Key = tuple[PodKind, Target]
"""Row and column."""

WAITING = "… computing"

NAME_WIDTH = "150px"

RULES = Template(
    """<style>
.mcni-table { max-width: 1240px; gap: 4px; margin-top: 6px; }
.mcni-table .head { font-size: ${SIZE}px; font-weight: 600; line-height: 1.3; align-self: end; }
.mcni-table button { width: auto; height: ${HIGH}px; margin: 0; padding: 0 2px; }
.mcni-table button { font-size: ${SIZE}px; line-height: 1.35; overflow: hidden; }
.mcni-table button { white-space: pre-line; color: ${INK}; border: 1px solid ${QUIET}; opacity: 1; }
.mcni-table button.works { background: #E3F3EE; }
.mcni-table button.fails { background: #FBE9DD; font-weight: 600; border: 2px dashed ${DROP}; }
.mcni-table button.chosen { outline: 4px solid ${BLUE} !important; outline-offset: -1px !important; }
.mcni-table button:focus-visible { box-shadow: 0 0 0 6px ${QUIET}; }
.mcni-document { table-layout: fixed; width: 100%; max-width: 1240px; border-collapse: collapse; }
.mcni-document { font-size: ${SIZE}px; margin: 6px 0; }
.mcni-document caption { text-align: left; font-weight: 600; padding: 4px 0; }
.mcni-document th, .mcni-document td { border: 1px solid ${QUIET}; padding: 2px 6px; text-align: left; }
.mcni-document td.wrong { border: 3px double ${DROP}; font-weight: 600; }
</style>"""
)
"""Sizes in pixels, and the colours of the palette."""


def table_style(scale: float) -> str:
    """Return the style sheet of both tables; `scale` enlarges them."""
    colours = {"INK": "#1B1F24", "QUIET": "#5C6570", "DROP": ROLES["drop"].colour, "BLUE": ROLES["request"].colour}
    return RULES.substitute(colours, SIZE=f"{13 * scale:g}", HIGH=f"{46 * scale:g}")


class ConclusionTable(widgets.GridBox):  # type: ignore[misc]
    """The computed table: a native button for each cell; `chosen` is told which one the reader presses."""

    def __init__(self, chosen: Callable[[Key], None]) -> None:
        """Build the names and the buttons; nothing is known yet."""
        self.buttons = {(source, target): widgets.Button() for source in SOURCES for target in TARGETS}
        for key, button in self.buttons.items():
            button.on_click(lambda _, key=key: chosen(key))
        heads = [_head("from \\ to"), *(_head(str(target)) for target in TARGETS)]
        rows = ([_head(NAMES[s]), *(self.buttons[s, target] for target in TARGETS)] for s in SOURCES)
        columns = f"{NAME_WIDTH} repeat({len(TARGETS)}, minmax(0, 1fr))"
        layout = widgets.Layout(grid_template_columns=columns, width="100%")
        super().__init__([*heads, *(one for row in rows for one in row)], layout=layout)
        self.add_class("mcni-table")

    def fill(self, cell: Cell, chosen: bool) -> None:
        """Show what becomes of one cell's conversation."""
        button = self.buttons[cell.source, cell.target]
        kind = "" if cell.outcome is None else "works" if cell.outcome.works else "fails"
        with button.hold_sync():
            button.description = words_of(cell)
            button.tooltip = f"{name_of(cell)}: {word_of(cell)}. The document: {cell.says}"
            button.disabled = cell.story is None
            button._dom_classes = tuple(name for name in (kind, "chosen" if chosen else "") if name)

    def wait(self, keys: Iterable[Key]) -> None:
        """Show that these cells are being computed."""
        for key in keys:
            self.buttons[key].description = WAITING
            self.buttons[key]._dom_classes = ()


def word_of(cell: Cell) -> str:
    """Return the fate of a cell's conversation: a glyph and a word or two."""
    if cell.outcome is None:
        return f"– {NOBODY}"
    return f"{role_of(cell.outcome).glyph} {SHORT[cell.outcome.verdict]}"


def words_of(cell: Cell) -> str:
    """Return what stands on a cell's button; a second line where the document's table is wrong."""
    return f"{word_of(cell)}\n{MARK} document" if cell.holds is False else word_of(cell)


def document_html(wrong: Iterable[Cell]) -> str:
    """Return the document's own table, with a mark where it is wrong, and for which placement."""
    found: dict[Key, list[Cell]] = {}
    for cell in wrong:
        found.setdefault((cell.source, cell.target), []).append(cell)
    heads = "".join(f'<th scope="col">{escape(str(target))}</th>' for target in TARGETS)
    lines = "".join(_line(source, found) for source in SOURCES)
    return (
        f'<table class="mcni mcni-document"><caption>The document&#39;s own table; {MARK} where Linux does something '
        f'else</caption><colgroup><col style="width: {NAME_WIDTH}"></colgroup>'
        f'<tr><th scope="col">from \\ to</th>{heads}</tr>{lines}</table>'
    )


def _line(source: PodKind, found: dict[Key, list[Cell]]) -> str:
    cells = "".join(_says(DOCUMENT[source, target], found.get((source, target), [])) for target in TARGETS)
    return f'<tr><th scope="row">{escape(NAMES[source])}</th>{cells}</tr>'


def _says(text: str, wrong: list[Cell]) -> str:
    marks = "".join(f"<br>{MARK} {escape(word_of(one))}, {one.placement.value}" for one in wrong)
    return f"<td{' class=wrong' if wrong else ''}>{escape(text)}{marks}</td>"


def _head(text: str) -> Any:
    made = widgets.HTML(f'<div class="head">{escape(text)}</div>')
    made.layout.align_self = "flex-end"
    return made
