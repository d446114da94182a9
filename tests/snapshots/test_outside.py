"""Questions to and from what nobody collected: a gateway, a neighbour, a machine behind the gateway."""

from __future__ import annotations

import json

import pytest
from outside_worlds import CASES, TO_POD, collected

from mcnilib.errors import McniError
from mcnilib.snapshots.files import save
from mcnilib.snapshots.merge import merged, read_cable
from mcnilib.snapshots.snapshot import Snapshot, snapshot_of
from mcnilib.trace.explain import verdict
from mcnilib.trace.run import run

GATEWAY = (
    "assumed: lan-gateway (192.168.0.1) forwards every packet, filters and translates none; its routes: "
    "192.168.0.0/24 dev eth0, default dev eth1 scope link"
)


def asked(start: Snapshot, netns: str, to: str) -> tuple[str, ...]:
    """The verdict and the notes."""
    found, client, target = start.placed(netns, to)
    trace = found.trace(found.flow(client, target))
    return verdict(trace), *trace.notes


@pytest.mark.parametrize(
    ("netns", "to", "says"),
    [
        # a machine behind the gateway, which the default route of the node names
        ("outside:203.0.113.7@lan", "icmp:192.168.0.11", ("connected; the server sees the client as 203.0.113.7", GATEWAY, "assumed: outside (203.0.113.7) is behind lan-gateway")),
        # an address of the subnet is that of a neighbour, whose packets meet no gateway
        ("outside:192.168.0.77@lan", "icmp:192.168.0.11", ("connected; the server sees the client as 192.168.0.77", "assumed: outside (192.168.0.77) is a neighbour on lan")),
        ("node1", "tcp:203.0.113.7:443@outside", ("connected; the server sees the client as 192.168.0.11", GATEWAY, "assumed: outside (203.0.113.7) is behind lan-gateway")),
        ("node1", "http://203.0.113.7@outside", ("connected; the server sees the client as 192.168.0.11", GATEWAY, "assumed: outside (203.0.113.7) is behind lan-gateway")),
        # nobody told that the gateway has a route to the pods
        ("outside:203.0.113.7@lan", "icmp:10.244.0.5", ("unknown beyond this point: packet 1 (echo request) got to lan-gateway, but no collected machine answers ARP for 10.244.0.5, and the frame leaves through the uplink of outside; collect who else is plugged into outside", GATEWAY, "assumed: outside (203.0.113.7) is behind lan-gateway")),
        # the answer to a pod whose address nobody translated leaves by the gateway's default route
        ("pod", "icmp:203.0.113.7@outside", ("unknown beyond this point: packet 2 (echo reply) got to lan-gateway, but no collected machine answers ARP for 10.244.0.5, and the frame leaves through the uplink of outside; collect who else is plugged into outside", GATEWAY, "assumed: outside (203.0.113.7) is behind lan-gateway")),
    ],
)  # fmt: skip
def test_a_question_from_outside_or_to_the_outside(netns: str, to: str, says: tuple[str, ...]) -> None:
    assert asked(collected(), netns, to) == says


def test_a_segment_may_be_told_its_gateway_and_the_routes_that_has() -> None:
    assert asked(collected(), "node1", "icmp:192.168.0.1")[0].startswith("unknown beyond this point")
    assert asked(collected("", "lan=192.168.0.1"), "node1", "icmp:192.168.0.1")[0].startswith("connected")
    files = save(collected().world)
    told = json.loads(files["world.json"])
    told["segments"][0]["gateway"] = {"address": "192.168.0.1", "routes": ["10.244.0.0/24 via 192.168.0.11"]}
    knows = snapshot_of(files | {"world.json": json.dumps(told)})
    assert asked(knows, "outside:203.0.113.7@lan", "icmp:10.244.0.5")[0].startswith("connected")
    again = snapshot_of(knows.files())  # then it is a namespace as any other
    assert asked(again, "lan-gateway", "icmp:10.244.0.5")[0].startswith("connected")
    assert json.loads(merged([files], [read_cable("lan=192.168.0.1")])["world.json"])["segments"][0]["gateway"]


@pytest.mark.parametrize(
    ("cables", "netns", "to", "says"),
    [
        ((), "outside:203.0.113.7@wan", "icmp:192.168.0.11", "no segment 'wan'; there are lan; did you mean 'lan'?"),
        ((), "outside:203.0.113.7", "icmp:192.168.0.11", "'outside:203.0.113.7' is not outside:ADDRESS@SEGMENT"),
        ((), "outside:web@lan", "icmp:192.168.0.11", "'web' is not an IPv4 address"),
        ((), "outside:192.168.0.11@lan", "icmp:10.244.0.5", "192.168.0.11 is an address of node1"),
        ((), "outside:203.0.113.7@lan", "icmp:203.0.113.8@outside", "client and target are outside: no packet gets to a collected machine"),
        (("wan=192.168.0.1",), "node1", "icmp:192.168.0.1", "no segment 'wan'; there are lan; did you mean 'lan'?"),
        (("lan=172.16.0.1",), "node1", "icmp:172.16.0.1", "no collected address of lan is in one subnet with the gateway 172.16.0.1: write it with its length, as in 172.16.0.1/24"),
        (("lan=192.168.0.1", "lan=192.168.0.2"), "node1", "icmp:192.168.0.1", "lan has several gateways: 192.168.0.1, 192.168.0.2"),
    ],
)  # fmt: skip
def test_what_nobody_can_place_is_refused(cables: tuple[str, ...], netns: str, to: str, says: str) -> None:
    with pytest.raises(McniError) as problem:
        asked(collected("", *cables), netns, to)
    assert str(problem.value) == says


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_with_the_rest_of_the_world_ends_as_on_the_kernel(name: str) -> None:
    trace = run(CASES[name].world, *CASES[name].talk(1))
    assert trace.outcome.verdict.value == CASES[name].verdict, verdict(trace)


def test_a_service_address_that_no_program_answers_for() -> None:
    question = "outside:192.168.0.77@lan", "tcp:192.168.0.240:8080"
    assert "no collected machine answers ARP for 192.168.0.240" in asked(collected(TO_POD), *question)[0]
    with pytest.raises(McniError, match=r"^'lan=192.168.0.240@node1' is not SEGMENT=ADDRESS@NETNS/DEVICE"):
        collected(TO_POD, "lan=192.168.0.240@node1")
    with pytest.raises(McniError, match=r"^two devices answer ARP for 192.168.0.240: only one speaks at a time$"):
        collected(TO_POD, "lan=192.168.0.240@node1/eth0", "lan=192.168.0.240@node1/cali1")
