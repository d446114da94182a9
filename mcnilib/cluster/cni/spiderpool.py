"""Spiderpool's coordinator: what makes Macvlan pods reach nodes, services and Calico pods.

A single-NIC Macvlan pod (mode underlay) gets a second way out, a veth pair to its node, with routes for everything
that only the node can deliver: node addresses, pods, services. A multi-NIC pod (mode overlay) uses Calico's pair for
that. On the node, table 500 leads to the pods. Behaviour of v0.8.8, v0.9.5, v1.0.0 and later. Not modelled:
policyRoutes, IPv6, a third NIC.
Source: spidernet-io/spiderpool cmd/coordinator/cmd/{command_add,utils,cni_types}.go, pkg/networking/networking/*.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from mcnilib.cluster.cni.calico.pod import GATEWAY, HOST_MAC
from mcnilib.cluster.event import Change, change
from mcnilib.cluster.intern import chain_rule, ip_neigh, ip_route, ip_rule
from mcnilib.cluster.settings import DefaultNic, Hijack, Tuning
from mcnilib.cluster.spec import Pod, mac_of
from mcnilib.language import mark, tr
from mcnilib.linux.device.base import LinkEnd
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netfilter.iptables.edit import append
from mcnilib.linux.netns import Netns, add_link, add_neigh, add_routes, add_rule, del_route, set_sysctl
from mcnilib.linux.origin import Origin
from mcnilib.linux.routing.route import Route

_WRITER = mark("the coordinator")

HOST_TABLE, MARK_TABLE, NIC_TABLE = "500", "100", "101"

HIJACK = (IPv4Network("169.254.0.0/16"),)
"""hijackCIDR, by default the link-local addresses, because of nodelocaldns."""

VETH_ADDRESS = IPv4Interface("169.254.200.1/32")
"""vethLinkAddress, as the releases had it that wrote one without being asked (v0.8.7, v0.9.4)."""

VETH_MTU = 1500
"""vethMTU: of both ends of the pair of a single-NIC Macvlan pod. Source: c4ea14332 (v1.2.1); before it was fixed."""

NOT_NODE_DEVICES = re.compile(
    r"^docker|^cbr|^dummy|^virbr|^lxcbr|^veth|^lo$|^cali|^flannel|^kube-ipvs|^cni|^vx-submariner|^cilium"
)
"""Devices whose addresses are not taken for addresses of the node; tunnel devices are not among them."""

RP_FILTER = (
    mark("0, because a reply may leave through another NIC than its request came in"),
    mark("1, strict: a packet must come in through the device that an answer to its source would leave through"),
    mark("2, loose: some route to the source is enough, but not on a device without an address"),
)
"""What each value of podRPFilter means."""

MARK_RULES = (
    (
        "-A PREROUTING -i veth0 -m conntrack --ctstate NEW -j MARK --set-xmark 0x1/0xffffffff",
        mark("marks new connections that come in through veth0, that is from the node"),
    ),
    (
        "-A PREROUTING -m mark --mark 0x1 -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff",
        mark("saves the mark with the connection"),
    ),
    (
        "-A OUTPUT -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff",
        mark("marks the replies of such a connection, so that they are routed again, with table 100"),
    ),
)


@dataclass(frozen=True)
class Coordinator:
    """What the SpiderCoordinator says. `node_ips`: addresses of the pod's node, as seen when the pod was created."""

    node_ips: tuple[IPv4Address, ...]
    pod_cidr: IPv4Network
    service_cidr: IPv4Network
    rp_filter: int = 0
    mark_rules: bool = True
    hijack: Hijack = Hijack.ALL
    veth_address: bool = False
    veth_mtu: int = VETH_MTU

    @property
    def hijacked(self) -> tuple[IPv4Network, ...]:
        """What the pod must send through its node, in the order the routes are added.

        A pool that is disabled when the pod is created is left out. Source: spiderpool issue 5738 (fixed in 2026).
        """
        pools = () if self.hijack is Hijack.NO_POOL else (self.pod_cidr,)
        return (*pools, self.service_cidr, *(() if self.hijack is Hijack.NO_LINK_LOCAL else HIJACK))


@dataclass(frozen=True, slots=True)
class CoordinatorPlugin:
    """The plugin as Multus calls it, last of a chain. `default` and `tuning` concern multi-NIC pods only."""

    config: Coordinator
    default: DefaultNic
    tuning: Tuning

    def add(self, pod: Pod) -> Iterator[Change]:
        """Yield what the ADD for a pod does: the pod's side, then the node's."""
        if pod.overlay:
            yield change(pod.name, attach_multi, pod, self.config, self.default, self.tuning)
        else:
            yield change(pod.name, attach, pod, self.config)
        yield change(pod.node, attach_host, pod, self.config.veth_mtu)


