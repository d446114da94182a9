"""Two runs side by side: the first step that differs is marked in both, and the lines of state that made it differ."""

from __future__ import annotations

import re

import pytest
from show_examples import text_of

from mcnilib.cluster.settings import Protocol
from mcnilib.notebook import side_by_side
from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.scenarios.scenario import neighbours
from mcnilib.show.html.diff import changed_state
from mcnilib.show.picture.story_picture import picture_of
from mcnilib.trace.explain import difference

STORY = scenario("7")
CURE = {"kube_proxy": "1.30", "be_liberal": True, "restarted": True}


def test_the_first_difference_and_the_line_behind_it_are_marked() -> None:
    pair = side_by_side(STORY, **CURE)
    assert "✗ connect succeeds, then hangs" in pair.columns[0].verdict.value
    assert "✓ connected" in pair.columns[1].verdict.value
    assert "The first difference: packet 3" in pair.difference.value
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


def test_two_equal_runs_say_so() -> None:
    pair = side_by_side(STORY)
    assert "No step differs" in pair.difference.value
    assert "No line of state differs" in pair.difference.value


def test_the_sides_are_called_right_also_where_they_stand_below_each_other() -> None:
    heads = [text_of(side.children[0].value) for side in side_by_side(STORY, **CURE).columns]
    assert heads == ["left (above on a narrow page)", "right (below on a narrow page)"]


def test_a_click_on_either_side_is_compared_anew() -> None:
    pair = side_by_side(STORY)
    pair.controls[1].of["kube_proxy"].value = "1.30"
    assert "No step differs" in pair.difference.value  # the version alone changes no rule
    pair.controls[1].of["protocol"].value = Protocol.UDP
    assert "The first difference: packet 1" in pair.difference.value


@pytest.mark.slow
@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_where_two_runs_part_both_pictures_say_so(story) -> None:
    start = story.start()
    for other in neighbours(story, start):
        parted = difference(story.run(start), story.run(other))
        if parted is None:
            continue
        (name,) = [o.attribute for o in story.options() if getattr(other, o.attribute) != getattr(start, o.attribute)]
        pair = side_by_side(story, **{name: getattr(other, name)})
        for side, settings, step in zip(pair.columns, pair.settings, (parted.here, parted.there), strict=True):
            plain = side.picture.svg(picture_of(story, settings))
            assert (side.picture.value != plain) is (step is not None), (name, settings)
        return


def test_the_words_for_viewers_without_a_kernel() -> None:
    bundle = side_by_side(STORY, **CURE)._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    lines = data["text/plain"].splitlines()
    assert lines[0].startswith("left: connect succeeds")
    assert lines[1].startswith("right: connected")
    assert any(line.startswith("first difference: packet 3") for line in lines)
