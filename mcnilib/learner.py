"""A copy of the whole course for learners: every notebook without results, every exercise without its solution.

The copy is a project of its own, to be put on Binder or handed out: it opens with the same commands as the original.
Nothing in it leads back to the original, where the solutions are, nor to what is written for teachers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mcnilib.errors import McniError
from mcnilib.language import tr
from mcnilib.scenarios.exercise import Exercise, exercise, exercise_of
from mcnilib.scenarios.exercises.own_world import own_world
from mcnilib.scenarios.link import BINDER
from mcnilib.writing import write_new_folder

PROJECT = Path(__file__).parents[1]
WHOLE = (
    "uv.lock",
    "LICENSE",
    "SECURITY.md",
    "docs/flagship.svg",
    "mcnilib/py.typed",
    "mcnilib/show/labels/dejavu_sans.json",
    "mcnilib/show/widgets/link.js",
    "mcnilib/show/widgets/panel.js",
    "mcnilib/show/widgets/player.js",
)
EXECUTABLES = ("binder/postBuild", "binder/start")
FOLDERS = {
    "mcnilib": "**/*.py",
    "mcnilib/kernel": "*.json",
    "mcnilib/site/parts": "*",
    "binder": "*",
    "docs": "*.md",
    "notebooks": "*.ipynb",
}
NOT_FOR_LEARNERS = ("docs/teaching.md", "docs/hosting.md", "docs/architecture.md", "CONTRIBUTING.md")
"""Pages for others than learners: for those who teach, and for those who carry the project on."""
LINKS = "mcnilib/scenarios/link.py"
EXERCISES = "mcnilib/scenarios/exercises"

ORIGINAL = "https://mybinder.org/v2/gh/mcnilib/mcnilib/"
SOURCE_PAGES = "https://github.com/mcnilib/mcnilib/blob/main/"
SITE = "https://mcnilib.github.io/mcnilib/"
LOCAL = "http://localhost:8888/lab/tree/notebooks"
"""Where the original opens on Binder, where its files can be read, where its site is, and where a JupyterLab of one's
own shows a copy."""

REPOSITORY = re.compile(r"[a-zA-Z\d-]+/(?!\.\.?$)[\w.-]+", re.ASCII)
"""OWNER/NAME on GitHub: an owner has letters, digits and hyphens; `.` and `..` are steps of a path and no names."""

BADGE = re.compile(r"\[Open on Binder\]\([^)\n]*\)(?:  ·  )?")
PAGE = re.compile(rf"\[Open as a page\]\({re.escape(SITE)}[^)\n]*\)(?:  ·  )?")
"""The links in the head of a notebook, with what parts them from the next words."""
TESTS = re.compile(r"^\[tool\.pytest\.ini_options\]\n(?:[^\[\n].*\n|\n)*", re.MULTILINE)
NO_TESTS = """\
[tool.pytest.ini_options]
testpaths = ["notebooks"]
addopts = "-ra --nbval-lax --nbval-current-env"
"""
"""A copy has no tests and no results to compare with: that every cell runs is what pytest finds out there."""

SOLUTION = re.compile(r'^solution = (?:"""(?s:.*?)"""|\'\'\'(?s:.*?)\'\'\'|"[^\n]*"|\'[^\n]*\')\n', re.MULTILINE)
FOLDED_SOLUTION = re.compile(r"<details><summary>Solutions?</summary>.*?</details>\n*", re.DOTALL)
"""Solutions that a notebook shows when they are asked for."""
HINT = re.compile(r"(?<=<summary>Hint</summary>\n\n).*?(?=\n\n</details>)", re.DOTALL)
CHECKED_CALL = re.compile(r"exercise\((\d+), (\d+)\)(?=\.check\()")
"""The call that checks an exercise of a scenario, in a cell of its own."""
OFFER = re.compile(r"^`exercise\(\d+, \d+\)\.solve\(\)` shows a solution\.\n*", re.MULTILINE)


class LearnerError(McniError, OSError):
    """A copy that cannot be made; nothing was written."""


def learner_copy(
    folder: Path, project: Path = PROJECT, binder: str = "", learners: Iterable[str] = ()
) -> tuple[str, ...]:
    """Write the copy into a new folder, complete or not at all; return the names of its files.

    `binder` is the repository the copy will be in, as OWNER/NAME on GitHub: its links to Binder then open it there;
    otherwise it has none. For each of the `learners` it has the notebooks once more, with exercises in a world of the
    learner's own, in the folder `notebooks-NAME`.
    Raises: LearnerError outside a clone of the project, or for a name that is no repository's; SeedError for a learner
    whose name is no seed; WriteError when the folder is there and not empty.
    """
    if not (project / "notebooks").is_dir():
        raise LearnerError(tr("the notebooks are not here: `mcni learner` works in a clone of the project"))
    if binder and not REPOSITORY.fullmatch(binder):
        raise LearnerError(tr("{binder!r} is not OWNER/NAME of a repository", binder=binder))
    files = dict(_files(project, binder))
    for learner in learners:
        files |= dict(_own_notebooks(files, learner))
    write_new_folder(folder, files, programs=EXECUTABLES)
    return tuple(files)


def _files(project: Path, binder: str) -> Iterator[tuple[str, str]]:
    for name in WHOLE:
        yield name, _read(project / name)
    yield "pyproject.toml", without_tests(_read(project / "pyproject.toml"))
    yield "README.md", for_learners(_read(project / "README.md"), binder)
    for folder, pattern in FOLDERS.items():
        for path in sorted((project / folder).glob(pattern)):
            name = path.relative_to(project).as_posix()
            if name not in NOT_FOR_LEARNERS:
                yield name, _changed(name, _read(path), binder)
    for path in sorted((project / EXERCISES).glob("*.toml")):
        yield f"{EXERCISES}/{path.name}", without_solutions(_read(path))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _changed(name: str, text: str, binder: str) -> str:
    """Return a file of the copy: notebooks are emptied, and links lead to the copy."""
    if name.endswith(".ipynb"):
        return unsolved(text, binder)
    return text.replace(f'"{BINDER}"', f'"{_base(binder)}"') if name == LINKS else text


def _base(binder: str) -> str:
    """Return where the notebooks of the copy open."""
    return BINDER.replace(ORIGINAL, _on_binder(binder)) if binder else LOCAL


def _on_binder(binder: str) -> str:
    return f"https://mybinder.org/v2/gh/{binder}/"


def without_tests(text: str) -> str:
    """Return pyproject.toml for a copy. Raises: LearnerError when the settings of pytest are not found."""
    left, count = TESTS.subn(lambda _: NO_TESTS, text)
    if count != 1:
        raise LearnerError(tr("pyproject.toml does not say how its tests run"))
    return left


def for_learners(text: str, binder: str = "") -> str:
    """Return the README of a copy: nothing for others, of `.ci/` or the original's site; without a repository nothing
    about Binder."""
    gone = (".ci/run", SITE, "git clone", *(() if binder else ("Binder",)))
    kept = [part for part in text.split("\n\n") if not any(word in part for word in gone)]
    lines = "\n\n".join(kept).replace(ORIGINAL, _on_binder(binder)).splitlines(keepends=True)
    return "".join(line for line in lines if not any(word in line for word in NOT_FOR_LEARNERS))


def without_solutions(text: str) -> str:
    """Return the exercises of a scenario without their solutions. Raises: LearnerError when one would stay."""
    import tomllib  # a fortieth of what a command takes to start

    left = SOLUTION.sub("", text)
    tasks = tomllib.loads(left)["exercise"]
    if any("solution" in version for task in tasks for version in (task, *task.get("other", ()))):
        raise LearnerError(tr("a solution is written in a form that cannot be taken out"))
    return left


def unsolved(text: str, binder: str = "") -> str:
    """Return a notebook as a learner gets it: no outputs, no counts, no solutions and no offer to show them, links to
    the copy."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        _clear(cell, binder)
    return _written(notebook)


