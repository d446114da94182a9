"""Lines of state with their writer, read once: the same text by the same writer is the same object everywhere.

Components emit text and get nouns back from here; namespaces that hold the same line share it, and what it was
compiled to.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from mcnilib.linux.netfilter.hooks import BUILT_IN
from mcnilib.linux.netfilter.iptables.edit import find_table, put_table
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule, Table, Tables
from mcnilib.linux.netfilter.iptables.save import parse_rule
from mcnilib.linux.origin import Origin
from mcnilib.linux.routing import neigh, route, rule
from mcnilib.linux.routing.neigh import Neigh
from mcnilib.linux.routing.route import Route
from mcnilib.linux.routing.rule import Rule

_cached = lru_cache(maxsize=16384)


@_cached
def chain_rule(line: str, origin: Origin) -> ChainRule:
    """Read an `-A CHAIN ...` line."""
    return parse_rule(line, origin)


@_cached
def ip_route(line: str, origin: Origin, table: str = "main") -> Route:
    """Read a line of `ip route show table T`."""
    return route.parse_route(line, table, origin)


@_cached
def ip_rule(line: str, origin: Origin) -> Rule:
    """Read a line of `ip rule`."""
    return rule.parse_ip_rule(line, origin)


@_cached
def ip_neigh(line: str, origin: Origin) -> Neigh:
    """Read a line of `ip neigh`."""
    return neigh.parse_neigh(line, origin)


def replace_chains(tables: Tables, table: str, chains: Iterable[Chain], without: Iterable[str] = ()) -> Tables:
    """Replace or add chains of a table, and delete those named in `without`; user chains stay sorted by name."""
    current = find_table(tables, table)
    gone = set(without)
    named = {c.name: c for c in (*current.chains, *chains) if c.name not in gone}
    built_in = BUILT_IN[table]
    users = sorted(named.keys() - built_in)
    return put_table(tables, Table(table, tuple(named[name] for name in (*built_in, *users))))
