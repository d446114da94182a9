"""Bridges that show packets to iptables, hairpin and isolated ports: conversations end as on the kernel."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from bridge_worlds import (
    BEHIND_B,
    CASES,
    HAIRPIN,
    HIDDEN,
    SERVICE,
    SHOWN,
    VIP,
    B,
    BridgeCase,
    cni,
    dnat,
    forwarded,
    physdev,
)
from kernel_worlds import altered, chains

from mcnilib.errors import Unsupported
from mcnilib.linux.netfilter.context import BridgePorts, Context
from mcnilib.linux.netfilter.iptables.save import parse_tables
from mcnilib.linux.packet import Packet
from mcnilib.trace.explain import verdict
from mcnilib.trace.run import run
from mcnilib.trace.why.reasons import reasons


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_across_a_bridge_ends_as_on_the_kernel(name: str) -> None:
    case = CASES[name]
    assert run(case.world, case.flow, case.listeners).outcome.verdict.value == case.verdict


REJECTS = chains(
    "filter", "INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "INPUT -j REJECT --reject-with icmp-host-prohibited"
)
POLICY = chains(
    "filter",
    "FORWARD -d 10.0.7.3/32 -m physdev --physdev-is-bridged -j REJECT",
    "FORWARD -s 10.0.7.3/32 -m physdev --physdev-is-bridged -j REJECT",
)
REPORTS = {  # public reports: the bridge CNI, what decided, the world
    "flannel, br_netfilter is not loaded": BridgeCase(
        cni("", BEHIND_B, port=HAIRPIN), VIP,
        "connect times out (ETIMEDOUT): packet 2 (SYN-ACK) comes from 10.0.7.3:80, but a dialled 10.96.0.1:80, so a answers RST, because "
        "on n the address was translated, and the answer crosses the bridge br0 as a frame, which iptables does not see: "
        "net.bridge.bridge-nf-call-iptables = 0",
    ),
    "flannel, br_netfilter is loaded": BridgeCase(
        cni(SHOWN, BEHIND_B, port=HAIRPIN), VIP, "connected; the server sees the client as 10.0.7.2"
    ),
    "k3s, the distribution's REJECT": BridgeCase(
        cni(SHOWN, dnat("10.0.1.1"), REJECTS, port=HAIRPIN), VIP,
        "unreachable (EHOSTUNREACH): packet 1 (SYN) is rejected on n in filter INPUT by "
        "`-j REJECT --reject-with icmp-host-prohibited`",
        server="n",
    ),
    "k3s, without it": BridgeCase(
        cni(SHOWN, dnat("10.0.1.1"), port=HAIRPIN), VIP, "connected; the server sees the client as 10.0.7.2", server="n"
    ),
    "kube-router, what is routed is not bridged": BridgeCase(
        cni(SHOWN, POLICY), B, "connected; the server sees the client as 10.0.1.3", client="c"
    ),
    "kube-router, what is bridged is": BridgeCase(
        cni(SHOWN, POLICY), B,
        "connection refused (ECONNREFUSED): packet 1 (SYN) is rejected on n in filter FORWARD by "
        "`-d 10.0.7.3/32 -m physdev --physdev-is-bridged -j REJECT --reject-with icmp-port-unreachable`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REPORTS)
def test_the_verdict_on_a_bridge_cni_says_what_decided(name: str) -> None:
    case = REPORTS[name]
    assert verdict(run(case.world, case.flow, case.listeners)) == case.verdict


def test_who_crosses_an_unseen_bridge_is_named_only_where_that_decides() -> None:
    refused = BridgeCase(cni(HIDDEN, BEHIND_B, forwarded("-p tcp", "REJECT")), VIP, "")
    trace = run(refused.world, refused.flow, refused.listeners)
    assert [reason.said for reason in reasons(trace)] == []


def test_a_rule_that_never_matched_says_so_in_words() -> None:
    routed = physdev("--physdev-is-bridged")
    rule = next(rule for rule in parse_tables(routed)[0].by_name["FORWARD"].rules)
    packet = Packet(IPv4Address("10.0.7.2"), IPv4Address("10.0.1.3"))
    said = [rule.matches[0].why_not(packet, Context("FORWARD", ports=ports)) for ports in (None, BridgePorts("va"))]
    assert said == ["the packet is routed, not bridged"] * 2


def test_a_frame_longer_than_the_port_s_mtu_is_not_guessed() -> None:
    world = altered(altered(cni(SHOWN, BEHIND_B), "n", "vb", mtu=1400), "b", "eth0", mtu=1400)
    case = BridgeCase(world, f"udp:{SERVICE}:80", "", size=1450)
    with pytest.raises(Unsupported, match="1478 bytes that iptables of n sees on br0, more than the MTU 1400 of vb"):
        run(case.world, case.flow, case.listeners)