def tune_node(node: Netns) -> Netns:
    """Set the sysctls the spiderpool-agent sets on every node (tuneSysctlConfig, on by default).

    Source: pkg/networking/sysctl/sysctl.go DefaultSysctlConfig.
    """
    reason = mark("packets may come back another way than they went")
    return set_sysctl(node, "net.ipv4.conf.all.rp_filter", "0", Origin("the spiderpool-agent", reason))


def node_addresses(node: Netns) -> tuple[IPv4Address, ...]:
    """Return the addresses a pod takes for its node: those of all its devices but pods' and bridges'.

    Tunnel addresses are among them, addresses of other nodes never are. The first one is the gateway of the hijacked
    routes. The real list begins with the source address the node uses towards the pod; here that is always the first
    NIC's.
    Source: pkg/networking/networking/ip.go GetAllHostIPRouteForPod.
    """
    links = (link for link in node.links if not NOT_NODE_DEVICES.search(link.name))
    addresses = (address.ip for link in links for address in link.addresses)
    return tuple(dict.fromkeys(ip for ip in addresses if not ip.is_link_local))


def attach(netns: Netns, pod: Pod, coordinator: Coordinator) -> Netns:
    """Do the pod's side of a single-NIC Macvlan pod: veth0, neighbours, routes, and the mark rules for replies."""
    origin = Origin(_WRITER, mark("the pod's end of the pair to its node"))
    peer, addresses = Veth(LinkEnd(pod.node, pod.host_index)), (Address(VETH_ADDRESS),) * coordinator.veth_address
    mac, mtu = mac_of(pod.name, "veth0"), coordinator.veth_mtu
    netns = add_link(netns, Link(3, "veth0", peer, mac, addresses, mtu=mtu, origin=origin))
    netns = rp_filter(netns, coordinator)
    netns = reach_node(netns, pod, coordinator, "veth0", mac_of(pod.node, pod.host_device))
    netns = add_routes(netns, *hijacked(pod, coordinator, "veth0"))
    return _mark(netns, pod, coordinator) if coordinator.mark_rules else netns


def attach_host(node: Netns, pod: Pod, veth_mtu: int = VETH_MTU) -> Netns:
    """Do the node's side: the veth pair (single-NIC pods only), rule 1000, table 500 and the pod's neighbour entry."""
    if not pod.overlay:
        origin = Origin(_WRITER, mark("the node's end of the pair to pod {pod}", pod=pod.name))
        peer, mac = Veth(LinkEnd(pod.name, 3)), mac_of(pod.node, pod.host_device)
        node = add_link(node, Link(pod.host_index, pod.host_device, peer, mac, mtu=veth_mtu, origin=origin))
    origin = Origin(_WRITER, mark("looks for pods before the subnet on the NIC"))
    rule = ip_rule(f"1000:\tfrom all lookup {HOST_TABLE}", origin)
    node = node if rule in node.ip4.rules else add_rule(node, rule)
    if pod.underlay is None:
        raise ValueError(tr("pod {pod} has no Macvlan NIC", pod=pod.name))
    origin = Origin(_WRITER, mark("the node cannot reach {pod} over its own NIC, only through the pair", pod=pod.name))
    node = add_routes(node, ip_route(f"{pod.underlay.ip} dev {pod.host_device} scope link", origin, HOST_TABLE))
    lladdr = mac_of(pod.name, pod.pair_device)
    origin = Origin(_WRITER, mark("nothing answers ARP for this address on the pair"))
    return add_neigh(node, ip_neigh(f"{pod.underlay.ip} dev {pod.host_device} lladdr {lladdr} PERMANENT", origin))


def rp_filter(netns: Netns, coordinator: Coordinator) -> Netns:
    """Set podRPFilter in a pod: only `all`, so a device with a stricter value of its own stays strict."""
    reason = mark("podRPFilter of the SpiderCoordinator: {rp_filter}", rp_filter=RP_FILTER[coordinator.rp_filter])
    return set_sysctl(netns, "net.ipv4.conf.all.rp_filter", str(coordinator.rp_filter), Origin(_WRITER, reason))


def reach_node(
    netns: Netns, pod: Pod, coordinator: Coordinator, dev: str, lladdr: str, table: str = NIC_TABLE
) -> Netns:  # the six things a route to the node is made of
    """Write neighbour entries and routes (main and the NIC's table) for every address of the node."""
    origin = Origin(_WRITER, mark("the node's end of the pair, so that no ARP is needed"))
    for ip in coordinator.node_ips:
        netns = add_neigh(netns, ip_neigh(f"{ip} dev {dev} lladdr {lladdr} PERMANENT", origin))
    origin = Origin(_WRITER, mark("a Macvlan child cannot talk to its own node over the underlay; the pair can"))
    lines = [f"{ip} dev {dev} scope link src {pod.address}" for ip in coordinator.node_ips]
    return add_routes(netns, *(ip_route(line, origin, t) for line in lines for t in ("main", table)))


