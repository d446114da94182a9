"""What a cluster may run beside its network: a DNS cache on every node, a mesh's sidecar in Macvlan pods.

Each is told by the state it leaves. Of the mesh only the inbound half is modelled: a pod with a sidecar is a server
here, never a client. The cache's address is on a dummy device, nodelocaldns; here it is on lo, which is the same to
packets.
Source: kubernetes/dns cmd/node-cache/app/cache_app.go (1.26); istio tools/istio-iptables/pkg/capture/run.go (1.24).
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface

from mcnilib.cluster.event import Event, change
from mcnilib.cluster.intern import chain_rule
from mcnilib.cluster.spec import Cluster, PodKind
from mcnilib.language import mark
from mcnilib.linux.device.link import Address
from mcnilib.linux.netfilter.iptables.edit import append
from mcnilib.linux.netns import Netns, add_address
from mcnilib.linux.origin import Origin

DNS_ADDRESS, DNS_PORT = IPv4Address("169.254.25.10"), 53

SIDECAR_PORT = 15006
"""Where the sidecar takes connections that come in."""

_CACHE = Origin("NodeLocal DNSCache", mark("connection tracking leaves DNS to and from the cache alone"))

_ASKED, _ANSWERED = (
    tuple(f"{end} -p {proto} -m {proto} --{port} {DNS_PORT}" for proto in ("udp", "tcp"))
    for end, port in ((f"-d {DNS_ADDRESS}/32", "dport"), (f"-s {DNS_ADDRESS}/32", "sport"))
)

_SPARED = {
    "raw": [f"-A PREROUTING {packets} -j CT --notrack" for packets in _ASKED]
    + [f"-A OUTPUT {packets} -j CT --notrack" for packets in _ANSWERED],
    "filter": [f"-A INPUT {packets} -j ACCEPT" for packets in _ASKED]
    + [f"-A OUTPUT {packets} -j ACCEPT" for packets in _ANSWERED],
}

_MESH = Origin("Istio", mark("each TCP connection that comes in passes the sidecar first"))

_INBOUND = (
    "-A PREROUTING -p tcp -j ISTIO_INBOUND",
    "-A ISTIO_INBOUND -p tcp -m tcp --dport 15020:15021 -j RETURN",
    f"-A ISTIO_INBOUND -p tcp -j REDIRECT --to-ports {SIDECAR_PORT}",
)
"""Istio's chains for what comes in, drawn together: without its further ports and the chain ISTIO_IN_REDIRECT."""


@lru_cache(maxsize=8)
def start_node_local_dns(cluster: Cluster) -> Event:
    """Return the event in which the DNS cache starts on every node."""
    changes = tuple(change(node.name, _cache_dns) for node in cluster.nodes)
    return Event(
        mark("start NodeLocal DNSCache"),
        mark("{dns_address} is an address of every node", dns_address=DNS_ADDRESS),
        changes,
    )


def _cache_dns(node: Netns) -> Netns:
    node = add_address(node, "lo", Address(IPv4Interface(f"{DNS_ADDRESS}/32")), origin=_CACHE)
    for table, lines in _SPARED.items():
        node = node.with_ip4(tables=append(node.ip4.tables, table, [chain_rule(line, _CACHE) for line in lines]))
    return node


@lru_cache(maxsize=8)
def add_sidecars(cluster: Cluster) -> Event:
    """Return the event in which a sidecar takes over what comes into the single-NIC Macvlan pods."""
    changes = tuple(change(pod.name, _redirect) for pod in cluster.pods if pod.kind is PodKind.MACVLAN)
    return Event(
        mark("inject the sidecars"), mark("a sidecar in each single-NIC Macvlan pod takes what comes in"), changes
    )


def _redirect(netns: Netns) -> Netns:
    return netns.with_ip4(tables=append(netns.ip4.tables, "nat", [chain_rule(line, _MESH) for line in _INBOUND]))
