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
    RECORDS_OF,
    SKIPPED,
    UNKNOWN,
    Recorded,
    checked,
    position,
    recorded_scenario,
    records_in,
    scenario_digest,
)
from mcnilib.kernel.compare.report import combinations_of, release
from mcnilib.kernel.compare.verify import verify
from mcnilib.scenarios import all_scenarios, scenario

STORIES = all_scenarios()
RENEW = {"record.json": "renew it: mcni record kernel", "record-uml.json": "renew it: mcni record kernel-uml"}
WHOLE, *OTHERS = RECORDS_OF
RUNS = [(WHOLE, story) for story in STORIES]
RUNS += [(file, story) for file in OTHERS for story in STORIES if story.name in records_in(file)]
"""Of the kernel that was at hand everything is recorded, of others what it could not be asked."""
of_each_kernel = pytest.mark.parametrize(("file", "story"), RUNS, ids=[f"{story.name} {file}" for file, story in RUNS])


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
    monkeypatch.setattr(record, "recorded_runs", lambda name: (one,))
    story = scenario("6")
    assert checked(story, next(story.combinations())) == says


@pytest.mark.parametrize(
    ("letters", "says"),
    [
        ("aa", "real Linux 6.18 and 6.1 kernels give the same result"),
        ("sa", "a real Linux 6.1 kernel gives the same result"),
        ("a-", "a real Linux 6.18 kernel gives the same result"),
        ("ad", "a real Linux 6.1 kernel gives another result"),
        ("ss", "not checked on Linux 6.18 (this kernel has no ipip)"),
        ("--", "not checked on a kernel yet"),
    ],
)
def test_what_a_reader_sees_of_two_kernels(monkeypatch: pytest.MonkeyPatch, letters: str, says: str) -> None:
    runs = [
        Recorded(kernel, "2026-11-23", "0", letter, "this kernel has no ipip")
        for kernel, letter in zip(("6.18.44", "6.1.192"), letters, strict=True)
    ]
    monkeypatch.setattr(record, "recorded_runs", lambda name: tuple(runs))
    story = scenario("6")
    assert checked(story, next(story.combinations())) == says


def test_a_record_is_read_as_it_was_written() -> None:
    one = Recorded("6.18.44", "2026-11-23", "abc", "aads", "this kernel has no ipip")
    assert record.parse_records(record.print_records({"x": one})) == {"x": one}


def test_a_kernel_is_recorded() -> None:
    assert records_in("record.json"), RENEW


@of_each_kernel
def test_the_record_holds_every_combination_and_no_difference(file: str, story) -> None:
    found = records_in(file).get(story.name)
    assert found, RENEW[file]
    assert len(found.results) == sum(1 for _ in story.combinations()), RENEW[file]
    assert set(found.results) <= {AGREES, SKIPPED, *(UNKNOWN if file in OTHERS else "")}, RENEW[file]


@of_each_kernel
def test_the_record_is_of_the_worlds_as_they_are(file: str, story) -> None:
    found = records_in(file).get(story.name)
    assert found, RENEW[file]
    assert found.digest == scenario_digest(story), RENEW[file]


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
        renew = RENEW["record.json"]
        assert found and place is not None, renew
        assert found.results[place] == result.letter or SKIPPED in (found.results[place], result.letter), renew


def test_checking_needs_no_namespaces_and_no_processes() -> None:
    assert "real Linux " in checked(scenario("7"), Settings.of(kube_proxy="1.30"))
