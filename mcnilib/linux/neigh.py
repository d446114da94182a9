"""Neighbour entries as `ip neigh` prints them.

Only permanent entries are state; what ARP learns during a run belongs to the run (`mcnilib.trace.arp`), so parsing a
whole listing leaves learned entries out. Source: ip-neighbour(8), arp(7).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from mcnilib.errors import Unsupported
from mcnilib.linux.origin import Origin
from mcnilib.linux.words import Words

LEARNED = ("INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED")
"""States of entries that ARP made. Source: ip-neighbour(8)."""


@dataclass(frozen=True, slots=True)
class Neigh:
    """One line of `ip neigh`: a permanent address-to-MAC entry on a device."""

    ip: IPv4Address
    dev: str
    mac: str
    state: str = "PERMANENT"
    by: Origin | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.ip} dev {self.dev} lladdr {self.mac} {self.state} "


def parse_neigh(line: str, by: Origin | None = None, *, source: str = "ip neigh", number: int = 1) -> Neigh:
    """Read one line of `ip neigh` that names a permanent entry.

    Raises: StateSyntaxError for text `ip` does not print, Unsupported for an entry that is not permanent.
    """
    words = Words(line, source=source, number=number)
    ip = words.address()
    words.one_of(["dev"])
    dev = words.take("a device")
    if words.next in (*LEARNED, "NOARP", "proxy"):
        raise Unsupported(f"{source}:{number}: neighbour state {words.next!r}")
    words.one_of(["lladdr"])
    mac = words.mac()
    if words.next in (*LEARNED, "NOARP", "NONE", "router", "extern_learn", "proto"):
        raise Unsupported(f"{source}:{number}: neighbour state {words.next!r}")
    state = words.one_of(["PERMANENT"])
    words.end()
    return Neigh(ip, dev, mac, state, by)


def parse_neighbours(text: str, *, source: str = "ip neigh") -> tuple[Neigh, ...]:
    """Read the output of `ip neigh`, leaving out what ARP learned and what is not IPv4."""
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if words and words[-1] not in LEARNED and ":" not in words[0]:
            entries.append(parse_neigh(line, source=source, number=number))
    return tuple(entries)
