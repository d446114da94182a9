"""Walk through a conversation one step at a time: a slider for the arrow keys, three buttons, where one is in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets

from mcnilib.show.html.markup import status

StepKey = tuple[int, int]
"""(number of the packet, index of its step)."""

Steps = Sequence[tuple[StepKey, str]]
"""The steps one can walk through, each with a few words about it."""


class Stepper(widgets.HBox):  # type: ignore[misc]
    """Choose a step, or the whole conversation; `show` is told which step is looked at.

    The slider stands at 0 for the whole conversation. With the focus on it the arrow keys, Page Up and Page Down, Home
    and End move it.
    """

    def __init__(self, show: Callable[[StepKey | None], None]) -> None:
        """Begin with the whole conversation."""
        self._show, self._offering = show, False
        self._steps: tuple[tuple[StepKey, str], ...] = ()
        self.slider = _slider()
        self.slider.observe(lambda change: self._tell(), names="value")
        self.back = _button("◀ step back", "Show the step before")
        self.forward = _button("step on ▶", "Show the next step of the conversation")
        self.whole = _button("whole conversation", "Show all packets at once")
        self.where = widgets.HTML()
        for button, move in ((self.back, -1), (self.forward, 1), (self.whole, 0)):
            button.on_click(lambda _, move=move: self._move(move))
        layout = widgets.Layout(align_items="center", flex_flow="row wrap", grid_gap="4px")
        super().__init__([self.back, self.slider, self.forward, self.whole, self.where], layout=layout)
        self.add_class("mcni-stepper")

    def offer(self, steps: Steps) -> None:
        """Take the steps of another run, and show all of it."""
        self._take(steps)
        self._show(self.at)

    def empty(self) -> None:
        """Take no steps, of a run there is none of, and show nothing."""
        self._take(())

    def _take(self, steps: Steps) -> None:
        self._offering = True
        self._steps = tuple(steps)
        self.slider.value, self.slider.max = 0, len(self._steps)
        self._offering = False
        self._say()

    @property
    def at(self) -> StepKey | None:
        """The step looked at; None for the whole conversation."""
        return self._steps[self.slider.value - 1][0] if self.slider.value else None

    def _move(self, by: int) -> None:
        self.slider.value = max(0, min(len(self._steps), self.slider.value + by)) if by else 0

    def _tell(self) -> None:
        if not self._offering:
            self._say()
            self._show(self.at)

    def _say(self) -> None:
        number, total = self.slider.value, len(self._steps)
        text = f"step {number} of {total}: {self._steps[number - 1][1]}" if number else f"{total} steps"
        self.where.value = status(text, tag="span")
        self.back.disabled = self.whole.disabled = number == 0
        self.forward.disabled = number == total


def _slider() -> Any:
    help = "Arrow keys walk through the conversation; 0 shows all of it"
    return widgets.IntSlider(min=0, max=0, description="step", tooltip=help, layout=widgets.Layout(width="22em"))


def _button(text: str, help: str) -> Any:
    return widgets.Button(description=text, tooltip=help, layout=widgets.Layout(width="auto"))
