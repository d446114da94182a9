"""A packet's way told as steps: devices crossed, rules matched, connection states, and where and why it ended."""

from __future__ import annotations

from collections.abc import Iterable, Set

from mcnilib.kernel.observe.capture import ARP_REPLY, ARP_REQUEST, Frame
from mcnilib.kernel.observe.decode import Seen
from mcnilib.kernel.observe.path import Cabling, Way
from mcnilib.kernel.observe.traversal import Hit, Stay
from mcnilib.linux.netfilter.iptables.rule import ChainRule
from mcnilib.linux.netfilter.iptables.target.verdict import Reject
from mcnilib.linux.packet import Packet
from mcnilib.trace.trace import Fate, Journey, Stage, Step, Tunnelled
from mcnilib.world.world import World

Counts = dict[str, dict[str, int]]
"""Namespace -> IP counter -> by how much it rose during the conversation."""

_VXLAN_PORT = 4789

ENDS = (
    ("TcpIPReversePathFilter", Stage.RP_FILTER, Fate.DROPPED, "the source's route points elsewhere"),
    ("IpInNoRoutes", Stage.ROUTE, Fate.UNREACHABLE, "no route"),
    ("IpInHdrErrors", Stage.FORWARDING, Fate.DROPPED, "TTL used up"),
    ("IpInAddrErrors", Stage.FORWARDING, Fate.DROPPED, "not for us, and we do not forward"),
    ("IpOutNoRoutes", Stage.ROUTE, Fate.UNREACHABLE, "no route"),
)
"""What a packet that vanished after PREROUTING died of, by the counter that rose. Source: nstat(8), net/ipv4/proc.c."""


class Telling:
    """Turns ways into journeys.

    `rises` are the counters of the conversation, `arps` the ARP messages seen, `running` the devices with a carrier.
    """

    def __init__(self, world: World, rises: Counts, arps: Iterable[Frame], running: Set[tuple[str, str]]) -> None:
        """Keep what explains the end of a packet that no rule dropped."""
        self.cabling, self.rises, self.running = Cabling(world), rises, running
        messages = list(arps)
        answered = {(f.netns, f.dev) for f in messages if not f.out and f.arp[0] == ARP_REPLY}
        self.asked = {(f.netns, f.dev): f.arp[1] for f in messages if f.out and f.arp[0] == ARP_REQUEST}
        self.unanswered = {place: ip for place, ip in self.asked.items() if place not in answered}

    def journey(self, way: Way, started: int) -> Journey:
        """Tell a way; number and direction are given later."""
        steps: list[Step] = []
        index = 0
        while index < len(way.items):
            item = way.items[index]
            if isinstance(item, Stay):
                steps += _stay(item)
                index += 1
            else:
                run = _frames(way.items[index:])
                steps += self._move(run, started=not steps)
                index += len(run)
        self._end(way, steps)
        return Journey(0, (way.time - started) / 1e9 if way.time else 0.0, _made(way), tuple(steps))

    def _move(self, run: list[Frame], *, started: bool) -> list[Step]:
        """Tell how a frame went from device to device, and through which tunnel."""
        steps: list[Step] = []
        for hop in _hops(run, self.cabling):
            first, last = hop[0], hop[-1]
            packet = _packet(first)
            path = _path(hop)
            if (first.netns, first.dev) in self.cabling.tunnels:
                what = Tunnelled.PACKED if first.out else Tunnelled.UNPACKED
                text = f"{what.value} by {first.dev}"
                steps.append(Step(first.netns, Stage.TUNNEL, text, packet, packet, oif=first.dev, what=what))
            elif first.out and (last.out or (last.netns, last.dev) in self.cabling.master):
                action = f"leaves by {first.dev}; no device takes {first.mac}"
                steps.append(Step(first.netns, Stage.DEVICE, action, packet, packet, oif=first.dev, path=path))
            elif first.out:
                action = f"leaves by {first.dev}, arrives at {last.dev} of {last.netns}"
                to = (last.netns, last.dev)
                steps.append(Step(first.netns, Stage.DEVICE, action, packet, packet, oif=first.dev, to=to, path=path))
        return steps

    def _end(self, way: Way, steps: list[Step]) -> None:
        """Say what became of the packet, on its last step or on one more."""
        last = way.items[-1]
        if isinstance(last, Frame):
            steps[-1] = steps[-1]._replace(fate=Fate.DROPPED)
        elif last.dropped_by:
            rejected = isinstance(last.dropped_by.line, ChainRule) and isinstance(last.dropped_by.line.target, Reject)
            steps[-1] = steps[-1]._replace(fate=Fate.REJECTED if rejected else Fate.DROPPED)
        else:
            steps.append(self._silent_end(last, _carried(way, last)))

    def _silent_end(self, stay: Stay, packet: Packet) -> Step:
        """Explain an end that no rule caused."""
        if "INPUT" in stay.passed:
            refused = packet.proto == "udp" and self.rises.get(stay.netns, {}).get("UdpNoPorts")
            if packet.dport == _VXLAN_PORT and stay.netns in self.cabling.listening:
                return Step(stay.netns, Stage.TUNNEL, "no tunnel takes it", packet, packet, fate=Fate.DROPPED)
            text, fate = f"{packet.kind} reaches the sockets", Fate.REJECTED if refused else Fate.DELIVERED
            return Step(stay.netns, Stage.SOCKET, text, packet, packet, iif=stay.iif, fate=fate)
        leaving = "POSTROUTING" in stay.passed
        if leaving and (stay.netns, stay.oif) not in self.running:
            text = f"{stay.oif} is down or has no carrier"
            return Step(stay.netns, Stage.DEVICE, text, packet, packet, oif=stay.oif, fate=Fate.DROPPED)
        if leaving and (stay.netns, stay.oif) in self.asked:
            target = self.unanswered.get((stay.netns, stay.oif), "the next hop")
            text = f"who has {target}? nobody answers"
            return Step(stay.netns, Stage.ARP, text, packet, packet, oif=stay.oif, fate=Fate.UNREACHABLE)
        for counter, stage, fate, text in ENDS if stay.begins == "PREROUTING" else ():
            if self.rises.get(stay.netns, {}).get(counter) and (counter != "IpInHdrErrors" or packet.ttl <= 1):
                return Step(stay.netns, stage, text, packet, packet, iif=stay.iif, fate=fate)
        return Step(
            stay.netns, Stage.ROUTE, "vanishes; no counter says why", packet, packet, iif=stay.iif, fate=Fate.DROPPED
        )


