"""The helpers themselves, tried on a notebook of three controls and one small picture."""

from __future__ import annotations

import nbformat
import pytest

from browser.lab_page import TextBox, new_page

CELL = """
import ipywidgets as w
box = w.Checkbox(description="packet dropped", indent=False)
version = w.Dropdown(description="version", options=["1.28", "1.29"])
again = w.Button(description="again")
out = w.HTML()
clicks = 0

def draw(*_):
    word = "dropped" if box.value else "delivered"
    out.value = f'<svg class="picture" width="300" height="60"><title>{word}</title>' \\
        f'<text x="10" y="20" font-size="14">{word}</text>' \\
        f'<text x="10" y="50" font-size="11">{version.value} {clicks}</text></svg>'

def count(_):
    global clicks
    clicks += 1
    draw()

box.observe(draw, "value"); version.observe(draw, "value"); again.on_click(count); draw()
w.VBox([box, version, again, out])
"""


@pytest.fixture(scope="module")
def opened(server, browser):
    with new_page(browser, server) as lab:
        name = lab.save("small.ipynb", nbformat.v4.new_markdown_cell("# A title"), nbformat.v4.new_code_cell(CELL))
        yield lab.open(name)


@pytest.fixture
def small(opened):
    """Run the cells again: the page stays, the controls are new."""
    opened.errors.clear()
    return opened.run_all()


def words(lab):
    return [box.text for box in lab.texts("svg.picture")]


def test_a_notebook_opens_runs_and_shows_its_picture(small):
    assert words(small) == ["delivered", "1.28 0"]
    assert small.errors == []


def test_a_checkbox_is_clicked(small):
    assert small.after("svg.picture", small.control("packet dropped").click)
    assert words(small) == ["dropped", "1.28 0"]


def test_a_list_is_chosen_from(small):
    small.after("svg.picture", lambda: small.control("version").select_option("1.29"))
    assert words(small) == ["delivered", "1.29 0"]


def test_a_button_is_pressed_from_the_keyboard(small):
    small.after("svg.picture", lambda: small.press("again", "Enter"))
    assert words(small) == ["delivered", "1.28 1"]


def test_a_checkbox_is_toggled_from_the_keyboard(small):
    small.after("svg.picture", lambda: small.press("packet dropped", "Space"))
    assert words(small)[0] == "dropped"


def test_the_time_from_click_to_paint_is_measured(small):
    box = small.control("packet dropped")
    times = [small.wait_idle().click_to_paint(box, "svg.picture") for _ in range(5)]
    assert all(0 < one < 5000 for one in times), times
    assert words(small)[0] == "dropped"  # five clicks


def test_texts_come_with_their_boxes(small):
    first, second = small.texts("svg.picture")
    assert (first.font_size, second.font_size) == (14, 11)
    assert first.width > 0
    assert not first.overlaps(second)
    assert first.overlaps(TextBox("x", first.x + 5, first.y + 5, 10, 10, 11))


def test_a_screenshot_is_a_picture(small, tmp_path):
    assert small.screenshot(tmp_path / "seen.png", "svg.picture").read_bytes().startswith(b"\x89PNG")


def test_what_the_page_complains_about_is_collected(small):
    small.page.evaluate("console.error('a complaint')")
    assert small.errors == ["a complaint"]


def test_a_cell_that_raises_is_reported(lab):
    name = lab.save("broken.ipynb", nbformat.v4.new_code_cell("1 / 0"))
    with pytest.raises(AssertionError, match="ZeroDivisionError: division by zero"):
        lab.open(name).run_all()
