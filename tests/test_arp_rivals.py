"""Who answers ARP first when several could: the owner before a proxy; between two owners it is chance, and refused."""

from __future__ import annotations

import pytest

from mcnilib.errors import Unsupported
from mcnilib.kernel.fuzz.case import Case
from mcnilib.kernel.fuzz.trial import simulate

PROXY = "r: sysctl -w net.ipv4.conf.all.proxy_arp=1"
SHORT = "a: ip route add 10.0.2.0/24 dev eth0"  # a believes b to be on its own wire


def crossed(*lines: str, to: str) -> list[str]:
    """The namespaces a packet of a's gets to."""
    steps = simulate(Case("routers", lines, "a", to, "b")).journeys[0].steps
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
    ("lines", "to"),
    [
        (("r: ip address add 10.0.1.77/32 dev e1", "s: ip address add 10.0.1.77/32 dev e1"), "udp:10.0.1.77:80"),
        ((SHORT, PROXY, PROXY.replace("r:", "s:")), "udp:10.0.2.2:80"),
    ],
)
def test_two_that_answer_are_refused_by_name(lines: tuple[str, ...], to: str) -> None:
    with pytest.raises(Unsupported, match="r and s answer who has 10"):
        crossed(*lines, to=to)
