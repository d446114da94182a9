"""Ten questions for each block of lessons, for paper: what becomes of a conversation when one setting is changed.

No answer is written down: the model answers when a question is made. The choice is the same every time, and spreads
over the lessons, the settings and the ends of a block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from mcnilib.cluster.settings import Option, Settings
from mcnilib.errors import McniError
from mcnilib.language import tr
from mcnilib.scenarios import scenarios
from mcnilib.scenarios.scenario import Scenario
from mcnilib.trace.trace import Trace, Verdict

BLOCKS = ((1, 2, 3), (4, 5), (6, 7, 8), (9, 10), (11, 12, 13, 14, 15), (16,))
"""The lessons of each block, as docs/teaching.md teaches them."""

QUESTIONS = 10

USUAL_ENDS = (Verdict.CONNECTED, Verdict.TIMED_OUT, Verdict.HANGS)
"""Ends that are offered as an answer in every block."""


class NoBlock(McniError, LookupError):
    """A lesson that belongs to no block."""


@dataclass(frozen=True)
class BlockQuestion:
    """A conversation of a lesson, as it starts but for one setting."""

    story: Scenario
    option: Option
    settings: Settings

    @cached_property
    def trace(self) -> Trace:
        """What becomes of it."""
        return self.story.run(self.settings)

    @property
    def answer(self) -> Verdict:
        """How it ends."""
        return self.trace.outcome.verdict

    @property
    def changed(self) -> str:
        """The setting that is changed, and its value."""
        return f"{tr(self.option.label)}: {tr(self.settings.texts()[self.option.name])}"

    @property
    def subjects(self) -> tuple[object, ...]:
        """What the question is about, for a choice that repeats little: the last two weigh most, being named twice."""
        both = (self.story.name, self.option.name)
        return self.story.name, self.option.name, both, both, self.answer, self.answer


def block_of(lesson: int) -> tuple[int, ...]:
    """Return the lessons of the block a lesson belongs to. Raises: NoBlock."""
    for block in BLOCKS:
        if lesson in block:
            return block
    raise NoBlock(
        tr("lesson {lesson} belongs to no block; there are lessons 1 to {last}", lesson=lesson, last=BLOCKS[-1][-1])
    )


def questions_of(block: Sequence[int]) -> tuple[BlockQuestion, ...]:
    """Return ten questions: each time the one whose lesson, setting and end were asked for least."""
    pool, asked = list(_pool(block)), Counter[object]()
    chosen: list[BlockQuestion] = []
    while pool and len(chosen) < QUESTIONS:
        best = min(pool, key=lambda one: sum(asked[subject] for subject in one.subjects))
        pool.remove(best)
        chosen.append(best)
        asked.update(best.subjects)
    return tuple(sorted(chosen, key=lambda one: one.story.number))


def choices_of(questions: Sequence[BlockQuestion]) -> tuple[Verdict, ...]:
    """Return the answers that are offered, the same for all questions of a block."""
    there = {*USUAL_ENDS, *(question.answer for question in questions)}
    return tuple(end for end in Verdict if end in there)


def _pool(block: Sequence[int]) -> Iterator[BlockQuestion]:
    for story in (story for lesson in block for story in scenarios(str(lesson))):
        start = story.start()
        for option in story.options():
            values = (value for value in option.values if value != getattr(start, option.attribute))
            yield from (BlockQuestion(story, option, start.but(**{option.attribute: value})) for value in values)
