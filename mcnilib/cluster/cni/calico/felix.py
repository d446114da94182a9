"""Felix puts its ipsets and chains into a node, and its jumps where it wants them, whatever others wrote meanwhile.

Felix inserts its jumps at the top of the built-in chains and appends a few rules at their end. It looks again every few
minutes and rewrites what is out of place; this is the state after such a look.
Source: felix/iptables/table.go, felix/dataplane/linux/{int_dataplane,masq_mgr,ipip_mgr,vxlan_mgr}.go (v3.26 to v3.32).

Felix's chains in table filter: forwarding, the node's own traffic, and one pair of chains for each pod.

A pod's pair drops INVALID packets itself, but only packets that enter or leave by the pod's device: what a node
forwards between other devices passes `cali-FORWARD` untouched.
Source: felix/rules/{static,dispatch,endpoints,policy}.go (v3.26 to v3.32).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Network
from itertools import groupby, takewhile

from mcnilib.cluster.cni.calico.config import Calico, Workload
from mcnilib.cluster.cni.calico.flow_logs import logged
from mcnilib.cluster.cni.calico.hashes import APPENDED, FelixChain, FelixRule, limited, lines
from mcnilib.cluster.cni.calico.nftables import calico_table
from mcnilib.cluster.cni.calico.policy import chains_of_policies, policy_sets, tier
from mcnilib.cluster.cni.calico.static import (
    EMPTY,
    HOST_ACCEPTED,
    PODS,
    WHY_CLEAR,
    WHY_HOST,
    clear_mark,
    hooks,
    is_clear,
    is_set,
    mangle_chains,
    nat_chains,
    raw_chains,
    set_mark,
)
from mcnilib.cluster.intern import chain_rule, replace_chains
from mcnilib.cluster.network_policy import Direction
from mcnilib.cluster.settings import Encapsulation
from mcnilib.language import mark
from mcnilib.linux.netfilter.ipset import IpSet
from mcnilib.linux.netfilter.iptables.edit import find_table
from mcnilib.linux.netfilter.iptables.match.misc import Comment
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule, Table, Tables
from mcnilib.linux.netns import Netns, set_sysctl

_OPTIONS = "family inet hashsize 1024 maxelem 1048576"

_SYSCTLS = (
    ("net.ipv4.ip_forward", "1", mark("the node is the router of its pods"), (3, 0)),
    ("net.netfilter.nf_conntrack_acct", "1", mark("counts the bytes of connections for flow statistics"), (3, 30)),
)
"""What Felix sets, why, and since when. Source: configureKernel() in felix/dataplane/linux/int_dataplane.go."""


def start_felix(node: Netns, calico: Calico, workloads: Iterable[Workload] = ()) -> Netns:
    """Bring Felix's sysctls, ipsets and chains up to date; the namespace has the node's name.

    Starting it again, or with other workloads, rewrites everything of Felix's and nothing of anybody else's.
    """
    for key, value, reason, since in _SYSCTLS:
        node = set_sysctl(node, key, value, calico.felix(reason)) if calico.since(*since) else node
    workloads = tuple(sorted(workloads))
    if calico.dataplane == "nftables":
        return _natively(node, calico, workloads)
    tables = node.ip4.tables
    for table, owned in _owned(calico, workloads).items():
        tables = _resync(tables, table, owned)
    foreign = (s for s in node.sets if not s.name.startswith("cali40"))
    return node.with_ip4(tables=tables).but(
        sets=(*foreign, *sorted(_sets(node, calico, workloads), key=lambda s: s.name))
    )


def _natively(node: Netns, calico: Calico, workloads: tuple[Workload, ...]) -> Netns:
    """Write the table of the nftables mode, in place of one that was there."""
    sets = sorted(_sets(node, calico, workloads), key=lambda found: found.name)
    by = calico.felix(mark("Felix's nftables mode: the rules of pods, natOutgoing, and who may use the tunnel"))
    table = calico_table(_chains(calico, workloads), sets).by(by)
    return node.with_ip4(nft=(*(there for there in node.ip4.nft if there.title != table.title), table))


Owned = dict[str, Chain]
"""Felix's chains of one table by name.

