"""A conversation that plays by itself: it ends where it is decided, and without a kernel it is a picture with words."""

from __future__ import annotations

import pytest

from mcnilib.notebook import play, step_picture
from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.show.picture.story_picture import plan_for
from mcnilib.show.walkthrough import Walkthrough
from mcnilib.show.widgets.player import PlayedSteps


def walk(story) -> Walkthrough:
    settings = story.start()
    return Walkthrough(story.world(settings), story.run(settings), plan_for(story, settings))


@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_the_last_step_that_is_played_is_the_one_that_decides(story):
    shown = walk(story)
    row, outcome = shown.steps[shown.deciding - 1], shown.trace.outcome
    assert (row.journey, row.fate) == (outcome.journey.number, outcome.step.fate)


def test_a_player_has_the_pictures_of_its_steps_and_no_others():
    (film,) = (part for part in play(scenario("7")).children if isinstance(part, PlayedSteps))
    assert len(film.packed["steps"]) == 1 + walk(scenario("7")).deciding < 1 + len(walk(scenario("7")).steps)
    assert film.html.count("<svg ") == 1
    ranges = film.packed["steps"][0]["picture"]
    parts = (film.packed["pieces"][ranges[i] : ranges[i + 1]] for i in range(0, len(ranges), 2))
    whole = "".join("".join(part) for part in parts)
    assert whole in film.html


def test_without_a_kernel_it_is_a_picture_with_words():
    data, metadata = play(scenario("7"))._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert (
        data["text/plain"].startswith("connect succeeds, then hangs: packet 3 (ACK)") and metadata["image/png"]["alt"]
    )


def test_settings_may_be_changed_to_begin_with():
    data, _ = play(scenario("7"), workaround="host route back")._repr_mimebundle_()
    assert data["text/plain"].startswith("connected")


def test_one_step_is_a_picture_with_what_was_decided_and_one_that_is_not_there_is_said():
    data, _ = step_picture(scenario("7"), 3, "node1", "INVALID")._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert data["text/plain"].startswith("packet 3 (ACK)\nnode1 conntrack PREROUTING: INVALID")
    missing = step_picture(scenario("7"), 3, "node2", "INVALID")._repr_mimebundle_()
    assert "packet 3 of macvlan-to-calico-across-nodes has no step 'INVALID' on node2" in missing[0]["text/plain"]
