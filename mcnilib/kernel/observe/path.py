"""Frames and traversals put together: one packet's path through all namespaces, in order.

A frame belongs to the packet with its mark; a packet that is sent again (or twice with the same header, as RST
segments are) starts a new path where it leaves its origin. Frames have times, traversals do not: each is claimed by
the frame that led to it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from mcnilib.kernel.observe.capture import Captured
from mcnilib.kernel.observe.decode import Fingerprint
from mcnilib.kernel.observe.traversal import Traversal
from mcnilib.linux.device.base import DeviceRole
from mcnilib.trace.devices.bridge import shown_to_iptables
from mcnilib.world.world import World

_PAUSE = 150_000_000
"""Nanoseconds after which a frame with the same mark is another packet: less than any retransmission, more than ARP."""


@dataclass(slots=True)
class PacketPath:
    """What is known of one packet: frames and traversals in order. `time` is 0 when it never reached a device."""

    mark: Fingerprint
    time: int = 0
    items: list[Captured | Traversal] = field(default_factory=list)
    copies: list[tuple[int, Captured]] = field(default_factory=list)  # a bridge's, and of which item

    @property
    def last_frame(self) -> Captured | None:
        """The last device it was seen on."""
        return next((item for item in reversed(self.items) if isinstance(item, Captured)), None)

    def at_sockets(self, frame: Captured) -> bool:
        """Tell whether it reached the sockets, so that a frame that leaves is another packet."""
        last = self.items[-1] if self.items else None
        return frame.out and isinstance(last, Traversal) and "INPUT" in last.passed


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
        self.segments = {(port.netns, port.link): segment.name for segment in world.segments for port in segment.ports}
        self.master = {(name, link.name): link.master for name, link in links if link.master}
        self.macs = {(name, link.name): link.mac for name, link in links}
        self.shown = {
            (netns.name, link.name)
            for netns in world
            for link in netns.links
            if link.is_bridge and shown_to_iptables(netns, link)
        }
        self.tunnels = {(name, link.name) for name, link in links if link.kind.tunnel}
        self.listening = {name for name, link in links if link.up and link.kind.tunnel and link.kind.tunnel.udp_port}

    def takes(self, frame: Captured) -> bool:
        """Tell whether a frame was meant for this device or something that stands on it; switches also flood."""
        device = (frame.netns, frame.dev)
        return not frame.other or {(device, frame.mac), (device, "")} & self.children != set() or device in self.master

    def goes_on(self, last: Captured, frame: Captured) -> bool:
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

    def flooded(self, last: Captured, frame: Captured) -> bool:
        """Tell whether a bridge that knows no port for the frame sent a copy by one port and now by the next."""
        ports = (last.netns, last.dev), (frame.netns, frame.dev)
        bridges = {self._bridge(port) for port in ports}
        return last.out and frame.out and ports[0] != ports[1] and len(bridges) == 1 and "" not in bridges

    def copy(self, path: PacketPath, frame: Captured) -> bool:
        """Tell whether a bridge sent this beside what went on: it knows no port for the frame, or it is promiscuous.

        What leaves through a port comes in by another, or out of the bridge itself, just before: no copy does.
        """
        if not frame.out or (frame.netns, frame.dev) not in self.master:
            return False
        here = next((x for x in reversed(path.items) if isinstance(x, Captured) and x.netns == frame.netns), None)
        if here is None or frame.time - here.time > _PAUSE:
            return False
        up = not here.out and here.dev == self.master[frame.netns, frame.dev]
        sent = here.out and here.dev != self.master[frame.netns, frame.dev]
        return up or (here is not path.last_frame and not (sent and not self.flooded(here, frame)))

    def keep(self, path: PacketPath, frame: Captured) -> None:
        """Keep a bridge's copy of what went on: it may be the one that arrives."""
        for index, item in enumerate(path.items):
            if isinstance(item, Captured) and item.netns == frame.netns and self.flooded(item, frame):
                path.copies.append((index, frame))

    def follow(self, path: PacketPath, frame: Captured) -> None:
        """Go back to the copy that arrives here, when what went on is elsewhere."""
        cable, last = self.cable((frame.netns, frame.dev)), path.last_frame
        if last and last.out and self.cable((last.netns, last.dev)) != cable:
            came = ((index, copy) for index, copy in path.copies if self.cable((copy.netns, copy.dev)) == cable)
            if found := next(came, None):
                path.items[found[0] :] = [found[1]]
        path.copies.clear()

    def passed_up(self, last: Captured, frame: Captured) -> bool:
        """Tell whether a bridge takes for itself what it has just sent a copy of by a port."""
        return last.out and not frame.out and self.master.get((last.netns, last.dev)) == frame.dev

    def crossed(self, last: Captured, frame: Captured) -> str:
        """Name the bridge a frame crosses from one port to another, or back into it, where iptables sees it."""
        bridge = self.master.get((last.netns, last.dev), "")
        leaves = frame.dev == bridge or self.master.get((frame.netns, frame.dev)) == bridge
        crosses = bridge and last.netns == frame.netns and frame.out and not last.out and leaves
        return bridge if crosses and (last.netns, bridge) in self.shown else ""

    def at_bridge(self, last: Captured) -> list[Captured]:
        """Return the frame once more, at the bridge of its port, if it was for the bridge; NAT sends it back."""
        bridge = self.master.get((last.netns, last.dev), "")
        return [replace(last, dev=bridge)] if self.macs.get((last.netns, bridge)) == last.mac else []

    def hands_on(self, last: Captured, frame: Captured) -> bool:
        """Tell whether a bridge sends a frame on as if it were its own: it has just asked where its new address is.

        The packet was not routed: it lives as long as before. From then on the neighbour's header is kept, and the
        frame goes straight to a port. Source: br_nf_pre_routing_finish_bridge() in net/bridge/br_netfilter_hooks.c.
        """
        same_life = last.seen is not None and frame.seen is not None and last.seen.packet.ttl == frame.seen.packet.ttl
        return frame.dev == self.crossed(last, frame) != "" and same_life

    def readdressed(self, last: Captured, frame: Captured) -> bool:
        """Tell whether a bridge takes what came in by a port for another: DNAT sends it elsewhere, so it is routed.

        Source: br_nf_pre_routing_finish() in net/bridge/br_netfilter_hooks.c.
        """
        bridge = (frame.netns, self.master.get((last.netns, last.dev)))
        up = not last.out and not frame.out and (frame.netns, frame.dev) == bridge and last.netns == frame.netns
        return up and bridge in self.shown and last.mac != frame.mac

    def ended_in(self, last: Captured, visit: Traversal) -> bool:
        """Tell whether a visit is that of a frame seen last at a bridge port, where iptables sees it."""
        bridge = self.master.get((last.netns, last.dev))
        same = last.seen is not None and last.seen.mark == visit.mark and not last.out
        return same and (visit.netns, visit.iif) == (last.netns, bridge) and (last.netns, bridge) in self.shown

    def cable(self, device: tuple[str, str]) -> object:
        """Return what two devices with a cable between them have in common."""
        return self.segments.get(device) or frozenset((device, self.peer.get(device)))

    def _bridge(self, device: tuple[str, str]) -> str:
        return f"{device[0]} {self.master[device]}" if device in self.master else ""


