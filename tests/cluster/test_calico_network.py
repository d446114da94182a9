"""Calico's pods and routes: what the CNI writes on both ends of a pair, and how nodes reach each other's blocks."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import product

import pytest

from mcnilib.cluster.cni.calico.config import CALICO_VERSIONS, Calico, Workload
from mcnilib.cluster.cni.calico.pod import attach_node, attach_pod
from mcnilib.cluster.cni.calico.routes import join, vtep_mac
from mcnilib.cluster.settings import Encapsulation
from mcnilib.cluster.spec import CLUSTER, Pod, PodKind
from mcnilib.cluster.underlay import boot
from mcnilib.linux.device.base import NO_MAC
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.tunnel.ipip import Ipip
from mcnilib.linux.device.tunnel.vxlan import Vxlan
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netns import Netns, new_netns, set_sysctl
from mcnilib.linux.routing.route import Query, print_routes
from mcnilib.linux.sysctl import get

NONE, VXLAN, IPIP = Encapsulation
CAL1, MUL1, MAC1 = (CLUSTER.pod(name) for name in ("cal1", "mul1", "mac1"))


def calico(version: str = "3.32", encapsulation: Encapsulation = NONE) -> Calico:
    return Calico(CLUSTER.nodes, (CLUSTER.pod_cidr,), version, encapsulation)


def machine(name: str) -> Netns:
    return boot(new_netns(name), CLUSTER.node(name))


def main(netns: Netns) -> list[str]:
    return print_routes(netns.ip4.routes, "main").splitlines()


@pytest.mark.parametrize(
    ("namespace", "pod", "device"),
    [("default", "web", "cali68caf03a5f4"), ("demo", "cal1", CAL1.host_device)],
)
def test_the_device_of_a_pod_follows_from_its_name(namespace, pod, device):
    found = Pod(pod, PodKind.CALICO, "node1", 0, IPv4Address("10.233.100.9"), namespace=namespace)
    address, labels = IPv4Address("10.233.100.9"), (("app", pod),)
    assert Workload.of(found) == Workload(device, namespace, labels=labels, address=address)


@pytest.mark.parametrize(("encapsulation", "mtu"), [(NONE, 1500), (VXLAN, 1450), (IPIP, 1480)])
def test_both_ends_of_a_pods_pair(encapsulation, mtu):
    pod = attach_pod(new_netns("cal1"), CAL1, calico(encapsulation=encapsulation)).link("eth0")
    host = attach_node(machine("node1"), CAL1, calico(encapsulation=encapsulation)).link(CAL1.host_device)
    assert (pod.mtu, host.mtu) == (mtu, mtu)
    assert [str(address.interface) for address in pod.addresses] == ["10.233.100.3/32"]
    assert (host.addresses, host.mac) == ((), "ee:ee:ee:ee:ee:ee")
    assert isinstance(pod.kind, Veth)
    assert isinstance(host.kind, Veth)
    assert (pod.kind.peer.netns, pod.kind.peer.index) == ("node1", host.index)
    assert (host.kind.peer.netns, host.kind.peer.index) == ("cal1", pod.index)


def test_a_pod_sends_everything_to_an_address_nobody_has():
    pod = attach_pod(new_netns("cal1"), CAL1, calico())
    assert [line.rstrip() for line in main(pod)] == [
        "default via 169.254.1.1 dev eth0",
        "169.254.1.1 dev eth0 scope link",
    ]
    assert pod.ip4.neighbours == ()  # it has to ask, and the node's proxy ARP answers
    assert get(pod.sysctls, "net.ipv4.ip_forward") == "0"


@pytest.mark.parametrize(
    ("version", "line", "writer"),
    [
        ("3.31", f"10.233.100.3 dev {CAL1.host_device} scope link", "the Calico CNI"),
        ("3.32", f"10.233.100.3 dev {CAL1.host_device} scope link metric 1024", "Felix v3.32"),
    ],
)
def test_the_nodes_way_to_a_pod(version, line, writer):
    node = attach_node(new_netns("node1"), CAL1, calico(version))
    route = node.fib.lookup(Query(CAL1.address)).route
    assert (str(route).rstrip(), route.origin.writer) == (line, writer)


@pytest.mark.parametrize(
    ("name", "value"), [("proxy_arp", "1"), ("route_localnet", "1"), ("forwarding", "1"), ("rp_filter", "0")]
)
def test_sysctls_of_the_nodes_end(name, value):
    node = attach_node(new_netns("node1"), CAL1, calico())
    assert get(node.sysctls, f"net.ipv4.conf.{CAL1.host_device}.{name}") == value


@pytest.mark.parametrize("value", ["0", "1", "2"])
def test_the_source_check_of_the_nodes_end_is_the_default_felix_found(value):
    node = set_sysctl(new_netns("node1"), "net.ipv4.conf.default.rp_filter", value)
    node = set_sysctl(attach_node(node, CAL1, calico()), "net.ipv4.conf.default.rp_filter", "1")
    assert get(node.sysctls, f"net.ipv4.conf.{CAL1.host_device}.rp_filter") == value


def test_a_multi_nic_pod_gets_the_same_eth0():
    assert main(attach_pod(new_netns("mul1"), MUL1, calico())) == main(attach_pod(new_netns("cal1"), CAL1, calico()))


def test_a_pod_without_calico_address_is_refused():
    with pytest.raises(ValueError, match="mac1"):
        attach_pod(new_netns("mac1"), MAC1, calico())


# node1 to the blocks of node1 (its own), node2 (same subnet) and node3 (behind the gateway).
@pytest.mark.parametrize(
    ("version", "encapsulation", "own", "near", "far"),
    [
        (
            "3.31",
            NONE,
            "blackhole 10.233.100.0/26 proto bird",
            "10.233.101.0/26 via 172.16.1.3 dev en0 proto bird",
            "10.233.102.0/26 via 172.16.0.1 dev en0 proto bird",
        ),
        (
            "3.32",
            NONE,
            "blackhole 10.233.100.0/26 proto bird",  # the metric is for routes learned by BGP
            "10.233.101.0/26 via 172.16.1.3 dev en0 proto bird metric 1024",
            "10.233.102.0/26 via 172.16.0.1 dev en0 proto bird metric 1024",
        ),
        (
            "3.31",
            IPIP,
            "blackhole 10.233.100.0/26 proto bird",
            "10.233.101.0/26 via 172.16.1.3 dev tunl0 proto bird onlink",
            "10.233.102.0/26 via 172.17.1.1 dev tunl0 proto bird onlink",
        ),
        (
            "3.33",
            IPIP,
            "blackhole 10.233.100.0/26 proto 80",
            "10.233.101.0/26 via 172.16.1.3 dev tunl0 proto 80 onlink",
            "10.233.102.0/26 via 172.17.1.1 dev tunl0 proto 80 onlink",
        ),
        (
            "3.32",
            IPIP,
            "blackhole 10.233.100.0/26 proto bird",
            "10.233.101.0/26 via 172.16.1.3 dev tunl0 proto bird metric 1024 onlink",
            "10.233.102.0/26 via 172.17.1.1 dev tunl0 proto bird metric 1024 onlink",
        ),
        (
            "3.32",
            VXLAN,
            "blackhole 10.233.100.0/26 proto 80",
            "10.233.101.0/26 via 10.233.101.0 dev vxlan.calico onlink",
            "10.233.102.0/26 via 10.233.102.0 dev vxlan.calico onlink",
        ),
    ],
)
def test_routes_to_the_blocks(version, encapsulation, own, near, far):
    lines = [line.rstrip() for line in main(join(machine("node1"), calico(version, encapsulation)))]
    assert {own, near, far} <= set(lines)


def tunnel(name: str, encapsulation: Encapsulation) -> tuple[Netns, Link]:
    node = join(machine(name), calico(encapsulation=encapsulation))
    return node, node.link(calico(encapsulation=encapsulation).tunnel)


def test_the_vxlan_device_knows_every_peer():
    node, link = tunnel("node1", VXLAN)
    assert isinstance(link.kind, Vxlan)
    assert (link.kind.vni, link.kind.port, str(link.kind.local), link.kind.dev) == (4096, 4789, "172.16.1.2", "en0")
    assert [(str(a.interface), link.mtu) for a in link.addresses] == [("10.233.100.0/32", 1450)]
    assert link.mac == "66:f9:37:c3:7e:94"  # 66 and the first five bytes of SHA-1 of the node's name
    assert [str(neigh).rstrip() for neigh in node.ip4.neighbours] == [
        "10.233.101.0 dev vxlan.calico lladdr 66:2d:bf:44:a6:8b PERMANENT",
        f"10.233.102.0 dev vxlan.calico lladdr {vtep_mac('node3')} PERMANENT",
        f"10.233.103.0 dev vxlan.calico lladdr {vtep_mac('node4')} PERMANENT",
    ]
    assert link.kind.fdb[0] == ("66:2d:bf:44:a6:8b", IPv4Address("172.16.1.3"))
    assert len(link.kind.fdb) == 3


def test_the_ipip_device_leaves_the_far_end_to_the_route():
    node, link = tunnel("node2", IPIP)
    assert (link.kind, link.mac, link.mtu) == (Ipip(), NO_MAC, 1480)
    assert [str(a.interface) for a in link.addresses] == ["10.233.101.0/32"]
    assert node.ip4.neighbours == ()


def test_without_encapsulation_there_is_no_tunnel_device():
    assert [link.name for link in join(machine("node1"), calico()).links] == ["lo", "en0", "en1"]


@pytest.mark.parametrize(
    ("dst", "found"),
    [
        ("10.233.100.3", f"dev {CAL1.host_device}"),  # the pod, by its /32
        ("10.233.100.9", "blackhole"),  # nobody's address of the node's own block
        ("10.233.101.2", "via 172.16.1.3"),  # a pod of node2
        ("10.233.110.1", "via 172.16.0.1"),  # a block of nobody: the default route
    ],
)
def test_pods_before_the_blackhole_before_everything_else(dst, found):
    node = attach_node(join(machine("node1"), calico()), CAL1, calico())
    query = Query(IPv4Address(dst))
    routes = [route for route in node.ip4.routes if query.dst in route.dst and route.table == "main"]
    assert found in str(max(routes, key=lambda route: route.dst.prefixlen))


@pytest.mark.parametrize(("version", "encapsulation"), list(product(CALICO_VERSIONS, Encapsulation)))
def test_every_node_reaches_every_block_and_says_who_wrote_the_way(version, encapsulation):
    for name in ("node1", "node4"):
        node = join(machine(name), calico(version, encapsulation))
        ways = [route for route in node.ip4.routes if route.dst in {peer.block for peer in CLUSTER.nodes}]
        assert len(ways) == len(CLUSTER.nodes)
        assert {route.origin.writer for route in ways} == {
            f"Felix v{version}" if encapsulation is VXLAN or (version, encapsulation) == ("3.33", IPIP) else "BIRD"
        }


def test_a_node_without_default_route_cannot_find_the_router_to_a_far_block():
    lonely = type(CLUSTER.nodes[0])("node1", CLUSTER.nodes[0].nics, None, block=IPv4Network("10.233.100.0/26"))
    config = Calico((lonely, CLUSTER.node("node3")), (CLUSTER.pod_cidr,))
    with pytest.raises(ValueError, match="no default route"):
        join(boot(new_netns("node1"), lonely), config)


def test_unknown_nodes_are_named():
    with pytest.raises(KeyError, match="node1, node2"):
        join(new_netns("node9"), calico())
