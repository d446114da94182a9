"""Two runs side by side: the first step that differs is marked in both, and the lines of state that made it differ."""

from __future__ import annotations

import base64
import re
import struct

import pytest
from show_examples import text_of

from mcnilib.cluster.settings import Protocol
from mcnilib.notebook import side_by_side
from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.scenarios.scenario import neighbours
from mcnilib.show.html.diff import changed_state
from mcnilib.trace.explain import course_difference

STORY = scenario("7")
CURE = {"kube_proxy": "1.30", "be_liberal": True, "restarted": True}


def test_the_first_difference_and_the_line_behind_it_are_marked() -> None:
    pair = side_by_side(STORY, **CURE)
    assert "✗ connect succeeds, then hangs" in pair.columns[0].verdict.value
    assert "✓ connected" in pair.columns[1].verdict.value
    assert "They part at packet 3 (ACK):" in pair.difference.value
    (decided,) = re.findall(r'class="line decided"[^>]*><code>(.*?)</code></div>', pair.difference.value)
    assert text_of(decided) == "▶ - -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"


@pytest.mark.parametrize(
    ("toggles", "differs"),
    [
        (
            {"be_liberal": True},
            {"sysctl.txt of node1, node2, node3, node4": (("+", "net.netfilter.nf_conntrack_tcp_be_liberal = 1"),)},
        ),
        ({"protocol": "UDP"}, {}),
        ({}, {}),
    ],
)
def test_the_lines_of_state_that_differ_are_listed_once(toggles: dict[str, object], differs: dict[str, object]) -> None:
    left, right = STORY.start(), STORY.start().but(**toggles)
    assert changed_state(STORY.world(left), STORY.world(right)) == differs


def test_a_decision_that_changes_neither_way_nor_end_is_no_first_difference() -> None:
    pair = side_by_side(scenario("macvlan-to-calico-same-node"), kube_proxy="1.22")
    assert "Every packet goes the same way to the same end in both." in pair.difference.value
    assert "On the way packet 1 meets another decision" in pair.difference.value
    assert not any("irst difference" in line for line in pair.lines())
    assert any(line.startswith("every packet goes the same way to the same end; ") for line in pair.lines())
    assert [side.picture.value for side in pair.columns] == [
        side.picture.svg(drawing) for side, drawing in zip(pair.columns, pair.drawings(marked=False), strict=True)
    ]


def test_two_equal_runs_say_so() -> None:
    pair = side_by_side(STORY)
    assert "No step differs" in pair.difference.value
    assert "No line of state differs" in pair.difference.value


def test_the_sides_are_named_by_what_differs() -> None:
    pair = side_by_side(STORY, be_liberal=True)
    heads = [text_of(side.head.value) for side in pair.columns]
    assert heads == ["A: nf_conntrack_tcp_be_liberal 0", "B: nf_conntrack_tcp_be_liberal 1"]
    pair.controls[1].of["be_liberal"].value = False
    assert [text_of(side.head.value) for side in pair.columns] == ["A", "B: the same settings"]


def test_a_click_on_either_side_is_compared_anew() -> None:
    pair = side_by_side(STORY)
    pair.controls[1].of["kube_proxy"].value = "1.30"
    assert "No step differs" in pair.difference.value  # the version alone changes no rule
    pair.controls[1].of["protocol"].value = Protocol.UDP
    assert "They part at packet 3 (ACK):" in pair.difference.value  # UDP ends with the answer


@pytest.mark.slow
@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_where_two_runs_part_both_pictures_say_so(story) -> None:
    start = story.start()
    for other in neighbours(story, start):
        traces = story.run(start), story.run(other)
        parted = course_difference(*traces)
        if parted is None:
            continue
        (name,) = [o.attribute for o in story.options() if getattr(other, o.attribute) != getattr(start, o.attribute)]
        pair = side_by_side(story, **{name: getattr(other, name)})
        plain = pair.drawings(marked=False)
        for side, drawing, step in zip(pair.columns, plain, (parted.here, parted.there), strict=True):
            assert (side.picture.value != side.picture.svg(drawing)) is (step is not None), name
        assert plain[0].scene.boxes and [b.rect for b in plain[0].scene.boxes] == [b.rect for b in plain[1].scene.boxes]
        return


def test_the_words_for_viewers_without_a_kernel() -> None:
    bundle = side_by_side(STORY, **CURE)._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    lines = data["text/plain"].splitlines()
    assert lines[0].startswith(
        "A: kube-proxy version 1.28, nf_conntrack_tcp_be_liberal 0, kube-proxy restarted since no: "
    )
    assert lines[1].startswith("B: kube-proxy version 1.30") and "yes: connected" in lines[1]
    raw = base64.b64decode(data["image/png"]) if isinstance(data["image/png"], str) else data["image/png"]
    width, _ = struct.unpack(">II", raw[16:24])
    assert width == 2 * (2 * 366 + 16)  # both pictures, beside each other
    assert any(line.startswith("first difference: packet 3") for line in lines)
