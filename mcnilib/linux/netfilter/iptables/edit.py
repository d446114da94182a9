"""Editing netfilter tables as `iptables -A`, `-I`, `-N`, `-F` and `-D` do: each verb returns new tables.

Source: iptables(8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from mcnilib.linux.netfilter.hooks import BUILT_IN
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule, Table, Tables

ORDER = ("raw", "mangle", "nat", "filter", "security")


def empty_table(name: str) -> Table:
    """Return a table with its built-in chains, empty, policy ACCEPT."""
    return Table(name, tuple(Chain(chain, (), "ACCEPT") for chain in BUILT_IN[name]))


def find_table(tables: Tables, name: str) -> Table:
    """Return a table; an empty one when no rule was ever put into it."""
    return next((table for table in tables if table.name == name), None) or empty_table(name)


def put_table(tables: Tables, table: Table) -> Tables:
    """Replace a table or add it, in the order raw, mangle, nat, filter, security."""
    others = [existing for existing in tables if existing.name != table.name]
    return tuple(sorted([*others, table], key=lambda member: ORDER.index(member.name)))


def put_chain(table: Table, chain: Chain) -> Table:
    """Replace a chain or add it; user chains stay sorted by name, as iptables-save prints them."""
    return put_chains(table, [chain])


def put_chains(table: Table, chains: Iterable[Chain]) -> Table:
    """Replace or add several chains at once."""
    named = {chain.name: chain for chain in (*table.chains, *chains)}
    built_in = BUILT_IN[table.name]
    users = sorted(named.keys() - built_in)
    return Table(table.name, tuple(named[name] for name in (*built_in, *users) if name in named))


def empty_chain(table: str, name: str) -> Chain:
    """Return a chain without rules; a built-in one has policy ACCEPT."""
    return Chain(name, (), "ACCEPT" if name in BUILT_IN[table] else "")


def _edit(tables: Tables, table: str, chain: str, change: Callable[[Chain], Chain]) -> Tables:
    edited = find_table(tables, table)
    old = edited.by_name.get(chain) or empty_chain(table, chain)
    return put_table(tables, put_chain(edited, change(old)))


def new_chain(tables: Tables, table: str, chain: str) -> Tables:
    """Create an empty user chain, or empty it when it is there (`:CHAIN - [0:0]` in iptables-restore input)."""
    return _edit(tables, table, chain, lambda old: replace(old, rules=()))


flush_chain = new_chain


def append(tables: Tables, table: str, rules: Iterable[ChainRule]) -> Tables:
    """Append rules, each to the chain it names; a user chain that is not there is created."""
    edited = find_table(tables, table)
    added: dict[str, list[ChainRule]] = {}
    for rule in rules:
        added.setdefault(rule.chain, []).append(rule)
    old_chains = {name: edited.by_name.get(name) or empty_chain(table, name) for name in added}
    grown = (replace(old, rules=(*old.rules, *added[name])) for name, old in old_chains.items())
    return put_table(tables, put_chains(edited, grown))


def insert(tables: Tables, table: str, rule: ChainRule, position: int = 1) -> Tables:
    """Insert a rule at a position, 1 being the first."""
    at = position - 1
    return _edit(tables, table, rule.chain, lambda old: replace(old, rules=(*old.rules[:at], rule, *old.rules[at:])))


def delete(tables: Tables, table: str, rule: ChainRule) -> Tables:
    """Delete the first rule that prints the same line; nothing happens when there is none."""

    def without(old: Chain) -> Chain:
        rules = list(old.rules)
        if rule in rules:
            rules.remove(rule)
        return replace(old, rules=tuple(rules))

    return _edit(tables, table, rule.chain, without)


def set_policy(tables: Tables, table: str, chain: str, policy: str) -> Tables:
    """Set a built-in chain's policy."""
    return _edit(tables, table, chain, lambda old: replace(old, policy=policy))
