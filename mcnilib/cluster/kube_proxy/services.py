"""The chains of one service, kube-proxy 1.24 and later.

    KUBE-SERVICES ─ cluster IP ─► KUBE-SVC (or SVL) ─► KUBE-SEP ─► DNAT KUBE-NODEPORTS, external and load balancer IPs
    ─► [KUBE-FW ─►] KUBE-EXT ─► KUBE-SVC or, with externalTrafficPolicy Local, KUBE-SVL

KUBE-SVC knows the endpoints of the whole cluster, KUBE-SVL those of this node. Where no endpoint may be used, rules
in table filter answer (REJECT) or drop; 1.24 marked packets for the kubelet's KUBE-FIREWALL instead of dropping.
Source: syncProxyRules() in kubernetes pkg/proxy/iptables/proxier.go, CategorizeEndpoints() in pkg/proxy/topology.go.

The chains every kube-proxy writes, whatever the services: masquerading, forwarding, the INVALID drop, and the jumps.

Source: iptablesJumpChains and syncProxyRules() in kubernetes pkg/proxy/iptables/proxier.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from mcnilib.cluster.kube_proxy.config import KubeProxy, RuleLine, Rules
from mcnilib.cluster.kube_proxy.view import ServiceView, balance, endpoint_chain, endpoint_rules, no_local
from mcnilib.cluster.spec import Endpoint
from mcnilib.language import mark

INVALID_COUNTER, LOCALHOST_COUNTER = "ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts"

LAST_RULE = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"

MARTIANS = (
    '-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" '
    "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
)

WHY_MARTIANS = mark("keeps strangers out of 127.0.0.0/8, which route_localnet opened for NodePorts on localhost")


def _jump(chain: str, to: str, comment: str = "", *, new: bool = False) -> str:
    state = " -m conntrack --ctstate NEW" if new else ""
    options = f' -m comment --comment "{comment}"' if comment else ""
    return f"-A {chain}{state}{options} -j {to}"


def jumps(proxy: KubeProxy) -> Iterator[RuleLine]:
    """Yield the jumps from built-in chains in kube-proxy's order: each is put on top if it is missing."""
    external, portals = "kubernetes externally-visible service portals", "kubernetes service portals"
    new = mark("to answer the first packet of a connection to a service without endpoints")
    for chain in ("INPUT", "FORWARD"):
        yield RuleLine("filter", _jump(chain, "KUBE-EXTERNAL-SERVICES", external, new=True), new)
    nodeports = _jump("INPUT", "KUBE-NODEPORTS", "kubernetes health check service ports")
    yield RuleLine("filter", nodeports, mark("to let load balancers ask for the health of a service"))
    for chain in ("FORWARD", "OUTPUT"):
        yield RuleLine("filter", _jump(chain, "KUBE-SERVICES", portals, new=True), new)
    forward = _jump("FORWARD", "KUBE-FORWARD", "kubernetes forwarding rules")
    yield RuleLine("filter", forward, mark("every forwarded packet of the node passes KUBE-FORWARD"))
    if proxy.drops_in_filter:
        for chain in ("INPUT", "OUTPUT", "FORWARD"):
            text = _jump(chain, "KUBE-PROXY-FIREWALL", "kubernetes load balancer firewall", new=True)
            yield RuleLine(
                "filter", text, mark("to enforce loadBalancerSourceRanges on the first packet of a connection")
            )
    for chain in ("OUTPUT", "PREROUTING"):
        yield RuleLine("nat", _jump(chain, "KUBE-SERVICES", portals), mark("to find the service a connection is for"))
    text = _jump("POSTROUTING", "KUBE-POSTROUTING", "kubernetes postrouting rules")
    yield RuleLine("nat", text, mark("to masquerade the connections marked on their way in"))
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
        "nat",
        f"{post} -m mark ! --mark {proxy.masquerade_mark}/{proxy.masquerade_mark} -j RETURN",
        mark("only marked connections are masqueraded"),
    )
    yield RuleLine(
        "nat",
        f"{post} -j MARK --set-xmark {proxy.masquerade_mark}/0x0",
        mark("clears the mark, so that nothing masquerades twice"),
    )
    reason = mark("gives marked connections an address of the outgoing device, so that answers come back here")
    text = f'{post} -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE{fully}'
    yield RuleLine("nat", text, reason)
    yield RuleLine(
        "nat",
        f"-A KUBE-MARK-MASQ -j MARK --set-xmark {proxy.masquerade_mark}/{proxy.masquerade_mark}",
        mark("asks POSTROUTING to masquerade"),
    )


