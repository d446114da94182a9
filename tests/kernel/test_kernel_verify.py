"""`mcni verify`: which combinations, what it prints, how it ends, what it skips and why."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcnilib.cli import main
from mcnilib.kernel.compare import report
from mcnilib.kernel.compare.record import AGREES, DIFFERS, SKIPPED, parse_records
from mcnilib.kernel.compare.verify import Result, check, groups
from mcnilib.kernel.lab.syscalls import NoLab
from mcnilib.kernel.lab.workers import Worker
from mcnilib.scenarios import scenario

STORY = scenario("6")


def results(*letters: str) -> Iterator[Result]:
    """One result per letter, for consecutive combinations."""
    for letter, settings in zip(letters, STORY.combinations(), strict=False):
        yield Result(STORY.name, settings, letter, f"text of {letter}")


def test_a_sample_has_the_start_and_depends_on_the_seed_alone() -> None:
    one, same, other = (report.combinations_of(STORY, Namespace(all=False, sample=9, seed=seed)) for seed in (1, 1, 2))
    assert one == same != other
    assert one[0] == STORY.start()
    assert len(set(one)) == 9


def test_all_means_every_combination() -> None:
    assert report.combinations_of(STORY, Namespace(all=True, sample=1, seed=0)) == list(STORY.combinations())


def test_combinations_of_one_world_and_conversation_are_one_measurement() -> None:
    every = list(STORY.combinations())
    found = groups(STORY, every)
    assert sum(len(same) for group in found for same in group.values()) == len(every)
    assert sum(len(group) for group in found) < len(every) / 2
    for group in found:
        assert all(STORY.flow(one) == flow for (flow, _), same in group.items() for one in same)


@pytest.mark.parametrize(
    ("letters", "status", "says"),
    [
        ("aa", 0, "2 agree, 0 differ"),
        ("ad", 1, "1 agree, 1 differ"),
        ("as", 0, "1 agree, 0 differ, 1 skipped: text of s"),
    ],
)
def test_it_ends_with_1_when_something_differs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], letters: str, status: int, says: str
) -> None:
    monkeypatch.setattr(report, "verify", lambda *_: results(*letters))
    assert main(["verify", "6"]) == status
    said = capsys.readouterr().out
    assert says in said
    assert [line.split()[0] for line in said.splitlines()[:2]] == [report.MARKS[letter] for letter in letters]


def test_a_record_keeps_what_was_not_measured_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    monkeypatch.setattr(report, "verify", lambda stories, *_: (Result(s.name, s.start(), AGREES, "") for s in stories))
    for name in ("6", "7"):
        main(["verify", name, "--all", "--record", str(file)])
    assert {"macvlan-to-calico-same-node", "macvlan-to-calico-across-nodes"} == set(parse_records(file.read_text()))


def test_a_record_needs_every_combination(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "6", "--record", "x.json"]) == 2
    assert "--record needs --all" in capsys.readouterr().err


@pytest.mark.kernel
def test_what_the_kernel_lacks_is_skipped_by_name() -> None:
    flagship = scenario("7")
    settings = flagship.start().but(encapsulation="IPIP")
    with Worker() as worker:
        try:
            found = worker.run(check, flagship.name, [settings], {"ipip": "Unknown device type", "macvlan": ""})
        except NoLab as problem:
            pytest.skip(str(problem))
    assert [(one.letter, one.text) for one in found] == [(SKIPPED, "this kernel has no ipip")]


@pytest.mark.kernel
def test_the_command_compares_with_the_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["verify", "macvlan-to-calico-across-nodes", "6", "--sample", "3", "--seed", "5"])
    captured = capsys.readouterr()
    if "user namespaces" in captured.err:
        pytest.skip(captured.err)
    assert (status, DIFFERS in captured.out.split()[0]) == (0, False)
    assert "macvlan-to-calico-across-nodes defaults: agree on 6 packets (connect succeeds, then hangs)" in captured.out
    assert captured.out.count("0 differ") == 2
