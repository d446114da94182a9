"""The recorded run: complete, current, without a difference; and what readers without namespaces see of it."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcnilib.cluster.settings import Settings
from mcnilib.kernel.compare import record
from mcnilib.kernel.compare.record import (
    AGREES,
    DIFFERS,
    SKIPPED,
    UNKNOWN,
    Recorded,
    checked,
    position,
    recorded_scenario,
    scenario_digest,
)
from mcnilib.kernel.compare.report import combinations_of, release
from mcnilib.kernel.compare.verify import verify
from mcnilib.scenarios import all_scenarios, scenario

STORIES = all_scenarios()
RENEW = "renew it: mcni record kernel"


@given(st.text(alphabet=AGREES + DIFFERS + SKIPPED + UNKNOWN))
def test_letters_survive_being_shortened(letters: str) -> None:
    assert record.expand(record.run_lengths(letters)) == letters


def test_runs_of_a_letter_are_shortened() -> None:
    assert record.run_lengths("aaadss") == "3a1d2s"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_place_is_a_combinations_place_in_the_sweep(story) -> None:
    for place, settings in zip(range(300), story.combinations(), strict=False):
        assert position(story, settings) == place


def test_a_setting_that_is_not_the_scenarios_has_no_place() -> None:
    story = scenario("6")
    assert "workaround" not in story.settings
    assert position(story, story.start().but(workaround="host route back")) is None


@pytest.mark.parametrize(
    ("letters", "says"),
    [
        ("a", "a real Linux 6.18 kernel gives the same result"),
        ("d", "a real Linux 6.18 kernel gives another result"),
        ("s", "not checked on Linux 6.18 (this kernel has no ipip)"),
        ("-", "not checked on a kernel yet"),
        ("", "not checked on a kernel yet"),
    ],
)
def test_what_a_reader_sees(monkeypatch: pytest.MonkeyPatch, letters: str, says: str) -> None:
    one = Recorded("6.18.44", "2026-11-23", "0", letters, "this kernel has no ipip")
    monkeypatch.setattr(record, "recorded_scenario", lambda name: one)
    story = scenario("6")
    assert checked(story, next(story.combinations())) == says


def test_a_record_is_read_as_it_was_written() -> None:
    one = Recorded("6.18.44", "2026-11-23", "abc", "aads", "this kernel has no ipip")
    assert record.parse_records(record.print_records({"x": one})) == {"x": one}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_the_record_holds_every_combination_and_no_difference(story) -> None:
    found = recorded_scenario(story.name)
    assert found, RENEW
    assert len(found.results) == sum(1 for _ in story.combinations()), RENEW
    assert set(found.results) <= {AGREES, SKIPPED}, RENEW


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_the_record_is_of_the_worlds_as_they_are(story) -> None:
    found = recorded_scenario(story.name)
    assert found, RENEW
    assert found.digest == scenario_digest(story), RENEW


def test_another_rule_in_one_world_makes_a_record_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    story = scenario("6")
    other = replace(story, defaults=(*story.defaults, ("felix_invalid", False)))
    assert scenario_digest(other) != scenario_digest(story)


@pytest.mark.kernel
def test_a_sample_measured_now_agrees_with_the_record() -> None:
    sample = Namespace(all=False, sample=4, seed=release())
    for result in verify(STORIES, lambda story: combinations_of(story, sample)):
        assert result.letter != DIFFERS, str(result)
        story = scenario(result.scenario)
        place, found = position(story, result.settings), recorded_scenario(story.name)
        assert found and place is not None, RENEW
        assert found.results[place] == result.letter or SKIPPED in (found.results[place], result.letter), RENEW


def test_checking_needs_no_namespaces_and_no_processes() -> None:
    assert checked(scenario("7"), Settings.of(kube_proxy="1.30")).startswith("a real Linux ")