def forwarding(proxy: KubeProxy, *, liberal: bool) -> Iterator[RuleLine]:
    """Yield KUBE-FORWARD. The INVALID drop is missing only when 1.29 or later started with be_liberal set."""
    if not (proxy.reads_be_liberal and liberal):
        counter = f" -m nfacct --nfacct-name  {INVALID_COUNTER}" if proxy.nfacct else ""
        yield RuleLine("filter", f"-A KUBE-FORWARD -m conntrack --ctstate INVALID{counter} -j DROP", _why_drop(proxy))
    marked = f"-m mark --mark {proxy.masquerade_mark}/{proxy.masquerade_mark}"
    text = f'-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" {marked} -j ACCEPT'
    yield RuleLine("filter", text, mark("lets service traffic through where the FORWARD policy is DROP"))
    names = ("conntrack pod source rule", "conntrack pod destination rule") if proxy.names_pods else ("conntrack rule",)
    for name in names:
        comment = f'-m comment --comment "kubernetes forwarding {name}"'
        text = f"-A KUBE-FORWARD {comment} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        yield RuleLine("filter", text, mark("lets everything that belongs to a known connection through"))


def _why_drop(proxy: KubeProxy) -> str:
    if proxy.reads_be_liberal:
        return mark(
            "it drops INVALID packets so that a stray segment cannot reset a service connection; "
            "written because nf_conntrack_tcp_be_liberal was 0 when kube-proxy started"
        )
    return mark(
        "it drops INVALID packets so that a stray segment cannot reset a service connection; "
        "kube-proxy {version} always writes it and never looks at nf_conntrack_tcp_be_liberal",
        version=proxy.version,
    )


def last_rules(proxy: KubeProxy, own: tuple[IPv4Address, ...]) -> Iterator[RuleLine]:
    """Yield the last rules of KUBE-SERVICES: what is addressed to the node itself may be for a NodePort.

    `own` are the addresses of the node; with nodePortAddresses each of them that answers has a rule.
    """
    reason = mark("looks up the NodePort when the packet is addressed to the node itself")
    comment = f'-m comment --comment "{LAST_RULE}"'
    if proxy.answers_everywhere:
        localhost = "" if proxy.answers_localhost else "! -d 127.0.0.0/8 "
        text = f"-A KUBE-SERVICES {localhost}{comment} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"
        yield RuleLine("nat", text, reason)
        return
    for ip in answering(proxy, own):
        if proxy.answers_localhost or not ip.is_loopback:
            yield RuleLine("nat", f"-A KUBE-SERVICES -d {ip}/32 {comment} -j KUBE-NODEPORTS", reason)


def answering(proxy: KubeProxy, own: tuple[IPv4Address, ...]) -> list[IPv4Address]:
    """Return the addresses in nodePortAddresses, in their order (that of the real one is random)."""
    return sorted(ip for ip in set(own) if any(ip in network for network in proxy.node_port_addresses))


_LOCAL = "-m addrtype --dst-type LOCAL"


def service_rules(view: ServiceView) -> Rules:
    """Return everything kube-proxy 1.24 or later writes for one service on one node."""
    lines = [*capture(view), *refusals(view), *health(view)]
    if not view.everywhere:
        return Rules((), tuple(lines))
    return Rules(tuple(("nat", name) for name in chains(view)), (*lines, *policy_chains(view), *endpoint_rules(view)))


def chains(view: ServiceView) -> Iterator[str]:
    """Yield the chains the service has on this node."""
    eager = not view.proxy.drops_in_filter  # 1.24 creates policy chains even when they hold no endpoint
    if view.external:
        yield view.chain("EXT")
    if view.service.load_balancer_ips and view.service.source_ranges:
        yield view.chain("FW")
    if view.uses_cluster:
        yield view.chain("SVC")
    if view.uses_local and (view.here or eager):
        yield view.chain("SVL")
    for endpoint in view.reachable:
        yield endpoint_chain(view.service, endpoint)


def capture(view: ServiceView) -> Iterator[RuleLine]:
    """Yield the rules that recognise packets for the service and send them to its chains."""
    s, ext = view.service, view.chain("EXT")
    if not view.everywhere:
        return
    if not view.internal_local or view.here or not view.proxy.drops_in_filter:
        to = view.chain("SVL" if view.internal_local else "SVC")
        text = f"-A KUBE-SERVICES {view.to(s.cluster_ip)} {view.comment('{} cluster IP')} {view.port(s.port)} -j {to}"
        yield RuleLine(
            "nat", text, mark("recognises connections to the cluster IP of {full_name}", full_name=s.full_name)
        )
    for ip in s.external_ips:
        text = f"-A KUBE-SERVICES {view.to(ip)} {view.comment('{} external IP')} {view.port(s.port)} -j {ext}"
        yield RuleLine(
            "nat", text, mark("recognises connections to an external IP of {full_name}", full_name=s.full_name)
        )
    for ip in s.load_balancer_ips:
        to = view.chain("FW") if s.source_ranges else ext
        text = f"-A KUBE-SERVICES {view.to(ip)} {view.comment('{} loadbalancer IP')} {view.port(s.port)} -j {to}"
        yield RuleLine(
            "nat", text, mark("recognises connections to the load balancer of {full_name}", full_name=s.full_name)
        )
    if s.node_port:
        yield from node_port(view)


