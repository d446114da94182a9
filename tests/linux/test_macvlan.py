"""The Macvlan CNI: what it gives a pod, and that it leaves the node alone."""

from __future__ import annotations

import pytest

from mcnilib.cluster.cni.macvlan import add_nic
from mcnilib.cluster.spec import CLUSTER
from mcnilib.linux.device.base import LinkEnd
from mcnilib.linux.device.macvlan import Macvlan
from mcnilib.linux.netns import new_netns
from mcnilib.linux.routing.route import print_routes


def pod_netns(name, mode="bridge"):
    return add_nic(new_netns(name), CLUSTER.pod(name), CLUSTER, mode)


@pytest.mark.parametrize(
    ("pod", "device", "lower", "address", "gateway"),
    [
        ("mac1", "eth0", LinkEnd("node1", 2), "172.16.100.2/16", "172.16.0.1"),
        ("mac3", "eth0", LinkEnd("node3", 2), "172.17.1.100/16", "172.17.0.1"),
        ("mac17", "eth0", LinkEnd("node1", 3), "172.17.1.150/16", "172.17.0.1"),  # on en1, which has no address
        ("mul1", "net1", LinkEnd("node1", 2), "172.16.100.5/16", "172.16.0.1"),
    ],
)
def test_the_pods_nic_is_a_child_of_the_nodes(pod, device, lower, address, gateway):
    netns = pod_netns(pod)
    link = netns.link(device)
    assert link.kind == Macvlan(lower, "bridge")
    assert [str(a.interface) for a in link.addresses] == [address]
    assert (
        f"default via {gateway} dev {device}"
        in print_routes(netns.ip4.routes, "main").replace(" \n", "\n").splitlines()
    )


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa"])
def test_the_mode_is_the_one_asked_for(mode):
    assert pod_netns("mac1", mode).link("eth0").kind.mode == mode


def test_nothing_but_the_nic_is_written():
    netns = pod_netns("mac1")
    assert [link.name for link in netns.links] == ["lo", "eth0"]
    assert not (netns.ip4.neighbours or netns.ip4.tables or netns.sysctls)
    assert len(netns.ip4.rules) == 3


def test_a_pod_without_macvlan_nic_is_refused():
    with pytest.raises(ValueError, match="cal1 has no Macvlan NIC"):
        pod_netns("cal1")


def test_every_line_names_its_writer():
    writers = {route.origin.writer for route in pod_netns("mac1").ip4.routes}
    assert writers == {"the kernel", "Spiderpool IPAM"}
