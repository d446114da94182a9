"""Routing tables that were asked and had no route, and the rules that asked them.

Source: fib_rules_lookup() in net/core/fib_rules.c: a table without a route passes the look-up on to the next rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcnilib.errors import McniError
from mcnilib.language import tr
from mcnilib.linux.netns import Netns
from mcnilib.linux.routing.route import ANY, Query, Route
from mcnilib.linux.routing.rule import Rule
from mcnilib.trace.trace import Fate, Journey, Stage, Step
from mcnilib.trace.why.reason import Lack, Reason
from mcnilib.world.world import World

_LOST = (Stage.ROUTE, Stage.ARP, Stage.DEVICE, Stage.RP_FILTER, Stage.FORWARDING)


def tables_without_route(world: World, journey: Journey) -> Iterator[Reason]:
    """Yield the tables that a packet's look-ups passed over, with the rules that asked them.

    One decides where the packet is lost on the path another table chose, for want of a route, a neighbour or trust.
    """
    for index, step in enumerate(journey.steps):
        if step.stage is Stage.ROUTE and not isinstance(step.line, Rule):
            for rule in _passed_over(world[step.netns], step):
                decides = journey.last.stage in _LOST and journey.fate is not Fate.DELIVERED
                said = _said(world[step.netns], rule, step)
                yield Reason(journey.number, index, step.netns, said, rule, lack=Lack.ROUTE, decides=decides)


def _passed_over(netns: Netns, step: Step) -> list[Rule]:
    """Return the rules for some packets only that asked a table without a route; none where that is not certain.

    The source of what the namespace itself sends may have been chosen by this very look-up, except with TCP.
    """
    packet = step.before
    query = Query(packet.dst, packet.src, step.iif or "lo", mark=packet.mark)
    chosen_here = not step.iif and packet.proto != "tcp"
    try:
        passed = netns.fib.passed_over(query)
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
    there = {"table": rule.table, "lacks": lacks, "rule": " ".join(str(rule).split())}
    if isinstance(route, Route):
        return tr(
            "table {table}, which `{rule}` asks, {lacks}: the look-up went on to table {next} and took `{route}`",
            next=route.table,
            route=str(route).strip(),
            **there,
        )
    return tr("table {table}, which `{rule}` asks, {lacks}, nor has any table after it", **there)
