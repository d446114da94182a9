"""One JupyterLab server and one Chromium for the tests of this folder; a fresh page for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from browser.accessibility import axe_script
from browser.lab_page import LabPage, new_page
from browser.server import LabServer, lab_server
from browser.site_page import NOTEBOOKS, PAGES, served_site
from mcnilib.scenarios import all_scenarios
from mcnilib.scenarios.scenario import neighbours
from mcnilib.site.prepared import MOST_STATES

ONE_CHANGE = 1 + max(len(list(neighbours(story, story.start()))) for story in all_scenarios())
"""States of a scenario that are prepared in most tests: at least those one change from its start."""

SWITCHES = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")
            item.add_marker(pytest.mark.flaky(reruns=1))  # busy machines lose a key or a click; the report counts them


@pytest.fixture(scope="package")
def server(tmp_path_factory) -> Iterator[LabServer]:
    """Run JupyterLab on a copy of notebooks/; a test may put notebooks of its own into `server.root`."""
    root = tmp_path_factory.mktemp("notebooks")
    if NOTEBOOKS.exists():
        shutil.copytree(NOTEBOOKS, root, dirs_exist_ok=True)
    with lab_server(root, tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Start headless Chromium, once; it ends with the last test of this folder, and playwright's event loop with it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium: apt install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        yield started
        started.close()


@pytest.fixture(scope="package")
def address(request, tmp_path_factory) -> Iterator[str]:
    """Write the site and serve it; return where. To measure speed as much is prepared as `mcni site` prepares."""
    folder = tmp_path_factory.mktemp("site") / "public"
    most = MOST_STATES if request.config.getoption("benchmark_enable") else ONE_CHANGE
    with served_site(folder, NOTEBOOKS, most=most) as address:
        assert {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.html")} == {*PAGES}
        yield address


@pytest.fixture(scope="package")
def axe(tmp_path_factory) -> str:
    """Return the script of axe-core."""
    return axe_script(tmp_path_factory.mktemp("axe"))


@pytest.fixture
def lab(server, browser) -> Iterator[LabPage]:
    """Return a fresh page, with nothing remembered from the test before."""
    with new_page(browser, server) as page:
        yield page
