"""What the kubelet writes into a node's iptables: nothing a packet needs from 1.27 on, but chains everybody sees.

It starts before kube-proxy, which therefore finds the jumps to KUBE-FIREWALL and KUBE-POSTROUTING in place and leaves
them where they are. Up to 1.26 kube-proxy's KUBE-MARK-DROP and the drop of marked packets are the kubelet's.
Source: pkg/kubelet/kubelet_network_linux.go (1.24 line); KEP-3178 (IPTablesOwnershipCleanup: default from 1.27).
"""

from __future__ import annotations

from mcnilib.cluster.kube_proxy.config import KubeProxy, Line, Rules
from mcnilib.cluster.kube_proxy.restore import ensure_chains, ensure_rules
from mcnilib.cluster.kube_proxy.static_chains import MARTIANS, WHY_MARTIANS, masquerading
from mcnilib.linux.netns import Netns
from mcnilib.linux.origin import Origin

DROP_MARK = "0x8000"
"""The mark for packets to be dropped: 1 << iptablesDropBit, 15 by default."""

DROP_MARKED = (
    '-A KUBE-FIREWALL -m comment --comment "kubernetes firewall for dropping marked packets" '
    f"-m mark --mark {DROP_MARK}/{DROP_MARK} -j DROP"
)
POSTROUTING = '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING'


def start_kubelet(node: Netns, version: str) -> Netns:
    """Write the chains a kubelet of this minor version (`1.28`) keeps in a node."""

    def author(why: str) -> Origin:
        return Origin(f"kubelet {version}", why)

    rules = kubelet_rules(version)
    tables = ensure_rules(ensure_chains(node.tables, rules.chains), rules.lines, author)
    return node.but(tables=ensure_rules(tables, kubelet_jumps(version), author, on_top=True))


def kubelet_rules(version: str) -> Rules:
    """Return the chains and rules of the kubelet."""
    proxy = KubeProxy(version)
    martians = Line("filter", MARTIANS, WHY_MARTIANS)
    hint = (("mangle", "KUBE-IPTABLES-HINT"),) if proxy.kubelet_writes_hint else ()
    if proxy.kubelet_leaves_nat:
        return Rules((*hint, ("filter", "KUBE-FIREWALL")), (martians,))
    nat = (("nat", "KUBE-MARK-DROP"), ("nat", "KUBE-MARK-MASQ"), ("nat", "KUBE-POSTROUTING"))
    canaries = tuple((table, "KUBE-KUBELET-CANARY") for table in ("mangle", "nat", "filter"))
    mark = Line(
        "nat",
        f"-A KUBE-MARK-DROP -j MARK --set-xmark {DROP_MARK}/{DROP_MARK}",
        "marks packets for KUBE-FIREWALL to drop",
    )
    drop = Line("filter", DROP_MARKED, "drops packets kube-proxy marked: no endpoint may take them")
    return Rules((*hint, *canaries, *nat, ("filter", "KUBE-FIREWALL")), (mark, drop, martians, *masquerading(proxy)))


def kubelet_jumps(version: str) -> tuple[Line, ...]:
    """Return the jumps from built-in chains, each put on top."""
    firewall = tuple(Line("filter", f"-A {chain} -j KUBE-FIREWALL", WHY_MARTIANS) for chain in ("OUTPUT", "INPUT"))
    masquerade = Line("nat", POSTROUTING, "to masquerade the connections marked on their way in")
    return firewall if KubeProxy(version).kubelet_leaves_nat else (*firewall, masquerade)
