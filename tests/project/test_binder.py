"""Binder: repo2docker picks up binder/, its pins are the lock's, and exactly these packages run the notebooks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from by_chance import drawn

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
BINDER = ROOT / "binder"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PIN = re.compile(r"(?P<name>[a-z0-9._-]+)==(?P<version>[\w.+!]+)( ; (?P<marker>.+))?")


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """Run a command to its end and return all it printed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-8000:]}"
    return done.stdout


def uv(*words: str | Path) -> str:
    """Run the locked uv, whatever `uv run` around us has set."""
    return run(sys.executable, "-m", "uv", *words, VIRTUAL_ENV="", UV_PYTHON_DOWNLOADS="never")


def pins() -> list[str]:
    """Return the lines of requirements.txt without comments."""
    lines = (BINDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


@pytest.fixture(scope="module")
def dockerfile() -> list[str]:
    """Return the lines of the Dockerfile repo2docker would build, without building it."""
    program = Path(sys.executable).with_name("jupyter-repo2docker")
    return run(program, "--no-build", "--debug", ".").splitlines()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("Building conda environment for python=3.12", "the Python of runtime.txt"),
        ('RUN ${KERNEL_PYTHON_PREFIX}/bin/pip install --no-cache-dir -r "binder/requirements.txt"', "the pins"),
        ("RUN ./binder/postBuild", "the library itself"),
        ('ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"', "thread caps"),
    ],
)
def test_repo2docker_picks_up(dockerfile, line, says):
    assert line in dockerfile, f"{says} is missing"


def test_the_pins_are_installed_before_the_repository_is_copied(dockerfile):
    """So a push of notebooks or code repeats postBuild only."""
    pip, copy, post = (
        next(number for number, line in enumerate(dockerfile) if word in line)
        for word in ('-r "binder/requirements.txt"', "COPY --chown=0:0 src/ ", "RUN ./binder/postBuild")
    )
    assert pip < copy < post


def test_everything_is_pinned_exactly():
    assert [line for line in pins() if not PIN.fullmatch(line)] == []


def test_the_pins_are_those_of_the_lock():
    written = (BINDER / "requirements.txt").read_text(encoding="utf-8")
    (command,) = re.findall(r"^#   uv (export .+)$", written, re.MULTILINE)
    assert uv(*command.split(), "--quiet", "--locked").splitlines() == pins()


def test_the_python_is_one_the_project_supports():
    found = re.fullmatch(r"python-(3\.\d+)\s*", (BINDER / "runtime.txt").read_text(encoding="utf-8"))
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    assert found
    assert asked == ">=3.11"
    assert tuple(map(int, found[1].split("."))) >= (3, 11)


def test_start_caps_the_threads_and_hands_over():
    assert run(BINDER / "start", "sh", "-c", 'echo "$OMP_NUM_THREADS $0"').split() == ["1", "sh"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """Return the programs of a clean environment made as Binder makes it: the pins, then postBuild."""
    home = tmp_path_factory.mktemp("binder") / "env"
    uv("venv", "--quiet", "--seed", "--python", sys.executable, home)
    uv("pip", "install", "--quiet", "--no-deps", "--python", home / "bin" / "python", "-r", BINDER / "requirements.txt")
    uv("pip", "check", "--python", home / "bin" / "python")
    run(BINDER / "postBuild", PATH=f"{home / 'bin'}:{os.environ['PATH']}", PIP_NO_INDEX="1")
    return home / "bin"


def test_the_library_is_installed_from_this_tree(environment, tmp_path):
    where = run(environment / "python", "-c", "import mcnilib; print(mcnilib.__file__)", cwd=tmp_path, PYTHONPATH="")
    assert where.startswith(str(environment.parent))
    assert run(environment / "mcni", "list", cwd=tmp_path)


@pytest.mark.notebook
@pytest.mark.parametrize("name", drawn([path.name for path in NOTEBOOKS], "16-conclusion.ipynb"))
def test_a_notebook_runs_there(environment, tmp_path, name):
    """`jupyter execute` stops at the first cell that raises."""
    copy = shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks") / name
    settings = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    run(environment / "jupyter-execute", copy, cwd=copy.parent, PYTHONPATH="", IPYTHONDIR=str(tmp_path), **settings)
