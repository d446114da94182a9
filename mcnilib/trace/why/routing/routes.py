"""What look-ups found, and what they did not: tables without a route, the path back to a sender, whose address it was.

Source: fib_rules_lookup() in net/core/fib_rules.c: a table without a route passes the look-up on to the next rule;
__fib_validate_source() in net/ipv4/fib_frontend.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mcnilib.errors import McniError, NoRoute
from mcnilib.language import listed, tr
from mcnilib.linux.netns import Netns
from mcnilib.linux.routing.route import ANY, Query, Route, RouteType
from mcnilib.linux.routing.rule import DEFAULT_RULES, Rule
from mcnilib.trace.trace import Fate, Journey, Replay, Stage, Step
from mcnilib.trace.why.reason import Lack, Reason, written_by
from mcnilib.trace.why.routing.lookups import LED_ASTRAY, asks_back, in_line, query_back

_NAMED = 4
"""Namespaces that are named where more have the address."""


def tables_without_route(replay: Replay, journey: Journey) -> Iterator[Reason]:
    """Yield the tables that a packet's look-ups passed over, with the rules that asked them.

    One decides where the packet is lost on the path another table chose, for want of a route, a neighbour or trust.
    """
    for index, step in enumerate(journey.steps):
        if step.stage is Stage.ROUTE and not isinstance(step.line, Rule):
            for rule in _passed_over(replay.world[step.netns], step):
                yield Reason(
                    journey.number, index, step.netns, _said(replay.world[step.netns], rule, step), rule,
                    lack=Lack.ROUTE,
                    decides=journey.last.stage in LED_ASTRAY and journey.fate is not Fate.DELIVERED,
                    origin=replay.origin(rule),
                )  # fmt: skip


def path_back(replay: Replay, journey: Journey) -> Iterator[Reason]:
    """Yield what the reverse path filter found that dropped a packet, the sysctl or the match of iptables: the route
    back to its sender, and the rule."""
    step, netns = journey.last, replay.world[journey.last.netns]
    query = query_back(netns, step) if asks_back(step) and journey.fate is Fate.DROPPED else None
    if query is None:
        return
    try:
        rule, route = netns.fib.lookup(query)
    except NoRoute as problem:
        if step.stage is not Stage.RP_FILTER:  # its step says that there is none
            said = tr("no path leads back to {src}: {problem}", src=step.before.src, problem=problem)
            yield Reason(journey.number, len(journey.steps) - 1, step.netns, said, decides=True)
        return
    except McniError:
        return
    if route.dev in (step.iif, "") or route.type is RouteType.LOCAL:
        return
    yield _back_by(replay, journey, rule, route)


def _back_by(replay: Replay, journey: Journey, rule: Rule, route: Route) -> Reason:
    step, index = journey.last, len(journey.steps) - 1
    asked = (
        ""
        if rule in DEFAULT_RULES
        else tr(" in table {table}, which `{rule}` asks", table=rule.table, rule=in_line(rule))
    )
    bare = "" if replay.world[step.netns].link(step.iif).addresses else tr(", which has no address,")
    said = tr(
        "the path back to {src} is not through {iif}{bare} but by `{route}`{asked}{writer}",
        src=step.before.src,
        iif=step.iif,
        bare=bare if step.stage is Stage.RP_FILTER else "",
        route=in_line(route),
        asked=asked,
        writer=written_by(replay.origin(route)),
    )
    return Reason(journey.number, index, step.netns, said, route, decides=True, origin=replay.origin(route))


def _passed_over(netns: Netns, step: Step) -> list[Rule]:
    """Return the rules for some packets only that asked a table without a route; none where that is not certain.

    The source of what the namespace itself sends may have been chosen by this very look-up, except with TCP.
    """
    chosen_here = not step.iif and step.before.proto != "tcp"
    packet = step.before
    try:
        passed = netns.fib.passed_over(Query(packet.dst, packet.src, step.iif or "lo", mark=packet.mark))
    except McniError:
        return []
    return [rule for rule in passed if not (chosen_here and rule.src != ANY)]


def _said(netns: Netns, rule: Rule, step: Step) -> str:
    dst, route = step.before.dst, step.line
    routes = [known for known in netns.ip4.routes if known.table == rule.table]
    if not routes:
        lacks = tr("is empty")
    elif any(not known.dst.prefixlen for known in routes):
        lacks = tr("has no route to {dst}", dst=dst)
    else:
        lacks = tr("has no route to {dst} and no default route", dst=dst)
    there = {"table": rule.table, "lacks": lacks, "rule": in_line(rule)}
    if isinstance(route, Route):
        return tr(
            "table {table}, which `{rule}` asks, {lacks}: the look-up went on to table {next} and took `{route}`",
            next=route.table,
            route=in_line(route),
            **there,
        )
    return tr("table {table}, which `{rule}` asks, {lacks}, nor has any table after it", **there)


def whose_target(replay: Replay, journey: Journey, others: Sequence[Reason]) -> Iterator[Reason]:
    """Yield the namespaces that have the address a lost packet was for, unless its end or another reason says so."""
    step, index = journey.last, len(journey.steps) - 1
    address = step.before.dst
    owners = [netns.name for netns in replay.world if address in netns.own_addresses and netns.name != step.netns]
    told = any(f"{address}, " in text or f"{address} is " in text for text in (step.action, *(r.said for r in others)))
    if owners and not told and step.stage in LED_ASTRAY and journey.fate is not Fate.DELIVERED:
        more = tr(" and {count} more", count=len(owners) - _NAMED) if owners[_NAMED:] else ""
        said = tr("{address} is an address of {owners}", address=address, owners=f"{listed(owners[:_NAMED])}{more}")
        yield Reason(journey.number, index, "", said)
