"""IPVS on the second kernel: the same conversations, compared packet by packet and rule by rule."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from ipvs_worlds import CASES
from test_uml import needs_uml, uml_built  # noqa: F401  # a fixture

from mcnilib.kernel.compare.compare import compare_traces
from mcnilib.kernel.lab.workers import WorkerPool
from mcnilib.kernel.observe.observe import converse
from mcnilib.kernel.uml.machine import UML
from mcnilib.trace.run import run

pytestmark = [pytest.mark.kernel, needs_uml]

NUMBERS = count(300)


@pytest.fixture(scope="module")
def machine(uml_built) -> Iterator[WorkerPool]:  # noqa: F811
    """One machine for all tests here."""
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
