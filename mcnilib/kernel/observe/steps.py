"""A packet's path told as steps: devices crossed, rules matched, connection states, and where and why it ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from mcnilib.kernel.observe.capture import ARP_REPLY, ARP_REQUEST, INSERT_FAILED, Captured
from mcnilib.kernel.observe.decode import VXLAN_PORT, Decoded
from mcnilib.kernel.observe.path import Cabling, PacketPath
from mcnilib.kernel.observe.traversal import Hit, Traversal
from mcnilib.linux.netfilter.conntrack import ConnState, ConnTuple, tuple_of
from mcnilib.linux.packet import Packet
from mcnilib.trace.trace import Fate, Journey, Stage, Step, Tunnelled
from mcnilib.world.world import World

Counts = dict[str, dict[str, int]]
"""Namespace -> IP counter -> by how much it rose during the conversation."""

ENDS = (
    ("TcpIPReversePathFilter", Stage.RP_FILTER, Fate.DROPPED, "the source's route points elsewhere"),
    ("IpInNoRoutes", Stage.ROUTE, Fate.UNREACHABLE, "no route"),
    ("IpInHdrErrors", Stage.FORWARDING, Fate.DROPPED, "TTL used up"),
    ("IpInAddrErrors", Stage.FORWARDING, Fate.DROPPED, "not for us, and we do not forward"),
    ("IpOutNoRoutes", Stage.ROUTE, Fate.UNREACHABLE, "no route"),
)
"""What a packet that vanished after PREROUTING died of, by the counter that rose. Source: nstat(8), net/ipv4/proc.c."""


class Telling:
    """Turns paths into journeys.

    `rises` are the counters of the conversation, `frames` what was captured, `running` the devices with a carrier,
    `stored` the unanswered connections of each namespace by what began them.
    """

    def __init__(
        self,
        world: World,
        rises: Counts,
        frames: Iterable[Captured],
        running: Set[tuple[str, str]],
        stored: Mapping[str, Set[ConnTuple]],
    ) -> None:
        """Keep what explains the end of a packet that no rule dropped."""
        self.cabling, self.rises, self.running, self.stored = Cabling(world), rises, running, stored
        messages = [frame for frame in frames if frame.seen is None]
        answered = {(f.netns, f.dev) for f in messages if not f.out and f.arp[0] == ARP_REPLY}
        self.asked = {(f.netns, f.dev): f.arp[1] for f in messages if f.out and f.arp[0] == ARP_REQUEST}
        self.unanswered = {device: ip for device, ip in self.asked.items() if device not in answered}

    def journey(self, path: PacketPath, started: int) -> Journey:
        """Tell a path; number and direction are given later."""
        steps: list[Step] = []
        index = 0
        while index < len(path.items):
            item = path.items[index]
            if isinstance(item, Traversal):
                steps += _visit(item)
                index += 1
            else:
                run = _frames(path.items[index:])
                index += len(run)
                steps += self._move(run, goes_on=index < len(path.items))
        self._end(path, steps)
        return Journey(0, (path.time - started) / 1e9 if path.time else 0.0, _made(path), tuple(steps))

    def _move(self, run: list[Captured], *, goes_on: bool) -> list[Step]:
        """Tell how a frame went from device to device, and through which tunnel; `goes_on`: iptables saw it then."""
        steps: list[Step] = []
        for hop in _hops(run, self.cabling):
            first, last = hop[0], hop[-1]
            packet = _packet(first)
            path = _path(hop)
            if (first.netns, first.dev) in self.cabling.tunnels:
                what = Tunnelled.PACKED if first.out else Tunnelled.UNPACKED
                text = f"{what.value} by {first.dev}"
                steps.append(Step(first.netns, Stage.TUNNEL, text, packet, packet, oif=first.dev, what=what))
            elif first.out and (last.out or ((last.netns, last.dev) in self.cabling.master and not goes_on)):
                action = f"leaves through {first.dev}; no device takes {first.mac}"
                steps.append(Step(first.netns, Stage.DEVICE, action, packet, packet, oif=first.dev, path=path))
            elif first.out:
                action = f"leaves through {first.dev}, arrives at {last.dev} of {last.netns}"
                to = (last.netns, last.dev)
                steps.append(Step(first.netns, Stage.DEVICE, action, packet, packet, oif=first.dev, to=to, path=path))
        return steps

    def _end(self, path: PacketPath, steps: list[Step]) -> None:
        """Say what became of the packet, on its last step or on one more."""
        last = path.items[-1]
        if isinstance(last, Captured):
            steps[-1] = steps[-1]._replace(fate=Fate.DROPPED)
        elif last.dropped_by:
            line = last.dropped_by.line
            rejected = not isinstance(line, str) and line.rejects
            steps[-1] = steps[-1]._replace(fate=Fate.REJECTED if rejected else Fate.DROPPED)
        else:
            steps.append(self._silent_end(last, _carried(path, last)))

    def _silent_end(self, visit: Traversal, packet: Packet) -> Step:
        """Explain an end that no rule caused."""
        if self._not_stored(visit):
            text = "its connection cannot be stored beside another one"
            return Step(visit.netns, Stage.CONNTRACK, text, packet, packet, iif=visit.iif, fate=Fate.DROPPED)
        if "INPUT" in visit.passed:
            refused = packet.proto == "udp" and self.rises.get(visit.netns, {}).get("UdpNoPorts")
            if packet.dport == VXLAN_PORT and visit.netns in self.cabling.listening:
                return Step(visit.netns, Stage.TUNNEL, "no tunnel takes it", packet, packet, fate=Fate.DROPPED)
            text, fate = f"{packet.kind} reaches the sockets", Fate.REJECTED if refused else Fate.DELIVERED
            return Step(visit.netns, Stage.SOCKET, text, packet, packet, iif=visit.iif, fate=fate)
        leaving = "POSTROUTING" in visit.passed
        if leaving and (visit.netns, visit.oif) not in self.running:
            text = f"{visit.oif} is down or has no carrier"
            return Step(visit.netns, Stage.DEVICE, text, packet, packet, oif=visit.oif, fate=Fate.DROPPED)
        if leaving and (visit.netns, visit.oif) in self.asked:
            target = self.unanswered.get((visit.netns, visit.oif), "the next hop")
            text = f"nothing answers ARP for {target}"
            return Step(visit.netns, Stage.ARP, text, packet, packet, oif=visit.oif, fate=Fate.UNREACHABLE)
        for counter, stage, fate, text in ENDS if visit.begins == "PREROUTING" else ():
            if self.rises.get(visit.netns, {}).get(counter) and (counter != "IpInHdrErrors" or packet.ttl <= 1):
                return Step(visit.netns, stage, text, packet, packet, iif=visit.iif, fate=fate)
        return Step(
            visit.netns, Stage.ROUTE, "vanishes; no counter says why", packet, packet, iif=visit.iif, fate=Fate.DROPPED
        )

    def _not_stored(self, visit: Traversal) -> bool:
        """Tell whether a packet began a connection that is not there, while storing one failed."""
        began = [*visit.states.values()][-1:] == [ConnState.NEW] and self.rises.get(visit.netns, {}).get(INSERT_FAILED)
        return bool(began) and tuple_of(visit.packet) not in self.stored.get(visit.netns, ())


def _made(path: PacketPath) -> Packet:
    """Return the packet as its sender made it; only a capture shows what an ICMP error quotes."""
    first = path.items[0]
    packet = first.packet if isinstance(first, Traversal) else _packet(first)
    captured = next((_packet(item) for item in path.items if isinstance(item, Captured)), packet)
    return packet.but(icmp=captured.icmp) if captured.icmp and captured.icmp.quoted else packet


def _carried(path: PacketPath, visit: Traversal) -> Packet:
    """Return the packet as it ended, with what is in it: a rule trace shows headers only, a capture everything."""
    frames = (_packet(item) for item in reversed(path.items) if isinstance(item, Captured))
    inner = next((packet.inner for packet in frames if packet.inner and packet.proto == visit.current.proto), None)
    return visit.current.but(inner=inner) if inner and visit.current.dport in (0, VXLAN_PORT) else visit.current


def _packet(frame: Captured) -> Packet:
    seen: Decoded | None = frame.seen
    if seen is None:
        raise ValueError("an ARP message is no IP packet")
    return seen.packet


def _path(hop: list[Captured]) -> tuple[tuple[str, str], ...]:
    """Name the devices in order; a frame that a switch reflects passes its device twice, loopback counts once."""
    places = tuple((frame.netns, frame.dev) for frame in hop)
    return places[:1] if hop[0].dev == "lo" else places


def _frames(items: list[Captured | Traversal]) -> list[Captured]:
    """Return the frames up to the next visit."""
    frames: list[Captured] = []
    for item in items:
        if isinstance(item, Traversal):
            break
        frames.append(item)
    return frames


def _hops(run: list[Captured], cabling: Cabling) -> list[list[Captured]]:
    """Cut a run of frames where a tunnel device stands: it is no part of a wire."""
    hops: list[list[Captured]] = []
    for frame in run:
        tunnel = (frame.netns, frame.dev) in cabling.tunnels
        if tunnel or not hops or (hops[-1][0].netns, hops[-1][0].dev) in cabling.tunnels:
            hops.append([])
        hops[-1].append(frame)
    return hops


def _visit(visit: Traversal) -> list[Step]:
    """Tell the rules a packet matched in one namespace, and how conntrack saw it."""
    steps = [_hit(visit, hit) for hit in visit.hits]
    for hook, state in visit.states.items():
        step = Step(
            visit.netns, Stage.CONNTRACK, state, visit.packet, visit.packet, hook=hook, ctstate=state, iif=visit.iif
        )
        position = sum(1 for hit in visit.hits if (hit.table, hit.hook) == ("raw", hook))
        steps.insert(position, step)
    return steps


def _hit(visit: Traversal, hit: Hit) -> Step:
    action = "policy" if isinstance(hit.line, str) else hit.line.action
    return Step(
        visit.netns, Stage.NETFILTER, "dropped" if hit.verdict == "DROP" else action, hit.before, hit.after,
        line=hit.line, table=hit.table, hook=hit.hook, iif=hit.iif, oif=hit.oif,
        ctstate=visit.states.get("PREROUTING") or visit.states.get("OUTPUT") or "",
    )  # fmt: skip