def _made(way: Way) -> Packet:
    """Return the packet as its sender made it; only a capture shows what an ICMP error quotes."""
    first = way.items[0]
    packet = first.packet if isinstance(first, Stay) else _packet(first)
    captured = next((_packet(item) for item in way.items if isinstance(item, Frame)), packet)
    return packet.but(icmp=captured.icmp) if captured.icmp and captured.icmp.quoted else packet


def _carried(way: Way, stay: Stay) -> Packet:
    """Return the packet as it ended, with what is in it: a rule trace shows headers only, a capture everything."""
    frames = (_packet(item) for item in reversed(way.items) if isinstance(item, Frame))
    inner = next((packet.inner for packet in frames if packet.inner and packet.proto == stay.current.proto), None)
    return stay.current.but(inner=inner) if inner and stay.current.dport in (0, _VXLAN_PORT) else stay.current


def _packet(frame: Frame) -> Packet:
    seen: Seen | None = frame.seen
    if seen is None:
        raise ValueError("an ARP message is no IP packet")
    return seen.packet


def _path(hop: list[Frame]) -> tuple[tuple[str, str], ...]:
    """Name the devices in order; a frame that a switch reflects passes its device twice, loopback counts once."""
    places = tuple((frame.netns, frame.dev) for frame in hop)
    return places[:1] if hop[0].dev == "lo" else places


def _frames(items: list[Frame | Stay]) -> list[Frame]:
    """Return the frames up to the next stay."""
    found: list[Frame] = []
    for item in items:
        if isinstance(item, Stay):
            break
        found.append(item)
    return found


def _hops(run: list[Frame], cabling: Cabling) -> list[list[Frame]]:
    """Cut a run of frames where a tunnel device stands: it is no part of a wire."""
    hops: list[list[Frame]] = []
    for frame in run:
        tunnel = (frame.netns, frame.dev) in cabling.tunnels
        if tunnel or not hops or (hops[-1][0].netns, hops[-1][0].dev) in cabling.tunnels:
            hops.append([])
        hops[-1].append(frame)
    return hops


def _stay(stay: Stay) -> list[Step]:
    """Tell the rules a packet matched in one namespace, and how conntrack saw it."""
    steps = [_hit(stay, hit) for hit in stay.hits]
    for hook, state in stay.states.items():
        step = Step(
            stay.netns, Stage.CONNTRACK, state, stay.packet, stay.packet, hook=hook, ctstate=state, iif=stay.iif
        )
        position = sum(1 for hit in stay.hits if (hit.table, hit.hook) == ("raw", hook))
        steps.insert(position, step)
    return steps


def _hit(stay: Stay, hit: Hit) -> Step:
    action = str(hit.line.target or "counted").removeprefix("-j ") if isinstance(hit.line, ChainRule) else "policy"
    return Step(
        stay.netns, Stage.NETFILTER, "dropped" if hit.verdict == "DROP" else action, hit.before, hit.after,
        line=hit.line, table=hit.table, hook=hit.hook, iif=hit.iif, oif=hit.oif,
        ctstate=stay.states.get("PREROUTING") or stay.states.get("OUTPUT") or "",
    )  # fmt: skip
