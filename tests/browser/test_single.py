"""A state in one HTML file: opened from a disk, in a frame, without scripts, on paper; nothing is asked of anybody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from browser.accessibility import FAULTS
from browser.site_page import FLAGSHIP, new_tab
from mcnilib.scenarios import scenario
from mcnilib.show.picture.story_picture import picture_of
from mcnilib.show.picture.svg import to_svg
from mcnilib.show.walkthrough import Walkthrough
from mcnilib.site.single import scenario_page

STORY = scenario("7")
SETTINGS = STORY.start()
READY = "() => document.documentElement.dataset.ready !== undefined"
SAME = "(shown, html) => { const other = document.createElement('div'); other.innerHTML = html; return other.innerHTML === shown.innerHTML; }"
TALL = "() => { const table = document.querySelector('.table'); return table.scrollHeight <= table.clientHeight + 1; }"


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("single") / "state.html"
    path.write_text(scenario_page(STORY, SETTINGS), encoding="utf-8")
    return path


@contextmanager
def opened(browser: Browser, link: str, ready: str = READY, **options: object) -> Iterator[Page]:
    """Open a link in a tab that has seen nothing; whatever it asks for beside itself, or complains about, is a fault."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **options})
    asked, errors = [], []
    context.on("request", lambda request: asked.append(request.url) if not request.url.startswith("data:") else None)
    try:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto(link)
        if ready:
            page.wait_for_function(ready)
        yield page
        assert errors == []
        assert [url for url in asked if url.partition("#")[0] != link.partition("#")[0]] == []
    finally:
        context.close()


def at(step: int) -> tuple[int, int]:
    row = Walkthrough(STORY.world(SETTINGS), STORY.run(SETTINGS), None).steps[step - 1]
    return row.journey, row.index


def drawn(at: tuple[int, int] | None = None) -> str:
    wide, narrow = (picture_of(STORY, SETTINGS, at, narrow=one) for one in (False, True))
    return to_svg(wide) + to_svg(narrow, "mcni-narrow")


def where(page: Page) -> object:
    return expect(page.locator("[data-part=where]"))


def test_keys_buttons_and_slider_walk_through_each_steps_picture(browser, file):
    with opened(browser, file.as_uri()) as page:
        where(page).to_have_text("21 steps")
        for _ in range(9):
            page.keyboard.press("ArrowRight")
        where(page).to_contain_text("step 9 of 21: 3 ACK, node1: filter KUBE-FORWARD: dropped")
        assert page.locator("[data-part=picture]").evaluate(SAME, drawn(at(9)))
        expect(page.locator("[data-part=listing] .decided").first).to_contain_text("--ctstate INVALID -j DROP")
        expect(page.locator("tr[aria-current=step]")).to_contain_text("3 ACK")
        assert page.url.endswith("#step=9")
        page.get_by_role("button", name="◀ step").click()
        where(page).to_contain_text("step 8 of 21")
        page.get_by_role("slider", name="step").focus()
        page.keyboard.press("End")
        where(page).to_contain_text("step 21 of 21")
        expect(page.get_by_role("button", name="step ▶")).to_be_disabled()
        page.get_by_role("button", name="✗ where it fails").press("Enter")
        where(page).to_contain_text("step 9 of 21")
        page.get_by_role("button", name="whole").click()
        where(page).to_have_text("21 steps")
        page.locator("[data-part=picture] [data-at] circle").first.click(force=True)
        where(page).to_contain_text("step 9 of 21")
        page.get_by_role("button", name="whole").click()
        assert page.locator("[data-part=picture]").evaluate(SAME, drawn())


def test_the_explorer_saves_the_state_it_shows_and_the_file_opens_alone(browser, address, axe, tmp_path):
    path, settings = tmp_path / "saved.html", STORY.start().but(kube_proxy="1.30")
    with new_tab(browser, address) as tab:
        tab.open(f"?mcni={FLAGSHIP}&kube-proxy=1.30#step=9&everything=1")
        expect(tab.part("where")).to_contain_text("step 9 of 21")
        asked = []
        tab.page.context.on("request", lambda request: asked.append(request.url))
        with tab.page.expect_download() as saved:
            tab.page.locator("article.chosen").get_by_role("button", name="Save as one file").click()
        expect(tab.part("copied")).to_have_text(f"saved as {FLAGSHIP}.html")
        assert saved.value.suggested_filename == f"{FLAGSHIP}.html"
        saved.value.save_as(path)
        assert [url for url in asked if not url.startswith("blob:")] == []
        assert tab.errors == tab.foreign == []
    assert path.read_text() == scenario_page(STORY, settings, step=9, everything=True)
    with opened(browser, path.as_uri(), bypass_csp=True) as page:
        where(page).to_contain_text("step 9 of 21")
        expect(page.locator("svg[role=img]").first).to_contain_text("gateway")
        page.evaluate(axe)
        assert page.evaluate(FAULTS) == []


def test_a_phone_sees_the_machines_one_above_the_other(browser, file):
    with opened(browser, file.as_uri(), viewport={"width": 390, "height": 844}) as page:
        wide, narrow = page.locator("svg[role=img]").all()
        assert [wide.is_visible(), narrow.is_visible()] == [False, True]
        assert narrow.bounding_box()["width"] <= 390


def test_a_link_into_the_file_opens_a_step(browser, file):
    with opened(browser, f"{file.as_uri()}#step=9") as page:
        where(page).to_contain_text("step 9 of 21")


def test_it_works_in_the_frame_of_a_wiki(browser, file, tmp_path):
    """Sandboxed as wikis and trackers do it: the frame has no address and no storage of its own."""
    outside = tmp_path / "wiki.html"
    inside = file.read_text(encoding="utf-8").replace("&", "&amp;").replace('"', "&quot;")
    outside.write_text(f'<iframe sandbox="allow-scripts" width="1000" height="600" srcdoc="{inside}"></iframe>')
    with opened(browser, outside.as_uri(), ready="") as page:
        frame = page.frame_locator("iframe")
        frame.get_by_role("button", name="step ▶").click()
        expect(frame.locator("[data-part=where]")).to_contain_text("step 1 of 21")


def test_without_javascript_the_whole_conversation_is_there(browser, file):
    with opened(browser, file.as_uri(), ready="", java_script_enabled=False) as page:
        expect(page.locator("svg[role=img]").first).to_be_visible()
        expect(page.locator(".mcni-verdict")).to_contain_text("connect succeeds, then hangs")
        expect(page.locator("tbody tr")).to_have_count(21)
        assert not any(one.is_visible() for one in page.locator("button, input").all())


def test_on_paper_the_table_is_whole_and_nothing_stands_there_to_be_pressed(browser, file):
    with opened(browser, file.as_uri()) as page:
        page.emulate_media(media="print")
        assert not any(one.is_visible() for one in page.locator("button, input").all())
        assert page.evaluate(TALL)


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", (1280, 720)), ("dark", (1440, 900)), ("light", (390, 844)), ("dark", (390, 844))]
)
@pytest.mark.parametrize("step", [0, 9])
def test_axe_finds_no_fault(browser, axe, file, scheme, size, step):
    size = {"width": size[0], "height": size[1]}
    with opened(browser, f"{file.as_uri()}#step={step}", color_scheme=scheme, viewport=size, bypass_csp=True) as page:
        page.evaluate(axe)
        assert page.evaluate(FAULTS) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
