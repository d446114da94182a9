"""Walking through a conversation: the stepper, the plan of a story, what stays and what follows a click."""

from __future__ import annotations

import asyncio
import re
import struct

import pytest
from show_examples import text_of

from mcnilib.language import PSEUDO
from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.scenarios.scenario import neighbours
from mcnilib.show.html.table import failure, rows
from mcnilib.show.picture.story_picture import _picture, crowded, plan_for
from mcnilib.show.widgets.panel import Panel
from mcnilib.show.widgets.quiz import QuizError, predict
from mcnilib.show.widgets.trace_view import Stepper
from mcnilib.trace.trace import DEPTHS

STORY = scenario("7")


@pytest.fixture
def panel() -> Panel:
    return Panel(STORY, STORY.start())


def test_stepping_goes_forward_back_and_home():
    shown = []
    stepper = Stepper(shown.append)
    stepper.offer([((1, 0), "a"), ((1, 1), "b"), ((2, 0), "c")])
    for button in (stepper.forward, stepper.forward, stepper.back, stepper.back, stepper.forward, stepper.whole):
        button.click()
    assert shown == [None, (1, 0), (1, 1), (1, 0), None, (1, 0), None]


@pytest.mark.parametrize(
    ("clicks", "back", "forward", "says"),
    [(0, False, True, "2 steps"), (1, True, True, "step 1 of 2: &lt;a&gt;"), (2, True, False, "step 2 of 2: b")],
)
def test_only_buttons_that_lead_somewhere_can_be_pressed(clicks, back, forward, says):
    stepper = Stepper(lambda place: None)
    stepper.offer([((1, 0), "<a>"), ((1, 1), "b")])
    for _ in range(clicks):
        stepper.forward.click()
    assert (not stepper.back.disabled, not stepper.forward.disabled) == (back, forward)
    assert says in stepper.where.value
    assert 'role="status"' in stepper.where.value


def test_a_step_is_emphasised_in_the_picture_marked_in_the_table_and_shows_its_state(panel):
    whole = panel.view.picture.value
    panel.view.depth.value = "decisions"
    for _ in range(3):
        panel.view.stepper.forward.click()
    assert panel.view.picture.value != whole
    assert panel.view.steps.value.count("▶ ") == 1
    at = panel.view.stepper.at
    step = STORY.run(STORY.start()).journeys[at[0] - 1].steps[at[1]]
    assert f"{step.netns}" in panel.view.state.value


def test_every_step_can_be_walked_through(panel):
    for _ in rows(STORY.run(STORY.start()), "hops"):
        panel.view.stepper.forward.click()
        assert panel.view.steps.value.count("▶ ") == 1
    assert panel.view.stepper.forward.disabled


def test_a_changed_setting_shows_the_whole_conversation_again(panel):
    panel.view.stepper.forward.click()
    panel.controls["be_liberal"].value = True
    assert panel.view.stepper.at is None
    assert "▶ " not in panel.view.steps.value


def test_a_panel_can_begin_elsewhere_and_larger():
    panel = Panel(STORY, STORY.start().but(kube_proxy="1.30", be_liberal=True, restarted=True), 1.5)
    assert "✓ connected" in panel.view.verdict.value
    assert 'width="1296"' in panel.view.picture.value


def test_two_panels_on_one_page_have_different_ids():
    one, two = (Panel(STORY, STORY.start()).view.picture.value for _ in range(2))
    assert one != two


def test_the_picture_for_viewers_without_a_kernel_is_that_of_the_panel(panel):
    bundle = panel._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    png = data["image/png"]
    raw = png if isinstance(png, bytes) else __import__("base64").b64decode(png)
    width, height = struct.unpack(">II", raw[16:24])
    assert (width, f'height="{height // 2}"' in panel.view.picture.value) == (1728, True)


