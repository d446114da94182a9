"""How one kube-proxy is configured, and which of its version's habits matter for the rules it writes.

The texts of 1.22 to 1.24 were read in proxier.go of those lines, those of 1.25 to 1.27 follow from 1.24, 1.28 and the
pull requests between them (110289, 110290: drops in table filter, 1.25; 114470: own KUBE-FIREWALL rule, 1.27); 1.32
to 1.35 are equal to 1.31. Those of 1.36 and 1.37 were not read: no change of their rules is known.
Source: kubernetes pkg/proxy/iptables/proxier.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import NoReturn

from mcnilib.cluster.settings import VERSIONS
from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.origin import Origin


@dataclass(frozen=True)
class KubeProxy:
    """The flags of one kube-proxy that change its rules.

    `cluster_cidr` None: kube-proxy does not know which sources are pods and never masquerades by source. `nfacct`:
    the kernel can create accounting counters; when it cannot (no nfnetlink_acct, as in most containers and in the
    project's kernel lab) kube-proxy of 1.31 and later falls back to the plain rules, hence the default.
    `tcp_be_liberal` is conntrack.tcpBeLiberal, 1.29 and later. `service_cidr`: what the ServiceCIDR API told it, which
    only the nftables mode reads; None: nothing (without MultiCIDRServiceAllocator). `mode`: iptables, nftables or ipvs.
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
        return self.minor >= 27 and self.localhost_node_ports

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
