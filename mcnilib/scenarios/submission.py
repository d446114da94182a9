"""Answers in saved notebooks, judged anew: the model carries out the commands, and nothing else of a notebook counts.

A notebook is text here: no cell of it is run, and its saved outputs prove nothing. Of its code only
`exercise(N, K).check("...")` is read, also with `seed="..."`, with numbers and text written out; anything else is
called unreadable.
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


class SubmissionError(McniError, ValueError):
    """A file that is no notebook, or one larger than any of the course."""


def grade_notebook(text: str, name: str) -> tuple[Graded, ...]:
    """Judge the exercises in a saved notebook; of one that is answered twice, the better answer counts.

    Raises: SubmissionError for text that is no notebook.
    """
    found: dict[tuple[int, int], Graded] = {}
    for call in _calls(_sources(text, name)):
        graded = _graded(call)
        key = (graded.scenario, graded.number)
        if key not in found or _ORDER.index(graded.grade) < _ORDER.index(found[key].grade):
            found[key] = graded
    return tuple(found[key] for key in sorted(found))


_ORDER = (Grade.DONE, Grade.NOT_DONE, Grade.UNREADABLE, Grade.NOT_TRIED)


def _sources(text: str, name: str) -> Iterator[str]:
    """Yield the code of a notebook's cells. Source: the notebook format, version 4."""
    try:
        cells = json.loads(text)["cells"]
        codes = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
        sources = ["".join(code) if isinstance(code, list) else str(code) for code in codes]
    except (ValueError, LookupError, TypeError, RecursionError) as problem:
        raise SubmissionError(tr("{name} is no notebook: {problem!r}", name=name, problem=problem)) from None
    if len(sources) > MOST_CELLS:
        raise SubmissionError(
            tr("{name} has {count} cells of code, at most {most}", name=name, count=len(sources), most=MOST_CELLS)
        )
    yield from sources


def _calls(sources: Iterable[str]) -> Iterator[ast.Call]:
    """Yield the calls of `exercise(...).check(...)`; code Python cannot read holds none."""
    for source in sources:
        if "exercise" not in source:
            continue
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in ast.walk(tree):
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


def table_of(graded: Mapping[str, Sequence[Graded]]) -> Iterator[str]:
    """Yield a table as text: a line for each learner, a column for each exercise, and how many are done."""
    exercises = sorted({(one.scenario, one.number) for entries in graded.values() for one in entries})
    heads = [f"{scenario}.{number}" if scenario else "?" for scenario, number in exercises]
    wide = max([len("learner"), *map(len, graded)])
    yield "  ".join(["learner".ljust(wide), *heads, "done"])
    for learner, entries in graded.items():
        marks = {(one.scenario, one.number): GRADE_MARKS[one.grade] for one in entries}
        cells = [marks.get(key, " ").center(len(head)) for key, head in zip(exercises, heads, strict=True)]
        done = sum(one.grade is Grade.DONE for one in entries)
        yield "  ".join([learner.ljust(wide), *cells, f"{done} of {len(entries)}"])


GRADE_MARKS = {Grade.DONE: "✔", Grade.NOT_DONE: "✘", Grade.NOT_TRIED: "-", Grade.UNREADABLE: "?"}
