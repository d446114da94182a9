"""Paper for a class: a worksheet with blanks for a lesson, a quiz for a block of lessons, and the key to each.

What is asked stands in the lesson (its prediction, as the notebook shows it, and its exercises); everything else, and
every answer, is computed by the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser

from mcnilib.errors import McniError
from mcnilib.language import clauses, tr
from mcnilib.scenarios.exercise import Exercise, exercises
from mcnilib.scenarios.quiz import block_of, choices_of, questions_of
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show.picture.handout import PrintedLine
from mcnilib.trace.explain import packet_name, place_name, verdict
from mcnilib.trace.trace import Journey, Trace

BOX, TICKED, WRITING_LINE = "☐", "☒", "_" * 72
"""A box to tick, the box of the right answer, and a line to write on."""

SPACE = PrintedLine("")
"""Room above a heading, and for the hand above a line to write on."""

FEW_PACKETS = 3
"""Packets whose path is asked for: a handshake."""


class WorksheetError(McniError, LookupError):
    """A notebook without the results that a worksheet takes its question from."""


class _QuizReader(HTMLParser):
    """Reads the quiz a notebook shows: the question, and each answer with what is said to it."""

    def __init__(self) -> None:
        super().__init__()
        self.question, self.answers, self.said, self._tag = "", list[str](), list[str](), ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Note what the next text is."""
        self._tag = tag
        if tag in ("dt", "dd"):
            (self.answers if tag == "dt" else self.said).append("")

    def handle_data(self, data: str) -> None:
        """Keep the text of a question, an answer or a remark."""
        match self._tag:
            case "b":
                self.question += data
            case "dt":
                self.answers[-1] += data
            case "dd":
                self.said[-1] += data

    def handle_endtag(self, tag: str) -> None:
        """End the question: what follows is no part of it."""
        self._tag = "" if tag in ("b", "dt", "dd") else self._tag


def prediction(notebook: str) -> tuple[str, dict[str, str]]:
    """Return the question a lesson begins with, and its answers with what is said to each.

    Raises: WorksheetError for a notebook without results, as a learner's copy has them.
    """
    outputs = [one for cell in json.loads(notebook)["cells"] for one in cell.get("outputs", ())]
    pages = ("".join(output.get("data", {}).get("text/html", "")) for output in outputs)
    reader = _QuizReader()
    reader.feed(next((page for page in pages if "mcni-quiz" in page), ""))
    if not reader.answers:
        raise WorksheetError(tr("the notebook has no results: worksheets are made from the original, not from a copy"))
    return reader.question, dict(zip(reader.answers, reader.said, strict=True))


def worksheet(story: Scenario, notebook: str, *, key: bool = False) -> Iterator[PrintedLine]:
    """Yield the lines of a lesson's worksheet, or of its key."""
    yield from _head(tr("Lesson {number}. {title}", number=story.number, title=tr(story.title)), key)
    yield PrintedLine(tr(story.question))
    question, answers = prediction(notebook)
    yield SPACE
    yield PrintedLine(tr("1. Predict, before you run anything"), bold=True)
    yield PrintedLine(question)
    for answer, said in answers.items():
        right = key and said.startswith("✓")
        yield PrintedLine(f"{TICKED if right else BOX} {answer}", bold=right)
        if right:
            yield PrintedLine(said.partition(". ")[2])
    yield from _run(story, key)
    yield SPACE
    yield PrintedLine(tr("3. Exercises: write the commands, one NAMESPACE: COMMAND a line"), bold=True)
    for task in (task for task in exercises() if task.scenario == story.number):
        yield from _exercise(task, key)


def _head(title: str, key: bool) -> Iterator[PrintedLine]:
    yield PrintedLine(tr("{title} — answer key", title=title) if key else title, bold=True)
    if not key:
        yield PrintedLine(tr("Name {name_line} Date {date_line}", name_line="_" * 34, date_line="_" * 16))
        yield SPACE


def _run(story: Scenario, key: bool) -> Iterator[PrintedLine]:
    """Yield what is asked of the run the lesson starts with."""
    trace = story.run(story.start())
    outcome, step = trace.outcome, trace.outcome.step
    shown = story.start().texts()
    settings = clauses(f"{tr(setting.label)}: {tr(shown[setting.name])}" for setting in story.options())
    line = tr("none")
    if step.evidence and step.origin:
        line = tr("`{line}`, written by {writer}", line=step.evidence.strip(), writer=tr(step.origin.writer))
    yield SPACE
    yield PrintedLine(tr("2. Run it, and step through the packets"), bold=True)
    yield PrintedLine(tr("Settings: {settings}.", settings=settings))
    for question, answer in (
        (tr("How does the conversation end?"), verdict(trace)),
        (tr("Which packet decides?"), f"{outcome.journey.number} ({packet_name(outcome.journey.packet)})"),
        (tr("On which machine, at which place?"), f"{step.netns}, {place_name(step)}"),
        (tr("Which line of its state decides, and who wrote it?"), line),
    ):
        yield PrintedLine(f"{question} {answer if key else ''}", bold=key)
        yield from () if key else (SPACE, PrintedLine(WRITING_LINE))
    yield SPACE
    yield PrintedLine(tr("Which machines does each packet cross?"))
    yield from (PrintedLine(_path(journey, key)) for journey in _first(trace))


def _first(trace: Trace) -> tuple[Journey, ...]:
    return tuple(journey for journey in trace.journeys if not journey.retransmission_of)[:FEW_PACKETS]


def _path(journey: Journey, key: bool) -> str:
    first, *rest = [visit.netns for visit in journey.visits]
    shown = [first, *(rest if key else ["_" * 12] * len(rest))]
    return f"{journey.number} {packet_name(journey.packet)}: {' → '.join(shown)}"


def _exercise(task: Exercise, key: bool) -> Iterator[PrintedLine]:
    yield PrintedLine(f"{task.scenario}.{task.number} {' '.join(task.task.split())}")
    solution = [line for line in task.solution.splitlines() if line.strip()]
    if key:
        yield from (PrintedLine(line, bold=True) for line in solution)
    else:
        yield from [SPACE, PrintedLine(WRITING_LINE)] * max(1, len(solution))


def quiz(story: Scenario, *, key: bool = False) -> Iterator[PrintedLine]:
    """Yield the lines of the quiz of a lesson's block, or of its key."""
    block = block_of(story.number)
    questions = questions_of(block)
    title = tr("Ten questions on lesson {lesson}", lesson=block[0])
    if len(block) > 1:
        title = tr("Ten questions on lessons {first} to {last}", first=block[0], last=block[-1])
    yield from _head(title, key)
    yield PrintedLine(tr("Each conversation is as its lesson starts, with one setting changed. How does it end?"))
    for number, question in enumerate(questions, 1):
        yield SPACE
        yield PrintedLine(
            tr(
                "{number}. {title}, with {changed}",
                number=number, title=tr(question.story.title), changed=question.changed,
            ),
            bold=True,
        )  # fmt: skip
        marks = (
            f"{TICKED if key and end is question.answer else BOX} {tr(end.value)}" for end in choices_of(questions)
        )
        yield PrintedLine(" ".join(marks))
        if key:
            yield PrintedLine(verdict(question.trace))
