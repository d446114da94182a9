"""Speed as a reader meets it, in JupyterLab and on the page: `pytest tests/browser/test_speed.py --benchmark-enable -s`, with nothing else at work.

From a click to the painted picture, and from opening a notebook to its last cell, both measured in the page. Without
--benchmark-enable one notebook is tried, as a test that measuring works. No time is asserted here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from statistics import median, quantiles

import pytest
from playwright.sync_api import Locator, TimeoutError

from browser.conftest import NOTEBOOKS
from browser.lab_page import PATIENCE, WATCH, click_to_paint, new_page
from browser.site_page import FLAGSHIP as LOST
from browser.site_page import SitePage, new_tab
from mcnilib.scenarios import all_scenarios

FLAGSHIP = "07-macvlan-to-calico-across-nodes.ipynb"
PANEL = ".jp-OutputArea:has(.mcni-stepper)"
PICTURE = "article.chosen svg[role=img]"
CLICKS, TRIES = 60, 60
WALKS = 8
"""Walks from the start of each scenario."""
STORIES = [story.name for story in all_scenarios()]


@pytest.fixture(scope="module")
def thorough(request) -> bool:
    return bool(request.config.getoption("benchmark_enable"))


@pytest.fixture(scope="module", params=sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")))
def opened(request, server, browser, thorough):
    if not thorough and request.param != FLAGSHIP:
        yield None
        return
    with new_page(browser, server) as lab:
        lab.page.goto(server.url())
        lab.page.locator(".jp-DirListing-item").filter(has_text=request.param).wait_for()
        started = time.monotonic()
        lab.open_from_list(request.param)
        opening = time.monotonic() - started
        lab.run_all()
        taken = time.monotonic() - started
        lab.page.set_default_timeout(2000)
        print(f"\n{request.param}: opened and all cells run in {taken:.1f} s, of which opening {opening:.1f} s")
        yield lab


def painted(lab, button) -> list[float]:
    """Click and return the milliseconds until the picture has changed; nothing when it stays as it was."""
    picture = lab.page.locator(f"{PANEL} svg[role=img]").first
    before = picture.inner_html()
    try:
        return [lab.click_to_paint(button, f"{PANEL} svg[role=img]")]
    except TimeoutError:
        assert picture.inner_html() == before
        return []


def test_click_to_painted_picture(opened, thorough) -> None:
    if opened is None:
        return  # measured with --benchmark-enable
    buttons = opened.page.locator(PANEL).first.locator(".widget-toggle-button")
    times: list[float] = []
    dull: set[int] = set()  # toggles that left the picture as it was
    for _ in range(TRIES if thorough else 1) if buttons.count() else ():
        for number in sorted({*range(buttons.count())} - dull):
            button = opened.wait_idle().page.locator(PANEL).first.locator(".widget-toggle-button").nth(number)
            if "mod-active" not in (button.get_attribute("class") or "") and button.is_enabled():
                times += (taken := painted(opened, button))
                dull |= set() if taken else {number}
        if len(times) >= CLICKS or len(dull) == buttons.count():
            break
    assert times or not buttons.count()
    if thorough and times:
        tell(times)


def tell(times: list[float]) -> None:
    p95 = quantiles(times, n=20, method="inclusive")[-1]
    slowest = " ".join(f"{milliseconds:.0f}" for milliseconds in sorted(times)[-5:])
    print(f"click to painted picture: median {median(times):.0f} ms, p95 {p95:.0f} ms, {len(times)} clicks ({slowest})")


def test_page_from_the_link_to_the_first_verdict(browser, address, thorough) -> None:
    """Cold: a browser that never saw the site. Warm: once more in the same one, as a reader comes back."""
    for _ in range(5 if thorough else 1):
        with new_tab(browser, address) as site:
            taken = [site.open(f"?mcni={LOST}").page.evaluate("performance.now()") for _ in range(2)]
        print("\nfirst verdict of the page: cold {:.0f} ms, warm {:.0f} ms".format(*taken))


def test_page_click_to_painted_picture(browser, address, thorough) -> None:
    times: list[float] = []
    with new_tab(browser, address) as site:
        for name in STORIES if thorough else STORIES[:1]:
            site.open(f"?mcni={name}")
            times += clicked(site, CLICKS if thorough else 1)
    assert times
    if thorough:
        tell(times)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_page_random_walks(browser, address, thorough, depth) -> None:
    """Settings at random, each used at once after the picture before was painted, up to `depth` of them away from the
    start of the scenario."""
    chance, times = Random(depth), []
    with new_tab(browser, address) as site:
        for name in STORIES if thorough else STORIES[:1]:
            site.open(f"?mcni={name}")
            for _ in range(WALKS if thorough else 1):
                times += walked(site, depth, chance)
    assert times
    if thorough:
        print(f"\nup to {depth} settings away, in {len(STORIES)} scenarios:")
        tell(times)


def walked(site: SitePage, depth: int, chance: Random) -> list[float]:
    """Change some settings and set them back; what leaves the picture as it was is not counted."""
    times = [taken for _ in range(depth) if (taken := turned(site, *another(site, chance)))]
    site.page.locator("article.chosen form button[type=reset]").click()
    site.page.wait_for_function("() => !location.search.includes('&')")
    return times


def another(site: SitePage, chance: Random) -> tuple[Locator, Callable[[Locator], object]]:
    """Return a control of the chosen scenario, and what changes it."""
    form = site.page.locator("article.chosen form")
    fields = form.locator("select, .choice input:not(:checked) + label")
    field = fields.nth(chance.randrange(fields.count()))
    if field.evaluate("field => field.matches('label')"):
        return field, Locator.click
    others = field.evaluate("list => [...list.options].filter(one => !one.selected).map(one => one.value)")
    return field, lambda list: list.select_option(chance.choice(others))


def turned(site: SitePage, field: Locator, act: Callable[[Locator], object]) -> float:
    """Change a setting and return the milliseconds until the picture has changed; 0 where it stays as it was."""
    picture, before = site.page.locator("article.chosen [data-part=picture]"), site.page.url
    seen = picture.inner_html()
    site.page.evaluate(WATCH, PICTURE)
    act(field)
    site.page.wait_for_function("before => location.href !== before", arg=before)
    if picture.inner_html() == seen:
        return 0.0
    return float(site.page.wait_for_function("() => window.mcniPaint").json_value())


def clicked(site: SitePage, tries: int) -> list[float]:
    """Choose each value of each setting in turn; a click that leaves the picture as it was is not counted."""
    choices = site.page.locator("article.chosen form .choice label")
    times = []
    site.page.set_default_timeout(2000)
    for number in range(choices.count()):
        if len(times) == tries or choices.nth(number).evaluate("label => label.control.checked"):
            continue
        with suppress(TimeoutError):
            times.append(click_to_paint(site.page, choices.nth(number), PICTURE))
    site.page.set_default_timeout(PATIENCE)
    return times
