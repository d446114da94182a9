"""The Macvlan CNI plugin with Spiderpool's address management: the pod's NIC on the underlay, and nothing on the node.

Multus decides which plugin makes eth0: Macvlan for a single-NIC Macvlan pod; for a multi-NIC pod Calico makes eth0
and Macvlan net1. A second default route of equal metric is accepted and put before the first. The node's own devices,
routes and rules stay as they are.
Source: containernetworking/plugins plugins/main/macvlan/macvlan.go and pkg/ipam/ipam_linux.go; spiderpool
pkg/utils/convert/convert.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mcnilib.cluster.event import Change, change
from mcnilib.cluster.intern import ip_route
from mcnilib.cluster.spec import Cluster, Pod, mac_of
from mcnilib.language import mark, tr
from mcnilib.linux.device.base import LinkEnd
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.macvlan import Macvlan
from mcnilib.linux.netns import Netns, add_link, add_routes
from mcnilib.linux.origin import Origin

_WRITER = mark("the Macvlan CNI")


@dataclass(frozen=True, slots=True)
class MacvlanPlugin:
    """The plugin as Multus calls it. `mode` is bridge, private or vepa."""

    cluster: Cluster
    mode: str

    def add(self, pod: Pod) -> Iterator[Change]:
        """Yield what the ADD for a pod does."""
        yield change(pod.name, add_nic, pod, self.cluster, self.mode)


def add_nic(netns: Netns, pod: Pod, cluster: Cluster, mode: str = "bridge") -> Netns:
    """Give a pod its Macvlan NIC with address and default route. `mode` is bridge, private or vepa."""
    if pod.underlay is None:
        raise ValueError(tr("pod {pod} has no Macvlan NIC", pod=pod.name))
    lower = LinkEnd(pod.node, cluster.node(pod.node).nic(pod.parent).index)
    device = pod.macvlan_device
    index = 2 if device == "eth0" else 3
    origin = Origin(_WRITER, mark("a child of {parent}: the pod's own place on the underlay", parent=pod.parent))
    mac = mac_of(pod.name, device)
    netns = add_link(netns, Link(index, device, Macvlan(lower, mode), mac, (Address(pod.underlay),), origin=origin))
    origin = Origin("Spiderpool IPAM", mark("the gateway of the pod's address pool"))
    return add_routes(netns, ip_route(f"default via {pod.gateway} dev {device}", origin), how="prepend")
