"""What kube-proxy writes in IPVS mode: a node whose state was made with the real tools, and what each release changed."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from mcnilib.cluster.kube_proxy import KubeProxy, start_kube_proxy
from mcnilib.cluster.spec import Endpoint, HostSpec, Nic, Service, TrafficPolicy
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.nic import Physical
from mcnilib.linux.netfilter.iptables.save import print_tables
from mcnilib.linux.netns import Netns, add_link, new_netns
from mcnilib.linux.sysctl import get
from mcnilib.world.listing import listing

NODE = HostSpec("node1", (Nic("eth0", 2, "lan", IPv4Interface("192.168.0.1/24")),))
PODS = IPv4Network("10.244.0.0/16")
WEB = Service(
    "demo", "web", IPv4Address("10.96.0.10"), 80, node_port=30080,
    endpoints=(Endpoint(IPv4Address("10.244.1.2"), 8080, "node1"), Endpoint(IPv4Address("10.244.2.2"), 8080, "node2")),
)  # fmt: skip
API = Service(
    "default", "kubernetes", IPv4Address("10.96.0.1"), 443, affinity=10800,
    endpoints=(Endpoint(IPv4Address("192.168.0.1"), 6443, ""),),
)  # fmt: skip


def started(version: str, *services: Service, cidr: IPv4Network | None = PODS) -> Netns:
    link = Link(2, "eth0", Physical(), "02:00:00:00:00:02", (Address(IPv4Interface("192.168.0.1/24")),))
    node = add_link(new_netns("node1"), link)
    return start_kube_proxy(node, KubeProxy(version, cidr, mode="ipvs"), NODE, services or (WEB, API))


def members(node: Netns) -> dict[str, set[str]]:
    """What `ipset save` prints of the sets that hold something."""
    lines = (line.split() for line in listing(node, "ipset save").splitlines() if line.startswith("add "))
    there: dict[str, set[str]] = {}
    for _, name, member in lines:
        there.setdefault(name, set()).add(member)
    return there


SERVERS = """\
-A -t 192.168.0.1:30080 -s rr
-a -t 192.168.0.1:30080 -r 10.244.1.2:8080 -m -w 1
-a -t 192.168.0.1:30080 -r 10.244.2.2:8080 -m -w 1
-A -t 10.96.0.1:443 -s rr -p 10800
-a -t 10.96.0.1:443 -r 192.168.0.1:6443 -m -w 1
-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.244.1.2:8080 -m -w 1
-a -t 10.96.0.10:80 -r 10.244.2.2:8080 -m -w 1
"""

MEMBERS = {
    "KUBE-LOOP-BACK": {"10.244.1.2,tcp:8080,10.244.1.2"},
    "KUBE-CLUSTER-IP": {"10.96.0.10,tcp:80", "10.96.0.1,tcp:443"},
    "KUBE-NODE-PORT-TCP": {"30080"},
    "KUBE-IPVS-IPS": {"10.96.0.10", "10.96.0.1"},
}

RULES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-IPVS-FILTER - [0:0]
:KUBE-IPVS-OUT-FILTER - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SOURCE-RANGES-FIREWALL - [0:0]
-A INPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER
-A INPUT -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check rules" -j KUBE-NODE-PORT
-A FORWARD -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A OUTPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-OUT-FILTER
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-IPVS-FILTER -m set --match-set KUBE-LOAD-BALANCER dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-EXTERNAL-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-EXTERNAL-IP-LOCAL dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j RETURN
-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT --reject-with icmp-port-unreachable
-A KUBE-NODE-PORT -m comment --comment "Kubernetes health check node port" -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j ACCEPT
-A KUBE-SOURCE-RANGES-FIREWALL -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-LOAD-BALANCER - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-NODE-PORT -p tcp -m comment --comment "Kubernetes nodeport TCP port for masquerade purpose" -m set --match-set KUBE-NODE-PORT-TCP dst -j KUBE-MARK-MASQ
-A KUBE-POSTROUTING -m comment --comment "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose" -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN
-A KUBE-SERVICES ! -s 10.244.0.0/16 -m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT
-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
COMMIT
"""  # saved with iptables 1.8.9 on Linux 6.1


def test_the_state_of_a_node_is_that_of_the_worked_example() -> None:
    node = started("1.29")
    assert listing(node, "ipvsadm -Sn") == SERVERS
    assert members(node) == MEMBERS
    assert len(node.sets) == 17
    tables = print_tables(tuple(sorted(node.ip4.tables, key=lambda table: table.name)))
    assert re.sub(r"^#.*\n", "", tables, flags=re.MULTILINE) == RULES


