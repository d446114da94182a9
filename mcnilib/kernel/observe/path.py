"""Frames and stays put together: one packet's way through all namespaces, in order.

A frame belongs to the packet with its mark; a packet that is sent again (or twice with the same header, as RST
segments are) starts a new way where it leaves its origin. Frames have times, stays do not: each stay is claimed by
the frame that led to it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from mcnilib.kernel.observe.capture import Frame
from mcnilib.kernel.observe.decode import Mark
from mcnilib.kernel.observe.traversal import Stay
from mcnilib.linux.device.base import DeviceRole
from mcnilib.world.world import World

_PAUSE = 150_000_000
"""Nanoseconds after which a frame with the same mark is another packet: less than any retransmission, more than ARP."""


@dataclass(slots=True)
class Way:
    """What is known of one packet: frames and stays in order. `time` is 0 when it never reached a device."""

    mark: Mark
    time: int = 0
    items: list[Frame | Stay] = field(default_factory=list)
    copies: list[Frame] = field(default_factory=list)  # a bridge's, of the frame seen last

    @property
    def last_frame(self) -> Frame | None:
        """The last device it was seen on."""
        return next((item for item in reversed(self.items) if isinstance(item, Frame)), None)

    def at_sockets(self, frame: Frame) -> bool:
        """Tell whether it reached the sockets, so that a frame that leaves is another packet."""
        last = self.items[-1] if self.items else None
        return frame.out and isinstance(last, Stay) and "INPUT" in last.passed


class Cabling:
    """Which devices stand on which: macvlan children (one in mode passthru takes every MAC), bridge ports, tunnels."""

    def __init__(self, world: World) -> None:
        """Index the world's devices."""
        indexes = {(netns.name, link.index): link.name for netns in world for link in netns.links}
        links = [(netns.name, link) for netns in world for link in netns.links]
        ends = {
            (name, link.name): (end.netns, indexes.get((end.netns, end.index), ""))
            for name, link in links
            if (end := link.kind.endpoint)
        }
        self.below = {(name, link.name): ends[name, link.name] for name, link in links if link.kind.child}
        self.children = {
            (self.below[name, link.name], "" if child.takes_all else link.mac)
            for name, link in links
            if (child := link.kind.child)
        }
        self.peer = {(name, x.name): ends[name, x.name] for name, x in links if x.kind.role is DeviceRole.PAIR}
        self.segments = {(port.netns, port.link): one.name for one in world.segments for port in one.ports}
        self.master = {(name, link.name): link.master for name, link in links if link.master}
        self.tunnels = {(name, link.name) for name, link in links if link.kind.tunnel}
        self.listening = {name for name, link in links if link.up and link.kind.tunnel and link.kind.tunnel.udp_port}

    def takes(self, frame: Frame) -> bool:
        """Tell whether a frame was meant for this device or something that stands on it; switches also flood."""
        place = (frame.netns, frame.dev)
        return not frame.other or {(place, frame.mac), (place, "")} & self.children != set() or place in self.master

    def goes_on(self, last: Frame, frame: Frame) -> bool:
        """Tell whether `frame` is the next sight of the packet last seen in `last`."""
        if frame.time - last.time > _PAUSE:
            return False
        if not frame.out:
            return True
        here, before = (frame.netns, frame.dev), (last.netns, last.dev)
        if not last.out:
            return frame.netns == last.netns
        below = self.below.get(before) == here or before in self.tunnels or self.master.get(here) == last.dev
        return below or self.flooded(last, frame)

    def flooded(self, last: Frame, frame: Frame) -> bool:
        """Tell whether a bridge that knows no port for the frame sent a copy by one port and now by the next."""
        ports = (last.netns, last.dev), (frame.netns, frame.dev)
        bridges = {self._bridge(port) for port in ports}
        return last.out and frame.out and ports[0] != ports[1] and len(bridges) == 1 and "" not in bridges

    def copy(self, way: Way, frame: Frame) -> bool:
        """Tell whether a bridge sent this beside what went on: it knows no port for the frame, or it is promiscuous.

        What leaves by a port comes in by another, or out of the bridge itself, just before: no copy does.
        """
        if not frame.out or (frame.netns, frame.dev) not in self.master:
            return False
        here = next((x for x in reversed(way.items) if isinstance(x, Frame) and x.netns == frame.netns), None)
        if here is None or frame.time - here.time > _PAUSE:
            return False
        up = not here.out and here.dev == self.master[frame.netns, frame.dev]
        sent = here.out and here.dev != self.master[frame.netns, frame.dev]
        return up or (here is not way.last_frame and not (sent and not self.flooded(here, frame)))

    def passed_up(self, last: Frame, frame: Frame) -> bool:
        """Tell whether a bridge takes for itself what it has just sent a copy of by a port."""
        return last.out and not frame.out and self.master.get((last.netns, last.dev)) == frame.dev

    def cable(self, place: tuple[str, str]) -> object:
        """Return what two devices with a cable between them have in common."""
        return self.segments.get(place) or frozenset((place, self.peer.get(place)))

    def _bridge(self, place: tuple[str, str]) -> str:
        return f"{place[0]} {self.master[place]}" if place in self.master else ""


