"""Who answers ARP first when several could: the owner before a proxy; between two owners it is chance."""

from __future__ import annotations

import pytest

from mcnilib.kernel.fuzz.case import Case, Exchange, simulate
from mcnilib.trace.explain import verdict

PROXY = "r: sysctl -w net.ipv4.conf.all.proxy_arp=1"
SHORT = "a: ip route add 10.0.2.0/24 dev eth0"  # a believes b to be on its own wire


def crossed(*lines: str, to: str) -> list[str]:
    """The namespaces a packet of a's gets to."""
    steps = simulate(Case("routers", (Exchange(lines, "a", to, "b"),))).journeys[0].steps
    return list(dict.fromkeys(step.netns for step in steps))


@pytest.mark.parametrize(
    ("lines", "to", "names"),
    [
        ((SHORT,), "udp:10.0.2.2:80", ["a"]),
        ((SHORT, PROXY), "udp:10.0.2.2:80", ["a", "r", "b"]),
        ((SHORT, PROXY), "udp:10.0.2.254:80", ["a", "s"]),  # s has the address, on its other leg
    ],
)
def test_the_owner_answers_before_a_proxy(lines: tuple[str, ...], to: str, names: list[str]) -> None:
    assert crossed(*lines, to=to) == names


@pytest.mark.parametrize(
    ("lines", "to", "says"),
    [
        pytest.param(
            ("r: ip address add 10.0.1.77/32 dev e1", "s: ip address add 10.0.1.77/32 dev e1", "s: iptables -A INPUT -j DROP"),
            "icmp:10.0.1.77",
            "works if the first to answer who has 10.0.1.77 on eth0 of a is e1 of r; "
            "if the first to answer who has 10.0.1.77 on eth0 of a is e1 of s: lost",
            id="two owners, of which one drops",
        ),
        pytest.param((SHORT, PROXY, PROXY.replace("r:", "s:")), "udp:10.0.2.2:80", "connected", id="two proxies, either is good"),
    ],
)  # fmt: skip
def test_which_of_two_is_first_is_chance(lines: tuple[str, ...], to: str, says: str) -> None:
    assert says in verdict(simulate(Case("routers", (Exchange(lines, "a", to, "b"),))))
