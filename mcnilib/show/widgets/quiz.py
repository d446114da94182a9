"""A question answered before the result is shown.

The right answer is not in the notebook: it is computed when the learner presses Check. Works with the keyboard and
without a network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets

from mcnilib.show.html.markup import Bundle, element, error_boundary, error_html, static_fallback, status
from mcnilib.show.widgets.frame import PanelFrame


def predict(question: str, options: Mapping[str, object], check: Callable[[], object]) -> Quiz:
    """Return a quiz: `options` are the answers and the values they stand for, `check` computes the right value."""
    return Quiz(question, options, check)


class Quiz(PanelFrame):
    """A question, its answers as radio buttons, a Check button and a remark."""

    def __init__(self, question: str, options: Mapping[str, object], check: Callable[[], object]) -> None:
        """Build the controls; nothing is computed yet."""
        self.question, self._options, self._check = question, dict(options), check
        self.choice = widgets.RadioButtons(
            options=list(self._options), value=None, description="", layout=widgets.Layout(width="auto")
        )
        self.button = widgets.Button(description="Check", tooltip="Check the chosen answer", icon="check")
        self.remark = widgets.HTML(status(class_=""))
        self.button.on_click(self._answer)
        super().__init__([widgets.HTML(element("p", element("b", question))), self.choice, self.button, self.remark])

    def show_error(self, problem: Exception) -> None:
        """Say what is wrong where the judgement stands."""
        self.remark.value = error_html(problem)

    @error_boundary
    def _answer(self, button: object = None) -> None:
        self.remark.value = status(self.judge(), class_="")

    def judge(self) -> str:
        """Say whether the chosen answer is right."""
        if self.choice.value is None:
            return "Choose an answer first."
        if self._options[self.choice.value] == self._check():
            return "✓ Right."
        return "✗ Not so. Look at what follows, then try again."

    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """Add the question as text for viewers without a kernel."""
        lines = [self.question, *(f"  ( ) {option}" for option in self._options)]
        return static_fallback(super()._repr_mimebundle_(**kwargs), lambda: lines)
