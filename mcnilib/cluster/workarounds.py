"""What a learner may add by hand so that packets between a Macvlan pod and a Calico pod of another node get through.

None of these is known to the guide, all of them work with every kube-proxy, and each shows another side of the
problem: make the path symmetric by an address (SNAT) or by a route, or keep conntrack from judging what it only half
sees.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network

from mcnilib.cluster.event import Event, change
from mcnilib.cluster.intern import chain_rule, ip_route
from mcnilib.cluster.settings import Encapsulation, Workaround
from mcnilib.cluster.spec import Cluster, Node, Pod, PodKind
from mcnilib.language import mark
from mcnilib.linux.netfilter.iptables.edit import append, insert
from mcnilib.linux.netns import Netns, add_routes
from mcnilib.linux.origin import Origin

WORKAROUND = mark("the administrator")


@lru_cache(maxsize=64)
def add_workaround(cluster: Cluster, workaround: Workaround, encapsulation: Encapsulation) -> Event:
    """Return the event in which the administrator adds a workaround to every node."""
    macvlans = tuple(pod for pod in cluster.pods if pod.kind is PodKind.MACVLAN)
    changes = []
    for node in cluster.nodes:
        own = tuple(pod for pod in macvlans if pod.node == node.name)
        others = tuple((pod, cluster.node(pod.node)) for pod in macvlans if pod.node != node.name)
        if workaround is Workaround.ROUTE_BACK:
            changes.append(change(node.name, _route_back, node, others, encapsulation))
        else:
            verb = _snat if workaround is Workaround.SNAT else _notrack
            changes.append(change(node.name, verb, own, cluster.pod_cidr))
    return Event(
        mark("add the workaround"), mark("{workaround}, on every node", workaround=workaround.value), tuple(changes)
    )


def _snat(node: Netns, pods: Iterable[Pod], cidr: IPv4Network) -> Netns:
    """Masquerade what Macvlan pods of this node send to Calico pods."""
    reason = mark("the node answers for its Macvlan pods, so the Calico pod's replies come back through it")
    tables = node.ip4.tables
    for pod in reversed(tuple(pods)):  # each on top: Felix wants to be last in this chain
        rule = chain_rule(f"-A POSTROUTING -s {pod.address}/32 -d {cidr} -j MASQUERADE", Origin(WORKAROUND, reason))
        tables = insert(tables, "nat", rule)
    return node.with_ip4(tables=tables)


def _notrack(node: Netns, pods: Iterable[Pod], cidr: IPv4Network) -> Netns:
    """Keep what Macvlan pods send to Calico pods out of connection tracking: it is UNTRACKED then, never INVALID."""
    origin = Origin(WORKAROUND, mark("conntrack cannot call INVALID what it does not track"))
    lines = [f"-A PREROUTING -d {cidr} -i {pod.host_device} -j CT --notrack" for pod in pods]
    return node.with_ip4(tables=append(node.ip4.tables, "raw", [chain_rule(line, origin) for line in lines]))


def _route_back(netns: Netns, node: Node, pods: Iterable[tuple[Pod, Node]], encapsulation: Encapsulation) -> Netns:
    """Send what Calico pods of `node` answer to Macvlan pods of other nodes back through the pod's own node."""
    origin = Origin(WORKAROUND, mark("replies to the Macvlan pod take the path of its packets, through its own node"))
    ways = ((pod, _way_to(node, peer, encapsulation)) for pod, peer in pods)
    return add_routes(netns, *(ip_route(f"{pod.address} {way}", origin) for pod, way in ways if way))


def _way_to(node: Node, peer: Node, encapsulation: Encapsulation) -> str:
    """Return next hop and device towards another node: their common subnet, else the tunnel, else nothing."""
    en0 = node.nics[0]
    if en0.address and peer.address.ip in en0.address.network:
        return f"via {peer.address.ip} dev {en0.name}"
    ways = {
        Encapsulation.VXLAN: f"via {peer.tunnel} dev vxlan.calico onlink",
        Encapsulation.IPIP: f"via {peer.address.ip} dev tunl0 onlink",
    }
    return ways.get(encapsulation, "")
