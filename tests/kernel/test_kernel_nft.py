"""Native nftables on the kernel: the same conversations, compared packet by packet and rule by rule."""

from __future__ import annotations

from itertools import count

import pytest
from nft_worlds import CASES

from mcnilib.kernel.compare.compare import compare_traces
from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.observe import converse
from mcnilib.scenarios import scenario
from mcnilib.trace.run import run

pytestmark = pytest.mark.kernel

NUMBERS = count(200)


@pytest.mark.parametrize("name", CASES)
def test_model_and_kernel_agree_at_every_rule(name: str, worker: Worker) -> None:
    case, number = CASES[name], next(NUMBERS)
    flow, listeners = case.talk(number)
    kernel = worker.run(converse, case.world, flow, listeners, number)
    report = compare_traces(run(case.world, flow, listeners), kernel, flow, listeners)
    assert not report.mismatches, "\n".join(map(str, report.mismatches))
    assert kernel.outcome.verdict.value == case.verdict


@pytest.mark.parametrize(
    ("number", "version", "verdict"),
    [
        ("7", "1.28", "connected"),  # it knows no such mode: no rule is written
        ("7", "1.29", "connect succeeds, then hangs"),
        ("7", "1.33", "connected"),
        ("9", "1.30", "connected"),
        ("5", "1.34", "connect times out"),
        ("13", "1.35", "connected"),
        ("7", "1.36", "connected"),
        ("9", "1.37", "connected"),
        ("13", "1.37", "connected"),
    ],
)
def test_a_lesson_in_nftables_mode_ends_as_on_the_kernel(number, version, verdict, worker: Worker) -> None:
    story = scenario(number)
    settings = story.start().but(kube_proxy=version, kube_proxy_mode="nftables")
    world, flow, listeners = story.world(settings), story.flow(settings), story.listeners(settings)
    model = run(world, flow, listeners)
    report = compare_traces(model, worker.run(converse, world, flow, listeners), flow, listeners)
    assert not report.mismatches, "\n".join(map(str, report.mismatches))
    assert model.outcome.verdict.value == verdict


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        ("7", {}),
        ("7", {"kube_proxy": "1.33", "kube_proxy_mode": "nftables"}),
        ("7", {"encapsulation": "VXLAN", "calico": "3.33", "kube_proxy": "1.36", "kube_proxy_mode": "nftables"}),
        ("10", {"calico": "3.30"}),
        ("11", {"network_policy": "from pods"}),
    ],
)
def test_a_lesson_with_calico_in_nftables_mode_ends_as_on_the_kernel(number, changes, worker: Worker) -> None:
    story = scenario(number)
    settings = story.start().but(calico_dataplane="nftables", **changes)
    world, flow, listeners = story.world(settings), story.flow(settings), story.listeners(settings)
    report = compare_traces(run(world, flow, listeners), worker.run(converse, world, flow, listeners), flow, listeners)
    assert not report.mismatches, "\n".join(map(str, report.mismatches))
