"""How conversations with virtual servers end in the model; `tests/kernel/test_uml_ipvs.py` asks the kernel."""

from __future__ import annotations

import pytest
from ipvs_worlds import CASES

from mcnilib.trace.run import run


@pytest.mark.parametrize("name", CASES)
def test_a_virtual_server_takes_the_conversation(name: str) -> None:
    case = CASES[name]
    trace = run(case.world, *case.talk(1))
    assert (trace.outcome.verdict.value, str(trace.outcome.seen_source or "")) == (case.verdict, case.seen)
