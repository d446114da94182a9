"""How Calico is configured on a cluster, and which of its version's habits matter for what it writes.

Without host endpoints; without NetworkPolicies every pod is reached and may reach everybody. `3.28` means its last
patch release, `3.28.1` the earlier ones, whose jump in nat POSTROUTING stands on top; `3.31.5` and `3.32.0` mean those
before the set of all pools got another name. 3.33 was read on its branch, before its release.
Source: projectcalico/calico felix/config/config_params.go, felix/dataplane/driver.go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from mcnilib.cluster.cni.calico.hashes import MAX_CHAIN_NAME
from mcnilib.cluster.network_policy import Labels, NetworkPolicy
from mcnilib.cluster.settings import CALICO_VERSIONS, Encapsulation
from mcnilib.cluster.spec import Node, Pod
from mcnilib.errors import Unsupported
from mcnilib.language import listed, mark, tr
from mcnilib.linux.origin import Origin
from mcnilib.linux.text import not_there

DATAPLANES = ("iptables", "nftables")
"""How Felix writes its rules. eBPF is the third: it decides in programs, of which no listing tells."""

ENDPOINT_TO_HOST = ("ACCEPT", "DROP", "RETURN")
"""defaultEndpointToHostAction: what happens to packets from a pod to its own node. The shipped manifests say ACCEPT."""

TUNNELS = {Encapsulation.NONE: "", Encapsulation.VXLAN: "vxlan.calico", Encapsulation.IPIP: "tunl0"}
"""The tunnel device of each encapsulation."""

OVERHEAD = {Encapsulation.NONE: 0, Encapsulation.VXLAN: 50, Encapsulation.IPIP: 20}
"""Bytes an outer header takes from the MTU."""

NODE_MTU = 1500
"""MTU of the nodes' NICs."""

NFT_CHAIN_NAME = 240
"""Longest name of a chain for Felix in nftables mode, with room for the name of the layer."""

NEWEST_PATCH = 99


@dataclass(frozen=True, slots=True)
class Marks:
    """The bits of the packet mark Felix uses. Source: felix/dataplane/driver.go, iptablesMarkMask 0xffff0000."""

    accept: int = 0x10000
    passed: int = 0x20000
    scratch0: int = 0x80000
    scratch1: int = 0x100000

    @property
    def all(self) -> int:
        """Every bit that belongs to policy."""
        return self.accept | self.passed | self.scratch0 | self.scratch1


