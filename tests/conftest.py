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


LEFT_OUT = {"kernel", "browser", "notebook", "slow"}
"""Marks of what the quick selection leaves out."""


def pytest_configure(config: pytest.Config) -> None:
    """Let no example fail for its time; let the quick selection collect no notebook, and draw fewer examples."""
    os.environ["LANGUAGE"] = "en"  # what is expected is English, on every developer's machine
    quick = config.getoption("quick")
    if quick:
        config.option.nbval = config.option.nbval_lax = False
    hypothesis.settings.register_profile("mcnilib", deadline=None, max_examples=25 if quick else 100)
    hypothesis.settings.load_profile("mcnilib")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep the quick selection from loading what drives a browser."""
    return True if config.getoption("quick") and collection_path == BROWSER else None


ALONE = ("tests/browser/", "tests/kernel/")
"""Folders whose tests one of several workers (`-n`) runs in turn; other files are whole."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Share the tests among several workers so that what drives a browser, and what asks the kernel, is done in turn."""
    from xdist.scheduler import LoadScopeScheduling

    class Rooms(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return next((folder for folder in ALONE if file.startswith(folder)), file)

    return Rooms(config, log)


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


def pytest_terminal_summary(terminalreporter) -> None:
    """Say what renews committed outputs, when a cell said something else."""
    failed = terminalreporter.stats.get("failed", [])
    if any(report.nodeid.partition("::")[0].endswith(".ipynb") for report in failed):
        terminalreporter.write_line(
            "Where a cell rightly says something else now, renew its notebook: mcni record notebooks"
        )


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if _unexcused(report):
        _fail(report)
    return report
