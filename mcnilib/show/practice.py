"""What a page asks of an exercise: what an answer comes to, and help in steps; questions and answers are JSON.

`mcnilib.scenarios.exercise` judges, as in the notebooks; here its judgement becomes words, lines and a picture.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import unescape
from typing import Any

from mcnilib.errors import McniError
from mcnilib.language import current_language, in_own_language, mark, spoken, tr
from mcnilib.scenarios.exercise import Attempt, Exercise, exercise
from mcnilib.show.html.diff import course_html, state_changes_html
from mcnilib.show.html.markup import Html, block, element, joined, sentence
from mcnilib.show.html.outcome import verdict_lines
from mcnilib.show.html.state import StateLine, lines_html
from mcnilib.show.picture.story_picture import picture_in
from mcnilib.show.picture.svg import to_svg
from mcnilib.trace.explain import because, verdict
from mcnilib.world.world import World

AS_IT_WAS = (mark("the cluster as it was"), mark("yours"))
"""What the conversations before and after the learner's commands are called."""

SOLVED, NOT_YET = mark("✔ Solved."), mark("✘ Not yet.")


def practise(scenario: int, number: int, seed: str = "", *, lang: str = "") -> Practice:
    """Return an exercise of a scenario for a notebook, with a seed in a world of the learner's own.

    It speaks the language `lang`; "" is the one of `speak`.
    Raises: NotThere, naming the exercises there are; SeedError for a seed whose world is not as hard; LanguageError.
    """
    with spoken(lang):
        return Practice(**vars(exercise(scenario, number, seed)), language=current_language())


class NotDone(McniError, AssertionError):
    """An exercise whose task is not done."""


_CHECKED: dict[tuple[int, int, str], str] = {}
"""The answers that were checked last in this session, for `Practice.grade`."""


@dataclass(frozen=True)
class Practice(Exercise):
    """An exercise in a notebook: what solves it is shown too. It speaks its `language`."""

    language: str = ""

    introduced = in_own_language(Exercise.introduced)
    judge = in_own_language(Exercise.judge)
    help = in_own_language(Exercise.help)
    solve = in_own_language(Exercise.solve)

    @property
    def _key(self) -> tuple[int, int, str]:
        return self.scenario, self.number, self.seed

    @in_own_language
    def grade(self) -> None:
        """Judge the answer that was checked last, for programs that grade notebooks: nbgrader counts an error as none.

        Raises: NotDone, saying why, when it does not do the task, or when none was checked.
        """
        done, says = self.judge(_CHECKED.get(self._key, ""))
        if not done:
            number = f"{self.scenario}.{self.number}"
            raise NotDone(tr("exercise {number} is not done: {why}", number=number, why=says))

    @in_own_language
    def check(self, answer: str) -> Solved | None:
        """Print whether an answer does the task, as every exercise does; return what solves it."""
        _CHECKED[self._key] = answer
        attempt = self.attempt(answer)
        self.tell(attempt)
        return Solved(self, attempt) if attempt.done else None


@dataclass(frozen=True)
class Solved:
    """An answer that does a task, as a notebook shows it: why it works, and the picture of it."""

    task: Practice
    attempt: Attempt

    @property
    def language(self) -> str:
        """The one of the exercise."""
        return self.task.language

    @in_own_language
    def __repr__(self) -> str:
        return re.sub("<[^>]*>", "", unescape(_course(self.task, self.attempt)))

    @in_own_language
    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        """Return it as HTML, and in words for viewers that show none."""
        html = block(_course(self.task, self.attempt), Html(_picture(self.task, self.attempt)))
        return {"text/plain": repr(self), "text/html": html}


def attempt_json(text: str) -> str:
    """Judge an answer: `{"scenario": 7, "number": 1, "answer": "node1: ...", "narrow": true}`. Raises: NotThere.

    `narrow`, for a picture on a phone, may be absent.
    The answer has `done`, and as HTML `says`, `printed` (what commands that show something printed), `picture` and
    `state`; the last two are empty where a line is wrong, and where nothing was to be changed.
    """
    asked = json.loads(text)
    task, answer = exercise(asked["scenario"], asked["number"]), asked["answer"]
    attempt = task.attempt(answer)
    says, printed = joined(*_says(task, attempt, answer)), joined(*_printed(attempt))
    shown = {"done": attempt.done, "says": says, "printed": printed, "picture": "", "state": ""}
    if attempt.world and attempt.trace and attempt.story and not _looked(attempt):
        shown["picture"] = _picture(task, attempt, narrow=asked.get("narrow", False))
        shown["state"] = _changed(task.world(), attempt.world)
    return json.dumps(shown)


