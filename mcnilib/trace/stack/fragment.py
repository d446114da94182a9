"""Packets that are too long: refused with an ICMP error, fragmented and put together again, or lost at a device.

Fragments travel as one packet here that knows the longest of them. Not modelled: fragments that rules see one by one,
where nothing puts them together (no connection tracking); segments that Linux keeps together in one buffer (GSO) at a
device that loses long frames.
Source: net/ipv4/{ip_forward,ip_output,ip_fragment,route}.c, is_skb_forwardable() in net/core/dev.c (Linux 6.18).
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address
from itertools import pairwise
from typing import NamedTuple

from mcnilib.errors import NoRoute, Unknown, Unsupported
from mcnilib.language import tr
from mcnilib.linux.device.base import DeviceRole
from mcnilib.linux.packet import IP_HEADER, Icmp, Packet, ip_length, is_large, longest_part
from mcnilib.linux.routing.fib import Decision
from mcnilib.linux.routing.mtu import MIN_PMTU, mtu_locked, own_mtu
from mcnilib.linux.routing.route import Query
from mcnilib.trace.stack.host import Host
from mcnilib.trace.stack.icmp import icmp_send
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.trace import Fate, Stage, TooBig
from mcnilib.trace.transport.socket_lookup import route_out

NO_DISCOVERY = "net.ipv4.ip_no_pmtu_disc"

VLAN_HEADER = 4
"""Bytes a frame may be longer than the receiver's MTU allows. Source: is_skb_forwardable()."""


def forbids_fragments(host: Host, decision: Decision, dst: IPv4Address) -> bool:
    """Tell whether packets of the namespace's sockets go with DF by this route. Source: ip_dont_fragment()."""
    locked = mtu_locked(decision.route) or host.learned_mtus.get((decision.route, dst), (0, False))[1]
    return not locked and not host.flag(NO_DISCOVERY)


def forbidding(host: Host, packet: Packet) -> Packet:
    """Return a datagram as its socket sends it: no longer than the path takes, it forbids others to cut it.

    Source: __ip_make_skb() in net/ipv4/ip_output.c.
    """
    try:
        way = route_out(host, Query(packet.dst, packet.src, mark=packet.mark))
    except NoRoute:
        return packet
    whole = ip_length(packet) <= host.path_mtu(way, packet.dst)
    return packet.but(df=whole and forbids_fragments(host, way, packet.dst))


def learn_mtu(host: Host, decision: Decision, dst: IPv4Address, mtu: int) -> None:
    """Remember the MTU that a router on the path named, if it is less than what is known.

    Source: ip_rt_update_pmtu().
    """
    known = host.path_mtu(decision, dst)
    if known < mtu or mtu_locked(decision.route):
        return
    too_small = mtu < MIN_PMTU
    entry = (min(known, MIN_PMTU) if too_small else mtu, too_small)
    host.learned_mtus[decision.route, dst] = entry


def believe(at: Recorder, icmp: Icmp) -> None:
    """Learn the MTU that an ICMP error names for the path of the packet it quotes.

    With ip_no_pmtu_disc such errors about datagrams and tunnels are passed over (2 and 3), or taken without what they
    name, as for no room at all. Source: icmp_unreach() in net/ipv4/icmp.c, ipv4_update_pmtu().
    """
    choice = at.host.number(NO_DISCOVERY)
    if (quoted := icmp.quoted) is None or not icmp.mtu or choice in (2, 3):
        return
    with suppress(NoRoute):
        way = at.host.route(Query(quoted.dst, quoted.src))
        learn_mtu(at.host, way, quoted.dst, 0 if choice else icmp.mtu)


def too_long_to_forward(at: Recorder, dev: str, decision: Decision) -> bool:
    """Refuse to forward a packet with DF that is too long, and tell its sender. Source: ip_exceeds_mtu()."""
    packet = at.skb.packet
    if not is_large(packet):
        return False
    mtu = at.host.path_mtu(decision, packet.dst, forwarded=True)
    return packet.df and ip_length(packet) > mtu and _refuse(at, decision, mtu, Stage.FORWARDING, iif=dev)


