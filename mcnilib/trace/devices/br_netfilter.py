"""Bridged packets that iptables sees (br_netfilter): FORWARD and POSTROUTING between two ports, DNAT into the bridge.

PREROUTING has seen the packet when it came in by a port (`receive_at_port`). iptables takes the bridge for the device
it comes in by and leaves by; only `-m physdev` tells the ports. No TTL is spent, and no router is told of.
Source: br_nf_pre_routing_finish_bridge(), br_nf_forward_ip(), br_nf_post_routing() in net/bridge/br_netfilter_hooks.c,
nf_send_reset() in net/ipv4/netfilter/nf_reject_ipv4.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from mcnilib.errors import Unknown, Unsupported
from mcnilib.language import all_of, tr
from mcnilib.linux.device.base import Frame
from mcnilib.linux.device.link import Link
from mcnilib.linux.packet import is_large, longest_part
from mcnilib.linux.routing.fib import Decision
from mcnilib.linux.routing.nexthop import next_hop
from mcnilib.trace.stack.ethernet import Receiver
from mcnilib.trace.stack.host import Position
from mcnilib.trace.stack.icmp import icmp_send, passes
from mcnilib.trace.stack.ip_output import put_on_wire
from mcnilib.trace.stack.neighbour import RESOLUTION_TIMEOUT, resolve
from mcnilib.trace.stack.netfilter import Hook
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.trace import Fate, Framed, Stage, Stays


def dnat_into_bridge(at: Recorder, bridge: Link, decision: Decision) -> Position:
    """Bridge what DNAT, or the end of a SNAT, sends back into the bridge it came from: it is not routed.

    Source: br_nf_pre_routing_finish_bridge(); neigh_hh_bridge(), which leaves the MAC of the sender.
    """
    ports, packet = at.skb.ports, at.skb.packet
    action = tr("stays in {bridge}: its new destination is behind the bridge it came from", bridge=bridge.name)
    at.note(Stage.ROUTE, action, line=decision.route, iif=bridge.name, oif=bridge.name, what=Stays(bridge.name))
    next_ip = next_hop(at.host.netns.fib, decision.route, packet.dst, at.host.name)
    mac = resolve(at, bridge, next_ip)
    if mac is None:
        icmp_send(at, 3, 1, after=RESOLUTION_TIMEOUT)
        return None
    return cross_bridge(at, bridge, Frame(ports.sender if ports else "", mac, packet), next_ip)


def cross_bridge(at: Recorder, bridge: Link, frame: Frame, next_ip: IPv4Address | None = None) -> Position:
    """Let a packet cross a bridge from the port it came in by: FORWARD, POSTROUTING, then out by another port.

    `next_ip` is the next hop of its route; what is only bridged has none.
    """
    out = _port_out(at, bridge, replace(frame, packet=at.skb.packet))
    if out is None or at.skb.ports is None:
        return None
    at.skb.ports = at.skb.ports._replace(physout=out.name)
    if not passes(at, Hook("FORWARD", at, iif=bridge.name, oif=bridge.name)):
        return None
    postrouting = Hook("POSTROUTING", at, oif=bridge.name)
    postrouting.next_hop = next_ip
    if not postrouting.run():
        return None
    _refuse_long(at, bridge, out)
    return put_on_wire(at, out, replace(frame, packet=at.skb.packet))


def _refuse_long(at: Recorder, bridge: Link, out: Link) -> None:
    """Refuse what is longer than the port's MTU: whether it is cut or lost depends on DF and on GSO.

    Source: br_nf_dev_queue_xmit().
    """
    packet = at.skb.packet
    if is_large(packet) and longest_part(packet) > out.mtu:
        raise Unsupported(
            tr(
                "{length} bytes that iptables of {host} sees on {bridge}, more than the MTU {mtu} of {port}",
                length=longest_part(packet),
                host=at.host.name,
                bridge=bridge.name,
                mtu=out.mtu,
                port=out.name,
            )
        )


def _port_out(at: Recorder, bridge: Link, frame: Frame) -> Link | None:
    """Return the port by which a frame gets to somebody; None when it gets to nobody, which is noted.

    Raises: Unknown; Unsupported when it gets to several, or rules see it before it gets to nobody.
    """
    host, ports = at.host, at.skb.ports
    by_port = at.net.wire.out_of_bridge(host.name, host.links[ports.physin if ports else ""], frame)
    for end in by_port.get("", ()):
        if isinstance(end, Unknown):
            raise end
    taken = [name for name, ends in by_port.items() if any(isinstance(end, Receiver) for end in ends)]
    taken = taken or [name for name, ends in by_port.items() if ends]
    names: dict[str, object] = {"host": host.name, "bridge": bridge.name, "mac": frame.dst}
    if len(taken) > 1:
        raise Unsupported(tr("{ports} of {bridge} lead to {mac}", ports=all_of(taken), **names))
    if taken:
        return host.links[taken[0]]
    if by_port and host.has_rules("FORWARD", "POSTROUTING"):  # it goes to all ports, and one may answer it
        raise Unsupported(tr("rules of {host} see what {bridge} sends to {mac}, which no device takes", **names))
    action = tr("{bridge} has no port for {mac} but the one through which it came in", **names)
    if by_port:
        action = tr("{bridge} sends to all its ports what is for {mac}, and no device takes it", **names)
    what, first = Framed(frame.src, frame.dst), next(iter(by_port), "")
    at.note(Stage.DEVICE, action, iif=bridge.name, oif=first, fate=Fate.DROPPED, what=what)
    return None


def send_back(at: Recorder) -> Position:
    """Send a RST of REJECT straight out by the port its connection came in by: no rule sees it, no NAT changes it."""
    ports = at.skb.ports
    port = at.host.links[ports.physin if ports else ""]
    return put_on_wire(at, port, Frame(port.mac, ports.sender if ports else "", at.skb.packet))
