"""Machines that nobody collected, and programs that answer ARP, on the kernel: conversations end as in the model."""

from __future__ import annotations

from itertools import count

import pytest
from outside_worlds import CASES

from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.observe import converse

pytestmark = pytest.mark.kernel

NUMBERS = count(80)


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_with_the_rest_of_the_world_ends_as_in_the_model(name: str, worker: Worker) -> None:
    case, number = CASES[name], next(NUMBERS)
    outcome = worker.run(converse, case.world, *case.talk(number), number).outcome
    assert outcome.verdict.value == case.verdict
