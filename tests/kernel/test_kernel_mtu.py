"""Packets that are too long, on the kernel: conversations with a size end as in the model."""

from __future__ import annotations

from itertools import count

import pytest
from mtu_worlds import CASES

from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.observe import converse

pytestmark = pytest.mark.kernel

NUMBERS = count(40)


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_with_a_size_ends_as_in_the_model(name: str, worker: Worker) -> None:
    case, number = CASES[name], next(NUMBERS)
    outcome = worker.run(converse, case.world, *case.talk(number), number).outcome
    assert (outcome.verdict.value, outcome.error) == (case.verdict, case.error)