def hijacked(pod: Pod, coordinator: Coordinator, dev: str, table: str = "main") -> list[Route]:
    """Return the routes for what only the node can deliver: pods, services and hijackCIDR."""
    gateway = coordinator.node_ips[0]
    origin = Origin(
        _WRITER, mark("the underlay has no route to pods and services, so they are reached through the node")
    )
    return [
        ip_route(f"{cidr} via {gateway} dev {dev} src {pod.address}", origin, table) for cidr in coordinator.hijacked
    ]


def _mark(netns: Netns, pod: Pod, coordinator: Coordinator) -> Netns:
    """Write what sends replies back the way the request came: MARK, CONNMARK, rule 1000 and table 100."""
    rules = [chain_rule(line, Origin(_WRITER, reason)) for line, reason in MARK_RULES]
    netns = netns.with_ip4(tables=append(netns.ip4.tables, "mangle", rules))
    origin = Origin(_WRITER, mark("replies to connections that came in through veth0 leave through veth0"))
    netns = add_rule(netns, ip_rule(f"1000:\tfrom all fwmark 0x1 lookup {MARK_TABLE}", origin))
    line = f"default via {coordinator.node_ips[0]} dev veth0 src {pod.address}"
    return add_routes(netns, ip_route(line, origin, MARK_TABLE))


def attach_multi(netns: Netns, pod: Pod, coordinator: Coordinator, default: DefaultNic, tuning: Tuning) -> Netns:
    """Do the coordinator's work in a multi-NIC pod that has both NICs, in the order Calico, Macvlan."""
    netns = rp_filter(netns, coordinator)
    table = MARK_TABLE if tuning is Tuning.V0_8_6 else NIC_TABLE
    netns = reach_node(netns, pod, coordinator, "eth0", HOST_MAC, table)
    netns = add_routes(netns, *hijacked(pod, coordinator, "eth0"))
    if tuning is Tuning.V0_8_6:
        netns = add_routes(netns, *hijacked(pod, coordinator, "eth0", table))
    if tuning is Tuning.NOT:
        return netns
    if default is DefaultNic.NET1:
        return _move_eth0(netns, pod, coordinator, table)
    netns = _move_net1(netns, pod, table)
    return netns if tuning is Tuning.V0_8_6 else _copy_eth0(netns, pod)


def _move_net1(netns: Netns, pod: Pod, table: str) -> Netns:
    """Move net1's default route to a table of its own and copy its subnet there."""
    if pod.underlay is None:
        raise ValueError(tr("pod {pod} has no Macvlan NIC", pod=pod.name))
    netns = del_route(netns, "default", dev="net1")
    origin = Origin(_WRITER, mark("moved out of main: the pod's default route is on eth0"))
    default = ip_route(f"default via {pod.gateway} dev net1", origin, table)
    origin = Origin(_WRITER, mark("copied from main, so that net1's own subnet stays on net1"))
    subnet = ip_route(f"{pod.underlay.network} dev net1 scope link src {pod.underlay.ip}", origin, table)
    netns = add_routes(netns, default, subnet)
    origin = Origin(_WRITER, mark("packets with net1's address leave through net1"))
    return add_rule(netns, ip_rule(f"from {pod.underlay.ip} lookup {table}", origin))


def _copy_eth0(netns: Netns, pod: Pod) -> Netns:
    """Copy eth0's default route to table 100 and look there for what has eth0's address."""
    origin = Origin(_WRITER, mark("copied from main: for replies to connections that came in through eth0"))
    netns = add_routes(netns, ip_route(f"default via {GATEWAY} dev eth0", origin, MARK_TABLE))
    origin = Origin(
        _WRITER, mark("packets with eth0's address leave through eth0, so replies take the path of the request")
    )
    return add_rule(netns, ip_rule(f"from {pod.overlay} lookup {MARK_TABLE}", origin))


def _move_eth0(netns: Netns, pod: Pod, coordinator: Coordinator, table: str) -> Netns:
    """Move eth0's default route to a table of its own and copy its other routes there."""
    netns = del_route(netns, "default", dev="eth0")
    origin = Origin(_WRITER, mark("moved out of main: the pod's default route is on net1"))
    default = ip_route(f"default via {GATEWAY} dev eth0", origin, table)
    origin = Origin(_WRITER, mark("copied from main"))
    link = ip_route(f"{GATEWAY} dev eth0 scope link", origin, table)
    present = {route.dst for route in netns.ip4.routes if route.table == table}
    copies = [route for route in hijacked(pod, coordinator, "eth0", table) if route.dst not in present]
    netns = add_routes(netns, default, link, *copies)
    origin = Origin(
        _WRITER, mark("packets with eth0's address leave through eth0, so replies take the path of the request")
    )
    return add_rule(netns, ip_rule(f"from {pod.overlay} lookup {table}", origin))
