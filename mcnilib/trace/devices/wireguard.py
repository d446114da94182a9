"""WireGuard on a packet's path: which peer it goes to, who takes it there, and whether its source is allowed.

Keys are not collected: that those of two ends fit, and that their handshake works, is taken for granted and said with
the verdict. Source: wg_xmit() in device.c, send4() in socket.c, wg_packet_consume_data_done() in receive.c of
drivers/net/wireguard (Linux 6.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import NamedTuple

from mcnilib.errors import NoRoute, Unknown, Unsupported
from mcnilib.language import listed, tr
from mcnilib.linux.device.l3.kinds import Peer, PeerEndpoint, WireGuard
from mcnilib.linux.device.link import Link
from mcnilib.linux.packet import Inner, Packet
from mcnilib.linux.routing.route import UNCHOSEN, Query
from mcnilib.trace.devices.program import devices_text
from mcnilib.trace.stack.host import Host, LearnedEndpoint
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.trace import Trace, Tunnelled, Verdict
from mcnilib.trace.transport.socket_lookup import route_out
from mcnilib.world.world import World


class Unsent(NamedTuple):
    """Why a device sends nothing for a packet: in words, and as the errno that a local sender gets (send(2))."""

    why: str
    errno: str


def not_sent(host: Host, link: Link, kind: WireGuard, packet: Packet) -> Unsent | None:
    """Return why a packet does not leave by the device: no peer has its destination, or nobody knows where that is.

    Raises: Unknown where the peers were not collected; Unsupported for an endpoint with an IPv6 address.
    """
    if kind.peers is None:
        reason = tr("the peers of {link} of {host} were not collected", link=link.name, host=host.name)
        raise Unknown(reason, collect=tr("`wg show all allowed-ips` and `wg show all endpoints` there"))
    peer = kind.peer_of(packet.dst)
    if peer is None:
        why = tr("no peer of {link} has {dst} among its allowed IPs", link=link.name, dst=packet.dst)
        return Unsent(why, "ENOKEY")
    if _end(host, link, peer):
        return None
    names = {"link": link.name, "host": host.name}
    if peer.endpoint6:
        raise Unsupported(tr("{link} of {host} sends to {endpoint}, an IPv6 address", endpoint=peer.endpoint6, **names))
    prefixes = listed([str(network) for network in peer.allowed])
    return Unsent(
        tr("{link} knows no endpoint of the peer with {prefixes}", prefixes=prefixes, **names), "EDESTADDRREQ"
    )


def _end(host: Host, link: Link, peer: Peer) -> PeerEndpoint | None:
    """Return where a peer is: where it sent from last, or where it was when this was collected."""
    learned = host.endpoints.get((link.name, peer.key))
    return (learned.address, learned.port) if learned else peer.endpoint


def encrypted(host: Host, link: Link, kind: WireGuard, packet: Packet) -> Packet:
    """Return the packet around another one, for which there is a peer; it has the device's mark, not that of the inner.

    Its source is still to be chosen (0.0.0.0), unless the peer was heard at an address.
    """
    peer = kind.peer_of(packet.dst)
    end = _end(host, link, peer) if peer else None
    if peer is None or end is None:
        raise ValueError(packet)  # see `not_sent`
    inner = Inner(packet.but(mark=0), sender=(host.name, link.name))
    ends = UNCHOSEN, end[0], "udp", kind.port, end[1]
    outer = Packet(*ends, mark=kind.mark, length=packet.length, inner=inner)
    learned = host.endpoints.get((link.name, peer.key))
    return outer.but(src=_own_address(host, outer, learned)) if learned else outer


def _own_address(host: Host, outer: Packet, learned: LearnedEndpoint) -> IPv4Address:
    """Return the address a peer was heard at, if it is still there and the route leads back the same way."""
    try:
        back = route_out(host, Query(outer.dst, learned.own, mark=outer.mark)).route
    except NoRoute:
        return UNCHOSEN
    return learned.own if host.is_local(learned.own) and back.dev == learned.iif else UNCHOSEN


def decrypted(at: Recorder, link: Link, kind: WireGuard, iif: str) -> Packet | str:
    """Return what is inside a packet of a peer, or why it is dropped; the device learns where the peer is now.

    Raises: Unknown where it is not known which peer sent it.
    """
    outer, inner = at.skb.packet, at.skb.packet.inner
    if inner is None:
        return tr("nothing inside")
    peer = _sender(at.host, link, kind, outer)
    at.host.endpoints[link.name, peer.key] = LearnedEndpoint(outer.src, outer.sport, outer.dst, iif)
    if kind.peer_of(inner.packet.src) != peer:
        return tr(
            "{link} drops it: {src} is not among the allowed IPs of the peer that sent it",
            link=link.name,
            src=inner.packet.src,
        )
    return inner.packet


def _sender(host: Host, link: Link, kind: WireGuard, outer: Packet) -> Peer:
    """Return the peer that sent a packet: the only one, or the one that is known to be there."""
    peers = kind.peers or ()
    if len(peers) == 1:
        return peers[0]
    there = outer.src, outer.sport
    at_that_end = [peer for peer in peers if _end(host, link, peer) == there]
    if len(at_that_end) == 1:
        return at_that_end[0]
    reason = tr(
        "which peer of {link} of {host} sends from {src}:{port} is not known",
        link=link.name,
        host=host.name,
        src=outer.src,
        port=outer.sport,
    )
    raise Unknown(reason, collect=tr("`wg show all endpoints` there"))


def key_notes(world: World, trace: Trace) -> Iterator[str]:
    """Say what is taken for granted of keys, and which far end was not collected."""
    opened = (
        (step, step.before.inner) for step in trace.steps() if step.what is Tunnelled.UNPACKED and step.before.inner
    )
    pairs = {frozenset((inner.sender, (step.netns, step.oif))) for step, inner in opened if inner.sender}
    for pair in sorted(pairs, key=sorted):
        yield tr("assumed: the keys of {devices} fit, and their handshake works", devices=devices_text(pair))
    packet = trace.outcome.step.before
    sender = packet.inner.sender if packet.inner and trace.outcome.verdict is Verdict.UNKNOWN else None
    if sender and not any(packet.dst in netns.own_addresses for netns in world):
        names = {"device": sender[1], "netns": sender[0], "address": packet.dst, "port": packet.dport}
        yield tr("the far end of {device} of {netns}, {address}:{port}, was not collected", **names)
