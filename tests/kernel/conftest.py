"""What the tests of the kernel share: one lab for each module that asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_worlds import routed

from mcnilib.kernel.lab.syscalls import NoLab
from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.observe import listing_mismatches
from mcnilib.kernel.uml.machine import kernel_named


@pytest.fixture(scope="module")
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    """One lab for the whole module, on the kernel that was chosen; it becomes each test's world."""
    (started,) = kernel_named(request.config.getoption("kernel")).start(1)
    with started as one:
        try:
            one.run(listing_mismatches, routed())
        except NoLab as problem:
            pytest.skip(str(problem))
        yield one
