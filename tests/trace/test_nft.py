"""Native nftables: conversations end as the kernel ends them (`tests/kernel/test_kernel_nft.py` asks it)."""

from __future__ import annotations

import pytest
from nft_worlds import CASES

from mcnilib.trace.run import run


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_through_nftables_ends_as_on_the_kernel(name: str) -> None:
    case = CASES[name]
    assert run(case.world, *case.talk(1)).outcome.verdict.value == case.verdict
