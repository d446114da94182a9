"""Kinds of devices on a kernel that has them: conversations over them end as in the model."""

from __future__ import annotations

from itertools import count

import pytest
from device_worlds import CASES

from mcnilib.kernel.lab.capabilities import Capabilities, lacking, probe
from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.observe import converse

pytestmark = pytest.mark.kernel

NUMBERS = count(80)


@pytest.fixture(scope="module")
def available(worker: Worker) -> Capabilities:
    """What this kernel has."""
    there: Capabilities = worker.run(probe)
    return there


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_over_such_devices_ends_as_in_the_model(
    name: str, worker: Worker, available: Capabilities
) -> None:
    case, number = CASES[name], next(NUMBERS)
    if missing := lacking(case.world, available):
        pytest.skip(f"this kernel has no {', '.join(missing)}")
    outcome = worker.run(converse, case.world, *case.talk(number), number).outcome
    assert (outcome.verdict.value, outcome.error) == (case.observed or case.verdict, case.error)
