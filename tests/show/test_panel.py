"""The panel and its tables: what a reader sees after each click, without a browser."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import pytest
from show_examples import text_of

from mcnilib.cluster.settings import Protocol, options
from mcnilib.language import PSEUDO
from mcnilib.notebook import explore, step_picture
from mcnilib.scenarios import scenario
from mcnilib.show.html.state import state_lines
from mcnilib.show.html.table import rows, table_html
from mcnilib.show.picture.files import PictureError
from mcnilib.show.picture.story_picture import picture_of
from mcnilib.show.widgets import controls
from mcnilib.show.widgets.controls import control
from mcnilib.show.widgets.quiz import predict

STORY = scenario("7")
WIDGETS = Path(controls.__file__).parent
START = STORY.start()


@pytest.mark.parametrize("option", options(), ids=lambda option: option.name)
def test_every_setting_has_a_control_with_its_label_help_and_choices(option) -> None:
    made = control(option, option.default)
    assert (made.description, made.value) == (option.label, option.default)
    assert [text for text, _ in made.options] == list(option.texts)
    assert option.help in made.tooltip


def test_a_panel_keeps_its_language_when_something_is_clicked_later() -> None:
    panel = explore(STORY, lang=PSEUDO)
    assert "çóññéçt šúççéédš" in panel.view.verdict.value
    panel.controls["protocol"].value = Protocol.UDP
    assert "çóññéçtéd" in panel.view.verdict.value
    assert "çóññéçtéd" in panel._repr_mimebundle_()[0]["text/plain"]
    assert "connect succeeds" in explore(STORY).view.verdict.value


@pytest.mark.parametrize("what", ["forward", "device"])
def test_a_step_is_asked_for_in_english_and_shown_in_the_chosen_language(what: str) -> None:
    step = step_picture(STORY, 1, "node1", what, lang=PSEUDO)
    assert step.at == step_picture(STORY, 1, "node1", what).at


@pytest.mark.parametrize("file", sorted(WIDGETS.glob("*.py")), ids=lambda file: file.stem)
def test_whatever_is_clicked_is_answered_in_the_language_of_its_panel(file) -> None:
    for line in file.read_text(encoding="utf-8").splitlines():
        if re.search(r"\.(observe|on_click)\(", line):
            assert "(keeping(" in line, line


@pytest.mark.parametrize(
    ("clicks", "says"),
    [
        ({}, "connect succeeds, then hangs"),
        ({"kube_proxy": "1.30", "be_liberal": True}, "connect succeeds, then hangs"),
        ({"kube_proxy": "1.30", "be_liberal": True, "restarted": True}, "connected"),
    ],
)
def test_a_click_changes_verdict_picture_and_tables(clicks: dict[str, object], says: str) -> None:
    panel = explore(STORY)
    before = panel.view.picture.value
    for name, value in clicks.items():
        panel.controls[name].value = value
    assert says in panel.view.verdict.value
    assert (panel.view.picture.value != before) is bool(clicks)
    assert 'role="status"' in panel.view.verdict.value


def test_the_switch_shows_what_other_settings_use_and_stays_as_it_is_with_each_click() -> None:
    panel = explore(STORY)
    assert ">gateway<" not in panel.view.picture.value
    panel.everything.value = True
    assert ">gateway<" in panel.view.picture.value
    panel.controls["kube_proxy"].value = "1.30"
    assert ">gateway<" in panel.view.picture.value
    assert explore(STORY, everything=True).everything.value is True


@pytest.mark.parametrize("story", ["6", "7"])
def test_each_control_can_be_set_to_each_of_its_values(story: str) -> None:
    panel = explore(scenario(story))
    for widget in panel.controls.values():
        for _, value in widget.options:
            widget.value = value
            assert "<svg" in panel.view.picture.value and "<table" in panel.view.steps.value


def test_a_viewer_without_a_kernel_gets_picture_and_verdict() -> None:
    data, metadata = explore(STORY)._repr_mimebundle_()
    assert data["text/plain"].startswith("connect succeeds, then hangs")
    assert data["image/png"].startswith(b"\x89PNG")
    assert metadata["image/png"]["alt"] == data["text/plain"]


def test_deeper_tables_have_more_rows_and_every_cell_is_escaped() -> None:
    trace = STORY.run(START)
    counts = [len(rows(trace, depth)) for depth in ("outcome", "hops", "decisions")]
    assert counts == sorted(set(counts))
    html = table_html(rows(trace, "decisions"), "decisions")
    assert len(re.findall(r'<th scope="col">', html)) == 6
    assert html.count("<tr") == 1 + sum(not row.head for row in rows(trace, "decisions"))  # sent again: one line
    assert "--ctstate INVALID" in text_of(html) and "10.233.101.2 > " not in html
    with pytest.raises(ValueError, match="depth"):
        rows(trace, "everything")


def test_the_deciding_line_is_marked_and_the_others_say_why_not() -> None:
    trace = STORY.run(START)
    command, lines = state_lines(STORY.world(START), trace.outcome.step)
    assert command == "iptables-save -t filter | grep -w KUBE-FORWARD"
    assert [line.decided for line in lines].count(True) == 1
    assert lines[0].text == ":KUBE-FORWARD - [0:0]"
    assert lines[1].decided and "ctstate INVALID" in lines[1].text
    assert "mark is 0x0, not 0x4000/0x4000" in lines[2].note


def test_a_quiz_judges_by_running_and_says_nothing_before() -> None:
    quiz = predict("Which state?", {"new": "NEW", "invalid": "INVALID"}, lambda: STORY.run(START).outcome.step.ctstate)
    assert quiz.judge() == "Choose an answer first."
    quiz.choice.value = "new"
    assert quiz.judge().startswith("✗")
    assert "picture" not in quiz.judge()  # what follows may be a listing
    quiz.choice.value = "invalid"
    quiz.button.click()
    assert "✓" in quiz.remark.value


def test_figures_of_matplotlib_stand_where_the_svg_does_with_the_same_words():
    story = scenario("7")
    drawn, painted = explore(story), explore(story, painter="matplotlib")
    assert "<svg" in drawn.view.picture.value
    image = painted.view.picture.value
    assert image.startswith('<img width="864" ')
    assert "data:image/png;base64," in image
    assert escape(picture_of(story, story.start()).title) in image
    with pytest.raises(PictureError, match="'cairo'; there are svg and matplotlib"):
        explore(story, painter="cairo")


def test_what_plays_no_part_is_drawn_for_who_wants_everything():
    story = scenario("7")
    part, whole = (explore(story, everything=everything).view.picture.value for everything in (False, True))
    assert ">gateway</text>" not in part
    assert ">gateway</text>" in whole