def ways(world: World, frames: Iterable[Frame], stays: Iterable[Stay]) -> list[Way]:
    """Return every packet's way, in order of departure; packets that reached no device come last."""
    cabling = Cabling(world)
    seen = sorted((f for f in frames if f.seen and cabling.takes(f)), key=lambda f: f.time)
    inner = {f.seen.mark: f.seen.inner.mark for f in seen if f.seen and f.seen.inner}
    waiting: dict[tuple[str, Mark, str, str], deque[Stay]] = defaultdict(deque)
    for stay in stays:
        waiting[stay.netns, stay.mark, stay.begins, stay.iif].append(stay)
    found: list[Way] = []
    open_: dict[Mark, Way] = {}
    for frame in seen:
        mark = frame.seen.mark if frame.seen else Mark("", 0, ())
        way = open_.get(inner.get(mark, mark))
        if way and cabling.copy(way, frame):
            continue
        if way is None or way.at_sockets(frame) or (way.last_frame and not cabling.goes_on(way.last_frame, frame)):
            way = open_[inner.get(mark, mark)] = Way(inner.get(mark, mark), frame.time)
            found.append(way)
        _extend(way, frame, mark, waiting, cabling)
    lost = [stay for queue in waiting.values() for stay in queue]
    return found + [Way(stay.mark, 0, [stay]) for stay in lost if not _joins(stay, found, cabling)]


def _joins(stay: Stay, found: Iterable[Way], cabling: Cabling) -> bool:
    """Add the stay of a tunnel's outer packet that no device saw to the way of the packet it carries."""
    for way in found:
        last = way.items[-1]
        entered = isinstance(last, Frame) and last.out and (last.netns, last.dev) in cabling.tunnels
        if entered and last.netns == stay.netns and stay.begins == "OUTPUT":
            way.items.append(stay)
            return True
    return False


def _extend(
    way: Way, frame: Frame, mark: Mark, waiting: dict[tuple[str, Mark, str, str], deque[Stay]], cabling: Cabling
) -> None:
    """Add a frame, and the stay it came out of or led to; of a bridge's copies the one that arrives, else the last."""
    last = way.last_frame
    if last and cabling.flooded(last, frame):
        way.copies.append(last)
        way.items[-1] = frame
        return
    if last and last is way.items[-1] and last.netns == frame.netns and cabling.passed_up(last, frame):
        way.items.pop()
    elif way.copies and not frame.out:
        cable = cabling.cable((frame.netns, frame.dev))
        came = (copy for copy in way.copies if cabling.cable((copy.netns, copy.dev)) == cable)
        way.items[-1] = next(came, way.items[-1])
    way.copies.clear()
    outer = last is not None and frame.out and last.seen is not None and last.seen.mark != mark
    if frame.out and (last is None or outer):
        _claim(way, waiting[frame.netns, mark, "OUTPUT", ""])
    way.items.append(frame)
    if not frame.out:
        _claim(way, waiting[frame.netns, mark, "PREROUTING", frame.dev])


def _claim(way: Way, queue: deque[Stay]) -> None:
    if queue:
        way.items.append(queue.popleft())
