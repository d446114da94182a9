"""The glossary: the words of the field that the lessons use, each in one plain sentence, and where to read on.

docs/glossary.md and the page of the site are written from it; notebooks link a word where it is first used.
Source: the man pages and files that each term names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mcnilib.language import mark, tr

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
    Term(mark("ARP"), mark("asks the LAN which MAC address has an IP address"), *_man(7, "arp")),
    Term(
        mark("be_liberal"),
        mark("a switch of the kernel: connection tracking accepts TCP segments outside the window"),
        *_kernel(_CONNTRACK_SYSCTL),
        also="nf_conntrack_tcp_be_liberal",
    ),
    Term(
        mark("BIRD"),
        mark("the program of Calico that tells the nodes the routes to each other's pods"),
        mark("Calico: networking options"),
        f"{_CALICO}/networking/determine-best-networking",
    ),
    Term(mark("chain"), mark("a list of firewall rules, tried from top to bottom"), *_IPTABLES),
    Term(
        mark("cluster CIDR"),
        mark("the range of pod addresses as kube-proxy knows it"),
        mark("kube-proxy"),
        f"{_KUBERNETES}/reference/command-line-tools-reference/kube-proxy/",
    ),
    Term(
        mark("ClusterIP"),
        mark("the address of a service inside the cluster; no machine has it"),
        mark("Service"),
        f"{_KUBERNETES}/concepts/services-networking/service/",
    ),
    Term(
        mark("conntrack"),
        mark("the list of connections the kernel keeps in a namespace, also called connection tracking"),
        mark("conntrack(8)"),
        "https://manpages.debian.org/stable/conntrack/conntrack.8.en.html",
        also="connection tracking",
    ),
    Term(
        mark("coordinator"),
        mark("the plugin of Spiderpool that writes the routes and rules joining Macvlan pods to their node"),
        mark("Spiderpool: coordinator"),
        f"{_SPIDERPOOL}/concepts/coordinator.md",
    ),
    Term(mark("DNAT"), mark("rewrites where a packet goes"), *_EXTENSIONS),
    Term(
        mark("endpoint"),
        mark("a pod that answers for a service"),
        mark("Service"),
        f"{_KUBERNETES}/concepts/services-networking/service/",
    ),
    Term(
        mark("externalTrafficPolicy"),
        mark("says whether a node hands calls from outside only to its own pods (Local) or to all"),
        mark("Service"),
        f"{_KUBERNETES}/reference/networking/virtual-ips/",
    ),
    Term(
        mark("Felix"),
        mark("the program of Calico that writes routes and firewall rules on each node"),
        mark("Calico: architecture"),
        f"{_CALICO}/reference/architecture/overview",
    ),
    Term(
        mark("INVALID"),
        mark("the state of a packet that fits no tracked connection and cannot begin one"),
        *_EXTENSIONS,
    ),
    Term(mark("IPIP"), mark("carries a packet to another node inside a second IP header"), *_kernel("net/ipv4/ipip.c")),
    Term(
        mark("kube-proxy"),
        mark("the program that writes the firewall rules of services on each node"),
        mark("kube-proxy"),
        f"{_KUBERNETES}/reference/networking/virtual-ips/",
    ),
    Term(
        mark("kubelet"),
        mark("the program that runs the pods of a node"),
        mark("kubelet"),
        f"{_KUBERNETES}/reference/command-line-tools-reference/kubelet/",
    ),
    Term(
        mark("Macvlan"),
        mark("a device that shares the node's network card but has a MAC address of its own"),
        *_kernel("drivers/net/macvlan.c"),
    ),
    Term(
        mark("mark"),
        mark("a number the kernel keeps beside a packet inside one namespace; it is never sent"),
        *_EXTENSIONS,
    ),
    Term(mark("MASQUERADE"), mark("SNAT with the address of the card through which the packet leaves"), *_EXTENSIONS),
    Term(
        mark("natOutgoing"),
        mark("the setting of a Calico pool: pods get the node's address when they call anything outside the pools"),
        mark("Calico: IP pool"),
        f"{_CALICO}/reference/resources/ippool",
    ),
    Term(
        mark("network namespace"),
        mark("a network of its own, with its own cards, addresses, routes, rules and connections"),
        *_man(7, "network_namespaces"),
        also="namespace",
    ),
    Term(
        mark("NodePort"),
        mark("a port of every node that leads to a service"),
        mark("Service"),
        f"{_KUBERNETES}/concepts/services-networking/service/",
    ),
    Term(
        mark("NOTRACK"),
        mark("takes packets out of connection tracking: then they are neither INVALID nor translated"),
        *_EXTENSIONS,
    ),
    Term(
        mark("overlay"),
        mark("the network of addresses that only the nodes know"),
        mark("Calico: overlay networking"),
        f"{_CALICO}/networking/determine-best-networking",
    ),
    Term(
        mark("rp_filter"),
        mark("the check whether the kernel would answer a packet's source through the card on which it came in"),
        *_kernel(_SYSCTL),
    ),
    Term(mark("SNAT"), mark("rewrites where a packet seems to come from"), *_EXTENSIONS),
    Term(
        mark("underlay"),
        mark("the network of the nodes themselves"),
        mark("Spiderpool"),
        f"{_SPIDERPOOL}/concepts/arch.md",
    ),
    Term(mark("veth pair"), mark("a cable between two network namespaces"), *_man(4, "veth"), also="veth"),
    Term(
        mark("VXLAN"),
        mark("carries a frame to another node inside a UDP packet"),
        *_kernel("drivers/net/vxlan/vxlan_core.c"),
    ),
)


def glossary_head() -> str:
    """Return how the glossary begins, in Markdown."""
    about = tr(
        "The words of the field that the lessons use. [Lesson 0](../notebooks/00-words.ipynb) shows most of them at "
        "work."
    )
    return f"# {tr('Glossary')}\n\n{about}\n"


def glossary_table() -> str:
    """Return the terms as a table in Markdown, each with an anchor to which links lead."""
    rows = (
        f'| <a id="{term.anchor}"></a>**{tr(term.word)}** | {tr(term.meaning)} | [{tr(term.source)}]({term.address}) |'
        for term in GLOSSARY
    )
    heads = f"| {tr('word')} | {tr('what it is')} | {tr('read on')} |"
    return "\n".join((heads, "|---|---|---|", *rows))
