"""What a teacher hands out: a copy without solutions, a run on paper, a link."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mcnilib.cli import main
from mcnilib.learner import LearnerError, learner_copy, without_solutions, without_tests
from mcnilib.scenarios import all_scenarios
from mcnilib.scenarios.exercise import exercise, exercise_of, exercises
from mcnilib.show.picture.handout import handout

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("class") / "course"
    assert main(["learner", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """A copy that will be in a repository of its own."""
    folder = tmp_path_factory.mktemp("school") / "course"
    assert main(["learner", str(folder), "--binder", "my-school/course"]) == 0
    return folder


def test_the_copy_has_every_notebook_without_results(copy: Path) -> None:
    names = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {path.name for path in (copy / "notebooks").iterdir()} == names
    for name in names:
        cells = json.loads((copy / "notebooks" / name).read_text())["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        assert code
        assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
        assert not any(".solve(" in "".join(cell["source"]) for cell in cells), name


def test_no_solution_stands_anywhere_in_the_copy(copy: Path) -> None:
    files = {path: path.read_text() for path in copy.rglob("*") if path.is_file()}
    for one in exercises():
        lesson = f"{one.scenario:02}-"  # a later lesson may do what an exercise of an earlier one asked for
        own = "\n".join(t for path, t in files.items() if path.suffix != ".ipynb" or path.name.startswith(lesson))
        assert not [line for line in one.solution.splitlines() if len(line) > 30 and line in own], (
            one.scenario,
            one.number,
        )
    tasks = [one for path in copy.rglob("exercises/*.toml") for one in tomllib.loads(path.read_text())["exercise"]]
    assert len(tasks) == len(exercises())
    assert not any("solution" in version for one in tasks for version in (one, *one.get("other", ())))


def test_no_folded_solution_of_a_notebook_is_in_the_copy_and_its_hints_are(copy: Path) -> None:
    """In notebook 17 too, whose exercises are not those of a scenario."""
    copied = "\n".join(path.read_text() for path in copy.rglob("*.ipynb"))
    assert "<summary>Solution" not in copied
    assert copied.count("<summary>Hint</summary>") == len(exercises()) + 1  # notebook 22 asks for what it has shown
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        texts = ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "markdown"]
        solutions = [
            one for text in texts for one in re.findall(r"(?s)<summary>Solutions?</summary>(.*?)</details>", text)
        ]
        assert solutions or path.name[:2] in {"00", "19", "22"}  # these tell no solution
        lines = [line for one in solutions for line in one.splitlines() if len(line) > 30]
        own = (copy / "notebooks" / path.name).read_text()  # a later lesson may do what an earlier one asked for
        assert not [line for line in lines if json.dumps(line, ensure_ascii=False)[1:-1] in own]


def test_in_the_copy_exercises_are_checked_but_not_solved(copy: Path) -> None:
    lines = "from mcnilib import exercise; exercise(7, 1).solve(); exercise(7, 1).check('')"
    ended = subprocess.run([sys.executable, "-c", lines], cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)},
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert ended.stdout.splitlines()[0].startswith("this copy has no solutions")
    assert ended.stdout.splitlines()[1].startswith("Nothing is changed yet: connect")


def test_the_copy_can_be_opened_on_binder(copy: Path) -> None:
    assert os.access(copy / "binder" / "postBuild", os.X_OK)
    for name in ("uv.lock", "LICENSE", "binder/requirements.txt"):
        assert (copy / name).read_text() == (ROOT / name).read_text()
    mine, theirs = (tomllib.loads((folder / "pyproject.toml").read_text()) for folder in (ROOT, copy))
    assert mine["tool"].pop("pytest") != theirs["tool"].pop("pytest")
    assert mine == theirs


LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def test_what_a_page_of_the_copy_points_at_is_in_the_copy(copy: Path) -> None:
    pages = [copy / "README.md", *(copy / "docs").glob("*.md"), *(copy / "notebooks").glob("*.ipynb")]
    links = [(page, link) for page in pages for link in LINK.findall(page.read_text()) if "://" not in link]
    assert len(links) > 40
    assert (copy / "README.md", "docs/flagship.svg") in links
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []


def test_the_copy_has_nothing_for_teachers(copy: Path) -> None:
    assert not (copy / "docs" / "teaching.md").exists()
    assert "teaching.md" not in (copy / "README.md").read_text()
    assert "teaching.md" not in (copy / "notebooks" / "00-index.ipynb").read_text()
    assert "mcni handout 7 handout.pdf" in (copy / "README.md").read_text()


PLACE = re.compile(r"mybinder\.org/v2/gh/[^/]+/[^/]+|(?<=BINDER = \"http://)[^/]+")
COURSE = {"mybinder.org/v2/gh/my-school/course"}


@pytest.mark.parametrize(
    ("name", "alone", "there"),
    [
        ("README.md", set(), COURSE),
        ("mcnilib/scenarios/link.py", {"localhost:8888"}, COURSE),
        ("notebooks/00-index.ipynb", set(), COURSE),
        ("notebooks/17-your-own-cluster.ipynb", set(), COURSE),
    ],
)
def test_links_open_the_copy(copy: Path, course: Path, name: str, alone: set[str], there: set[str]) -> None:
    assert set(PLACE.findall((ROOT / name).read_text())) == {"mybinder.org/v2/gh/mcnilib/mcnilib"}
    assert set(PLACE.findall((copy / name).read_text())) == alone
    assert set(PLACE.findall((course / name).read_text())) == there


def test_no_link_leads_to_the_solutions(copy: Path, course: Path) -> None:
    files = [path for folder in (copy, course) for path in folder.rglob("*") if path.suffix in (".md", ".ipynb")]
    assert len(files) > 40
    assert [path for path in files if re.search(r"(github\.com|github\.io|/gh)/mcnilib", path.read_text())] == []
    assert "Open on Binder" in (course / "notebooks" / "00-index.ipynb").read_text()
    assert "Binder" not in (copy / "notebooks" / "00-index.ipynb").read_text()


@pytest.mark.parametrize(
    "name",
    [
        "https://github.com/my-school/course",
        "../..",
        "my-school/..",
        "./course",
        "a/b/c",
        "my-school/",
        "a/b\n",
        "a/\x1b[2J",
    ],
)
def test_a_repository_has_an_owner_and_a_name(tmp_path: Path, capsys, name: str) -> None:
    assert main(["learner", str(tmp_path / "course"), "--binder", name]) == 2
    assert "is not OWNER/NAME" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.notebook
def test_the_tests_of_the_copy_are_its_notebooks(copy: Path) -> None:
    lesson = "notebooks/01-macvlan-same-subnet.ipynb"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", lesson]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    ended = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-2000:]
    cells = json.loads((copy / lesson).read_text())["cells"]
    assert f"{sum(cell['cell_type'] == 'code' for cell in cells)} passed" in ended.stdout


def test_a_project_whose_tests_are_not_found_is_not_copied() -> None:
    with pytest.raises(LearnerError, match="how its tests run"):
        without_tests("[project]\n")


def test_without_the_notebooks_there_is_nothing_to_copy(tmp_path: Path) -> None:
    with pytest.raises(LearnerError, match="clone of the project"):
        learner_copy(tmp_path / "out", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_solution_in_a_form_that_would_stay_stops_the_copy() -> None:
    with pytest.raises(LearnerError, match="taken out"):
        without_solutions('[[exercise]]\ntask = "t"\n"solution" = "x"\n')
    with pytest.raises(LearnerError, match="taken out"):
        without_solutions('[[exercise]]\ntask = "t"\n[[exercise.other]]\n"solution" = "x"\n')


NAMES = "ann\n\nbob  # a remark\n"


@pytest.fixture(scope="module")
def named(tmp_path_factory) -> Path:
    """A copy in which two learners have notebooks of their own."""
    folder = tmp_path_factory.mktemp("names")
    (folder / "class.txt").write_text(NAMES, encoding="utf-8")
    assert main(["learner", str(folder / "course"), "--names", str(folder / "class.txt")]) == 0
    return folder / "course"


@pytest.mark.slow
def test_each_learner_gets_notebooks_with_exercises_of_their_own(named: Path) -> None:
    names = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    told = {}
    for learner in ("ann", "bob"):
        folder = named / f"notebooks-{learner}"
        assert {path.name for path in folder.iterdir()} == names
        told[learner] = (folder / "07-macvlan-to-calico-across-nodes.ipynb").read_text()
        assert told[learner].count(f'exercise(7, 1, seed=\\"{learner}\\").check(') == 1
        assert exercise(7, 2, seed=learner).introduced() in told[learner]
        assert "exercise(7, 1)" not in told[learner]
    assert told["ann"] != told["bob"]


@pytest.mark.slow
def test_no_solution_of_a_world_is_in_the_copy(named: Path) -> None:
    for one in exercises():
        for path in named.glob(f"notebooks-*/{one.scenario:02}-*.ipynb"):
            own = exercise_of(path.parent.name.split("-")[1], one.scenario, one.number)
            text = path.read_text()
            assert not [line for line in own.solution.splitlines() if len(line) > 30 and line in text], own.task


@pytest.mark.slow
def test_a_learners_own_exercise_is_checked_in_the_copy(named: Path) -> None:
    answer = exercise(7, 2, seed="ann").solution
    lines = f"from mcnilib import exercise; exercise(7, 2, seed='ann').check({answer!r})"
    ended = subprocess.run([sys.executable, "-c", lines], cwd=named, env={**os.environ, "PYTHONPATH": str(named)},
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert ended.stdout.startswith("✔ done: connected")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("# nobody\n", "has no names in it"),
        ("ann\nbob\nAnn\n", "is there twice"),
        ("ann lee\n", "'ann lee' is no seed: a name has letters"),
        ("../ann\n", "is no seed"),
        ("ann~2\n", "has a ~ in it"),
    ],
)
def test_names_that_cannot_be_are_refused(tmp_path: Path, capsys, names: str, says: str) -> None:
    (tmp_path / "class.txt").write_text(names, encoding="utf-8")
    assert main(["learner", str(tmp_path / "course"), "--names", str(tmp_path / "class.txt")]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "course").exists()


@pytest.mark.slow
@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_every_run_fits_on_paper(story, tmp_path: Path) -> None:
    handout(tmp_path / "run.pdf", story, story.start())
    data = (tmp_path / "run.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert data.count(b"/Type /Page ") == 1


@pytest.mark.slow
def test_the_same_run_gives_the_same_paper(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        assert main(["handout", "6", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["7", "--kube-proxy", "1.30"], 0, "kube-proxy%3D1.30"),
        (["7", "--kube-proxy", "1.28"], 0, "macvlan-to-calico-across-nodes\n"),
        (["6", "--encapsulation", "VXLAN"], 2, "has no setting 'encapsulation'"),
        (["7", "--kube-proxy", "0.1"], 2, "kube-proxy cannot be '0.1'"),
    ],
)
def test_a_link_is_printed_for_what_the_notebook_can_show(capsys, words: list[str], status: int, says: str) -> None:
    assert main(["link", *words]) == status
    said = capsys.readouterr()
    assert says in said.out + said.err


@pytest.mark.parametrize("base", ["", "x", "\x1b[2Jhttp://a", "http://a\nb", "http://a b", "javascript:alert(1)"])
def test_a_link_begins_with_an_address_of_the_web(capsys, base: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["link", "7", "--base", base])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert "is not an address that begins with http:// or https://" in said.err
    assert not said.out and "\x1b" not in said.err


def test_the_name_of_what_was_written_is_spelt_out(tmp_path: Path, capsys) -> None:
    assert main(["handout", "1", str(tmp_path / "a\x1b[2J.pdf")]) == 0
    assert capsys.readouterr().out.endswith("a\\x1b[2J.pdf\n")
