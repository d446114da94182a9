"""Answers in saved notebooks, judged anew: the model carries out the commands, and nothing else of a notebook counts.

A notebook is text here: no cell of it is run, and its saved outputs prove nothing. Of its code only
`exercise(N, K).check("...")` is read, also with `seed="..."`, with numbers and text written out; anything else is
called unreadable. What was answered to a prediction is no code: it is reported as the saved output has it, and graded
by nobody.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from mcnilib.errors import McniError, NotThere
from mcnilib.language import mark, tr
from mcnilib.scenarios.exercise import exercise
from mcnilib.scenarios.exercises.own_world import SeedError

MOST_CELLS, LONGEST_ANSWER, MOST_COMMANDS = 2_000, 10_000, 100
"""Cells of a notebook, characters and lines of an answer; the course has 60 cells and 10 lines."""


class Grade(Enum):
    """What is said of an exercise of a learner."""

    DONE = mark("done")
    NOT_DONE = mark("not done")
    NOT_TRIED = mark("not tried")
    UNREADABLE = mark("unreadable")


@dataclass(frozen=True, slots=True)
class Graded:
    """One exercise in one notebook: the grade, why, and the commands that were judged."""

    scenario: int
    number: int
    grade: Grade
    says: str
    answer: str = ""
    seed: str = ""  # of the world of the learner's own that it was solved in; empty for the common one

    def world_of(self, learner: str) -> str:
        """Name whose world it is where it is another learner's; empty otherwise. A learner is named as a seed is."""
        owner = self.seed.partition("~")[0]
        return "" if owner in ("", learner) else owner


@dataclass(frozen=True, slots=True)
class Predicted:
    """A prediction in one notebook: the answer that was checked last, empty for none, and how many were checked."""

    question: str
    answer: str = ""
    right: bool = False
    tries: int = 0

    @property
    def grade(self) -> str:
        """Say in a word or two what came of it."""
        return "not answered" if not self.tries else "right" if self.right else "wrong"


PREDICTION = "application/vnd.mcnilib.prediction+json"
"""The media type under which a notebook keeps what was answered to a prediction: the fields of `Predicted`."""


class SubmissionError(McniError, ValueError):
    """A file that is no notebook, or one larger than any of the course."""


def grade_notebook(text: str, name: str) -> tuple[Graded, ...]:
    """Judge the exercises in a saved notebook; of one that is answered twice, the better answer counts.

    Raises: SubmissionError for text that is no notebook.
    """
    found: dict[tuple[int, int], Graded] = {}
    for call in _calls(source for source, _ in _cells(text, name)):
        graded = _graded(call)
        key = (graded.scenario, graded.number)
        if key not in found or _ORDER.index(graded.grade) < _ORDER.index(found[key].grade):
            found[key] = graded
    return tuple(found[key] for key in sorted(found))


_ORDER = (Grade.DONE, Grade.NOT_DONE, Grade.UNREADABLE, Grade.NOT_TRIED)


def predictions(text: str, name: str) -> tuple[Predicted, ...]:
    """Return the predictions a saved notebook asks for, with the answers that are kept in it.

    Raises: SubmissionError for text that is no notebook.
    """
    asked = ((question, outputs) for source, outputs in _cells(text, name) for question in _questions(source))
    return tuple(_predicted(question, outputs) for question, outputs in asked)


def _cells(text: str, name: str) -> Iterator[tuple[str, object]]:
    """Yield the code and the outputs of a notebook's cells. Source: the notebook format, version 4."""
    try:
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(code) if isinstance(code := cell["source"], list) else str(code) for cell in cells]
    except (ValueError, LookupError, TypeError, RecursionError) as problem:
        raise SubmissionError(tr("{name} is no notebook: {problem!r}", name=name, problem=problem)) from None
    if len(sources) > MOST_CELLS:
        raise SubmissionError(
            tr("{name} has {count} cells of code, at most {most}", name=name, count=len(sources), most=MOST_CELLS)
        )
    yield from zip(sources, (cell.get("outputs") for cell in cells), strict=True)


def _questions(source: str) -> Iterator[str]:
    """Yield the questions of a cell that calls `predict`."""
    for node in _parsed(source, "predict"):
        match node:
            case ast.Call(func=ast.Name(id="predict"), args=[ast.Constant(value=str(question)), *_]):
                yield question