def _picture(task: Exercise, attempt: Attempt, *, narrow: bool = False) -> str:
    """Return the picture of the conversation after the learner's commands; empty where a line is wrong."""
    if not (attempt.world and attempt.trace and attempt.story):
        return ""
    drawing = picture_in(attempt.story, task.settings, attempt.world, attempt.trace, narrow=narrow)
    return to_svg(drawing, f"mcni-exercise-{task.scenario}-{task.number}")


def _course(task: Exercise, attempt: Attempt) -> Html:
    """Say which packet took another path, or ended otherwise, before the learner's commands; empty as `_picture` is."""
    if not (attempt.trace and attempt.story):
        return Html("")
    before, yours = map(tr, AS_IT_WAS)
    return course_html(attempt.story.run_in(task.world(), task.settings), attempt.trace, (before, yours))


def help_json(text: str) -> str:
    """Return the help of a number, which counts from 1: `{"scenario": 7, "number": 1, "help": 2}`; and whether there is
    `more`. Raises: NotThere for no such exercise."""
    asked = json.loads(text)
    hints = exercise(asked["scenario"], asked["number"]).hints()
    shown = hints[asked["help"] - 1 : asked["help"]]
    return json.dumps({"help": joined(*map(sentence, shown)), "more": asked["help"] < len(hints)})


def _says(task: Exercise, attempt: Attempt, answer: str) -> Iterator[Html]:
    """Tell what is wrong and where; or whether it is solved, why not, and how the conversation ends."""
    if attempt.wrong:
        line = answer.splitlines()[attempt.wrong - 1].strip()
        yield element("p", element("b", tr("✘ Line {number}: ", number=attempt.wrong)), element("code", line))
        yield element("pre", attempt.says)
        yield element("p", tr("No command was carried out."))
        return
    if _looked(attempt):
        yield element("p", tr(attempt.untouched))
        return
    judged = attempt.untouched or (SOLVED if attempt.done else NOT_YET)
    yield element("p", element("b", tr(judged)), " ", sentence(_why(task, attempt)))
    if attempt.trace:
        yield element("p", verdict_lines(attempt.trace), class_="mcni-verdict")
        yield from (element("p", sentence(line)) for line in because(attempt.trace))
        yield _course(task, attempt) if attempt.done else Html("")


def _looked(attempt: Attempt) -> bool:
    """Tell whether there were commands, and all of them only show something."""
    return bool(attempt.typed and attempt.untouched)


def _why(task: Exercise, attempt: Attempt) -> str:
    """Say what the judgement rests on beside the verdict, which follows it."""
    if attempt.done:
        works = tr("The conversation works, as it should.") if task.works else tr(FAILS_AS_IT_SHOULD)
        return " ".join([works, *(f"{line}." for line in attempt.says.splitlines() if task.also)])
    if attempt.trace is None or attempt.says != verdict(attempt.trace):
        return attempt.says
    if attempt.story is None or attempt.story is task.story:
        return tr(_NOT_AS_IT_SHOULD[task.works])
    return tr(_OTHER_NOT_AS_IT_SHOULD[task.works], title=tr(attempt.story.title))


FAILS_AS_IT_SHOULD = mark("The conversation fails, as it should.")

_NOT_AS_IT_SHOULD = {
    True: mark("The conversation should work in the end, and does not."),
    False: mark("The conversation should fail in the end, and does not."),
}
_OTHER_NOT_AS_IT_SHOULD = {
    True: mark("“{title}” should work in the end, and does not."),
    False: mark("“{title}” should fail in the end, and does not."),
}
"""What is said of an answer that does not do the task, by whether the conversation should work."""


def _printed(attempt: Attempt) -> Iterator[Html]:
    """Yield what commands that only show something printed."""
    for command in attempt.typed:
        if command.shows is not None:
            head = element("h4", f"{command.netns}# {command.command}")
            yield element("div", head, lines_html(map(StateLine, command.shows.splitlines())), class_="mcni-state")


def _changed(before: World, after: World) -> Html:
    """List the lines of state the commands changed."""
    names = {old.name for old, new in zip(before, after, strict=True) if old != new}
    here, there = (
        replace(world, namespaces=tuple(netns for netns in world if netns.name in names)) for world in (before, after)
    )
    return state_changes_html(here, there, None)
