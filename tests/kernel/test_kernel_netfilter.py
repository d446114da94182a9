"""Netfilter on the kernel: what the tables of facts say, the kernel does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import count

import pytest
from nf_worlds import BACKENDS, in_order

from mcnilib.kernel.lab.capabilities import probe
from mcnilib.kernel.lab.syscalls import NoLab
from mcnilib.kernel.lab.workers import Worker

pytestmark = pytest.mark.kernel

NUMBERS = count(300)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One lab for all, which finds the jobs of the tests."""
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        with Worker() as one:
            try:
                one.run(probe)
            except NoLab as problem:
                pytest.skip(str(problem))
            yield one


@pytest.mark.parametrize("legacy_last", [False, True], ids=["nft last", "legacy last"])
@pytest.mark.parametrize("name", BACKENDS)
def test_of_two_backends_the_one_that_was_registered_last_is_asked_first(
    name: str, legacy_last: bool, worker: Worker
) -> None:
    case = BACKENDS[name]
    outcome = worker.run(in_order, case, next(NUMBERS), legacy_last).outcome
    assert outcome.verdict.value == case.ends[legacy_last]
