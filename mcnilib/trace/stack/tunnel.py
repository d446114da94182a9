"""Tunnels: VXLAN, IPIP and GRE headers put on and taken off.

Source: drivers/net/vxlan/vxlan_core.c, net/ipv4/{ipip,ip_tunnel}.c (Linux 6.18), RFC 7348, RFC 2003.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from mcnilib.errors import NoRoute, Unsupported
from mcnilib.language import tr
from mcnilib.linux.chance import EPHEMERAL, Chance
from mcnilib.linux.device.base import Tunnel
from mcnilib.linux.device.l3.kinds import wireguard_of
from mcnilib.linux.device.link import Link
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.route import Query, RouteType
from mcnilib.linux.routing.source import preferred_source
from mcnilib.trace.devices.wireguard import decrypted, encrypted
from mcnilib.trace.stack.host import Host, Skb
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.transport.socket_lookup import nobody, route_out

MAX_NESTING = 8
"""Headers around one packet before it counts as a dead loop.

Source: XMIT_RECURSION_LIMIT in include/linux/netdevice.h.
"""


def encapsulate(host: Host, link: Link, skb: Skb, next_hop: IPv4Address, mac: str) -> Packet | str:
    """Return the outer packet, or in words why the device drops it. The skb mark stays on the outer packet."""
    packet = skb.packet
    if _nesting(packet) >= MAX_NESTING:
        return tr("dead loop on virtual device {link}", link=link.name)
    if not (tunnel := link.kind.tunnel):
        return tr("{link} is no tunnel", link=link.name)
    if keyed := wireguard_of(tunnel):
        return _with_source(host, link, encrypted(host, link, keyed, packet))
    far_ends = tunnel.far_ends(mac, next_hop)
    if len(far_ends) > 1:
        raise Unsupported(
            tr(
                "{link} of {host} sends copies for {mac} to {far_ends} far ends",
                link=link.name,
                host=host.name,
                mac=mac,
                far_ends=len(far_ends),
            )
        )
    if not far_ends:
        return tr("{link} has no forwarding entry for {mac}", link=link.name, mac=mac)
    sport = source_port(host.chance, packet, skb.txhash) if tunnel.udp_port else 0
    return _with_source(host, link, tunnel.packed(packet, far_ends[0], mac, sport))


def _nesting(packet: Packet) -> int:
    return 1 + _nesting(packet.inner.packet) if packet.inner else 0


def _with_source(host: Host, link: Link, outer: Packet) -> Packet | str:
    """Let the route to the tunnel's far end choose the outer source, where it has none.

    Source: ip_tunnel_xmit() in net/ipv4/ip_tunnel.c, udp_tunnel_dst_lookup() in net/ipv4/udp_tunnel_core.c.
    """
    udp = outer.proto == "udp"  # the others look the way up without the packet's mark
    try:
        route = route_out(host, Query(outer.dst, outer.src, mark=outer.mark if udp else 0)).route
    except NoRoute as error:
        return tr("no route to the tunnel's far end: {error}", error=error)
    if route.dev == link.name:
        return tr("circular route to {dst}", dst=outer.dst)
    if udp and route.type is RouteType.LOCAL:  # encap_bypass_if_local() in drivers/net/vxlan/vxlan_core.c
        raise Unsupported(
            tr(
                "{link} of {host} packs for {dst}, which {host} takes for its own address: Linux hands the packet over "
                "unpacked, with the route it had",
                link=link.name,
                host=host.name,
                dst=outer.dst,
            )
        )
    if int(outer.src):
        return outer
    src = preferred_source(host.netns, route, outer.dst)
    return outer.but(src=src or nobody(host, outer.dst))


def source_port(chance: Chance, packet: Packet, txhash: int = 0) -> int:
    """Derive the outer UDP source port from the inner flow: one flow, one port, as udp_flow_src_port() does.

    A socket whose segment was not acknowledged in time takes another hash (`txhash`), so another port. The kernel's
    hash has a secret, so which port of 32768 to 60999 it is is chance.
    """
    low, high = EPHEMERAL
    key = int(packet.src), int(packet.dst), packet.sport, packet.dport, txhash
    return chance.port(low, high, "udp", usual=low + _mixed(key) % (high - low + 1), key=key)


def _mixed(key: tuple[int, ...]) -> int:
    """Return what `hash` makes of a tuple of numbers on 64 bits, on every machine: a browser's Python has 32.

    Source: tuplehash() in Objects/tupleobject.c of CPython, which is xxHash.
    """
    first, second, fifth = 11400714785074694791, 14029467366897019727, 2870177450012600261
    acc, all_bits = fifth, 2**64 - 1
    for number in key:
        acc = (acc + number * second) & all_bits
        acc = ((acc << 31 | acc >> 33) * first) & all_bits
    acc = (acc + (len(key) ^ fifth ^ 3527539)) & all_bits
    return acc - 2**64 if acc >> 63 else acc


def listens(host: Host, packet: Packet) -> bool:
    """Tell whether tunnels of the namespace take the packet from UDP; IPIP has no socket, it always does."""
    ports = [tunnel.udp_port for _, tunnel in _tunnels(host)]
    return packet.proto != "udp" or packet.dport in ports


def _tunnels(host: Host) -> list[tuple[Link, Tunnel]]:
    """Return the tunnels that are up, in the order they are asked."""
    up = [(link, tunnel) for link in host.links.values() if (tunnel := link.kind.tunnel) and link.up]
    return sorted(up, key=lambda pair: pair[1].generality)


def decapsulate(at: Recorder, iif: str) -> tuple[Link, Packet] | str:
    """Return the tunnel device that unpacks the packet and what was inside, or in words why nothing does."""
    host, packet = at.host, at.skb.packet
    if (inner := packet.inner) is None:
        return tr("nothing inside")
    for link, tunnel in _tunnels(host):
        if tunnel.takes(packet):
            if keyed := wireguard_of(tunnel):
                plain = decrypted(at, link, keyed, iif)
                return plain if isinstance(plain, str) else (link, plain)
            if tunnel.has_mac and inner.mac != link.mac:
                return tr("the inner frame is for {mac}, not for {link}", mac=inner.mac, link=link.name)
            return link, inner.packet.but(mark=packet.mark)
    return tr("no tunnel device takes {proto} from {src}", proto=packet.proto, src=packet.src)
