"""The fabric around the pods: switches, node NICs, the gateway with its optional firewall, and machines outside.

All of it is what an administrator sets up before Kubernetes starts. ICMP redirects are not modelled; the machines
have them turned off (`send_redirects` 0), as the nodes of many clusters do, so that a router never rewrites the
routes of a pod or client.
"""

from __future__ import annotations

from mcnilib.cluster.intern import chain_rule, ip_route
from mcnilib.cluster.spec import Cluster, HostSpec, mac_of
from mcnilib.language import mark
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.nic import Physical
from mcnilib.linux.netfilter.iptables.edit import append
from mcnilib.linux.netns import Netns, add_link, add_routes, set_sysctl
from mcnilib.linux.origin import Origin
from mcnilib.world.world import Port, Segment

ADMIN = mark("the administrator")

FIREWALL = (
    (
        "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        mark("lets everything of a known connection through"),
    ),
    (
        "-A FORWARD -m conntrack --ctstate INVALID -j DROP",
        mark("drops what belongs to no connection this router has seen"),
    ),
    ("-A FORWARD -m conntrack --ctstate NEW -j ACCEPT", mark("lets everybody open connections")),
)
"""A stateful firewall that allows everything, provided it sees both directions."""


def boot(netns: Netns, host: HostSpec) -> Netns:
    """Bring up the NICs of a node, router or client, and its default route."""
    netns = _no_redirects(netns)
    for nic in host.nics:
        addresses = (Address(nic.address),) if nic.address else ()
        origin = Origin(ADMIN, mark("a NIC plugged into {segment}", segment=nic.segment))
        link = Link(nic.index, nic.name, Physical(), mac_of(host.name, nic.name), addresses, origin=origin)
        netns = add_link(netns, link)
    if host.default:
        origin = Origin(ADMIN, mark("everything else is behind the gateway"))
        netns = add_routes(netns, ip_route(f"default via {host.default} dev {host.nics[0].name}", origin))
    return netns


def forward(netns: Netns) -> Netns:
    """Turn a machine into a router."""
    return set_sysctl(netns, "net.ipv4.ip_forward", "1", Origin(ADMIN, mark("a router forwards packets for others")))


def add_firewall(gateway: Netns) -> Netns:
    """Put the stateful firewall into the gateway."""
    rules = [chain_rule(line, Origin(mark("the gateway's firewall"), reason)) for line, reason in FIREWALL]
    return gateway.with_ip4(tables=append(gateway.ip4.tables, "filter", rules))


def learn_blocks(gateway: Netns, cluster: Cluster) -> Netns:
    """Give the gateway the way to every block of pod addresses, as the nodes announce them by BGP.

    Without encapsulation the fabric must know them: nodes of different subnets exchange pod packets through it.
    Source: Calico documentation, "Configure BGP peering"; confd/etc/calico/confd/templates/bird.cfg.template.
    """
    nics = {nic.segment: nic.name for nic in cluster.gateway.nics}
    origin = Origin("BGP", mark("the node announced its block of pod addresses to the router"))
    lines = [f"{n.block} via {n.address.ip} dev {nics[n.nics[0].segment]} proto bird" for n in cluster.nodes]
    return add_routes(gateway, *(ip_route(line, origin) for line in lines))


def segments(cluster: Cluster, *, reflects: bool = False, gateway: bool = True) -> tuple[Segment, ...]:
    """Return the switches.

    `reflects`: ports send frames back where they came from (hairpin); `gateway` False: it is unplugged.
    """
    machines = (*cluster.nodes, *((cluster.gateway,) if gateway else ()), *cluster.clients)
    nics = [(machine.name, nic) for machine in machines for nic in machine.nics]
    names = dict.fromkeys(nic.segment for _, nic in nics)
    ports = {name: tuple(Port(host, nic.name) for host, nic in nics if nic.segment == name) for name in names}
    return tuple(Segment(name, plugs, reflects) for name, plugs in ports.items())


def _no_redirects(netns: Netns) -> Netns:
    origin = Origin(ADMIN, mark("no ICMP redirects: they would rewrite routes behind everybody's back"))
    for name in ("all", "default"):
        netns = set_sysctl(netns, f"net.ipv4.conf.{name}.send_redirects", "0", origin)
    return netns
