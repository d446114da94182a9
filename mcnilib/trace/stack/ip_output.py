"""The way out of a namespace: POSTROUTING, then the device, which is a wire, a tunnel or loopback.

Source: net/ipv4/ip_output.c, net/core/dev.c (Linux 6.18).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from mcnilib.errors import Unsupported
from mcnilib.language import all_of, tr
from mcnilib.linux.device.base import DeviceRole, Frame
from mcnilib.linux.device.l3.kinds import wireguard_of
from mcnilib.linux.device.link import Link
from mcnilib.linux.netfilter.context import BridgePorts
from mcnilib.linux.packet import is_large
from mcnilib.linux.routing.fib import Decision
from mcnilib.linux.routing.nexthop import next_hop
from mcnilib.linux.routing.route import Route, RouteType
from mcnilib.trace.devices.bridge import shown_to_iptables
from mcnilib.trace.devices.ipvlan import hand_over
from mcnilib.trace.devices.program import to_program
from mcnilib.trace.devices.wireguard import not_sent
from mcnilib.trace.stack import tunnel
from mcnilib.trace.stack.ethernet import Crossing, Receiver
from mcnilib.trace.stack.fragment import TooLong, fits, fits_tunnel, lost_on
from mcnilib.trace.stack.host import Arrival, AtPort, Departure, Host, Position, Skb
from mcnilib.trace.stack.icmp import icmp_send
from mcnilib.trace.stack.neighbour import RESOLUTION_TIMEOUT, known, resolve
from mcnilib.trace.stack.netfilter import Hook
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.trace import Fate, Framed, NoWay, Stage, TooBig, Tunnelled


def refuse_lo_down(host: Host, decision: Decision, skb: Skb) -> None:
    """Refuse what is for 127.0.0.0/8 while lo is down: another route may choose its source. Raises: Unsupported."""
    if decision.device == "lo" and skb.packet.dst.is_loopback and not host.links["lo"].up:
        raise Unsupported(tr("lo of {host} is down, and a packet would leave through it", host=host.name))


def _refuse_by_lo(host: Host, route: Route, skb: Skb) -> None:
    """Refuse a tunnel that sends through lo to what is no address of the namespace. Raises: Unsupported."""
    if skb.packet.inner and route.type is not RouteType.LOCAL:
        raise Unsupported(
            tr(
                "a tunnel of {host} sends to {dst} through lo, which has another address",
                host=host.name,
                dst=skb.packet.dst,
            )
        )


def leave(at: Recorder, decision: Decision, iif: str) -> Position:
    """POSTROUTING, then the device: a wire, a tunnel or loopback."""
    host, skb, route = at.host, at.skb, decision.route
    link = host.links[decision.device]
    hook = Hook("POSTROUTING", at, iif=iif, oif=link.name)
    next_ip = hook.next_hop = next_hop(host.netns.fib, route, skb.packet.dst, host.name)
    if not hook.run():
        return None
    if is_large(skb.packet) and not fits(at, decision, iif):
        return None
    if link.name == "lo":
        refuse_lo_down(host, decision, skb)
        _refuse_by_lo(host, route, skb)
    if not at.net.wire.has_carrier(host.name, link):
        _no_carrier(at, link, next_ip)
        return None
    if gap := link.egress or link.kind.unmodelled:
        gap.meet(tr("the packet leaves through {link}: ", link=link.name))
    if link.name == "lo":
        return _loop_back(at, link)
    if (child := link.kind.child) and child.routed:
        return hand_over(at, link, child)
    if link.kind.role is DeviceRole.PROGRAM:
        return to_program(at, link)
    if link.kind.tunnel:
        return _encapsulate(at, link, decision, next_ip)
    return _transmit(at, link, next_ip)


def _loop_back(at: Recorder, lo: Link) -> Position:
    at.skb.socket = None  # skb_orphan() in loopback_xmit()
    at.skb.bad_checksum = _checksum_breaks(at.host, at.skb)
    here = (at.host.name, "lo")
    at.note(Stage.DEVICE, tr("loops back"), oif="lo", to=here, path=(here,), what=Framed(lo.mac, lo.mac))
    return Arrival(at.host.name, lo, at.skb)


def _checksum_breaks(host: Host, skb: Skb) -> bool:
    """Tell whether the UDP checksum of a tunnel's packet is wrong once lo has computed the one inside.

    NAT rewrites it as if it were still to be computed, which is true of the inner one only; lo cannot leave that to
    the receiver. Source: inet_proto_csum_replace4() with CHECKSUM_PARTIAL, skb_csum_hwoffload_help(). Raises:
    Unsupported for a RST, whose sender decides which of the two is still to be computed.
    """
    inner = skb.packet.inner
    if not (inner and inner.udpcsum and inner.packet.proto in ("tcp", "udp") and host.rewrites(skb)):
        return False
    if inner.packet.tcp and "RST" in inner.packet.tcp.flags:
        raise Unsupported(tr("a RST in a tunnel of {host} that NAT sends to {host} itself", host=host.name))
    return True


def _no_carrier(at: Recorder, link: Link, next_ip: IPv4Address) -> None:
    """Lose a packet on a device that has nothing at its other end, ARP requests for it too.

    Source: noop_enqueue() in net/sched/sch_generic.c, dev_deactivate() of linkwatch.
    """
    action = tr("{link} has no carrier", link=link.name) if link.up else tr("{link} is down", link=link.name)
    at.note(Stage.DEVICE, action, oif=link.name, fate=Fate.DROPPED)
    if link.has_arp and not known(at.host, link, next_ip):
        at.host.unconfirmed.add(next_ip)
        icmp_send(at, 3, 1, after=RESOLUTION_TIMEOUT)


def _transmit(at: Recorder, link: Link, next_ip: IPv4Address) -> Position:
    """Resolve the next hop and put the frame on the wire."""
    packet = at.skb.packet
    mac = resolve(at, link, next_ip) if link.has_arp else link.mac  # arp_constructor() in net/ipv4/arp.c
    if mac is None:
        icmp_send(at, 3, 1, after=RESOLUTION_TIMEOUT)
        return None
    return put_on_wire(at, link, Frame(link.mac, mac, packet))


def put_on_wire(at: Recorder, link: Link, frame: Frame) -> Position:
    """Send the packet in a frame on a device, up to the next IP layer, or the next iptables that sees it."""
    host, packet = at.host, at.skb.packet
    landing = _taker(at, link, frame)
    if landing is None:
        _lose(at, link, frame)
        return None
    if is_large(packet) and (large := lost_on(at, landing.path, packet)):
        _lose_long(at, link, landing, large)
        return None
    if landing.netns != host.name:
        packet = packet.but(mark=0) if packet.mark else packet
    to = (landing.netns, landing.link.name)
    names = {"link": link.name, "far_link": landing.link.name, "netns": landing.netns}
    action, what = tr("leaves through {link}, arrives at {far_link} of {netns}", **names), Framed(frame.src, frame.dst)
    at.note(Stage.DEVICE, action, packet, oif=link.name, to=to, path=landing.path, what=what)
    return _landed(at, landing, frame, Skb(packet, txhash=at.skb.txhash))


def _landed(at: Recorder, landing: Receiver, frame: Frame, skb: Skb) -> Position:
    """Say where the packet stands. What a bridge takes for itself came in by one of its ports, and iptables knows."""
    if isinstance(landing, Crossing):
        return AtPort(landing.netns, landing.link, frame, skb)
    if landing.link.is_bridge and shown_to_iptables(at.net.hosts[landing.netns].netns, landing.link):
        skb.ports = BridgePorts(landing.path[-2][1], sender=frame.src)
    return Arrival(landing.netns, landing.link, skb)


def _lose_long(at: Recorder, link: Link, landing: Receiver, large: TooLong) -> None:
    """Tell which device on a frame's path loses it because it is too long."""
    netns, device = large.place
    action = tr(
        "leaves through {device}; {far} of {netns} loses it: {length} bytes, more than its MTU {mtu}",
        device=link.name,
        netns=netns,
        far=device,
        length=large.length,
        mtu=large.mtu,
    )
    lost = TooBig(large.length, large.mtu, told=False)
    at.note(Stage.DEVICE, action, oif=link.name, path=landing.path, fate=Fate.DROPPED, what=lost)


