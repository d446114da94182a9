"""Rules of nft that nearly matched, and elements that a map does not have: found beside what the steps tell.

What matched is known from the steps; between two of those stand the rules that did not. Nothing here draws, counts or
keeps. Source: nft_do_chain() in net/netfilter/nf_tables_core.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product

from mcnilib.errors import McniError
from mcnilib.language import tr
from mcnilib.linux.netfilter.nftables.action import NatStatement
from mcnilib.linux.netfilter.nftables.check import jumps_of
from mcnilib.linux.netfilter.nftables.condition import Compare, VerdictMap
from mcnilib.linux.netfilter.nftables.datatype import show_values
from mcnilib.linux.netfilter.nftables.rule import NftChain, NftRule, NftTable
from mcnilib.linux.netfilter.nftables.sets import Element, NftSet, covers
from mcnilib.linux.netfilter.nftables.statement import (
    ChainPassage,
    Decide,
    NftStatement,
    NftVerdict,
    Opaque,
    OtherFamily,
)
from mcnilib.linux.packet import Packet
from mcnilib.trace.trace import Journey, Step
from mcnilib.trace.why.reason import written_by
from mcnilib.trace.why.rules import HookEntrance, entrance_at
from mcnilib.world.world import World


@dataclass(frozen=True, slots=True)
class NftMiss:
    """A rule that did not match a packet for one of its statements, and what it saw.

    `nearest`: of a map, the element whose key differs from the packet's in one part.
    """

    journey: Journey
    index: int  # of the step beside which it was passed
    netns: str
    table: NftTable
    rule: NftRule
    failed: NftStatement
    passage: ChainPassage
    nearest: Element | None = None

    @property
    def reason(self) -> str:
        """What the packet has, and what the rule asks for; which line changed it, where it held before."""
        says, changed = self.failed.why_not(self.passage), self.changed
        if self.nearest:
            return tr("{reason}, which has `{element}`", reason=says, element=self.nearest)
        if changed is None:
            return says
        return tr(
            "{reason}, since it was changed in {table} {hook} by `{line}`{writer}",
            reason=says,
            line=changed.evidence,
            writer=written_by(changed.origin),
            table=changed.table,
            hook=changed.hook,
        )

    @property
    def held(self) -> int:
        """How many conditions of the rule the packet met; of a key of several parts how many parts."""
        asked = [s for s in self.rule.statements if isinstance(s, Compare | VerdictMap)]
        return len(asked) - 1 + (len(self.nearest.key) - 1 if self.nearest else 0)

    @property
    def changed(self) -> Step | None:
        """The line after which the condition no longer held, of those that the packet met in this namespace."""
        last = self.index + (self.journey.steps[self.index].after is self.passage.packet)
        steps = [step for step in self.journey.steps[:last] if step.netns == self.netns]
        changes = (step for step in reversed(steps) if step.line is not None and step.before is not step.after)
        return next((step for step in changes if self._fails(step.after) and not self._fails(step.before)), None)

    def _fails(self, packet: Packet) -> bool:
        return bool(self.failed.why_not(replace(self.passage, packet=packet)))

    @property
    def cure(self) -> str:
        """The command that adds the element which a named set or map does not have; empty for what no element mends."""
        if not isinstance(self.failed, Compare | VerdictMap) or not isinstance(self.failed.table, str):
            return ""
        of = self.failed.left if isinstance(self.failed, Compare) else self.failed.of
        key = of.key(self.passage)
        if key is None or not self.failed.table or getattr(self.failed, "operator", "") == "!=":
            return ""
        element = show_values(of.types, key) + (f" : {self.nearest.data_text}" if self.nearest else "")
        return f"nft add element {self.table.title} {self.failed.table[1:]} '{{ {element} }}'"

    def mended(self, world: World) -> World:
        """Return the world in which the rule does not ask for what failed, or the map has such an element."""
        if isinstance(self.failed, VerdictMap):
            return with_nft_table(world, self.netns, self.table, self._with_element(self.failed))
        statements = tuple(one for one in self.rule.statements if one is not self.failed)
        new = replace(self.rule, statements=statements)
        return with_nft_table(world, self.netns, self.table, with_nft_rule(self.table, self.rule, new))

    def _with_element(self, lookup: VerdictMap) -> NftTable:
        key = lookup.of.key(self.passage)
        if key is None or self.nearest is None:
            return self.table
        new = self.nearest._replace(key=tuple((value, value) for value in key))
        old = _map_of(lookup, self.passage)
        full = old.holding([*old.elements, new])
        if old.name:
            return replace(self.table, sets=tuple(full if one is old else one for one in self.table.sets))
        other = replace(lookup, table=full)
        statements = tuple(other if one is lookup else one for one in self.rule.statements)
        return with_nft_rule(self.table, self.rule, replace(self.rule, statements=statements))


def _map_of(lookup: VerdictMap, passage: ChainPassage) -> NftSet:
    return lookup.table if isinstance(lookup.table, NftSet) else passage.set_called(lookup.table[1:])


def with_nft_rule(table: NftTable, old: NftRule, *new: NftRule) -> NftTable:
    """Return a table with other rules, or none, in place of one."""

    def changed(chain: NftChain) -> NftChain:
        if chain.name != old.chain:
            return chain
        return replace(chain, rules=tuple(other for rule in chain.rules for other in (new if rule is old else (rule,))))

    return replace(table, chains=tuple(map(changed, table.chains)))


def with_nft_table(world: World, netns: str, old: NftTable, new: NftTable) -> World:
    """Return a world in which a namespace has another native table in place of one."""
    tables = tuple(new if one is old else one for one in world[netns].ip4.nft)
    return world.put(world[netns].with_ip4(nft=tables))


def native_misses(world: World, journey: Journey, hooks: Sequence[str], *kinds: str) -> Iterator[NftMiss]:
    """Yield the native rules that nearly matched a packet at some hooks, in base chains of some types."""
    visits = groupby(enumerate(journey.steps), key=lambda pair: pair[1].netns)
    for name, steps in ((name, tuple(some)) for name, some in visits):
        for hook, table in product(hooks, world[name].ip4.nft):
            bases = bases_at(table, hook, kinds)
            entrance = entrance_at(world[name], steps, hook, table.title) if bases else None
            if entrance:
                yield from _missed(journey, name, table, bases, entrance)


def bases_at(table: NftTable, hook: str, kinds: Sequence[str]) -> list[NftChain]:
    """Return the base chains of some types that a table has at a hook, in the order in which packets come to them."""
    chains = (chain for chain in reversed(() if table.dormant else table.chains) if chain.hook.upper() == hook)
    return sorted((chain for chain in chains if chain.type in kinds), key=lambda chain: chain.priority)


def _missed(
    journey: Journey, netns: str, table: NftTable, bases: Sequence[NftChain], entrance: HookEntrance
) -> Iterator[NftMiss]:
    waiting, at = list(entrance.matched), replace(entrance.at, chance=None)
    for base in bases:
        start = ChainPassage(waiting[0][1].before if waiting else entrance.packet, at, table.set_of)
        for rule, passage, index in _tried(table, base, waiting, start, entrance.beside):
            if failed := _only_failed(rule, passage):
                near = _nearest(failed, passage)
                yield NftMiss(journey, index, netns, table, rule, failed, passage, near)


def _tried(
    table: NftTable, base: NftChain, waiting: list[tuple[int, Step]], passage: ChainPassage, index: int
) -> Iterator[tuple[NftRule, ChainPassage, int]]:
    """Yield the rules that were tried in vain, each with what it saw: the walk as the steps tell it."""
    callers: list[Iterator[NftRule]] = []
    rules = iter(base.rules)
    while True:
        rule = next(rules, None)
        if rule is None:
            if not callers:
                return
            rules = callers.pop()
        elif not waiting or rule is not waiting[0][1].line:
            yield rule, passage, index
        else:
            index, step = waiting.pop(0)
            verdict = _verdict(rule, replace(passage, packet=step.before), waiting)
            passage = replace(passage, packet=step.after)
            if verdict.name in ("accept", "drop", "queue"):
                return
            if verdict.name == "return":
                rules = iter(())
            elif verdict.chain:
                callers += [rules] if verdict.name == "jump" else []
                rules = iter(table.chain(verdict.chain).rules)


def _verdict(rule: NftRule, passage: ChainPassage, waiting: Sequence[tuple[int, Step]]) -> NftVerdict:
    """Return how a rule that matched ended; where chance chose the chain, the one whose rule matched next."""
    last = rule.statements[-1] if rule.statements else None
    if isinstance(last, Decide):
        return last.verdict
    if isinstance(last, NatStatement):
        return NftVerdict("accept")
    if not isinstance(last, VerdictMap):
        return NftVerdict("drop" if rule.rejects else "continue")
    verdict = last.act(replace(passage, words=[])) or NftVerdict("continue")
    following = getattr(waiting[0][1].line, "chain", "") if waiting else ""
    if verdict.chain and following != verdict.chain and following in jumps_of(rule, passage.sets):
        return replace(verdict, chain=following)
    return verdict


def _only_failed(rule: NftRule, passage: ChainPassage) -> NftStatement | None:
    """Return the only statement of a rule that does not hold; None where there are more, or nobody knows."""
    failed: list[NftStatement] = []
    for statement in rule.statements:
        if statement.remembers or isinstance(statement, Opaque | OtherFamily):
            return None
        try:
            if isinstance(statement, Compare | VerdictMap) and statement.why_not(passage):
                failed.append(statement)
        except McniError:
            return None
    return failed[0] if len(failed) == 1 else None


def _nearest(failed: NftStatement, passage: ChainPassage) -> Element | None:
    """Return the element of a map that a packet's key misses by one of its parts."""
    key = failed.of.key(passage) if isinstance(failed, VerdictMap) else None
    if key is None or len(key) == 1 or not isinstance(failed, VerdictMap):
        return None
    elements = _map_of(failed, passage).elements
    return next((one for one in elements if sum(map(covers, one.key, key)) == len(key) - 1), None)


def nft_in_short(rule: NftRule) -> str:
    """Write a rule without its comment."""
    return " ".join(map(str, rule.statements))
