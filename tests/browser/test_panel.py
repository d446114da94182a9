"""The panel in a browser, with nothing but the keyboard: walking through a conversation, and a link that opens a state."""

from __future__ import annotations

import re

import nbformat
import pytest
from playwright.sync_api import expect

from browser.accessibility import FAULTS
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


def test_stepper_verdict_and_picture_fit_into_the_window(panel) -> None:
    lab, shown = panel
    lab.page.set_viewport_size({"width": 1440, "height": 900})
    verdict, stepper, picture = (
        shown.locator(s).bounding_box() for s in (".mcni-verdict", ".mcni-stepper", "svg[role=img]")
    )
    assert verdict["y"] < stepper["y"] < picture["y"]
    assert picture["y"] + picture["height"] - verdict["y"] < 780  # what JupyterLab leaves of 900


def test_settings_that_matter_less_are_there_when_they_are_asked_for(panel) -> None:
    _, shown = panel
    more, label = shown.locator("button.mcni-more"), shown.get_by_text("node rp_filter", exact=True)
    expect(more).to_have_attribute("aria-expanded", "false")
    expect(label).to_be_hidden()
    more.click()
    expect(more).to_have_attribute("aria-expanded", "true")
    expect(label).to_be_visible()


def test_keys_stay_in_the_panel_and_a_group_is_one_stop(panel) -> None:
    lab, shown = panel
    active = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    shown.locator(".mcni-verdict").click()
    before = lab.page.evaluate(active)
    group = shown.locator("[role=radiogroup]").filter(has_text="protocol")
    group.locator("[role=radio][aria-checked=true]").focus()
    for key, chosen in (("ArrowRight", "UDP"), ("ArrowDown", "ICMP"), ("ArrowDown", "TCP"), ("ArrowLeft", "ICMP")):
        lab.page.keyboard.press(key)
        expect(group.locator("[role=radio][aria-checked=true]")).to_have_text(chosen)
        expect(group.locator(":focus")).to_have_text(chosen)
    lab.page.keyboard.press("Home")
    lab.page.keyboard.press("ArrowRight")
    assert lab.page.evaluate(active) == before
    lab.page.keyboard.press("Tab")
    expect(group.locator(":focus")).to_have_count(0)
    lab.page.keyboard.press("Shift+Tab")
    expect(group.locator(":focus")).to_have_text("TCP")
    assert lab.errors == []


def test_everything_in_a_panel_has_a_name(panel, axe) -> None:
    lab, _ = panel
    lab.page.evaluate(axe)
    assert lab.page.evaluate(FAULTS.replace("(document", "('.mcni-panel'")) == []


def test_the_link_is_one_of_this_server_and_can_be_copied(panel) -> None:
    lab, shown = panel
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    link = f"http://127.0.0.1:{lab.server.port}/lab/tree/{FLAGSHIP}?mcni=macvlan-to-calico-across-nodes"
    field = shown.get_by_label("link to this state; paste another one to open it")
    expect(field).to_have_value(re.compile(f"^{re.escape(link)}"))
    shown.get_by_role("button", name="copy link").click()
    expect(shown.get_by_text("copied")).to_be_visible()
    assert lab.page.evaluate("navigator.clipboard.readText()") == field.input_value()


def test_two_runs_stand_beside_each_other_and_can_be_read(panel) -> None:
    lab, _ = panel
    lab.page.set_viewport_size({"width": 1440, "height": 900})
    first, second = lab.page.locator(".mcni-side").all()
    assert first.bounding_box()["x"] < second.bounding_box()["x"]
    assert min(text.font_size for text in lab.texts(".mcni-side svg[role=img]")) >= 11
    for side in (first, second):
        assert (
            side.locator("svg[role=img]").bounding_box()["width"] >= 366
        )  # its natural size, in which letters have 11 px


def test_the_cells_of_the_conclusion_are_one_stop_with_arrow_keys_inside(server, browser, axe) -> None:
    with new_page(browser, server) as lab:
        lab.open("16-conclusion.ipynb").run_all()
        table = lab.page.locator(".mcni-table").first
        expect(table.locator("button[tabindex='0']")).to_have_count(1)
        table.locator("button[tabindex='0']").focus()
        before = table.locator(":focus").bounding_box()
        lab.page.keyboard.press("ArrowRight")
        right = table.locator(":focus").bounding_box()
        assert (right["y"], right["x"] > before["x"]) == (before["y"], True)
        lab.page.keyboard.press("ArrowDown")
        below = table.locator(":focus").bounding_box()
        assert (below["x"], below["y"] > right["y"]) == (right["x"], True)
        lab.page.evaluate(axe)
        assert lab.page.evaluate(FAULTS.replace("(document", "('.mcni-panel'")) == []
        assert lab.errors == []


def test_a_panel_is_enlarged_alone(server, browser) -> None:
    cell = "from mcnilib import explore, scenario\nexplore(scenario('6'), {})"
    cells = [nbformat.v4.new_code_cell(cell.format(size)) for size in ("scale=1.6", "")]
    with new_page(browser, server) as lab:
        lab.page.set_viewport_size({"width": 1900, "height": 1600})
        lab.open(lab.save("two.ipynb", *cells)).run_all()
        sizes = "nodes => nodes.map(node => parseFloat(getComputedStyle(node).fontSize))"
        for selector in (".mcni-verdict", ".mcni-settings button >> nth=0", ".mcni-steps"):
            large, small = (
                panel.locator(selector).evaluate_all(sizes)[0] for panel in lab.page.locator(".mcni-panel").all()
            )
            assert large == pytest.approx(1.6 * small)
        widths = [picture.bounding_box()["width"] for picture in lab.page.locator("svg[role=img]").all()]
        assert widths[0] > widths[1]


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
        expect(tour.locator("summary").first).to_contain_text("node3# ip -d address")
        expect(tour.locator("details[open] summary")).to_contain_text("node3# ip rule")
        assert lab.errors == []


def test_the_first_picture_plays_up_to_the_drop_unless_less_motion_is_asked_for(server, browser) -> None:
    with new_page(browser, server) as lab:
        lab.open("00-index.ipynb").run_all()
        player = lab.page.locator(".mcni-player")
        player.locator(".picture").scroll_into_view_if_needed()
        said = player.locator("output")
        expect(said).to_contain_text("step 2 of 9: 1 SYN")
        player.get_by_role("button", name="pause").press("Enter")
        player.get_by_label("step", exact=True).press("End")
        expect(said).to_contain_text("step 9 of 9: 3 ACK, node1: filter KUBE-FORWARD: dropped")
        player.get_by_role("button", name="whole").press("Enter")
        expect(said).to_contain_text("connect succeeds, then hangs")
        lab.page.emulate_media(reduced_motion="reduce")
        lab.run_all()
        player.locator(".picture").scroll_into_view_if_needed()
        lab.page.wait_for_timeout(2500)
        expect(said).to_contain_text("connect succeeds, then hangs")
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
