"""Rules that nearly matched: those a packet was held against in vain, one of whose conditions failed.

Nothing is decided again: what matched is known from the steps, and between two of those stand the rules that did not.
Source: ipt_do_table() in net/ipv4/netfilter/ip_tables.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address
from itertools import groupby, product
from typing import NamedTuple

from mcnilib.errors import McniError
from mcnilib.language import tr
from mcnilib.linux.netfilter.conntrack import ConnState
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.hooks import LEGACY
from mcnilib.linux.netfilter.iptables.extension import Match, Purity
from mcnilib.linux.netfilter.iptables.match.misc import Comment
from mcnilib.linux.netfilter.iptables.rule import ChainRule, Table
from mcnilib.linux.netfilter.iptables.target.verdict import Jump
from mcnilib.linux.netns import Netns
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.source import rpfilter_passes
from mcnilib.trace.trace import Journey, Replay, Stage, Step
from mcnilib.trace.why.reason import Reason, written_by
from mcnilib.world.world import World


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that did not match a packet for one of its conditions: the packet as it was then, and where it was."""

    journey: Journey
    index: int  # of the step beside which it was passed
    netns: str
    table: Table
    rule: ChainRule
    failed: Match
    packet: Packet
    at: Context

    @property
    def reason(self) -> str:
        """What the packet has, and what the rule asks for; which line changed it, where the condition held before."""
        says, changed = self.failed.why_not(self.packet, self.at), self.changed
        if changed is None:
            return says
        line = in_short(changed.line) if isinstance(changed.line, ChainRule) else changed.evidence
        return tr(
            "{reason}, since it was changed in {table} {hook} by `{line}`{writer}",
            reason=says,
            line=line,
            writer=written_by(changed.origin),
            table=changed.table,
            hook=changed.hook,
        )

    @property
    def held(self) -> int:
        """How many conditions of the rule the packet met."""
        return len([match for match in self.rule.matches if not isinstance(match, Comment)]) - 1

    @property
    def table_without(self) -> Table:
        """The table in which the rule does not ask for what failed."""
        matches = tuple(match for match in self.rule.matches if match is not self.failed)
        return with_rule(self.table, self.rule, replace(self.rule, matches=matches))

    @property
    def changed(self) -> Step | None:
        """The line after which the condition no longer held, of those that the packet met in this namespace."""
        test = self.failed.test()
        steps = [step for step in self.journey.steps[: self.index] if step.netns == self.netns]
        changes = (step for step in reversed(steps) if step.line is not None and step.before is not step.after)
        return next((s for s in changes if test and test(s.before, self.at) and not test(s.after, self.at)), None)

    def mended(self, world: World) -> World:
        """Return the world in which the rule does not ask for what failed."""
        return with_table(world, self.netns, self.table, self.table_without)


def with_rule(table: Table, old: ChainRule, *new: ChainRule) -> Table:
    """Return a table with other rules, or none, in place of one."""
    chain = table.chain(old.chain)
    rules = tuple(other for rule in chain.rules for other in (new if rule == old else (rule,)))
    changed = replace(chain, rules=rules)
    return Table(table.name, tuple(changed if one is chain else one for one in table.chains))


def with_table(world: World, netns: str, old: Table, new: Table) -> World:
    """Return a world in which a namespace has another table of iptables in place of one."""
    ip4 = world[netns].ip4
    nft, legacy = (tuple(new if one is old else one for one in tables) for tables in (ip4.tables, ip4.legacy))
    return world.put(world[netns].with_ip4(tables=nft, legacy=legacy))


def in_short(rule: ChainRule) -> str:
    """Write a rule without its comments."""
    told = (str(match) for match in rule.matches if not isinstance(match, Comment))
    return " ".join([f"-A {rule.chain}", *told, *([str(rule.target)] if rule.target else [])])


class HookEntrance(NamedTuple):
    """Where a packet stood when it came to a table at a hook, and what matched there from then on."""

    packet: Packet
    at: Context
    matched: tuple[tuple[int, Step], ...]  # each with its index in the journey
    beside: int  # index of the step at which it is told when nothing matched


_SENT = (Stage.ARP, Stage.DEVICE, Stage.TUNNEL)


def entrance_at(netns: Netns, steps: Sequence[tuple[int, Step]], hook: str, table: str) -> HookEntrance | None:
    """Return how a packet came to a table at a hook of a visit; None where it did not, or nobody knows."""
    matched = tuple(
        (index, step)
        for index, step in steps
        if step.stage is Stage.NETFILTER and (step.hook, step.table) == (hook, table)
    )
    if matched:
        index, first = matched[0]
        return HookEntrance(first.before, first.context, matched, index) if first.context else None
    came = next((step.iif for _, step in steps if step.iif), "")
    sent = next(((index, step) for index, step in steps if step.stage in _SENT), None)
    if hook == "POSTROUTING" and sent:
        return HookEntrance(sent[1].before, _context(netns, steps, hook, came, sent[1].oif), (), sent[0])
    if hook == "PREROUTING" and came:
        return HookEntrance(steps[0][1].before, _context(netns, steps, hook, came, ""), (), steps[0][0])
    if hook == "OUTPUT" and sent and not came:
        return HookEntrance(steps[0][1].after, _context(netns, steps, hook, "", sent[1].oif), (), steps[0][0])
    return None


