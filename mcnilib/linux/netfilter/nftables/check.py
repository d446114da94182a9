"""What the kernel refuses when it takes a table of nftables: chains at the wrong hook, misplaced rules, loops.

Source: nft_chain_validate() in net/netfilter/nf_tables_api.c, nft_{nat,masq,redir,reject}_validate(),
nft_chain_{nat,route}.c (Linux 6.18); stmt_evaluate_verdict() in src/evaluate.c (nftables 1.0.6).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mcnilib.errors import Refused
from mcnilib.language import tr
from mcnilib.linux.netfilter.nftables.action import NatStatement, RejectStatement
from mcnilib.linux.netfilter.nftables.condition import Compare, VerdictMap
from mcnilib.linux.netfilter.nftables.expression import FibLookup
from mcnilib.linux.netfilter.nftables.rule import NftChain, NftRule, NftTable
from mcnilib.linux.netfilter.nftables.segment import HOOKS_OF_ROUTES, SetMaxSegment
from mcnilib.linux.netfilter.nftables.sets import NftSet
from mcnilib.linux.netfilter.nftables.statement import Decide, NftStatement, NftVerdict

HOOKS_OF_TYPE = {
    "filter": ("prerouting", "input", "forward", "output", "postrouting"),
    "nat": ("prerouting", "input", "output", "postrouting"),
    "route": ("output",),
}
"""Hooks at which a base chain of each type may stand."""

HOOKS_OF_NAT = {
    "dnat": ("prerouting", "output"),
    "redirect": ("prerouting", "output"),
    "snat": ("postrouting", "input"),
    "masquerade": ("postrouting",),
}
"""Hooks at which each verb of NAT may stand, in chains of type nat only."""

HOOKS_OF_FIB = {"iif": ("prerouting", "input", "forward"), "oif": ("output", "postrouting", "forward")}
"""Hooks at which a look-up in the routing tables may ask for the device. Source: nft_fib_validate()."""

HOOKS_OF_REJECT = ("prerouting", "input", "forward", "output")

FIRST_NAT_PRIORITY = -200
"""Chains of type nat come after connection tracking: their priority is greater."""


def check_native(table: NftTable, devices: Collection[str]) -> None:
    """Refuse a table as the kernel would. Raises: Refused with the errno."""
    for chain in table.chains:
        if chain.hook in HOOKS_OF_TYPE["filter"]:
            _check_base(chain)
            _check_from(table, chain, chain, (chain.name,))
        for rule in chain.rules:
            _check_rule(rule, devices)


def _check_base(chain: NftChain) -> None:
    there = HOOKS_OF_TYPE[chain.type]
    if chain.hook not in there:
        raise Refused(tr("a chain of type {type} at hook {hook}", type=chain.type, hook=chain.hook), error="EOPNOTSUPP")
    if chain.type == "nat" and chain.priority <= FIRST_NAT_PRIORITY:
        raise Refused(
            tr("a chain of type nat with the priority {priority}", priority=chain.priority), error="EOPNOTSUPP"
        )


def _check_from(table: NftTable, base: NftChain, chain: NftChain, path: tuple[str, ...]) -> None:
    """Follow what a base chain leads to."""
    for rule in chain.rules:
        for statement in rule.statements:
            _check_place(statement, base)
        for target in jumps_of(rule, table.set_of):
            _check_jump(table, base, target, path)


def _check_jump(table: NftTable, base: NftChain, target: str, path: tuple[str, ...]) -> None:
    if target not in table.by_name:
        raise Refused(tr("no chain {name!r} in table {table}", name=target, table=table.title), error="ENOENT")
    if target in path:
        raise Refused(tr("chain {chain} leads back to itself", chain=target), error="ELOOP")
    there = table.by_name[target]
    if there.hook:
        raise Refused(tr("a jump to the base chain {chain}", chain=target), error="EOPNOTSUPP")
    _check_from(table, base, there, (*path, target))


def _check_place(statement: NftStatement, base: NftChain) -> None:
    hooks = _hooks_of(statement)
    if base.hook not in hooks or (isinstance(statement, NatStatement) and base.type != "nat"):
        what = tr("{what} in chain {chain} at hook {hook}", what=statement, chain=base.name, hook=base.hook)
        raise Refused(what, error="EOPNOTSUPP")


def _hooks_of(statement: NftStatement) -> Collection[str]:
    """Return the hooks at which a statement may stand."""
    if isinstance(statement, NatStatement):
        return HOOKS_OF_NAT[statement.verb]
    if isinstance(statement, RejectStatement):
        return HOOKS_OF_REJECT
    if isinstance(statement, SetMaxSegment) and not statement.size:
        return HOOKS_OF_ROUTES
    if isinstance(statement, Compare) and isinstance(statement.left, FibLookup):
        if "iif" in statement.left.flags or statement.left.result != "type":
            return HOOKS_OF_FIB["iif"]
        if "oif" in statement.left.flags:
            return HOOKS_OF_FIB["oif"]
    return HOOKS_OF_TYPE["filter"]


def _check_rule(rule: NftRule, devices: Collection[str]) -> None:
    """Refuse statements behind one that ends the rule, and devices by number that are not there, as nft does."""
    for statement in rule.statements[:-1]:
        ends = isinstance(statement, NatStatement | RejectStatement) or (
            isinstance(statement, Decide) and statement.verdict.name != "continue"
        )
        if ends:
            raise Refused(tr("`{rule}`: nothing may follow {what}", rule=rule, what=statement), error="EINVAL")
    for statement in rule.statements:
        if isinstance(statement, Compare) and str(statement.left) in ("iif", "oif"):
            asked = [span[0] for spans in statement.wanted for span in spans]
            if gone := [name for name in asked if name not in devices]:
                raise Refused(tr("`{rule}`: there is no device {device}", rule=rule, device=gone[0]), error="ENODEV")


def jumps_of(rule: NftRule, sets: dict[str, NftSet]) -> Iterator[str]:
    """Yield the chains a rule may lead to."""
    for statement in rule.statements:
        if isinstance(statement, Decide) and statement.verdict.chain:
            yield statement.verdict.chain
        elif isinstance(statement, VerdictMap):
            table = statement.table if isinstance(statement.table, NftSet) else sets.get(statement.table[1:])
            verdicts = (element.data for element in table.elements) if table else ()
            yield from (v.chain for v in dict.fromkeys(verdicts) if isinstance(v, NftVerdict) and v.chain)
