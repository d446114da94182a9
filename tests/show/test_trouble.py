"""Whatever goes wrong in a panel, it says so, and shows no answer to another question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from types import ModuleType
from typing import Any

import ipywidgets as widgets
import pytest

from mcnilib import ask, exercise, scenario
from mcnilib.cluster.settings import Settings
from mcnilib.errors import Unsupported
from mcnilib.notebook import conclusion, explore, look_around, side_by_side
from mcnilib.scenarios.conclusion import MULTI, TO_CALICO
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show import inquiry
from mcnilib.show.html import outcome
from mcnilib.show.widgets import conclusion as conclusion_panel
from mcnilib.show.widgets import panel, snapshot_panel, state_browser, trace_view
from mcnilib.show.widgets import side_by_side as pair_panel
from mcnilib.show.widgets.quiz import predict
from mcnilib.snapshots.snapshot import Snapshot

STORY = scenario("7")
HOLE, KNOWN = RuntimeError("<a hole>"), Unsupported("a <device> that is not modelled")
SAYS = {
    HOLE: "mcnilib made a mistake here, please report it: RuntimeError: &lt;a hole&gt;",
    KNOWN: "a &lt;device&gt; that is not modelled",
}
TEXT = (
    "mcnilib.errors",
    "mcnilib.language",
    "mcnilib.show.html.markup",
    "mcnilib.show.html.style",
    "mcnilib.show.widgets.prefetch",
)
TOUCHED = (
    *(widgets.Button, widgets.Dropdown, widgets.ToggleButtons, widgets.RadioButtons),
    *(widgets.IntSlider, widgets.Text, widgets.Textarea, panel.PageAddress),
)


def inquired() -> Any:
    return ask(Snapshot(STORY.world(STORY.start()), STORY.listeners(STORY.start())), "mac1", "tcp:10.233.101.2:80")


def set_to(where: str, value: object) -> Callable[[Any], None]:
    def act(shown: Any) -> None:
        setattr(attrgetter(where)(shown), "value", value)  # noqa: B010 -- a traitlet

    return act


def toggle(shown: Any) -> None:
    shown.controls["kube_proxy"].value = "1.30"


def liberal(shown: Any) -> None:
    shown.controls[0].of["be_liberal"].value = True


def parts_of(*names: str) -> Callable[[Any], list[Any]]:
    return lambda shown: [getattr(shown, name) for name in names]


def sides(shown: Any) -> list[Any]:
    return [part for side in shown.columns for part in (side.verdict, side.picture)]


def viewed(shown: Any) -> list[Any]:
    view = shown.view
    return [view.picture, view.steps, view.state, view.compared, view.reasons]


def step_on(shown: Any) -> None:
    shown.view.stepper.forward.click()


@pytest.mark.slow
@pytest.mark.parametrize("problem", SAYS, ids=["a hole", "not modelled"])
@pytest.mark.parametrize(
    ("made", "module", "broken", "act", "said", "cleared"),
    [
        pytest.param(inquired, outcome, "verdict", set_to("to", "udp:10.233.101.2:80"), "view.verdict", viewed, id="asked anew"),
        pytest.param(inquired, snapshot_panel, "lay_out", set_to("to", "udp:10.233.101.2:80"), "view.verdict", viewed, id="asked anew, no picture"),
        pytest.param(inquired, inquiry, "read_listeners", set_to("commands", "node1: iptables -P FORWARD ACCEPT"), "view.verdict", viewed, id="what if"),
        pytest.param(inquired, trace_view, "table_html", step_on, "view.verdict", viewed, id="a step of a snapshot"),
        pytest.param(lambda: explore(STORY), panel, "picture_of", toggle, "view.verdict", viewed, id="a setting, no picture"),
        pytest.param(lambda: explore(STORY), trace_view, "verdict_html", toggle, "view.verdict", viewed, id="a setting, no verdict"),
        pytest.param(lambda: explore(STORY), outcome, "because", toggle, "view.verdict", viewed, id="a setting, no reasons"),
        pytest.param(lambda: explore(STORY), panel, "neighbours", toggle, "view.verdict", viewed, id="a setting, nothing to prefetch"),
        pytest.param(lambda: explore(STORY), trace_view, "state_html", step_on, "view.verdict", viewed, id="a step"),
        pytest.param(lambda: explore(STORY), trace_view, "rows", set_to("view.depth", "decisions"), "view.verdict", viewed, id="a depth"),
        pytest.param(lambda: side_by_side(STORY, kube_proxy="1.30"), pair_panel, "difference", liberal, "difference", sides, id="one of two"),
        pytest.param(conclusion, conclusion_panel, "verdict_html", lambda shown: shown.choose((MULTI, TO_CALICO)), "verdict", parts_of("picture", "reasons", "facts", "summary"), id="a cell"),
        pytest.param(look_around, state_browser, "netns_html", set_to("kind", None), "about", parts_of("state"), id="a look around"),
        pytest.param(look_around, state_browser.StateBrowser, "namespaces", set_to("kind", None), "about", parts_of("state"), id="nowhere to look"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said_and_the_old_answer_is_gone(
    monkeypatch, problem, made, module, broken, act, said, cleared
) -> None:
    shown = made()

    def fails(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(module, broken, fails)
    act(shown)
    text = attrgetter(said)(shown).value
    assert SAYS[problem] in text and 'role="alert"' in text
    assert [part.value for part in cleared(shown)] == [""] * len(cleared(shown))


def test_a_panel_answers_again_after_a_mistake(monkeypatch) -> None:
    shown = explore(STORY)
    with monkeypatch.context() as broken:
        broken.setattr(panel, "picture_of", lambda *_, **__: 1 / 0)
        shown.controls["kube_proxy"].value = "1.30"
    assert "ZeroDivisionError" in shown.view.verdict.value
    shown.controls["kube_proxy"].value = "1.28"
    assert (
        "connect succeeds" in shown.view.verdict.value
        and "<svg" in shown.view.picture.value
        and "<table" in shown.view.steps.value
    )


def controls_of(widget: Any) -> Iterator[Any]:
    """Yield everything in a panel that a reader can touch."""
    if isinstance(widget, TOUCHED):
        yield widget
    for child in getattr(widget, "children", ()):
        yield from controls_of(child)


def touch(control: Any) -> None:
    """Use a control as a reader would."""
    if isinstance(control, widgets.Button):
        control.click()
    elif isinstance(control, (widgets.Dropdown, widgets.ToggleButtons, widgets.RadioButtons)):
        control.index = ((control.index or 0) + 1) % len(control.options) if control.options else None
    elif isinstance(control, widgets.IntSlider):
        control.value = min(control.max, control.value + 1)
    else:
        control.value = "mcni=7&kube-proxy=1.31"


def words_of(widget: Any) -> str:
    """Return all that a panel says."""
    own = [widget.value] if isinstance(widget, widgets.HTML) else []
    return "".join([*own, *map(words_of, getattr(widget, "children", ()))])


def model_calls(module: ModuleType) -> Iterator[str]:
    """Name the functions a module takes from elsewhere, but for those that only make text of text."""
    for name, value in vars(module).items():
        made_in = getattr(value, "__module__", None) or ""
        if (
            callable(value)
            and not isinstance(value, type)
            and made_in.startswith("mcnilib.")
            and made_in not in (*TEXT, module.__name__)
        ):
            yield name


def asked_right() -> Any:
    quiz = predict("Which?", {"new": "NEW", "invalid": "INVALID"}, lambda: scenario("7").run(STORY.start()))
    quiz.choice.index = 0
    return quiz


MADE = {
    "panel": (lambda: explore(STORY), (panel, trace_view, outcome)),
    "snapshot panel": (inquired, (snapshot_panel, trace_view, outcome)),
    "side by side": (lambda: side_by_side(STORY, kube_proxy="1.30"), (pair_panel, outcome)),
    "state browser": (look_around, (state_browser,)),
    "conclusion": (conclusion, (conclusion_panel, outcome)),
    "quiz": (asked_right, ()),
}
PLANTED = [
    (made, module, name) for made, (_, modules) in MADE.items() for module in modules for name in model_calls(module)
]
PLANTED += [
    (made, owner, name) for made in MADE for owner, name in ((Scenario, "run"), (Scenario, "world"), (Settings, "but"))
]


@pytest.mark.slow
@pytest.mark.parametrize(("made", "owner", "name"), PLANTED, ids=lambda value: getattr(value, "__name__", value))
def test_a_mistake_in_whatever_a_control_calls_is_said_in_the_panel(monkeypatch, made, owner, name) -> None:
    shown, hits = MADE[made][0](), []

    def fails(*_: object, **__: object) -> None:
        hits.append(name)
        raise HOLE

    monkeypatch.setattr(owner, name, fails)
    for control in list(controls_of(shown)):
        before = len(hits)
        touch(control)
        assert len(hits) == before or SAYS[HOLE] in words_of(shown), (type(control).__name__, control.description)
    bundle = shown._repr_mimebundle_()
    assert (bundle[0] if isinstance(bundle, tuple) else bundle)["text/plain"]


def test_an_exercise_says_it_too(monkeypatch, capsys) -> None:
    monkeypatch.setattr("mcnilib.scenarios.exercise.do", lambda *_: 1 / 0)
    exercise(7, 1).check("node1: iptables -F")
    assert capsys.readouterr().out.startswith(
        "✘ not yet: mcnilib made a mistake here, please report it: ZeroDivisionError"
    )


def test_a_question_and_a_link_say_it_too(monkeypatch) -> None:
    quiz = predict("Which?", {"a": 1}, lambda: 1 / 0)
    quiz.choice.value = "a"
    quiz.button.click()
    assert "ZeroDivisionError" in quiz.remark.value
    shown = explore(STORY)
    monkeypatch.setattr(panel, "parse_link", lambda text: 1 / 0)
    shown.permalink.link.value = "mcni=7"
    assert "ZeroDivisionError" in shown.permalink.remark.value
