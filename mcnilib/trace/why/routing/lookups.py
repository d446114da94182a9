"""The look-ups of a packet's steps as they were asked, for those who ask again.

Source: ip_route_input_slow() and ip_route_output_key_hash_rcu() in net/ipv4/route.c.
"""

from __future__ import annotations

from mcnilib.errors import McniError
from mcnilib.linux.netfilter.iptables.match.addrtype import RpFilter
from mcnilib.linux.netfilter.iptables.rule import ChainRule
from mcnilib.linux.netns import Netns
from mcnilib.linux.routing.route import Query, Route, RouteType
from mcnilib.linux.routing.rule import Rule
from mcnilib.linux.routing.source import way_back
from mcnilib.trace.trace import Journey, Stage, Step

LED_ASTRAY = (Stage.ROUTE, Stage.ARP, Stage.DEVICE, Stage.RP_FILTER, Stage.FORWARDING)
"""Where a packet ends for want of a route, a neighbour or trust."""


def query_of(netns: Netns, journey: Journey, index: int) -> Query | None:
    """Return what a step's look-up was asked with: of a route, or of the path back to a sender. None where a step looks
    nothing up, or where the source that it was asked with may have been chosen by this very look-up."""
    step = journey.steps[index]
    if asks_back(step):
        return query_back(netns, step)
    if step.stage is not Stage.ROUTE or not (step.iif or step.before.proto == "tcp"):
        return None
    packet = step.before
    return Query(packet.dst, packet.src, step.iif or "lo", mark=packet.mark)


def asks_back(step: Step) -> bool:
    """Tell whether a step asks for the path back to a sender."""
    return step.stage is Stage.RP_FILTER or _match_back(step) is not None


def query_back(netns: Netns, step: Step) -> Query | None:
    """Return the look-up of the path back to a sender; None where that of the path on fails."""
    packet, match = step.before, _match_back(step)
    if match:
        vrf = netns.fib.vrf_of.get(step.iif, "")
        return Query(packet.src, packet.dst, oif=vrf, mark=packet.mark if match.validmark else 0)
    try:
        return way_back(netns, packet, step.iif, _way_on(netns, step))
    except McniError:
        return None


def _match_back(step: Step) -> RpFilter | None:
    """Return the match of the deciding rule that asks for the path back."""
    rule = step.line
    if not isinstance(rule, ChainRule):
        return None
    return next((match for match in rule.matches if isinstance(match, RpFilter) and match.invert), None)


def _way_on(netns: Netns, step: Step) -> str:
    """Name the device by which a packet would go on; empty where it is for this namespace."""
    packet = step.before
    decision = netns.fib.lookup(Query(packet.dst, packet.src, step.iif, mark=packet.mark))
    return "" if decision.route.type is RouteType.LOCAL else decision.route.dev


def in_line(line: Route | Rule) -> str:
    """Write a line of state with single spaces, as it is written in a sentence."""
    return " ".join(str(line).split())
