"""What Felix makes of NetworkPolicies: a chain per policy and direction, a block in each pod's chain, and IP sets.

A rule names peers by an IP set of the addresses Calico gave to the pods with these labels. An address that another
plugin gave, as that of a Macvlan NIC, is in no such set: to Felix it belongs to no pod.
Source: libcalico-go/lib/backend/k8s/conversion/conversion.go (objects to rules), felix/rules/{policy,endpoints}.go,
felix/types/policy_id.go, libcalico-go/lib/selector (canonical selectors), v3.26 to v3.32. Chain names, hashes and the
uid of groups agree with published values; selectors of namespaces and of several labels are derived from the source.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha3_224, sha224
from ipaddress import IPv4Network
from itertools import count, groupby

from mcnilib.cluster.cni.calico.config import Calico, Workload
from mcnilib.cluster.cni.calico.flow_logs import logged
from mcnilib.cluster.cni.calico.hashes import FelixChain, FelixRule, limited
from mcnilib.cluster.cni.calico.static import clear_mark, is_clear, is_set, set_mark
from mcnilib.cluster.network_policy import Direction, Labels, NetworkPolicy, PolicyPeer, PolicyPort, PolicyRule, has_all
from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr

Policies = tuple[NetworkPolicy, ...]

MULTIPORT = 15
"""Port slots of one `-m multiport`; a range takes two. Source: XT_MULTI_PORTS in xt_multiport.h."""

AFTER_RETURN = 5
"""Policies of a group between two looks at whether one has decided."""

_LETTER = {Direction.INGRESS: "i", Direction.EGRESS: "o"}


def tier(calico: Calico, workload: Workload, direction: Direction) -> Iterator[FelixRule]:
    """Yield the block of a pod's chain that asks its policies, and drops what none allows; nothing without policies."""
    groups = _groups(calico, workload, direction)
    marks = calico.marks
    if not groups:
        return
    start = "Start of tier default" if calico.since(3, 29) else "Start of policies"
    yield FelixRule(clear_mark(marks.passed), comment=start, why=mark("no policy has passed the packet on yet"))
    for group in groups:
        reason = mark("asks the policies {names}", names=", ".join(policy.name for policy in group))
        yield FelixRule(f"--jump {_target(calico, group, direction)}", is_clear(marks.passed), why=reason)
        allowed = mark("allowed: marked, not yet accepted")
        yield FelixRule("--jump RETURN", is_set(marks.accept), "Return if policy accepted", allowed)
    if calico.flow_logs:
        yield logged(f"DP{direction.value[0].upper()}|default", direction.value, is_clear(marks.passed))
    end = "End of tier default. " * calico.since(3, 30) + "Drop if no policies passed packet"
    reason = mark("policies select the pod, and none of them allows the packet")
    yield FelixRule("--jump DROP", is_clear(marks.passed), end, reason)


def chains_of_policies(calico: Calico, workloads: Iterable[Workload]) -> Iterator[FelixChain]:
    """Yield the chains that the pods' chains jump to: those of policies, and those of groups of them."""
    seen: set[str] = set()
    pods = tuple(workloads)
    for direction in Direction:
        for group in (group for pod in pods for group in _groups(calico, pod, direction)):
            chains = [_policy_chain(calico, policy, direction) for policy in group]
            chains += [_group_chain(calico, group, direction)] if len(group) > 1 else []
            yield from (chain for chain in chains if chain.name not in seen)
            seen |= {chain.name for chain in chains}


def policy_sets(calico: Calico, workloads: Iterable[Workload]) -> dict[str, tuple[IPv4Network, ...]]:
    """Return the addresses of the pods that the policies of a node's pods name as peers, by the name of the set."""
    used = dict.fromkeys(
        (policy, rule)
        for pod in workloads
        for direction in Direction
        for policy in _applying(calico, pod, direction)
        for rule in policy.rules(direction) or ()
    )
    peers = ((policy, peer) for policy, rule in used for peer in rule.peers if peer.block is None)
    return {_set_name(policy, peer): _members(calico, policy, peer) for policy, peer in peers}


def _members(calico: Calico, policy: NetworkPolicy, peer: PolicyPeer) -> tuple[IPv4Network, ...]:
    chosen = (pod.address for pod in calico.endpoints if _is_peer(policy, peer, pod))
    return tuple(sorted(IPv4Network(address) for address in chosen if address))


def _is_peer(policy: NetworkPolicy, peer: PolicyPeer, pod: Workload) -> bool:
    own = (("kubernetes.io/metadata.name", pod.namespace),)
    there = pod.namespace == policy.namespace if peer.namespaces is None else has_all(own, peer.namespaces)
    return there and has_all(pod.labels, peer.pods)


