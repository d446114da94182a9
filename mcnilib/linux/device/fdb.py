"""Forwarding entries as `bridge fdb show` prints them: which MAC stands behind which port, or which tunnel end.

Kept are those of bridges and the far ends of VXLAN devices. Passed over are what a device filters by itself (`self`),
entries of single VLANs, which a bridge without `vlan_filtering` does not ask, and those it learned for one.
Source: bridge(8), bridge/fdb.c (iproute2 6.1), net/bridge/br_fdb.c (Linux 6.18).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address

from mcnilib.errors import Unsupported
from mcnilib.language import listed, tr
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.port import FdbEntry
from mcnilib.linux.text import Words

LEARNED_STATION = re.compile(r" master \S+ ?$")
"""What a bridge saw: such an entry has no state."""

LAST_VLAN = 4094
"""The largest number of a VLAN (IEEE 802.1Q)."""

OWN_FILTER = re.compile(r"^(.[02468ace]:\S+) dev (\S+) self permanent *$", re.MULTILINE)


def print_fdb(links: Iterable[Link]) -> str:
    """Print the entries of VXLAN devices that name a far end, and those of bridges, as `bridge fdb show` does."""
    return "".join(f"{line}\n" for link in links for line in link.kind.entries(link.name))


def filtered_macs(text: str) -> dict[str, list[str]]:
    """Return the single MACs that devices take beside their own, as `bridge fdb show` prints them: device -> MACs."""
    macs: dict[str, list[str]] = {}
    for mac, dev in OWN_FILTER.findall(text):
        macs.setdefault(dev, []).append(mac)
    return macs


def with_fdb(links: Iterable[Link], text: str, source: str = "bridge fdb") -> tuple[Link, ...]:
    """Return the links with the entries `bridge fdb show` prints for their bridges and VXLAN devices.

    Raises: StateSyntaxError for text the tool does not print, Unsupported for far ends with options.
    """
    links = tuple(links)
    unmodelled = {link.name for link in links if link.kind.unmodelled}
    far: dict[str, list[tuple[str, IPv4Address]]] = {}
    stations: dict[str, list[FdbEntry]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = Words(line, source=source, number=number)
        if unmodelled.intersection(line.split()[2:3]):
            continue
        if " dst " in line:
            mac, dev, ip = _far_end(words)
            far.setdefault(dev, []).append((mac, ip))
        elif " master " in line:
            bridge, station = _station(words)
            if _is_asked(station, bridge, links):
                stations.setdefault(bridge, []).append(station)
    strangers = far.keys() - {link.name for link in links if link.kind.has_far_ends}
    if strangers:
        devices = listed(sorted(strangers))
        raise Unsupported(
            tr("{source}: far ends on {devices}, which is no vxlan device", source=source, devices=devices)
        )
    own = {(link.name, link.mac) for link in links}
    written = {name: tuple(x for x in entries if (x.port, x.mac) not in own) for name, entries in stations.items()}
    kinds = (link.kind.with_entries(tuple(far.get(link.name, ())), written.get(link.name, ())) for link in links)
    return tuple(replace(link, kind=kind) for link, kind in zip(links, kinds, strict=True))


def _is_asked(station: FdbEntry, bridge: str, links: Iterable[Link]) -> bool:
    """Tell whether an entry counts: one of a single VLAN if somebody wrote it, on a bridge that filters VLANs."""
    filters = (link.kind.filters_vlans for link in links if link.name == bridge)
    return not station.vlan or (bool(station.state) and any(filters))


def _station(words: Words) -> tuple[str, FdbEntry]:
    """Read an entry of a bridge: the bridge, and the entry."""
    mac = words.mac()
    words.one_of(("dev",))
    port, flags, vlan = words.take("a device"), set(), 0
    if words.next == "vlan":
        words.take()
        vlan = words.number_upto(LAST_VLAN)
    while words.next != "master":
        flags.add(words.one_of(("self", "router", "extern_learn", "offload", "sticky", "locked", "master")))
    words.take()
    bridge = words.take("a bridge")
    state = words.one_of(("permanent", "static", "stale")) if words else ""
    words.end()
    return bridge, FdbEntry(mac, port, "" if state == "stale" else state, "sticky" in flags, vlan)


def _far_end(words: Words) -> tuple[str, str, IPv4Address]:
    mac = words.mac()
    words.one_of(("dev",))
    dev = words.take("a device")
    words.one_of(("dst",))
    ip = words.address()
    while words:
        word = words.take()
        if word in ("port", "vni", "via", "src_vni", "nhid"):
            raise words.unsupported(tr("a forwarding entry with {word!r}", word=word))
        if word == "master":
            words.take("a bridge")
        elif word not in ("self", "permanent", "static", "stale", "link-netnsid", "extern_learn", "offload"):
            raise words.unknown(("self", "permanent", "static"))
    return mac, dev, ip
