"""Packets that are too long, on the kernel: conversations with a size end as in the model."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from mtu_worlds import CASES, IPIP_CASES

from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.observe import converse
from mcnilib.kernel.uml import build as building
from mcnilib.kernel.uml.machine import in_uml

pytestmark = pytest.mark.kernel

NUMBERS = count(40)


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_with_a_size_ends_as_in_the_model(name: str, worker: Worker) -> None:
    case, number = CASES[name], next(NUMBERS)
    outcome = worker.run(converse, case.world, *case.talk(number), number).outcome
    assert (outcome.verdict.value, outcome.error) == (case.verdict, case.error)


@pytest.fixture(scope="module")
def second_kernel() -> Iterator[Worker]:
    """A lab in user-mode Linux, which has IPIP; it takes ten seconds to start."""
    if building.cached() is None:
        pytest.skip("this kernel test needs user-mode Linux: `mcni kernel build` builds it")
    with in_uml(1)[0] as there:
        yield there


@pytest.mark.slow
@pytest.mark.parametrize("name", IPIP_CASES)
def test_a_conversation_through_ipip_ends_as_in_the_model(name: str, second_kernel: Worker) -> None:
    case, number = IPIP_CASES[name], next(NUMBERS)
    outcome = second_kernel.run(converse, case.world, *case.talk(number), number).outcome
    assert (outcome.verdict.value, outcome.error) == (case.verdict, case.error)