def _written(notebook: Mapping[str, Any]) -> str:
    """Return a notebook as JupyterLab writes its file."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _clear(cell: dict[str, Any], binder: str) -> None:
    source = FOLDED_SOLUTION.sub("", OFFER.sub("", "".join(cell["source"])))
    source = PAGE.sub("", source).replace(SOURCE_PAGES, "../")
    source = source.replace(ORIGINAL, _on_binder(binder)) if binder else BADGE.sub("", source)
    source = "\n".join(line for line in source.split("\n") if not any(page in line for page in NOT_FOR_LEARNERS))
    cell["source"] = source.splitlines(keepends=True)
    if cell["cell_type"] == "code":
        cell |= {"outputs": [], "execution_count": None}


def _own_notebooks(files: Mapping[str, str], learner: str) -> Iterator[tuple[str, str]]:
    """Yield the notebooks of a copy as one learner gets them."""
    for name, text in files.items():
        if name.startswith("notebooks/"):
            yield f"notebooks-{learner}/{name.removeprefix('notebooks/')}", own_notebook(text, learner)


def own_notebook(text: str, learner: str) -> str:
    """Return a notebook whose exercises are in a world of the learner's own. Raises: SeedError."""
    notebook = json.loads(text)
    sources = ["".join(cell["source"]) for cell in notebook["cells"]]
    for at, source in enumerate(sources):
        if match := CHECKED_CALL.match(source):
            scenario, number = int(match[1]), int(match[2])
            task = exercise_of(learner, scenario, number)
            sources[at - 1 : at + 2] = _own_cells(task, *sources[at - 1 : at + 2])
            call = f'exercise({scenario}, {number}, seed="{task.seed}")'
            sources = [told.replace(match[0], call) for told in sources]
    for cell, source in zip(notebook["cells"], sources, strict=True):
        cell["source"] = source.splitlines(keepends=True)
    return _written(notebook)


