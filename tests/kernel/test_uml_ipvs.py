"""IPVS on the second kernel: the same conversations, compared packet by packet and rule by rule."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import count

import pytest
from ipvs_worlds import CASES
from test_uml import needs_uml, uml_built  # noqa: F401  # a fixture

from mcnilib.kernel.compare.compare import compare_traces
from mcnilib.kernel.compare.record import AGREES
from mcnilib.kernel.compare.verify import check
from mcnilib.kernel.lab.capabilities import probe
from mcnilib.kernel.lab.lab import Lab
from mcnilib.kernel.lab.readback import read_back
from mcnilib.kernel.lab.workers import WorkerPool
from mcnilib.kernel.observe.observe import converse
from mcnilib.kernel.uml.machine import UML
from mcnilib.scenarios import scenario
from mcnilib.trace.run import run
from mcnilib.world.world import World

pytestmark = [pytest.mark.kernel, needs_uml]

NUMBERS = count(300)


@pytest.fixture(scope="module")
def machine(uml_built) -> Iterator[WorkerPool]:  # noqa: F811
    """One machine for all tests here, which finds the jobs of this module."""
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        with WorkerPool(1, UML) as pool:
            yield pool


@pytest.mark.parametrize("name", CASES)
def test_model_and_kernel_agree_at_every_rule(name: str, machine: WorkerPool) -> None:
    case, number = CASES[name], next(NUMBERS)
    flow, listeners = case.talk(number)
    kernel = machine.run(converse, case.world, flow, listeners, number)
    report = compare_traces(run(case.world, flow, listeners), kernel, flow, listeners)
    assert not report.mismatches, "\n".join(map(str, report.mismatches))
    assert kernel.outcome.verdict.value == case.verdict


def built(lab: Lab, worlds: list[World]) -> list[str]:
    """Turn a lab into one world after the other; return what is read back otherwise."""
    wrong = []
    for world in worlds:
        lab.realise(world)
        wrong += [str(mismatch) for mismatch in read_back(lab) if mismatch.command == "ipvsadm -Sn"]
    return wrong


def test_what_ipvsadm_lists_is_what_was_meant(machine: WorkerPool) -> None:
    names = ("one server", "weighted", "persistent", "no server", "a hash of the source", "nothing tracks")
    assert machine.run(built, [CASES[name].world for name in names]) == []


@pytest.mark.parametrize(
    ("number", "version"), [("7", "1.22"), ("7", "1.28"), ("9", "1.25"), ("9", "1.29"), ("5", "1.30"), ("13", "1.35")]
)
def test_a_lesson_in_ipvs_mode_ends_as_on_the_kernel(number: str, version: str, machine: WorkerPool) -> None:
    story = scenario(number)
    settings = story.start().but(kube_proxy=version, kube_proxy_mode="ipvs")
    (result,) = machine.run(check, story.name, [settings], machine.run(probe))
    assert result.letter == AGREES, result.text


def test_lesson_7_connects_in_ipvs_mode() -> None:
    story = scenario("7")
    for version in ("1.22", "1.28", "1.35"):
        settings = story.start().but(kube_proxy=version, kube_proxy_mode="ipvs")
        trace = run(story.world(settings), story.flow(settings), story.listeners(settings))
        assert trace.outcome.verdict.value == "connected"
