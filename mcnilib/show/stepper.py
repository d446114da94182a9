"""Walk through a conversation one step at a time, with three buttons and a word on where one is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

Place = tuple[int, int]
"""(number of the packet, index of its step)."""

Steps = Sequence[tuple[Place, str]]
"""The steps one can walk through, each with a few words about it."""


class Stepper(widgets.HBox):  # type: ignore[misc]
    """Buttons for the step before and after and for the whole conversation; `show` is told which step is looked at."""

    def __init__(self, show: Callable[[Place | None], None]) -> None:
        """Begin with the whole conversation."""
        self._show, self._at = show, -1
        self._steps: tuple[tuple[Place, str], ...] = ()
        self.back = _button("◀ step back", "Show the step before")
        self.forward = _button("step on ▶", "Show the next step of the conversation")
        self.whole = _button("whole conversation", "Show all packets at once")
        self.where = widgets.HTML()
        for button, move in ((self.back, -1), (self.forward, 1), (self.whole, 0)):
            button.on_click(lambda _, move=move: self._move(move))
        layout = widgets.Layout(align_items="center", flex_flow="row wrap", grid_gap="4px")
        super().__init__([self.back, self.forward, self.whole, self.where], layout=layout)
        self.add_class("mcni-stepper")

    def offer(self, steps: Steps) -> None:
        """Take the steps of another run, and show all of it."""
        self._steps = tuple(steps)
        self._at = -1
        self._tell()

    @property
    def place(self) -> Place | None:
        """The step looked at; None for the whole conversation."""
        return self._steps[self._at][0] if self._at >= 0 else None

    def _move(self, by: int) -> None:
        self._at = max(-1, min(len(self._steps) - 1, self._at + by)) if by else -1
        self._tell()

    def _tell(self) -> None:
        total = len(self._steps)
        text = f"step {self._at + 1} of {total}: {self._steps[self._at][1]}" if self._at >= 0 else f"{total} steps"
        self.where.value = f'<span class="mcni" role="status" aria-live="polite">{escape(text)}</span>'
        self.back.disabled = self.whole.disabled = self._at < 0
        self.forward.disabled = self._at >= total - 1
        self._show(self.place)


def _button(text: str, help: str) -> Any:
    return widgets.Button(description=text, tooltip=help, layout=widgets.Layout(width="auto"))