def test_the_device_has_the_addresses_of_services_and_is_down() -> None:
    node = started("1.29")
    device = node.link("kube-ipvs0")
    assert (device.up, [str(a.interface) for a in device.addresses]) == (False, ["10.96.0.1/32", "10.96.0.10/32"])
    assert [str(r.dst) for r in node.ip4.routes if r.dev == "kube-ipvs0"] == ["10.96.0.1/32", "10.96.0.10/32"]
    assert {get(node.sysctls, f"net.ipv4.vs.{name}") for name in ("conntrack", "expire_nodest_conn")} == {"1"}


def test_a_second_start_writes_nothing_else() -> None:
    node = started("1.29")
    assert start_kube_proxy(node, KubeProxy("1.29", PODS, mode="ipvs"), NODE, (WEB, API)) == node


@pytest.mark.parametrize(
    ("line", "since"),
    [
        ("-A KUBE-FIREWALL -j KUBE-MARK-DROP", (22, 24)),
        ("-A KUBE-SOURCE-RANGES-FIREWALL -j DROP", (25, 35)),
        ("-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN", (26, 35)),
        ("-A KUBE-IPVS-FILTER -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN", (26, 35)),
        ("-A KUBE-IPVS-FILTER -m set --match-set KUBE-EXTERNAL-IP-LOCAL dst,dst -j RETURN", (29, 35)),
        ('-A OUTPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-OUT-FILTER', (29, 35)),
        ("-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ", (22, 35)),
        ("INVALID", (0, -1)),
    ],
)
def test_a_line_is_there_from_one_release_to_another(line: str, since: tuple[int, int]) -> None:
    there = [minor for minor in range(22, 36) if line in print_tables(started(f"1.{minor}").ip4.tables)]
    assert there == list(range(since[0], since[1] + 1))


BALANCED = replace(
    WEB, load_balancer_ips=(IPv4Address("192.0.2.5"),), source_ranges=(IPv4Network("203.0.113.0/24"),),
    external_policy=TrafficPolicy.LOCAL, health_check_port=31222,
)  # fmt: skip


def test_who_may_ask_a_load_balancer_is_a_matter_of_sets() -> None:
    node = started("1.29", BALANCED)
    there = members(node)
    assert there["KUBE-LOAD-BALANCER-FW"] == there["KUBE-LOAD-BALANCER-LOCAL"] == {"192.0.2.5,tcp:80"}
    assert there["KUBE-LOAD-BALANCER-SOURCE-CIDR"] == {"192.0.2.5,tcp:80,203.0.113.0/24"}
    assert there["KUBE-HEALTH-CHECK-NODE-PORT"] == {"31222"}
    assert there["KUBE-NODE-PORT-LOCAL-TCP"] == there["KUBE-NODE-PORT-TCP"] == {"30080"}
    text = print_tables(node.ip4.tables)
    assert "-A KUBE-IPVS-OUT-FILTER -s 192.0.2.5/32 -m ipvs --vproto 6 --vaddr 192.0.2.5 --vport 80 -j DROP\n" in text
    served = [line for line in listing(node, "ipvsadm -Sn").splitlines() if "-t 192.0.2.5:80 -r" in line]
    assert served == ["-a -t 192.0.2.5:80 -r 10.244.1.2:8080 -m -w 1"]  # this node's endpoint alone


@pytest.mark.parametrize(
    ("endpoints", "to"),
    [(WEB.endpoints[:1], ["10.244.1.2"]), (WEB.endpoints[1:], ["10.244.2.2"]), ((), [])],
)
def test_without_an_endpoint_here_a_local_policy_takes_those_of_others(endpoints: tuple[Endpoint, ...], to) -> None:
    node = started("1.30", replace(BALANCED, endpoints=endpoints))
    service = next(s for s in node.ip4.ipvs if s.address == IPv4Address("192.0.2.5"))
    assert [str(server.address) for server in service.servers] == to


@pytest.mark.parametrize(("minor", "bound"), [(27, True), (28, False)])
def test_an_address_of_another_device_is_bound_before_1_28(minor: int, bound: bool) -> None:
    node = started(f"1.{minor}", replace(WEB, external_ips=(IPv4Address("192.168.0.1"),)))
    assert ("192.168.0.1" in {str(a.ip) for a in node.link("kube-ipvs0").addresses}) is bound


def test_without_a_cluster_cidr_only_a_service_that_asks_itself_is_masqueraded() -> None:
    text = print_tables(started("1.30", cidr=None).ip4.tables)
    assert "-m set --match-set KUBE-CLUSTER-IP src,dst -j KUBE-MARK-MASQ" in text
