"""A big cluster for the benchmarks: thousands of services, and a node with two hundred pods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

from mcnilib.cluster.build import build
from mcnilib.cluster.kube_proxy import KubeProxy, start_kube_proxy
from mcnilib.cluster.settings import Settings
from mcnilib.cluster.spec import CLUSTER, Cluster, Endpoint, Pod, PodKind, Service
from mcnilib.linux.world import World
from mcnilib.trace.flow import Flow, Listener

PROXY = KubeProxy("1.30", CLUSTER.pod_cidr)
POD, ENDPOINTS = IPv4Address("10.233.104.2"), 10
FIRST_SERVICE = IPv4Address("10.233.1.0")


def big_cluster(pods: int = 200) -> Cluster:
    """Return the cluster of the notebooks with more Calico pods on node1."""
    seats = len(CLUSTER.pods_of("node1"))
    more = (Pod(f"pod{i:03}", PodKind.CALICO, "node1", seats + i, POD + i) for i in range(pods))
    return replace(CLUSTER, pods=(*CLUSTER.pods, *more))


def services(number: int, pods: int = 200) -> Iterator[Service]:
    """Yield services of ten endpoints each, every one with ten of the node's pods in turn."""
    for i in range(number):
        seats = [(i * ENDPOINTS + k) % pods for k in range(ENDPOINTS)]
        endpoints = tuple(Endpoint(POD + seat, 8080, "node1") for seat in seats)
        yield Service("demo", f"service-{i:04}", FIRST_SERVICE + i, 80, endpoints, "http")


def big_world(number: int, pods: int = 200) -> World:
    """Return the world in which node1 knows so many services and has so many pods."""
    world, node = build(Settings(), big_cluster(pods)), CLUSTER.node("node1")
    return world.put(start_kube_proxy(world["node1"], PROXY, node, tuple(services(number, pods))))


def conversation(number: int, pods: int = 200) -> tuple[Flow, tuple[Listener, ...]]:
    """Return the conversation of the first pod with the last of the services, and who listens."""
    listeners = tuple(Listener(f"pod{i:03}", 8080) for i in range(pods))
    return Flow("pod000", FIRST_SERVICE + number - 1, "tcp", 80), listeners
