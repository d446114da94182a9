"""The panel in a browser, with nothing but the keyboard: walking through a conversation, and a link that opens a state."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from browser.lab_page import new_page

FLAGSHIP = "07-macvlan-to-calico-across-nodes.ipynb"
STATE = "mcni=macvlan-to-calico-across-nodes&kube-proxy=1.30&be-liberal=1&restarted=yes"


@pytest.fixture(scope="module")
def panel(server, browser):
    with new_page(browser, server) as lab:
        lab.open(FLAGSHIP).run_all()
        yield lab, lab.page.locator(".jp-OutputArea:has(svg[role=img])").first


def test_the_arrow_keys_walk_through_the_conversation(panel) -> None:
    lab, shown = panel
    status = shown.locator(".mcni-stepper [role=status]")
    shown.locator(".mcni-stepper [role=slider]").focus()
    for key, says in [
        ("ArrowRight", "step 1 of"),
        ("ArrowRight", "step 2 of"),
        ("ArrowLeft", "step 1 of"),
        ("Home", "steps"),
    ]:
        lab.page.keyboard.press(key)
        expect(status).to_contain_text(says)
        expect(shown.locator("tr[aria-current=step]")).to_have_count(0 if key == "Home" else 1)
    assert lab.errors == []


def test_a_page_opened_with_a_link_shows_the_state_of_the_link(server, browser) -> None:
    with new_page(browser, server) as lab:
        lab.open(FLAGSHIP, STATE).run_all()
        verdict = lab.page.locator(".mcni-verdict").first
        expect(verdict).to_have_text(re.compile("^✓ connected"))
        assert lab.errors == []


def test_a_look_around_shows_the_namespace_that_is_chosen(server, browser) -> None:
    with new_page(browser, server) as lab:
        lab.open("00-index.ipynb").run_all()
        tour = lab.page.locator(".jp-OutputArea:has(.mcni-state):has(select)").first
        tour.get_by_label("pod kind").select_option(label="the node itself")
        tour.get_by_label("node", exact=True).select_option("node3")
        expect(tour.locator("[role=status]").first).to_contain_text("node3: the node itself")
        expect(tour.locator("h4").first).to_have_text("node3# ip -d address")
        assert lab.errors == []


def test_a_cell_of_the_conclusion_opens_its_notebook(server, browser) -> None:
    with new_page(browser, server) as lab:
        lab.open("16-conclusion.ipynb").run_all()
        with lab.page.context.expect_page() as opened:
            lab.page.get_by_role("link", name=FLAGSHIP).first.click()
        tab = opened.value
        tab.wait_for_function("window.jupyterapp?.shell?.currentWidget?.context?.path")
        assert tab.evaluate("window.jupyterapp.shell.currentWidget.context.path") == FLAGSHIP
        assert lab.errors == []


def test_each_end_of_a_conversation_that_depends_on_chance_can_be_chosen(server, browser) -> None:
    with new_page(browser, server) as lab:
        lab.open("17-your-own-cluster.ipynb").run_all()
        shown = lab.page.locator(".jp-OutputArea:has(svg[role=img])").nth(1)
        expect(shown.locator(".mcni-verdict")).to_contain_text("◐ it depends: works through 10.233.101.2 (1 of 2)")
        ends = shown.get_by_label("Drawn")
        expect(ends.locator("option")).to_have_count(2)
        expect(shown.locator("svg[role=img]")).to_contain_text("connect times out")
        ends.select_option("works through 10.233.101.2 (1 of 2)")
        expect(shown.locator("svg[role=img]")).to_contain_text("✓ connected")
        assert lab.errors == []
