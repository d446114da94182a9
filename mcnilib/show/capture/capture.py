"""Who sees which frame when: a Trace as what sniffers on every device of every namespace would have written down.

A frame is seen at each device it crosses, also below the IP layer: at the master of a macvlan device, at the ports of
a bridge. A device's tap sees what comes in before netfilter does, and what leaves after it; a macvlan device hands a
frame for a sibling to its master as if it had come in there.
Source: packet(7), dev_queue_xmit_nit() and __netif_receive_skb_core() in net/core/dev.c, macvlan_queue_xmit() in
drivers/net/macvlan.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from mcnilib.language import clauses, mark, tr
from mcnilib.linux.device.base import BROADCAST_MAC, NO_MAC, DeviceRole, Frame
from mcnilib.linux.device.link import Link
from mcnilib.linux.packet import Packet
from mcnilib.show.capture.octets import ETHERTYPE_ARP, arp, ethernet, ipv4
from mcnilib.show.capture.pcapng import CapturedFrame, capture_file
from mcnilib.trace.devices.cables import NamedDevice
from mcnilib.trace.explain import because, journey_name, tell_step, verdict
from mcnilib.trace.stack.ethernet import wire_of
from mcnilib.trace.trace import Asked, Fate, Framed, Journey, Stage, Step, Trace, Tunnelled
from mcnilib.world.world import World

APART = 1000
"""Nanoseconds between one sight of a frame and the next: the network takes no time, and merged files keep the order."""

MADE_UP = (
    mark("This was computed, not captured: no packet was sent."),
    mark(
        "Time zero is the client's first packet. The network takes no time; each sight of a frame is 1 us "
        "after the one before, in all files of this conversation, so that merged files (mergecap) keep the order."
    ),
    mark(
        "The IP identification is the packet's number in the trace, wherever it is seen: ip.id == 3 finds "
        "packet 3 in all files. The packet of a tunnel has the number of what it carries; one that an ICMP "
        "error quotes has 0."
    ),
    mark(
        "Not in the model, and always the same here: payload is zeros, DF is set, the window scale is the only "
        "option of TCP. A neighbour that does not answer is asked once here, and by Linux three times."
    ),
)
"""What the comment of each file says of what the model does not know."""

_TOLD = {Stage.ROUTE, Stage.NAT, Stage.CONNTRACK, Stage.RP_FILTER, Stage.FORWARDING, Stage.SOCKET, Stage.TUNNEL}
"""Decisions that are told at a packet; of the others those that end or rewrite it."""

_Sight = tuple[str, str, bool]
"""Namespace and device a frame is seen at, and whether it leaves there."""


def capture_files(world: World, trace: Trace, title: str) -> dict[str, bytes]:
    """Return one pcapng for each namespace whose devices or IP layer a packet of the conversation meets: name -> bytes.

    `title` says which conversation it is. Each packet's comments say what was decided about it since it was last seen
    in that namespace; where the outcome was decided, they say the verdict and the deciding line.
    """
    taps = _Taps(world, trace)
    for journey in trace.journeys:
        _Follower(taps, journey).follow()
    head = (title, tr("verdict: {verdict}", verdict=verdict(trace)), *because(trace), *map(tr, MADE_UP))
    names = _names(world, trace)
    return {f"{netns}.pcapng": taps.file(netns, head, names) for netns in taps.seen}


def _names(world: World, trace: Trace) -> dict[IPv4Address, str]:
    """Name the addresses of the conversation after the namespaces that have them."""
    packets = (packet for journey in trace.journeys for step in journey.steps for packet in (step.before, step.after))
    used = {ip for packet in packets for ip in (packet.src, packet.dst)}
    return {a.ip: netns.name for netns in world for link in netns.links for a in link.addresses if a.ip in used}


class _Taps:
    """What the devices of all namespaces have seen so far."""

    def __init__(self, world: World, trace: Trace) -> None:
        """Begin with the namespaces the conversation crosses: what others hear of ARP is not written."""
        self.world, self.trace, self.wire, self.time = world, trace, wire_of(world), -APART
        steps = [step for journey in trace.journeys for step in journey.steps]
        names = {netns.name for netns in world}
        places = [netns for step in steps for netns in _crossed(step) if netns in names]
        self.seen: dict[str, list[CapturedFrame]] = {name: [] for name in places}
        self.unseen: dict[str, list[str]] = {name: [] for name in places}

    def file(self, netns: str, head: Iterable[str], names: dict[IPv4Address, str]) -> bytes:
        """Return what was seen in a namespace; what no device of it saw is told in the comment of the file."""
        frames = self.seen[netns]
        links = [self.world[netns].link(name) for name in dict.fromkeys(frame.device for frame in frames)]
        unseen = (tr("seen by no device here: {packet}", packet=text) for text in self.unseen[netns])
        comments = [tr("namespace {netns}", netns=netns), *head, *unseen]
        return capture_file(netns, links, frames, comments, names)

    def put(self, sights: Iterable[_Sight], data: bytes, begun: float, *, to_all: bool = False) -> list[CapturedFrame]:
        """Let devices see a frame, one after the other, not before `begun` (seconds); return what they saw."""
        captured = []
        for netns, device, outbound in sights:
            if netns in self.seen:
                self.time = max(round(begun * 1e9), self.time + APART)
                captured.append(CapturedFrame(device, outbound, self.time, data, [], to_all))
                self.seen[netns].append(captured[-1])
        return captured

    def on_the_way(self, path: tuple[NamedDevice, ...], landed: NamedDevice, *, to_all: bool = False) -> list[_Sight]:
        """Return where a frame is seen that crosses devices and segments (without a device) until it lands.

        A broadcast is handed to a macvlan device's siblings without its master seeing it come in.
        """
        places = [*path, *([landed] if landed not in path else [])]
        sights: list[_Sight] = []
        for at, (netns, device) in enumerate(places):
            if not device:
                continue
            turned = self._turns_back(places, at, sights)
            outbound = not turned and self._leaves(places, at, sights)
            sights += [] if turned and to_all else [(netns, device, outbound)]
        return sights

    def _turns_back(self, places: list[NamedDevice], at: int, sights: list[_Sight]) -> bool:
        """Tell whether a frame gets from a macvlan device to its master and from there to a sibling."""
        around = places[max(at - 1, 0) : at + 2 : 2]
        if not at or len(around) < 2 or not all(device for _, device in around) or not sights[-1][2]:
            return False
        before, after = map(self._link, around)
        return bool(before.kind.child and after.kind.child and before.kind.endpoint == after.kind.endpoint)

    def _leaves(self, places: list[NamedDevice], at: int, sights: list[_Sight]) -> bool:
        """Tell whether a frame leaves through a device, or comes in there: from a cable, or up from a lower device."""
        here, before = places[at], places[at - 1]
        if not at:
            return self._link(here).kind.role is not DeviceRole.LOOPBACK
        if not before[1] or at == len(places) - 1:
            return False
        link, previous = self._link(here), self._link(before)
        if sights[-1][2]:
            return previous.kind.role is not DeviceRole.PAIR
        return before[0] == here[0] and bool(previous.master) and previous.master == link.master

    def _link(self, device: NamedDevice) -> Link:
        return self.world[device[0]].link(device[1])


class _Follower:
    """Follows one packet from device to device; `told` are the decisions since a device saw it last."""

    def __init__(self, taps: _Taps, journey: Journey) -> None:
        self.taps, self.journey, self.told = taps, journey, list[str]()
        self.last: dict[str, CapturedFrame] = {}
        self.macs: tuple[str, ...] = ()  # of the tunnels' devices that packed it, the outermost first
        self.name = journey_name(journey)

    def follow(self) -> None:
        """Write the packet down wherever it is seen; then how it ended, and whether that decided the outcome."""
        for step in self.journey.steps:
            if _is_told(step):
                self.told.append(tell_step(step))
            self._see(step)
        end, outcome = self.journey.last.netns, self.taps.trace.outcome
        if outcome.journey.number == self.journey.number:
            end, line = outcome.step.netns, outcome.step.evidence.strip()
            self.told.append(tr("verdict: {verdict}", verdict=verdict(self.taps.trace)))
            self.told += [tr("deciding line: {line}", line=line)] if line else []
        self._tell(end)

    def _tell(self, netns: str) -> None:
        """Leave what was decided with the last sight of the packet in a namespace, or with the file."""
        if netns not in self.taps.seen:  # what was not collected has no file
            netns = self.journey.steps[0].netns
        if netns in self.last:
            self.last[netns].comments.extend(self.told)
        else:
            self.taps.unseen[netns] += [f"{self.name}: {clauses(self.told)}"] if self.told else []
        self.told = []

    def _see(self, step: Step) -> None:
        match step.what:
            case Asked():
                self._ask(step, step.what)
            case Framed(src, dst):
                path = self.taps.on_the_way(step.path, step.to or (step.netns, step.oif))
                self._put(step, path, ethernet(src, dst, self._packet(step.before)))
            case Tunnelled.PACKED:
                self._put(step, [(step.netns, step.oif, True)], self._at_tunnel(step, step.after, step.before))
                self.macs = (self.taps.world[step.netns].link(step.oif).mac, *self.macs)
            case Tunnelled.UNPACKED if step.fate is Fate.GOES_ON:
                src, self.macs = (*self.macs, NO_MAC)[0], self.macs[1:]
                self._put(step, [(step.netns, step.oif, False)], self._at_tunnel(step, step.before, step.after, src))

    def _packet(self, packet: Packet) -> bytes:
        return ipv4(packet, self.journey.number, self.macs)

    def _at_tunnel(self, step: Step, outer: Packet, inner: Packet, src: str = "") -> bytes:
        """Return what a tunnel's device sees, which is what is inside: a frame of VXLAN, a packet of IPIP."""
        link = self.taps.world[step.netns].link(step.oif)
        data = self._packet(inner)
        mac = outer.inner.mac if outer.inner else NO_MAC
        return ethernet(src or link.mac, mac, data) if link.kind.has_mac else data

    def _put(self, step: Step, sights: list[_Sight], data: bytes) -> None:
        """Let devices see the packet. Where the IP layer does not get it, that is said."""
        ends = {step.netns, step.to[0] if step.to else step.netns}
        for frame, (netns, device, _) in zip(self.taps.put(sights, data, self.journey.time), sights, strict=True):
            frame.comments.append(self.name)
            if netns not in ends:
                frame.comments.append(tr("passes {device} below the IP layer of {netns}", device=device, netns=netns))
            self.last[netns] = frame
            if netns == step.netns and self.told:
                frame.comments.extend(self.told)
                self.told = []

    def _ask(self, step: Step, asked: Asked) -> None:
        """Let devices see an ARP request, and the answer if there is one."""
        link, time = self.taps.world[step.netns].link(step.oif), self.journey.time
        question = arp((link.mac, asked.sender), (NO_MAC, asked.target), reply=False)
        frame = ethernet(link.mac, BROADCAST_MAC, question, ETHERTYPE_ARP)
        captured = self.taps.put(self._heard(step.netns, link), frame, time, to_all=True)
        if asked.mac and step.to:
            answer = arp((asked.mac, asked.target), (link.mac, asked.sender), reply=True)
            way = self._back(step.to, Frame(asked.mac, link.mac), (step.netns, link.name))
            captured += self.taps.put(way, ethernet(asked.mac, link.mac, answer, ETHERTYPE_ARP), time)
        for packet in captured:
            packet.comments.append(tr("for {packet}: {step}", packet=self.name, step=tell_step(step)))
        self.last.setdefault(step.netns, captured[0])

    def _heard(self, netns: str, link: Link) -> list[_Sight]:
        """Return where a broadcast is seen, each place once."""
        receivers = self.taps.wire.send(netns, link, Frame(link.mac, BROADCAST_MAC))
        ways = (
            self.taps.on_the_way(receiver.path, (receiver.netns, receiver.link.name), to_all=True)
            for receiver in receivers
        )
        return list(dict.fromkeys(sight for way in ways for sight in way)) or [(netns, link.name, True)]

    def _back(self, answering: NamedDevice, frame: Frame, asker: NamedDevice) -> list[_Sight]:
        """Return where an answer is seen."""
        netns, device = answering
        receivers = self.taps.wire.send(netns, self.taps.world[netns].link(device), frame)
        paths: Iterator[tuple[NamedDevice, ...]] = (x.path for x in receivers if (x.netns, x.link.name) == asker)
        return self.taps.on_the_way(next(paths, ()), asker)


def _crossed(step: Step) -> Iterator[str]:
    """Yield the namespaces a step has to do with."""
    yield step.netns
    yield from (netns for netns, device in step.path if device)
    if step.to and isinstance(step.what, Framed):
        yield step.to[0]


def _is_told(step: Step) -> bool:
    if step.what is Tunnelled.UNPACKED or isinstance(step.what, Asked):
        return step.fate is not Fate.GOES_ON
    rewritten = any(name != "mark" for name, _, _ in step.before.differences(step.after))
    return step.fate is not Fate.GOES_ON or step.stage in _TOLD or rewritten or isinstance(step.what, Framed)
