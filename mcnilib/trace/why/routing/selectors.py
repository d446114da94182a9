"""Rules of `ip rule` that nearly applied to a packet which went astray, and tables that no rule asked for it.

Source: fib_rule_match() in net/core/fib_rules.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mcnilib.errors import McniError
from mcnilib.language import tr
from mcnilib.linux.netns import Netns
from mcnilib.linux.routing.fib import applies
from mcnilib.linux.routing.route import ANY, Query, Route
from mcnilib.linux.routing.rule import DEFAULT_RULES, Rule
from mcnilib.trace.trace import Fate, Journey, Replay
from mcnilib.trace.why.reached import MISSES_HELD, works_in
from mcnilib.trace.why.reason import Lack, Reason, written_by
from mcnilib.trace.why.routing.lookups import LED_ASTRAY, asks_back, in_line, query_of
from mcnilib.world.world import World

_ANYTHING: dict[str, object] = {"src": ANY, "dst": ANY, "iif": "", "oif": "", "fwmark": None}
"""The selectors of a rule, each as it is where the rule does not have it."""


@dataclass(frozen=True, slots=True)
class _Look:
    """A look-up of a packet that went astray, and the rules that were tried in vain before one that led on."""

    index: int  # of the step
    netns: Netns
    query: Query

    def passed(self) -> Iterator[Rule]:
        """Yield the rules before the one that decided; all where none did."""
        try:
            taken = self.netns.fib.lookup(self.query).rule
        except McniError:
            taken = None
        for rule in self.netns.ip4.rules:
            if rule == taken:
                return
            yield rule

    def routes(self, table: str) -> list[Route]:
        """Return the routes of a table that lead to the target."""
        return [route for route in self.netns.ip4.routes if route.table == table and self.query.dst in route.dst]


def rules_and_tables_missed(replay: Replay, journey: Journey) -> Iterator[Reason]:
    """Yield the rule without whose failed selector the conversation works, or the table that holds the route and is
    asked by no rule."""
    if journey.fate is Fate.DELIVERED or not (journey.last.stage in LED_ASTRAY or asks_back(journey.last)):
        return
    for index, step in enumerate(journey.steps):
        netns = replay.world[step.netns]
        query = query_of(netns, journey, index)
        if query and netns.ip4.rules != DEFAULT_RULES:
            yield from _nearly(replay, journey, _Look(index, netns, query))
        if query:
            yield from _unasked(replay, journey, _Look(index, netns, query))


def _nearly(replay: Replay, journey: Journey, look: _Look) -> Iterator[Reason]:
    near = [rule for rule in look.passed() if look.routes(rule.table) and _is_near(rule, look, journey)]
    for rule in near[:MISSES_HELD]:
        relaxed = replace(rule, **{name: _ANYTHING[name] for name in _failed(rule, look.query)})  # type: ignore[arg-type]
        said = tr(
            "`{rule}`{writer} does not apply to packet {number}: {reason}",
            rule=in_line(rule),
            writer=f"{writer}," if (writer := written_by(replay.origin(rule))) else "",
            number=journey.number,
            reason=f"{rule.why_not(look.query)}{_set_later(rule, look, journey)}",
        )
        helps = works_in(replay, _with_rules(replay.world, look.netns, rule, relaxed))
        yield Reason(
            journey.number, look.index, look.netns.name, said, rule, decides=helps, aside=True,
            origin=replay.origin(rule),
        )  # fmt: skip


def _set_later(rule: Rule, look: _Look, journey: Journey) -> str:
    """Say which line sets the mark that the rule asks for when the route is chosen already."""
    steps = (step for step in journey.steps[look.index :] if step.netns == look.netns.name and step.hook)
    setting = next((step for step in steps if applies(rule, replace(look.query, mark=step.after.mark))), None)
    if setting is None:
        return ""
    where = f"{setting.table} {setting.hook}"
    return tr("; only after this look-up {where} sets it by `{line}`", where=where, line=setting.evidence)


def _asked(rule: Rule) -> list[str]:
    return [name for name, anything in _ANYTHING.items() if getattr(rule, name) != anything]


def _failed(rule: Rule, query: Query) -> list[str]:
    """Return the selectors of a rule that do not hold."""
    return [name for name in _asked(rule) if not applies(_only(rule, name), query)]


def _only(rule: Rule, name: str) -> Rule:
    """Return a rule with one selector of its own alone."""
    return replace(rule, **{other: value for other, value in _ANYTHING.items() if other != name})  # type: ignore[arg-type]


def _is_near(rule: Rule, look: _Look, journey: Journey) -> bool:
    """Tell whether all selectors but one held; of a rule with one alone, whether the packet had the mark it asks for
    before or after the look-up."""
    if rule.inverted or rule.gap or rule.action != "lookup":
        return False
    failed, asked = _failed(rule, look.query), _asked(rule)
    if len(failed) != 1 or len(asked) > 1:
        return len(failed) == 1
    steps = (step for step in journey.steps if step.netns == look.netns.name)
    marks = {packet.mark for step in steps for packet in (step.before, step.after)}
    return failed == ["fwmark"] and any(applies(rule, replace(look.query, mark=mark)) for mark in marks)


def _with_rules(world: World, netns: Netns, old: Rule, new: Rule) -> World:
    return world.put(netns.with_ip4(rules=tuple(new if rule == old else rule for rule in netns.ip4.rules)))


def _unasked(replay: Replay, journey: Journey, look: _Look) -> Iterator[Reason]:
    """Yield a table with a route to the target that no rule asks, where the conversation works if one does."""
    rules = look.netns.ip4.rules
    asked = {"local", *(rule.table for rule in rules), *(link.kind.l3_table for link in look.netns.links)}
    tables = dict.fromkeys(route.table for route in look.netns.ip4.routes if route.table not in asked)
    for table in [table for table in tables if look.routes(table)][:MISSES_HELD]:
        world = replay.world.put(look.netns.with_ip4(rules=(rules[0], Rule(1, table), *rules[1:])))
        if works_in(replay, world):
            route = max(look.routes(table), key=lambda route: route.dst.prefixlen)
            said = tr("no rule asks table {table}, which has `{route}`", table=table, route=in_line(route))
            yield Reason(
                journey.number, look.index, look.netns.name, said, route, lack=Lack.NONE, decides=True,
                origin=replay.origin(route),
            )  # fmt: skip
