"""Tun and WireGuard devices on the kernel: conversations over them end as in the model."""

from __future__ import annotations

from itertools import count
from shutil import which

import pytest
from l3_worlds import CASES

from mcnilib.kernel.lab.capabilities import lacking, probe
from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.observe import converse

pytestmark = pytest.mark.kernel

NUMBERS = count(60)


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_over_such_devices_ends_as_in_the_model(name: str, worker: Worker) -> None:
    case, number = CASES[name], next(NUMBERS)
    if case.world["n"].links[-1].kind.tunnel and not which("wg"):
        pytest.skip("wg is not installed (Debian package wireguard-tools)")
    if lacks := lacking(case.world, worker.run(probe)):
        pytest.skip(f"this kernel has no {', '.join(lacks)}")
    outcome = worker.run(converse, case.world, *case.talk(number), number).outcome
    assert (outcome.verdict.value, outcome.error) == (case.verdict, case.error)