Those named after built-in chains hold what Felix puts on top of them, with `*appends*` in the name what it appends.
"""


@lru_cache(maxsize=256)
def _owned(calico: Calico, workloads: tuple[Workload, ...]) -> dict[str, Owned]:
    by_table = _chains(calico, workloads).items()
    return {table: {chain.name: _compiled(calico, chain) for chain in chains} for table, chains in by_table}


def _chains(calico: Calico, workloads: tuple[Workload, ...]) -> dict[str, list[FelixChain]]:
    chains = {table: [FelixChain(name) for name in names] for table, names in EMPTY.items()}
    chains["raw"] += raw_chains(calico)
    chains["mangle"] += mangle_chains(calico)
    chains["nat"] += nat_chains(calico)
    chains["filter"] += filter_chains(calico, workloads)
    for table, hook in hooks(calico):
        chains[table].append(hook)
    return chains


def _compiled(calico: Calico, chain: FelixChain) -> Chain:
    return Chain(chain.name, tuple(chain_rule(line, calico.felix(reason)) for line, reason in lines(chain)))


def _resync(tables: Tables, name: str, owned: Owned) -> Tables:
    table = find_table(tables, name)
    stale = [c.name for c in table.chains if c.name.startswith("cali-") and c.name not in owned]
    own = (chain for chain in owned.values() if chain.name.startswith("cali-"))
    return replace_chains(tables, name, (*_built_in(table, owned), *own), without=stale)


def _built_in(table: Table, owned: Owned) -> Iterator[Chain]:
    """Yield the built-in chains: Felix's jumps, what others wrote, and what Felix appends."""
    for chain in table.chains:
        if chain.policy:
            first, last = (owned.get(name, Chain(name)).rules for name in (chain.name, chain.name + APPENDED))
            foreign = (rule for rule in chain.rules if not _is_felix(rule))
            yield Chain(chain.name, (*first, *foreign, *last), chain.policy)


def _is_felix(rule: ChainRule) -> bool:
    return any(isinstance(match, Comment) and match.text.startswith("cali:") for match in rule.matches)


def _sets(node: Netns, calico: Calico, workloads: tuple[Workload, ...]) -> Iterator[IpSet]:
    pools = (*calico.pools, *calico.extra_pools)
    hosts = [IPv4Network(peer.address.ip) for peer in calico.nodes]
    peers = [IPv4Network(peer.address.ip) for peer in calico.peers(node.name)]
    if calico.encapsulation is Encapsulation.IPIP:
        yield _set(calico, "cali40all-hosts-net", hosts, mark("the nodes, which may send tunnel packets"))
    if calico.encapsulation is Encapsulation.VXLAN:
        yield _set(calico, "cali40all-vxlan-net", peers, mark("the other nodes, which may send tunnel packets"))
    if calico.since(3, 31):
        yield _set(calico, "cali40dscp-src-net", (), mark("pods that ask for a DSCP value"))
    masqueraded = calico.pools if calico.nat_outgoing else ()
    yield _set(calico, "cali40masq-ipam-pools", masqueraded, mark("IP pools with natOutgoing"))
    yield _set(calico, calico.pool_set, pools, mark("all IP pools: what natOutgoing leaves alone"))
    for name, members in policy_sets(calico, workloads).items():
        yield _set(calico, name, members, mark("the Calico addresses of pods that a NetworkPolicy names"))
    yield _set(calico, "cali40this-host", _own_addresses(node), mark("the node's own addresses"), "hash:ip")


def _set(calico: Calico, name: str, members: Iterable[IPv4Network], reason: str, kind: str = "hash:net") -> IpSet:
    return IpSet(name, kind, tuple(sorted(members)), _OPTIONS, origin=calico.felix(reason))


def _own_addresses(node: Netns) -> list[IPv4Network]:
    return [IPv4Network(a.ip) for link in node.links if not link.name.startswith("cali") for a in link.addresses]


TUNNEL_HOSTS = {Encapsulation.VXLAN: "cali40all-vxlan-net", Encapsulation.IPIP: "cali40all-hosts-net"}
"""The ipset of the nodes that may send tunnel packets."""

DISPATCH = {"from": "cali-from-wl-dispatch", "to": "cali-to-wl-dispatch"}
"""The chains that choose a pod's own chain by its device, for packets from and to pods."""


def filter_chains(calico: Calico, workloads: tuple[Workload, ...]) -> Iterator[FelixChain]:
    """Yield all chains of table filter."""
    yield FelixChain("cali-FORWARD", tuple(_forward(calico)))
    yield FelixChain("cali-INPUT", tuple(_input(calico)))
    yield FelixChain("cali-OUTPUT", tuple(_output(calico)))
    reason = mark("defaultEndpointToHostAction: what pods may do to their own node")
    to_host = FelixRule(
        f"--jump {calico.endpoint_to_host}", comment="Configured DefaultEndpointToHostAction", why=reason
    )
    judge = FelixRule(f"--jump {DISPATCH['from']}", why=mark("first the policy of the pod that sends"))
    yield FelixChain("cali-wl-to-host", (judge, to_host))
    devices = sorted({workload.device for workload in workloads})
    for end in DISPATCH:
        yield from dispatch(end, devices) if calico.dataplane == "iptables" else (_mapped(end, devices),)
    for workload in sorted(workloads):
        yield FelixChain(f"cali-fw-{workload.device}", tuple(_endpoint(calico, workload, "from")))
        yield FelixChain(f"cali-tw-{workload.device}", tuple(_endpoint(calico, workload, "to")))
    yield from chains_of_policies(calico, workloads)
    for profile in dict.fromkeys(profile for workload in workloads for profile in workload.profiles):
        for prefix, direction in (("cali-pri-", "ingress"), ("cali-pro-", "egress")):
            yield FelixChain(limited(prefix, profile, calico.longest_name), tuple(_profile(calico, profile, direction)))


