"""What crosses a bridge passes the iptables rules of its namespace only with br_netfilter."""

from __future__ import annotations

import pytest

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
        ((SHOWN, DROP), "tcp:10.0.7.3:80", "connect times out"),
        ((SHOWN, DROP), "tcp:10.0.7.1:80", "connection refused"),  # for the bridge itself: once, as ever
        ((DNAT,), "udp:10.0.7.1:80", "delivered one way only"),  # b answers directly: from an unknown server
        ((SHOWN, DNAT), "udp:10.0.7.1:80", "connected"),  # the answer is translated back on its way
    ],
)
def test_what_iptables_sees(lines: tuple[str, ...], to: str, verdict: str) -> None:
    assert run(*lines, to=to) == verdict
