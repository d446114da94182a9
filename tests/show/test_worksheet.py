"""Worksheets, quizzes and their keys: what is asked, that no answer is on the sheet, and that the model gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcnilib import scenario
from mcnilib.cli import main
from mcnilib.learner import unsolved
from mcnilib.scenarios.exercise import exercises
from mcnilib.scenarios.quiz import BLOCKS, QUESTIONS, NoBlock, block_of, choices_of, questions_of
from mcnilib.show.picture.handout import folded_packets
from mcnilib.show.picture.worksheet import BOX, TICKED, WorksheetError, prediction, quiz, worksheet
from mcnilib.trace.explain import verdict

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def notebook(number: int) -> str:
    return next(NOTEBOOKS.glob(f"{number:02}-*.ipynb")).read_text(encoding="utf-8")


def told(lines: Any) -> str:
    return "\n".join(line.text for line in lines)


@pytest.mark.parametrize("number", range(1, 17))
def test_a_lesson_s_worksheet_has_blanks_and_its_key_the_answers(number: int) -> None:
    story = scenario(str(number))
    sheet, key = (told(worksheet(story, notebook(number), key=key)) for key in (False, True))
    question, answers = prediction(notebook(number))
    assert question in sheet and question in key
    assert sheet.count(BOX) == len(answers) >= 2 and TICKED not in sheet and key.count(TICKED) == 1
    trace = story.run(story.start())
    assert verdict(trace) in key and verdict(trace) not in sheet
    tasks = [task for task in exercises() if task.scenario == number]
    for task in tasks:
        assert f"{number}.{task.number} " in sheet
        for line in filter(None, map(str.strip, task.solution.splitlines())):
            assert line in key
            assert line not in sheet
    assert "___" in sheet and "___" not in key


def test_a_copy_without_results_makes_no_worksheet() -> None:
    with pytest.raises(WorksheetError, match="worksheets are made from the original"):
        prediction(unsolved(notebook(7)))


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_has_ten_questions_each_with_one_answer_among_those_offered(block: tuple[int, ...]) -> None:
    questions = questions_of(block)
    assert len({(one.story.name, one.changed) for one in questions}) == QUESTIONS
    assert {one.story.number for one in questions} == set(block)
    assert len({one.answer for one in questions}) >= 2
    assert {one.answer for one in questions} <= set(choices_of(questions))
    story = scenario(str(block[0]))
    sheet, key = (told(quiz(story, key=key)) for key in (False, True))
    assert (sheet.count(TICKED), key.count(TICKED)) == (0, QUESTIONS)
    assert all(verdict(one.trace) in key for one in questions)


def test_a_lesson_outside_the_blocks_has_no_quiz() -> None:
    with pytest.raises(NoBlock, match="lesson 17 belongs to no block"):
        block_of(17)


def test_packets_that_go_the_same_way_are_told_once() -> None:
    story = scenario("7")
    lines = list(folded_packets(story.run(story.start())))
    assert [line.partition(":")[0] for line in lines] == [
        "1 SYN",
        "2 SYN-ACK",
        "7, 10",
        "3 ACK",
        "8, 11",
        "4 data",
        "5, 6, 9, 12",
    ]
    assert lines[-1] == "5, 6, 9, 12: as 4"


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--worksheet"], ["--key"], ["--quiz"], ["--quiz", "--key"]], ids="".join)
@pytest.mark.parametrize("number", [1, 4, 7, 10, 14, 16])
def test_each_is_one_page(number: int, options: list[str], tmp_path: Path) -> None:
    assert main(["handout", str(number), str(tmp_path / "a.pdf"), *options]) == 0
    assert (tmp_path / "a.pdf").read_bytes().count(b"/Type /Page ") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--worksheet", "--quiz"], "--worksheet changes nothing beside --quiz; choose one"),
        (["--worksheet", "--kube-proxy", "1.30"], "--kube-proxy changes nothing on a worksheet"),
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str], says: str, tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["handout", "7", str(tmp_path / "a.pdf"), *words])
    assert says in capsys.readouterr().err
