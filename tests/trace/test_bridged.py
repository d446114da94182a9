"""Bridges that show packets to iptables, hairpin and isolated ports: conversations end as on the kernel."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from bridge_worlds import (
    BEHIND_B,
    CASES,
    HAIRPIN,
    HIDDEN,
    IN_1,
    SERVICE,
    SHOWN,
    VIP,
    VLAN_CASES,
    B,
    BridgeCase,
    cni,
    dnat,
    filtered,
    forwarded,
    physdev,
)
from kernel_worlds import altered, chains

from mcnilib.errors import StateSyntaxError, Unsupported
from mcnilib.linux.device.bridge import Bridge
from mcnilib.linux.device.bridge_vlan import print_vlans, with_vlans
from mcnilib.linux.device.port import VlanEntry
from mcnilib.linux.netfilter.context import BridgePorts, Context
from mcnilib.linux.netfilter.iptables.save import parse_tables
from mcnilib.linux.packet import Packet
from mcnilib.trace.explain import verdict
from mcnilib.trace.run import run
from mcnilib.trace.why.reasons import reasons
from mcnilib.world.json_form import text_of, vlan_lines


@pytest.mark.parametrize("name", [*CASES, *VLAN_CASES])
def test_a_conversation_across_a_bridge_ends_as_on_the_kernel(name: str) -> None:
    case = (CASES | VLAN_CASES)[name]
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


def test_a_bridge_whose_vlans_nobody_listed_is_unknown() -> None:
    world = cni(HIDDEN, bridge=Bridge(vlan_filtering="1"))
    case = BridgeCase(world, B, "")
    said = verdict(run(case.world, case.flow, case.listeners))
    assert "the VLANs of va of n are not known, and its bridge filters; collect `bridge vlan show` in n" in said


def test_a_bridge_that_filters_vlans_and_shows_packets_is_not_guessed() -> None:
    world = filtered(IN_1, IN_1, state=SHOWN)
    world = world.put(world["n"].with_ip4(tables=parse_tables(forwarded("-p tcp"))))
    case = BridgeCase(world, B, "")
    with pytest.raises(Unsupported, match="iptables of n sees what crosses the bridge br0, which filters VLANs"):
        run(case.world, case.flow, case.listeners)


LISTED = """port              vlan-id
va                1 PVID Egress Untagged
                  10-12
br0               1 PVID Egress Untagged
"""
OLDER = "port\tvlan ids\nva\t 1 PVID Egress Untagged\n\t 10-12\n\nvb\tNone\nbr0\t 1 PVID Egress Untagged\n\n"
IN_JSON = """[{"ifname": "va", "vlans": [{"vlan": 1, "flags": ["PVID", "Egress Untagged"]}, {"vlan": 10, "vlanEnd": 12}]},
{"ifname": "br0", "vlans": [{"vlan": 1, "flags": ["PVID", "Egress Untagged"]}]}]"""


@pytest.mark.parametrize(
    "text", [LISTED, OLDER, text_of(IN_JSON, vlan_lines, "bridge -j vlan")], ids=["text", "tabs", "json"]
)
def test_the_vlans_of_ports_are_read_in_every_form(text: str) -> None:
    links = cni("", bridge=Bridge(vlan_filtering="1"))["n"].links
    read = {link.name: link.vlans for link in with_vlans(links, text)}
    one = VlanEntry(1, pvid=True, untagged=True)
    assert read == {"lo": None, "en0": None, "br0": (one,), "va": (one, *map(VlanEntry, (10, 11, 12))), "vb": ()}
    assert with_vlans(links, print_vlans(with_vlans(links, text))) == with_vlans(links, text)


@pytest.mark.parametrize("line", ["va  4096", "va  1 PVD", "va  x"])
def test_what_bridge_vlan_does_not_print_is_named(line: str) -> None:
    with pytest.raises(StateSyntaxError, match="bridge vlan:1"):
        with_vlans(cni("", bridge=Bridge(vlan_filtering="1"))["n"].links, line)
