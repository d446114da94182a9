"""A course for nbgrader: the cells carry its metadata, and the cell that grades fails where the task is not done.

nbgrader 0.9.6 itself took this course: `validate`, `generate_assignment` and `autograde` give one point for each
exercise that is done. It is too large for the tests; its rules are facts here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mcnilib.cli import main
from mcnilib.learner import LearnerError, assignment, nbgrader_course
from mcnilib.scenarios.exercise import exercise, exercises
from mcnilib.show.practice import NotDone, practise

SCHEMA = {
    "schema_version": 3, "grade": bool, "locked": bool, "solution": bool, "task": bool,
    "grade_id": re.compile(r"^[a-zA-Z0-9_\-]+$"), "points": int, "cell_type": "code",
}  # fmt: skip
"""Source: nbgrader 0.9.6, nbgraderformat/v3.json and v3.py (`points` where `grade`; every `grade_id` once)."""


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("school") / "graded"
    assert main(["nbgrader", str(folder)]) == 0
    return folder


def graded_cells(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text())["cells"] if "nbgrader" in cell["metadata"]]


def test_every_exercise_is_answered_in_one_cell_and_graded_in_the_next(course: Path) -> None:
    found = []
    for path in sorted(course.glob("source/lesson-*/*.ipynb")):
        assert path.parent.name == f"lesson-{path.name[:2]}"
        cells = graded_cells(path)
        for answer, test in zip(cells[::2], cells[1::2], strict=True):
            call = re.match(r"exercise\((\d+), (\d+)\)", "".join(test["source"]))
            found.append((int(call[1]), int(call[2])))
            assert "".join(test["source"]) == f"{call[0]}.grade()"
            assert "".join(answer["source"]).startswith(f'{call[0]}.check("""\n### BEGIN SOLUTION\n')
            assert answer["outputs"] == test["outputs"] == []
    assert found == [(one.scenario, one.number) for one in exercises()]


def test_the_metadata_is_as_the_schema_says(course: Path) -> None:
    for path in course.glob("source/*/*.ipynb"):
        told = [cell["metadata"]["nbgrader"] for cell in graded_cells(path)]
        assert len({one["grade_id"] for one in told}) == len(told)
        cells = json.loads(path.read_text())["cells"]
        assert len({cell["id"] for cell in cells}) == len(cells)
        for one in told:
            assert set(one) == set(SCHEMA) - (set() if one["grade"] else {"points"})
            assert one["solution"] is not one["grade"]
            assert one["locked"] is one["grade"]
            for key, value in one.items():
                rule = SCHEMA[key]
                assert rule.match(value) if isinstance(rule, re.Pattern) else value == rule or type(value) is rule, key


def test_a_task_that_is_done_is_graded_in_silence_and_another_one_is_an_error() -> None:
    task = practise(6, 1)
    with pytest.raises(NotDone, match=r"exercise 6\.1 is not done: connected"):
        task.grade()
    task.check("node1: ip rule")
    with pytest.raises(NotDone):
        practise(6, 1).grade()
    task.check(f"### BEGIN SOLUTION\n{exercise(6, 1).solution}\n### END SOLUTION")
    assert practise(6, 1).grade() is None
    with pytest.raises(NotDone):
        practise(6, 2).grade()
    task.check("")
    with pytest.raises(NotDone):
        practise(6, 1).grade()


def test_what_is_put_where_the_solution_was_is_no_command(course: Path) -> None:
    settings: dict = {}
    config = type("Config", (), {"CourseDirectory": type("C", (), {}), "ClearSolutions": type("S", (), {})})
    exec((course / "nbgrader_config.py").read_text(), {"get_config": lambda: config}, settings)
    stub = config.ClearSolutions.code_stub["python"]
    assert not exercise(6, 1).attempt(stub).typed


def test_a_copy_without_solutions_makes_no_course(monkeypatch) -> None:
    notebook = json.dumps({"cells": [{"cell_type": "code", "source": 'exercise(6, 1).check("")', "metadata": {}}]})
    monkeypatch.setattr("mcnilib.learner.exercise", lambda *_: type("Task", (), {"solution": ""})())
    with pytest.raises(LearnerError, match="this copy has no solutions"):
        assignment(notebook)


def test_what_is_there_is_not_replaced_and_without_notebooks_there_is_no_course(tmp_path: Path, capsys) -> None:
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main(["nbgrader", str(tmp_path)])
    assert ended.value.code == 2
    assert "there already and not empty" in capsys.readouterr().err
    with pytest.raises(LearnerError, match="works in a clone"):
        nbgrader_course(tmp_path / "graded", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
