"""Bridges that show packets to iptables, hairpin and isolated ports, on the kernel."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from bridge_worlds import CASES

from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.observe import converse

pytestmark = pytest.mark.kernel

NUMBERS = count(40)


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_across_a_bridge_ends_as_in_the_model(name: str, worker: Worker) -> None:
    case, number = CASES[name], next(NUMBERS)
    flow = replace(case.flow, sport=0 if case.flow.proto == "icmp" else 10000 + number)
    outcome = worker.run(converse, case.world, flow, case.listeners, number).outcome
    assert outcome.verdict.value == case.verdict
