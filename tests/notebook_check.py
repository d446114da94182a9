"""The check that each cell of each notebook says what is committed: with nbval, whose name and options are only here.

A pytest plugin, loaded by the conftest.py of the project, so that `pytest` and `pytest notebooks` check them alike.
What another comparator in the place of nbval has to do is in CONTRIBUTING.md; may_differ.cfg, the mark `notebook`, the
teeth in tests/project/test_notebooks.py and `mcni record notebooks` stay as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MAY_DIFFER = Path(__file__).parent / "may_differ.cfg"
"""What may differ between two runs: sections with a `regex` and what to `replace` it with. `mcni record` reads it too."""

OPTIONS: dict[str, bool | str] = {"nbval": True, "nbval_current_env": True, "nbval_sanitize_with": str(MAY_DIFFER)}
"""Compare every output, in this environment, after the replacements."""

MISMATCH = "mismatch"
"""What the report of a cell that says something else contains."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Collect notebooks, unless only the quick selection was asked for."""
    asked = not config.getoption("quick", default=False)
    vars(config.option).update(OPTIONS if asked else dict.fromkeys(OPTIONS, False))


def is_cell(nodeid: str) -> bool:
    """Tell whether a test is a cell of a notebook."""
    return nodeid.partition("::")[0].endswith(".ipynb")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each cell as what it is, so that `-m notebook` finds all that executes notebooks."""
    for item in items:
        if is_cell(item.nodeid):
            item.add_marker("notebook")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what renews committed outputs, when a cell said something else."""
    if any(is_cell(report.nodeid) for report in terminalreporter.stats.get("failed", [])):
        terminalreporter.write_line(
            "Where a cell rightly says something else now, renew its notebook: mcni record notebooks"
        )


def check_command(notebook: Path, root: Path) -> tuple[str, ...]:
    """Return the command that checks one notebook in a pytest of its own, which ends with 1 at a mismatch."""
    pytest_alone = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-c", "/dev/null")
    return (*pytest_alone, "--rootdir", str(root), *_written_out(), str(notebook))


def _written_out() -> Iterator[str]:
    """Yield the options as they are typed."""
    for name, value in OPTIONS.items():
        yield f"--{name.replace('_', '-')}"
        if value is not True:
            yield str(value)
