"""The one cluster of the whole suite, as a value: nodes, pods, services, gateway, clients, their names and addresses.

    lan-172.16   172.16.0.0/16   node1 .1.2   node2 .1.3   lan-client .1.100   gateway .0.1   mac1 mac1b mac2 mul1 mul2
    lan-172.17   172.17.0.0/16   node3 .1.1   node4 .1.2   node1's second NIC   gateway .0.1   mac3 mac4 mac17
    outside      1.1.1.0/24      client .1                 gateway .254
    Calico       10.233.64.0/18  a block of 64 addresses per node: .100 .101 .102 .103      services 10.233.0.0/18

It starts nothing. MAC addresses, interface names and container ids follow from the names. Next: `settings`, `build`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from hashlib import sha1, sha256
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NamedTuple, TypeVar

from mcnilib.cluster.network_policy import Labels
from mcnilib.language import mark, tr
from mcnilib.linux.text import not_there

LAN16, LAN17, _OUTSIDE = "lan-172.16", "lan-172.17", "outside"
"""Names of the switch segments."""

FIRST_POD_INDEX = 10
"""Device index of the first pod's host side on a node; lower ones belong to NICs and tunnels."""


def mac_of(netns: str, device: str) -> str:
    """Return a locally administered unicast MAC that is the same in every run."""
    digest = sha1(f"{netns}/{device}".encode(), usedforsecurity=False).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


@dataclass(frozen=True, slots=True)
class Nic:
    """A network card, plugged into the switch `segment`; `address` is None for a card without IPv4 address."""

    name: str
    index: int
    segment: str
    address: IPv4Interface | None = None


@dataclass(frozen=True, slots=True)
class HostSpec:
    """A machine outside the cluster: its cards and the default gateway it uses, if any."""

    name: str
    nics: tuple[Nic, ...]
    default: IPv4Address | None = None
    zone: str = ""  # label topology.kubernetes.io/zone of a node

    def nic(self, name: str) -> Nic:
        """Return the card called `name`. Raises: NotThere."""
        return _named(self.nics, name, mark("card"))

    @property
    def address(self) -> IPv4Interface:
        """The address of the first card that has one."""
        return next(nic.address for nic in self.nics if nic.address)


@dataclass(frozen=True, slots=True)
class Node(HostSpec):
    """A Kubernetes node and the block of pod addresses Calico gave it."""

    block: IPv4Network = field(kw_only=True)

    @property
    def tunnel(self) -> IPv4Address:
        """The address of the node's tunnel device: the first of the block, allocated before any pod."""
        return self.block.network_address


class PodKind(Enum):
    """Which CNI plugins gave a pod its NICs."""

    MACVLAN = "Macvlan"
    CALICO = "Calico"
    MULTI = "Calico + Macvlan"

    @property
    def wiring(self) -> Wiring:
        """The plugins and the devices they make."""
        return WIRING[self]


class Wiring(NamedTuple):
    """The CNI plugins of a kind of pod, in the order Multus calls them, and the devices they make in the pod.

    `pair` is the pod's end of its veth pair to the node, `macvlan` its Macvlan NIC; empty for none.
    """

    plugins: tuple[str, ...]
    pair: str
    macvlan: str


