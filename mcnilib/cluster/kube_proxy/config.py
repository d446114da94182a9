"""How one kube-proxy is configured, and which of its version's habits matter for the rules it writes.

The texts of 1.22 to 1.24 were read in proxier.go of those lines, those of 1.25 to 1.27 follow from 1.24, 1.28 and the
pull requests between them (110289, 110290: drops in table filter, 1.25; 114470: own KUBE-FIREWALL rule, 1.27); 1.32
to 1.35 are equal to 1.31. Those of 1.36 and 1.37 were not read: no change of their rules is known.
Source: kubernetes pkg/proxy/iptables/proxier.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import NoReturn

from mcnilib.cluster.settings import VERSIONS
from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.origin import Origin

LAST_BIT = 31
"""The last bit of a packet mark."""


def _has_loopback(network: IPv4Network) -> bool:
    return network.is_loopback or IPv4Address("127.0.0.0") in network


@dataclass(frozen=True)
class KubeProxy:
    """The flags of one kube-proxy that change its rules.

    `cluster_cidr` None: kube-proxy does not know which sources are pods and never masquerades by source. `nfacct`:
    the kernel can create accounting counters; when it cannot (no nfnetlink_acct, as in most containers and in the
    project's kernel lab) kube-proxy of 1.31 and later falls back to the plain rules, hence the default.
    `tcp_be_liberal` is conntrack.tcpBeLiberal, 1.29 and later. `service_cidr`: what the ServiceCIDR API told it, which
    only the nftables mode reads; None: nothing (without MultiCIDRServiceAllocator). `mode`: iptables, nftables or ipvs.

    `pod_interface`: detectLocalMode BridgeInterface with its name, or InterfaceNamePrefix with the prefix and a `+`;
    `by_node_cidr`: NodeCIDR. `node_port_addresses` are networks whose addresses of the node answer NodePorts; empty:
    all of them, in nftables mode from 1.31 on the node's own one. `masquerade_bit` is the bit of the packet mark.
    """

    version: str
    cluster_cidr: IPv4Network | None = None
    masquerade_all: bool = False
    localhost_node_ports: bool = True
    nfacct: bool = False
    random_fully: bool = True
    tcp_be_liberal: bool = False
    service_cidr: IPv4Network | None = None
    mode: str = "iptables"
    pod_interface: str = ""
    by_node_cidr: bool = False
    node_port_addresses: tuple[IPv4Network, ...] = ()
    masquerade_bit: int = 14

    def __post_init__(self) -> None:
        if self.version not in VERSIONS:
            first, last = VERSIONS[0], VERSIONS[-1]
            known = tr(
                "kube-proxy {version}: modelled are {first} to {last}", version=self.version, first=first, last=last
            )
            raise Unsupported(known)
        for flag, since in (("tcp_be_liberal", 29), ("nfacct", 31)):
            if getattr(self, flag) and self.minor < since:
                self._refuse(mark("{flag} needs kube-proxy 1.{since} or later, got {version}"), flag, since)
        if not self.localhost_node_ports and self.minor < 26:
            self._refuse(
                mark("{flag} can be turned off from kube-proxy 1.{since} on, got {version}"), "localhost_node_ports", 26
            )

        self._check_detector()
        if not 0 <= self.masquerade_bit <= LAST_BIT:
            raise ValueError(
                tr("masqueradeBit {bit}: a mark has the bits 0 to {last}", bit=self.masquerade_bit, last=LAST_BIT)
            )
        if self.node_port_addresses and self.mode == "iptables" and self.minor < 25:
            raise Unsupported(
                tr("nodePortAddresses of kube-proxy {version}: its rules were not read", version=self.version)
            )

    def _check_detector(self) -> None:
        if self.pod_interface and self.minor < 24:
            self._refuse(mark("{flag} needs kube-proxy 1.{since} or later, got {version}"), "pod_interface", 24)
        if self.pod_interface and self.mode == "nftables":
            raise Unsupported(tr("detection of pods by a device in nftables mode: its rules were not read"))

    def _refuse(self, why: str, flag: str, since: int) -> NoReturn:
        raise ValueError(tr(why, flag=flag, since=since, version=self.version))

    @property
    def minor(self) -> int:
        """The minor version: 28 for 1.28."""
        return int(self.version.split(".")[1])

    @property
    def starts(self) -> bool:
        """Whether it knows its mode; 1.28 and older exit with `unsupported mode` for nftables (alpha in 1.29)."""
        return self.mode != "nftables" or self.minor >= 29

    @property
    def masquerade_mark(self) -> str:
        """The packet mark that asks for masquerading, as iptables prints it."""
        return f"{1 << self.masquerade_bit:#x}"

    @property
    def nft_mark(self) -> str:
        """The same as nft prints it."""
        return f"{1 << self.masquerade_bit:#010x}"

    @property
    def answers_everywhere(self) -> bool:
        """Whether NodePorts are answered at every address; a network of all addresses stands for all others."""
        if self.node_port_addresses:
            return any(not network.prefixlen for network in self.node_port_addresses)
        return self.mode != "nftables" or self.minor < 31

    @property
    def answers_localhost(self) -> bool:
        """Whether NodePorts are answered at 127.0.0.0/8; nodePortAddresses without it turn that off.

        Source: NewNodePortAddresses() in pkg/proxy/util/nodeport_addresses.go (129058fc6d84).
        """
        networks = self.node_port_addresses
        return self.localhost_node_ports and (not networks or any(map(_has_loopback, networks)))

    @property
    def uses_terminating(self) -> bool:
        """Whether endpoints that end and still serve are used where none is ready (ProxyTerminatingEndpoints, 1.26)."""
        return self.minor >= 26

    @property
    def reads_zone_hints(self) -> bool:
        """Whether hints for zones are heeded (TopologyAwareHints, on from 1.24)."""
        return self.minor >= 24

    @property
    def reads_node_hints(self) -> bool:
        """Whether hints for nodes are heeded (PreferSameTrafficDistribution, on from 1.34)."""
        return self.minor >= 34

    @property
    def reads_ip_mode(self) -> bool:
        """Whether ipMode of a load balancer's address is heeded (LoadBalancerIPMode, on from 1.30)."""
        return self.minor >= 30

    @property
    def reads_be_liberal(self) -> bool:
        """Whether it looks at nf_conntrack_tcp_be_liberal when it starts; in nftables mode only 1.29, in ipvs none.

        Source: kubernetes pull requests 120412, 122663.
        """
        return self.minor >= 29 if self.mode == "iptables" else self.mode == "nftables" and self.minor == 29

    @property
    def drops_in_filter(self) -> bool:
        """Whether it drops in table filter; before 1.25 it marked packets for the kubelet's KUBE-FIREWALL to drop."""
        return self.minor >= 25

    @property
    def writes_firewall(self) -> bool:
        """Whether it writes the KUBE-FIREWALL rule itself; before 1.27 only the kubelet did."""
        return self.minor >= 27 and self.answers_localhost

    @property
    def has_xlb_chains(self) -> bool:
        """Whether it writes KUBE-XLB chains, and none of KUBE-EXT and KUBE-SVL; 1.24 rewrote them all."""
        return self.minor < 24

    @property
    def names_pods(self) -> bool:
        """Whether its comments tell sources from destinations and balancing rules; 1.23 shortened them."""
        return self.minor < 23

    @property
    def notes_the_firewall(self) -> bool:
        """Whether KUBE-FW ends with a note that other traffic is dropped in table filter."""
        return self.minor >= 27

    @property
    def jumps_to_firewall(self) -> bool:
        """Whether it jumps to KUBE-FIREWALL itself; before 1.27 only the kubelet did."""
        return self.minor >= 27

    @property
    def kubelet_writes_hint(self) -> bool:
        """Whether the kubelet of this version writes KUBE-IPTABLES-HINT."""
        return self.minor >= 24

    @property
    def kubelet_leaves_nat(self) -> bool:
        """Whether the kubelet of this version leaves masquerading and drop marks to kube-proxy."""
        return self.minor >= 27

    @property
    def kubelet_drops_marked_last(self) -> bool:
        """Whether KUBE-FIREWALL has the drop of marked packets last: in 1.25 and 1.26, which have a gate for it.

        Source: syncIPTablesRules() and syncIPTablesRulesDeprecated() in pkg/kubelet/kubelet_network_linux.go.
        """
        return self.minor in (25, 26)

    def origin(self, reason: str) -> Origin:
        """Return the origin of a line this kube-proxy writes."""
        return Origin(f"kube-proxy {self.version}", reason)


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule in the words of iptables-save, the table it belongs to, and why it is there."""

    table: str
    text: str
    why: str

    @property
    def chain(self) -> str:
        """The chain the rule stands in."""
        return self.text.split(" ", 2)[1]


@dataclass(frozen=True, slots=True)
class Rules:
    """What is handed to iptables-restore: chains to empty or create, as (table, chain), and their rules in order."""

    chains: tuple[tuple[str, str], ...] = ()
    lines: tuple[RuleLine, ...] = ()

    @classmethod
    def joined(cls, parts: Iterable[Rules]) -> Rules:
        """Put several parts behind each other."""
        several = tuple(parts)
        return cls(tuple(c for part in several for c in part.chains), tuple(x for part in several for x in part.lines))
