"""Small and large: what becomes of long packets where a conversation that works meets a narrow place.

A conversation that was given no size has small packets, which no device finds too long. If it works, and one of its
packets with data met a device or a route that takes less than its sender may send, it is held again: with a large
answer, then with a large request. Numbers only tell whether that is worth while; how it ends is found by the walk.
Datagrams and pings have the size their program chose, so nothing is asked of them.
Source: RFC 1191, RFC 6691, ip_forward(), ip_finish_output() in net/ipv4 (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Network
from typing import NamedTuple

from mcnilib.language import tr
from mcnilib.linux.netfilter.conntrack import Entry
from mcnilib.linux.packet import Packet, is_large
from mcnilib.linux.routing.mtu import own_mtu
from mcnilib.linux.routing.route import Route
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import run
from mcnilib.trace.trace import Fate, Journey, Stage, Step, Trace, Verdict
from mcnilib.world.world import World

Hold = Callable[[Flow, bool], Trace]
"""Holds a conversation; the flag is `partial` of `mcnilib.trace.run.run`."""

LARGE = 20_000
"""Bytes of a large request or answer: many full segments, of jumbo frames two or more."""


class Room(NamedTuple):
    """The largest IP packet that passes somewhere, and how much of it the headers of tunnels take, in bytes."""

    mtu: int
    headers: int
    where: str

    @property
    def left(self) -> int:
        """What is left for the packet itself."""
        return self.mtu - self.headers

    def __str__(self) -> str:
        if self.headers:
            return tr("{mtu} at {place} ({left} inside the tunnel)", mtu=self.mtu, place=self.where, left=self.left)
        return tr("{mtu} at {place}", mtu=self.mtu, place=self.where)


def run_sizes(
    world: World,
    flow: Flow,
    listeners: Sequence[Listener],
    *,
    connections: Sequence[tuple[str, Entry]] = (),
    partial: bool = False,
) -> Trace:
    """Run a conversation with small packets, and with large ones where that may end otherwise (`in_sizes`).

    Raises: as `mcnilib.trace.run.run`.
    """
    return in_sizes(
        world,
        flow,
        partial,
        lambda flow, partial: run(world, flow, listeners, connections=connections, partial=partial),
    )


def in_sizes(world: World, flow: Flow, partial: bool, hold: Hold) -> Trace:
    """Return the conversation with small packets, with `large` if large ones arrive too.

    If large ones get lost, or nobody knows what becomes of them, return the one with those, with `small` in it.
    """
    trace = hold(flow, partial)
    room = None if flow.sized or flow.proto != "tcp" else narrow_place(world, trace)
    if room is None:
        return trace
    ends = [hold(large, True) for large in large_flows(flow)]
    worst = max(ends, key=_badness)  # of two that are as bad the first: that of the answer
    return _beside(worst, trace) if _badness(worst) else replace(trace, large=worst.outcome)


def _badness(trace: Trace) -> int:
    """Order how conversations end: 0 it works, 1 nobody knows, 2 it fails on one course at least."""
    ends = {course.outcome.verdict for course in trace.courses}
    return 2 if ends - {Verdict.CONNECTED, Verdict.UNKNOWN} else int(Verdict.UNKNOWN in ends)


def large_flows(flow: Flow) -> tuple[Flow, Flow]:
    """Return the conversation with a large answer, and with a large request."""
    return replace(flow, answer=LARGE), replace(flow, request=LARGE)


def _beside(large: Trace, small: Trace) -> Trace:
    """Return a conversation with large packets that says how small ones end, in every branch that fails."""
    branches = tuple(
        branch if branch.trace.outcome.works else replace(branch, trace=replace(branch.trace, small=small.outcome))
        for branch in large.branches
    )
    return replace(large, small=small.outcome, branches=branches)


def size_notes(world: World, trace: Trace) -> Iterator[str]:
    """Say of a conversation that works where less passes than its ends would send, and what becomes of large ones."""
    if any(is_large(journey.packet) for journey in trace.journeys):
        return  # its size was looked at
    room = narrow_place(world, trace)
    if room is None:
        return
    if trace.large:
        yield tr("large packets arrive too, through MTU {place}", place=room)
    else:
        yield tr(
            "small packets: {verdict}; MTU {place} was not considered: --size asks about long ones",
            verdict=tr(Verdict.CONNECTED.value),
            place=room,
        )


def narrow_place(world: World, trace: Trace) -> Room | None:
    """Return the narrowest place that packets with data met, if it is narrower than what their sender may send.

    A sender sends no more than its own device takes; TCP no more than the other end's MSS says, which comes from that
    end's MTU unless a route has `advmss`. None where no course works.
    """
    mtus = frozenset().union(*(netns.mtus for netns in world))
    if len(mtus) < 2 and 0 not in mtus:
        return None
    works = [course for course in trace.courses if course.outcome.works]
    tight = [room for room in (_tightest(world, course) for course in works) if room]
    return min(tight, key=lambda room: room.left, default=None)


def _tightest(world: World, course: Trace) -> Room | None:
    """Return the narrowest place of one course, if it is narrower than what both ends would send."""
    data = [journey for journey in course.journeys if journey.packet.length and journey.fate is Fate.DELIVERED]
    paths = [[room for step in journey.steps for room in _rooms(world, step)] for journey in data]
    paths = [path for path in paths if path]
    first = {path[0].left for path in paths}
    agreed = course.journeys[0].packet.tcp and not any(map(_says_mss, data))
    least = ((min(path, key=lambda room: room.left), min(first) if agreed else path[0].left) for path in paths)
    return min((room for room, sent in least if room.left < sent), key=lambda room: room.left, default=None)


def _says_mss(journey: Journey) -> bool:
    """Tell whether a route of the packet says which MSS is announced, whatever its device takes."""
    return any(isinstance(step.line, Route) and "advmss" in step.line.settings for step in journey.steps)


def _rooms(world: World, step: Step) -> Iterator[Room]:
    """Yield what one step has room for: the route that was chosen, the devices that were crossed."""
    headers = tunnel_headers(step.after)
    if isinstance(step.line, Route) and (mtu := own_mtu(step.line)):
        yield Room(
            mtu,
            headers,
            tr("the route to {destination} on {netns}", destination=_prefix(step.line.dst), netns=step.netns),
        )
    crossed = [*step.path, *([step.to] if step.to else [])] if step.stage is Stage.DEVICE else []
    crossed += [(step.netns, step.oif)] if step.stage is Stage.TUNNEL and step.after.inner else []
    packed = tunnel_headers(step.before)
    for netns, dev in dict.fromkeys(crossed):
        link = world[netns].link(dev) if dev else None
        if link and not link.is_loopback:
            yield Room(link.mtu, packed, f"{netns}.{dev}")


def _prefix(dst: IPv4Network) -> str:
    return str(dst) if dst.prefixlen else "default"


def tunnel_headers(packet: Packet) -> int:
    """Return how many bytes the tunnels around a packet have added."""
    return packet.inner.headers + tunnel_headers(packet.inner.packet) if packet.inner else 0
