"""Netfilter on the kernel: what the tables of facts say, the kernel does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from nf_worlds import BACKENDS, MULTIPATH, NO_SYN_ACK, PROXIES, ZONES, in_order, syn_acks, to_server, way_after_echo
from test_redirect import ACCEPT, KNOWS, SEND, detour

from mcnilib.kernel.lab.capabilities import probe
from mcnilib.kernel.lab.syscalls import NoLab
from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.observe import converse, listing_mismatches

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


@pytest.mark.slow
def test_a_repeated_syn_is_answered_once_and_puts_off_the_server_s_own_timer(worker: Worker) -> None:
    """The first timers of both sides end at once, which is chance; a second later it shows which one was begun anew."""
    number = next(NUMBERS)
    sent = syn_acks(worker.run(converse, NO_SYN_ACK, *to_server(number), number))
    assert sent.pop(1) in (1, 2)
    assert sent == {0: 1, 2: 1, 3: 1}


@pytest.mark.parametrize("name", PROXIES)
def test_tproxy_and_the_socket_match(name: str, worker: Worker) -> None:
    case, number = PROXIES[name], next(NUMBERS)
    assert worker.run(converse, case.world, *case.talk(number), number).outcome.verdict.value == case.verdict


@pytest.mark.parametrize("name", MULTIPATH)
def test_one_of_several_next_hops_is_taken(name: str, worker: Worker) -> None:
    case, number = MULTIPATH[name], next(NUMBERS)
    assert worker.run(converse, case.world, *case.talk(number), number).outcome.verdict.value in case.ends
    assert worker.run(listing_mismatches, case.world) == ()


@pytest.mark.parametrize(("known", "via"), [([], "10.0.1.1"), ([KNOWS], "10.0.1.3")])
def test_a_redirect_counts_once_its_gateway_is_a_neighbour(known: list[str], via: str, worker: Worker) -> None:
    world = detour(f"r: sysctl -w {SEND}=1", f"a: sysctl -w {ACCEPT}=1", *known)
    assert f" via {via} " in worker.run(way_after_echo, world)


@pytest.mark.parametrize("name", ZONES)
def test_a_connection_is_known_in_its_zone(name: str, worker: Worker) -> None:
    (world, verdict), number = ZONES[name], next(NUMBERS)
    flow, listeners = to_server(number)
    assert worker.run(converse, world, replace(flow, patience=0.7), listeners).outcome.verdict.value == verdict
