"""What the kernel did with one conversation, as a Trace.

The same nouns as the simulator's, so that the two can be set side by side: DEVICE steps from captures, NETFILTER and
CONNTRACK steps from rule traces, the fate from the last sight of the packet and the namespace's counters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from mcnilib.kernel.lab.lab import Lab
from mcnilib.kernel.lab.readback import ListingMismatch, read_back
from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.capture import ARP_REPLY, ARP_REQUEST, Captured, read_ip_counters
from mcnilib.kernel.observe.conversation import Heard, Talk
from mcnilib.kernel.observe.decode import ECHO_REPLY, ECHO_REQUEST, VXLAN_PORT
from mcnilib.kernel.observe.netlink import connections
from mcnilib.kernel.observe.path import packet_paths
from mcnilib.kernel.observe.steps import Counts, Telling
from mcnilib.kernel.observe.traversal import traversals
from mcnilib.linux.netfilter.conntrack import Entry
from mcnilib.linux.packet import Packet
from mcnilib.trace.flow import ANY_ADDRESS, Client, Flow, Listener
from mcnilib.trace.outcome import judge
from mcnilib.trace.trace import Fate, Journey, NoWay, Outcome, Stage, Step, Trace, Verdict
from mcnilib.world.world import World

PATIENCE = {"tcp": 0.7, "udp": 0.3, "icmp": 0.3}
"""Seconds the client waits: long enough for two retransmissions of data, nothing else repeats sooner."""

SLOWER = 3
"""How much more patience a second measurement has."""

FIRST_PORT, CLIENT_PORTS = 10000, 20000
"""Client ports of consecutive conversations in one lab, below those the kernel draws at random: first, and how many."""


def observe(lab: Lab, flow: Flow, listeners: Sequence[Listener], *, ident: int = 1, going_on: bool = False) -> Trace:
    """Hold one conversation in the lab and return what happened to every packet.

    Two conversations in one lab must differ in `flow.sport` (TCP, UDP) or `ident` (ICMP): conntrack remembers. If they
    shall not, the later one is `going_on`: its connections are those of both.
    """
    for watch in lab.watches.values():
        watch.forget(connections=not going_on)
    before = _counters(lab)
    talk = Talk(lab, flow, listeners, ident)
    try:
        heard = talk.finish()
        for watch in lab.watches.values():
            watch.drain()
        after, tables = _counters(lab), _connections(lab)
    finally:
        talk.close()
        _stop_asking(lab)
    rises = {name: {key: after[name][key] - count for key, count in old.items()} for name, old in before.items()}
    lab.errors += sum(rise.get("IpInNoRoutes", 0) for rise in rises.values())
    stored = {name: {entry.original for entry in entries if not entry.seen_reply} for name, entries in tables}
    telling = Telling(lab.world, rises, _captured(lab), lab.running(), stored)
    journeys = _journeys(lab, flow, listeners, heard, telling) or (_never_sent(flow, heard),)
    return Trace(journeys, _judge(journeys, heard), tables)


def _stop_asking(lab: Lab) -> None:
    """Forget neighbours that were asked for in vain: their failure would be told to the next conversation."""
    for watch in lab.watches.values():
        asked = {frame.dev for frame in watch.frames if frame.out and frame.arp[0] == ARP_REQUEST}
        answered = {frame.dev for frame in watch.frames if not frame.out and frame.arp[0] == ARP_REPLY}
        for dev in asked - answered:
            lab.run(watch.netns, "ip", "neigh", "flush", "dev", dev)


def _counters(lab: Lab) -> Counts:
    counts = {}
    for name in lab.watches:
        with lab.inside(name):
            counts[name] = read_ip_counters()
    return counts


def _connections(lab: Lab) -> tuple[tuple[str, tuple[Entry, ...]], ...]:
    tables = []
    for name, watch in lab.watches.items():
        with lab.inside(name):
            tables.append((name, tuple(connections(watch.tuples))))
    return tuple(tables)


def _captured(lab: Lab) -> list[Captured]:
    return [frame for watch in lab.watches.values() for frame in watch.frames]


def _journeys(
    lab: Lab, flow: Flow, listeners: Sequence[Listener], heard: Heard, telling: Telling
) -> tuple[Journey, ...]:
    seen = (visit for watch in lab.watches.values() for visit in traversals(watch))
    paths = packet_paths(lab.world, _captured(lab), seen)
    own = frozenset(a.ip for link in lab.world[flow.netns].links for a in link.addresses)
    return _number([telling.journey(path, heard.started) for path in paths], flow, listeners, own)


def _number(
    journeys: Sequence[Journey], flow: Flow, listeners: Sequence[Listener], own: frozenset[IPv4Address]
) -> tuple[Journey, ...]:
    """Give journeys their numbers, their direction, and to retransmissions the number of what they repeat."""
    ports = {listener.port for listener in listeners} | {flow.dport}
    first: dict[tuple[object, ...], int] = {}
    numbered = []
    for number, journey in enumerate(journeys, 1):
        reply = not is_request(journey.packet, flow, ports, own)
        repeats = first.setdefault(_content(journey.packet, reply), number)
        numbered.append(
            replace(journey, number=number, reply=reply, retransmission_of=repeats if repeats < number else 0)
        )
    return tuple(numbered)


def is_request(packet: Packet, flow: Flow, ports: set[int], own: frozenset[IPv4Address]) -> bool:
    """Tell whether a packet, as its sender made it, travels from the client to the server.

    An error that reached no device is known without its quote: then only its destination tells; `own` are the client's
    addresses.
    """
    if packet.icmp:
        if packet.icmp.quoted and packet.icmp.quoted.dport != VXLAN_PORT:
            return not is_request(packet.icmp.quoted, flow, ports, own)
        return packet.icmp.type == ECHO_REQUEST or (packet.icmp.type != ECHO_REPLY and packet.dst not in own)
    return packet.sport == flow.sport or (packet.dport in ports and packet.sport not in ports)


def _content(packet: Packet, reply: bool) -> tuple[object, ...]:
    """Return what two sendings of one segment have in common; nothing does for segments without sequence numbers."""
    tcp = packet.tcp
    if tcp and (packet.length or tcp.flags & {"SYN", "FIN"}):
        return (reply, tcp.seq, packet.length, "SYN" in tcp.flags, "FIN" in tcp.flags)
    return (object(),)


def _never_sent(flow: Flow, heard: Heard) -> Journey:
    """Tell of a packet the kernel refused to make: only the errno is left."""
    packet = Packet(flow.src or ANY_ADDRESS, flow.dst, flow.proto, flow.sport, flow.dport)
    step = Step(
        flow.netns,
        Stage.ROUTE,
        f"no route ({heard.error})",
        packet,
        packet,
        fate=Fate.UNREACHABLE,
        what=NoWay(heard.error),
    )
    return Journey(1, 0.0, packet, (step,))


def _judge(journeys: tuple[Journey, ...], heard: Heard) -> Outcome:
    """Derive the outcome from what client and server saw; the deciding step as the simulator chooses it."""
    arrived = heard.arrived or any(j.fate is Fate.DELIVERED and not j.reply for j in journeys)
    client = Client(heard.connected, heard.answered, heard.error)
    outcome = judge(journeys, client)
    if heard.arrived and outcome.verdict is Verdict.LOST:  # a counter rose for another datagram at this host's sockets
        outcome = replace(outcome, verdict=Verdict.ONE_WAY)
    return replace(outcome, seen_source=heard.seen_source or outcome.seen_source) if arrived else outcome


def run_on_kernel(world: World, flow: Flow, listeners: Sequence[Listener] = ()) -> Trace:
    """Run one conversation in a lab that is made for it, and return what the kernel did.

    Raises: NoLab where the system allows no namespaces; ToolFailed when this kernel lacks something the world needs.
    """
    with Worker() as worker:
        trace: Trace = worker.run(converse, world, flow, listeners)
    return trace


def converse(lab: Lab, world: World, flow: Flow, listeners: Sequence[Listener], ident: int = 1) -> Trace:
    """Turn the lab into the world and hold a conversation; `ident` is the ICMP echo id."""
    lab.realise(world)
    if flow.sized:  # nothing is known yet of path MTUs
        for netns in world:
            lab.run(netns.name, "ip", "route", "flush", "cache")
    return observe(lab, flow, listeners, ident=ident)


def listing_mismatches(lab: Lab, world: World) -> tuple[ListingMismatch, ...]:
    """Turn the lab into the world and compare what the tools print with what the World prints."""
    lab.realise(world)
    return read_back(lab)
