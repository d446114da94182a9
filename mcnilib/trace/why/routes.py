"""What look-ups found, and what they did not: tables that were asked and had no route, and the path back to a sender.

Source: fib_rules_lookup() in net/core/fib_rules.c: a table without a route passes the look-up on to the next rule;
__fib_validate_source() in net/ipv4/fib_frontend.c.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcnilib.errors import McniError
from mcnilib.language import tr
from mcnilib.linux.netns import Netns
from mcnilib.linux.routing.route import ANY, Query, Route, RouteType
from mcnilib.linux.routing.rule import DEFAULT_RULES, Rule
from mcnilib.linux.routing.source import way_back
from mcnilib.trace.trace import Fate, Journey, Replay, Stage, Step
from mcnilib.trace.why.reason import Lack, Reason, written_by

_LOST = (Stage.ROUTE, Stage.ARP, Stage.DEVICE, Stage.RP_FILTER, Stage.FORWARDING)


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
                    decides=journey.last.stage in _LOST and journey.fate is not Fate.DELIVERED,
                    origin=replay.origin(rule),
                )  # fmt: skip


def path_back(replay: Replay, journey: Journey) -> Iterator[Reason]:
    """Yield what the reverse path filter found that dropped a packet: the route back to its sender, and the rule."""
    step, netns = journey.last, replay.world[journey.last.netns]
    if step.stage is not Stage.RP_FILTER:
        return
    try:
        rule, route = netns.fib.lookup(way_back(netns, step.before, step.iif, _way_on(netns, step)))
    except McniError:  # the step says that there is none
        return
    if route.dev in (step.iif, "") or route.type is RouteType.LOCAL:
        return
    asked = (
        ""
        if rule in DEFAULT_RULES
        else tr(" in table {table}, which `{rule}` asks", table=rule.table, rule=_in_line(rule))
    )
    said = tr(
        "the path back to {src} is not through {iif}{bare} but by `{route}`{asked}{writer}",
        src=step.before.src,
        iif=step.iif,
        bare="" if netns.link(step.iif).addresses else tr(", which has no address,"),
        route=_in_line(route),
        asked=asked,
        writer=written_by(replay.origin(route)),
    )
    index = len(journey.steps) - 1
    yield Reason(journey.number, index, step.netns, said, route, decides=True, origin=replay.origin(route))


def _way_on(netns: Netns, step: Step) -> str:
    """Name the device by which a packet would go on; empty where it is for this namespace."""
    packet = step.before
    decision = netns.fib.lookup(Query(packet.dst, packet.src, step.iif, mark=packet.mark))
    return "" if decision.route.type is RouteType.LOCAL else decision.route.dev


def _in_line(line: Route | Rule) -> str:
    """Write a line of state with single spaces, as it stands in a sentence."""
    return " ".join(str(line).split())


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
    there = {"table": rule.table, "lacks": lacks, "rule": _in_line(rule)}
    if isinstance(route, Route):
        return tr(
            "table {table}, which `{rule}` asks, {lacks}: the look-up went on to table {next} and took `{route}`",
            next=route.table,
            route=_in_line(route),
            **there,
        )
    return tr("table {table}, which `{rule}` asks, {lacks}, nor has any table after it", **there)
