"""Facts about netfilter that the kernel answers too: see tests/kernel/test_kernel_netfilter.py."""

from __future__ import annotations

import pytest
from nf_worlds import BACKENDS, both_talk

from mcnilib.trace.run import run


@pytest.mark.parametrize("name", BACKENDS)
def test_of_two_backends_the_one_that_was_registered_last_is_asked_first(name: str) -> None:
    case = BACKENDS[name]
    trace = run(case.world, *both_talk(case, 1))
    ends = {
        turn.taken: branch.trace.outcome.verdict.value for branch in trace.branches for turn in branch.turns[:1]
    } or dict.fromkeys((0, 1), trace.outcome.verdict.value)
    assert (ends[0], ends[1]) == case.ends
