"""Bridges that show packets to iptables, hairpin and isolated ports: conversations end as on the kernel."""

from __future__ import annotations

import pytest
from bridge_worlds import CASES

from mcnilib.trace.run import run


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_across_a_bridge_ends_as_on_the_kernel(name: str) -> None:
    case = CASES[name]
    assert run(case.world, case.flow, case.listeners).outcome.verdict.value == case.verdict
