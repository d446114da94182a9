"""Who probably wrote a line of a real machine's state, judged by chain names, comments, devices and protocols.

The tools do not print who wrote a line. What is said here is an inference, and says so: the writer's name ends in
`(inferred)`, and the reason names the sign. Where there is no sign, nobody is named.
Source: the names are those of kube-proxy (pkg/proxy/iptables), the kubelet (pkg/kubelet/kubelet_network_linux.go),
Felix (felix/rules/rule_defs.go), the CNI plugins portmap and bridge, flannel (pkg/trafficmngr/iptables), Cilium, Istio,
Docker, NodeLocal DNSCache and Spiderpool's coordinator.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

from mcnilib.language import mark
from mcnilib.linux.netfilter.iptables.rule import ChainRule
from mcnilib.linux.netfilter.iptables.target.verdict import Jump
from mcnilib.linux.origin import Origin
from mcnilib.linux.routing.neigh import Neigh
from mcnilib.linux.routing.route import Route
from mcnilib.linux.routing.rule import Rule
from mcnilib.linux.sysctl import KERNEL_DEFAULT
from mcnilib.trace.trace import Journey, Step, Trace

_CHAINS = (
    (r"KUBE-(FIREWALL|MARK-DROP|KUBELET-CANARY)", mark("kube-proxy or the kubelet")),
    (r"KUBE-(ROUTER|NWPLCY|POD-FW)", "kube-router"),
    (r"KUBE-", "kube-proxy"),
    (r"cali-", "Felix"),
    (r"CNI-", mark("a CNI plugin (portmap or bridge)")),
    (r"FLANNEL-", "flannel"),
    (r"CILIUM_", "Cilium"),
    (r"ISTIO_", "Istio"),
    (r"ANTREA-", "Antrea"),
    (r"WEAVE", "Weave Net"),
    (r"DOCKER", "Docker"),
    (r"LIBVIRT_", "libvirt"),
    (r"ufw-", "ufw"),
    (r"f2b-", "fail2ban"),
)
"""How chain names begin, and whose they are; the first that fits."""

COMMENTS = (
    (r"cali:", "Felix"),
    (r"flanneld ", "flannel"),
    (r"NodeLocal DNS Cache", "NodeLocal DNSCache"),
    (r"kubernetes firewall for dropping marked packets", mark("the kubelet")),
    (r"kubernetes ", "kube-proxy"),
    (r"cilium", "Cilium"),
)
"""How comments begin, and whose they are."""

DEVICES = (
    (r"cali[0-9a-f]{11}|tunl0|vxlan\.calico", "Calico"),
    (r"flannel\.|cni0", "flannel"),
    (r"cilium_|lxc", "Cilium"),
    (r"docker0|br-[0-9a-f]{12}", "Docker"),
    (r"veth[0-9a-f]{11}$", mark("Spiderpool's coordinator")),
)
"""How names of devices begin, and who routes to them."""

COORDINATOR = mark("Spiderpool's coordinator")


def writer_of(line: object) -> Origin | None:
    """Return who probably wrote a rule, a route, a routing rule or a neighbour entry; None without a sign."""
    match line:
        case ChainRule():
            return _of_chain_rule(line)
        case Route():
            return _of_route(line)
        case Rule():
            return _of_rule(line)
        case Neigh(dev=dev):
            return _of_device(dev)
    return None


def _inferred(writer: str, sign: str) -> Origin:
    return Origin(mark("{writer} (inferred)", writer=writer), mark("inferred from {sign}", sign=sign), inferred=True)


def _of_chain_rule(rule: ChainRule) -> Origin | None:
    """Judge by the chain, by the comment, then by the chain it jumps to."""
    if writer := _first(_CHAINS, rule.chain):
        return _inferred(writer, mark("the name of the chain {chain}", chain=rule.chain))
    match = re.search(r'--comment (?:"([^"]*)"|(\S+))', rule.text)
    comment = (match[1] or match[2] or "") if match else ""
    if writer := _first(COMMENTS, comment):
        return _inferred(writer, mark("its comment {comment!r}", comment=comment))
    if isinstance(rule.target, Jump) and (writer := _first(_CHAINS, rule.target.chain)):
        return _inferred(writer, mark("the name of the chain {chain} it jumps to", chain=rule.target.chain))
    if "-i veth0 " in f"{rule.text} " and "--set-xmark 0x1/" in rule.text:
        return _inferred(COORDINATOR, mark("the mark 0x1 for what comes in by veth0"))
    return None


def _of_route(route: Route) -> Origin | None:
    """Judge by the protocol, which is meant for this, then by the table and the device."""
    if route.proto == "kernel":
        return Origin(mark("the kernel"), mark("the route's protocol is kernel"))
    if route.proto == "bird":
        return _inferred("BIRD", mark("the route's protocol bird"))
    if route.proto == "80":
        return _inferred("Felix", mark("the route's protocol 80"))
    if route.proto == "dhcp":
        return _inferred(mark("a DHCP client"), mark("the route's protocol dhcp"))
    if route.table == "500":
        return _inferred(COORDINATOR, mark("table 500"))
    if route.dev == "veth0":
        return _inferred(COORDINATOR, mark("the device veth0"))
    if route.table == "main" and "169.254.1.1" in (str(route.via), str(route.dst.network_address)):
        return _inferred(mark("Calico's CNI plugin"), mark("the gateway 169.254.1.1"))
    return _of_device(route.dev)


def _of_rule(rule: Rule) -> Origin | None:
    if (rule.priority, rule.table) in ((0, "local"), (32766, "main"), (32767, "default")):
        return Origin(mark("the kernel"), mark("exists in every network namespace"))
    if (rule.priority, rule.table) in ((1000, "500"), (1000, "100")):
        return _inferred(COORDINATOR, mark("the priority 1000 and table {table}", table=rule.table))
    return None


def _of_device(dev: str) -> Origin | None:
    writer = _first(DEVICES, dev)
    return _inferred(writer, mark("the device {dev}", dev=dev)) if writer else None


@lru_cache(maxsize=65536)
def _first(signs: tuple[tuple[str, str], ...], name: str) -> str:
    return next((writer for pattern, writer in signs if re.match(pattern, name)), "")


def with_writers(trace: Trace) -> Trace:
    """Return the same trace and branches; lines whose writer nobody noted name the probable one.

    Defaults that were assumed have no writer.
    """
    branches = tuple(replace(branch, trace=with_writers(branch.trace)) for branch in trace.branches)
    same = (
        new.trace for new, old in zip(branches, trace.branches, strict=True) if old.trace.journeys is trace.journeys
    )
    chosen = next(same, None)  # of the branches the one that the trace itself tells stays the same
    journeys = chosen.journeys if chosen else tuple(_journey(journey) for journey in trace.journeys)
    outcome = trace.outcome
    decided = journeys[trace.journeys.index(outcome.journey)]
    step = decided.steps[outcome.journey.steps.index(outcome.step)]
    outcome, replay = replace(outcome, journey=decided, step=step), trace.replay and trace.replay.signed(writer_of)
    return replace(trace, journeys=journeys, outcome=outcome, branches=branches, replay=replay)


def _journey(journey: Journey) -> Journey:
    return replace(journey, steps=tuple(_step(step) for step in journey.steps))


def _step(step: Step) -> Step:
    line: Any = step.line
    if step.origin is KERNEL_DEFAULT:
        return step._replace(line=replace(line, origin=None))
    origin = writer_of(line) if line is not None and step.origin is None else None
    return step._replace(line=replace(line, origin=origin)) if origin else step