WIRING = {
    PodKind.MACVLAN: Wiring(("macvlan", "coordinator"), pair="veth0", macvlan="eth0"),
    PodKind.CALICO: Wiring(("calico",), pair="eth0", macvlan=""),
    PodKind.MULTI: Wiring(("calico", "macvlan", "coordinator"), pair="eth0", macvlan="net1"),
}


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod. `overlay` is its Calico address, `underlay` its Macvlan address on the node's card `parent`.

    `seat` numbers the pods of a node from 0 and fixes the index of the device on the node's side.
    """

    name: str
    kind: PodKind
    node: str
    seat: int
    overlay: IPv4Address | None = None
    underlay: IPv4Interface | None = None
    gateway: IPv4Address | None = None
    parent: str = "en0"
    namespace: str = "demo"

    @property
    def address(self) -> IPv4Address:
        """The address Kubernetes knows: that of eth0."""
        if self.overlay:
            return self.overlay
        if self.underlay:
            return self.underlay.ip
        raise ValueError(tr("pod {name} has neither an overlay nor an underlay address", name=self.name))

    @property
    def labels(self) -> Labels:
        """The labels by which NetworkPolicies select it: `app` is its name."""
        return (("app", self.name),)

    @property
    def container(self) -> str:
        """The id of the pod's sandbox container: 64 hexadecimal digits."""
        return sha256(f"{self.namespace}/{self.name}".encode()).hexdigest()

    @property
    def host_device(self) -> str:
        """The node's end of the pod's veth pair: Calico's `cali...`, or `veth...` made by the coordinator.

        Source: workload_endpoint_default.go (calico), cmd/coordinator/cmd/utils.go (spiderpool).
        """
        if "calico" not in self.kind.wiring.plugins:
            return f"veth{self.container[:11]}"
        digest = sha1(f"{self.namespace}.{self.name}".encode(), usedforsecurity=False)
        return f"cali{digest.hexdigest()[:11]}"

    @property
    def host_index(self) -> int:
        """Device index of the node's end of the pair."""
        return FIRST_POD_INDEX + self.seat

    @property
    def pair_device(self) -> str:
        """The pod's end of the pair: eth0 when Calico made it, veth0 when the coordinator did."""
        return self.kind.wiring.pair

    @property
    def macvlan_device(self) -> str:
        """The pod's Macvlan NIC; empty when it has none."""
        return self.kind.wiring.macvlan


class TrafficPolicy(Enum):
    """externalTrafficPolicy and internalTrafficPolicy of a service."""

    CLUSTER = "Cluster"
    LOCAL = "Local"


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of a service, the node it runs on, and its conditions and hints as in the EndpointSlice."""

    address: IPv4Address
    port: int
    node: str
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    for_zones: tuple[str, ...] = ()
    for_nodes: tuple[str, ...] = ()

    @property
    def serving_to_the_end(self) -> bool:
        """Whether its pod is being deleted and still answers; such an endpoint is not ready."""
        return self.serving and self.terminating and not self.ready

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Service:
    """One port of a service and its endpoints. `affinity`: ClientIP affinity in seconds; 0 means none, as for ports."""

    namespace: str
    name: str
    cluster_ip: IPv4Address
    port: int
    endpoints: tuple[Endpoint, ...] = ()
    port_name: str = ""
    protocol: str = "tcp"
    node_port: int = 0
    external_policy: TrafficPolicy = TrafficPolicy.CLUSTER
    internal_policy: TrafficPolicy = TrafficPolicy.CLUSTER
    affinity: int = 0
    external_ips: tuple[IPv4Address, ...] = ()
    load_balancer_ips: tuple[IPv4Address, ...] = ()
    source_ranges: tuple[IPv4Network, ...] = ()
    health_check_port: int = 0
    load_balancer_proxies: bool = False
    """Whether ipMode of its load balancer's addresses is Proxy: packets are for the balancer, not for the nodes."""

    @property
    def full_name(self) -> str:
        """`namespace/name:port`, as kube-proxy writes it; without `:port` when the port has no name."""
        return f"{self.namespace}/{self.name}" + (f":{self.port_name}" if self.port_name else "")


@dataclass(frozen=True, eq=False)
class Cluster:
    """Everything there is: machines, pods, and the service `demo/web` without endpoints (`web_behind` adds them).

    Compared by identity: it is the key under which everything built from it is remembered.
    """

    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    gateway: HostSpec
    clients: tuple[HostSpec, ...]
    web: Service
    multi_node_port: int  # NodePort of demo/web when multi-NIC pods stand behind it
    pod_cidr: IPv4Network  # the Calico pool, and what kube-proxy is told as cluster CIDR
    service_cidr: IPv4Network

    def node(self, name: str) -> Node:
        """Return the node called `name`. Raises: NotThere."""
        return _named(self.nodes, name, mark("node"))

    def pod(self, name: str) -> Pod:
        """Return the pod called `name`. Raises: NotThere."""
        return _named(self.pods, name, mark("pod"))

    def pods_of(self, node: str) -> tuple[Pod, ...]:
        """Return the pods of a node, in the order they were created."""
        return tuple(pod for pod in self.pods if pod.node == node)

    def web_behind(self, *pods: str, policy: TrafficPolicy = TrafficPolicy.CLUSTER) -> Service:
        """Return the service demo/web with these pods as endpoints and the NodePort that belongs to their kind."""
        chosen = [self.pod(name) for name in pods]
        endpoints = tuple(Endpoint(pod.address, self.web.port, pod.node) for pod in chosen)
        multi = any(pod.kind is PodKind.MULTI for pod in chosen)
        port = self.multi_node_port if multi else self.web.node_port
        return replace(self.web, endpoints=endpoints, node_port=port, external_policy=policy)

    def web_ports(self, *pods: str, policy: TrafficPolicy = TrafficPolicy.CLUSTER) -> tuple[Service, Service]:
        """Return both ports of demo/web with these pods behind it: http over TCP, and the same number over UDP."""
        web = self.web_behind(*pods, policy=policy)
        return web, replace(web, port_name=f"{web.port_name}-udp", protocol="udp")


