"""The project as a whole: format, lint, types, the wheel, what `import mcnilib` loads, the commands of the README."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ROOT / ".github" / "workflows" / "pages.yml"
HEAVY = ("matplotlib", "networkx", "ipywidgets", "numpy", "subprocess", "asyncio", "socket", "ctypes")


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; what it printed is in the assertion when it fails."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=cwd, env=kept | environment, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
    return done


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("ruff", "format", "--check", "--quiet", "--diff"), id="formatted"),
        pytest.param(("ruff", "check", "--output-format=concise"), id="linted"),
        pytest.param(("codespell_lib",), id="spelt"),
        pytest.param(("mypy",), id="typed"),  # pyproject.toml says strict, and which package
    ],
)
def test_the_sources_are(command):
    run(sys.executable, "-m", *command)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel of this tree with the build backend of the test environment, so that no network is needed."""
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-c", f"import hatchling.build; hatchling.build.build_wheel({str(out)!r})")
    (found,) = out.glob("mcnilib-*.whl")
    return found


@pytest.fixture(scope="session")
def bare(wheel, tmp_path_factory) -> Path:
    """Return the programs of a clean environment with nothing but the wheel installed in it."""
    home = tmp_path_factory.mktemp("bare")
    venv.create(home, with_pip=True)
    programs = home / ("Scripts" if os.name == "nt" else "bin")
    run(programs / "python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel)
    return programs


@pytest.mark.slow
def test_the_wheel_is_for_every_python_and_holds_the_types_and_the_licence(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name.endswith("-py3-none-any.whl")
    assert {"mcnilib/py.typed", "mcnilib/locale/mcnilib.pot"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if not name.startswith("mcnilib")]


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["linux", "cluster", "trace", "scenarios", "snapshots"])
def test_the_model_needs_the_standard_library_only(bare, tmp_path, layer):
    program = f"""
import pkgutil, sys, mcnilib.{layer} as layer
names = [m.name for m in pkgutil.walk_packages(layer.__path__, layer.__name__ + ".")]
for name in names:
    __import__(name)
assert names, "no modules found"
assert "site-packages" in layer.__path__[0], layer.__path__
ours = sys.stdlib_module_names | {{"mcnilib", "__main__"}}
print(sorted({{name.split(".")[0] for name in sys.modules}} - ours))
"""
    strangers = run(bare / "python", "-c", program, cwd=tmp_path).stdout
    assert [name for name in ast.literal_eval(strangers) if not name.startswith(("_", "sitecustomize"))] == []


@pytest.mark.slow
@pytest.mark.parametrize("words", [("list",), ("list", "--json"), ("--help",), ("run", "--help")], ids=" ".join)
def test_the_console_command_runs_from_the_wheel(bare, tmp_path, words):
    assert run(bare / "mcni", *words, cwd=tmp_path).stdout


@pytest.mark.slow
def test_importing_loads_next_to_nothing(bare, tmp_path):
    program = "import sys; before = set(sys.modules); import mcnilib; print(sorted(set(sys.modules) - before))"
    loaded = ast.literal_eval(run(bare / "python", "-c", program, cwd=tmp_path).stdout)
    assert {name for name in loaded if name.split(".")[0] in HEAVY} == set()
    assert [name for name in loaded if name.startswith("mcnilib")] == ["mcnilib"]


def test_listing_the_scenarios_loads_neither_pictures_nor_the_kernel_lab():
    program = (
        "import sys, mcnilib.cli as c; c.main(['list']); print([m for m in sys.modules if m.startswith('mcnilib.')])"
    )
    loaded = ast.literal_eval(run(sys.executable, "-c", program).stdout.splitlines()[-1])
    assert not [name for name in loaded if name.startswith(("mcnilib.show", "mcnilib.kernel"))]


def test_every_name_of_the_front_door_opens():
    import mcnilib

    assert [name for name in mcnilib.__all__ if not hasattr(mcnilib, name)] == []
    assert set(mcnilib.__all__) <= set(dir(mcnilib))
    with pytest.raises(AttributeError, match="it has Settings"):
        _ = mcnilib.nothing_of_the_kind


def commands(language: str = "sh") -> list[str]:
    """List the commands in the README's blocks of one language, without comments."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return [re.sub(r"\s+#.*", "", line) for block in blocks for line in block.splitlines()]


def test_ci_runs_the_readme_s_test_command():
    (command,) = (c for c in commands() if c.startswith("uv run") and " pytest" in c)
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == command


def test_the_page_is_written_by_the_readme_s_command_and_stands_before_binder():
    from mcnilib.learner import SITE
    from mcnilib.scenarios.link import BINDER

    (command,) = (c for c in commands() if " mcni site " in c and c.endswith("--lite"))
    steps = yaml.safe_load(PAGES.read_text(encoding="utf-8"))["jobs"]["write"]["steps"]
    assert [step["run"] for step in steps if "mcni" in step.get("run", "")] == [command]
    assert [step["with"]["path"] for step in steps if "pages-artifact" in step.get("uses", "")] == [command.split()[-2]]
    assert 0 < README.index(SITE) < README.index(BINDER)


def test_the_readme_s_notebook_is_there_and_is_what_binder_opens():
    notebooks = re.findall(r"notebooks/[\w-]+\.ipynb", README)
    assert all((ROOT / name).exists() for name in notebooks)
    assert notebooks[0] == "notebooks/00-index.ipynb"
    assert f"?urlpath=lab/tree/{notebooks[0]}" in README


def test_the_readme_s_picture_is_what_is_drawn_today():
    from mcnilib.scenarios import scenario
    from mcnilib.show.picture.files import picture_data
    from mcnilib.show.picture.story_picture import plan_for

    story = scenario("macvlan-to-calico-across-nodes")
    settings = story.start()
    text = picture_data(".svg", story.world(settings), story.run(settings), plan_for(story, settings))
    assert (ROOT / "docs" / "flagship.svg").read_text(encoding="utf-8") == text, "renew it: mcni record picture"


@pytest.mark.parametrize("extra", sorted(set(re.findall(r"--extra (\w+)|\.\[(\w+)\]", README))))
def test_the_readme_s_extras_exist(extra):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "".join(extra) in project["optional-dependencies"]


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("mcni ")])
def test_the_readme_s_command_lines_are_understood(command):
    from mcnilib.cli import command_line

    assert callable(command_line().parse_args(shlex.split(command)[1:]).verb)


@pytest.mark.parametrize("program", re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE))
def test_the_readme_s_python_runs(program):
    assert run(sys.executable, "-c", program).stdout


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(((?!https?:)[^)#]+)\)", README))))
def test_the_readme_s_links_lead_somewhere(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    "package", sorted({p.name for p in (ROOT / "mcnilib").iterdir() if (p / "__init__.py").exists()})
)
def test_the_readme_names_every_package(package):
    assert f"`mcnilib/{package}/`" in README


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ci", "reason", "outcome"),
    [
        ("true", "needs Chromium", "1 passed, 1 failed, 2 error"),  # .ci/run installs it: its absence is a defect
        ("true", "this kernel has no IPIP", "1 passed, 3 skipped"),  # nothing can be installed against that
        ("false", "needs Chromium", "1 passed, 3 skipped"),
        ("", "needs Chromium", "1 passed, 3 skipped"),
    ],
)
def test_a_skip_is_a_failure_in_ci(tmp_path, ci, reason, outcome):
    skips = f"""
def test_inside(): pytest.skip({reason!r})
@pytest.mark.skip(reason={reason!r})
def test_marked(): ...
def test_done(): ...
"""
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    (tmp_path / "test_some.py").write_text(f"import pytest\n{skips}")
    (tmp_path / "test_whole.py").write_text(f"import pytest\npytest.skip({reason!r}, allow_module_level=True)\n")
    options = ("-q", "--continue-on-collection-errors", "--rootdir", tmp_path)
    done = subprocess.run(
        (sys.executable, "-m", "pytest", *options, tmp_path),
        env=os.environ | {"CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    counted = re.findall(r"\d+ (?:passed|failed|skipped|error)", done.stdout.splitlines()[-1])
    assert set(counted) == set(outcome.split(", ")), done.stdout


HOUSE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_what_the_description_of_the_house_names_is_there():
    files = re.findall(r"`((?:tests/)?[a-z][\w/]*(?:\.py|/))`", HOUSE)
    assert files
    assert [name for name in files if not any((base / name).exists() for base in (ROOT, ROOT / "mcnilib"))] == []


def test_each_question_about_the_house_is_answered_by_few_files():
    (table,) = re.findall(r"^## Where is .*?\n\n(.*?)\n\n", HOUSE, re.DOTALL | re.MULTILINE)
    opened = [re.findall(r"`[\w/]+\.py`", row) for row in table.splitlines()[2:]]
    assert all(1 <= len(files) <= 5 for files in opened)
    assert sum(map(len, opened)) <= 40
