"""CONTRIBUTING.md: every example is applied to a copy of the package, costs as many files as was promised, and works."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = {
    "Add a match": 3,
    "Add a kind of device": 2,
    "Add a setting": 3,
    "Add a scenario": 1,
    "Add a version of kube-proxy": 3,
    "Add a CNI plugin": 3,
}
"""How many files of the package each kind of change may cost at most."""


class Block(NamedTuple):
    """A block of the guide: its language, the file it is for, and its lines."""

    language: str
    file: str
    lines: tuple[str, ...]


def blocks(heading: str) -> list[Block]:
    """Return the blocks below a heading."""
    (section,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", GUIDE, re.DOTALL | re.MULTILINE)
    found = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return [Block(language, file, tuple(text.splitlines())) for language, file, text in found]


def apply(block: Block, root: Path) -> None:
    """Write a new file, or change one: the lines of a diff that are there already stand in it once, in this order."""
    path = root / block.file
    if block.language == "python":
        assert not path.exists(), block.file
        path.write_text("\n".join(block.lines) + "\n", encoding="utf-8")
        return
    old = "".join(f"{line[1:]}\n" for line in block.lines if line[:1] in " -")
    new = "".join(f"{line[1:]}\n" for line in block.lines if line[:1] in " +")
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"CONTRIBUTING.md quotes lines that {block.file} has {text.count(old)} times:\n{old}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def carry_out(block: Block, root: Path) -> None:
    """Run a program, or each command of a console; `...` in what it is said to print stands for anything."""
    if block.language == "python":
        done = started(root, "-c", "\n".join(block.lines))
        assert done.returncode == 0, done.stderr
        return
    for part in re.split(r"^\$ ", "\n".join(block.lines), flags=re.MULTILINE)[1:]:
        command, *expected = part.splitlines()
        program, *words = shlex.split(command)
        assert program == "mcni"
        done = started(root, "-m", "mcnilib", *words)
        printed = "\n".join(line.rstrip() for line in done.stdout.splitlines())
        pattern = re.sub(r"\[(.)", r"[[]\1", "\n".join(expected)).replace("...", "*")
        assert fnmatchcase(printed, pattern), f"$ {command}\n{done.stdout}{done.stderr}"


def started(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the package of a folder."""
    around = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = (sys.executable, *words)
    return subprocess.run(command, cwd=root, env=around, text=True, capture_output=True, check=False, timeout=300)


def test_every_kind_of_change_has_its_example() -> None:
    assert re.findall(r"^## (Add .*)", GUIDE, re.MULTILINE) == list(FILES)


@pytest.mark.slow
@pytest.mark.parametrize("heading", FILES)
def test_an_example_does_what_it_says(heading: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "mcnilib", tmp_path / "mcnilib", ignore=shutil.ignore_patterns("__pycache__"))
    parts = blocks(heading)
    changes = [block for block in parts if block.file]
    assert 0 < len({block.file for block in changes}) <= FILES[heading]
    for block in changes:
        apply(block, tmp_path)
    claims = [block for block in parts if not block.file]
    assert claims
    for block in claims:
        carry_out(block, tmp_path)


@pytest.mark.parametrize("word", sorted(set(re.findall(r"`((?:tests|mcnilib|docs|notebooks)/[\w./-]*)`", GUIDE))))
def test_a_file_the_guide_names_is_there(word: str) -> None:
    assert (ROOT / word).exists()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(((?!https?:)[^)#]+)\)", GUIDE))))
def test_a_link_of_the_guide_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("command", sorted(set(re.findall(r"uv run --all-extras (mcni [^#`\n]*)", GUIDE))))
def test_a_command_of_the_guide_is_understood(command: str) -> None:
    from mcnilib.cli import command_line

    assert callable(command_line().read(shlex.split(command)[1:]).verb)


def test_the_guide_s_quick_tests_are_those_of_the_hook() -> None:
    assert "uv run --all-extras pytest --quick -n 2" in GUIDE
    assert "pytest --quick -n 2" in (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("mark", sorted(set(re.findall(r"pytest -m (\w+)", GUIDE))))
def test_a_mark_of_the_guide_exists(mark: str, pytestconfig: pytest.Config) -> None:
    assert any(line.startswith(f"{mark}:") for line in pytestconfig.getini("markers"))
