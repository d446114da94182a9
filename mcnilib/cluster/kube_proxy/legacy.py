"""The chains of one service, kube-proxy 1.22 and 1.23: KUBE-XLB stands in for KUBE-EXT and KUBE-SVL.

Differences that matter to a packet: NodePort masquerading is in KUBE-SVC, a connection to an external IP is
masqueraded only when it comes from outside the cluster CIDR, internalTrafficPolicy Local simply hides remote
endpoints (unless externalTrafficPolicy is Local, then it is ignored), and drops are left to the kubelet's
KUBE-FIREWALL. 1.22 comments balancing rules of KUBE-XLB differently.
Source: syncProxyRules() in kubernetes pkg/proxy/iptables/proxier.go of the 1.22 and 1.23 lines, FilterEndpoints() in
pkg/proxy/topology.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mcnilib.cluster.kube_proxy.config import RuleLine, Rules
from mcnilib.cluster.kube_proxy.services import allowed, health, insiders, masquerade, refusals
from mcnilib.cluster.kube_proxy.view import ServiceView, balance, endpoint_chain, endpoint_rules, no_local
from mcnilib.cluster.spec import Endpoint, TrafficPolicy
from mcnilib.language import mark

WHY_BACK_HERE = mark("the endpoint may be on another node: answers must come back here")


def legacy_rules(view: ServiceView) -> Rules:
    """Return everything kube-proxy 1.22 or 1.23 writes for one service on one node."""
    local = (("nat", view.chain("XLB")),) if view.external_local else ()
    usable = _usable(view)
    if not usable.everywhere:
        return Rules(local, (*refusals(usable), *health(usable)))
    names = [usable.chain("SVC"), *(endpoint_chain(view.service, e) for e in usable.everywhere)]
    names += [usable.chain("FW")] if view.service.load_balancer_ips else []
    lines = [
        *_capture(usable),
        *health(usable),
        *masquerade(usable, usable.chain("SVC")),
        *_masquerade_external(usable),
    ]
    lines += [
        *balance(usable, usable.chain("SVC"), usable.everywhere, _unnamed),
        *_firewall(usable),
        *_local_chain(usable),
    ]
    return Rules((*local, *(("nat", name) for name in names)), (*lines, *endpoint_rules(usable)))


def _usable(view: ServiceView) -> ServiceView:
    """Return the view with internalTrafficPolicy Local replaced by what it amounts to: only local endpoints exist."""
    if not view.internal_local:
        return view
    endpoints = view.service.endpoints if view.external_local else view.here
    service = replace(view.service, endpoints=endpoints, internal_policy=TrafficPolicy.CLUSTER)
    return replace(view, service=service)


def _capture(view: ServiceView) -> Iterator[RuleLine]:
    s = view.service
    target = view.chain("XLB" if view.external_local else "SVC")
    options = f"{view.comment('{} cluster IP')} {view.port(s.port)} -j {view.chain('SVC')}"
    reason = mark("recognises connections to the cluster IP of {name}", name=s.full_name)
    yield RuleLine("nat", f"-A KUBE-SERVICES {view.to(s.cluster_ip)} {options}", reason)
    for ip in s.external_ips:
        options = f"{view.comment('{} external IP')} {view.port(s.port)} -j {target}"
        reason = mark("recognises connections to an external IP of {name}", name=s.full_name)
        yield RuleLine("nat", f"-A KUBE-SERVICES {view.to(ip)} {options}", reason)
    for ip in s.load_balancer_ips:
        options = f"{view.comment('{} loadbalancer IP')} {view.port(s.port)} -j {view.chain('FW')}"
        reason = mark("recognises connections to the load balancer of {name}", name=s.full_name)
        yield RuleLine("nat", f"-A KUBE-SERVICES {view.to(ip)} {options}", reason)
    if s.node_port:
        yield from _node_port(view, target)


def _node_port(view: ServiceView, target: str) -> Iterator[RuleLine]:
    options = f"-p {view.service.protocol} {view.comment('{}')} {view.port(view.service.node_port)}"
    if view.external_local:
        text = f"-A KUBE-NODEPORTS -s 127.0.0.0/8 {options} -j KUBE-MARK-MASQ"
        yield RuleLine("nat", text, mark("a localhost address must not leave the node as a source"))
    reason = mark("recognises connections to the NodePort of {full_name}", full_name=view.service.full_name)
    yield RuleLine("nat", f"-A KUBE-NODEPORTS {options} -j {target}", reason)


def _masquerade_external(view: ServiceView) -> Iterator[RuleLine]:
    if view.external_local:
        return
    s, svc = view.service, f"-A {view.chain('SVC')}"
    for ip in s.external_ips:
        options = f"{view.comment('{} external IP')} {view.port(s.port)} -j KUBE-MARK-MASQ"
        yield RuleLine(
            "nat",
            f"{svc} {view.pods.outside(view.to(ip)) if view.pods else view.to(ip)} {options}",
            mark("the endpoint may be on another node: answers must come back"),
        )
    if s.node_port:
        options = f"-p {s.protocol} {view.comment('{}')} {view.port(s.node_port)} -j KUBE-MARK-MASQ"
        yield RuleLine("nat", f"{svc} {options}", WHY_BACK_HERE)


def _firewall(view: ServiceView) -> Iterator[RuleLine]:
    s, fw, comment = view.service, f"-A {view.chain('FW')}", view.comment("{} loadbalancer IP")
    target = view.chain("XLB" if view.external_local else "SVC")
    for ip in s.load_balancer_ips:  # every address repeats the rules
        if not view.external_local:
            yield RuleLine("nat", f"{fw} {comment} -j KUBE-MARK-MASQ", WHY_BACK_HERE)
        sources = [f"-s {cidr} " for cidr in allowed(view, (ip,))] if s.source_ranges else [""]
        reason = mark("{name} lets these clients in", name=s.full_name)
        for source in sources:
            yield RuleLine("nat", f"{fw} {source}{comment} -j {target}", reason)
        yield RuleLine("nat", f"{fw} {comment} -j KUBE-MARK-DROP", mark("marks everybody else for the kubelet's drop"))


def _local_chain(view: ServiceView) -> Iterator[RuleLine]:
    """Yield KUBE-XLB: pods and the node go to any endpoint, everybody else to local ones."""
    if not view.external_local:
        return
    pods = '-m comment --comment "Redirect pods trying to reach external loadbalancer VIP to clusterIP"'
    yield from insiders(view, f"-A {view.chain('XLB')}", pods, "{} LB IP", " to service chain")
    if view.here:
        yield from balance(view, view.chain("XLB"), view.here, _numbered if view.proxy.names_pods else _unnamed)
    else:
        yield from no_local(view, view.chain("XLB"))


def _unnamed(endpoint: Endpoint, number: int | None) -> str:
    return "{}"


def _numbered(endpoint: Endpoint, number: int | None) -> str:
    return "{}" if number is None else f"Balancing rule {number} for {{}}"
