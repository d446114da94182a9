"""Native nftables on the kernel: the same conversations, compared packet by packet and rule by rule."""

from __future__ import annotations

from itertools import count

import pytest
from nft_worlds import CASES

from mcnilib.kernel.compare.compare import compare_traces
from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.observe import converse
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