def node_port(view: ServiceView) -> Iterator[RuleLine]:
    """Yield the rules of the NodePort; from 1.31 on accesses over localhost are counted when the kernel can."""
    s = view.service
    options = f"-p {s.protocol} {view.comment('{}')} {view.port(s.node_port)}"
    if view.proxy.nfacct and view.proxy.answers_localhost:
        counted = f"-d 127.0.0.0/8 {options} -m nfacct --nfacct-name  {LOCALHOST_COUNTER}"
        text = f"-A KUBE-NODEPORTS {counted} -j {view.chain('EXT')}"
        yield RuleLine("nat", text, mark("counts NodePort connections that use a localhost address"))
    text = f"-A KUBE-NODEPORTS {options} -j {view.chain('EXT')}"
    yield RuleLine("nat", text, mark("recognises connections to the NodePort of {full_name}", full_name=s.full_name))


def refusals(view: ServiceView) -> Iterator[RuleLine]:
    """Yield what table filter does with packets no endpoint may take: REJECT without any, DROP without a local one."""
    s, filters = view.service, view.proxy.drops_in_filter
    if not view.everywhere or (view.internal_local and not view.here and filters):
        comment, end, reason = _refusal(view)
        text = f"-A KUBE-SERVICES {view.to(s.cluster_ip)} {comment} {view.port(s.port)} {end}"
        yield RuleLine("filter", text, reason)
    if not view.everywhere or (view.external_local and not view.here and filters):
        comment, end, reason = _refusal(view)
        for ip in (*s.external_ips, *s.load_balancer_ips):
            yield RuleLine(
                "filter", f"-A KUBE-EXTERNAL-SERVICES {view.to(ip)} {comment} {view.port(s.port)} {end}", reason
            )
        if s.node_port:
            text = f"-A KUBE-EXTERNAL-SERVICES -p {s.protocol} {comment} {_LOCAL} {view.port(s.node_port)} {end}"
            yield RuleLine("filter", text, reason)
    if filters and view.everywhere and s.source_ranges:
        comment = view.comment(f"{{}} traffic not accepted by {view.chain('FW')}")
        for ip in s.load_balancer_ips:
            text = f"-A KUBE-PROXY-FIREWALL {view.to(ip)} {comment} {view.port(s.port)} -j DROP"
            yield RuleLine(
                "filter", text, mark("drops clients outside loadBalancerSourceRanges, which were not DNATed")
            )


def _refusal(view: ServiceView) -> tuple[str, str, str]:
    name = view.service.full_name
    if view.everywhere:
        return (
            view.comment("{} has no local endpoints"),
            "-j DROP",
            mark("{name} may use local endpoints only and has none here", name=name),
        )
    end = "-j REJECT --reject-with icmp-port-unreachable"
    return (
        view.comment("{} has no endpoints"),
        end,
        mark("{name} has no endpoints anywhere: clients are told at once", name=name),
    )


def health(view: ServiceView) -> Iterator[RuleLine]:
    """Yield the rule that admits health checks of load balancers."""
    if view.service.health_check_port:
        options = f"-p tcp {view.comment('{} health check node port')} -m tcp --dport {view.service.health_check_port}"
        yield RuleLine(
            "filter", f"-A KUBE-NODEPORTS {options} -j ACCEPT", mark("admits health checks of load balancers")
        )


def policy_chains(view: ServiceView) -> Iterator[RuleLine]:
    """Yield the rules of KUBE-SVC, KUBE-SVL, KUBE-EXT and KUBE-FW."""
    if not view.internal_local or view.here or not view.proxy.drops_in_filter:
        yield from masquerade(view, view.chain("SVL" if view.internal_local else "SVC"))
    if view.external:
        yield from external(view)
    if view.service.load_balancer_ips and view.service.source_ranges:
        yield from source_ranges(view)
    if view.uses_cluster:
        yield from balance(view, view.chain("SVC"), view.everywhere, _named)
    if view.uses_local and (view.here or not view.proxy.drops_in_filter):
        local = view.chain("SVL")
        yield from balance(view, local, view.here, _named) if view.here else no_local(view, local)