def _context(netns: Netns, steps: Sequence[tuple[int, Step]], hook: str, iif: str, oif: str) -> Context:
    """Describe where a packet stood of which no rule took notice."""
    tracked = next((step for _, step in reversed(steps) if step.ctstate), None)
    return Context(
        hook,
        iif,
        oif,
        (tracked.ctstate if tracked else None) or ConnState.NEW,
        entry=tracked.entry if tracked else None,
        sets={named.name: named for named in netns.sets},
        address_type=netns.fib.address_type,
        reverse_path=partial(rpfilter_passes, netns),
    )


def near_misses(world: World, journey: Journey, table: str, hooks: Sequence[str]) -> Iterator[NearMiss]:
    """Yield the rules of a table that nearly matched a packet at some hooks, in the order in which it met them; those
    of iptables-legacy are among them."""
    visits = groupby(enumerate(journey.steps), key=lambda pair: pair[1].netns)
    for name, steps in ((name, tuple(some)) for name, some in visits):
        netns = world[name]
        for hook, known in product(hooks, (table, f"{LEGACY}{table}")):
            rules = netns.ip4.by_name.get(known)
            entrance = entrance_at(netns, steps, hook, known) if rules and hook in rules.by_name else None
            if rules and entrance:
                yield from _missed(journey, name, rules, hook, entrance)


def _missed(journey: Journey, netns: str, table: Table, hook: str, entrance: HookEntrance) -> Iterator[NearMiss]:
    for rule, packet, index in _passed(table, hook, entrance):
        if failed := _only_failed(rule, packet, entrance.at):
            yield NearMiss(journey, index, netns, table, rule, failed, packet, entrance.at)


def _passed(table: Table, hook: str, entrance: HookEntrance) -> Iterator[tuple[ChainRule, Packet, int]]:
    """Yield the rules that were tried in vain, each with the packet as it was then: the walk as the steps tell it."""
    packet, at, matched, index = entrance
    waiting = list(matched)
    callers: list[Iterator[ChainRule]] = []
    rules = iter(table.by_name[hook].candidates(packet, at))
    while True:
        rule = next(rules, None)
        if rule is None:
            if not callers:
                return
            rules = callers.pop()
        elif not waiting or rule != waiting[0][1].line:
            yield rule, packet, index
        else:
            index, step = waiting.pop(0)
            packet = step.after
            if rule.ends:
                return
            if rule.returns:
                rules = iter(())
            elif rule.jumps_to:
                callers += [] if isinstance(rule.target, Jump) and rule.target.goto else [rules]
                rules = iter(table.chain(rule.jumps_to).candidates(packet, at))


def _only_failed(rule: ChainRule, packet: Packet, at: Context) -> Match | None:
    """Return the only condition of a rule that a packet does not meet; None where there are more, or chance decides."""
    failed = []
    for match in rule.matches:
        if match.purity in (Purity.UNDECIDED, Purity.REMEMBERS):
            return None
        try:
            test = match.test()
            failed += [] if test is None or test(packet, at) else [match]
        except McniError:
            return None
    return failed[0] if len(failed) == 1 else None


def own_policy(replay: Replay, journey: Journey) -> Iterator[Reason]:
    """Yield the jump that led a packet into the chain that ended it, where it asks for an address of this very machine
    and other chains ask for the same: rules for a pod, whose address is that of its machine."""
    step, netns = journey.last, replay.world[journey.last.netns]
    table = netns.ip4.by_name.get(step.table)
    for index, met in enumerate(journey.steps):
        rule = met.line
        if table is None or (met.netns, met.hook, met.table) != (step.netns, step.hook, step.table):
            continue
        if not isinstance(rule, ChainRule) or rule.jumps_to != step.chain:
            continue
        asked = next((ip for match in rule.matches if (ip := _host(match)) in netns.own_addresses), None)
        from_chains = {chain.name for chain in table.chains if step.chain in chain.summary.jumps}
        if asked and len(from_chains) > 1:
            said = tr(
                "{address} is an address of {netns} itself, and `{rule}` takes its packets there",
                address=asked,
                netns=netns.name,
                rule=in_short(rule),
            )
            yield Reason(journey.number, index, netns.name, said, rule, step.table, decides=True, origin=met.origin)


def _host(match: Match) -> IPv4Address | None:
    """Return the one address that a match asks for; None for any other match."""
    exact = match.exact
    return IPv4Address(exact[1]) if exact and exact[0] in ("src", "dst") and isinstance(exact[1], int) else None