def _forward(calico: Calico) -> Iterator[FelixRule]:
    marks = calico.marks
    yield FelixRule(clear_mark(marks.all & ~marks.accept), why=WHY_CLEAR)
    yield FelixRule("--jump cali-from-hep-forward", is_clear(marks.accept), why=WHY_HOST)
    reason = mark("from a pod: what its policy allows comes back here and may have to pass the receiver's policy")
    yield FelixRule(f"--jump {DISPATCH['from']}", f"--in-interface {PODS}", why=reason)
    yield FelixRule(f"--jump {DISPATCH['to']}", f"--out-interface {PODS}", why=mark("to a pod: its policy decides"))
    yield FelixRule("--jump cali-to-hep-forward", why=WHY_HOST)
    reason = mark("would keep packets for advertised service ranges from circling; no range is advertised")
    yield FelixRule("--jump cali-cidr-block", why=reason)


def _input(calico: Calico) -> Iterator[FelixRule]:
    yield from _tunnel_input(calico)
    reason = "from a pod to its own node; a goto: what returns there goes on in INPUT"
    yield FelixRule("--goto cali-wl-to-host", f"--in-interface {PODS}", why=reason)
    yield from _host_policy(calico, FelixRule("--jump cali-from-host-endpoint", why=WHY_HOST))


def _output(calico: Calico) -> Iterator[FelixRule]:
    first, *rest = _host_policy(
        calico, FelixRule("--jump cali-to-host-endpoint", "-m conntrack ! --ctstate DNAT", why=WHY_HOST)
    )
    yield first
    yield FelixRule("--jump RETURN", f"--out-interface {PODS}", why=mark("a node may always reach its own pods"))
    yield from _tunnel_output(calico)
    yield from rest


def _host_policy(calico: Calico, dispatched: FelixRule) -> Iterator[FelixRule]:
    accept = is_set(calico.marks.accept)
    yield FelixRule("--jump ACCEPT", accept, why=mark("accepted already in table raw or mangle"))
    yield FelixRule(clear_mark(calico.marks.all), why=WHY_CLEAR)
    yield dispatched
    yield FelixRule("--jump ACCEPT", accept, HOST_ACCEPTED, mark("lets pass what the chain before accepted"))


def _tunnel_input(calico: Calico) -> Iterator[FelixRule]:
    local = "-m addrtype --dst-type LOCAL"
    allow, drop = (
        mark("tunnel packets of the cluster's nodes"),
        mark("no other machine may put packets into the tunnel"),
    )
    if calico.encapsulation is Encapsulation.VXLAN:
        port, hosts = "-p 17 -m multiport --destination-ports 4789", "-m set --match-set cali40all-vxlan-net src"
        what = "IPv4 VXLAN packets from"
        yield FelixRule("--jump ACCEPT", f"{port} {hosts} {local}", f"Allow {what} allowed hosts", allow)
        yield FelixRule("--jump DROP", f"{port} {local}", f"Drop {what} non-allowed hosts", drop)
    elif calico.encapsulation is Encapsulation.IPIP:
        hosts, what = "-m set --match-set cali40all-hosts-net src", "IPIP packets from"
        yield FelixRule("--jump ACCEPT", f"-p 4 {hosts} {local}", f"Allow {what} Calico hosts", allow)
        yield FelixRule("--jump DROP", "-p 4", f"Drop {what} non-Calico hosts", drop)


def _tunnel_output(calico: Calico) -> Iterator[FelixRule]:
    local, reason = "-m addrtype --src-type LOCAL", mark("tunnel packets to the cluster's nodes")
    if calico.encapsulation is Encapsulation.VXLAN:
        match = f"-p 17 -m multiport --destination-ports 4789 {local} -m set --match-set cali40all-vxlan-net dst"
        yield FelixRule("--jump ACCEPT", match, "Allow IPv4 VXLAN packets to other allowed hosts", reason)
    elif calico.encapsulation is Encapsulation.IPIP:
        match = f"-p 4 -m set --match-set cali40all-hosts-net dst {local}"
        yield FelixRule("--jump ACCEPT", match, "Allow IPIP packets to other Calico hosts", reason)


