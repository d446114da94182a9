"""What hangs on what in a world: veth pairs, children of a device, ports of bridges, NICs in segments.

Indexed once for a world, which never changes during a run. Where frames go is in `trace.stack.ethernet`.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcnilib.errors import Unknown, Unsupported
from mcnilib.language import tr
from mcnilib.linux.device.base import NO_END, Child, DeviceRole, LinkEnd
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.port import FdbEntry
from mcnilib.world.world import Port, World

NamedDevice = tuple[str, str]
"""(network namespace, device)."""

Sibling = tuple[str, Link, Child]
"""A device that stands on another one: its namespace, itself, its kind."""


class Cables:
    """The devices of a world by number, those that stand on others by these, bridge ports by bridge.

    `vlans`: those with a tag of their own, by the device below them and the tag.
    """

    def __init__(self, world: World) -> None:
        """Index a world."""
        self.segment_of, self.complete = world.by_port, world.complete
        self.namespaces = {netns.name: netns for netns in world}
        self._by_index = {(netns.name, link.index): link for netns in world for link in netns.links}
        self.by_name = {(netns.name, link.name): link for netns in world for link in netns.links}
        self.children: dict[tuple[str, int], list[Sibling]] = {}
        self.vlans: dict[tuple[str, int, str], tuple[str, Link]] = {}
        self.ports: dict[NamedDevice, list[Link]] = {}
        for netns in world:
            for link in netns.links:
                if child := link.kind.child:
                    self._stand(netns.name, link, child)
                if link.master:
                    self.ports.setdefault((netns.name, link.master), []).append(link)
        told = (speaker for segment in world.segments for speaker in segment.speakers)
        self.speakers = {(each.port.netns, each.port.link, each.address) for each in told}
        self.reads_packets = any(link.kind.reads_packets for netns in world for link in netns.links)
        self.sharing = dict(_sharing(world))
        self._stations: dict[NamedDevice, dict[str, FdbEntry]] = {}

    def _stand(self, netns: str, link: Link, child: Child) -> None:
        below = (child.lower.netns, child.lower.index)
        if child.tag:
            self.vlans[*below, child.tag] = (netns, link)
        else:
            self.children.setdefault(below, []).append((netns, link, child))

    def at(self, end: LinkEnd | None) -> Link | None:
        """Return the device another namespace's link points to; None when it is not there."""
        return self._by_index.get((end.netns, end.index)) if end else None

    def station(self, netns: str, bridge: Link, mac: str) -> FdbEntry | None:
        """Return a bridge's entry for a MAC: one that somebody wrote or it learned, or the kernel's for its own MACs.

        Raises: Unsupported for an entry that somebody wrote for a single VLAN.
        Source: br_fdb_add_local(), br_fdb_change_mac_address() in net/bridge/br_fdb.c.
        """
        key = (netns, bridge.name)
        if key not in self._stations:
            written = bridge.kind.stations
            own = [(port.mac, port.name) for port in self.ports.get(key, [])] + [(bridge.mac, bridge.name)]
            entries = [*written, *(FdbEntry(own_mac, port, "permanent") for own_mac, port in own)]
            entries.sort(key=lambda entry: not entry.vlan)
            self._stations[key] = {entry.mac: entry for entry in reversed(entries)}
        station = self._stations[key].get(mac)
        if station and station.vlan:
            names = {"bridge": bridge.name, "netns": netns, "mac": mac, "vlan": station.vlan}
            raise Unsupported(tr("{bridge} of {netns} has an entry of {mac} for VLAN {vlan} alone", **names))
        return station

    def slaves(self, netns: str, bond: Link) -> list[Link]:
        """Return the NICs of a bond that may carry its frames: in mode active-backup the active one."""
        slaves = [slave for slave in self.ports.get((netns, bond.name), []) if slave.up and slave.carrier]
        carrying = bond.kind.carrying([slave.name for slave in slaves])
        return [slave for slave in slaves if slave.name in carrying]

    def other_end(self, netns: str, link: Link) -> Link | Unknown:
        """Return the device at the other end of a link, or why nobody knows it."""
        end = link.kind.endpoint or NO_END
        if device := self.at(end):
            return device
        here = f"{link.name} of {netns}"
        if end.netns in self.namespaces and self.namespaces[end.netns].links:
            return Unknown(
                tr("{netns} has no device {index}, which {here} leads to", netns=end.netns, index=end.index, here=here),
                collect=f"{end.netns} again",
            )
        name, what = end.netns, tr("the namespace of its device {index}", index=end.index)
        if end.netns[:1] == "/":
            name = tr("the network namespace with id {netns} there", netns=end.netns[1:])
        if name:
            what = tr("{name}, with its device {index}", name=name, index=end.index)
        return Unknown(tr("the other end of {here} was not collected", here=here), collect=what)

    def plugged(self, port: Port) -> Link | Unknown:
        """Return the NIC that is plugged into a port of a segment."""
        nic = self.by_name.get((port.netns, port.link))
        return nic or Unknown(
            tr("{link} of {netns} was not collected", link=port.link, netns=port.netns), collect=port.netns
        )

    def has_carrier(self, netns: str, link: Link) -> bool:
        """Tell whether a device is up and what it hangs on is too: peer, lower device, a port of a bridge.

        Source: veth_open() in drivers/net/veth.c, macvlan's netif_stacked_transfer_operstate(), br_add_if().
        """
        below, seen = [(netns, link)], set[tuple[str, int]]()
        for home, device in below:  # grows; a device that hangs on itself hangs on nothing
            if device.up and device.carrier and (home, device.index) not in seen:
                seen.add((home, device.index))
                lower = self._lower(home, device)
                if lower is None:
                    return True
                below += lower
        return False

    def _lower(self, netns: str, link: Link) -> list[tuple[str, Link]] | None:
        """Return the devices one of which has to have a carrier; None when it depends on nothing else."""
        peer = self.at(link.kind.endpoint)
        match link.kind.role:
            case DeviceRole.PAIR:
                return [] if peer and not peer.up else None
            case DeviceRole.CHILD:
                return [(end.netns, peer)] if peer and (end := link.kind.endpoint) else None
            case DeviceRole.BRIDGE | DeviceRole.BOND:
                return [(netns, port) for port in self.ports.get((netns, link.name), [])]
        return None


def _sharing(world: World) -> Iterator[tuple[tuple[str, int], Unknown]]:
    """Name the devices that hand packets over to a device of a kind that is not modelled."""
    for netns in world:
        for link in netns.links:
            gap, lower = link.kind.unmodelled, link.kind.endpoint
            if gap and lower and link.up:
                itself = lower == LinkEnd(netns.name, link.index)
                shares = "" if itself else tr("{link} of {netns} shares its device: ", link=link.name, netns=netns.name)
                yield (lower.netns, lower.index), gap.unknown(shares)