def packet_paths(world: World, frames: Iterable[Captured], traversals: Iterable[Traversal]) -> list[PacketPath]:
    """Return every packet's path, in order of departure; packets that reached no device come last."""
    cabling = Cabling(world)
    seen = sorted((f for f in frames if f.seen and cabling.takes(f)), key=lambda f: f.time)
    inner = {f.seen.mark: f.seen.inner.mark for f in seen if f.seen and f.seen.inner}
    waiting: dict[tuple[str, Fingerprint, str, str], deque[Traversal]] = defaultdict(deque)
    for visit in traversals:
        waiting[visit.netns, visit.mark, visit.begins, visit.iif].append(visit)
    paths: list[PacketPath] = []
    open_: dict[Fingerprint, PacketPath] = {}
    for frame in seen:
        mark = frame.seen.mark if frame.seen else Fingerprint("", 0, ())
        path = open_.get(inner.get(mark, mark))
        if path and cabling.copy(path, frame):
            cabling.keep(path, frame)
            continue
        if path is None or path.at_sockets(frame) or (path.last_frame and not cabling.goes_on(path.last_frame, frame)):
            path = open_[inner.get(mark, mark)] = PacketPath(inner.get(mark, mark), frame.time)
            paths.append(path)
        _extend(path, frame, mark, waiting, cabling)
    lost = [visit for queue in waiting.values() for visit in queue]
    return paths + [PacketPath(visit.mark, 0, [*_whole(visit)]) for visit in lost if not _joins(visit, paths, cabling)]


def _joins(visit: Traversal, paths: Iterable[PacketPath], cabling: Cabling) -> bool:
    """Add a visit that no device saw: of a tunnel's outer packet, or of a packet that ended between two bridge ports.

    What rules of no table saw of a packet on a bridge is no visit.
    """
    for path in paths:
        last = path.items[-1]
        if isinstance(last, Captured) and cabling.ended_in(last, visit):
            path.items += [*cabling.at_bridge(last), visit]
            return True
        entered = isinstance(last, Captured) and last.out and (last.netns, last.dev) in cabling.tunnels
        if entered and last.netns == visit.netns and visit.begins == "OUTPUT":
            path.items.append(visit)
            return True
    bridges = {(netns, bridge) for (netns, _), bridge in cabling.master.items()}
    return visit.begins == "PREROUTING" and (visit.netns, visit.iif) in bridges - cabling.shown


def _extend(
    path: PacketPath,
    frame: Captured,
    mark: Fingerprint,
    waiting: dict[tuple[str, Fingerprint, str, str], deque[Traversal]],
    cabling: Cabling,
) -> None:
    """Add a frame, and the visit before or after it; of a bridge's copies the one that arrives, else the last."""
    if not frame.out:
        cabling.follow(path, frame)
    last = path.last_frame
    if last and last is path.items[-1] and cabling.hands_on(last, frame):
        return
    if last and cabling.flooded(last, frame):
        path.copies.append((path.items.index(last), last))
        path.items[-1] = frame
        return
    if last and last is path.items[-1] and last.netns == frame.netns and cabling.passed_up(last, frame):
        path.items.pop()
    if last and last is path.items[-1] and last.seen and (bridge := cabling.crossed(last, frame)):
        path.items += cabling.at_bridge(last)
        _claim(path, waiting[frame.netns, last.seen.mark, "PREROUTING", bridge])
    outer = last is not None and frame.out and last.seen is not None and last.seen.mark != mark
    if frame.out and (last is None or outer):
        _claim(path, waiting[frame.netns, mark, "OUTPUT", ""])
    if not (last and last is path.items[-1] and cabling.readdressed(last, frame)):
        path.items.append(frame)
    if not frame.out:
        _claim(path, waiting[frame.netns, mark, "PREROUTING", frame.dev])


def _claim(path: PacketPath, queue: deque[Traversal]) -> None:
    if queue:
        path.items += _whole(queue.popleft())


def _whole(visit: Traversal | None) -> list[Traversal]:
    """Return a visit, and those that follow where IPVS sent the packet on."""
    return [visit, *_whole(visit.sent_on)] if visit else []
