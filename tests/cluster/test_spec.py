"""The cluster as a value: the address plan, and the names that follow from it."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from mcnilib.cluster.spec import CLUSTER, Pod, PodKind, TrafficPolicy, mac_of

PLAN = [
    ("mac1", "node1", "172.16.100.2"),
    ("mac1b", "node1", "172.16.100.4"),
    ("mac2", "node2", "172.16.100.3"),
    ("mac3", "node3", "172.17.1.100"),
    ("mac4", "node4", "172.17.1.200"),
    ("mac17", "node1", "172.17.1.150"),
    ("cal1", "node1", "10.233.100.3"),
    ("cal2", "node2", "10.233.101.2"),
    ("cal3", "node3", "10.233.102.2"),
    ("mul1", "node1", "10.233.100.5"),
    ("mul2", "node2", "10.233.101.3"),
]


@pytest.mark.parametrize(("pod", "node", "address"), PLAN)
def test_where_a_pod_lives(pod, node, address):
    assert (CLUSTER.pod(pod).node, str(CLUSTER.pod(pod).address)) == (node, address)


@pytest.mark.parametrize("pod", [pod for pod in CLUSTER.pods if pod.overlay], ids=lambda pod: pod.name)
def test_calico_addresses_lie_in_the_block_of_their_node_and_in_the_pool(pod):
    node = CLUSTER.node(pod.node)
    assert pod.overlay in node.block
    assert node.block.subnet_of(CLUSTER.pod_cidr)
    assert pod.overlay != node.tunnel  # the node took the first one


@pytest.mark.parametrize("pod", [pod for pod in CLUSTER.pods if pod.underlay], ids=lambda pod: pod.name)
def test_underlay_addresses_lie_in_the_subnet_of_their_gateway_and_not_in_the_pool(pod):
    assert pod.gateway in pod.underlay.network
    assert pod.underlay.ip not in CLUSTER.pod_cidr


@pytest.mark.parametrize("node", CLUSTER.nodes, ids=lambda node: node.name)
def test_no_two_pods_of_a_node_share_a_device_index(node):
    indexes = [pod.host_index for pod in CLUSTER.pods_of(node.name)] + [nic.index for nic in node.nics]
    assert len(indexes) == len(set(indexes))


def test_no_address_is_given_twice():
    hosts = (*CLUSTER.nodes, CLUSTER.gateway, *CLUSTER.clients)
    addresses = [nic.address.ip for host in hosts for nic in host.nics if nic.address]
    addresses += [pod.overlay for pod in CLUSTER.pods if pod.overlay]
    addresses += [pod.underlay.ip for pod in CLUSTER.pods if pod.underlay]
    assert len(addresses) == len(set(addresses))


@pytest.mark.parametrize(
    ("pod", "device"),
    [
        (Pod("web", PodKind.CALICO, "node1", 0, IPv4Address("10.233.100.9"), namespace="default"), "cali68caf03a5f4"),
        (CLUSTER.pod("cal1"), "cali536d52869bc"),
        (CLUSTER.pod("mac1"), f"veth{CLUSTER.pod('mac1').container[:11]}"),
    ],
)
def test_the_name_of_the_node_end_of_a_pod(pod, device):
    assert pod.host_device == device
    assert len(device) <= 15  # IFNAMSIZ


def test_mac_addresses_are_stable_unicast_and_locally_administered():
    assert mac_of("node1", "en0") == mac_of("node1", "en0") == "02:3a:61:c5:9e:d1"
    assert mac_of("node1", "en0") != mac_of("node2", "en0")


@pytest.mark.parametrize(
    ("pods", "node_port", "endpoints"),
    [
        (("mac4",), 32456, ["172.17.1.200:80"]),
        (("mul2",), 32567, ["10.233.101.3:80"]),
        (("cal1", "cal2"), 32456, ["10.233.100.3:80", "10.233.101.2:80"]),
        ((), 32456, []),
    ],
)
def test_the_service_behind_which_pods_stand(pods, node_port, endpoints):
    web = CLUSTER.web_behind(*pods, policy=TrafficPolicy.LOCAL)
    assert (web.node_port, [str(e) for e in web.endpoints], web.full_name) == (node_port, endpoints, "demo/web:http")


def test_the_service_answers_on_the_same_port_over_tcp_and_udp():
    tcp, udp = CLUSTER.web_ports("mac4")
    assert (tcp.full_name, tcp.protocol, udp.full_name, udp.protocol) == (
        *("demo/web:http", "tcp"),
        *("demo/web:http-udp", "udp"),
    )
    assert (tcp.cluster_ip, tcp.port, tcp.node_port) == (udp.cluster_ip, udp.port, udp.node_port)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(KeyError, match="no pod 'mac9'; there are mac1, mac1b"):
        CLUSTER.pod("mac9")