def _refuse(at: Recorder, decision: Decision, mtu: int, stage: Stage, *, iif: str = "") -> bool:
    """Lose a packet that is longer than the MTU, with the ICMP error that names it."""
    route, length = decision.route, ip_length(at.skb.packet)
    line, owner = (route, tr("the route")) if own_mtu(route) else (None, decision.device)
    text = tr(
        "{length} bytes that must not be fragmented, more than the MTU {mtu} of {owner}",
        length=length,
        mtu=mtu,
        owner=owner,
    )
    at.note(stage, text, line=line, iif=iif, oif=decision.device, fate=Fate.DROPPED, what=TooBig(length, mtu, True))
    icmp_send(at, 3, 4, mtu=mtu)
    return True


def fits(at: Recorder, decision: Decision, iif: str) -> bool:
    """Fragment a packet that is too long for its way out; refuse it where it forbids that. Source: ip_fragment()."""
    packet = at.skb.packet
    length = longest_part(packet)
    mtu = at.host.path_mtu(decision, packet.dst, forwarded=bool(iif))
    if length <= mtu:
        return True
    if packet.df:
        return not _refuse(at, decision, mtu, Stage.DEVICE)
    longest = IP_HEADER + (mtu - IP_HEADER) // 8 * 8
    count = -(-(ip_length(packet) - IP_HEADER) // (longest - IP_HEADER))
    text = tr(
        "cut into {count} fragments, as {length} bytes are more than the MTU {mtu} of {device}",
        count=count,
        length=length,
        mtu=mtu,
        device=decision.device,
    )
    cut = packet.but(fragment=longest)
    at.note(Stage.DEVICE, text, cut, oif=decision.device)
    at.skb.packet = cut
    return True


def fits_tunnel(at: Recorder, decision: Decision, outer: Packet) -> bool:
    """Compare a packet with what the path to a tunnel's far end takes; IPIP refuses it, with DF, and tells its sender.

    Either way the route to the packet's own destination learns it, which counts for what the namespace itself sends.
    Source: tnl_update_pmtu() in net/ipv4/ip_tunnel.c, skb_tunnel_check_pmtu() in net/ipv4/ip_tunnel_core.c.
    """
    host, packet = at.host, at.skb.packet
    link = host.links[decision.device]
    if outer.proto != "udp" and not packet.df and not link.kind.is_fallback:
        raise Unsupported(
            tr(
                "whether {device} of {netns} forbids that others cut its packets (pmtudisc) is not modelled, and it "
                "gets a long one that may be cut",
                device=link.name,
                netns=host.name,
            )
        )
    way = route_out(host, Query(outer.dst, outer.src, mark=outer.mark if outer.proto == "udp" else 0))
    room = host.path_mtu(way, outer.dst) - (ip_length(outer) - longest_part(packet))
    if longest_part(packet) <= room:
        return True
    learn_mtu(host, decision, packet.dst, room)
    return outer.proto == "udp" or not outer.df or not _refuse(at, decision, room, Stage.TUNNEL)


class TooLong(NamedTuple):
    """A device that loses a frame because it is too long; sizes in bytes, with the IP header."""

    length: int
    mtu: int
    place: tuple[str, str]  # namespace and device


def lost_on(at: Recorder, path: tuple[tuple[str, str], ...], packet: Packet) -> TooLong | None:
    """Return which of the devices that a frame crosses loses it because it is too long; None when none does.

    The far end of a veth pair and the ports of a bridge do, by their own MTU, and tell nobody. Raises: Unknown where
    the driver of a network card decides, or whether segments are kept together.
    """
    length = longest_part(packet)
    for before, (netns, device) in pairwise(path):
        link = at.net.wire.cables.by_name.get((netns, device))
        if link is None or length <= link.mtu + VLAN_HEADER:
            continue
        if link.kind.role is DeviceRole.NIC and not before[1]:
            reason = tr(
                "{device} of {netns} has the MTU {mtu}: its driver decides what becomes of {length} bytes",
                device=device,
                netns=netns,
                mtu=link.mtu,
                length=length,
            )
            raise Unknown(reason, collect="")
        if link.kind.role in (DeviceRole.PAIR, DeviceRole.NIC):
            _check_burst(packet, netns, device)
            return TooLong(length, link.mtu, (netns, device))
    return None


def _check_burst(packet: Packet, netns: str, device: str) -> None:
    innermost = packet
    while innermost.inner:
        innermost = innermost.inner.packet
    if innermost.tcp and innermost.tcp.burst:
        reason = tr(
            "{device} of {netns} loses segments with more bytes than its MTU only if they come one by one, and Linux "
            "may keep several together (GSO)",
            device=device,
            netns=netns,
        )
        raise Unknown(reason, collect="")
