"""A question answered before the result is shown.

The right answer is computed: when the learner presses Check, and once for the folded list of all answers, which pages
and viewers without a kernel have. Works with the keyboard and without a network.

What was answered is an output of its own below the question, so a notebook keeps it when it is saved: widgets forget.
That output is empty at first, and replaced by its display id. Source: jupyter_client's docs, update_display_data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from mcnilib.errors import McniError
from mcnilib.language import in_own_language, keeping, mark, spoken, tr
from mcnilib.scenarios.submission import PREDICTION, Predicted
from mcnilib.show.html.markup import (
    Bundle,
    Html,
    element,
    error_boundary,
    error_html,
    folded,
    sentence,
    static_fallback,
    status,
)
from mcnilib.show.widgets.frame import PanelFrame

RIGHT, NOT_QUITE = mark("✓ Right. {reason}"), mark("✗ Not quite. {hint}")

TRY_AGAIN = mark("Run the experiment below, then try again.")
"""What a wrong guess is answered with where the question has no hint of its own."""


class QuizError(McniError, ValueError):
    """A question whose responses do not fit its answers."""


def predict(
    question: str,
    options: Mapping[str, object],
    check: Callable[[], object],
    responses: Sequence[str] = (),
    *,
    lang: str = "",
) -> Quiz:
    """Return a quiz: `options` are the answers and the values they stand for, `check` computes the right value.

    `responses` are in the order of the options: the reason for the right one, a hint for each that is wrong. `lang` is
    the quiz's language; "" is the one of `speak`. What is given is translated where the catalogue has it.
    Raises: QuizError when there are responses, but not one for each answer; LanguageError.
    """
    with spoken(lang):
        return Quiz(question, options, check, responses)


class Quiz(PanelFrame):
    """A question, its answers as radio buttons, a Check button and a remark."""

    def __init__(
        self, question: str, options: Mapping[str, object], check: Callable[[], object], responses: Sequence[str] = ()
    ) -> None:
        """Build the controls; nothing is computed yet."""
        if responses and len(responses) != len(options):
            raise QuizError(
                tr(
                    "{answers} answers need as many responses, not {responses}: {question}",
                    answers=len(options),
                    responses=len(responses),
                    question=question,
                )
            )
        self.question, self._options, self._check = question, dict(options), check
        self._tries, self._kept = 0, None
        self._responses = dict(zip_longest(options, responses, fillvalue=""))
        self.choice = widgets.RadioButtons(
            options=[(tr(option), option) for option in self._options],
            value=None,
            description="",
            layout=widgets.Layout(width="auto"),
        )
        self.button = widgets.Button(description=tr("Check"), tooltip=tr("Check the chosen answer"), icon="check")
        self.remark = widgets.HTML(status(class_=""))
        self.button.on_click(keeping(self._answer))
        self.choice.observe(keeping(self._forget), names="value")
        head = widgets.HTML(element("p", element("b", sentence(tr(question)))))
        super().__init__([head, self.choice, self.button, self.remark])

    def show_error(self, problem: Exception) -> None:
        """Say what is wrong where the judgement stands."""
        self.remark.value = error_html(problem)

    def _forget(self, change: object) -> None:
        """Take the judgement away: it was about another answer."""
        self.remark.value = status(class_="")

    @error_boundary
    def _answer(self, button: object = None) -> None:
        said, right = self._judgement()
        self.remark.value = status(sentence(said), class_="")
        if self.choice.value is not None:
            self._tries += 1
            self._keep(right=right)

    def _keep(self, *, right: bool) -> None:
        """Keep the answer in the notebook."""
        answer = self.choice.value
        if self._kept:
            kept = Predicted(self.question, answer, right, self._tries)
            text = tr("Your answer: {answer}", answer=tr(answer))
            self._kept.update({PREDICTION: asdict(kept), "text/plain": text}, raw=True)

    @in_own_language
    def judge(self) -> str:
        """Say whether the chosen answer is right, and why or what to look at."""
        return self._judgement()[0]

    def _judgement(self) -> tuple[str, bool]:
        """Return what `judge` says, and whether the chosen answer is right."""
        answer = self.choice.value
        if answer is None:
            return tr("Choose an answer first."), False
        right = self._check()
        return self._response(answer, right), self._options[answer] == right

    def _response(self, option: str, right: object) -> str:
        said = self._responses[option]
        if self._options[option] == right:
            return tr(RIGHT, reason=tr(said) if said else "").rstrip()
        return tr(NOT_QUITE, hint=tr(said or TRY_AGAIN))

    @in_own_language
    def to_html(self) -> Html:
        """Return the question and its answers, and folded what is said to each: a page lets the reader guess first."""
        right = self._check()
        answers = element("ol", *(element("li", sentence(tr(option))) for option in self._options))
        said = (
            part
            for option in self._options
            for part in (element("dt", sentence(tr(option))), element("dd", sentence(self._response(option, right))))
        )
        question = element("p", element("b", sentence(tr(self.question))))
        return element(
            "section", question, answers, Html(folded(tr("The answer"), element("dl", *said))), class_="mcni-quiz"
        )

    def _ipython_display_(self) -> None:
        """Show the question, and below it what will hold the answer."""
        data, metadata = self._repr_mimebundle_()
        display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
        self._kept = display({}, raw=True, display_id=True)  # type: ignore[no-untyped-call]

    @in_own_language
    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """Add the question as text, and with its folded answers, for viewers without a kernel."""
        lines = [tr(self.question), *(f"  ( ) {tr(option)}" for option in self._options)]
        data, metadata = static_fallback(super()._repr_mimebundle_(**kwargs), lambda: lines)
        try:
            return data | {"text/html": self.to_html()}, metadata
        except Exception as problem:
            return data | {"text/html": error_html(problem)}, metadata