def dispatch(direction: str, devices: list[str]) -> Iterator[FelixChain]:
    """Yield the chains that choose a pod's own chain by its device; `direction` is `from` or `to`.

    Devices are told apart by the first character after what all have in common; where several share it they get a chain
    of their own.
    """
    common = _common(devices)
    root = DISPATCH[direction]
    rules = []
    for prefix, group in groupby(devices, key=lambda device: device[: common + 1]):
        names = list(group)
        if len(names) == 1:
            rules.append(_goto(direction, names[0]))
            continue
        child = f"{root}-{prefix[common:]}"
        reason = mark("several pods have a device called {prefix}...: their chain decides", prefix=prefix)
        rules.append(FelixRule(f"--goto {child}", _device(direction, f"{prefix}+"), why=reason))
        yield FelixChain(child, (*(_goto(direction, name) for name in names), _UNKNOWN))
    yield FelixChain(root, (*rules, _UNKNOWN))


def _mapped(direction: str, devices: list[str]) -> FelixChain:
    """Return the chain of which the nftables mode makes a map: each pod's own chain by its device."""
    return FelixChain(DISPATCH[direction], (*(_goto(direction, device) for device in devices), _UNKNOWN))


def _common(devices: list[str]) -> int:
    """Count the characters with which all names begin."""
    columns = zip(*devices, strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


_UNKNOWN = FelixRule(
    "--jump DROP", comment="Unknown interface", why=mark("a device like a pod's that Felix does not know")
)


def _device(direction: str, name: str) -> str:
    return f"--{'in' if direction == 'from' else 'out'}-interface {name}"


def _goto(direction: str, device: str) -> FelixRule:
    reason = mark("the pod's own chain; a goto: what returns there goes on in cali-FORWARD")
    return FelixRule(f"--goto cali-{direction[0]}w-{device}", _device(direction, device), why=reason)


def _endpoint(calico: Calico, workload: Workload, direction: str) -> Iterator[FelixRule]:
    """Yield the chain of a pod, for packets `from` or `to` it.

    First conntrack decides, then the policies, or where none speaks of this direction the profiles; what none allows is
    dropped.
    """
    marks = calico.marks
    established = mark("packets of a known connection pass without policy")
    yield FelixRule("--jump ACCEPT", "-m conntrack --ctstate RELATED,ESTABLISHED", why=established)
    if not calico.disable_conntrack_invalid_check:
        reason = mark("drops what conntrack calls INVALID; disableConntrackInvalidCheck would leave this rule out")
        yield FelixRule("--jump DROP", "-m conntrack --ctstate INVALID", why=reason)
    cleared = marks.accept | marks.passed if calico.since(3, 28) else marks.accept
    yield FelixRule(clear_mark(cleared), why=mark("nothing is allowed yet"))
    if direction == "from":
        yield from _no_tunnels()
    yield from tier(calico, workload, Direction.EGRESS if direction == "from" else Direction.INGRESS)
    for profile in workload.profiles:
        chain = limited("cali-pro-" if direction == "from" else "cali-pri-", profile, calico.longest_name)
        yield FelixRule(f"--jump {chain}", why=mark("the rules of profile {profile}", profile=profile))
        yield FelixRule(
            "--jump RETURN",
            is_set(marks.accept),
            "Return if profile accepted",
            mark("allowed: marked, not yet accepted"),
        )
    if calico.flow_logs:
        yield logged(f"DR{'E' if direction == 'from' else 'I'}", "egress" if direction == "from" else "ingress")
    yield FelixRule("--jump DROP", comment="Drop if no profiles matched", why=mark("what nothing allows is dropped"))


def _no_tunnels() -> Iterator[FelixRule]:
    end, reason = (
        "encapped packets originating in workloads",
        mark("a pod that could send tunnel packets could pretend to be a node"),
    )
    yield FelixRule("--jump DROP", "-p 17 -m multiport --destination-ports 4789", f"Drop VXLAN {end}", reason)
    yield FelixRule("--jump DROP", "-p 4", f"Drop IPinIP {end}", reason)


def _profile(calico: Calico, profile: str, direction: str) -> Iterator[FelixRule]:
    """Yield a profile's rules: the namespace's allows everything, the service account's holds no more than its name."""
    accept, comment = calico.marks.accept, f"Profile {profile} {direction}"
    if profile.startswith("ksa."):
        yield FelixRule(comment=comment, why=mark("a service account allows nothing by itself"))
        return
    yield FelixRule(
        set_mark(accept), comment=comment, why=mark("without NetworkPolicy the namespace allows everything")
    )
    if calico.flow_logs:
        yield logged(f"AR{direction[0].upper()}0|{profile}", direction, is_set(accept))
    if not calico.since(3, 28):
        yield FelixRule("--jump RETURN", is_set(accept), why=mark("allowed: back to the pod's chain"))