def _predicted(question: str, outputs: object) -> Predicted:
    """Read what is kept of a question; what has another form counts as no answer."""
    for output in outputs if isinstance(outputs, list) else ():
        data = output.get("data") if isinstance(output, dict) else None
        match data.get(PREDICTION) if isinstance(data, dict) else None:
            case {"question": str(kept), "answer": str(answer), "right": bool(right), "tries": int(tries)}:
                if kept == question:
                    return Predicted(question, answer[:LONGEST_ANSWER], right, tries)
    return Predicted(question)


def _parsed(source: str, word: str) -> Iterator[ast.AST]:
    """Yield what a cell's code is made of, if the word is in it; code Python cannot read is made of nothing."""
    if word not in source:
        return
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    yield from ast.walk(tree)


def _calls(sources: Iterable[str]) -> Iterator[ast.Call]:
    """Yield the calls of `exercise(...).check(...)`."""
    for node in (node for source in sources for node in _parsed(source, "exercise")):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="exercise")), attr="check")):
                yield node


def _graded(call: ast.Call) -> Graded:
    """Judge one call."""
    match call:
        case ast.Call(
            func=ast.Attribute(
                value=ast.Call(
                    args=[ast.Constant(value=int(scenario)), ast.Constant(value=int(number))], keywords=keywords
                )
            )
        ):
            pass
        case _:
            return Graded(0, 0, Grade.UNREADABLE, tr("which exercise it is is not written as two numbers"))
    match keywords:
        case []:
            return _judged(scenario, number, "", call.args)
        case [ast.keyword(arg="seed", value=ast.Constant(value=str(seed)))]:
            return replace(_judged(scenario, number, seed, call.args), seed=seed)
    return Graded(scenario, number, Grade.UNREADABLE, tr("the seed is not written out as text"))


def _judged(scenario: int, number: int, seed: str, arguments: Sequence[ast.expr]) -> Graded:
    match arguments:
        case [ast.Constant(value=str(answer))]:
            pass
        case _:
            return Graded(scenario, number, Grade.UNREADABLE, tr("the answer is not written out as text"))
    lines = [line.strip() for line in answer.splitlines()]
    typed = [line for line in lines if line and not line.startswith("#")]
    if not typed:
        return Graded(scenario, number, Grade.NOT_TRIED, tr("no command"))
    if len(answer) > LONGEST_ANSWER or len(typed) > MOST_COMMANDS:
        return Graded(scenario, number, Grade.UNREADABLE, tr("longer than {most} commands", most=MOST_COMMANDS))
    try:
        done, says = exercise(scenario, number, seed).judge(answer)
    except (NotThere, SeedError) as problem:
        return Graded(scenario, number, Grade.UNREADABLE, str(problem))
    return Graded(scenario, number, Grade.DONE if done else Grade.NOT_DONE, says, "\n".join(typed))


def table_of(graded: Mapping[str, Sequence[Graded]], predicted: Mapping[str, Sequence[Predicted]]) -> Iterator[str]:
    """Yield a table as text: a line for each learner, a column for each exercise, and how many are done; then how many
    predictions were answered, and how many of them rightly, if any were asked for."""
    asked = any(predicted.values())
    exercises = sorted({(one.scenario, one.number) for entries in graded.values() for one in entries})
    heads = [f"{scenario}.{number}" if scenario else "?" for scenario, number in exercises]
    who, how_many = tr("learner"), tr("done")
    wide, more = max([len(who), *map(len, graded)]), [tr("predictions")] if asked else []
    scores = {learner: _score(entries) for learner, entries in graded.items()}
    room = max([len(how_many), *map(len, scores.values())]) if asked else 0
    yield "  ".join([who.ljust(wide), *heads, how_many.ljust(room), *more])
    for learner, entries in graded.items():
        marks = {(one.scenario, one.number): GRADE_MARKS[one.grade] for one in entries}
        cells = [marks.get(key, " ").center(len(head)) for key, head in zip(exercises, heads, strict=True)]
        guesses = [_guesses(predicted[learner])] if asked else []
        yield "  ".join([learner.ljust(wide), *cells, scores[learner].ljust(room), *guesses])


def _score(entries: Sequence[Graded]) -> str:
    """Say how many exercises are done."""
    done = sum(one.grade is Grade.DONE for one in entries)
    return tr("{done} of {all}", done=done, all=len(entries))


def _guesses(asked: Sequence[Predicted]) -> str:
    """Say how many predictions were answered, and how many rightly."""
    answered, right = sum(one.tries > 0 for one in asked), sum(one.right for one in asked)
    return tr("{answered} of {asked} answered, {right} right", answered=answered, asked=len(asked), right=right)


GRADE_MARKS = {Grade.DONE: "✔", Grade.NOT_DONE: "✘", Grade.NOT_TRIED: "-", Grade.UNREADABLE: "?"}
