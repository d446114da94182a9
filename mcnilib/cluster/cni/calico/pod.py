"""The Calico CNI: a pod's eth0, its pair to the node, and the node's way to the pod.

The pod asks for 169.254.1.1, an address nobody has; the node answers for it by proxy ARP, provided it has a route to it
(its default route). The node's end has no address, so what the node itself sends to the pod carries the address of one
of its other devices.
Not modelled: net.ipv4.neigh.*.proxy_delay 0, which only removes a delay.
Source: cni-plugin/pkg/dataplane/linux/dataplane_linux.go, felix/dataplane/linux/endpoint_mgr.go (v3.26 to v3.32).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface

from mcnilib.cluster.cni.calico.config import Calico
from mcnilib.cluster.event import Change, change
from mcnilib.cluster.intern import ip_route
from mcnilib.cluster.spec import Pod, mac_of
from mcnilib.language import mark, tr
from mcnilib.linux.device.base import LinkEnd
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netns import Netns, add_link, add_routes, set_sysctl
from mcnilib.linux.origin import Origin
from mcnilib.linux.routing.route import Route
from mcnilib.linux.sysctl import get

_WRITER = mark("the Calico CNI")

HOST_MAC = "ee:ee:ee:ee:ee:ee"
"""The MAC of the node's end of every pair."""

GATEWAY = "169.254.1.1"
"""The gateway of every pod."""

POD_INDEX = 2
"""Device index of eth0 in the pod."""

ROUTE_METRIC = 1024
"""ipv4NormalRoutePriority: the metric of workload routes since 3.32. Source: felix/config/config_params.go."""


@dataclass(frozen=True, slots=True)
class CalicoPlugin:
    """The plugin as Multus calls it, with what Calico is told."""

    config: Calico

    def add(self, pod: Pod) -> Iterator[Change]:
        """Yield what the ADD for a pod does: the node's side, then the pod's."""
        yield change(pod.node, attach_node, pod, self.config)
        yield change(pod.name, attach_pod, pod, self.config)


def attach_pod(netns: Netns, pod: Pod, calico: Calico) -> Netns:
    """Do the pod's side: eth0 with the pod's address, and everything routed to the node."""
    netns = set_sysctl(netns, "net.ipv4.ip_forward", "0", Origin(_WRITER, mark("a pod is no router")))
    origin = Origin(_WRITER, mark("the pod's end of the pair to its node"))
    address = Address(IPv4Interface(f"{_overlay(pod)}/32"))
    peer = Veth(LinkEnd(pod.node, pod.host_index))
    link = Link(POD_INDEX, "eth0", peer, mac_of(pod.name, "eth0"), (address,), mtu=calico.pod_mtu, origin=origin)
    netns = add_link(netns, link)
    origin = Origin(_WRITER, mark("an address that no machine has; the node answers ARP for it"))
    netns = add_routes(netns, ip_route(f"{GATEWAY} dev eth0 scope link", origin))
    origin = Origin(_WRITER, mark("everything leaves through the node"))
    return add_routes(netns, ip_route(f"default via {GATEWAY} dev eth0", origin))


def attach_node(node: Netns, pod: Pod, calico: Calico) -> Netns:
    """Do the node's side: the node's end of the pair, its sysctls, and the route to the pod."""
    origin = Origin(_WRITER, mark("the node's end of the pair to pod {pod}; it needs no address", pod=pod.name))
    peer = Veth(LinkEnd(pod.name, POD_INDEX))
    link = Link(pod.host_index, pod.host_device, peer, HOST_MAC, mtu=calico.pod_mtu, origin=origin)
    node = add_link(node, link)
    for name, value, origin in _sysctls(node, calico):
        node = set_sysctl(node, f"net.ipv4.conf.{pod.host_device}.{name}", value, origin)
    return add_routes(node, _route(pod, calico))


def _route(pod: Pod, calico: Calico) -> Route:
    line = f"{_overlay(pod)} dev {pod.host_device} scope link"
    if calico.since(3, 32):
        return ip_route(f"{line} metric {ROUTE_METRIC}", calico.felix(mark("the way to pod {pod}", pod=pod.name)))
    return ip_route(line, Origin(_WRITER, mark("the way to pod {pod}", pod=pod.name)))


def _sysctls(node: Netns, calico: Calico) -> Iterator[tuple[str, str, Origin]]:
    yield "route_localnet", "1", Origin(_WRITER, mark("lets packets of the pod be redirected to the node's 127.0.0.1"))
    yield (
        "proxy_arp",
        "1",
        Origin(_WRITER, mark("the node answers when the pod asks who has {gateway}", gateway=GATEWAY)),
    )
    yield "forwarding", "1", Origin(_WRITER, mark("the node is the pod's router"))
    value = get(node.sysctls, "net.ipv4.conf.default.rp_filter")
    yield "rp_filter", value, calico.felix(mark("copied from net.ipv4.conf.default.rp_filter, as Felix found it"))


def _overlay(pod: Pod) -> str:
    if pod.overlay is None:
        raise ValueError(tr("pod {pod} has no Calico address", pod=pod.name))
    return str(pod.overlay)
