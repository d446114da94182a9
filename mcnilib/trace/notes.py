"""What is said with a verdict: what was not looked at, as sizes and what was not collected, and what had no effect.

Datagrams and pings that were given no size are small, and no device finds them too long. Where one on the path takes
less than the sender's own, the verdict holds for small packets only. TCP is tried with large ones too
(`mcnilib.trace.sizes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, takewhile

from mcnilib.errors import NoRoute
from mcnilib.language import listed, tr
from mcnilib.linux.netfilter.iptables.rule import ChainRule
from mcnilib.linux.netfilter.iptables.target.tproxy import Tproxy
from mcnilib.linux.netfilter.nftables.rule import NftRule
from mcnilib.linux.routing.route import Query, Route
from mcnilib.linux.sysctl import Setting
from mcnilib.linux.unmodelled import Unseen
from mcnilib.trace.devices.program import program_notes
from mcnilib.trace.devices.wireguard import key_notes
from mcnilib.trace.sizes import size_notes
from mcnilib.trace.trace import Fate, Journey, Missing, Stage, Step, TooBig, Trace
from mcnilib.world.world import World

PROBING = "net.ipv4.tcp_mtu_probing"
SHOWN = 5
"""Namespaces that are named where there may be many."""
_EVERYWHERE = (Unseen.PROGRAMS, Unseen.TABLES, Unseen.QUEUES, Unseen.KINDS, Unseen.ROUTES)
"""What every packet may meet in a namespace."""


def notes_on(world: World, trace: Trace) -> tuple[str, ...]:
    """Return what is to be said with the verdict, most important first."""
    shown = (
        program_notes(world, trace),
        key_notes(world, trace),
        _martian(trace),
        _hops(trace),
        _proxies(trace),
        _late_marks(world, trace),
        _both_backends(world, trace),
        size_notes(world, trace),
        _probing(world, trace),
    )
    return (*chain(*shown), *_unseen(world, trace), *_unreadable(world, trace))


def _martian(trace: Trace) -> Iterator[str]:
    """Say why a source is not believed only because of the packet's mark."""
    step = trace.outcome.step
    if step.stage is Stage.RP_FILTER and isinstance(step.line, Setting) and step.line.key.endswith(".src_valid_mark"):
        yield tr("{netns}: {reason}", netns=step.netns, reason=step.action)


def _hops(trace: Trace) -> Iterator[str]:
    """Say what is assumed of a machine that sends by one of several next hops."""
    own = (step for step in trace.steps() if isinstance(step.line, Route) and step.line.hops and not step.iif)
    for netns in dict.fromkeys(step.netns for step in own):
        yield tr(
            "assumed: {netns} has Linux 6.16 or later, which sends by the next hop whose address it took; before, the "
            "hash chose again",
            netns=netns,
        )


def _proxies(trace: Trace) -> Iterator[str]:
    """Say what is assumed of the program that TPROXY hands packets to."""
    rules = (
        step for step in trace.steps() if isinstance(step.line, ChainRule) and isinstance(step.line.target, Tproxy)
    )
    for netns in dict.fromkeys(step.netns for step in rules if step.fate is Fate.GOES_ON):
        yield tr("assumed: the program that TPROXY hands packets to on {netns} has set IP_TRANSPARENT", netns=netns)


def _late_marks(world: World, trace: Trace) -> Iterator[str]:
    """Say of the request that a mark of OUTPUT would have led elsewhere, if it did not come after the route was chosen.

    Source: see `mcnilib.linux.netfilter.hooks.HookEntry`.
    """
    steps = _of_sender(trace.journeys[0])
    marking = [step for step in steps if step.hook == "OUTPUT" and step.before.mark != step.after.mark]
    taken = [step for step in steps if isinstance(step.line, Route)]
    meant = _route_of(world, marking[-1]) if marking and taken else None
    if meant and (meant.dev, meant.via) != (taken[-1].oif, getattr(taken[-1].line, "via", None)):
        yield tr(
            "the request leaves {netns} through {device} and gets to {last}: {table} sets the mark {mark:#x} when the "
            "route is chosen already, by `{rule}`; only mangle and DNAT in OUTPUT make Linux look it up again, and "
            "with the mark it would find `{route}` in table {route_table}",
            netns=taken[-1].netns,
            device=taken[-1].oif,
            last=trace.journeys[0].last.netns,
            rule=marking[-1].evidence,
            table=marking[-1].table,
            mark=marking[-1].after.mark,
            route=str(meant).strip(),
            route_table=meant.table,
        )


