"""The forwarding entries of VXLAN devices, as `bridge fdb show` prints them: which MAC stands behind which tunnel end.

Source: bridge(8), bridge/fdb.c (iproute2 6.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address

from mcnilib.errors import Unsupported
from mcnilib.linux.link import Link, Vxlan
from mcnilib.linux.words import Words


def print_fdb(links: Iterable[Link]) -> str:
    """Print the entries of VXLAN devices that name a far end, as `bridge fdb show` does."""
    tunnels = ((link.name, link.kind.fdb) for link in links if isinstance(link.kind, Vxlan))
    return "".join(f"{mac} dev {dev} dst {ip} self permanent\n" for dev, fdb in tunnels for mac, ip in fdb)


def with_fdb(links: Iterable[Link], text: str, source: str = "bridge fdb") -> tuple[Link, ...]:
    """Return the links with the entries `bridge fdb show` prints for their VXLAN devices.

    Entries without a far end (`dst`) belong to other devices or to the kernel and are passed over.
    """
    entries: dict[str, list[tuple[str, IPv4Address]]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = Words(line, source=source, number=number)
        if " dst " in line:
            mac, dev, ip = _fdb_entry(words)
            entries.setdefault(dev, []).append((mac, ip))
    links = tuple(links)
    strangers = entries.keys() - {link.name for link in links if isinstance(link.kind, Vxlan)}
    if strangers:
        raise Unsupported(f"{source}: far ends on {', '.join(sorted(strangers))}, which is no vxlan device")
    return tuple(
        replace(x, kind=replace(x.kind, fdb=tuple(entries.get(x.name, ())))) if isinstance(x.kind, Vxlan) else x
        for x in links
    )


def _fdb_entry(words: Words) -> tuple[str, str, IPv4Address]:
    mac = words.mac()
    words.one_of(("dev",))
    dev = words.take("a device")
    words.one_of(("dst",))
    ip = words.address()
    while words:
        word = words.take()
        if word in ("port", "vni", "via", "src_vni", "nhid"):
            raise Unsupported(f"{words.source}:{words.number}: a forwarding entry with {word!r}")
        if word not in ("self", "permanent", "static", "link-netnsid", "extern_learn", "offload"):
            raise words.unknown(("self", "permanent", "static"))
    return mac, dev, ip
