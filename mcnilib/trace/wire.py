"""Where an Ethernet frame goes: from the device it is sent on to the devices whose IP layer takes it.

Veth pairs, macvlan children (bridge, private, vepa), software bridges, switch segments and loopback. Tunnels are not
wires: they are IP and live in `mcnilib.trace.tunnel`. Switches are taken to know where each MAC is.
Source: drivers/net/veth.c, drivers/net/macvlan.c (macvlan_queue_xmit, macvlan_handle_frame), net/bridge/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from mcnilib.errors import Unknown, Unsupported
from mcnilib.linux.link import Bridge, Far, Link, Loopback, Macvlan, Opaque, Physical, Veth
from mcnilib.linux.netns import Netns
from mcnilib.linux.sysctl import flag
from mcnilib.linux.world import Port, World

BROADCAST = "ff:ff:ff:ff:ff:ff"
MAX_DEPTH = 32
"""Devices a frame may cross before the wiring is called a loop."""

MAX_CROSSED = 100_000
"""Devices all copies of a frame may be sent on: where bridges form circles, every round doubles them."""

BRIDGE_CALLS = "net.bridge.bridge-nf-call-iptables"

Place = tuple[str, str]
"""(network namespace, device)."""


@dataclass(frozen=True, slots=True)
class Landing:
    """A device whose IP layer takes the frame; `path` names the devices and segments crossed since the sender."""

    netns: str
    link: Link
    path: tuple[Place, ...]


Ends = list[Landing | Unknown]
"""Where a frame gets to, and where it leaves what is known."""


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
        self._sharing = dict(_sharing(world))
        self._crossed = 0
        self._memo: dict[tuple[str, str, Frame], tuple[Landing | Unknown, ...]] = {}

    def send(self, netns: str, link: Link, frame: Frame) -> tuple[Landing, ...]:
        """Return every known device that takes the frame when it is sent on `link`; none when it is lost."""
        return tuple(end for end in self._ends(netns, link, frame) if isinstance(end, Landing))

    def beyond(self, netns: str, link: Link, frame: Frame) -> Unknown | None:
        """Return where the frame leaves what is known of the world; None when it does not."""
        return next((end for end in self._ends(netns, link, frame) if isinstance(end, Unknown)), None)

    def _ends(self, netns: str, link: Link, frame: Frame) -> tuple[Landing | Unknown, ...]:
        key = (netns, link.name, frame)
        if key not in self._memo:
            self._crossed = 0
            self._memo[key] = tuple(self._send(netns, link, frame, ()))
        return self._memo[key]

    def _other_end(self, netns: str, link: Link, far: Far) -> Link | Unknown:
        """Return the device at the other end of a link, or why nobody knows it."""
        found = self.at(far)
        if found:
            return found
        here = f"{link.name} of {netns}"
        if any(n.name == far.netns for n in self.world):
            return Unknown(
                f"{far.netns} has no device {far.index}, which {here} leads to", collect=f"{far.netns} again"
            )
        name = f"the network namespace with id {far.netns[1:]} there" if far.netns[:1] == "/" else far.netns
        what = f"{name}, with its device {far.index}" if far.netns else f"the namespace of its device {far.index}"
        return Unknown(f"the other end of {here} was not collected", collect=what)

    def at(self, far: Far) -> Link | None:
        """Return the device another namespace's link points to; None when it is not there."""
        return self._by_index.get((far.netns, far.index))

    def has_carrier(self, netns: str, link: Link) -> bool:
        """Tell whether a device is up and what it hangs on is too: peer, lower device, a port of a bridge.

        Source: veth_open() in drivers/net/veth.c, macvlan's netif_stacked_transfer_operstate(), br_add_if().
        """
        below, seen = [(netns, link)], set[tuple[str, int]]()
        for place, device in below:  # grows; a device that hangs on itself hangs on nothing
            if device.up and (place, device.index) not in seen:
                seen.add((place, device.index))
                lower = self._lower(place, device)
                if lower is None:
                    return True
                below += lower
        return False

    def _lower(self, netns: str, link: Link) -> list[tuple[str, Link]] | None:
        """Return the devices one of which has to have a carrier; None when it depends on nothing else."""
        match link.kind:
            case Veth(peer=far):
                other = self.at(far)
                return None if other is None or other.up else []
            case Macvlan(lower=far):
                other = self.at(far)
                return None if other is None else [(far.netns, other)]
            case Bridge():
                return [(netns, port) for port in self._ports.get((netns, link.name), [])]
        return None

    def _send(self, netns: str, link: Link, frame: Frame, path: tuple[Place, ...]) -> Ends:
        if not link.up or len(path) > MAX_DEPTH:
            return []
        self._crossed += 1
        if self._crossed > MAX_CROSSED:
            raise Unsupported(
                f"copies of one frame cross more than {MAX_CROSSED} devices: bridges in a circle, {link.name}"
            )
        path = (*path, (netns, link.name))
        match link.kind:
            case Loopback():
                return [Landing(netns, link, path)]
            case Veth(peer):
                return self._receive(peer.netns, self._other_end(netns, link, peer), frame, path)
            case Macvlan(lower, mode):
                return self._send_child(self._other_end(netns, link, lower), lower, mode, frame, path)
            case Bridge():
                return self._flood(netns, link.name, "", frame, path)
            case Physical():
                return self._send_segment(netns, link, frame, path)
            case Opaque(why):
                return [Unknown(f"the frame leaves by {link.name}: {why}", collect="")]
        raise Unsupported(f"a bridge port of kind {type(link.kind).__name__.lower()} ({link.name} in {netns})")

    def _send_segment(self, netns: str, link: Link, frame: Frame, path: tuple[Place, ...]) -> Ends:
        segment = self.world.segment_of(netns, link.name)
        if segment is None:
            what = "the segment it is plugged into, in world.json, and who else is"
            loose = Unknown(f"nobody said where the cable of {link.name} of {netns} leads", collect=what)
            return [] if self.world.complete else [loose]
        path = (*path, (segment.name, ""))
        others = (p for p in segment.ports if segment.reflects or (p.netns, p.link) != (netns, link.name))
        ends = self._all(self._receive(p.netns, self._port(p), frame, path) for p in others)
        if segment.uplink:
            sought = f": the machine with the MAC address {frame.dst}" if frame.dst != BROADCAST else ""
            what = f"who else is plugged into {segment.name}{sought}"
            ends.append(Unknown(f"the frame leaves by the uplink of {segment.name}", collect=what))
        return ends

    def _port(self, port: Port) -> Link | Unknown:
        """Return the NIC that is plugged into a port of a segment."""
        found = self._by_name.get((port.netns, port.link))
        return found or Unknown(f"{port.link} of {port.netns} was not collected", collect=port.netns)

    def _flood(self, netns: str, bridge: str, ingress: str, frame: Frame, path: tuple[Place, ...]) -> Ends:
        ports = (port for port in self._ports.get((netns, bridge), []) if port.name != ingress)
        return self._all(self._send(netns, port, frame, path) for port in ports)

    def _send_child(self, device: Link | Unknown, lower: Far, mode: str, frame: Frame, path: tuple[Place, ...]) -> Ends:
        """Send from a macvlan child: to bridge-mode siblings at once, everything else out by the lower device."""
        if isinstance(device, Unknown):
            return [device]
        if not device.up:
            return []
        siblings = self._children.get((lower.netns, lower.index), [])
        near = [(n, link) for n, link, kind in siblings if mode == kind.mode == "bridge"]
        here: Ends = [  # what is sent to its own MAC comes back, what is sent to all does not
            Landing(n, link, (*path, (lower.netns, device.name)))
            for n, link in near
            if frame.dst == link.mac or (frame.dst == BROADCAST and link.mac != frame.src)
        ]
        if here and frame.dst != BROADCAST:
            return here
        return here + self._send(lower.netns, device, frame, path)

    def _receive(self, netns: str, link: Link | Unknown, frame: Frame, path: tuple[Place, ...]) -> Ends:
        if isinstance(link, Unknown):
            return [link]
        if not link.up or len(path) > MAX_DEPTH:
            return []
        path = (*path, (netns, link.name))
        if (netns, link.index) in self._sharing:
            return [self._sharing[netns, link.index]]
        children = self._children.get((netns, link.index))
        if children:
            return self._receive_lower(netns, link, children, frame, path)
        if link.master:
            return self._receive_port(netns, link, frame, path)
        return [Landing(netns, link, path)] if frame.dst in (link.mac, BROADCAST) else []

    def _receive_lower(
        self, netns: str, link: Link, children: list[tuple[str, Link, Macvlan]], frame: Frame, path: tuple[Place, ...]
    ) -> Ends:
        """Take a frame that reached a device with macvlan children: they come before the device's own IP layer."""
        own: Ends = [Landing(netns, link, path)] if frame.dst in (link.mac, BROADCAST) else []
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

    def _receive_port(self, netns: str, link: Link, frame: Frame, path: tuple[Place, ...]) -> Ends:
        bridge = self._by_name.get((netns, link.master))
        if bridge and isinstance(bridge.kind, Opaque):
            return [Unknown(f"the frame gets to {bridge.name}: {bridge.kind.why}", collect="")]
        if bridge is None or not bridge.up:
            return []
        mine = (bridge.mac, link.mac, BROADCAST)  # of its ports' MACs the bridge believes that of the port itself
        own: Ends = [Landing(netns, bridge, (*path, (netns, bridge.name)))] if frame.dst in mine else []
        if own and frame.dst != BROADCAST:
            return own
        if frame.dst != BROADCAST and shown_to_iptables(self.world[netns]):
            raise Unsupported(f"iptables of {netns} sees what crosses the bridge {bridge.name}: {BRIDGE_CALLS} = 1")
        return own + self._flood(netns, bridge.name, link.name, frame, path)

    @staticmethod
    def _all(parts: Iterable[Ends]) -> Ends:
        return list(chain.from_iterable(parts))


def shown_to_iptables(netns: Netns) -> bool:
    """Tell whether what crosses a bridge of the namespace passes its iptables rules, as with the module br_netfilter.

    Write the sysctl as 0 where the module is not loaded. Source: net/bridge/br_netfilter_hooks.c.
    """
    return bool(netns.tables) and flag(netns.sysctls, BRIDGE_CALLS)


def _sharing(world: World) -> Iterator[tuple[tuple[str, int], Unknown]]:
    """Name the devices that hand packets over to a device of a kind that is not modelled."""
    for netns in world:
        for link in netns.links:
            if isinstance(link.kind, Opaque) and link.kind.lower and link.up:
                itself = link.kind.lower == Far(netns.name, link.index)
                why = link.kind.why if itself else f"{link.name} of {netns.name} shares its device: {link.kind.why}"
                yield (link.kind.lower.netns, link.kind.lower.index), Unknown(why, collect="")


KEPT = 16
"""Worlds whose cabling is kept."""
_WIRES: dict[int, Wire] = {}