def _of_sender(journey: Journey) -> list[Step]:
    """Return the steps of a packet in the namespace it was made in."""
    return list(takewhile(lambda step: step.netns == journey.steps[0].netns, journey.steps))


def _route_of(world: World, step: Step) -> Route | None:
    """Look up the route of a packet as it is after a step."""
    packet = step.after
    try:
        return world[step.netns].fib.lookup(Query(packet.dst, packet.src, mark=packet.mark)).route
    except NoRoute:
        return None


def _both_backends(world: World, trace: Trace) -> Iterator[str]:
    """Name the machines whose packets met the rules of both backends of iptables; see hooks.LEGACY."""
    names = dict.fromkeys(step.netns for step in trace.steps() if step.hook and world[step.netns].ip4.legacy)
    if names:
        yield tr(
            "{namespaces}: both iptables-nft and iptables-legacy have rules; a packet meets those of both, at a hook "
            "first those of the table that was registered last (nothing tells which), and the first DNAT or SNAT holds",
            namespaces=listed(names),
        )


def _unreadable(world: World, trace: Trace) -> Iterator[str]:
    """Name what was collected and cannot be read, where the verdict does not."""
    gaps = ((netns.name, gap.why) for netns in world for gap in netns.missing if gap.unreadable)
    what = trace.outcome.step.what
    reported = what.reasons if isinstance(what, Missing) else ()
    rest = [(name, reason) for name, reason in gaps if reason not in reported]
    names = list(dict.fromkeys(name for name, _ in rest))
    if names:
        more = tr(" and {count} more", count=len(names) - SHOWN) if names[SHOWN:] else ""
        yield tr("not looked at, in {names}{more}: {reason}", names=listed(names[:SHOWN]), more=more, reason=rest[0][1])


def _unseen(world: World, trace: Trace) -> Iterator[str]:
    """Say what nobody looked at in the namespaces the packets came to, and would have met there."""
    meets: dict[str, dict[str, None]] = {}
    for netns, part in (meeting for step in trace.steps() for meeting in _meetings(world, step)):
        if part in world[netns].unseen:
            meets.setdefault(part, {})[netns] = None
    for part in sorted(meets):
        yield tr("not collected on {namespaces}: {part}", namespaces=listed(meets[part]), part=part)


def _meetings(world: World, step: Step) -> Iterator[tuple[str, str]]:
    """Yield what a packet may meet at a step: namespaces, and what may be there.

    UDP meets old connections where NAT rules decide about it: they outlive the rules they were made by, and a client
    that takes the same port again has the same connection.
    """
    crossed = [(netns, world[netns].link(dev)) for netns, dev in step.path if dev]
    for netns in dict.fromkeys((step.netns, *(netns for netns, _ in crossed))):
        yield from ((netns, part) for part in _EVERYWHERE)
    if step.stage is Stage.SOCKET and step.fate is Fate.REJECTED:
        yield step.netns, Unseen.SOCKETS
    if step.before.proto == "udp" and isinstance(step.line, ChainRule | NftRule) and step.line.rewrites:
        yield step.netns, Unseen.CONNECTIONS


def _probing(world: World, trace: Trace) -> Iterator[str]:
    """Say of a sender whose long segments get lost that it tries smaller ones later."""
    outcome = trace.outcome
    sender = outcome.journey.steps[0].netns
    if isinstance(outcome.step.what, TooBig) and outcome.journey.packet.tcp and world[sender].number(PROBING) == 1:
        yield tr("{netns} has {key} = 1: it tries smaller segments after some 6 seconds", netns=sender, key=PROBING)