_Named = TypeVar("_Named", Node, Pod, Nic)


def _named(items: tuple[_Named, ...], name: str, what: str) -> _Named:
    if named := next((item for item in items if item.name == name), None):
        return named
    raise not_there(what, name, (item.name for item in items))


GATEWAY16, GATEWAY17 = IPv4Address("172.16.0.1"), IPv4Address("172.17.0.1")


def _node(name: str, segment: str, address: str, gateway: IPv4Address, block: str, *more: Nic) -> Node:
    en0 = Nic("en0", 2, segment, IPv4Interface(address))
    return Node(name, (en0, *more), gateway, block=IPv4Network(block))


def _macvlan(name: str, node: str, seat: int, address: str, gateway: IPv4Address, parent: str = "en0") -> Pod:
    return Pod(name, PodKind.MACVLAN, node, seat, None, IPv4Interface(address), gateway, parent)


def _calico(name: str, node: str, seat: int, address: str) -> Pod:
    return Pod(name, PodKind.CALICO, node, seat, IPv4Address(address))


def _multi(name: str, node: str, seat: int, overlay: str, underlay: str) -> Pod:
    return Pod(name, PodKind.MULTI, node, seat, IPv4Address(overlay), IPv4Interface(underlay), GATEWAY16)


CLUSTER = Cluster(
    nodes=(
        _node("node1", LAN16, "172.16.1.2/16", GATEWAY16, "10.233.100.0/26", Nic("en1", 3, LAN17)),
        _node("node2", LAN16, "172.16.1.3/16", GATEWAY16, "10.233.101.0/26"),
        _node("node3", LAN17, "172.17.1.1/16", GATEWAY17, "10.233.102.0/26"),
        _node("node4", LAN17, "172.17.1.2/16", GATEWAY17, "10.233.103.0/26"),
    ),
    pods=(
        _macvlan("mac1", "node1", 0, "172.16.100.2/16", GATEWAY16),
        _macvlan("mac1b", "node1", 1, "172.16.100.4/16", GATEWAY16),
        _macvlan("mac2", "node2", 0, "172.16.100.3/16", GATEWAY16),
        _macvlan("mac3", "node3", 0, "172.17.1.100/16", GATEWAY17),
        _macvlan("mac4", "node4", 0, "172.17.1.200/16", GATEWAY17),
        _macvlan("mac17", "node1", 2, "172.17.1.150/16", GATEWAY17, "en1"),
        _calico("cal1", "node1", 3, "10.233.100.3"),
        _calico("cal2", "node2", 1, "10.233.101.2"),
        _calico("cal3", "node3", 1, "10.233.102.2"),
        _multi("mul1", "node1", 4, "10.233.100.5", "172.16.100.5/16"),
        _multi("mul2", "node2", 2, "10.233.101.3", "172.16.100.6/16"),
    ),
    gateway=HostSpec(
        "gateway",
        (
            Nic("lan16", 2, LAN16, IPv4Interface("172.16.0.1/16")),
            Nic("lan17", 3, LAN17, IPv4Interface("172.17.0.1/16")),
            Nic("wan", 4, _OUTSIDE, IPv4Interface("1.1.1.254/24")),
        ),
    ),
    clients=(
        HostSpec("client", (Nic("eth0", 2, _OUTSIDE, IPv4Interface("1.1.1.1/24")),), IPv4Address("1.1.1.254")),
        HostSpec("lan-client", (Nic("eth0", 2, LAN16, IPv4Interface("172.16.1.100/16")),), GATEWAY16),
    ),
    web=Service("demo", "web", IPv4Address("10.233.0.100"), 80, port_name="http", node_port=32456),
    multi_node_port=32567,
    pod_cidr=IPv4Network("10.233.64.0/18"),
    service_cidr=IPv4Network("10.233.0.0/18"),
)
"""The cluster of every notebook."""
