"""A learner's own world: other addresses, often another fault, the same difficulty, and the same for the same seed."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from mcnilib.cluster.spec import CLUSTER
from mcnilib.scenarios.exercise import Exercise, exercise, exercise_of, exercises
from mcnilib.scenarios.exercises.own_world import SeedError, own_world
from mcnilib.world.listing import listing

NAMES = ("ann", "bob", "carl")
VERSIONS = [(one, other) for one in exercises() for other in one.other]


@pytest.mark.slow
@pytest.mark.parametrize("one", exercises(), ids=lambda one: f"{one.scenario}.{one.number}")
def test_each_exercise_has_a_world_of_its_own_that_is_as_hard(one: Exercise) -> None:
    for name in NAMES:
        own = exercise_of(name, one.scenario, one.number)
        assert own.ends() == one.ends()
        assert own.judge(own.solution)[0]
        assert not own.judge("")[0]
        assert own.world()["node1"].own_addresses != one.world()["node1"].own_addresses


@pytest.mark.parametrize(("one", "other"), VERSIONS, ids=lambda one: f"{getattr(one, 'scenario', '')}")
def test_other_versions_of_an_exercise_fail_alike_and_are_solved_by_their_solution(one: Exercise, other: dict) -> None:
    version = replace(one, **other)
    assert version.ends() == one.ends()
    assert version.judge(version.solution)[0]
    assert not version.judge("")[0]


def test_an_answer_to_another_world_does_not_do() -> None:
    own, common = exercise(7, 2, seed="ann"), exercise(7, 2)
    assert own.judge(own.solution)[0]
    assert not own.judge(common.solution)[0]
    assert not common.judge(own.solution)[0]


def test_the_same_seed_gives_the_same_world_and_another_one_another() -> None:
    assert own_world("ann").cluster is own_world("ann").cluster
    assert len({own_world(f"learner-{number}").cluster.node("node1").address for number in range(50)}) > 40
    assert {exercise(2, 2, seed=f"learner-{number}").before.count("/24") for number in range(8)} == {0, 1}


@pytest.mark.parametrize(
    ("common", "own"),
    [
        ("172.16.1.2", "172.16.37.22"),  # node1
        ("172.16.100.2", "172.16.74.22"),  # a Macvlan pod
        ("172.16.0.1", "172.16.0.1"),  # the gateway stays
        ("10.233.64.0", "10.126.64.0"),  # the pool
        ("10.233.101.0", "10.126.85.0"),  # the block of a node
        ("10.233.0.100", "10.126.0.120"),  # the service
        ("169.254.1.1", "169.254.1.1"),
        ("1.1.1.1", "1.1.1.1"),
    ],
)
def test_where_an_address_is(common: str, own: str) -> None:
    assert own_world("ann").address(IPv4Address(common)) == IPv4Address(own)


@pytest.mark.parametrize("seed", [f"learner-{number}" for number in range(60)])
def test_addresses_stay_apart_and_in_their_networks(seed: str) -> None:
    cluster = own_world(seed).cluster
    taken = [host.address.ip for host in (*cluster.nodes, *cluster.clients, cluster.gateway)]
    taken += [address for pod in cluster.pods for address in (pod.overlay, pod.underlay and pod.underlay.ip) if address]
    assert len({*taken, cluster.web.cluster_ip}) == len(taken) + 1
    assert all(pod.overlay in cluster.node(pod.node).block for pod in cluster.pods if pod.overlay)
    assert all(node.block.subnet_of(cluster.pod_cidr) for node in cluster.nodes)
    assert cluster.web.cluster_ip in cluster.service_cidr
    assert not cluster.pod_cidr.overlaps(cluster.service_cidr)
    assert [pod.name for pod in cluster.pods] == [pod.name for pod in CLUSTER.pods]
    assert all(
        node.address.network in (IPv4Network("172.16.0.0/16"), IPv4Network("172.17.0.0/16")) for node in cluster.nodes
    )


def test_the_task_names_the_learners_own_addresses_and_no_other() -> None:
    own = exercise(7, 2, seed="ann")
    assert own.task.endswith(
        "In this world mac1b (172.16.74.24) connects to 10.126.85.22:80; the server is cal2 (10.126.85.22). "
        "Nodes: node1 172.16.37.22, node2 172.16.37.23, node3 172.17.37.21, node4 172.17.37.22."
    )
    assert "dst=10.126.85.22" not in own.task
    assert "172.16.74.24 dev veth" in listing(own.world()["node1"], "ip route show table 500")
    chain = exercise_of("ann", 13, 2)
    assert chain.keep[0][2] in listing(chain.world()["node2"], "iptables-save -t nat")


@pytest.mark.parametrize("seed", ["", "ann lee", "../ann", "~2", "ann~", "a" * 65, "ann\n"])
def test_a_word_that_is_no_seed_is_refused(seed: str) -> None:
    with pytest.raises(SeedError, match="is no seed"):
        own_world(seed)


def test_a_world_that_is_not_as_hard_is_refused_and_the_next_is_taken() -> None:
    with pytest.raises(SeedError, match=r"exercise 13\.1 is not the same task in the world of 'ann'"):
        exercise(13, 1, seed="ann")
    assert exercise_of("ann", 13, 1).seed.startswith("ann~")
