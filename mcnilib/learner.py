"""A copy of the whole course for learners: every notebook without results, every exercise without its solution.

The copy is a project of its own, to be put on Binder or handed out: it opens with the same commands as the original.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcnilib.errors import McniError
from mcnilib.snapshots.folder import write_folder

PROJECT = Path(__file__).parents[1]
WHOLE = ("pyproject.toml", "uv.lock", "README.md", "LICENSE")
FOLDERS = {"mcnilib": "**/*.py", "binder": "*", "docs": "*.md", "notebooks": "*.ipynb"}
DATA = ("mcnilib/py.typed", "mcnilib/kernel/record.json")
EXERCISES = "mcnilib/scenarios/exercises"

SOLUTION = re.compile(r'^solution = (?:"""(?s:.*?)"""|\'\'\'(?s:.*?)\'\'\'|"[^\n]*"|\'[^\n]*\')\n', re.MULTILINE)
OFFER = re.compile(r"^`exercise\(\d+, \d+\)\.solve\(\)` shows a solution\.\n*", re.MULTILINE)


class LearnerError(McniError, OSError):
    """A copy that cannot be made; nothing was written."""


def learner_copy(folder: Path, project: Path = PROJECT) -> tuple[str, ...]:
    """Write the copy into a new folder, complete or not at all; return the names of its files.

    Raises: LearnerError outside a clone of the project; SnapshotError when the folder is there and not empty.
    """
    if not (project / "notebooks").is_dir():
        raise LearnerError("the notebooks are not here: `mcni learner` works in a clone of the project")
    files = dict(_files(project))
    write_folder(folder, files)
    for script in ("binder/postBuild", "binder/start"):
        (folder / script).chmod(0o755)
    return tuple(files)


def _files(project: Path) -> Iterator[tuple[str, str]]:
    for name in (*WHOLE, *DATA):
        yield name, (project / name).read_text(encoding="utf-8")
    for folder, pattern in FOLDERS.items():
        for path in sorted((project / folder).glob(pattern)):
            text = path.read_text(encoding="utf-8")
            yield path.relative_to(project).as_posix(), unsolved(text) if path.suffix == ".ipynb" else text
    for path in sorted((project / EXERCISES).glob("*.toml")):
        yield f"{EXERCISES}/{path.name}", without_solutions(path.read_text(encoding="utf-8"))


def without_solutions(text: str) -> str:
    """Return the exercises of a scenario without their solutions. Raises: LearnerError when one would stay."""
    left = SOLUTION.sub("", text)
    if any("solution" in one for one in tomllib.loads(left)["exercise"]):
        raise LearnerError("a solution is written in a form that cannot be taken out")
    return left


def unsolved(text: str) -> str:
    """Return a notebook as a learner gets it: no outputs, no counts, no offer to show solutions."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        _clear(cell)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _clear(cell: dict[str, Any]) -> None:
    source = "".join(cell["source"])
    cell["source"] = OFFER.sub("", source).splitlines(keepends=True)
    if cell["cell_type"] == "code":
        cell |= {"outputs": [], "execution_count": None}