@dataclass(frozen=True)
class Calico:
    """Calico on one cluster: version, IP pools, how pod packets travel between the nodes, and Felix's switches."""

    nodes: tuple[Node, ...]
    pools: tuple[IPv4Network, ...]
    version: str = "3.32"
    encapsulation: Encapsulation = Encapsulation.NONE
    nat_outgoing: bool = True
    disable_conntrack_invalid_check: bool = False
    endpoint_to_host: str = "ACCEPT"
    veth_mtu: int = 0  # of calico-config; 0: detected, as `detected_mtu` says
    tunnel_mtu: int = 0  # vxlanMTU or ipipMTU of the FelixConfiguration; 0: detected
    policies: tuple[NetworkPolicy, ...] = ()
    endpoints: tuple[Workload, ...] = ()  # all pods with an address of Calico, whom policies may name as peers
    extra_pools: tuple[IPv4Network, ...] = ()  # declared, but no pod gets an address of them and natOutgoing is off
    cross_subnet: bool = False  # encapsulate only what goes to a node of another subnet
    dataplane: str = "iptables"  # or nftables
    flow_logs: bool = False  # Felix tells Goldmane of connections: NFLOG rules, 3.30 and later

    @classmethod
    def by_operator(cls, nodes: tuple[Node, ...], pools: tuple[IPv4Network, ...], version: str = "3.32") -> Calico:
        """Return what the operator makes of its `custom-resources.yaml`: VXLANCrossSubnet, flow logs from 3.30 on.

        Source: tigera/operator release-v1.34 to 1.44. A bare Installation means IPIP instead.
        """
        plain = cls(nodes, pools, version, Encapsulation.VXLAN, cross_subnet=True)
        return replace(plain, flow_logs=plain.since(3, 30))

    def __post_init__(self) -> None:
        if self.version not in CALICO_VERSIONS:
            raise Unsupported(
                tr(
                    "Calico {version}: modelled are {calico_versions}",
                    version=self.version,
                    calico_versions=listed(CALICO_VERSIONS),
                )
            )
        if self.endpoint_to_host not in ENDPOINT_TO_HOST:
            valid = ", ".join(ENDPOINT_TO_HOST)
            raise Unsupported(
                tr(
                    "defaultEndpointToHostAction {endpoint_to_host}: modelled are {valid}",
                    endpoint_to_host=self.endpoint_to_host,
                    valid=valid,
                )
            )

        self._check_mode()

    def _check_mode(self) -> None:
        if self.dataplane not in DATAPLANES:
            raise Unsupported(tr("the dataplane {name} of Calico is not modelled", name=self.dataplane))
        if self.dataplane == "nftables" and not self.since(3, 30):
            raise Unsupported(tr("Calico {version}: its nftables mode is modelled from 3.30 on", version=self.version))
        if self.flow_logs and not self.since(3, 30):
            raise Unsupported(tr("Calico {version}: flow logs write rules from 3.30 on", version=self.version))
        if self.cross_subnet and self.encapsulation is Encapsulation.NONE:
            raise Unsupported(tr("CrossSubnet without an encapsulation"))

    def since(self, *release: int) -> bool:
        """Tell whether this version is a release or later: `since(3, 28, 2)`."""
        numbers = tuple(int(word) for word in self.version.split("."))
        return (*numbers, NEWEST_PATCH)[:3] >= release

    @property
    def marks(self) -> Marks:
        """The mark bits of this version; in 3.30 a bit for flow logs moved the scratch bits up."""
        return Marks() if self.since(3, 30) else Marks(scratch0=0x40000, scratch1=0x80000)

    @property
    def longest_name(self) -> int:
        """The most letters of a chain's name; nftables has, for names of policies, no limit."""
        return MAX_CHAIN_NAME if self.dataplane == "iptables" else NFT_CHAIN_NAME

    @property
    def tunnel(self) -> str:
        """The name of the tunnel device; empty without encapsulation."""
        return TUNNELS[self.encapsulation]

    @property
    def detected_mtu(self) -> int:
        """What Felix finds out where it is told no MTU: that of the nodes' NICs, less the tunnel's headers.

        Source: FindHostMTU() and ConfigureDefaultMTUs() in felix/dataplane/linux/int_dataplane.go; the CNI plugin reads
        it from /var/lib/calico/mtu.
        """
        return NODE_MTU - OVERHEAD[self.encapsulation]

    @property
    def pod_mtu(self) -> int:
        """MTU of both ends of every pod's pair."""
        return self.veth_mtu or self.detected_mtu

    @property
    def device_mtu(self) -> int:
        """MTU of the tunnel device."""
        return self.tunnel_mtu or self.detected_mtu

    @property
    def pool_set(self) -> str:
        """The ipset of all pools; renamed in 3.31.6 and in 3.32.1. Source: felix/rules/rule_defs.go at each tag."""
        renamed = self.since(3, 32, 1) or (self.since(3, 31, 6) and not self.since(3, 32))
        return "cali40network-ip-pools" if renamed else "cali40all-ipam-pools"

    @property
    def felix_routes_ipip(self) -> bool:
        """Whether Felix writes the routes of IPIP, and not BIRD (programClusterRoutes: EnabledIPIPOnly, 3.33)."""
        return self.since(3, 33)

    def encapsulates(self, own: Node, peer: Node) -> bool:
        """Tell whether packets from one node to another's pods go through the tunnel."""
        near = peer.address.ip in own.address.network
        return self.encapsulation is not Encapsulation.NONE and not (self.cross_subnet and near)

    def node(self, name: str) -> Node:
        """Return the node called `name`. Raises: NotThere."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise not_there(mark("node"), name, (node.name for node in self.nodes))

    def peers(self, name: str) -> tuple[Node, ...]:
        """Return all nodes but the one called `name`."""
        return tuple(node for node in self.nodes if node.name != name)

    def felix(self, reason: str) -> Origin:
        """Return the origin of a line Felix writes."""
        return Origin(f"Felix v{self.version}", reason)


@dataclass(frozen=True, slots=True, order=True)
class Workload:
    """A pod as Felix sees it: its device on the node, and what its profiles follow from."""

    device: str
    namespace: str = "default"
    service_account: str = "default"
    labels: Labels = ()
    address: IPv4Address | None = None

    @classmethod
    def of(cls, pod: Pod) -> Workload:
        """Return the workload of a pod that Calico gave its eth0."""
        return cls(pod.host_device, pod.namespace, labels=pod.labels, address=pod.overlay)

    @property
    def profiles(self) -> tuple[str, str]:
        """The names of its profiles, in the order they are tried.

        Source: libcalico-go/lib/backend/k8s/conversion/workload_endpoint_default.go.
        """
        return f"kns.{self.namespace}", f"ksa.{self.namespace}.{self.service_account}"
