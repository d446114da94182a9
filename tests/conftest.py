"""What all tests share: under CI=true a missing prerequisite is a failure, not a skip."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

HERE = Path(__file__).parent
BROWSER = HERE / "browser"

EXCUSE = "this kernel"
"""A skip whose reason contains these words stays a skip in CI: no package can be installed to repair it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this project's tests."""
    what = "write down where the texts of the pictures stand, after looking at them"
    parser.addoption("--write-structures", action="store_true", help=what)
    what = "only what needs no kernel, no browser and no notebook, and is not slow: a minute on two cores"
    parser.addoption("--quick", action="store_true", help=what)
    what = (
        "where the tests of the kernel that take the fixture `worker` run: user-mode Linux, not this machine's kernel"
    )
    parser.addoption("--kernel", choices=["uml"], help=what)


LEFT_OUT = {"kernel", "browser", "notebook", "slow"}
"""Marks of what the quick selection leaves out."""


def pytest_configure(config: pytest.Config) -> None:
    """Let no example fail for its time; let the quick selection draw fewer examples."""
    os.environ["LANGUAGE"] = "en"  # what is expected is English, on every developer's machine
    quick = config.getoption("quick")
    hypothesis.settings.register_profile("mcnilib", deadline=None, max_examples=25 if quick else 100)
    hypothesis.settings.load_profile("mcnilib")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep the quick selection from loading what drives a browser."""
    return True if config.getoption("quick") and collection_path == BROWSER else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the quick selection has no time for."""
    if config.getoption("quick"):
        chosen = [item for item in items if not LEFT_OUT & {mark.name for mark in item.iter_markers()}]
        config.hook.pytest_deselected(items=[item for item in items if item not in {*chosen}])
        items[:] = chosen


def in_ci() -> bool:
    """Tell whether the run is one of CI, where everything the tests need has to be there."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def _unexcused(report: pytest.TestReport | pytest.CollectReport) -> bool:
    return in_ci() and report.skipped and not hasattr(report, "wasxfail") and EXCUSE not in _reason(report)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    report.longrepr = f"skipped, but CI=true: {_reason(report)}"
    report.outcome = "failed"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if _unexcused(report):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if _unexcused(report):
        _fail(report)
    return report
