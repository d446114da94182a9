"""The IP layer of a namespace: a packet comes in, is delivered or forwarded; a packet goes out.

Each verb does its part, notes its decisions and returns where the packet stands next: another namespace's input, a
tunnel, or nowhere. Not modelled: IP options, redirects, multicast and broadcast.
Source: net/ipv4/{ip_input,ip_forward,ip_output,route,fib_frontend}.c (Linux 6.18).
"""

from __future__ import annotations

from functools import partial
from ipaddress import IPv4Address

from mcnilib.errors import NoRoute, Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.device.base import Frame
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.tunnel.ipip import GRE, IPIP
from mcnilib.linux.netfilter.context import BridgePorts
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.fib import Decision
from mcnilib.linux.routing.route import LIMITED_BROADCAST, UNCHOSEN, Query, Route, RouteType
from mcnilib.linux.routing.rule import DEFAULT_RULES
from mcnilib.linux.routing.source import validate_source
from mcnilib.linux.sysctl import deciding
from mcnilib.trace.devices.br_netfilter import cross_bridge, dnat_into_bridge
from mcnilib.trace.devices.ipvlan import child_behind, give
from mcnilib.trace.devices.vrf import enters, leaves
from mcnilib.trace.flow import ANY_ADDRESS
from mcnilib.trace.stack import tunnel
from mcnilib.trace.stack.fragment import too_long_to_forward
from mcnilib.trace.stack.host import Arrival, Delivery, Host, Position, Skb
from mcnilib.trace.stack.icmp import accept_redirect, icmp_send, passes, route_error_allowed, send_redirect
from mcnilib.trace.stack.ip_output import leave, refuse_lo_down
from mcnilib.trace.stack.netfilter import Hook
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.trace import Fate, HasSocket, NoWay, Stage, Tunnelled
from mcnilib.trace.transport.socket_lookup import refused, route_out

CODES = {"ENETUNREACH": (3, 0), "EHOSTUNREACH": (3, 1), "EACCES": (3, 13)}
"""ICMP errors a router answers with when its lookup fails; EINVAL (blackhole) is silent. Source: ip_error()."""

_ROUTED, _REROUTED, _FORWARDED = mark("route"), mark("rerouted"), mark("forward")
"""What a routing decision is called."""


def receive(at: Recorder, link: Link) -> Position:
    """Take a packet from a device: PREROUTING, routing, then delivery or forwarding.

    What comes from lo keeps the route it was sent with, unless its destination changed: ip_rcv_finish_core().
    """
    before = at.skb.packet.dst
    if not passes(at, Hook("PREROUTING", at, iif=link.name)):
        return None
    return _routed(at, link, before) if enters(at, link.name) else None


def receive_at_port(at: Recorder, port: Link, frame: Frame) -> Position:
    """Take a frame at a port of a bridge that shows it to iptables: PREROUTING, then the bridge, or routing after DNAT.

    Source: br_nf_pre_routing(), br_nf_pre_routing_finish() in net/bridge/br_netfilter_hooks.c.
    """
    bridge, before = at.host.links[port.master], at.skb.packet.dst
    at.skb.ports = BridgePorts(port.name, sender=frame.src)
    if not passes(at, Hook("PREROUTING", at, iif=bridge.name)):
        return None
    return cross_bridge(at, bridge, frame) if at.skb.packet.dst == before else _routed(at, bridge, before)


def _routed(at: Recorder, link: Link, before: IPv4Address) -> Position:
    """Route a packet after PREROUTING, which came by a device; `before` is where it went until then."""
    skb, packet, dev = at.skb, at.skb.packet, link.name
    looped = dev == "lo"  # it was routed and checked when it was sent
    if looped and skb.local and packet.dst == before:
        return _deliver(at, dev)
    if packet.dst != before and _is_martian(at, dev):
        return None
    child = child_behind(at, link)
    if child:
        delivered = _deliver(at, dev)
        return give(at, dev, *child) if isinstance(delivered, Delivery) else delivered
    return _route_in(at, link, changed=packet.dst != before)


def _route_in(at: Recorder, link: Link, *, changed: bool) -> Position:
    """Route what came in by a device: to the namespace itself, or on; `changed`: it has another destination now."""
    host, skb, packet, dev = at.host, at.skb, at.skb.packet, link.name
    try:
        decision = host.route(Query(packet.dst, packet.src, dev, mark=packet.mark))
    except NoRoute as error:
        _no_route(at, dev, error)
        return None
    _refuse_many(host, packet, decision.route)
    skb.local = local = decision.route.type is RouteType.LOCAL
    if not local and not _forwards(at, dev):
        return None
    if (changed or dev != "lo") and not _source_is_valid(at, dev, "" if local else decision.route.dev):
        return None
    if local:
        return _deliver(at, dev)
    bridged = skb.ports and changed and decision.device == dev
    return dnat_into_bridge(at, link, decision) if bridged else _forward(at, dev, decision)


