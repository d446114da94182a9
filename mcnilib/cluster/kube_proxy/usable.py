"""Which endpoints of a service kube-proxy of one node may use, by traffic policy, and what it takes for pods' traffic.

Ready endpoints come first; where there is none, those that end but still serve (from 1.26 on), for the cluster and for
the node by itself. Hints of the EndpointSlice narrow the cluster's endpoints: to those for this node (from 1.34 on),
else to those for its zone, if every ready endpoint has a hint and one of them is for it. The annotation that 1.24 and
later asked for besides is not modelled: without it the control plane writes no hints.
Source: CategorizeEndpoints() in kubernetes pkg/proxy/topology.go (008b3652959c, the line of 1.33 and later); the
feature gates ProxyTerminatingEndpoints, TopologyAwareHints and PreferSameTrafficDistribution;
pkg/proxy/util/localdetector.go (3db434d6be34).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Network

from mcnilib.cluster.kube_proxy.config import KubeProxy
from mcnilib.cluster.spec import Endpoint, HostSpec, Node, Service

Endpoints = tuple[Endpoint, ...]


def usable_anywhere(proxy: KubeProxy, node: HostSpec, endpoints: Endpoints) -> Endpoints:
    """Return what traffic policy Cluster may use, sorted by their text."""
    ready = tuple(endpoint for endpoint in endpoints if endpoint.ready)
    return _sorted(_hinted(proxy, node, ready) or _ending(proxy, endpoints))


def usable_here(proxy: KubeProxy, node: HostSpec, endpoints: Endpoints) -> Endpoints:
    """Return what traffic policy Local may use, sorted by their text."""
    here = tuple(endpoint for endpoint in endpoints if endpoint.node == node.name)
    return _sorted(tuple(endpoint for endpoint in here if endpoint.ready) or _ending(proxy, here))


def either_of(one: Endpoints, other: Endpoints) -> Endpoints:
    """Return what is in one list or the other, sorted by their text."""
    return _sorted(tuple({str(endpoint): endpoint for endpoint in (*one, *other)}.values()))


def _sorted(endpoints: Endpoints) -> Endpoints:
    return tuple(sorted(endpoints, key=str))


def _ending(proxy: KubeProxy, endpoints: Endpoints) -> Endpoints:
    return tuple(e for e in endpoints if e.serving_to_the_end) if proxy.uses_terminating else ()


def _hinted(proxy: KubeProxy, node: HostSpec, ready: Endpoints) -> Endpoints:
    """Return the ready endpoints that hints name for the node or its zone; all of them where hints say nothing."""
    for_node = tuple(endpoint for endpoint in ready if node.name in endpoint.for_nodes)
    if proxy.reads_node_hints and for_node and all(endpoint.for_nodes for endpoint in ready):
        return for_node
    if proxy.reads_zone_hints and node.zone and all(endpoint.for_zones for endpoint in ready):
        return tuple(endpoint for endpoint in ready if node.zone in endpoint.for_zones) or ready
    return ready


def as_seen(proxy: KubeProxy, services: Iterable[Service]) -> list[Service]:
    """Return the services by name, as `heeded`."""
    return [heeded(proxy, service) for service in sorted(services, key=lambda s: s.full_name)]


def heeded(proxy: KubeProxy, service: Service) -> Service:
    """Return a service without load balancer addresses that are not the node's to answer (ipMode Proxy)."""
    return replace(service, load_balancer_ips=()) if service.load_balancer_proxies and proxy.reads_ip_mode else service


@dataclass(frozen=True)
class LocalDetector:
    """How kube-proxy of one node tells that a packet comes from a pod: by its source, or the device it came in by."""

    cidr: IPv4Network | None = None
    interface: str = ""

    @classmethod
    def of(cls, proxy: KubeProxy, node: HostSpec) -> LocalDetector:
        """Return that of a node: BridgeInterface or InterfaceNamePrefix, else NodeCIDR, else ClusterCIDR."""
        if proxy.pod_interface:
            return cls(interface=proxy.pod_interface)
        if proxy.by_node_cidr:
            return cls(node.block if isinstance(node, Node) else None)
        return cls(proxy.cluster_cidr)

    def __bool__(self) -> bool:
        return bool(self.cidr or self.interface)

    @property
    def inside(self) -> str:
        """The match of iptables on traffic from pods."""
        return f"-s {self.cidr}" if self.cidr else f"-i {self.interface}"

    def outside(self, to: str) -> str:
        """Return a match on a destination and protocol, of what does not come from pods, as iptables-save orders it."""
        if self.cidr:
            return f"! -s {self.cidr} {to}"
        return to.replace(" -p ", f" ! {self.inside} -p ")
