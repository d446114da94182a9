"""What all tests share: under CI=true a missing prerequisite is a failure, not a skip."""

from __future__ import annotations

import os

import pytest

EXCUSE = "this kernel"
"""A skip whose reason contains these words stays a skip in CI: no package can be installed to repair it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this project's tests."""
    what = "write down where the texts of the pictures stand, after looking at them"
    parser.addoption("--write-structures", action="store_true", help=what)


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
