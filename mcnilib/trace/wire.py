"""Where an Ethernet frame goes: from the device it is sent on to the devices whose IP layer takes it.

Veth pairs, macvlan children (bridge, private, vepa), software bridges, switch segments and loopback. Tunnels are not
wires: they are IP and live in `mcnilib.trace.tunnel`. Switches are taken to know where each MAC is.
Source: drivers/net/veth.c, drivers/net/macvlan.c (macvlan_queue_xmit, macvlan_handle_frame), net/bridge/.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from mcnilib.errors import Unsupported
from mcnilib.linux.link import Bridge, Far, Link, Loopback, Macvlan, Physical, Veth
from mcnilib.linux.world import World

BROADCAST = "ff:ff:ff:ff:ff:ff"
MAX_DEPTH = 32
"""Devices a frame may cross before the wiring is called a loop."""

Place = tuple[str, str]
"""(network namespace, device)."""


@dataclass(frozen=True, slots=True)
class Landing:
    """A device whose IP layer takes the frame; `path` names the devices and segments crossed since the sender."""

    netns: str
    link: Link
    path: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """Source and destination MAC of a frame."""

    src: str
    dst: str


def wire_of(world: World) -> Wire:
    """Return the cabling of a world, indexed at its first run and kept for the next ones."""
    known = _WIRES.get(id(world))
    if known is None or known.world is not world:
        while len(_WIRES) >= KEPT:
            del _WIRES[next(iter(_WIRES))]
        known = _WIRES[id(world)] = Wire(world)
    return known


class Wire:
    """The cabling of a world, indexed once; it never changes during a run."""

    def __init__(self, world: World) -> None:
        """Index devices by number, macvlan children by lower device, bridge ports by bridge."""
        self.world = world
        self._by_index = {(netns.name, link.index): link for netns in world for link in netns.links}
        self._by_name = {(netns.name, link.name): link for netns in world for link in netns.links}
        self._children: dict[tuple[str, int], list[tuple[str, Link, Macvlan]]] = {}
        self._ports: dict[Place, list[Link]] = {}
        for netns in world:
            for link in netns.links:
                if isinstance(link.kind, Macvlan) and link.up:
                    lower = (link.kind.lower.netns, link.kind.lower.index)
                    self._children.setdefault(lower, []).append((netns.name, link, link.kind))
                if link.master:
                    self._ports.setdefault((netns.name, link.master), []).append(link)
        self._memo: dict[tuple[str, str, Frame], tuple[Landing, ...]] = {}

    def send(self, netns: str, link: Link, frame: Frame) -> tuple[Landing, ...]:
        """Return every device that takes the frame when it is sent on `link`; none when it is lost."""
        key = (netns, link.name, frame)
        if key not in self._memo:
            self._memo[key] = tuple(self._send(netns, link, frame, ()))
        return self._memo[key]

    def at(self, far: Far) -> Link | None:
        """Return the device another namespace's link points to; None when it is not there."""
        return self._by_index.get((far.netns, far.index))

    def _send(self, netns: str, link: Link, frame: Frame, path: tuple[Place, ...]) -> list[Landing]:
        if not link.up or len(path) > MAX_DEPTH:
            return []
        path = (*path, (netns, link.name))
        match link.kind:
            case Loopback():
                return [Landing(netns, link, path)]
            case Veth(peer):
                return self._receive(peer.netns, self.at(peer), frame, path)
            case Macvlan(lower, mode):
                return self._send_child(lower, mode, frame, path)
            case Bridge():
                return self._flood(netns, link.name, "", frame, path)
            case Physical():
                return self._send_segment(netns, link, frame, path)
        raise Unsupported(f"a bridge port of kind {type(link.kind).__name__.lower()} ({link.name} in {netns})")

    def _send_segment(self, netns: str, link: Link, frame: Frame, path: tuple[Place, ...]) -> list[Landing]:
        segment = self.world.segment_of(netns, link.name)
        if segment is None:
            return []
        path = (*path, (segment.name, ""))
        others = (p for p in segment.ports if segment.reflects or (p.netns, p.link) != (netns, link.name))
        return self._all(self._receive(p.netns, self._by_name.get((p.netns, p.link)), frame, path) for p in others)

    def _flood(self, netns: str, bridge: str, ingress: str, frame: Frame, path: tuple[Place, ...]) -> list[Landing]:
        ports = (port for port in self._ports.get((netns, bridge), []) if port.name != ingress)
        return self._all(self._send(netns, port, frame, path) for port in ports)

    def _send_child(self, lower: Far, mode: str, frame: Frame, path: tuple[Place, ...]) -> list[Landing]:
        """Send from a macvlan child: to bridge-mode siblings at once, everything else out by the lower device."""
        device = self.at(lower)
        if device is None or not device.up:
            return []
        siblings = self._children.get((lower.netns, lower.index), [])
        near = [s for s in siblings if s[1].mac != frame.src and s[2].mode == "bridge"] if mode == "bridge" else []
        here = [
            Landing(n, link, (*path, (lower.netns, device.name)))
            for n, link, _ in near
            if frame.dst in (link.mac, BROADCAST)
        ]
        if here and frame.dst != BROADCAST:
            return here
        return here + self._send(lower.netns, device, frame, path)

    def _receive(self, netns: str, link: Link | None, frame: Frame, path: tuple[Place, ...]) -> list[Landing]:
        if link is None or not link.up or len(path) > MAX_DEPTH:
            return []
        path = (*path, (netns, link.name))
        children = self._children.get((netns, link.index))
        if children:
            return self._receive_lower(netns, link, children, frame, path)
        if link.master:
            return self._receive_port(netns, link, frame, path)
        return [Landing(netns, link, path)] if frame.dst in (link.mac, BROADCAST) else []

    def _receive_lower(
        self, netns: str, link: Link, children: list[tuple[str, Link, Macvlan]], frame: Frame, path: tuple[Place, ...]
    ) -> list[Landing]:
        """Take a frame that reached a device with macvlan children: they come before the device's own IP layer."""
        own = [Landing(netns, link, path)] if frame.dst in (link.mac, BROADCAST) else []
        if frame.dst != BROADCAST:
            return [Landing(n, child, path) for n, child, _ in children if child.mac == frame.dst] or own
        source = next((kind for _, child, kind in children if child.mac == frame.src), None)
        if source and source.mode not in ("vepa", "bridge"):
            return [Landing(n, child, path) for n, child, _ in children if child.mac == frame.src]
        modes: tuple[str, ...] = ("bridge", "vepa", "private", "passthru")
        if source:
            modes = ("vepa", "bridge") if source.mode == "vepa" else ("vepa",)
        copies = [(n, c) for n, c, kind in children if kind.mode in modes and c.mac != frame.src]
        return [Landing(n, child, path) for n, child in copies] + own

    def _receive_port(self, netns: str, link: Link, frame: Frame, path: tuple[Place, ...]) -> list[Landing]:
        bridge = self._by_name.get((netns, link.master))
        if bridge is None or not bridge.up:
            return []
        own = [Landing(netns, bridge, (*path, (netns, bridge.name)))] if frame.dst in (bridge.mac, BROADCAST) else []
        if own and frame.dst != BROADCAST:
            return own
        return own + self._flood(netns, bridge.name, link.name, frame, path)

    @staticmethod
    def _all(parts: Iterable[list[Landing]]) -> list[Landing]:
        return list(chain.from_iterable(parts))


KEPT = 16
"""Worlds whose cabling is kept."""
_WIRES: dict[int, Wire] = {}
