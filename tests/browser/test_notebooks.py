"""The real notebooks in JupyterLab: every cell, every control, the quiz by keyboard, texts that can be read."""

from __future__ import annotations

import re

import pytest
from by_chance import drawn
from playwright.sync_api import expect

from browser.conftest import NOTEBOOKS
from browser.lab_page import new_page
from browser.structure import keep, known, moved, structure
from mcnilib.scenarios.submission import PREDICTION, Predicted

NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
PICTURE = ".jp-OutputArea svg[role=img]"
PANEL = ".jp-OutputArea:has(.mcni-stepper)"
RENEW = "look at the pictures, then renew this: mcni record structures"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "opened" in metafunc.fixturenames:
        some = drawn(NAMES, "00-index.ipynb", "07-macvlan-to-calico-across-nodes.ipynb")
        chosen = NAMES if metafunc.config.getoption("write_structures") else some
        metafunc.parametrize("opened", chosen, indirect=True, scope="module")


@pytest.fixture(scope="module")
def opened(request, server, browser):
    with new_page(browser, server) as lab:
        lab.name = request.param.removesuffix(".ipynb")
        yield lab.open(request.param).run_all()


def test_it_runs_from_top_to_bottom_without_a_word_of_complaint(opened):
    assert opened.errors == []
    assert opened.page.locator(PICTURE).count() >= 1


def test_every_picture_has_a_title_and_a_description(opened):
    for name in ("title", "desc"):
        for node in opened.page.locator(f"{PICTURE} > {name}").all():
            assert len(node.text_content()) > 20


def test_no_text_is_too_small_or_lies_on_another(opened):
    boxes = opened.texts(f"{PICTURE} >> nth=0")
    assert boxes
    assert min(box.font_size for box in boxes) >= 11 * 0.85  # the picture may be scaled down to the cell
    overlapping = [(a.text, b.text) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b, slack=2.0)]
    assert overlapping == []


def test_the_picture_has_its_texts_in_their_places(opened, request):
    seen = structure(opened.page.locator(f"{PANEL} svg[role=img]").first)
    if request.config.getoption("write_structures"):
        keep(opened.name, seen)
    before = known(opened.name)
    assert [text for text, _, _ in seen] == [text for text, _, _ in before], RENEW
    assert moved(seen, before) == [], RENEW


def test_the_arrow_keys_walk_through_the_conversation(opened):
    panel = opened.page.locator(PANEL).first
    panel.locator(".mcni-stepper [role=slider]").focus()
    status = panel.locator(".mcni-stepper [role=status]")
    for key, says in (("ArrowRight", r"^step 1 of"), ("End", r"^step (\d+) of \1\b"), ("Home", r"^\d+ steps$")):
        opened.page.keyboard.press(key)
        expect(status).to_have_text(re.compile(says))
    expect(panel.locator("tr[aria-current=step]")).to_have_count(0)
    assert opened.errors == []


def test_every_control_of_every_panel_changes_and_nothing_breaks(opened):
    panels = opened.page.locator(PANEL)
    assert panels.count() >= 1
    for panel in panels.all():
        for more in panel.locator(".mcni-more:not(.mod-active)").all():
            more.click()
        for box in panel.locator("select").all():
            for value in box.locator("option").all() if box.is_visible() else ():
                box.select_option(value.get_attribute("value") or value.text_content())
                opened.wait_idle()
        for button in panel.locator(".widget-toggle-button:not(.mcni-more)").all():
            button.click()
            opened.wait_idle()
        assert panel.locator("svg[role=img]").count() == 1
        assert panel.locator("[role=status]").count() >= 1
    assert opened.errors == []


def test_two_runs_side_by_side_have_the_same_places(opened):
    for pair in opened.page.locator(".jp-OutputArea:has(.mcni-side)").all():
        sizes = [
            (box["width"], box["height"]) for box in (s.bounding_box() for s in pair.locator("svg[role=img]").all())
        ]
        assert len(sizes) == 2
        assert sizes[0] == sizes[1]


KEPT = """mime => window.jupyterapp.shell.currentWidget.content.widgets.flatMap(
  cell => (cell.model.toJSON().outputs ?? []).flatMap(output => output.data?.[mime] ?? [])
)"""


def test_a_prediction_is_answered_with_the_keyboard(opened):
    quiz = opened.page.locator(".jp-OutputArea:has(input[type=radio])").first
    if quiz.count() == 0:
        return  # the index asks nothing
    quiz.locator("input[type=radio]").first.focus()
    opened.page.keyboard.press("Space")  # one choice alone: a second is held back until the first has arrived
    opened.press("Check", "Enter")
    expect(quiz.locator("[role=status]")).to_have_text(re.compile("^[✓✗]"))
    expect(quiz).to_contain_text("Your answer: ")
    kept = [Predicted(**answer) for answer in opened.page.evaluate(KEPT, PREDICTION)]
    assert [one.tries for one in kept] == [1]  # the notebook holds it: who saves it, hands it in
