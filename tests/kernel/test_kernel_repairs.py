"""What is said to help really helps: every repair of the flagship, made real in the lab, lets its conversation through."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import count

import pytest

from mcnilib.kernel.compare.compare import compare_traces
from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.observe import converse
from mcnilib.repair.advice import RepairReport, advise
from mcnilib.repair.case import ScenarioCase
from mcnilib.repair.repair import Command, carried_out
from mcnilib.scenarios import scenario
from mcnilib.scenarios.exercise import exercise
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import run
from mcnilib.world.world import World

pytestmark = pytest.mark.kernel

STORY = scenario("macvlan-to-calico-across-nodes")
SERVERS = STORY.listeners(STORY.start())
NUMBERS = count(1)


@cache
def report() -> RepairReport:
    return advise(case(), STORY.run(STORY.start()))


def case() -> ScenarioCase:
    return ScenarioCase(STORY, STORY.start())


def works(worker: Worker, world: World, flow: Flow, servers: tuple[Listener, ...] = SERVERS) -> bool:
    """Hold a conversation on the kernel; the model must say the same of every step."""
    number = next(NUMBERS)
    flow = replace(flow, sport=10000 + number, patience=2.0)
    kernel = worker.run(converse, world, flow, servers, number)
    compared = compare_traces(run(world, flow, servers), kernel, flow, servers)
    assert compared.agrees, str(compared)
    return kernel.outcome.works


@pytest.mark.slow
def test_every_repair_of_the_flagship_helps_on_the_kernel(worker: Worker) -> None:
    assert not works(worker, STORY.world(STORY.start()), STORY.flow(STORY.start()))
    assert len(report().advice) > 10
    for advice in report().advice:
        repair = advice.remedy.repair
        if any(netns.ip4.ipvs for netns in case().after(repair)):
            continue  # IPVS needs the second kernel: tests/kernel/test_uml_ipvs.py
        flow = STORY.flow(STORY.start())
        asked = replace(flow, dst=repair.dial.to, dport=repair.dial.port) if repair.dial else flow
        assert works(worker, case().after(repair), asked), advice.title


def test_a_learners_own_world_fails_and_is_mended_on_the_kernel(worker: Worker) -> None:
    task = exercise(7, 2, seed="ann")
    flow, servers = task.story.flow(task.settings), task.story.listeners(task.settings)
    assert not works(worker, task.world(), flow, servers)
    mended = task.attempt(task.solution).world
    assert mended is not None
    assert works(worker, mended, flow, servers)


@pytest.mark.parametrize(
    ("command", "client", "server", "before", "after"),
    [
        # node2's answers to mac1 go by way of node1 then, which never saw the question
        ("ip route add 172.16.100.2 via 172.16.1.2 dev en0", "mac1", "node2", True, False),
        ("ip route add 172.16.100.2 via 172.16.1.2 dev en0", "mac1", "cal2", False, True),
    ],
)
def test_what_a_route_back_breaks_and_mends_on_the_kernel(
    worker: Worker, command: str, client: str, server: str, before: bool, after: bool
) -> None:
    world = STORY.world(STORY.start())
    address = min(address for address in world[server].own_addresses if not address.is_loopback)
    flow, servers = replace(STORY.flow(STORY.start()), netns=client, dst=address), (Listener(server, 80),)
    assert works(worker, world, flow, servers) is before
    assert works(worker, carried_out(world, [Command("node2", command)]), flow, servers) is after
