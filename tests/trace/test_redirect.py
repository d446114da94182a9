"""A router that sends packets back where they came from tells their sender of a shorter way: what follows is unknown."""

from __future__ import annotations

import pytest
from small_worlds import namespace, plug, talk

from mcnilib.world.commands import do
from mcnilib.world.world import World

SEND, ACCEPT = "net.ipv4.conf.all.send_redirects", "net.ipv4.conf.eth0.accept_redirects"


def detour(*commands: str, gateway: str = "10.0.1.3") -> World:
    """a asks r for the way to 10.0.9.9, and r sends a's packets back to the segment, to b."""
    a = namespace("a", "eth0 10.0.1.2/24", "route 10.0.9.0/24 via 10.0.1.1 dev eth0")
    r = namespace("r", "e1 10.0.1.1/24", f"route 10.0.9.0/24 via {gateway} dev e1\nsysctl net.ipv4.ip_forward 1")
    b = namespace("b", "eth0 10.0.1.3/24 10.0.9.9/32")
    world = plug(a, r, b, lan="a.eth0 r.e1 b.eth0")
    for command in commands:
        netns, _, line = command.partition(": ")
        world = do(world, netns, line)
    return world


NAT = ["r: iptables -t nat -A PREROUTING -d 10.0.9.9 -j DNAT --to 10.0.1.3", "b: ip route add 10.0.1.2 via 10.0.1.1"]
KNOWS = "a: ip neigh add 10.0.1.3 dev eth0 lladdr 02:62:2d:2d:2d:02"
LATER = "r: iptables -A FORWARD -p tcp -m tcp --tcp-flags PSH PSH -m statistic --mode nth --every 2 --packet 0 -j DROP"
SAYS = "r has told a of a shorter way to 10.0.9.9, by an ICMP redirect"


@pytest.mark.parametrize(
    ("commands", "verdict"),
    [
        ([], "connected"),  # nothing is listed: off
        ([f"r: sysctl -w {SEND}=1"], "connected"),
        ([f"a: sysctl -w {ACCEPT}=1"], "connected"),
        ([f"r: sysctl -w {SEND}=1", f"a: sysctl -w {ACCEPT}=1"], "connected"),
        ([f"r: sysctl -w {SEND}=1", f"a: sysctl -w {ACCEPT}=1", KNOWS], "unknown beyond this point"),
        ([f"r: sysctl -w {SEND}=1", f"a: sysctl -w {ACCEPT}=1", LATER], "unknown beyond this point"),
        ([f"r: sysctl -w {SEND}=1", f"a: sysctl -w {ACCEPT}=0"], "connected"),
        ([f"r: sysctl -w {SEND}=1", f"a: sysctl -w {ACCEPT}=1", "a: sysctl -w net.ipv4.ip_forward=1"], "connected"),
        (
            [f"r: sysctl -w {SEND}=1", f"a: sysctl -w {ACCEPT}=1", *NAT],
            "connected",
        ),
    ],
    ids=["nobody", "told, not heard", "heard, not told", "told once, and the gateway is no neighbour yet", "told, and the gateway is known", "told twice", "not believed", "a router does not believe it", "conntrack drops it"],
)  # fmt: skip
def test_what_the_sender_does_then_is_unknown(commands: list[str], verdict: str) -> None:
    trace = talk(detour(*commands), "tcp:10.0.9.9:80")
    assert trace.outcome.verdict.value == verdict
    assert (SAYS in trace.outcome.step.action) is verdict.startswith("unknown")
    assert trace.journeys[0].fate.value == "delivered"  # the first packet goes as it always went
