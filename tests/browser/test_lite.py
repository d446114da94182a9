"""JupyterLite from the site, with no other host to ask: a notebook runs, and its panel lives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from browser.conftest import NOTEBOOKS
from browser.site_page import SitePage, new_tab, served_site

PATIENCE = 120_000
"""Milliseconds the interpreter may take to start and to load the panels; on an idle machine it is 8,000."""


@pytest.fixture(scope="module")
def lite(tmp_path_factory) -> Iterator[str]:
    with served_site(tmp_path_factory.mktemp("lite") / "public", NOTEBOOKS, lite=True) as address:
        yield address


@pytest.fixture
def opened(browser, lite, request) -> Iterator[SitePage]:
    """Open a notebook and run all its cells."""
    with new_tab(browser, lite) as tab:
        tab.page.set_default_timeout(PATIENCE)
        tab.page.goto(f"{lite}lite/lab/index.html?path={request.param}.ipynb")
        expect(tab.page.get_by_text("Python (Pyodide) | Idle")).to_be_visible(timeout=PATIENCE)
        tab.page.get_by_role("menuitem", name="Run", exact=True).click()
        tab.page.get_by_text("Run All Cells", exact=True).click()
        yield tab
        assert tab.page.locator("[data-mime-type='application/vnd.jupyter.error']").all_inner_texts() == []
        assert tab.foreign == []


@pytest.mark.parametrize("opened", ["07-macvlan-to-calico-across-nodes"], indirect=True)
def test_a_notebook_runs_and_its_panel_lives(opened):
    panel = opened.page.locator(".jp-OutputArea:has(.mcni-stepper)").first
    verdict = panel.locator(".mcni-verdict").first
    expect(verdict).to_contain_text("connect succeeds, then hangs", timeout=PATIENCE)
    expect(panel.locator("svg[role=img]").first).to_be_visible()
    panel.get_by_text("UDP", exact=True).first.click()
    expect(verdict).to_contain_text("✓ connected", timeout=PATIENCE)


@pytest.mark.parametrize("opened", ["00-index"], indirect=True)
def test_the_first_notebook_runs_to_its_end_without_matplotlib(opened):
    """Its map of the cluster, which elsewhere is a picture, is there in words."""
    expect(opened.page.locator(".mcni-stepper").first).to_be_attached(timeout=PATIENCE)
    opened.page.get_by_role("heading", name="The cluster", exact=True).scroll_into_view_if_needed()
    expect(opened.page.get_by_text("lan-172.16: ").first).to_be_visible()
