"""What crosses a bridge passes the iptables rules of its namespace only with br_netfilter, and then it is refused."""

from __future__ import annotations

import pytest

from mcnilib.errors import Unsupported
from mcnilib.kernel.fuzz.case import Case, Exchange, simulate

DROP = "n: iptables -A FORWARD -j DROP"
DNAT = "n: iptables -t nat -A PREROUTING -d 10.0.7.1 -j DNAT --to-destination 10.0.7.3"
SHOWN = "n: sysctl -w net.bridge.bridge-nf-call-iptables=1"


def run(*lines: str, to: str) -> str:
    return simulate(Case("bridged", (Exchange(lines, "a", to, "b"),))).outcome.verdict.value


@pytest.mark.parametrize(
    ("lines", "to", "verdict"),
    [
        ((DROP,), "tcp:10.0.7.3:80", "connected"),  # the fuzzer's world has the sysctl at 0
        ((SHOWN,), "tcp:10.0.7.3:80", "connected"),  # no rules to see it
        ((SHOWN, DROP), "tcp:10.0.7.1:80", "connection refused"),  # for the bridge itself: once, as ever
        ((DNAT,), "udp:10.0.7.1:80", "delivered one way only"),  # b answers directly: from an unknown server
    ],
)
def test_iptables_sees_nothing_more_of_these(lines: tuple[str, ...], to: str, verdict: str) -> None:
    assert run(*lines, to=to) == verdict


@pytest.mark.parametrize(
    ("lines", "to", "says"),
    [
        ((SHOWN, DROP), "tcp:10.0.7.3:80", "sees what crosses the bridge br0: net.bridge.bridge-nf-call-iptables = 1"),
        ((SHOWN, DNAT), "udp:10.0.7.1:80", "DNAT back into the bridge br0 of n with net.bridge.bridge-nf-call-ip"),
    ],
)
def test_what_is_not_modelled_is_refused_by_name(lines: tuple[str, ...], to: str, says: str) -> None:
    with pytest.raises(Unsupported, match=says):
        run(*lines, to=to)