def _applying(calico: Calico, workload: Workload, direction: Direction) -> list[NetworkPolicy]:
    """Return the policies that say something about a direction of a pod, in Felix's order."""
    chosen = [p for p in calico.policies if p.selects(workload.namespace, workload.labels)]
    return sorted((p for p in chosen if p.rules(direction) is not None), key=lambda policy: _order(calico, policy))


def _order(calico: Calico, policy: NetworkPolicy) -> str:
    if calico.since(3, 32):
        return f"{policy.name}/{policy.namespace}/KubernetesNetworkPolicy"
    return _old_name(policy)


def _old_name(policy: NetworkPolicy) -> str:
    """Return the name a policy of Kubernetes has in Calico's own store before 3.32."""
    return f"{policy.namespace}/knp.default.{policy.name}"


def _groups(calico: Calico, workload: Workload, direction: Direction) -> list[Policies]:
    """Return the policies of a pod, neighbours with one selector together; one by one before 3.28."""
    policies = _applying(calico, workload, direction)
    if not calico.since(3, 28):
        return [(policy,) for policy in policies]
    return [tuple(group) for _, group in groupby(policies, key=lambda policy: policy.pods)]


def _suffix(calico: Calico, policy: NetworkPolicy) -> str:
    """Return the policy's part of the names of its chains; 3.29 to 3.31 put its tier before it."""
    if calico.since(3, 32):
        return f"knp/{policy.namespace}/{policy.name}"
    return "default/" * calico.since(3, 29) + _old_name(policy)


def _logged_name(calico: Calico, policy: NetworkPolicy) -> str:
    """Return the name a policy has in flow logs."""
    return _suffix(calico, policy) if calico.since(3, 32) else f"default/knp.default.{policy.name}"


def _chain_name(calico: Calico, policy: NetworkPolicy, direction: Direction) -> str:
    return limited(f"cali-p{_LETTER[direction]}-", _suffix(calico, policy), calico.longest_name)


def _target(calico: Calico, group: Policies, direction: Direction) -> str:
    if len(group) == 1:
        return _chain_name(calico, group[0], direction)
    return f"cali-g{_LETTER[direction]}-{_uid(calico, group, direction)}"


def _uid(calico: Calico, group: Policies, direction: Direction) -> str:
    """Return the name of a group: a hash over its selector, direction and policies."""
    bound = "inbound" if direction is Direction.INGRESS else "outbound"
    lines = [] if calico.since(3, 32) else ["default"]
    lines += [_selector(group[0]), bound, str(len(group))]
    for policy in group:
        name = f"Name: {policy.name}, Namespace: {policy.namespace}, Kind: KubernetesNetworkPolicy"
        lines.append(f"{{{name}}}" if calico.since(3, 32) else _old_name(policy))
    return urlsafe_b64encode(sha3_224("".join(f"{line}\n" for line in lines).encode()).digest()).decode()[:20]


def _group_chain(calico: Calico, group: Policies, direction: Direction) -> FelixChain:
    return FelixChain(_target(calico, group, direction), tuple(_group_rules(calico, group, direction)))


def _group_rules(calico: Calico, group: Policies, direction: Direction) -> Iterator[FelixRule]:
    decided = calico.marks.accept | calico.marks.passed
    for place, policy in enumerate(group):
        first = place % AFTER_RETURN == 0
        if first and place:
            match, reason = f"-m mark ! --mark 0/{decided:#x}", mark("a policy has decided: back to the pod's chain")
            yield FelixRule("--jump RETURN", match, "Return on verdict", reason)
        reason = mark("asks the policy {name}", name=policy.name)
        yield FelixRule(
            f"--jump {_chain_name(calico, policy, direction)}", "" if first else is_clear(decided), why=reason
        )


def _policy_chain(calico: Calico, policy: NetworkPolicy, direction: Direction) -> FelixChain:
    """Return the chain of one policy and direction; one without rules holds no more than its name."""
    since, new = calico.since(3, 32), f"KubernetesNetworkPolicy {policy.namespace}/{policy.name}"
    comment = f"{new if since else f'Policy {_old_name(policy)}'} {direction.value}"
    rules = tuple(_rules(calico, policy, direction)) or (
        FelixRule(why=mark("the policy allows nothing in this direction")),
    )
    first = FelixRule(rules[0].action, rules[0].match, comment, rules[0].why)
    return FelixChain(_chain_name(calico, policy, direction), (first, *rules[1:]))


