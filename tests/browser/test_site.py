"""The site in a browser: what the model says there is what it says here, and nothing is asked of another host."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from browser.accessibility import FAULTS
from browser.site_page import FLAGSHIP, NOTEBOOKS, PAGES, SAME, SitePage, new_tab
from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.scenarios.exercise import exercise
from mcnilib.scenarios.scenario import neighbours
from mcnilib.show.explorer import View, answer_json, print_view
from mcnilib.show.picture.story_picture import EVERYTHING
from mcnilib.site.lessons import compared, read_lessons
from mcnilib.trace.explain import tell

ASK = """async views => {
  const { ask } = await import("/engine.js");
  return Promise.all(views.map(view => ask("view", view)));
}"""
PREPARED = """async states => {
  const { fetchPrepared, prepared } = await import("/prepared.js");
  await Promise.all(states.map(([name]) => fetchPrepared(name)));
  return states.map(([name, values]) => prepared(name, values, { step: 0, depth: "hops" }) ?? null);
}"""
MOST_BYTES = 8_000_000


@pytest.fixture(scope="module")
def site(browser, address) -> Iterator[SitePage]:
    with new_tab(browser, address) as tab:
        yield tab.open()
        assert tab.errors == []
        assert tab.foreign == []


def test_a_setting_changes_what_is_seen_and_the_link(site):
    start = scenario(FLAGSHIP).start()
    site.follow()
    chosen = site.page.locator("article.chosen")
    chosen.get_by_label("kube-proxy version").select_option("1.30")
    expect(site.part("compared")).to_contain_text("Changed: kube-proxy version from 1.28 to 1.30. ")
    site.check(View(scenario(FLAGSHIP), start.but(kube_proxy="1.30")))
    for label in ("nf_conntrack_tcp_be_liberal", "kube-proxy restarted since"):
        chosen.get_by_role("group", name=label).get_by_role("radio").nth(0).focus()
        site.page.keyboard.press("ArrowRight")
        expect(site.part("compared")).to_contain_text(f"Changed: {label}")
    expect(site.part("verdict")).to_contain_text("✓ connected")
    expect(site.part("compared")).to_contain_text("It was: ✗ connect succeeds, then hangs")
    site.check(View(scenario(FLAGSHIP), start.but(kube_proxy="1.30", be_liberal=True, restarted=True)))
    site.page.go_back()
    expect(site.part("verdict")).to_contain_text("✗ connect succeeds, then hangs")
    site.check(View(scenario(FLAGSHIP), start.but(kube_proxy="1.30", be_liberal=True)))


def test_the_arrow_keys_walk_through_the_conversation_and_the_link_keeps_the_step(site):
    site.open(f"?mcni={FLAGSHIP}#step=8")
    expect(site.part("where")).to_contain_text("step 8 of 21")
    assert site.page.evaluate("scrollY") == 0  # the table shows its row; the page stays where it is
    site.page.locator("body").press("ArrowRight")
    expect(site.part("where")).to_contain_text("step 9 of 21: 3 ACK, node1: filter KUBE-FORWARD: dropped")
    expect(site.page).to_have_url(re.compile("#step=9$"))
    site.check(View(scenario(FLAGSHIP), scenario(FLAGSHIP).start(), 9))
    site.page.get_by_role("button", name="whole").click()
    expect(site.part("where")).to_have_text("21 steps")


def test_the_time_axis_has_every_packet_at_its_time_and_leads_to_its_steps(site):
    story = scenario(FLAGSHIP)
    trace = story.run(story.start())
    site.follow(f"?mcni={FLAGSHIP}")
    marks = site.part("times").get_by_role("button")
    expect(marks).to_have_count(len(trace.journeys))
    left = [mark.bounding_box()["x"] for mark in marks.all()]
    assert left == sorted(left)
    for journey, mark in zip(trace.journeys, marks.all(), strict=True):
        assert ("again" in mark.get_attribute("class")) is bool(journey.retransmission_of)
        assert f"at {round(journey.time, 3):g} s: {journey.fate.value}" in mark.get_attribute("aria-label")
    marks.nth(8).click()
    expect(site.part("where")).to_contain_text("step 17 of 21: 9 data (retransmit of 4)")
    expect(marks.nth(8)).to_have_attribute("aria-current", "step")
    site.page.keyboard.press("ArrowLeft")
    expect(site.part("where")).to_contain_text(
        "step 16 of 21: 8 ACK, node1: filter KUBE-FORWARD: dropped"
    )  # a lost one to its loss
    expect(marks.nth(7)).to_be_focused()
    site.page.keyboard.press("Home")
    expect(site.part("where")).to_contain_text("step 1 of 21: 1 SYN")
    assert site.part("times").locator("button[tabindex='0']").count() == 1  # one stop of the Tab key


def test_a_conversation_is_played_to_its_end_waits_as_long_as_it_did_and_can_be_paused(site):
    site.follow(f"?mcni={FLAGSHIP}#step=16")  # then packet 9, at 1.4 s; packet 10 leaves at 3 s
    expect(site.part("where")).to_contain_text("step 16 of 21")
    controls = site.page.locator("article.chosen .stepper")
    controls.get_by_role("button", name="play").click()
    expect(controls.get_by_role("button", name="pause")).to_be_focused()
    expect(site.part("where")).to_have_attribute("aria-live", "off")
    expect(site.part("times").locator(".waiting")).to_have_count(1)
    expect(site.part("where")).to_contain_text("step 18 of 21: 10 SYN-ACK (retransmit of 2)")
    site.page.keyboard.press("Escape")
    expect(controls.get_by_role("button", name="play")).to_be_visible()
    expect(site.part("where")).to_have_attribute("aria-live", "polite")
    site.part("speed").select_option("4×")
    controls.get_by_role("button", name="play").click()
    expect(site.part("where")).to_contain_text("step 21 of 21")
    expect(controls.get_by_role("button", name="play")).to_be_visible()
    expect(site.page).to_have_url(re.compile("#step=21$"))


def test_nothing_moves_by_itself_for_those_who_asked_for_less_motion(site):
    site.page.emulate_media(reduced_motion="reduce")
    try:
        site.follow(f"?mcni={FLAGSHIP}#step=5")
        expect(site.part("where")).to_contain_text("step 5 of 21")
        expect(site.part("speed")).to_be_hidden()
        site.page.locator("article.chosen").get_by_role("button", name="packet", exact=False).first.click()
        expect(site.part("where")).to_contain_text("step 8 of 21: 3 ACK")
        site.page.wait_for_timeout(1500)
        expect(site.part("where")).to_contain_text("step 8 of 21: 3 ACK")
    finally:
        site.page.emulate_media(reduced_motion="no-preference")


def test_two_states_stand_side_by_side_and_the_link_holds_both(site):
    story, start = scenario(FLAGSHIP), scenario(FLAGSHIP).start()
    site.open(f"?mcni={FLAGSHIP}")
    chosen = site.page.locator("article.chosen")
    chosen.get_by_role("button", name="compare with this state").click()
    expect(site.part("name-b")).to_have_text("B: still the same; change a setting")
    chosen.get_by_label("kube-proxy version").select_option("1.30")
    expect(site.part("told")).to_contain_text("Every packet goes the same way to the same end in both.")
    for label in ("nf_conntrack_tcp_be_liberal", "kube-proxy restarted since"):
        chosen.get_by_role("group", name=label).get_by_role("radio").nth(1).check(force=True)
        expect(site.part("name-b")).to_contain_text(label)
    expect(site.part("told")).to_contain_text("They part at packet 3 (ACK): in A it is dropped on node1")
    expect(site.part("name-a")).to_have_text(
        "A: kube-proxy version 1.28, nf_conntrack_tcp_be_liberal 0, kube-proxy restarted since no"
    )
    view = View(story, start.but(kube_proxy="1.30", be_liberal=True, restarted=True), narrow=True, against=start)
    for again in (False, True):
        if again:
            site.open(site.page.url.removeprefix(site.address))  # the link alone leads here
        site.check(view)
        assert site.part("picture-a").evaluate(SAME, view.answer()["against"]["picture"])
    lefts = [site.part(name).bounding_box()["x"] for name in ("picture-a", "picture")]
    assert lefts[0] + 380 < lefts[1]
    chosen.get_by_role("button", name="end the comparison").click()
    expect(site.part("picture-a")).to_be_hidden()
    site.check(replace(view, narrow=False, against=None))


def test_the_switch_shows_what_other_settings_use_with_each_toggle_and_in_the_link(site):
    story = scenario(FLAGSHIP)
    site.open(f"?mcni={FLAGSHIP}")
    chosen = site.page.locator("article.chosen")
    switch = chosen.get_by_role("checkbox", name=EVERYTHING)
    expect(site.part("picture").get_by_text("gateway", exact=True)).to_have_count(0)
    switch.focus()
    site.page.keyboard.press("Space")
    expect(site.part("picture").get_by_text("gateway", exact=True)).to_be_visible()
    expect(site.page).to_have_url(re.compile("#everything=1$"))
    site.page.keyboard.press("ArrowRight")
    expect(site.part("where")).to_contain_text("step 1 of 21")
    chosen.get_by_label("kube-proxy version").select_option("1.30")
    view = View(story, story.start().but(kube_proxy="1.30"), 1, everything=True)
    site.check(view)
    site.open(site.page.url.removeprefix(site.address))  # the link alone leads here
    site.check(view)
    expect(switch).to_be_checked()
    site.page.get_by_role("combobox", name="Conversation").select_option("macvlan-to-calico-across-subnets")
    expect(chosen.get_by_role("checkbox", name=EVERYTHING)).to_be_disabled()  # nothing is left out there


def test_a_change_stays_at_the_packet_that_is_looked_at(site):
    site.follow(f"?mcni={FLAGSHIP}#step=9")
    expect(site.part("where")).to_contain_text("step 9 of 21: 3 ACK, node1: filter KUBE-FORWARD: dropped")
    site.part("depth").select_option("decisions")
    expect(site.part("where")).to_contain_text(
        re.compile(r"step \d+ of \d\d\d?: 3 ACK, node1: filter KUBE-FORWARD: dropped")
    )
    site.page.locator("article.chosen").get_by_label("kube-proxy version").select_option("1.30")
    expect(site.part("compared")).to_contain_text("Changed: kube-proxy version")
    expect(site.part("where")).to_contain_text(": 3 ACK, node1: filter KUBE-FORWARD: dropped")
    site.part("depth").select_option("outcome")
    expect(site.part("where")).to_contain_text(": 3 ACK, node1: filter KUBE-FORWARD: dropped")
    site.page.locator("article.chosen").get_by_role("group", name="protocol").get_by_text("ICMP", exact=True).click()
    expect(site.part("where")).not_to_contain_text("3 ACK")


def test_a_screen_reader_hears_the_outcome_then_the_packets_in_order_and_no_scattered_words(site):
    site.follow(f"?mcni={FLAGSHIP}")
    story = scenario(FLAGSHIP)
    first, *more = tell(story.run(story.start()))
    image = site.part("picture").get_by_role("img")
    expect(image).to_have_accessible_name(first)
    expect(image).to_have_accessible_description(" ".join(" ".join(more).split()))
    shown = site.part("picture").aria_snapshot()
    assert shown.count("img") == 1 and "text:" not in shown  # nothing in it is read by itself
    packets = [int(line.partition(" ")[0]) for line in more if line[0].isdigit()]
    trace = story.run(story.start())
    assert packets == sorted(packets) and len(packets) == len(trace.journeys) - len(
        trace.folded
    )  # sent again: one line


def test_the_arrow_keys_walk_from_the_picture_too_where_there_is_nothing_to_scroll(site):
    site.follow(f"?mcni={FLAGSHIP}#step=3")
    expect(site.part("where")).to_contain_text("step 3 of 21")
    site.part("picture").focus()
    site.page.keyboard.press("ArrowRight")
    expect(site.part("where")).to_contain_text("step 4 of 21")


def test_on_a_phone_the_step_buttons_stay_beside_the_loss_and_no_row_of_the_table_is_cut(browser, address):
    with new_tab(browser, address) as tab:
        tab.page.set_viewport_size({"width": 390, "height": 844})
        tab.open(f"?mcni={FLAGSHIP}#step=9")
        expect(tab.part("where")).to_contain_text("step 9 of 21")
        picture = tab.part("picture").get_by_role("img")
        assert picture.bounding_box()["height"] <= 784
        tab.part("picture").evaluate("picture => scrollTo(0, picture.getBoundingClientRect().top - 50)")
        expect(tab.page.locator("article.chosen").get_by_role("button", name="step ▶")).to_be_in_viewport(ratio=1)
        expect(picture.locator("text", has_text="KUBE-FORWARD").first).to_be_in_viewport()
        assert tab.part("table").evaluate("table => table.scrollWidth <= table.clientWidth")
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("size", [(1280, 720), (1440, 900)])
def test_the_verdict_the_picture_and_the_line_that_decided_are_seen_without_scrolling(browser, address, size):
    with new_tab(browser, address) as tab:
        tab.page.set_viewport_size({"width": size[0], "height": size[1]})
        tab.page.goto(address)
        for shown in (
            tab.part("verdict"),
            tab.part("picture").locator("svg:visible"),
            tab.part("listing").locator(".decided").first,
        ):
            expect(shown).to_be_in_viewport(ratio=1)


def test_the_cross_in_the_picture_and_a_button_lead_to_the_loss_and_its_line(site):
    for leads in ("a click on the cross", "the keyboard alone"):
        site.open(f"?mcni={FLAGSHIP}")
        button = site.page.locator("article.chosen").get_by_role("button", name="✗ where it fails")
        if leads == "the keyboard alone":
            button.press("Enter")
        else:
            site.part("picture").locator("[data-at] circle").first.click(force=True)
        expect(site.part("where")).to_contain_text("step 9 of 21: 3 ACK, node1: filter KUBE-FORWARD: dropped")
        expect(site.part("listing").locator(".decided").first).to_contain_text("--ctstate INVALID -j DROP")
        expect(site.part("listing").locator(".decided").first).to_be_in_viewport(ratio=1)
        expect(site.page.locator("article.chosen .machine [aria-current]")).to_contain_text("--ctstate INVALID -j DROP")
    site.page.locator("article.chosen").get_by_label("workaround").select_option("host route back")
    expect(site.part("verdict")).to_contain_text("✓ connected")
    expect(button).to_be_hidden()


def test_each_sign_is_explained_below_the_picture(site):
    site.open(f"?mcni={FLAGSHIP}")
    legend = site.page.locator("article.chosen .legend")
    expect(legend.locator("dl")).to_be_hidden()
    legend.get_by_text("What the signs mean").click()
    expect(legend.locator("dt:visible")).to_have_count(14)
    expect(legend.locator("dt", has_text="↻").locator("xpath=following-sibling::dd[1]")).to_contain_text("sent again")


def test_on_a_laptop_every_verdict_and_picture_is_seen_without_scrolling(browser, address):
    with new_tab(browser, address) as tab:
        tab.page.set_viewport_size({"width": 1440, "height": 900})
        for story in all_scenarios():
            tab.page.goto(f"{address}#{story.name}")
            expect(tab.page.locator("article.chosen")).to_have_id(story.name)
            tab.page.evaluate("scrollTo(0, 0)")
            expect(tab.part("verdict")).to_be_in_viewport(ratio=1)
            expect(tab.part("picture").locator("svg:visible")).to_be_in_viewport(ratio=1)


def test_on_a_phone_the_verdict_comes_before_the_picture_and_is_seen_at_once(browser, address):
    with new_tab(browser, address) as tab:
        tab.page.set_viewport_size({"width": 390, "height": 844})
        tab.page.goto(address)
        verdict, picture = tab.part("verdict"), tab.part("picture").locator("svg:visible")
        expect(verdict).to_be_in_viewport(ratio=1)
        assert verdict.bounding_box()["y"] < picture.bounding_box()["y"]


def test_a_link_begins_at_the_top_with_its_settings_and_says_that_it_is_worked_out(browser, address):
    with new_tab(browser, address) as tab:
        tab.page.route("**/library.zip.bin", lambda route: None)  # the interpreter is never there
        tab.page.goto(
            f"{address}?mcni=nodeport-to-macvlan&endpoint=mac4&protocol=UDP&mark-rules=on#nodeport-to-macvlan"
        )
        expect(tab.part("compared")).to_have_text("Working out what this link shows …")
        assert tab.page.evaluate("scrollY") == 0
        assert tab.page.locator("article.chosen [name=endpoint]:checked").input_value() == "mac4"


def test_a_state_that_is_prepared_needs_no_interpreter(browser, address):
    story = scenario(FLAGSHIP)
    with new_tab(browser, address) as tab:
        tab.page.route("**/library.zip.bin", lambda route: None)  # it is never there
        tab.page.goto(f"{address}?mcni={FLAGSHIP}&kube-proxy=1.30")
        tab.check(View(story, story.start().but(kube_proxy="1.30")))
        tab.page.locator("article.chosen form button[type=reset]").click()
        tab.check(View(story, story.start()))
        expect(tab.part("compared")).to_contain_text("Changed: kube-proxy version from 1.30 to 1.28. ")


def test_another_conversation_is_chosen_in_the_list(site):
    site.follow()
    site.page.get_by_role("combobox", name="Conversation").select_option("nodeport-to-macvlan")
    story = scenario("nodeport-to-macvlan")
    site.check(View(story, story.start()))
    expect(site.page.locator("article:visible")).to_have_count(1)


def test_a_link_that_means_nothing_is_answered_in_words(site):
    site.follow(f"?mcni={FLAGSHIP}&kube-proxy=9.9")
    expect(site.page.get_by_role("alert")).to_contain_text("kube-proxy cannot be '9.9'")
    expect(site.part("verdict")).to_contain_text("✗ connect succeeds, then hangs")


@pytest.mark.parametrize(
    ("link", "part", "says", "scheme", "size"),
    [
        ("", "where", "21 steps", "light", (1280, 720)),
        (f"?mcni={FLAGSHIP}#step=9&depth=decisions", "where", "step 9 of", "dark", (1280, 720)),
        (f"?mcni={FLAGSHIP}&kube-proxy=1.30#step=3", "where", "step 3 of", "light", (390, 844)),
        (f"?mcni={FLAGSHIP}&protocol=UDP#against=mcni%3D{FLAGSHIP}", "told", "They part", "dark", (1440, 900)),
        (f"?mcni={FLAGSHIP}&protocol=UDP", "compared", "protocol from TCP to UDP", "dark", (390, 844)),
    ],
)
def test_axe_finds_no_fault_for_those_who_see_or_point_otherwise(site, axe, link, part, says, scheme, size):
    """Source: the rules of axe-core for WCAG 2.1 A and AA."""
    site.follow(link)
    expect(site.part(part)).to_contain_text(says)
    site.page.set_viewport_size({"width": size[0], "height": size[1]})
    site.page.emulate_media(color_scheme=scheme)
    site.page.evaluate(axe)
    try:
        assert site.page.evaluate(FAULTS) == []
    finally:
        site.page.set_viewport_size({"width": 1280, "height": 720})
        site.page.emulate_media(color_scheme="light")


def test_every_scenario_is_told_as_python_tells_it_here(site):
    """At its start, and under settings drawn anew each time; a failure prints the view, which the site takes as a link."""
    site.follow()
    drawn = random.Random(time.time_ns())
    views = []
    for story in all_scenarios():
        settings = story.start().but(**{one.attribute: drawn.choice(one.values) for one in story.options()})
        views += [print_view(View(story, story.start())), print_view(View(story, settings, drawn.randrange(9)))]
    for view, answer in zip(views, site.page.evaluate(ASK, views), strict=True):
        assert answer == json.loads(answer_json(view)), view


def test_what_is_prepared_is_what_python_tells_here(site):
    drawn = random.Random(time.time_ns())
    stories = all_scenarios()
    states = [(story, drawn.choice([story.start(), *neighbours(story, story.start())])) for story in stories]
    asked = [(story.name, story.changed(settings)) for story, settings in states]
    for (story, settings), answer in zip(states, site.page.evaluate(PREPARED, asked), strict=True):
        assert answer == json.loads(json.dumps(View(story, settings).answer())), story.command(settings)
    wrong = [
        (FLAGSHIP, {"protocol": "SCTP"}),
        (FLAGSHIP, {"hairpin": "yes"}),
        (FLAGSHIP, {"kube-proxy": "1.30", "be-liberal": "1"}),
    ]
    assert site.page.evaluate(PREPARED, wrong) == [None, None, None]  # no such value, no such setting, too many changes


def test_what_a_click_may_bring_is_there_before(site):
    site.follow(f"?mcni={FLAGSHIP}")
    story = scenario(FLAGSHIP)
    likely = [json.loads(print_view(view))["state"] for view in View(story, story.start()).likely()]
    has = """async states => {
      const { answers } = await import("/app.js"), kept = new Set([...answers.values()].map(one => one.state));
      return states.every(one => kept.has(one));
    }"""
    site.page.wait_for_function(has, arg=likely)


def test_without_javascript_every_conversation_is_there_as_it_starts(browser, address):
    with new_tab(browser, address, java_script_enabled=False) as tab:
        tab.page.goto(address)
        articles = tab.page.locator("article")
        expect(articles).to_have_count(len(all_scenarios()))
        expect(articles.locator("svg[role=img]:visible")).to_have_count(len(all_scenarios()))
        expect(tab.page.locator(f"#{FLAGSHIP} .mcni-verdict")).to_contain_text("connect succeeds, then hangs")
        assert not any(one.is_visible() for one in tab.page.locator("button, select, input").all())


def test_when_the_interpreter_does_not_load_the_page_says_so(browser, address):
    with new_tab(browser, address) as tab:
        tab.page.route("**/library.zip.bin", lambda route: route.fulfill(status=404))
        tab.page.goto(address)
        expect(tab.page.get_by_role("alert")).to_contain_text(
            "The interpreter did not start: library.zip.bin: the server answers 404"
        )
        expect(tab.part("picture").locator("svg:visible")).to_have_count(1)


def test_the_interpreter_reads_bytecode(site):
    """It is half of what the first verdict waits for."""
    packed = site.page.request.get(f"{site.address}engine/library.zip.bin").body()
    names = zipfile.ZipFile(io.BytesIO(gzip.decompress(packed))).namelist()
    assert "mcnilib/show/explorer.pyc" in names
    assert not [name for name in names if name.endswith(".py")]


def test_the_page_and_the_interpreter_are_small(browser, address):
    received = []
    with new_tab(browser, address) as tab:
        tab.page.context.on("response", lambda response: received.append(response))
        tab.open()
        lengths = [int(one.headers.get("content-length", 0)) for one in received if one.url.startswith(address)]
    assert 1_000_000 < sum(lengths) < MOST_BYTES


THREE_PANELS = "notebooks/03-macvlan-and-its-node.html"


def test_each_panel_of_a_lesson_lives_for_itself(browser, address):
    with new_tab(browser, address) as tab:
        tab.open(THREE_PANELS)
        own, other, third = (tab.page.locator(f"article >> nth={n}") for n in range(3))
        before = [one.locator("[data-part=picture]").inner_html() for one in (own, third)]
        other.get_by_role("group", name="coordinator").get_by_text("on", exact=True).click()
        expect(other.locator("[data-part=verdict]")).to_contain_text("✓ connected")
        expect(other.locator("[data-part=compared]")).to_contain_text("Changed: Spiderpool coordinator from off to on")
        tab.check(View(scenario("node-to-own-macvlan"), scenario("node-to-own-macvlan").start().but(coordinator=True)))
        assert [one.locator("[data-part=picture]").inner_html() for one in (own, third)] == before
        third.get_by_role("button", name="step ▶").click()
        expect(third.locator("[data-part=where]")).to_contain_text("step 1 of")
        expect(other.locator("[data-part=verdict]")).to_contain_text("✓ connected")
        assert tab.errors == []
        assert tab.foreign == []


def test_back_brings_each_panel_of_a_lesson_to_what_it_showed_then(browser, address):
    with new_tab(browser, address) as tab:
        tab.open(THREE_PANELS)
        other, third = (tab.page.locator(f"article >> nth={n}") for n in (1, 2))
        starts = [panel.locator("[data-part=verdict]").inner_text() for panel in (other, third)]
        for panel in (other, third):
            panel.get_by_role("group", name="coordinator").get_by_text("on", exact=True).click()
            expect(panel.locator("[data-part=compared]")).to_contain_text("from off to on")
        changed = other.locator("[data-part=verdict]").inner_text()
        for verdicts in ((changed, starts[1]), starts):
            tab.page.go_back()
            for panel, says in zip((other, third), verdicts, strict=True):
                expect(panel.locator("[data-part=verdict]")).to_have_text(says)
        expect(other.get_by_role("group", name="coordinator").get_by_label("off", exact=True)).to_be_checked()
        tab.page.go_forward()
        expect(other.locator("[data-part=verdict]")).to_have_text(changed)
        assert tab.errors == []


def test_a_link_to_a_state_opens_it_in_its_lesson(browser, address):
    with new_tab(browser, address) as tab:
        tab.open(f"{THREE_PANELS}?mcni=node-to-own-macvlan&coordinator=on")
        shown = tab.page.locator("#node-to-own-macvlan")
        expect(shown.locator("[data-part=verdict]")).to_contain_text("✓ connected")
        expect(shown.locator("h2")).to_be_in_viewport()


PAIR = "notebooks/07-macvlan-to-calico-across-nodes.html"


def test_two_states_side_by_side_in_a_lesson_live_and_leave_the_other_panel_alone(browser, address):
    (view,) = compared(next(one for one in read_lessons(NOTEBOOKS) if one.name.startswith("07"))).values()
    with new_tab(browser, address) as tab:
        tab.open(PAIR)
        pair, other = tab.page.locator("article.pair"), tab.page.locator(f"#{FLAGSHIP}")
        before = other.locator("[data-part=picture]").inner_html()
        for again in (False, True):
            for name, html in (
                ("picture-a", view.answer()["against"]["picture"]),
                ("picture", view.answer()["picture"]),
            ):
                assert pair.locator(f"[data-part={name}]").evaluate(SAME, html), (name, again)
            expect(pair.locator("[data-part=told]")).to_contain_text("They part at packet 3 (ACK): in A it is dropped")
            if not again:
                pair.get_by_role("group", name="kube-proxy restarted since").get_by_text("no", exact=True).click()
                expect(pair.locator("[data-part=told]")).to_contain_text("Every packet goes the same way")
                pair.get_by_role("button", name="as it was at first").click()
                expect(pair.locator("[data-part=told]")).to_contain_text("They part at packet 3")
        view = replace(view, settings=view.settings.but(protocol="UDP"))
        pair.get_by_role("group", name="protocol").get_by_text("UDP", exact=True).click()
        tab.check(view)
        assert other.locator("[data-part=picture]").inner_html() == before
        tab.open(tab.page.url.removeprefix(tab.address))  # the link alone leads to this panel
        tab.check(view)
        expect(pair.locator("h2")).to_be_in_viewport()
        assert tab.errors == [] == tab.foreign


QUIZ = "notebooks/07-macvlan-to-calico-across-nodes.html"


def test_a_prediction_is_answered_by_keyboard_alone_before_the_interpreter_is_there(browser, address):
    with new_tab(browser, address) as tab:
        tab.page.goto(address + QUIZ)
        quiz = tab.page.locator(".mcni-quiz")
        assert quiz.get_by_role("group", name="What does node1 make of that ACK?").count() == 1
        remark, key = quiz.get_by_role("status"), quiz.locator("details")
        expect(key).to_be_hidden()
        quiz.get_by_role("radio").first.focus()
        tab.page.keyboard.press("Enter")
        expect(remark).to_have_text("Choose an answer first.")
        tab.page.keyboard.press("Space")
        tab.page.keyboard.press("Enter")
        expect(remark).to_contain_text(
            "✗ Not quite. For ESTABLISHED, conntrack must have seen packets in both directions."
        )
        tab.page.keyboard.press("ArrowDown")
        expect(remark).to_be_empty()
        tab.page.keyboard.press("ArrowDown")
        tab.page.keyboard.press("Tab")
        tab.page.keyboard.press("Enter")
        expect(remark).to_contain_text("✓ Right. node1 saw the SYN, but not the SYN-ACK")
        expect(key).to_be_visible()
        assert tab.errors == [] == tab.foreign


def test_without_javascript_a_prediction_can_be_read_with_its_answer_folded(browser, address):
    with new_tab(browser, address, java_script_enabled=False) as tab:
        tab.page.goto(address + QUIZ)
        quiz = tab.page.locator(".mcni-quiz")
        expect(quiz.locator("li")).to_have_count(4)
        expect(quiz.get_by_text("✓ Right.")).to_be_hidden()
        quiz.locator("summary").click()
        expect(quiz.get_by_text("✓ Right.")).to_be_visible()


def test_what_was_typed_into_a_lesson_is_in_the_link_too(browser, address):
    with new_tab(browser, address) as tab:
        tab.open("notebooks/07-macvlan-to-calico-across-nodes.html")
        form = tab.page.locator(".exercise[data-number='2']")
        form.get_by_role("textbox").fill(exercise(7, 2).solution)
        form.get_by_role("button", name="Run").click()
        expect(form.locator(".said")).to_contain_text("✔ Solved.")
        tab.open(tab.page.url.removeprefix(address))
        expect(form.locator(".said")).to_contain_text("✔ Solved.")
        expect(form.locator(".said")).to_be_in_viewport()
        tab.follow("?mcni=calico-to-macvlan")
        expect(tab.page.get_by_role("alert")).to_contain_text("calico-to-macvlan is not on this page")
        assert tab.errors == []


def test_the_lesson_and_the_explorer_lead_to_each_other_in_the_same_state(browser, address):
    with new_tab(browser, address) as tab:
        tab.open("?mcni=node-to-own-macvlan")
        to_lesson = tab.page.locator("article.chosen").get_by_role("link", name="Read the lesson")
        expect(to_lesson).to_have_attribute("href", THREE_PANELS)  # unchanged: from its beginning
        tab.page.locator("article.chosen").get_by_role("group", name="coordinator").get_by_text(
            "on", exact=True
        ).click()
        expect(to_lesson).to_have_attribute("href", f"{THREE_PANELS}?mcni=node-to-own-macvlan&coordinator=on")
        to_lesson.click()
        panel = tab.page.locator("#node-to-own-macvlan")
        expect(panel.locator("[data-part=verdict]")).to_contain_text("✓ connected", timeout=30_000)
        panel.get_by_role("button", name="step ▶").click()
        expect(panel.locator("[data-part=where]")).to_contain_text("step 1 of")
        panel.get_by_role("link", name="Open in the explorer").click()
        expect(tab.part("where")).to_contain_text("step 1 of", timeout=30_000)
        tab.check(
            View(scenario("node-to-own-macvlan"), scenario("node-to-own-macvlan").start().but(coordinator=True), 1)
        )
        assert tab.errors == tab.foreign == []


def test_without_javascript_a_lesson_can_be_read(browser, address):
    with new_tab(browser, address, java_script_enabled=False) as tab:
        tab.page.goto(address + THREE_PANELS)
        expect(tab.page.locator("article svg[role=img]:visible")).to_have_count(
            5
        )  # three panels, and two states side by side
        expect(tab.page.get_by_role("heading", name="The question")).to_be_visible()
        expect(tab.page.locator("article table").first).to_be_visible()
        assert not any(one.is_visible() for one in tab.page.locator("button, select, input").all())


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_fault_on_any_page(browser, address, axe, name):
    with new_tab(browser, address, bypass_csp=True) as tab:
        for scheme, width, height in (("light", 390, 844), ("dark", 1280, 720), ("light", 1440, 900)):
            tab.page.set_viewport_size({"width": width, "height": height})
            tab.page.emulate_media(color_scheme=scheme)
            tab.page.goto(f"{address}{name}.html")
            tab.page.evaluate(axe)
            assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
            assert tab.page.evaluate(FAULTS) == [], scheme
        assert tab.foreign == []