def test_what_one_click_may_bring_is_prepared_while_the_kernel_is_idle(monkeypatch):
    monkeypatch.setattr("mcnilib.show.widgets.prefetch.IDLE_DELAY", 0.0)
    monkeypatch.setattr("mcnilib.show.widgets.prefetch.SLICE_PAUSE", 0.0)

    _picture.cache_clear()  # a full one does not grow

    async def look_a_while() -> Panel:
        panel = Panel(scenario("6"), scenario("6").start())
        before, likely = _picture.cache_info().currsize, len(list(neighbours(panel.story, panel.settings)))
        async with asyncio.timeout(60):
            while _picture.cache_info().currsize < before + likely:
                await asyncio.sleep(0)
        return panel

    panel = asyncio.run(look_a_while())
    hits = _picture.cache_info().hits
    panel.controls["be_liberal"].value = True
    assert _picture.cache_info().hits > hits


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_button_leads_to_where_it_fails(depth) -> None:
    panel = Panel(STORY, STORY.start())
    stepper = panel.view.stepper
    panel.view.depth.value = depth
    stepper.lost.click()
    assert stepper.at == failure(STORY.run(STORY.start()))
    assert "--ctstate INVALID -j DROP" in text_of(panel.view.state.value)


def test_a_conversation_that_works_has_no_such_button() -> None:
    panel = Panel(STORY, STORY.start().but(be_liberal=True, kube_proxy="1.30", restarted=True))
    assert panel.view.stepper.lost.layout.display == "none"


def test_the_picture_does_not_wait_for_the_tables():
    async def click() -> tuple[bool, bool, bool]:
        panel = Panel(STORY, STORY.start())
        picture, steps = panel.view.picture.value, panel.view.steps.value
        panel.controls["workaround"].value = panel.controls["workaround"].options[2][1]
        at_once = (panel.view.picture.value != picture, panel.view.steps.value != steps)
        await asyncio.sleep(0.2)
        return (*at_once, panel.view.steps.value != steps)

    assert asyncio.run(click()) == (True, False, True)


@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_no_picture_of_a_story_is_crowded(story):
    for settings in neighbours(story, story.start()):
        assert not crowded(plan_for(story, settings)), settings


@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_both_ends_are_in_every_picture_even_when_no_packet_arrives(story):
    for settings in neighbours(story, story.start()):
        way = story.way(settings)
        assert {way.client, way.server} <= plan_for(story, settings).focus, settings


ANSWERS = {"new": "NEW", "invalid": "INVALID"}


def test_a_quiz_shows_its_question_without_a_kernel_and_its_answer_only_folded():
    data, _ = predict(
        "Which state?", ANSWERS, lambda: "INVALID", ("Look at `-L`.", "No answer was seen.")
    )._repr_mimebundle_()
    assert data["text/plain"].splitlines() == ["Which state?", "  ( ) new", "  ( ) invalid"]
    shown, _, key = data["text/html"].partition("<details>")
    assert "✓" not in shown and "✗" not in shown
    assert "<dd>✗ Not quite. Look at <code>-L</code>.</dd>" in key.replace('<span class="word">-L</span>', "-L")
    assert "<dd>✓ Right. No answer was seen.</dd>" in key


def test_a_question_speaks_its_language_though_nothing_else_does():
    quiz = predict("Which state?", ANSWERS, lambda: "INVALID", lang=PSEUDO)
    quiz.choice.value = next(name for name, value in ANSWERS.items() if value == "INVALID")
    quiz.button.click()
    data, _ = quiz._repr_mimebundle_()
    texts = (
        quiz.remark.value,
        quiz.judge(),
        quiz.to_html(),
        data["text/plain"],
        data["text/html"],
        quiz.button.description,
    )
    assert all(re.search("[áéíóú]", text) for text in texts)


def test_a_wrong_guess_is_answered_with_a_hint_and_a_right_one_with_the_reason():
    quiz = predict("Which state?", ANSWERS, lambda: "INVALID", ("What does it wait for?", "No answer was seen."))
    assert [quiz.judge()] == ["Choose an answer first."]
    quiz.choice.value = "new"
    quiz.button.click()
    assert "✗ Not quite. What does it wait for?" in quiz.remark.value
    quiz.choice.value = "invalid"
    assert "✗" not in quiz.remark.value  # that was said to another answer
    assert quiz.judge() == "✓ Right. No answer was seen."


def test_a_quiz_without_responses_says_where_to_look_and_half_of_them_are_refused():
    quiz = predict("Which state?", ANSWERS, lambda: "INVALID")
    quiz.choice.value = "new"
    assert quiz.judge() == "✗ Not quite. Run the experiment below, then try again."
    with pytest.raises(QuizError, match="2 answers need as many responses, not 1"):
        predict("Which state?", ANSWERS, lambda: "INVALID", ("only one",))
