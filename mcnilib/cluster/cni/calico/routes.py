"""How a node reaches the blocks of pod addresses of other nodes, by encapsulation.

    none    BIRD   BLOCK via NODE dev NIC proto bird            to another subnet: via the router
    IPIP    BIRD   BLOCK via NODE dev tunl0 proto bird onlink
    VXLAN   Felix  BLOCK via TUNNEL ADDRESS dev vxlan.calico onlink, with neighbour and forwarding entries

BIRD's routes carry metric 1024 since 3.32. The node's own block is a blackhole; the routes to its pods are more
specific. From 3.33 on Felix writes those of IPIP. With CrossSubnet a node of the own subnet is reached without tunnel,
by BIRD's route or by Felix's. Without encapsulation routers must learn the blocks too: `underlay.learn_blocks`.
Source: confd/etc/calico/confd/templates/{bird_ipam,bird_aggr}.cfg.template, felix/calc/vxlan_resolver.go,
felix/dataplane/linux/{route_mgr,vxlan_mgr,ipip_mgr}.go, felix/vxlanfdb/vxlan_fdb.go; for the metric
projectcalico/calico pull request 12209.
"""

from __future__ import annotations

from hashlib import sha1
from ipaddress import IPv4Address, IPv4Interface

from mcnilib.cluster.cni.calico.config import Calico
from mcnilib.cluster.cni.calico.pod import ROUTE_METRIC
from mcnilib.cluster.intern import ip_neigh, ip_route
from mcnilib.cluster.settings import Encapsulation
from mcnilib.cluster.spec import Node
from mcnilib.language import mark, tr
from mcnilib.linux.device.base import NO_MAC
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.tunnel.ipip import Ipip
from mcnilib.linux.device.tunnel.vxlan import Vxlan
from mcnilib.linux.netns import Netns, add_link, add_neigh, add_routes
from mcnilib.linux.origin import Origin
from mcnilib.linux.routing.route import Route

VNI, _PORT = 4096, 4789

TUNNEL_INDEX = 9
"""Device index of the tunnel device, between the NICs and the pods."""

BLACKHOLE = mark("an address of this node's block that no pod has leads nowhere, instead of back to the router")


def join(node: Netns, calico: Calico) -> Netns:
    """Connect a node with the others: tunnel device, and routes to every node's block.

    The namespace has the node's name.
    """
    if calico.tunnel:
        node = _add_tunnel(node, calico)
    routes = [_route(calico, node.name, peer) for peer in calico.peers(node.name)]
    return add_routes(node, *routes, _blackhole(calico, node.name))


def vtep_mac(node: str) -> str:
    """Return the MAC of a node's VXLAN device, which follows from the node's name."""
    digest = sha1(node.encode(), usedforsecurity=False).digest()
    return ":".join(f"{byte:02x}" for byte in (0x66, *digest[:5]))


def _add_tunnel(node: Netns, calico: Calico) -> Netns:
    own, peers = calico.node(node.name), calico.peers(node.name)
    origin = calico.felix(mark("carries packets to pods of other nodes; its address is the first of the node's block"))
    address = Address(IPv4Interface(f"{own.tunnel}/32"))
    vxlan = calico.encapsulation is Encapsulation.VXLAN
    kind, mac = _kind(own, peers, vxlan), vtep_mac(own.name) if vxlan else NO_MAC
    node = add_link(
        node, Link(TUNNEL_INDEX, calico.tunnel, kind, mac, (address,), mtu=calico.device_mtu, origin=origin)
    )
    for peer in peers if vxlan else ():
        origin = calico.felix(mark("the far end of the tunnel to {peer}, so that no ARP is needed", peer=peer.name))
        line = f"{peer.tunnel} dev {calico.tunnel} lladdr {vtep_mac(peer.name)} PERMANENT"
        node = add_neigh(node, ip_neigh(line, origin))
    return node


def _kind(own: Node, peers: tuple[Node, ...], vxlan: bool) -> Vxlan | Ipip:
    if not vxlan:
        return Ipip()
    fdb = tuple((vtep_mac(peer.name), peer.address.ip) for peer in peers)
    return Vxlan(VNI, own.address.ip, own.nics[0].name, _PORT, fdb)


def _route(calico: Calico, name: str, peer: Node) -> Route:
    own = calico.node(name)
    tunnelled = calico.encapsulates(own, peer)
    if calico.encapsulation is Encapsulation.VXLAN or (calico.tunnel and calico.felix_routes_ipip):
        return _of_felix(calico, own, peer, tunnelled)
    metric = f" metric {ROUTE_METRIC}" if calico.since(3, 32) else ""
    if tunnelled:
        line = f"{peer.block} via {peer.address.ip} dev {calico.tunnel} proto bird{metric} onlink"
        return ip_route(
            line,
            Origin("BIRD", mark("pods of {peer}, announced by BGP; the pool says: through the tunnel", peer=peer.name)),
        )
    line = f"{peer.block} via {_next_hop(own, peer)} dev {own.nics[0].name} proto bird{metric}"
    return ip_route(line, Origin("BIRD", mark("pods of {peer}, announced by BGP", peer=peer.name)))


def _of_felix(calico: Calico, own: Node, peer: Node, tunnelled: bool) -> Route:
    """Return a route that Felix writes: through the tunnel, or straight to a node of the same subnet."""
    if not tunnelled:
        line = f"{peer.block} via {peer.address.ip} dev {own.nics[0].name} proto 80 onlink"
        why = mark("pods of {peer}, a neighbour: CrossSubnet spares the tunnel", peer=peer.name)
        return ip_route(line, calico.felix(why))
    vxlan = calico.encapsulation is Encapsulation.VXLAN
    via = f"{peer.tunnel} dev {calico.tunnel}" if vxlan else f"{peer.address.ip} dev {calico.tunnel} proto 80"
    return ip_route(
        f"{peer.block} via {via} onlink", calico.felix(mark("pods of {peer}, through the tunnel", peer=peer.name))
    )


def _next_hop(own: Node, peer: Node) -> IPv4Address:
    """Return the peer on the same subnet, otherwise the router BIRD finds on the way to it (`gateway recursive`)."""
    if peer.address.ip in own.address.network:
        return peer.address.ip
    if own.default is None:
        raise ValueError(tr("{own} has no default route to reach {peer}", own=own.name, peer=peer.name))
    return own.default


def _blackhole(calico: Calico, name: str) -> Route:
    block = calico.node(name).block
    if calico.encapsulation is Encapsulation.VXLAN or (calico.tunnel and calico.felix_routes_ipip):
        return ip_route(f"blackhole {block} proto 80", calico.felix(BLACKHOLE))
    return ip_route(f"blackhole {block} proto bird", Origin("BIRD", BLACKHOLE))