def _lose(at: Recorder, link: Link, frame: Frame) -> None:
    """Tell that no device takes a frame, or which one loses it."""
    what = Framed(frame.src, frame.dst)
    if end := at.net.wire.swallowed(at.host.name, link, frame):
        if end.at.link is link:
            action = tr("{link} loses it: {why}", link=link.name, why=end.why)
        else:
            action = tr(
                "leaves through {link}; {far_link} of {netns} loses it: {why}",
                link=link.name,
                far_link=end.at.link.name,
                netns=end.at.netns,
                why=end.why,
            )
        to = (end.at.netns, end.at.link.name)
        at.note(Stage.DEVICE, action, oif=link.name, to=to, path=end.at.path, fate=Fate.DROPPED, what=what)
    else:
        action = tr("leaves through {link}; no device takes {dst}", link=link.name, dst=frame.dst)
        at.note(Stage.DEVICE, action, oif=link.name, fate=Fate.DROPPED, what=what)


def _taker(at: Recorder, link: Link, frame: Frame) -> Receiver | None:
    """Return where a frame lands; None when no device takes it. Raises: Unknown; Unsupported when several take it."""
    landings = at.net.wire.send(at.host.name, link, frame)
    if len(landings) > 1:
        several = all_of(tr("{link} of {netns}", link=landing.link.name, netns=landing.netns) for landing in landings)
        raise Unsupported(
            tr(
                "{several} take what is sent to {dst}: a switch sends it where it saw that MAC last",
                several=several,
                dst=frame.dst,
            )
        )
    if not landings and (gap := at.net.wire.beyond(at.host.name, link, frame)):
        raise gap
    return landings[0] if landings else None


def _encapsulate(at: Recorder, link: Link, decision: Decision, next_ip: IPv4Address) -> Position:
    """Wrap the packet for its tunnel; the outer packet starts again as the namespace's own."""
    host, skb = at.host, at.skb
    mac = resolve(at, link, next_ip) if link.has_arp else ""
    if mac is None:
        icmp_send(at, 3, 1, after=RESOLUTION_TIMEOUT)
        return None
    if (keyed := wireguard_of(link.kind)) and (refusal := not_sent(host, link, keyed, skb.packet)):
        at.note(Stage.TUNNEL, refusal.why, oif=link.name, fate=Fate.DROPPED, what=NoWay(refusal.errno))
        icmp_send(at, 3, 1)
        return None
    outer = tunnel.encapsulate(host, link, skb, next_ip, mac)
    if isinstance(outer, str):
        at.note(Stage.TUNNEL, outer, oif=link.name, fate=Fate.DROPPED)
        return None
    if is_large(skb.packet) and not fits_tunnel(at, decision, outer):
        return None
    text, what = tr("packed by {link} for {dst}", link=link.name, dst=outer.dst), Tunnelled.PACKED
    at.note(Stage.TUNNEL, text, outer, oif=link.name, what=what)
    return Departure(host.name, Skb(outer, by_icmp=skb.by_icmp, txhash=skb.txhash))
