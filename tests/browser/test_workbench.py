"""What a reader works with below a conversation: every machine at the moment of a step, and the exercises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from browser.accessibility import FAULTS
from browser.site_page import FLAGSHIP, SAME, SitePage, new_tab
from mcnilib.scenarios import scenario
from mcnilib.show.explorer import View
from mcnilib.show.html.netns_state import CONNECTION_TABLE

STORY = scenario(FLAGSHIP)
AT_THE_DROP = View(STORY, STORY.start(), 9)
LINK = f"?mcni={FLAGSHIP}#step=9"


@pytest.fixture(scope="module")
def site(browser, address) -> Iterator[SitePage]:
    with new_tab(browser, address) as tab:
        yield tab.open(LINK)
        assert tab.errors == []
        assert tab.foreign == []


def machines(site: SitePage) -> Locator:
    return site.page.locator("article.chosen .machines")


def check_machine(site: SitePage, view: View, who: str) -> None:
    """Insist that what is seen of a machine is what the model says here."""
    shown, box = view.machine(who), machines(site)
    expect(box.locator("output")).to_have_text(shown["about"])
    assert box.locator(".connections").evaluate(SAME, shown["connections"])
    assert box.locator(".machine").evaluate(SAME, shown["state"])


def open_machines(site: SitePage) -> Locator:
    site.follow(LINK)
    expect(site.part("where")).to_contain_text("step 9 of 21")
    box = machines(site)
    if box.locator("details").first.get_attribute("open") is None:
        box.locator("summary").first.focus()
        site.page.keyboard.press("Enter")
    box.get_by_role("radio", name="where it was decided").check()
    return box


def test_the_machine_of_the_step_is_opened_with_the_deciding_line_in_sight(site):
    box = open_machines(site)
    expect(box.locator("output")).to_contain_text("node1, 172.16.1.2, after packet 3.")
    check_machine(site, AT_THE_DROP, "")
    box.locator(".machine").evaluate("panel => panel.scrollIntoView()")
    line = box.locator(".machine .decided")
    expect(line).to_contain_text("-m conntrack --ctstate INVALID -j DROP")
    expect(line).to_be_in_viewport()


def test_every_machine_can_be_chosen_with_the_arrow_keys_and_follows_the_steps(site):
    box = open_machines(site)
    box.get_by_role("radio", name="where it was decided").focus()
    site.page.keyboard.press("ArrowDown")
    expect(box.locator("output")).to_contain_text("The connection tables of all machines")
    check_machine(site, AT_THE_DROP, CONNECTION_TABLE)
    for name in ("node1", "mac1"):
        site.page.keyboard.press("ArrowDown")
        expect(box.locator("output")).to_contain_text(f"{name}, ")
    check_machine(site, AT_THE_DROP, "mac1")
    site.page.locator('article.chosen [data-move="-1"]').click()
    expect(site.part("where")).to_contain_text("step 8 of 21")
    expect(box.locator("output")).to_contain_text("after step")
    check_machine(site, View(STORY, STORY.start(), 8), "mac1")


def test_a_listing_that_was_unfolded_stays_so_with_the_next_step(site):
    box = open_machines(site)
    box.get_by_role("radio", name="node1").check()
    folded = box.locator("details", has_text="node1# iptables-save -t nat").last
    folded.locator("summary").click()
    site.page.locator('article.chosen [data-move="-1"]').click()
    expect(box.locator("output")).to_contain_text("after step")
    expect(folded.locator(".line").first).to_be_visible()


@pytest.mark.parametrize(("scheme", "size"), [("light", (1280, 720)), ("dark", (390, 844))])
def test_axe_finds_no_fault_in_the_machines(site, axe, scheme, size):
    open_machines(site)
    expect(machines(site).locator("output")).to_contain_text("node1, ")
    site.page.set_viewport_size({"width": size[0], "height": size[1]})
    site.page.emulate_media(color_scheme=scheme)
    site.page.evaluate(axe)
    try:
        assert site.page.evaluate(FAULTS) == []
        assert site.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    finally:
        site.page.set_viewport_size({"width": 1280, "height": 720})
        site.page.emulate_media(color_scheme="light")
