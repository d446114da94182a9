"""kube-proxy's nftables mode: the table it writes, by version, and what becomes of packets."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from mcnilib.cluster.kube_proxy import KubeProxy
from mcnilib.cluster.kube_proxy.nftables import hashed, kube_proxy_table
from mcnilib.cluster.spec import Endpoint, HostSpec, Nic, Service, TrafficPolicy
from mcnilib.linux.netfilter.nftables.rule import print_ruleset

LISTED = Path(__file__).parents[1] / "data" / "nftables" / "kube-proxy-1.34.nft"
NODE = HostSpec("test-node", (Nic("eth0", 2, "lan", IPv4Interface("192.168.0.2/24")),))


def service(number: int, *endpoints: Endpoint, **more: object) -> Service:
    ip = IPv4Address(f"172.30.0.{40 + number}")
    return Service(f"ns{number}", f"svc{number}", ip, 80, endpoints, "p80", **more)


def at(host: int, node: str = "other") -> Endpoint:
    return Endpoint(IPv4Address(f"10.180.0.{host}"), 80, node)


SERVICES = (
    service(1, at(1)),
    service(
        2, at(2), node_port=3001, external_policy=TrafficPolicy.LOCAL,
        load_balancer_ips=(IPv4Address("1.2.3.4"),), external_ips=(IPv4Address("192.168.99.22"),),
    ),
    service(3, at(3), node_port=3003),
    service(4, at(4), at(5, "test-node"), external_ips=(IPv4Address("192.168.99.33"),)),
    service(
        5, at(3), node_port=3002, load_balancer_ips=(IPv4Address("5.6.7.8"),), affinity=10800,
        source_ranges=(IPv4Network("203.0.113.0/25"),),
    ),
    service(6),
)  # fmt: skip
"""The services of kube-proxy's own test of the whole table, with its fixture's addresses."""


def table(version: str, *, liberal: bool = False) -> str:
    proxy = KubeProxy(version, IPv4Network("10.0.0.0/8"), service_cidr=IPv4Network("172.30.0.0/16"))
    return print_ruleset((kube_proxy_table(proxy, NODE, SERVICES, liberal=liberal),))


def test_the_table_of_1_34_is_what_nft_lists_of_kube_proxys_own_test() -> None:
    assert table("1.34") == LISTED.read_text()


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("1.29", "type filter hook forward priority -101; policy accept;"),
        ("1.29", "ct state invalid drop"),
        ("1.30", "type filter hook prerouting priority dstnat - 10; policy accept;"),
        ("1.30", "ct state new jump endpoints-check"),
        ("1.33", "ct state new jump nodeport-endpoints-check"),
        ("1.33", "type filter hook output priority -90; policy accept;"),
        ("1.33", "ip daddr 172.30.0.41 tcp dport 80 ip saddr != 10.0.0.0/8 jump mark-for-masquerade"),
        ("1.34", "ip daddr 172.30.0.41 ip saddr != 10.0.0.0/8 jump mark-for-masquerade"),
        ("1.35", "type filter hook input priority filter; policy accept;"),
        ("1.36", "elements = { 10.180.0.5 . 10.180.0.5 . tcp . 80 }"),
        ("1.36", 'ip daddr @cluster-ips ip saddr != 10.0.0.0/8 meta mark set meta mark | 0x00004000 comment "masquerade clusterIP traffic from outside cluster"'),
        ("1.36", "meta mark & 0x00004000 != 0x00000000 meta mark set meta mark ^ 0x00004000 masquerade fully-random"),
        ("1.36", "ct status dnat ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random"),
        ("1.36", "meta l4proto tcp dnat ip to numgen random mod 1 map { 0 : 10.180.0.1 . 80 }"),
        ("1.36", "meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.180.0.4 . 80, 1 : 10.180.0.5 . 80 }"),
        ("1.36", 'fib saddr type local meta mark set meta mark | 0x00004000 comment "masquerade local traffic"'),
        ("1.36", 'meta mark set meta mark | 0x00004000 comment "masquerade"'),
        ("1.36", "numgen random mod 1 vmap { 0 : goto endpoint-GTK6MW7G-ns5/svc5/tcp/p80__10.180.0.3/80 }"),
        ("1.37", "meta l4proto tcp dnat to 10.180.0.1:80"),
        ("1.37", "meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.180.0.4 . 80, 1 : 10.180.0.5 . 80 }"),
    ],
)  # fmt: skip
def test_what_a_version_writes(version: str, line: str) -> None:
    assert f"\t\t{line}\n" in table(version)


@pytest.mark.parametrize(("version", "chains"), [("1.35", 6), ("1.36", 1), ("1.37", 1)])
def test_endpoints_have_chains_of_their_own_only_for_affinity_from_1_36_on(version: str, chains: int) -> None:
    written = table(version)
    assert written.count("\tchain endpoint-") == chains
    assert ("mark-for-masquerade" in written) == (version == "1.35")


def test_every_connection_to_cluster_ips_is_masqueraded_where_that_is_asked() -> None:
    proxy = KubeProxy("1.36", IPv4Network("10.0.0.0/8"), masquerade_all=True)
    written = print_ruleset((kube_proxy_table(proxy, NODE, SERVICES, liberal=False),))
    rule = 'ip daddr @cluster-ips meta mark set meta mark | 0x00004000 comment "masquerade all clusterIP traffic"'
    assert f"\t\t{rule}\n" in written


@pytest.mark.parametrize(("version", "liberal"), [("1.29", True), ("1.30", False), ("1.35", False)])
def test_who_writes_no_drop_of_invalid_packets(version: str, liberal: bool) -> None:
    assert "invalid" not in table(version, liberal=liberal).replace("invalid ports", "")


@pytest.mark.parametrize(
    ("name", "begins"),
    [("ns1/svc1/tcp/p80", "ULMVA6XW-"), ("ns1/svc1/tcp/p80__10.180.0.1/80", "5OJB2KTY-"), ("default/kubernetes/tcp/https", "2QRHZV4L-")],
)  # fmt: skip
def test_names_carry_a_hash(name: str, begins: str) -> None:
    assert hashed(name) == begins + name
    assert len(hashed("x" * 300)) == 240
