"""A page in the pseudo language: no sentence of it is left in English, nothing is cut off, and it reads as that language.

The page is one state in one file, which has the stepper, the table, the state that decided and the guide's claim.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from browser.test_single import READY, opened
from mcnilib.language import PSEUDO, spoken
from mcnilib.scenarios import scenario
from mcnilib.site.single import scenario_page

IN_ENGLISH = r"""() => {
  const words = text => (text.match(/\b[a-z]{2,}\b/g) ?? []).length, said = text => /[áéíóúýçñšÁÉÍÓÚÝÇÑŠ~]/.test(text);
  const machine = "script, style, code, pre, svg, h4, .line", texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode())
    if (!walker.currentNode.parentElement.closest(machine)) texts.push(walker.currentNode.textContent.trim());
  for (const name of ["title", "aria-label"])
    for (const element of document.querySelectorAll(`[${name}]`)) texts.push(element.getAttribute(name));
  return texts.filter(text => words(text) >= 3 && !said(text));
}"""
"""Returns texts of three words or more, of elements and of their names, that were not said in the pseudo language."""
CUT_OFF = """() => [...document.querySelectorAll("button, summary, th, label, h1, .mcni-verdict")]
  .filter(one => one.checkVisibility() && getComputedStyle(one).overflow !== "visible" && one.scrollWidth > one.clientWidth + 1)
  .map(one => one.textContent)"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    story = scenario("7")
    path = tmp_path_factory.mktemp("language") / "state.html"
    with spoken(PSEUDO):
        path.write_text(scenario_page(story, story.start()), encoding="utf-8")
    return path


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)], ids=["projector", "phone"])
def test_a_page_in_another_language_has_no_english_and_room_for_longer_texts(
    browser: Browser, file: Path, size: tuple[int, int]
) -> None:
    with opened(browser, file.as_uri(), READY, viewport={"width": size[0], "height": size[1]}) as page:
        assert page.locator("html").get_attribute("lang") == PSEUDO
        page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
        page.get_by_role("button", name="štép ▶").click()
        assert "štép" in page.locator('[data-part="where"]').inner_text()
        assert page.evaluate(IN_ENGLISH) == []
        assert page.evaluate(CUT_OFF) == []
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
