"""What the site asks and is answered: the same words, pictures and tables as everywhere else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.scenarios.link import parse_link, print_link
from mcnilib.show.explorer import View, likely_json, parse_view, print_view
from mcnilib.show.html.markup import sentence
from mcnilib.show.picture.story_picture import picture_of
from mcnilib.show.picture.svg import to_svg
from mcnilib.show.verbs import VERBS, answer
from mcnilib.trace.explain import verdict

FLAGSHIP = scenario("7")


def asked(state: str, **more: object) -> dict:
    return json.loads(answer("view", json.dumps({"state": state, **more})))


@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_every_scenario_is_shown_as_the_panels_show_it(story):
    answer, start = asked(f"mcni={story.name}"), story.start()
    assert answer["picture"] == to_svg(picture_of(story, start), f"mcni-{story.name}")
    assert sentence(verdict(story.run(start))) in answer["verdict"]
    assert answer["settings"] == {one.name: one.text(getattr(start, one.attribute)) for one in story.options()}
    assert answer["steps"]
    assert "<table" in answer["table"]
    assert 'class="mcni-state"' in answer["listing"]


def test_a_state_is_answered_with_the_link_that_leads_to_it():
    answer = asked("mcni=7&kube-proxy=1.30&be-liberal=1&restarted=yes")
    story, settings = parse_link(answer["state"])
    assert story is FLAGSHIP
    assert settings == FLAGSHIP.start().but(kube_proxy="1.30", be_liberal=True, restarted=True)
    assert answer["state"] == "mcni=macvlan-to-calico-across-nodes&kube-proxy=1.30&be-liberal=1&restarted=yes"
    assert answer["notebook"] == print_link(story, settings)
    assert answer["command"] == story.command(settings)
    assert answer["verdict"].startswith("✓ connected")


def test_a_narrow_window_is_answered_with_a_narrow_picture_and_narrow_ones_to_come():
    wide, narrow = asked("mcni=7"), asked("mcni=7", narrow=True)
    start = FLAGSHIP.start()
    assert narrow["picture"] == to_svg(picture_of(FLAGSHIP, start, narrow=True), f"mcni-{FLAGSHIP.name}-narrow")
    assert narrow | {"picture": wide["picture"]} == wide
    near = json.loads(likely_json(json.dumps({"state": "mcni=7", "narrow": True})))
    assert all(json.loads(view)["narrow"] for view in near)


def test_what_takes_no_part_is_drawn_where_it_is_asked_for_and_in_what_a_click_may_bring():
    plain, whole = asked("mcni=7"), asked("mcni=7", everything=True)
    assert ">gateway<" not in plain["picture"] and ">gateway<" in whole["picture"]
    assert [plain["folds"], plain["everything"], whole["everything"]] == [True, False, True]
    near = json.loads(likely_json(json.dumps({"state": "mcni=7", "everything": True})))
    assert all(json.loads(view)["everything"] for view in near)
    assert asked("mcni=8")["folds"] is False
    beside = asked("mcni=7&protocol=UDP", against="mcni=7", everything=True)
    assert ">gateway<" in beside["against"]["picture"]


def test_a_step_is_marked_in_the_picture_and_the_table():
    whole, step = asked("mcni=7"), asked("mcni=7", step=9)
    assert step["step"] == 9
    assert "dropped" in step["steps"][8]
    assert step["picture"] != whole["picture"]
    assert 'aria-current="step"' in step["table"]
    assert 'aria-current="step"' not in whole["table"]


@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_a_sign_in_the_picture_leads_to_the_step_it_marks_and_the_failure_is_the_step_that_decided(story):
    shown = View(story, story.start(), depth="decisions").answer()
    outcome = story.run(story.start()).outcome
    for packet, index in re.findall(r'data-at="(\d+) (\d+)"', shown["picture"]):
        assert (int(packet), int(index)) in shown["places"]
    if outcome.works:
        assert shown["failure"] is None
    else:
        packet, index = shown["failure"]
        assert (packet, outcome.journey.steps[index]) == (outcome.journey.number, outcome.step)
        assert "<title>lost here</title>" in shown["picture"]


def test_a_step_beyond_the_last_is_the_last():
    answer = asked("mcni=7", step=10_000, depth="decisions")
    assert answer["step"] == len(answer["steps"]) > len(asked("mcni=7")["steps"])


@pytest.mark.parametrize(
    ("view", "says"),
    [
        ('{"state": "mcni=7&kube-proxy=9"}', "kube-proxy cannot be '9'"),
        ('{"state": "mcni=calico"}', "there is no scenario 'calico'"),
        ('{"state": "x"}', "is not a link to a state"),
        ('{"state": "mcni=7", "depth": "deep"}', "depth cannot be 'deep'"),
        ('{"state": "mcni=7", "step": "two"}', "please report it: TypeError"),
        ("[", "please report it: JSONDecodeError"),
    ],
)
def test_what_cannot_be_shown_is_answered_with_the_reason(view, says):
    assert says in json.loads(answer("view", view))["error"]
    assert "depth" in view or says in json.loads(answer("likely", view))["error"]


def test_a_verb_that_does_not_exist_is_answered_with_those_that_do():
    assert json.loads(answer("sing", "{}")) == {"error": "there is no verb 'sing'; there are " + ", ".join(VERBS)}


def test_a_verb_that_is_not_used_is_not_imported():
    program = (
        "import sys; from mcnilib.show.verbs import VERBS\nprint([m for m, _ in VERBS.values() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_a_click_may_bring_are_the_steps_beside_and_the_settings_one_change_away():
    view = View(FLAGSHIP, FLAGSHIP.start(), 3)
    near = [parse_view(text) for text in json.loads(likely_json(print_view(view)))]
    assert [one.step for one in near[:3]] == [2, 4, 5]
    changes = [FLAGSHIP.changed(one.settings) for one in near[3:]]
    assert all(len(change) == 1 for change in changes)
    assert len(changes) == sum(len(one.values) - 1 for one in FLAGSHIP.options())


def test_a_view_survives_printing():
    view = View(FLAGSHIP, FLAGSHIP.start().but(workaround="SNAT on the pod's node"), 4, "decisions")
    assert parse_view(print_view(view)) == view
    beside = replace(view, against=FLAGSHIP.start())
    assert parse_view(print_view(beside)) == beside
    assert print_view(replace(view, step=0)) != print_view(view)


def test_a_state_beside_another_is_named_by_what_differs_and_both_show_where_they_part():
    start = FLAGSHIP.start()
    cured = start.but(kube_proxy="1.30", be_liberal=True, restarted=True)
    answer = View(FLAGSHIP, cured, against=start).answer()
    assert answer["against"]["state"] == "mcni=macvlan-to-calico-across-nodes"
    assert answer["against"]["names"] == (
        "kube-proxy version 1.28, nf_conntrack_tcp_be_liberal 0, kube-proxy restarted since no",
        "kube-proxy version 1.30, nf_conntrack_tcp_be_liberal 1, kube-proxy restarted since yes",
    )
    assert "They part at packet 3 (ACK):" in answer["against"]["told"]
    assert "in A it is dropped on node1 in filter KUBE-FORWARD" in answer["against"]["told"]
    assert "in B from node1 it leaves through en0, arrives at en0 of node2" in answer["against"]["told"]
    assert "- -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP" in re.sub(
        "<[^>]*>", "", answer["against"]["told"]
    )
    assert answer["picture"] != View(FLAGSHIP, cured).answer()["picture"]
    assert answer["against"]["picture"] == to_svg(
        picture_of(FLAGSHIP, start, View(FLAGSHIP, start, 9).at), f"mcni-{FLAGSHIP.name}-a"
    )


def test_a_step_is_shown_in_both_states_beside_each_other():
    start = FLAGSHIP.start()
    answer = View(FLAGSHIP, start.but(protocol="UDP"), 2, against=start).answer()
    assert answer["against"]["picture"] == to_svg(
        picture_of(FLAGSHIP, start, View(FLAGSHIP, start, 2).at), f"mcni-{FLAGSHIP.name}-a"
    )
    assert View(FLAGSHIP, start, against=start).answer()["against"]["told"] == ""


def test_states_of_two_scenarios_do_not_stand_beside_each_other():
    assert "two states side by side are of one scenario" in asked("mcni=7", against="mcni=8")["error"]
