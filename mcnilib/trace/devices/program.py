"""What is handed to a program behind a tun device: it gets to the far end that a segment names, or nobody knows where.

A program that carries packets from one tun device to another reads and writes whole packets: marks stay behind, and
nothing is counted down. Source: tun_do_read(), tun_get_user() in drivers/net/tun.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mcnilib.errors import Unknown
from mcnilib.language import all_of, tr
from mcnilib.linux.device.base import DeviceRole
from mcnilib.linux.device.link import Link
from mcnilib.trace.stack.host import Arrival, Position, Skb
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.trace import Fate, Stage, Trace
from mcnilib.world.world import Port, World


def to_program(at: Recorder, link: Link) -> Position:
    """Hand a packet to the program behind a device. Raises: Unknown where no segment says where that carries it."""
    host = at.host
    far, segment = _far_end(at, link)
    handed = tr("handed to the program behind {link}", link=link.name)
    path = ((host.name, link.name), (segment, ""), (far.netns, far.link))
    device = at.net.wire.cables.by_name[far.netns, far.link]
    if not device.up:
        action = tr("{handed}; {far} of {netns} is down", handed=handed, far=far.link, netns=far.netns)
        at.note(Stage.DEVICE, action, oif=link.name, path=path, fate=Fate.DROPPED)
        return None
    packet = at.skb.packet.but(mark=0) if at.skb.packet.mark else at.skb.packet
    action = tr("{handed}, which carries it to {far} of {netns}", handed=handed, far=far.link, netns=far.netns)
    at.note(Stage.DEVICE, action, packet, oif=link.name, to=(far.netns, far.link), path=path)
    return Arrival(far.netns, device, Skb(packet, txhash=at.skb.txhash))


def _far_end(at: Recorder, link: Link) -> tuple[Port, str]:
    """Return the other tun device of the segment, and that segment's name."""
    cables, near = at.net.wire.cables, Port(at.host.name, link.name)
    segment = cables.segment_of.get(near)
    others = [port for port in segment.ports if port != near] if segment else []
    known = [port for port in others if (port.netns, port.link) in cables.by_name]
    if segment and len(others) == len(known) == 1 and _is_program(cables.by_name[known[0].netns, known[0].link]):
        return known[0], segment.name
    names = {"link": link.name, "netns": at.host.name}
    reason = tr("it is handed to the program behind {link} of {netns}", **names)
    if len(others) > 1:
        reason = tr("{reason}, which has several far ends", reason=reason)
    collect = tr("where that carries it, as a segment of {link} and the tun device at the far end", **names)
    raise Unknown(reason, collect=collect)


def _is_program(link: Link) -> bool:
    return link.kind.role is DeviceRole.PROGRAM


def program_notes(world: World, trace: Trace) -> Iterator[str]:
    """Say what is taken for granted of programs that carry packets."""
    pairs: dict[frozenset[tuple[str, str]], None] = {}
    for step in trace.steps():
        if step.to and step.oif and _is_program(world[step.netns].link(step.oif)):
            pairs[frozenset(((step.netns, step.oif), step.to))] = None
    for pair in pairs:
        yield tr("assumed: a program carries every packet between {devices}", devices=devices_text(pair))


def devices_text(places: Iterable[tuple[str, str]]) -> str:
    """Return devices in words, each given with its namespace in front."""
    return all_of(tr("{device} of {netns}", device=device, netns=netns) for netns, device in sorted(places))
