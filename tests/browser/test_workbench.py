"""What a reader works with below a conversation: every machine at the moment of a step, and the exercises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, expect

from browser.accessibility import FAULTS
from browser.site_page import FLAGSHIP, SAME, SitePage, new_tab
from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.scenarios.exercise import Exercise, exercise, exercises
from mcnilib.show.explorer import View
from mcnilib.show.html.netns_state import CONNECTION_TABLE, WHERE_DECIDED

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
    expect(box.locator("output")).to_contain_text("came this far")
    check_machine(site, View(STORY, STORY.start(), 8), "mac1")


def test_a_listing_that_was_unfolded_stays_so_with_the_next_step(site):
    box = open_machines(site)
    box.get_by_role("radio", name="node1").check()
    folded = box.locator("details", has_text="node1# iptables-save -t nat").last
    folded.locator("summary").click()
    site.page.locator('article.chosen [data-move="-1"]').click()
    expect(box.locator("output")).to_contain_text("came this far")
    expect(folded.locator(".line").first).to_be_visible()


def exercise_of(site: SitePage, number: int) -> Locator:
    site.follow(LINK)
    return site.page.locator(f"article.chosen .exercise[data-number='{number}']")


def test_an_exercise_is_solved_by_keyboard_alone(site):
    form = exercise_of(site, 2)
    form.get_by_role("textbox", name="Commands").focus()
    site.page.keyboard.press("Control+Enter")
    expect(form.locator(".said")).to_contain_text("Nothing is changed yet. The conversation should work in the end")
    site.page.keyboard.type("node2: ip route get 172.16.100.2")
    site.page.keyboard.press("Control+Enter")
    expect(form.locator(".said")).to_contain_text("✘ Line 1: node2: ip route get 172.16.100.2")
    expect(form.locator("svg")).to_have_count(0)
    site.page.keyboard.press("Control+a")
    site.page.keyboard.type(exercise(7, 2).solution)
    site.page.keyboard.press("Tab")
    site.page.keyboard.press("Enter")
    expect(form.locator(".said")).to_contain_text("✔ Solved. The conversation works, as it should.")
    expect(form.locator("svg")).to_be_visible()
    expect(form.locator(".shown")).to_contain_text("+ 172.16.100.2 via 172.16.1.2 dev en0")
    expect(site.page).to_have_url(re.compile("#step=9&exercise=2&commands=node"))  # the explorer stays where it was


def test_the_machine_that_is_looked_into_is_in_the_link_and_back_goes_to_the_one_before(site):
    box = open_machines(site)
    expect(box.locator("output")).to_contain_text("node1, ")
    expect(site.page).to_have_url(re.compile("#step=9&machine="))
    box.get_by_role("radio", name=WHERE_DECIDED).check(force=True)
    box.get_by_role("radio", name="mac1 172").check(force=True)
    expect(box.locator("output")).to_contain_text("mac1, ")
    site.page.locator('article.chosen [data-move="1"]').click()
    expect(site.part("where")).to_contain_text("step 10 of 21")
    box.get_by_role("radio", name=WHERE_DECIDED).check(force=True)
    expect(box.locator("output")).to_contain_text("mac1, ")
    site.page.locator('article.chosen [data-move="-1"]').click()
    expect(box.locator("output")).to_contain_text("node1, ")
    expect(site.page).to_have_url(re.compile("#step=9&machine=where%20it%20was%20decided$"))
    box.get_by_role("radio", name="mac1 172").check(force=True)
    expect(box.locator("output")).to_contain_text("mac1, ")
    site.page.locator('article.chosen [data-move="-1"]').click()
    expect(site.part("where")).to_contain_text("step 8 of 21")
    expect(site.page).to_have_url(re.compile("#step=8&machine=mac1$"))
    site.open(site.page.url.removeprefix(site.address))  # the link alone leads here
    expect(box.get_by_role("radio", name="mac1 172")).to_be_checked()
    expect(box.locator("output")).to_contain_text("mac1, ")
    check_machine(site, View(STORY, STORY.start(), 8), "mac1")
    box.get_by_role("radio", name="all connection tables").check(force=True)
    expect(box.locator("output")).to_contain_text("The connection tables")
    site.page.go_back()
    expect(box.locator("output")).to_contain_text("mac1, ")
    expect(box.get_by_role("radio", name="mac1 172")).to_be_checked()
    box.locator("summary").first.click()
    expect(box.locator("output")).to_be_hidden()
    site.page.wait_for_function("() => !location.hash.includes('machine')")


def test_what_was_typed_is_in_the_link_and_back_goes_to_what_was_typed_before(site):
    form = exercise_of(site, 2)
    for typed, said in (("node1: ip rule", "You looked, and changed nothing"), (exercise(7, 2).solution, "✔ Solved.")):
        form.get_by_role("textbox").fill(typed)
        form.get_by_role("button", name="Run").click()
        expect(form.locator(".said")).to_contain_text(said)
    site.page.locator('article.chosen [data-move="-1"]').click()
    expect(site.part("where")).to_contain_text("step 8 of 21")
    site.open(site.page.url.removeprefix(site.address))  # the link alone leads here
    expect(form.locator(".said")).to_contain_text("✔ Solved.")
    expect(form.get_by_role("textbox")).to_have_value(exercise(7, 2).solution)
    expect(form.locator(".said")).to_be_in_viewport()
    form.get_by_role("textbox").fill("node1: ip route")
    form.get_by_role("button", name="Run").click()
    expect(form.locator(".said")).to_contain_text("You looked, and changed nothing")
    site.page.go_back()
    expect(form.locator(".said")).to_contain_text("✔ Solved.")
    expect(form.get_by_role("textbox")).to_have_value(exercise(7, 2).solution)
    site.follow(LINK)
    expect(form.locator(".said")).to_be_empty()
    expect(form.get_by_role("textbox")).to_have_value("")


BEHIND = [
    ("machine=<img src=x onerror=alert(1)>", "no network namespace '<img src=x onerror=alert(1)>'"),
    ("exercise=99&commands=node1: ip rule", "This conversation has no exercise “99”."),
    ("commands=node1: ip rule", "The address has commands, but not the exercise they are for."),
    ("step=9;alert(1)", "A step is a number, not “9;alert(1)”."),
    ("stepp=9", "“stepp” means nothing behind # of an address; there may be step, depth, against"),
    ("__proto__=9", "“__proto__” means nothing behind #"),
    ("everything=no", "“everything” is 1 or not there, not “no”."),
    ("depth=deep", "depth cannot be 'deep'"),
    ("against=mcni=x", "there is no scenario 'x'"),
    (f"step=1&commands={'x' * 5000}", "at most 4096 characters behind # are read; these are 5016."),
    ("%=%ff&step=1", "means nothing behind #"),
]


@pytest.mark.parametrize(("behind", "says"), BEHIND)
def test_an_address_that_means_nothing_is_answered_in_words(site, behind, says):
    site.follow(f"?mcni={FLAGSHIP}#{behind}")
    expect(site.page.get_by_role("alert")).to_contain_text(says)
    expect(site.part("verdict")).to_contain_text("✗ connect succeeds, then hangs")
    site.follow(LINK)
    expect(site.page.get_by_role("alert")).to_have_count(0)


def test_what_an_address_has_typed_is_carried_out_by_the_model_alone(site):
    for typed in ("<img src=x onerror=alert(1)>", "node1: import os", "node1: ip rule; reboot", "node1: $(reboot)"):
        site.follow(f"{LINK}&exercise=2&commands={quote(typed)}")
        form = site.page.locator("article.chosen .exercise[data-number='2']")
        expect(form.locator(".said")).to_contain_text(f"✘ Line 1: {typed}")
        expect(form.locator("img")).to_have_count(0)


def test_help_comes_in_steps(site):
    form = exercise_of(site, 1)
    form.locator("summary", has_text="Hint").press("Enter")
    expect(form.get_by_text(exercise(7, 1).hint)).to_be_visible()
    form.get_by_role("button", name="Show how to begin").press("Enter")
    expect(form.locator(".more p")).to_have_text("One solution is one command: node1: iptables -t raw -I PREROUTING ….")
    form.get_by_role("button", name="Show a solution").press("Enter")
    expect(form.locator(".more p").last).to_have_text(f"A solution: {exercise(7, 1).solution}")
    expect(form.locator(".typed textarea")).to_be_focused()


def test_without_javascript_the_tasks_and_hints_can_be_read(browser, address):
    with new_tab(browser, address, java_script_enabled=False) as tab:
        tab.page.goto(address)
        tasks = tab.page.locator(".exercise > p:first-of-type")
        expect(tasks).to_have_text([task.task.replace("`", "") for task in sorted(exercises(), key=order)])
        expect(tab.page.locator(".exercise").first).to_be_visible()
        assert not any(one.is_visible() for one in tab.page.locator(".exercise :is(button, textarea), .machines").all())


def order(task: Exercise) -> tuple[int, int]:
    """Return where an exercise stands in the page."""
    return [story.name for story in all_scenarios()].index(task.story.name), task.number


@pytest.mark.parametrize(("scheme", "size"), [("light", (1280, 720)), ("dark", (390, 844))])
def test_axe_finds_no_fault_in_machines_and_exercises(site, axe, scheme, size):
    open_machines(site)
    form = site.page.locator("article.chosen .exercise[data-number='3']")
    form.get_by_role("textbox").fill("node1: ip rule\nnode1: iptables -D KUBE-FORWARD 1")
    form.get_by_role("button", name="Run").click()
    expect(form.locator(".said")).to_contain_text("✔ Solved.")
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