def _is_martian(at: Recorder, dev: str) -> bool:
    """Drop silently what DNAT sends to 0.0.0.0/8. Source: ip_route_input_slow(), martian_destination.

    Raises: Unsupported for more than one receiver, whether there is a route or not.
    """
    packet = at.skb.packet
    _refuse_groups(at.host, packet)
    if int(packet.dst) >> 24:
        return False
    at.note(Stage.ROUTE, tr("martian destination {dst}", dst=packet.dst), iif=dev, fate=Fate.DROPPED)
    at.host.connections.drop_unconfirmed(at.skb.tracked)
    return True


def _forwards(at: Recorder, dev: str) -> bool:
    """Tell whether packets from the device may be passed on at all."""
    if at.host.conf("forwarding", dev):
        return True
    setting = deciding(at.host.netns.settings, "forwarding", dev)
    at.note(Stage.FORWARDING, tr("not for us, and we do not forward"), line=setting, iif=dev, fate=Fate.DROPPED)
    return False


def send(at: Recorder, dev: str = "") -> Position:
    """Send a packet of the namespace's own: route, OUTPUT, which may route it again, then out.

    `dev`: a child of that device hands it over, it has to leave by it.
    """
    host, skb = at.host, at.skb
    if skb.packet.ttl != host.ttl and not dev:
        skb.packet = skb.packet.but(ttl=host.ttl)
    decision = _route(at, oif=dev or skb.l3mdev)
    if decision is None or not leaves(at, decision):
        return None
    refuse_lo_down(host, decision, skb)
    return _output(at, decision, "")


def _output(at: Recorder, decision: Decision, iif: str) -> Position:
    """OUTPUT, which may route the packet again or hand it to IPVS, then out; `iif`: IPVS sends on what came by it."""
    hook = Hook("OUTPUT", at, oif=decision.device)
    hook.reroute = hook.route_again = partial(_route, at, again=True, oif=at.skb.l3mdev)
    if not passes(at, hook):
        return _output(at, hook.sent, iif) if hook.sent else None
    return leave(at, hook.decision or decision, iif)


def _route(at: Recorder, *, again: bool = False, oif: str = "") -> Decision | None:
    """Look up the way out of a packet of the namespace's own; note it, or tell the sender there is none."""
    host, skb = at.host, at.skb
    packet = skb.packet
    if again:
        _refuse_groups(host, packet)
        if packet.dst == ANY_ADDRESS:  # it is routed to lo
            raise Unsupported(
                tr("DNAT to {dst} on the way out of {host} is not modelled", dst=packet.dst, host=host.name)
            )
    try:
        src = UNCHOSEN if skb.unbound and not again else packet.src
        mark = 0 if packet.proto in (IPIP, GRE) and not again else packet.mark
        query = Query(packet.dst, src, oif=oif, mark=mark)
        decision = route_out(host, query, any_source=again or bool(oif and not skb.l3mdev) or skb.any_source)
    except NoRoute as error:
        if oif and not error.line:
            _refuse_on_link(host, packet, oif)
        fate = Fate.DROPPED if again else Fate.UNREACHABLE
        what = NoWay(error.error)
        at.note(Stage.ROUTE, refused(error), line=error.line, fate=fate, what=what)
        return None
    skb.local = decision.route.type is RouteType.LOCAL or decision.device == "lo"  # __mkroute_output()
    _refuse_many(host, packet, decision.route)
    accept_redirect(at, decision.device)
    _note_route(at, decision, _REROUTED if again else _ROUTED)
    return decision


def _refuse_on_link(host: Host, packet: Packet, dev: str) -> None:
    """Refuse what has to leave by a device and has no route. Source: ip_route_output_key_hash_rcu(), "Assume that"."""
    raise Unsupported(
        tr("{host} has no route to {dst} by {dev}, and asks for it there", host=host.name, dst=packet.dst, dev=dev)
    )


def _refuse_many(host: Host, packet: Packet, route: Route) -> None:
    if route.type is RouteType.BROADCAST:
        raise Unsupported(tr("broadcast to {dst} in {host}", dst=packet.dst, host=host.name))
    _refuse_groups(host, packet)


def _refuse_groups(host: Host, packet: Packet) -> None:
    if packet.dst == LIMITED_BROADCAST or packet.dst.is_multicast:
        if packet.dst.is_multicast:
            raise Unsupported(tr("multicast to {dst} in {host}", dst=packet.dst, host=host.name))
        raise Unsupported(tr("broadcast to {dst} in {host}", dst=packet.dst, host=host.name))


