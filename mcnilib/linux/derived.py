"""The routes the kernel derives from an address."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from mcnilib.linux.device.link import Address, Link, Loopback
from mcnilib.linux.origin import Origin
from mcnilib.linux.route import Route


def derived_routes(link: Link, address: Address, by: Origin | None = None) -> Iterator[Route]:
    """Yield the routes the kernel adds for an address: local, broadcast, and the subnet it stands in.

    The subnet is left out for a /32 and a device that is down, broadcasts also for a /31. A secondary address derives
    the routes of its primary again.
    Source: fib_add_ifaddr() in net/ipv4/fib_frontend.c.
    """
    subnet, src = address.interface.network, link.primary(address).ip
    by = by or Origin("the kernel", f"derived from the address {address.interface} on {link.name}")
    lo = isinstance(link.kind, Loopback)

    def route(dst: object, kind: str, scope: str, table: str = "local") -> Route:
        return Route(IPv4Network(dst), link.name, None, src, kind, table, scope, "kernel", by=by)

    yield route(address.ip, "local", "host")
    if not link.up:
        return
    if address.broadcast and int(address.broadcast) != 0xFFFFFFFF:
        yield route(address.broadcast, "broadcast", "link")
    if subnet.prefixlen == 32 or not int(subnet.network_address):
        return
    yield route(subnet, "local", "host") if lo else route(subnet, "unicast", "link", "main")
    if subnet.prefixlen < 31:
        yield route(subnet.broadcast_address, "broadcast", "link")
