"""The page of the conclusion in a browser: from a cell to its conversation, with and without scripts, on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from browser.accessibility import FAULTS
from browser.site_page import FLAGSHIP, READY, new_tab

HANGS = "across nodes ✗ hangs"


def test_a_cell_leads_to_its_conversation(browser, address):
    with new_tab(browser, address) as tab:
        tab.page.goto(f"{address}conclusion.html")
        tab.page.locator("table.conclusion").get_by_role("link", name=f"{HANGS} ≠").click()
        tab.page.wait_for_function(READY)
        expect(tab.part("verdict")).to_contain_text("✗ connect succeeds, then hangs")
        expect(tab.page.locator("article.chosen")).to_have_id("macvlan-to-multi-nic")
        tab.page.wait_for_function("() => location.search.includes('placement=across%20nodes') && !location.hash")
        assert (tab.errors, tab.foreign) == ([], [])


def test_without_javascript_a_cell_leads_to_how_its_conversation_starts(browser, address):
    with new_tab(browser, address, java_script_enabled=False) as tab:
        tab.page.goto(f"{address}conclusion.html")
        tab.page.locator("table.conclusion").get_by_role("link", name=HANGS, exact=True).click()
        expect(tab.page.locator(f"#{FLAGSHIP} h2")).to_be_in_viewport()


@pytest.mark.parametrize(("scheme", "size"), [("light", (1280, 720)), ("dark", (390, 844)), ("dark", (1440, 900))])
def test_axe_finds_no_fault_and_nothing_is_cut_off(browser, address, axe, scheme, size):
    with new_tab(browser, address, bypass_csp=True, color_scheme=scheme) as tab:
        tab.page.set_viewport_size({"width": size[0], "height": size[1]})
        tab.page.goto(f"{address}conclusion.html")
        tab.page.evaluate(axe)
        assert tab.page.evaluate(FAULTS) == []
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for cell in tab.page.locator("table.conclusion .fate").all():
            box = cell.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= size[0]
        assert tab.errors == []