def _rules(calico: Calico, policy: NetworkPolicy, direction: Direction) -> Iterator[FelixRule]:
    """Yield what the rules of a policy come to: one for each protocol and each peer."""
    accept, number = calico.marks.accept, count()
    for rule in policy.rules(direction) or ():
        for protocol, ports in _by_protocol(rule):
            for peer in rule.peers or (None,):
                yield from _block(calico, peer, direction)
                match = " ".join(filter(None, (protocol, _whom(policy, peer, direction), ports, _kept(calico, peer))))
                yield FelixRule(set_mark(accept), match, why=mark("the policy {name} allows it", name=policy.name))
                if calico.flow_logs:
                    prefix = f"AP{direction.value[0].upper()}{next(number)}|{_logged_name(calico, policy)}"
                    yield logged(prefix, direction.value, is_set(accept))
                if not calico.since(3, 28):
                    yield FelixRule("--jump RETURN", is_set(accept), why=mark("allowed: back to the pod's chain"))


def _by_protocol(rule: PolicyRule) -> Iterator[tuple[str, str]]:
    """Yield the matches on protocol and ports, those of one protocol together. Raises: Unsupported above 15 slots."""
    if not rule.ports:
        yield "", ""
    for protocol in sorted({port.protocol for port in rule.ports}):
        ports = [port for port in rule.ports if port.protocol == protocol]
        if sum(2 if port.end_port else 1 for port in ports) > MULTIPORT:
            raise Unsupported(tr("a rule of a NetworkPolicy with more than {count} ports", count=MULTIPORT))
        numbers = [] if any(not port.port for port in ports) else list(map(_port, ports))
        yield f"-p {protocol}", f"-m multiport --destination-ports {','.join(numbers)}" if numbers else ""


def _port(port: PolicyPort) -> str:
    return f"{port.port}:{port.end_port}" if port.end_port else f"{port.port}"


def _block(calico: Calico, peer: PolicyPeer | None, direction: Direction) -> Iterator[FelixRule]:
    """Yield the lines that mark a packet whose address is none of the excepted ones."""
    if peer is None or not peer.without:
        return
    bit, both = calico.marks.scratch0, calico.marks.scratch0 | calico.marks.scratch1
    reason = mark("a mark that the excepted addresses take away")
    yield FelixRule(f"--jump MARK --set-mark {bit:#x}/{both:#x}", why=reason)
    for net in peer.without:
        yield FelixRule(clear_mark(bit), f"{_end(direction)} {net}", why=mark("an address the policy excepts"))


def _end(direction: Direction) -> str:
    return "--source" if direction is Direction.INGRESS else "--destination"


def _whom(policy: NetworkPolicy, peer: PolicyPeer | None, direction: Direction) -> str:
    """Return the match on a peer: an IP set of pods, or a range of addresses."""
    if peer is None:
        return ""
    if peer.block:
        return f"{_end(direction)} {peer.block}"
    return f"-m set --match-set {_set_name(policy, peer)} {'src' if direction is Direction.INGRESS else 'dst'}"


def _kept(calico: Calico, peer: PolicyPeer | None) -> str:
    """Return the match on the mark that the excepted addresses took away."""
    return is_set(calico.marks.scratch0) if peer and peer.without else ""


def _set_name(policy: NetworkPolicy, peer: PolicyPeer) -> str:
    """Return the name of the IP set of the pods a peer stands for. Source: felix/ipsets/ipset_defs.go."""
    selector = _both(_namespaces(policy, peer), _pods(peer.pods))
    digest = urlsafe_b64encode(sha224(f"s:{selector}".encode()).digest()).decode()
    return f"cali40s:{digest}"[:31]


def _selector(policy: NetworkPolicy) -> str:
    return _both(_pods(policy.pods), _equals("projectcalico.org/namespace", policy.namespace))


def _namespaces(policy: NetworkPolicy, peer: PolicyPeer) -> str:
    if peer.namespaces is None:
        return _equals("projectcalico.org/namespace", policy.namespace)
    if not peer.namespaces:
        return "has(projectcalico.org/namespace)"
    return _all(_equals(f"pcns.{key}", value) for key, value in peer.namespaces)


def _pods(labels: Labels) -> str:
    return _all((_equals("projectcalico.org/orchestrator", "k8s"), *(_equals(*label) for label in labels)))


def _equals(key: str, value: str) -> str:
    return f'{key} == "{value}"'


def _all(terms: Iterable[str]) -> str:
    several = tuple(terms)
    return f"({' && '.join(several)})" if len(several) > 1 else several[0]


def _both(one: str, other: str) -> str:
    return f"({one} && {other})"
