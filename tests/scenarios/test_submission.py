"""Answers in saved notebooks: judged by the model, from their text alone; no code in a notebook is ever run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcnilib.cli import main
from mcnilib.scenarios.exercise import exercise, exercises
from mcnilib.scenarios.submission import (
    PREDICTION,
    Grade,
    Predicted,
    SubmissionError,
    grade_notebook,
    predictions,
)

RIGHT = exercise(7, 1).solution.strip()


def notebook(*cells: str, output: str = "") -> str:
    stream = {"output_type": "stream", "name": "stdout", "text": [output]}
    made = [{"cell_type": "code", "source": cell.splitlines(keepends=True), "outputs": [stream]} for cell in cells]
    return json.dumps(
        {"cells": [{"cell_type": "markdown", "source": "exercise(7, 2).check('x')"}, *made], "nbformat": 4}
    )


def answered(answer: str) -> str:
    return f'exercise(7, 1).check("""\n{answer}\n""")'


@pytest.mark.parametrize(
    ("cell", "output", "grade"),
    [
        (answered(RIGHT), "", Grade.DONE),
        (f"import os\n\n{answered('# a remark' + chr(10) + RIGHT)}", "", Grade.DONE),
        (answered("node1: ip rule"), "", Grade.NOT_DONE),
        (answered("node1: rm -rf /"), "", Grade.NOT_DONE),
        (answered("# node1: ..."), "", Grade.NOT_TRIED),
        (answered(""), "✔ done: works", Grade.NOT_TRIED),  # an output proves nothing
        (answered("node1: ip rule"), "✔ done: connected", Grade.NOT_DONE),
        ("exercise(7, 1).check(answer)", "", Grade.UNREADABLE),
        ('exercise(7, 1).check(f"node1: {x}")', "", Grade.UNREADABLE),
        ('exercise(7, 1).check(open("/etc/passwd").read())', "", Grade.UNREADABLE),
        (f"exercise(7, 1).check({RIGHT!r} * 1000)", "", Grade.UNREADABLE),
        (answered("node1: ip rule\n" * 101), "", Grade.UNREADABLE),
    ],
)
def test_an_exercise_is_judged_by_its_commands(cell: str, output: str, grade: Grade) -> None:
    (graded,) = grade_notebook(notebook(cell, output=output), "a.ipynb")
    assert (graded.scenario, graded.number, graded.grade) == (7, 1, grade)


OWN = exercise(7, 1, seed="ann").solution.strip()


@pytest.mark.parametrize(
    ("call", "answer", "grade"),
    [
        ('exercise(7, 1, seed="ann")', OWN, Grade.DONE),
        ('exercise(7, 1, seed="ann")', RIGHT, Grade.NOT_DONE),  # another's answer does not fit
        ("exercise(7, 1, seed=name)", OWN, Grade.UNREADABLE),
        ('exercise(7, 1, seed="../x")', OWN, Grade.UNREADABLE),
        ('exercise(13, 1, seed="ann")', "node2: ip rule", Grade.UNREADABLE),  # that world is refused
    ],
)
def test_an_answer_counts_in_the_world_of_its_seed(call: str, answer: str, grade: Grade) -> None:
    (graded,) = grade_notebook(notebook(f'{call}.check("""\n{answer}\n""")'), "a.ipynb")
    assert graded.grade is grade


def test_an_answer_in_another_learners_world_is_named(tmp_path: Path, capsys: Any) -> None:
    for learner in ("ann", "eve"):
        (tmp_path / learner).mkdir()
        cell = f'exercise(7, 1, seed="ann").check("""\n{OWN}\n""")'
        (tmp_path / learner / "07.ipynb").write_text(notebook(cell), encoding="utf-8")
    assert main(["check", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "eve, exercise 7.1: answered in the world of ann\n" in said
    assert "ann, exercise" not in said
    assert main(["check", str(tmp_path), "--json"]) == 0
    assert [one["seed"] for one in json.loads(capsys.readouterr().out)["eve"]] == ["ann"]


def test_no_code_of_a_notebook_is_run(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    code = f"open({str(trap)!r}, 'w')"
    cells = [
        code,
        f"exercise(7, 1).check({code}.read())",
        f"exercise({code}, 1).check('x')",
        f"%run {trap}\n{answered(RIGHT)}",
    ]
    assert {one.grade for one in grade_notebook(notebook(*cells), "a.ipynb")} == {Grade.UNREADABLE}
    assert not trap.exists()


def test_the_better_of_two_answers_counts() -> None:
    cells = [answered("node1: ip rule"), answered(RIGHT), answered("")]
    assert [one.grade for one in grade_notebook(notebook(*cells), "a.ipynb")] == [Grade.DONE]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": 1}', '{"cells": [{"cell_type": "code"}]}', "[" * 100_000])
def test_what_is_no_notebook_is_refused(text: str) -> None:
    with pytest.raises(SubmissionError, match=r"a\.ipynb is no notebook"):
        grade_notebook(text, "a.ipynb")


def test_every_solution_is_done_and_every_exercise_is_in_its_notebook() -> None:
    asked = [(one.scenario, one.number) for one in exercises()]
    course = sorted(Path(__file__).parents[2].joinpath("notebooks").glob("*.ipynb"))
    found = [one for path in course for one in grade_notebook(path.read_text(encoding="utf-8"), path.name)]
    assert [(one.scenario, one.number) for one in found if one.scenario != 17] == asked
    assert {one.grade for one in found} == {Grade.NOT_TRIED}


def handed_in(folder: Path) -> None:
    for name, cell in {"alice": answered(RIGHT), "bob": answered("node1: ip rule")}.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "07-macvlan-to-calico-across-nodes.ipynb").write_text(notebook(cell), encoding="utf-8")


def test_a_class_as_a_table(tmp_path: Path, capsys: Any) -> None:
    handed_in(tmp_path)
    assert main(["check", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("learner  7.1  done\nalice     ✔   1 of 1\nbob       ✘   0 of 1\n\n")
    assert "bob, exercise 7.1: connect succeeds, then hangs" in said


def test_a_class_as_json(tmp_path: Path, capsys: Any) -> None:
    handed_in(tmp_path)
    notebooks = sorted(map(str, tmp_path.rglob("*.ipynb")))
    assert main(["check", *notebooks, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert {name: [one["grade"] for one in entries] for name, entries in told.items()} == {
        "alice": ["done"], "bob": ["not done"],
    }  # fmt: skip
    assert told["alice"][0]["answer"] == RIGHT


def test_all_done_is_status_0(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "eve.ipynb").write_text(notebook(answered(RIGHT)), encoding="utf-8")
    assert main(["check", str(tmp_path / "eve.ipynb")]) == 0
    assert main(["check", str(tmp_path / "none.ipynb")]) == 2
    assert "none.ipynb cannot be read" in capsys.readouterr().err


QUESTION = "What becomes of the ACK?"
ASKED = f'from mcnilib import predict\npredict("{QUESTION}", {{"lost": 1, "kept": 2}}, lambda: 1)'


def guessed(kept: object, question: str = QUESTION) -> str:
    """A notebook with a prediction, and what its output keeps of the answer."""
    text = json.loads(notebook(ASKED.replace(QUESTION, question), answered(RIGHT)))
    text["cells"][1]["outputs"].append({"output_type": "display_data", "data": {PREDICTION: kept}})
    return json.dumps(text)


ANSWER = {"question": QUESTION, "answer": "lost", "right": True, "tries": 2}


@pytest.mark.parametrize(
    ("kept", "predicted"),
    [
        (ANSWER, Predicted(QUESTION, "lost", right=True, tries=2)),
        (ANSWER | {"right": False}, Predicted(QUESTION, "lost", right=False, tries=2)),
        (ANSWER | {"question": "Another?"}, Predicted(QUESTION)),
        (ANSWER | {"tries": "many"}, Predicted(QUESTION)),
        ({}, Predicted(QUESTION)),
        (None, Predicted(QUESTION)),
    ],
)
def test_what_was_predicted_is_read_from_the_saved_output(kept: object, predicted: Predicted) -> None:
    assert predictions(guessed(kept), "a.ipynb") == (predicted,)


@pytest.mark.parametrize("outputs", [None, 7, [7], [{}], [{"data": 7}]])
def test_outputs_of_another_form_hold_no_answer(outputs: object) -> None:
    text = json.dumps({"cells": [{"cell_type": "code", "source": ASKED, "outputs": outputs}]})
    assert predictions(text, "a.ipynb") == (Predicted(QUESTION),)


def test_predictions_are_a_column_of_the_table_and_entries_of_the_json(tmp_path: Path, capsys: Any) -> None:
    for name, kept in {"alice": ANSWER, "bob": {}}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "07.ipynb").write_text(guessed(kept), encoding="utf-8")
    assert main(["check", str(tmp_path)]) == 0  # a prediction is not graded
    said = capsys.readouterr().out
    assert said.startswith(
        "learner  7.1  done    predictions\n"
        "alice     ✔   1 of 1  1 of 1 answered, 1 right\n"
        "bob       ✔   1 of 1  0 of 1 answered, 0 right\n"
    )
    assert main(["check", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["alice"][1] == {"prediction": QUESTION, "grade": "right", "answer": "lost", "tries": 2}
    assert told["bob"][1]["grade"] == "not answered"
