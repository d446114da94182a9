"""What pytest loads wherever it is started in this project: the check of the notebooks, and how workers share tests."""

from __future__ import annotations

import pytest

pytest_plugins = ("notebook_check",)

ALONE = ("tests/kernel/test_uml", "tests/browser/", "tests/kernel/")
"""Folders whose tests one of several workers (`-n`) runs in turn; other files are whole, and what waits for a build."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Share the tests so that one worker drives the browser, one asks the kernel, and a notebook stays whole."""
    from xdist.scheduler import LoadScopeScheduling

    class Rooms(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return next((folder for folder in ALONE if file.startswith(folder)), file)

    return Rooms(config, log)