def _note_route(at: Recorder, decision: Decision, word: str, iif: str = "") -> None:
    rule, route = decision.rule, decision.route
    if at.host.netns.fib.custom and rule not in DEFAULT_RULES:
        at.note(
            Stage.ROUTE,
            tr("rule {priority}: table {table}", priority=rule.priority, table=rule.table),
            line=rule,
            iif=iif,
        )
    via = f" via {route.via}" if route.via else ""
    at.note(Stage.ROUTE, f"{tr(word)}: {decision.device}{via}", line=route, iif=iif, oif=decision.device)


def _no_route(at: Recorder, dev: str, error: NoRoute) -> None:
    """Drop a packet that has no way on; a router tells its sender. Source: ip_route_input_slow(), ip_error()."""
    host, skb = at.host, at.skb
    if not _forwards(at, dev):  # whatever the lookup said
        host.connections.drop_unconfirmed(skb.tracked)
        return
    tells = error.error in CODES
    fate = Fate.UNREACHABLE if tells else Fate.DROPPED
    text, what = tr("no route ({error})", error=error.error), NoWay(error.error)
    at.note(Stage.ROUTE, text, line=error.line, iif=dev, fate=fate, what=what)
    if not tells:
        host.connections.drop_unconfirmed(skb.tracked)
    elif route_error_allowed(host, skb.packet.src, at.net.now):
        icmp_send(at, *CODES[error.error])
    else:
        at.silence(tr("{src} was told so a moment ago", src=skb.packet.src))


def _source_is_valid(at: Recorder, dev: str, oif: str) -> bool:
    """Apply rp_filter and the martian checks."""
    wrong = validate_source(at.host.netns, at.skb.packet, dev, oif)
    if wrong is None:
        return True
    at.note(Stage.RP_FILTER, wrong.why, line=wrong.line, iif=dev, fate=Fate.DROPPED)
    return False


def _deliver(at: Recorder, dev: str) -> Position:
    host, skb = at.host, at.skb
    if skb.packet.fragment:
        skb.packet = skb.packet.but(fragment=0)  # ip_local_deliver() puts it together
    hook = Hook("INPUT", at, iif=skb.l3mdev or dev)
    if not passes(at, hook):
        return _output(at, hook.sent, dev) if hook.sent else None
    tunnelled = skb.packet.inner and not skb.socket and tunnel.listens(host, skb.packet)
    if skb.bad_checksum:
        stage = Stage.TUNNEL if tunnelled else Stage.SOCKET
        at.note(stage, tr("the UDP checksum is wrong"), iif=dev, fate=Fate.DROPPED)
        return None
    if tunnelled:
        return _decapsulate(at, dev)
    return Delivery(host.name, skb, dev)


def _decapsulate(at: Recorder, dev: str) -> Position:
    host, skb = at.host, at.skb
    landed = tunnel.decapsulate(at, dev)
    if isinstance(landed, str):
        at.note(Stage.TUNNEL, landed, fate=Fate.DROPPED)
        if skb.packet.proto != "udp":
            icmp_send(at, 3, 3)  # tunnel4_rcv() in net/ipv4/tunnel4.c
        return None
    link, inner = landed
    text, what = tr("unpacked by {link}", link=link.name), Tunnelled.UNPACKED
    at.note(Stage.TUNNEL, text, inner, oif=link.name, what=what)
    return Arrival(host.name, link, Skb(inner, txhash=skb.txhash))


def _forward(at: Recorder, dev: str, decision: Decision) -> Position:
    """Pass a packet on: TTL left, FORWARD, then out. Source: ip_forward()."""
    skb = at.skb
    _note_route(at, decision, _FORWARDED, dev)
    if skb.socket or at.host.has_connection(skb.packet, dev):
        lost = tr("it is for a socket here, and no route of type local brings it there: it is not forwarded")
        at.note(Stage.FORWARDING, lost, iif=dev, fate=Fate.DROPPED, what=HasSocket(skb.packet.dport))
        return None
    if skb.packet.ttl <= 1:
        at.note(Stage.FORWARDING, tr("TTL used up"), iif=dev, fate=Fate.DROPPED)
        icmp_send(at, 11, 0)
        return None
    if too_long_to_forward(at, dev, decision):
        return None
    send_redirect(at, dev, decision)
    skb.packet = skb.packet.but(ttl=skb.packet.ttl - 1)
    hook = Hook("FORWARD", at, iif=at.skb.l3mdev or dev, oif=decision.device)
    hook.route_again = partial(_route, at, again=True, oif=skb.l3mdev)
    if not passes(at, hook):
        return None
    return leave(at, hook.decision or decision, dev)
