"""Neighbour entries as `ip neigh` prints them.

Only what somebody wrote is state: permanent entries, those with `nud noarp`, and addresses ARP answers for (proxy).
What ARP learns in a run belongs to the run (`trace.stack.neighbour`): `parse_neighbours` leaves learned entries out,
`parse_learned` reads those in use. Source: ip-neighbour(8), arp(7).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from mcnilib.language import tr
from mcnilib.linux.origin import Origin
from mcnilib.linux.text import Words

LEARNED = ("INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED")
"""States of entries that ARP made, or has still to fill. Source: ip-neighbour(8)."""

USED = ("REACHABLE", "STALE", "DELAY", "PROBE")
"""States of entries whose MAC packets are sent to; an old one is asked about later.

Source: neigh_event_send(), neigh_resolve_output() in net/core/neighbour.c.
"""

IN_USE = re.compile(rf"^[\d.]+ dev \S+ lladdr .*\b({'|'.join(USED)})\b")

NEIGHBOUR_FLAGS = ("router", "proxy", "managed", "extern_learn", "offload")
"""What may stand before the state. Source: print_neigh() in ip/ipneigh.c (iproute2 6.1)."""

SHOWN_BY = dict.fromkeys(("PERMANENT", *USED), "ip neigh") | {
    "NOARP": "ip neigh show nud noarp",
    "proxy": "ip neigh show proxy",
}
"""States of entries, with the command that shows them."""

PROXY = "proxy"

MADE_BY_KERNEL = re.compile(
    r"\S+ dev (lo |(?!\S+ lladdr ([0-9a-f]{2}:){5}[0-9a-f]{2} )|\S+ lladdr (.[13579bdf]|00:00:00:00:00:00))"
    r".*\bNOARP\b.*"
)
"""Entries in the state NOARP that the kernel makes by itself: on devices without ARP, for groups and broadcasts.

Source: arp_constructor() in net/ipv4/arp.c.
"""


@dataclass(frozen=True, slots=True)
class Neigh:
    """One line of `ip neigh`: an address-to-MAC entry on a device, or a proxy's, without MAC.

    `state` is PERMANENT, NOARP or proxy for what somebody wrote, and one of USED for what ARP made; a proxy's entry
    without a device holds for each of them.
    """

    ip: IPv4Address
    dev: str
    mac: str
    state: str = "PERMANENT"
    origin: Origin | None = field(default=None, compare=False)

    def __str__(self) -> str:
        lladdr = f"lladdr {self.mac} " if self.mac else ""
        dev = f"dev {self.dev} " if self.dev else ""
        return f"{self.ip} {dev}{lladdr}{self.state} "


def parse_neigh(line: str, origin: Origin | None = None, *, source: str = "ip neigh", number: int = 1) -> Neigh:
    """Read one line of `ip neigh` that names an entry somebody wrote, or of `ip neigh show proxy`.

    Raises: StateSyntaxError for text `ip` does not print, Unsupported for an entry of another state.
    """
    words = Words(line, source=source, number=number)
    ip = words.address()
    dev = words.take("a device") if words.next != PROXY and words.one_of(["dev"]) else ""
    mac = words.mac() if words.next == "lladdr" and words.take() else ""
    flags = [words.take() for _ in iter(lambda: words.next in NEIGHBOUR_FLAGS, False)]
    state = PROXY if PROXY in flags else _state(words, mac)
    if words.next == "proto":
        words.take()
        words.take("a protocol")
    words.end()
    return Neigh(ip, dev, "" if state == PROXY else mac, state, origin)


def _state(words: Words, mac: str) -> str:
    if words.next in LEARNED or (words.next == "NOARP" and not mac):
        raise words.unsupported(tr("neighbour state {state!r}", state=words.next))
    if not mac:
        words.one_of(["lladdr"])
    return words.one_of(["PERMANENT", "NOARP"])


def parse_neighbours(text: str, *, source: str = "ip neigh") -> tuple[Neigh, ...]:
    """Read the output of `ip neigh`, with `nud all` and `proxy` too, leaving out what ARP made and what is not IPv4."""
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        tokens = re.sub(r" proto \S+ *$", "", line).split()
        if tokens and ":" not in tokens[0] and not _learned(tokens) and not MADE_BY_KERNEL.fullmatch(line):
            entries.append(parse_neigh(line, source=source, number=number))
    return tuple(entries)


def parse_learned(text: str, *, source: str = "ip neigh") -> tuple[Neigh, ...]:
    """Read from the output of `ip neigh` the entries ARP made that are in use: whoever has one does not ask."""
    lines = ((number, line) for number, line in enumerate(text.splitlines(), 1) if IN_USE.search(line))
    return tuple(_used(Words(line, source=source, number=number)) for number, line in lines)


def _used(words: Words) -> Neigh:
    ip, _, dev = words.address(), words.one_of(["dev"]), words.take("a device")
    words.one_of(["lladdr"])
    mac = words.mac()
    while words.next in NEIGHBOUR_FLAGS:
        words.take()
    return Neigh(ip, dev, mac, words.one_of(USED))


def _learned(tokens: list[str]) -> bool:
    """Tell whether ARP made the entry, or it says nothing yet: then it has no state at all."""
    stateless = len(tokens) == 3 and tokens[1] == "dev"
    return stateless or (PROXY not in tokens and (tokens[-1] in LEARNED or tokens[-1] in NEIGHBOUR_FLAGS))


def print_neighbours(neighbours: Iterable[Neigh], command: str = "") -> str:
    """Print what a command of SHOWN_BY shows; without one all of them, those behind each other."""
    order = [(state, shown) for state, shown in SHOWN_BY.items() if command in ("", shown)]
    entries = tuple(neighbours)
    return "".join(f"{entry}\n" for state, _ in order for entry in entries if entry.state == state)


def _made_by_kernel(line: str, tokens: list[str]) -> bool:
    return tokens[-1] == "NOARP" and MADE_BY_KERNEL.fullmatch(line) is not None