def _named(endpoint: Endpoint, number: int | None) -> str:
    return f"{{}} -> {endpoint}"


def masquerade(view: ServiceView, chain: str) -> Iterator[RuleLine]:
    """Yield the rule that decides whose connections to the cluster IP are masqueraded."""
    s, to = view.service, view.to(view.service.cluster_ip)
    options = f"{view.comment('{} cluster IP')} {view.port(s.port)} -j KUBE-MARK-MASQ"
    if view.proxy.masquerade_all:
        yield RuleLine(
            "nat", f"-A {chain} {to} {options}", mark("masqueradeAll: every client of a cluster IP is masqueraded")
        )
    elif view.pods:
        yield RuleLine("nat", f"-A {chain} {view.pods.outside(to)} {options}", _why_masquerade(view))


def _why_masquerade(view: ServiceView) -> str:
    cidr, device = view.pods.cidr, view.pods.interface
    if cidr:
        return mark(
            "clients outside the cluster CIDR {cidr} are masqueraded, so that answers come back to this node", cidr=cidr
        )
    return mark(
        "clients that do not come in by {device} are masqueraded, so that answers come back to this node", device=device
    )


def insiders(view: ServiceView, chain: str, pods: str, what: str, where: str = "") -> Iterator[RuleLine]:
    """Yield the rules by which pods and the node reach all endpoints from a chain in which others find local ones.

    `pods` is the comment of the first, `what` and `where` are in those of the others.
    """
    svc = view.chain("SVC")
    if view.pods:
        reason = mark("pods are not outside: any endpoint will do for them")
        yield RuleLine("nat", f"{chain} {view.pods.inside} {pods} -j {svc}", reason)
    local = "-m addrtype --src-type LOCAL -j"
    text = f"{chain} {view.comment(f'masquerade LOCAL traffic for {what}')} {local} KUBE-MARK-MASQ"
    yield RuleLine("nat", text, mark("the node itself would be answered at the address it asked"))
    text = f"{chain} {view.comment(f'route LOCAL traffic for {what}{where}')} {local} {svc}"
    yield RuleLine("nat", text, mark("the node itself is not outside: any endpoint will do"))


def external(view: ServiceView) -> Iterator[RuleLine]:
    """Yield KUBE-EXT: who reaches all endpoints, who only local ones, and who is masqueraded."""
    ext, svc = f"-A {view.chain('EXT')}", view.chain("SVC")
    if not view.external_local:
        options = view.comment("masquerade traffic for {} external destinations")
        reason = mark("the endpoint may be on another node: answers must come back here")
        yield RuleLine("nat", f"{ext} {options} -j KUBE-MARK-MASQ", reason)
        yield RuleLine("nat", f"{ext} -j {svc}", mark("externalTrafficPolicy Cluster: any endpoint will do"))
        return
    what = "{} external destinations"
    yield from insiders(view, ext, view.comment(f"pod traffic for {what}"), what)
    if view.here or not view.proxy.drops_in_filter:
        reason = mark("externalTrafficPolicy Local: only endpoints of this node, source kept")
        yield RuleLine("nat", f"{ext} -j {view.chain('SVL')}", reason)


def source_ranges(view: ServiceView) -> Iterator[RuleLine]:
    """Yield KUBE-FW: the clients loadBalancerSourceRanges lets in."""
    fw, s = view.chain("FW"), view.service
    comment = view.comment("{} loadbalancer IP")
    for cidr in allowed(view, view.service.load_balancer_ips):
        yield RuleLine(
            "nat",
            f"-A {fw} -s {cidr} {comment} -j {view.chain('EXT')}",
            mark("{name} lets {cidr} in", name=s.full_name, cidr=cidr),
        )
    if not view.proxy.drops_in_filter:
        yield RuleLine(
            "nat", f"-A {fw} {comment} -j KUBE-MARK-DROP", mark("marks everybody else for the kubelet's drop")
        )
    elif view.proxy.notes_the_firewall:
        text = f"-A {fw} {view.comment('other traffic to {} will be dropped by KUBE-PROXY-FIREWALL')}"
        yield RuleLine("nat", text, mark("only a note for the reader of the rules"))


def allowed(view: ServiceView, addresses: tuple[IPv4Address, ...]) -> Iterator[str]:
    """Yield the source ranges of a load balancer, and its own addresses when the node may use it."""
    ranges = view.service.source_ranges
    yield from map(str, ranges)
    if any(view.node.address.ip in cidr for cidr in ranges):
        yield from (f"{ip}/32" for ip in addresses)