def _own_cells(task: Exercise, before: str, check: str, after: str) -> tuple[str, str, str]:
    """Return the cells of an exercise as they are true in its world: the task, the cell to type into, the hint."""
    asked = re.compile(rf"^\*\*{task.number}\.\*\* .*", re.MULTILINE)
    told = asked.sub(lambda _: f"**{task.number}.** {task.task}", before)
    return told, own_world(task.seed).retell(check), HINT.sub(lambda _: task.hint, after)


GRADED = "nbgrader"
"""The key of a cell's metadata that nbgrader reads."""

STUB = "# NAMESPACE: COMMAND"
"""What a learner finds where the solution was."""

NBGRADER_CONFIG = f"""\
c = get_config()
c.CourseDirectory.course_id = "mcnilib"
c.ClearSolutions.code_stub = {{"python": "{STUB}"}}
"""
"""The settings of a course. Source: nbgrader's documentation, configuration options."""

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
"""The marks between which `nbgrader generate_assignment` takes a solution out."""


def nbgrader_course(folder: Path, project: Path = PROJECT) -> tuple[str, ...]:
    """Write the course directory of a teacher who uses nbgrader into a new folder; return the names of its files.

    Each lesson with exercises is an assignment, `source/lesson-NN`; each exercise is worth one point. It has the
    solutions, which `nbgrader generate_assignment` takes out.
    Raises: LearnerError where notebooks or solutions are missing; WriteError when the folder is there and not empty.
    """
    files = {"nbgrader_config.py": NBGRADER_CONFIG}
    for path in sorted((project / "notebooks").glob("*.ipynb")):
        if text := assignment(unsolved(_read(path))):
            files[f"source/lesson-{path.name[:2]}/{path.name}"] = text
    if len(files) == 1:
        raise LearnerError(tr("the notebooks are not here: `mcni nbgrader` works in a clone of the project"))
    write_new_folder(folder, files)
    return tuple(files)


def assignment(text: str) -> str:
    """Return a notebook as nbgrader's source: below each exercise a cell that grades it; empty if it has no exercise.

    Raises: LearnerError for an exercise whose solution is not known.
    """
    notebook, cells = json.loads(text), []
    for cell in notebook["cells"]:
        cells.append(cell)
        if match := CHECKED_CALL.match("".join(cell["source"])):
            cells[-1:] = _graded_cells(cell, exercise(int(match[1]), int(match[2])))
    if len(cells) == len(notebook["cells"]):
        return ""
    return _written(notebook | {"cells": cells})


def _graded_cells(cell: dict[str, Any], task: Exercise) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the cell that is typed into, with the solution, and the cell that grades it."""
    if not task.solution:
        raise LearnerError(tr("this copy has no solutions; `mcni nbgrader` works in the original"))
    call, uid = f"exercise({task.scenario}, {task.number})", f"exercise-{task.scenario}-{task.number}"
    typed = f'{call}.check("""\n{BEGIN}\n{task.solution.strip()}\n{END}\n""")'
    answer = cell | {"source": typed.splitlines(keepends=True)}
    test = cell | {"id": f"{cell['id']}-test", "source": [f"{call}.grade()"]}
    answer["metadata"] = cell["metadata"] | {GRADED: _grading(f"{uid}-answer", solution=True)}
    test["metadata"] = cell["metadata"] | {GRADED: _grading(f"{uid}-test", solution=False) | {"points": 1}}
    return answer, test


def _grading(uid: str, *, solution: bool) -> dict[str, object]:
    """Return what nbgrader wants to know of a cell: an answer may be changed, a test is locked and graded.

    Source: nbgrader 0.9, nbgraderformat/v3.json.
    """
    told: dict[str, object] = {"schema_version": 3, "grade_id": uid, "cell_type": "code", "task": False}
    return told | {"grade": not solution, "locked": not solution, "solution": solution}
