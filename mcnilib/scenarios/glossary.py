"""The glossary: the words of the field that the lessons use, each in one plain sentence, and where to read on.

docs/glossary.md and the page of the site are written from it; notebooks link a word where it is first used.
Source: the man pages and files that each term names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MAN = "https://man7.org/linux/man-pages"
_KERNEL = "https://github.com/torvalds/linux/blob/v6.12"
_KUBERNETES = "https://kubernetes.io/docs"
_CALICO = "https://docs.tigera.io/calico/latest"
_SPIDERPOOL = "https://github.com/spidernet-io/spiderpool/blob/v1.0.0/docs"


@dataclass(frozen=True, slots=True)
class Term:
    """A word, what it means, and where to read on: a name and its address; `also` is how else it is written."""

    word: str
    meaning: str
    source: str
    address: str
    also: str = ""

    @property
    def anchor(self) -> str:
        """The end of the address that leads to it."""
        return re.sub(r"[^a-z0-9]+", "-", self.word.lower()).strip("-")


def _man(page: int, name: str) -> tuple[str, str]:
    return f"{name}({page})", f"{_MAN}/man{page}/{name}.{page}.html"


def _kernel(path: str) -> tuple[str, str]:
    return path, f"{_KERNEL}/{path}"


_IPTABLES, _EXTENSIONS = _man(8, "iptables"), _man(8, "iptables-extensions")
_SYSCTL = "Documentation/networking/ip-sysctl.rst"
_CONNTRACK_SYSCTL = "Documentation/networking/nf_conntrack-sysctl.rst"

GLOSSARY = (
    Term("ARP", "asks the LAN which MAC address has an IP address", *_man(7, "arp")),
    Term(
        "be_liberal",
        "a switch of the kernel: connection tracking accepts TCP segments outside the window",
        *_kernel(_CONNTRACK_SYSCTL),
        also="nf_conntrack_tcp_be_liberal",
    ),
    Term(
        "BIRD",
        "the program of Calico that tells the nodes the routes to each other's pods",
        "Calico: networking options",
        f"{_CALICO}/networking/determine-best-networking",
    ),
    Term("chain", "a list of firewall rules, tried from top to bottom", *_IPTABLES),
    Term(
        "cluster CIDR",
        "the range of pod addresses as kube-proxy knows it",
        "kube-proxy",
        f"{_KUBERNETES}/reference/command-line-tools-reference/kube-proxy/",
    ),
    Term(
        "ClusterIP",
        "the address of a service inside the cluster; no machine has it",
        "Service",
        f"{_KUBERNETES}/concepts/services-networking/service/",
    ),
    Term(
        "conntrack",
        "the list of connections the kernel keeps in a namespace, also called connection tracking",
        "conntrack(8)",
        "https://manpages.debian.org/stable/conntrack/conntrack.8.en.html",
        also="connection tracking",
    ),
    Term(
        "coordinator",
        "the plugin of Spiderpool that writes the routes and rules joining Macvlan pods to their node",
        "Spiderpool: coordinator",
        f"{_SPIDERPOOL}/concepts/coordinator.md",
    ),
    Term("DNAT", "rewrites where a packet goes", *_EXTENSIONS),
    Term(
        "endpoint",
        "a pod that answers for a service",
        "Service",
        f"{_KUBERNETES}/concepts/services-networking/service/",
    ),
    Term(
        "externalTrafficPolicy",
        "says whether a node hands calls from outside only to its own pods (Local) or to all",
        "Service",
        f"{_KUBERNETES}/reference/networking/virtual-ips/",
    ),
    Term(
        "Felix",
        "the program of Calico that writes routes and firewall rules on each node",
        "Calico: architecture",
        f"{_CALICO}/reference/architecture/overview",
    ),
    Term("INVALID", "the state of a packet that fits no tracked connection and cannot begin one", *_EXTENSIONS),
    Term("IPIP", "carries a packet to another node inside a second IP header", *_kernel("net/ipv4/ipip.c")),
    Term(
        "kube-proxy",
        "the program that writes the firewall rules of services on each node",
        "kube-proxy",
        f"{_KUBERNETES}/reference/networking/virtual-ips/",
    ),
    Term(
        "kubelet",
        "the program that runs the pods of a node",
        "kubelet",
        f"{_KUBERNETES}/reference/command-line-tools-reference/kubelet/",
    ),
    Term(
        "Macvlan",
        "a device that shares the node's network card but has a MAC address of its own",
        *_kernel("drivers/net/macvlan.c"),
    ),
    Term("mark", "a number the kernel keeps beside a packet inside one namespace; it is never sent", *_EXTENSIONS),
    Term("MASQUERADE", "SNAT with the address of the card through which the packet leaves", *_EXTENSIONS),
    Term(
        "natOutgoing",
        "the setting of a Calico pool: pods get the node's address when they call anything outside the pools",
        "Calico: IP pool",
        f"{_CALICO}/reference/resources/ippool",
    ),
    Term(
        "network namespace",
        "a network of its own, with its own cards, addresses, routes, rules and connections",
        *_man(7, "network_namespaces"),
        also="namespace",
    ),
    Term(
        "NodePort",
        "a port of every node that leads to a service",
        "Service",
        f"{_KUBERNETES}/concepts/services-networking/service/",
    ),
    Term(
        "NOTRACK",
        "takes packets out of connection tracking: then they are neither INVALID nor translated",
        *_EXTENSIONS,
    ),
    Term(
        "overlay",
        "the network of addresses that only the nodes know",
        "Calico: overlay networking",
        f"{_CALICO}/networking/determine-best-networking",
    ),
    Term(
        "rp_filter",
        "the check whether the kernel would answer a packet's source through the card it came in by",
        *_kernel(_SYSCTL),
    ),
    Term("SNAT", "rewrites where a packet seems to come from", *_EXTENSIONS),
    Term("underlay", "the network of the nodes themselves", "Spiderpool", f"{_SPIDERPOOL}/concepts/arch.md"),
    Term("veth pair", "a cable between two network namespaces", *_man(4, "veth"), also="veth"),
    Term("VXLAN", "carries a frame to another node inside a UDP packet", *_kernel("drivers/net/vxlan/vxlan_core.c")),
)

GLOSSARY_HEAD = """\
# Glossary

The words of the field that the lessons use. [Lesson 0](../notebooks/00-words.ipynb) shows most of them at work.
"""


def glossary_table() -> str:
    """Return the terms as a table in Markdown, each with an anchor to which links lead."""
    rows = (
        f'| <a id="{term.anchor}"></a>**{term.word}** | {term.meaning} | [{term.source}]({term.address}) |'
        for term in GLOSSARY
    )
    return "\n".join(("| word | what it is | read on |", "|---|---|---|", *rows))
