"""Felix puts its ipsets and chains into a node, and its jumps where it wants them, whatever others wrote meanwhile.

Felix inserts its jumps at the top of the built-in chains and appends a few rules at their end. It looks again every few
minutes and rewrites what is out of place; this is the state after such a look.
Source: felix/iptables/table.go, felix/dataplane/linux/{int_dataplane,masq_mgr,ipip_mgr,vxlan_mgr}.go (v3.26 to v3.32).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Network

from mcnilib.cluster.cni.calico.config import Calico, Workload
from mcnilib.cluster.cni.calico.filter import filter_chains
from mcnilib.cluster.cni.calico.hashes import APPENDED, FelixChain, lines
from mcnilib.cluster.cni.calico.static import EMPTY, hooks, mangle_chains, nat_chains, raw_chains
from mcnilib.cluster.intern import chain_rule, replace_chains
from mcnilib.cluster.settings import Encapsulation
from mcnilib.linux.netfilter.ipset import IpSet
from mcnilib.linux.netfilter.iptables.edit import find_table
from mcnilib.linux.netfilter.iptables.match.misc import Comment
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule, Table, Tables
from mcnilib.linux.netns import Netns, set_sysctl

_OPTIONS = "family inet hashsize 1024 maxelem 1048576"

_SYSCTLS = (
    ("net.ipv4.ip_forward", "1", "the node is the router of its pods"),
    ("net.netfilter.nf_conntrack_acct", "1", "counts the bytes of connections for flow statistics"),
)


def start_felix(node: Netns, calico: Calico, workloads: Iterable[Workload] = ()) -> Netns:
    """Bring Felix's sysctls, ipsets and chains up to date; the namespace has the node's name.

    Starting it again, or with other workloads, rewrites everything of Felix's and nothing of anybody else's.
    """
    for key, value, why in _SYSCTLS:
        node = set_sysctl(node, key, value, calico.felix(why))
    tables = node.ip4.tables
    for table, owned in _owned(calico, tuple(sorted(workloads))).items():
        tables = _resync(tables, table, owned)
    foreign = (s for s in node.sets if not s.name.startswith("cali40"))
    return node.with_ip4(tables=tables).but(sets=(*foreign, *sorted(_sets(node, calico), key=lambda s: s.name)))


Owned = dict[str, Chain]
"""Felix's chains of one table by name.

Those named after built-in chains hold what Felix puts on top of them, with `*appends*` in the name what it appends.
"""


@lru_cache(maxsize=256)
def _owned(calico: Calico, workloads: tuple[Workload, ...]) -> dict[str, Owned]:
    found = _chains(calico, workloads).items()
    return {table: {chain.name: _compiled(calico, chain) for chain in chains} for table, chains in found}


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
    return Chain(chain.name, tuple(chain_rule(line, calico.felix(why)) for line, why in lines(chain)))


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


def _sets(node: Netns, calico: Calico) -> Iterator[IpSet]:
    pools = (*calico.pools, *calico.extra_pools)
    hosts = [IPv4Network(peer.address.ip) for peer in calico.nodes]
    peers = [IPv4Network(peer.address.ip) for peer in calico.peers(node.name)]
    if calico.encapsulation is Encapsulation.IPIP:
        yield _set(calico, "cali40all-hosts-net", hosts, "the nodes, which may send tunnel packets")
    if calico.encapsulation is Encapsulation.VXLAN:
        yield _set(calico, "cali40all-vxlan-net", peers, "the other nodes, which may send tunnel packets")
    if calico.since(3, 31):
        yield _set(calico, "cali40dscp-src-net", (), "pods that ask for a DSCP value")
    masqueraded = calico.pools if calico.nat_outgoing else ()
    yield _set(calico, "cali40masq-ipam-pools", masqueraded, "IP pools with natOutgoing")
    yield _set(calico, calico.pool_set, pools, "all IP pools: what natOutgoing leaves alone")
    yield _set(calico, "cali40this-host", _own_addresses(node), "the node's own addresses", "hash:ip")


def _set(calico: Calico, name: str, members: Iterable[IPv4Network], why: str, kind: str = "hash:net") -> IpSet:
    return IpSet(name, kind, tuple(sorted(members)), _OPTIONS, origin=calico.felix(why))


def _own_addresses(node: Netns) -> list[IPv4Network]:
    return [IPv4Network(a.ip) for link in node.links if not link.name.startswith("cali") for a in link.addresses]
