"""What hangs on what in a world: veth pairs, macvlan children, bridge ports, NICs in segments.

Indexed once for a world, which never changes during a run; how frames go over it is in `mcnilib.trace.stack.ethernet`.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcnilib.errors import Unknown
from mcnilib.linux.device.base import FdbEntry, LinkEnd
from mcnilib.linux.device.bridge import Bridge
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.macvlan import Macvlan
from mcnilib.linux.device.nic import UnmodelledDevice
from mcnilib.linux.device.veth import Veth
from mcnilib.world.world import Port, World

Place = tuple[str, str]
"""(network namespace, device)."""

Sibling = tuple[str, Link, Macvlan]
"""A macvlan device: its namespace, itself, its kind."""


class Cables:
    """The devices of a world by number, macvlan children by lower device, bridge ports by bridge."""

    def __init__(self, world: World) -> None:
        """Index a world."""
        self.world = world
        self._by_index = {(netns.name, link.index): link for netns in world for link in netns.links}
        self._collected = {netns.name for netns in world if netns.links}
        self.by_name = {(netns.name, link.name): link for netns in world for link in netns.links}
        self.children: dict[tuple[str, int], list[Sibling]] = {}
        self.ports: dict[Place, list[Link]] = {}
        for netns in world:
            for link in netns.links:
                if isinstance(link.kind, Macvlan):
                    lower = (link.kind.lower.netns, link.kind.lower.index)
                    self.children.setdefault(lower, []).append((netns.name, link, link.kind))
                if link.master:
                    self.ports.setdefault((netns.name, link.master), []).append(link)
        self.sharing = dict(_sharing(world))
        self._stations: dict[Place, dict[str, FdbEntry]] = {}

    def at(self, far: LinkEnd) -> Link | None:
        """Return the device another namespace's link points to; None when it is not there."""
        return self._by_index.get((far.netns, far.index))

    def station(self, netns: str, bridge: Link, mac: str) -> FdbEntry | None:
        """Return a bridge's entry for a MAC: one that somebody wrote or it learned, or the kernel's for its own MACs.

        Source: br_fdb_add_local(), br_fdb_change_mac_address() in net/bridge/br_fdb.c.
        """
        place = (netns, bridge.name)
        if place not in self._stations:
            written = bridge.kind.fdb if isinstance(bridge.kind, Bridge) else ()
            own = [(port.mac, port.name) for port in self.ports.get(place, [])] + [(bridge.mac, bridge.name)]
            entries = [*written, *(FdbEntry(*one, "permanent") for one in own)]
            self._stations[place] = {one.mac: one for one in reversed(entries)}
        return self._stations[place].get(mac)

    def other_end(self, netns: str, link: Link, far: LinkEnd) -> Link | Unknown:
        """Return the device at the other end of a link, or why nobody knows it."""
        found = self.at(far)
        if found:
            return found
        here = f"{link.name} of {netns}"
        if far.netns in self._collected:
            return Unknown(
                f"{far.netns} has no device {far.index}, which {here} leads to", collect=f"{far.netns} again"
            )
        name = f"the network namespace with id {far.netns[1:]} there" if far.netns[:1] == "/" else far.netns
        what = f"{name}, with its device {far.index}" if far.netns else f"the namespace of its device {far.index}"
        return Unknown(f"the other end of {here} was not collected", collect=what)

    def plugged(self, port: Port) -> Link | Unknown:
        """Return the NIC that is plugged into a port of a segment."""
        found = self.by_name.get((port.netns, port.link))
        return found or Unknown(f"{port.link} of {port.netns} was not collected", collect=port.netns)

    def has_carrier(self, netns: str, link: Link) -> bool:
        """Tell whether a device is up and what it hangs on is too: peer, lower device, a port of a bridge.

        Source: veth_open() in drivers/net/veth.c, macvlan's netif_stacked_transfer_operstate(), br_add_if().
        """
        below, seen = [(netns, link)], set[tuple[str, int]]()
        for place, device in below:  # grows; a device that hangs on itself hangs on nothing
            if device.up and device.carrier and (place, device.index) not in seen:
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
                return [(netns, port) for port in self.ports.get((netns, link.name), [])]
        return None


def copies(children: list[Sibling], src: str) -> list[tuple[str, Link]]:
    """Choose the macvlan children that get a copy of a broadcast from the MAC `src` that their lower device received.

    Source: macvlan_handle_frame(), macvlan_multicast_rx().
    """
    awake = [child for child in children if child[1].up]
    source = next((kind for _, child, kind in awake if child.mac == src), None)
    if source and source.mode not in ("vepa", "bridge"):
        return [(n, child) for n, child, _ in awake if child.mac == src]
    modes: tuple[str, ...] = ("bridge", "vepa", "private", "passthru")
    if source:
        modes = ("vepa", "bridge") if source.mode == "vepa" else ("vepa",)
    return [(n, c) for n, c, kind in awake if kind.mode in modes and c.mac != src]


def _sharing(world: World) -> Iterator[tuple[tuple[str, int], Unknown]]:
    """Name the devices that hand packets over to a device of a kind that is not modelled."""
    for netns in world:
        for link in netns.links:
            if isinstance(link.kind, UnmodelledDevice) and link.kind.lower and link.up:
                itself = link.kind.lower == LinkEnd(netns.name, link.index)
                why = link.kind.why if itself else f"{link.name} of {netns.name} shares its device: {link.kind.why}"
                yield (link.kind.lower.netns, link.kind.lower.index), Unknown(why, collect="")
