"""Where an Ethernet frame goes: from the device it is sent on to the devices whose IP layer takes it.

Veth pairs, macvlan and ipvlan children, VLANs, software bridges, switch segments and loopback, one on top of the
other. Tunnels are not wires: they are IP and live in `trace.stack.tunnel`. Switches are taken to know where each MAC
is; what a bridge learned only matters where one MAC is in two places, and there it is refused.
Source: drivers/net/veth.c, drivers/net/macvlan.c (macvlan_queue_xmit, macvlan_handle_frame),
drivers/net/ipvlan/ipvlan_core.c, net/8021q/vlan_dev.c, __netif_receive_skb_core() in net/core/dev.c,
net/bridge/{br_input,br_forward,br_device,br_fdb}.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

from mcnilib.errors import Unknown, Unsupported
from mcnilib.language import tr
from mcnilib.linux.device.base import BROADCAST_MAC, NO_END, Child, DeviceRole, Frame, Passage
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.port import NO_PORT
from mcnilib.linux.packet import Packet
from mcnilib.trace.devices.bridge import refuse_hairpin, refuse_kept, refuse_shown, refuse_twin, shown_to_iptables
from mcnilib.trace.devices.cables import Cables, NamedDevice, Sibling
from mcnilib.trace.devices.vlan_filter import let_in, let_out
from mcnilib.world.world import Port, World

MAX_DEPTH = 64
"""Devices a frame may cross, one after the other."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """A device whose IP layer takes the frame; `path` names the devices and segments crossed since the sender."""

    netns: str
    link: Link
    path: tuple[NamedDevice, ...]


@dataclass(frozen=True, slots=True)
class Crossing(Receiver):
    """A port of a bridge whose namespace shows the packet to iptables before the bridge looks where it goes."""


@dataclass(frozen=True, slots=True)
class Swallowed:
    """A frame that got to a device and no further; `why` names the device on it that loses it."""

    at: Receiver
    why: str


_Ends = list[Receiver | Swallowed | Unknown]
"""Where a frame gets to, and where it leaves what is known."""


class _Sent(NamedTuple):
    """The same, sorted: who takes the frame, who loses it, the first place where it leaves what is known."""

    receivers: tuple[Receiver, ...]
    swallowed: Swallowed | None
    beyond: Unknown | None


@dataclass(frozen=True, slots=True)
class _Sight:
    """A frame on its way: the devices behind it, and whether the last one takes it for its own (PACKET_HOST).

    `tags` are its VLAN tags, the outermost last.
    """

    frame: Frame
    path: tuple[NamedDevice, ...] = ()
    taken: bool = False
    tags: tuple[str, ...] = ()

    def at(self, netns: str, device: str, *, taken: bool | None = None) -> _Sight:
        """Return the frame one device further."""
        return _Sight(self.frame, (*self.path, (netns, device)), self.taken if taken is None else taken, self.tags)

    def tagged(self, *tags: str) -> _Sight:
        """Return the frame with other VLAN tags."""
        return _Sight(self.frame, self.path, self.taken, tags)


def wire_of(world: World) -> Wire:
    """Return the cabling of a world, indexed at its first run and kept for the next ones."""
    return world.derived(Wire)


class Wire:
    """The ways of frames through a world; each is found once."""

    def __init__(self, world: World) -> None:
        """Index the cabling."""
        self.cables = Cables(world)
        self._carriers: dict[NamedDevice, bool] = {}
        self._memo: dict[tuple[str, str, Frame, Packet | bool | None], _Sent] = {}

    def send(self, netns: str, link: Link, frame: Frame) -> tuple[Receiver, ...]:
        """Return every known device that takes the frame when it is sent on `link`; none when it is lost."""
        return self._ends(netns, link, frame).receivers

    def beyond(self, netns: str, link: Link, frame: Frame) -> Unknown | None:
        """Return where the frame leaves what is known of the world; None when it does not."""
        return self._ends(netns, link, frame).beyond

    def swallowed(self, netns: str, link: Link, frame: Frame) -> Swallowed | None:
        """Return the device that gets the frame and loses it; None when there is none."""
        return self._ends(netns, link, frame).swallowed

    def has_carrier(self, netns: str, link: Link) -> bool:
        """Tell whether a device can send; see `Cables.has_carrier`."""
        key = (netns, link.name)
        if key not in self._carriers:
            self._carriers[key] = self.cables.has_carrier(netns, link)
        return self._carriers[key]

    def _ends(self, netns: str, link: Link, frame: Frame) -> _Sent:
        key = (netns, link.name, frame, frame.packet if self.cables.reads_packets else frame.carries_ip)
        sent = self._memo.get(key)
        if sent is None:
            ends = self._send(netns, link, _Sight(frame))
            receivers = tuple(end for end in ends if isinstance(end, Receiver))
            swallowed = next((end for end in ends if isinstance(end, Swallowed)), None)
            beyond = next((end for end in ends if isinstance(end, Unknown)), None)
            sent = self._memo[key] = _Sent(receivers, swallowed, beyond)
        return sent

    def _send(self, netns: str, link: Link, sight: _Sight) -> _Ends:
        """Send a frame on a device, as far as that is up and known."""
        if not (link.up and link.carrier):
            return []
        if len(sight.path) > MAX_DEPTH:
            said = tr("a frame crosses more than {count} devices", count=MAX_DEPTH)
            raise Unsupported(tr("{said}, {link} of {netns} is the next", said=said, link=link.name, netns=netns))
        if gap := link.egress or link.kind.unmodelled:
            return [gap.unknown(tr("the frame leaves through {link}: ", link=link.name))]
        return self._send_by_role(netns, link, sight.at(netns, link.name))

    def _send_by_role(self, netns: str, link: Link, sight: _Sight) -> _Ends:
        match link.kind.role:
            case DeviceRole.LOOPBACK:
                return [Receiver(netns, link, sight.path)]
            case DeviceRole.NIC:
                return self._send_segment(netns, link, sight)
            case DeviceRole.PAIR:
                peer = link.kind.endpoint or NO_END
                return self._receive(peer.netns, self.cables.other_end(netns, link), sight)
            case DeviceRole.CHILD:
                return self._send_child(netns, link, sight)
            case DeviceRole.BRIDGE:
                return self._send_bridge(netns, link, sight)
            case DeviceRole.BOND:
                return self._send_slave(netns, link, sight)
            case DeviceRole.VRF:
                raise Unsupported(tr("what leaves by {link} of {netns}, a VRF", link=link.name, netns=netns))
            case DeviceRole.SINK:
                return [Swallowed(Receiver(netns, link, sight.path), tr("a dummy device loses what it is to send"))]
            case DeviceRole.TUNNEL | DeviceRole.PROGRAM | DeviceRole.UNMODELLED:  # what is not modelled has ended above
                port = tr("{link} in {netns}", link=link.name, netns=netns)
                raise Unsupported(tr("a bridge port of kind {kind} ({port})", kind=link.kind.word, port=port))

    def _send_segment(self, netns: str, link: Link, sight: _Sight) -> _Ends:
        segment = self.cables.segment_of.get(Port(netns, link.name))
        if segment is None:
            what = tr("the segment it is plugged into, in world.json, and who else is")
            loose = Unknown(
                tr("the snapshot does not say where the cable of {link} of {netns} leads", link=link.name, netns=netns),
                collect=what,
            )
            return [] if self.cables.complete else [loose]
        if sight.frame.src == sight.frame.dst and not segment.reflects:  # the way to that MAC is back
            return []
        sight = sight.at(segment.name, "")
        others = (p for p in segment.ports if segment.reflects or (p.netns, p.link) != (netns, link.name))
        ends = _all(self._receive(p.netns, self.cables.plugged(p), sight) for p in others)
        if segment.uplink:
            sought = "" if sight.frame.to_all else tr(": the machine with the MAC address {mac}", mac=sight.frame.dst)
            what = tr("who else is plugged into {segment}{sought}", segment=segment.name, sought=sought)
            ends.append(
                Unknown(tr("the frame leaves through the uplink of {segment}", segment=segment.name), collect=what)
            )
        return ends

    def _send_slave(self, netns: str, bond: Link, sight: _Sight) -> _Ends:
        """Send out of a NIC of a bond. Where several may carry it, its hash chooses: all have to lead to the same."""
        ways = [self._send(netns, slave, sight) for slave in self.cables.slaves(netns, bond)]
        if len({frozenset((x.netns, x.link.name) for x in way if isinstance(x, Receiver)) for way in ways}) > 1:
            names = {"bond": bond.name, "netns": netns}
            return [Unknown(tr("the NICs of {bond} of {netns} lead to different places", **names), collect="")]
        return ways[0] if ways else []

    def _enter_bond(self, netns: str, slave: Link, bond: Link, sight: _Sight) -> _Ends:
        """Take a frame at a NIC of a bond that carries frames; of those on one switch, which is one port, the first."""
        carrying = self.cables.slaves(netns, bond)
        segment = self.cables.segment_of.get(Port(netns, slave.name))
        same = [x.name for x in carrying if self.cables.segment_of.get(Port(netns, x.name)) == segment]
        beside = segment is not None and same[:1] != [slave.name]
        if slave not in carrying or beside or (netns, bond.name) in sight.path or not bond.up:
            return []
        return self._enter(netns, bond, sight.at(netns, bond.name))

    def _send_child(self, netns: str, link: Link, sight: _Sight) -> _Ends:
        """Send from a device on another one: to siblings it reaches, everything else out by the lower device."""
        device, child = self.cables.other_end(netns, link), link.kind.child
        if isinstance(device, Unknown):
            return [device]
        if not device.up or not child:
            return []
        if child.routed:
            raise Unsupported(tr("frames through {link} of {netns}, `{kind}`", link=link.name, netns=netns, kind=child))
        home, frame = child.lower.netns, sight.frame
        if child.tag:
            return self._send(home, device, sight.tagged(*sight.tags, child.tag))
        below = sight.at(home, device.name, taken=True)
        # macvlan shows the lower device's taps what it hands over, ipvlan does not
        handed = _Sight(frame, sight.path, True, sight.tags) if child.reads_packets else below
        here = self._send_siblings(link, child, self.cables.children.get((home, device.index), []), handed)
        if here and not frame.to_all:
            return here
        return self._enter(home, device, below) if child.keeps(frame) else here + self._send(home, device, sight)

    def _send_siblings(self, link: Link, child: Child, siblings: list[Sibling], below: _Sight) -> _Ends:
        """Send to the siblings that are to have a frame; what is for its own MAC comes back, what is for all not."""
        frame = below.frame
        meant = [
            (child.passage(kind, frame), n, sibling)
            for n, sibling, kind in siblings
            if sibling.up and (_wants(sibling, kind, frame) or (frame.to_all and sibling is not link))
        ]
        lost = [Receiver(n, sibling, below.path) for passage, n, sibling in meant if passage is Passage.LOST]
        if lost:
            mode = str(child)
            return [Swallowed(lost[0], tr("devices of the kind `{mode}` do not talk to each other", mode=mode))]
        return _all(self._enter(n, sibling, below) for passage, n, sibling in meant if passage is Passage.DIRECT)

    def _receive(self, netns: str, link: Link | Unknown, sight: _Sight) -> _Ends:
        """Take a frame from a cable."""
        if isinstance(link, Unknown):
            return [link]
        if not (link.up and link.carrier):
            return []
        return self._enter(netns, link, sight.at(netns, link.name, taken=sight.frame.dst in (link.mac, BROADCAST_MAC)))

    def _enter(self, netns: str, link: Link, sight: _Sight) -> _Ends:
        """Take a frame at a device, on which there may be others that nobody placed."""
        ends = self._taken(netns, link, sight)
        for mac, gap in link.hidden:
            if sight.frame.to_all or sight.frame.dst == mac or not (mac or ends):
                ends.append(gap.unknown())
        return ends

    def _taken(self, netns: str, link: Link, sight: _Sight) -> _Ends:
        """Take a frame at a device: what stands on it comes before its own IP layer (rx_handler)."""
        key = (netns, link.index)
        if key in self.cables.sharing:
            return [self.cables.sharing[key]]
        if sight.tags and (vlan := self.cables.vlans.get((*key, sight.tags[-1]))):
            return self._untag(*vlan, sight)
        if children := self.cables.children.get(key):
            return self._enter_lower(netns, link, children, sight)
        if link.master:
            master = self.cables.by_name.get((netns, link.master))
            if master and master.kind.role is DeviceRole.BOND:
                return self._enter_bond(netns, link, master, sight)
            if not master or not master.kind.l3_table:
                return self._enter_port(netns, link, sight)
        if sight.tags:  # of a VLAN that is not there, or not known
            gaps = (gap for gap in self.cables.namespaces[netns].missing if not gap.rules)
            return list(islice((gap.unknown(netns=netns) for gap in gaps), 1))
        return [Receiver(netns, link, sight.path)] if sight.taken else []

    def _untag(self, netns: str, vlan: Link, sight: _Sight) -> _Ends:
        """Hand a frame with a tag to the device of that VLAN. Source: vlan_do_receive() in net/8021q/vlan_core.c."""
        if not vlan.up:
            return []
        untagged = sight.tagged(*sight.tags[:-1])
        return self._enter(netns, vlan, untagged.at(netns, vlan.name, taken=sight.taken or sight.frame.dst == vlan.mac))

    def _enter_lower(self, netns: str, link: Link, children: list[Sibling], sight: _Sight) -> _Ends:
        """Take a frame at a device others stand on: those that want it, or else its own IP layer.

        One that takes all (macvlan in mode passthru) takes every frame that is not for all, whomever it is for, and
        loses it while it is down.
        """
        own: _Ends = [Receiver(netns, link, sight.path)] if sight.taken and not sight.tags else []
        if sight.frame.to_all and not any(kind.routed for _, _, kind in children):
            copies, alone = _copies(children, sight.frame)
            return _all(self._enter(n, child, sight) for n, child in copies) + ([] if alone else own)
        passthru = [(n, child) for n, child, kind in children if kind.takes_all]
        wanting = passthru or [(n, x) for n, x, kind in children if x.up and _wants(x, kind, sight.frame)]
        if not wanting:
            return own
        if passthru and not passthru[0][1].up:
            where, child = passthru[0]
            reason = tr("{child} of {where}, which takes all frames there, is down", child=child.name, where=where)
            return [Swallowed(Receiver(netns, link, sight.path), reason)] if sight.taken else []
        taken = _Sight(sight.frame, sight.path, taken=True, tags=sight.tags)
        return _all(self._enter(n, child, taken) for n, child in wanting)

    def _enter_port(self, netns: str, port: Link, sight: _Sight) -> _Ends:
        """Take a frame at a port of a bridge: up to the bridge's own IP layer, or out of other ports, or both."""
        bridge = self.cables.by_name.get((netns, port.master))
        for device in filter(None, (port, bridge)):
            if gap := device.kind.unmodelled:
                return [gap.unknown(tr("the frame gets to {device}: ", device=device.name))]
        if bridge is None or not bridge.up or not port.carrier:
            return []
        sight = sight if sight.path[-1] == (netns, port.name) else sight.at(netns, port.name)  # a macvlan child
        self._refuse_unmodelled(netns, port, sight)
        shown = sight.frame.carries_ip and not sight.tags and shown_to_iptables(self.cables.namespaces[netns], bridge)
        tags = let_in(netns, bridge, port, sight.tags)
        if isinstance(tags, str):
            return [Swallowed(Receiver(netns, port, sight.path), tags)]
        sight = sight.tagged(*tags)
        if sight.frame.to_all:
            return self._pass_up(netns, bridge, sight) + self._forward(netns, bridge, port.name, sight)
        station = self.cables.station(netns, bridge, sight.frame.dst)
        if station and station.state == "permanent":
            refuse_kept(netns, bridge, port, sight.frame, shown=shown)
            return self._pass_up(netns, bridge, sight)
        promiscuous = bool(bridge.hidden) or (netns, bridge.index) in self.cables.children
        if shown:
            refuse_shown(netns, bridge, promiscuous)
            return [Crossing(netns, port, sight.path)]
        up = self._pass_up(netns, bridge, sight) if promiscuous else []
        return up + self._forward(netns, bridge, port.name, sight)

    def out_of_bridge(self, netns: str, port: Link, frame: Frame) -> dict[str, _Ends]:
        """Return where a frame that came in by a bridge's port gets to, by the port it leaves by."""
        bridge = self.cables.by_name[netns, port.master]
        return self._by_port(netns, bridge, port.name, _Sight(frame, ((netns, port.name),)))

    def _refuse_unmodelled(self, netns: str, port: Link, sight: _Sight) -> None:
        """Refuse a frame that gets to a bridge again: without STP, copies go round for ever; or from two places."""
        refuse_twin(netns, self.cables.ports.get((netns, port.master), []), port, sight.frame.src)
        before = (self.cables.by_name.get(hop) for hop in sight.path if hop[0] == netns and hop[1] != port.name)
        again = sight.path.count((netns, port.name)) > 1
        if again or any(link and link.master == port.master for link in before):
            raise Unsupported(
                tr(
                    "a frame gets to the bridge {bridge} of {netns} twice: bridges in a circle",
                    bridge=port.master,
                    netns=netns,
                )
            )

    def _pass_up(self, netns: str, bridge: Link, sight: _Sight) -> _Ends:
        """Hand a frame to the bridge as a device; of its ports' MACs its IP layer believes that of the port itself."""
        tags = let_out(netns, bridge, bridge, sight.tags)
        if isinstance(tags, str):
            return [] if sight.frame.to_all else [Swallowed(Receiver(netns, bridge, sight.path), tags)]
        up = sight.tagged(*tags)
        return self._enter(netns, bridge, up.at(netns, bridge.name, taken=up.taken or up.frame.dst == bridge.mac))

    def _send_bridge(self, netns: str, bridge: Link, sight: _Sight) -> _Ends:
        """Send a frame of the bridge's own."""
        tags = let_in(netns, bridge, bridge, sight.tags)
        if isinstance(tags, str):
            return [Swallowed(Receiver(netns, bridge, sight.path), tags)]
        return self._forward(netns, bridge, "", sight.tagged(*tags))

    def _forward(self, netns: str, bridge: Link, ingress: str, sight: _Sight) -> _Ends:
        """Send a frame out of a bridge's ports; `ingress` is that it came in by, empty for the bridge's own frame."""
        return _all(self._by_port(netns, bridge, ingress, sight).values())

    def _outlets(self, netns: str, bridge: Link, ingress: str) -> list[Link]:
        """Return the ports by which a frame may leave. Source: should_deliver() in net/bridge/br_forward.c."""
        came = self.cables.by_name[netns, ingress].port if ingress else NO_PORT
        ports = self.cables.ports.get((netns, bridge.name), [])
        ports = [port for port in ports if port.name != ingress or came.hairpin]
        return [port for port in ports if not (came.isolated and port.port.isolated)]

    def _leave_by(self, netns: str, bridge: Link, port: Link, sight: _Sight) -> _Ends:
        tags = let_out(netns, bridge, port, sight.tags)
        return [] if isinstance(tags, str) else self._send(netns, port, sight.tagged(*tags))

    def _by_port(self, netns: str, bridge: Link, ingress: str, sight: _Sight) -> dict[str, _Ends]:
        """Return where a frame gets to by each port.

        What comes in by a port teaches the bridge where its sender is: the way to that MAC is back by that port.
        """
        ports = self._outlets(netns, bridge, ingress)
        station = None if sight.frame.to_all else self.cables.station(netns, bridge, sight.frame.dst)
        sticks = station is not None and (station.sticky or station.state == "permanent")
        back = ingress and sight.frame.src == sight.frame.dst and not sticks
        if back or (station and sticks):
            only = ingress if back or not station else station.port
            ports = [port for port in ports if port.name == only]
        refuse_hairpin(netns, [port for port in ports if port.name == ingress], sight.frame.src)
        ends = {port.name: self._leave_by(netns, bridge, port, sight) for port in ports}
        if back or station is None or sticks:
            return ends
        here = ends.pop(station.port, [])
        elsewhere = _all(ends.values())
        if any(isinstance(end, Receiver) for end in elsewhere) or (elsewhere and not here and station.port != ingress):
            reason = tr(
                "{bridge} of {netns} has {mac} behind {port}, and by the cables it is elsewhere: the entry moves as "
                "soon as that sends something",
                bridge=bridge.name,
                netns=netns,
                mac=station.mac,
                port=station.port,
            )
            return {"": [Unknown(reason, collect="")]}
        return {station.port: here}


def _wants(link: Link, child: Child, frame: Frame) -> bool:
    return child.wants(link.mac, link.ips if child.reads_packets else (), frame)


def _copies(children: list[Sibling], frame: Frame) -> tuple[list[tuple[str, Link]], bool]:
    """Choose the devices that get a copy of a broadcast that their lower device received.

    Tell also whether they are all: the lower device's own IP layer does not get it then.
    """
    awake = [child for child in children if child[1].up]
    senders = [child for child in awake if child[2].sent(child[1].mac, child[1].ips, frame)]
    sender = senders[0][2] if senders else None
    copies = [(n, child) for n, child, kind in awake if kind.copied((n, child, kind) in senders, sender)]
    return copies, sender is not None and sender.hears_alone


def _all(parts: Iterable[_Ends]) -> _Ends:
    return list(chain.from_iterable(parts))
