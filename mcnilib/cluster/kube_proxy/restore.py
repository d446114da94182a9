"""How kube-proxy and kubelet edit iptables: chains ensured, rules ensured, and a restore that rewrites whole chains.

Source: pkg/util/iptables/iptables.go (EnsureChain, EnsureRule, RestoreAll with NoFlushTables).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mcnilib.cluster.intern import chain_rule, replace_chains
from mcnilib.cluster.kube_proxy.config import RuleLine, Rules
from mcnilib.linux.netfilter.iptables.edit import find_table
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainBuilder, ChainRule, Tables
from mcnilib.linux.netfilter.iptables.save import RuleTemplates
from mcnilib.linux.origin import Origin

Author = Callable[[str], Origin]
"""Makes the origin of a line from its reason."""

_Place = tuple[str, str]
"""A table and a chain of it."""


def ensure_chains(tables: Tables, places: Iterable[_Place]) -> Tables:
    """Create the chains that are missing."""
    wanted = tuple(places)
    for table in dict.fromkeys(table for table, _ in wanted):
        there = find_table(tables, table).by_name
        missing = [Chain(name) for t, name in wanted if t == table and name not in there]
        tables = replace_chains(tables, table, missing) if missing else tables
    return tables


def ensure_rules(tables: Tables, lines: Iterable[RuleLine], author: Author, *, on_top: bool = False) -> Tables:
    """Add each rule that stands nowhere in its chain: at the end, or on top of what is there so far."""
    bodies: dict[_Place, list[ChainRule]] = {}
    for line in lines:
        rule = chain_rule(line.text, author(line.why))
        body = bodies.setdefault((line.table, rule.chain), _rules(tables, line.table, rule.chain))
        if rule not in body:
            body.insert(0 if on_top else len(body), rule)
    return _put(tables, bodies)


def restore(tables: Tables, rules: Rules, author: Author) -> Tables:
    """Empty the chains named and write their rules; all other chains stay as they are."""

    def read(line: RuleLine) -> ChainRule:
        return chain_rule(line.text, author(line.why))

    forms = RuleTemplates()
    bodies = {(table, chain): ChainBuilder(chain, _policy(tables, table, chain), read) for table, chain in rules.chains}
    for line in rules.lines:
        _take(bodies[line.table, line.chain], line, forms, read)
    for table in dict.fromkeys(table for table, _ in bodies):
        tables = replace_chains(tables, table, (body.chain() for key, body in bodies.items() if key[0] == table))
    return tables


def _take(
    body: ChainBuilder[RuleLine], line: RuleLine, forms: RuleTemplates, read: Callable[[RuleLine], ChainRule]
) -> None:
    """Append a line: one that looks like others is read when it is asked for."""
    if template := forms.find(line.text):
        body.put_later(line, template.sample, template.to)
    else:
        rule = read(line)
        forms.learn(line.text, rule)
        body.put(rule)


def _policy(tables: Tables, table: str, chain: str) -> str:
    declared = find_table(tables, table).by_name.get(chain)
    return declared.policy if declared else ""


def _rules(tables: Tables, table: str, chain: str) -> list[ChainRule]:
    declared = find_table(tables, table).by_name.get(chain)
    return list(declared.rules) if declared else []


def _put(tables: Tables, bodies: dict[_Place, list[ChainRule]]) -> Tables:
    for table in dict.fromkeys(table for table, _ in bodies):
        old = find_table(tables, table).by_name
        chains = [
            Chain(name, tuple(body), old[name].policy if name in old else "")
            for (t, name), body in bodies.items()
            if t == table
        ]
        tables = replace_chains(tables, table, chains)
    return tables
