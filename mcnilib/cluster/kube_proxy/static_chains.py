"""The chains every kube-proxy writes, whatever the services: masquerading, forwarding, the INVALID drop, and the jumps.

Source: iptablesJumpChains and syncProxyRules() in kubernetes pkg/proxy/iptables/proxier.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcnilib.cluster.kube_proxy.config import KubeProxy, RuleLine, Rules

_MARK = "0x4000"
"""The packet mark that asks for masquerading: 1 << masqueradeBit, 14 by default."""

INVALID_COUNTER, LOCALHOST_COUNTER = "ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts"

LAST_RULE = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"

MARTIANS = (
    '-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" '
    "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
)

WHY_MARTIANS = "keeps strangers out of 127.0.0.0/8, which route_localnet opened for NodePorts on localhost"


def _jump(chain: str, to: str, comment: str = "", *, new: bool = False) -> str:
    state = " -m conntrack --ctstate NEW" if new else ""
    words = f' -m comment --comment "{comment}"' if comment else ""
    return f"-A {chain}{state}{words} -j {to}"


def jumps(proxy: KubeProxy) -> Iterator[RuleLine]:
    """Yield the jumps from built-in chains in kube-proxy's order: each is put on top if it is missing."""
    external, portals = "kubernetes externally-visible service portals", "kubernetes service portals"
    new = "to answer the first packet of a connection to a service without endpoints"
    for chain in ("INPUT", "FORWARD"):
        yield RuleLine("filter", _jump(chain, "KUBE-EXTERNAL-SERVICES", external, new=True), new)
    nodeports = _jump("INPUT", "KUBE-NODEPORTS", "kubernetes health check service ports")
    yield RuleLine("filter", nodeports, "to let load balancers ask for the health of a service")
    for chain in ("FORWARD", "OUTPUT"):
        yield RuleLine("filter", _jump(chain, "KUBE-SERVICES", portals, new=True), new)
    forward = _jump("FORWARD", "KUBE-FORWARD", "kubernetes forwarding rules")
    yield RuleLine("filter", forward, "every forwarded packet of the node passes KUBE-FORWARD")
    if proxy.drops_in_filter:
        for chain in ("INPUT", "OUTPUT", "FORWARD"):
            text = _jump(chain, "KUBE-PROXY-FIREWALL", "kubernetes load balancer firewall", new=True)
            yield RuleLine("filter", text, "to enforce loadBalancerSourceRanges on the first packet of a connection")
    for chain in ("OUTPUT", "PREROUTING"):
        yield RuleLine("nat", _jump(chain, "KUBE-SERVICES", portals), "to find the service a connection is for")
    text = _jump("POSTROUTING", "KUBE-POSTROUTING", "kubernetes postrouting rules")
    yield RuleLine("nat", text, "to masquerade the connections marked on their way in")
    if proxy.jumps_to_firewall:
        for chain in ("INPUT", "OUTPUT"):
            yield RuleLine("filter", _jump(chain, "KUBE-FIREWALL"), WHY_MARTIANS)


def static_chains(proxy: KubeProxy, *, liberal: bool) -> Rules:
    """Return the chains that do not depend on services; `liberal`: what nf_conntrack_tcp_be_liberal was at start."""
    names = ["KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS"]
    names += ["KUBE-PROXY-FIREWALL"] if proxy.drops_in_filter else []
    names += ["KUBE-FIREWALL"] if proxy.writes_firewall else []
    nat = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ")
    chains = (*(("filter", name) for name in names), *(("nat", name) for name in nat))
    martians = (RuleLine("filter", MARTIANS, WHY_MARTIANS),) if proxy.writes_firewall else ()
    return Rules(chains, (*masquerading(proxy), *martians, *forwarding(proxy, liberal=liberal)))


def masquerading(proxy: KubeProxy) -> Iterator[RuleLine]:
    """Yield KUBE-MARK-MASQ and KUBE-POSTROUTING."""
    fully = " --random-fully" if proxy.random_fully else ""
    post = "-A KUBE-POSTROUTING"
    yield RuleLine(
        "nat", f"{post} -m mark ! --mark {_MARK}/{_MARK} -j RETURN", "only marked connections are masqueraded"
    )
    yield RuleLine(
        "nat", f"{post} -j MARK --set-xmark {_MARK}/0x0", "clears the mark, so that nothing masquerades twice"
    )
    why = "gives marked connections an address of the outgoing device, so that answers come back here"
    text = f'{post} -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE{fully}'
    yield RuleLine("nat", text, why)
    yield RuleLine("nat", f"-A KUBE-MARK-MASQ -j MARK --set-xmark {_MARK}/{_MARK}", "asks POSTROUTING to masquerade")


def forwarding(proxy: KubeProxy, *, liberal: bool) -> Iterator[RuleLine]:
    """Yield KUBE-FORWARD. The INVALID drop is missing only when 1.29 or later started with be_liberal set."""
    if not (proxy.reads_be_liberal and liberal):
        counter = f" -m nfacct --nfacct-name  {INVALID_COUNTER}" if proxy.nfacct else ""
        yield RuleLine("filter", f"-A KUBE-FORWARD -m conntrack --ctstate INVALID{counter} -j DROP", _why_drop(proxy))
    text = (
        f'-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark {_MARK}/{_MARK} -j ACCEPT'
    )
    yield RuleLine("filter", text, "lets service traffic through where the FORWARD policy is DROP")
    names = ("conntrack pod source rule", "conntrack pod destination rule") if proxy.names_pods else ("conntrack rule",)
    for name in names:
        comment = f'-m comment --comment "kubernetes forwarding {name}"'
        text = f"-A KUBE-FORWARD {comment} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        yield RuleLine("filter", text, "lets everything that belongs to a known connection through")


def _why_drop(proxy: KubeProxy) -> str:
    what = "drops packets conntrack calls INVALID, lest a stray segment of a service connection reset it; "
    if proxy.reads_be_liberal:
        return what + "written because nf_conntrack_tcp_be_liberal was 0 when kube-proxy started"
    return what + f"kube-proxy {proxy.version} always writes it and never looks at nf_conntrack_tcp_be_liberal"


def last_rule(proxy: KubeProxy) -> RuleLine:
    """Return the last rule of KUBE-SERVICES: what is addressed to the node itself may be for a NodePort."""
    localhost = "" if proxy.localhost_node_ports else "! -d 127.0.0.0/8 "
    text = (
        f'-A KUBE-SERVICES {localhost}-m comment --comment "{LAST_RULE}" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS'
    )
    return RuleLine("nat", text, "looks up the NodePort when the packet is addressed to the node itself")
