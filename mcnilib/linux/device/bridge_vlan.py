"""The VLANs of bridge ports as `bridge vlan show` prints them: a port, then a line for each VLAN or range of them.

Kept are those of bridges with `vlan_filtering 1`, and of their ports; other bridges do not ask.
Source: bridge(8), bridge/vlan.c (iproute2 6.1; before 4.20 the columns had tabs between them).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mcnilib.language import tr
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.port import VlanEntry
from mcnilib.linux.text import Words


def filtering(links: Iterable[Link]) -> dict[str, Link]:
    """Return the devices whose VLANs are asked for, by name: bridges that filter, and their ports."""
    links = tuple(links)
    bridges = {link.name for link in links if link.kind.filters_vlans}
    return {link.name: link for link in links if link.name in bridges or link.master in bridges}


def print_vlans(links: Iterable[Link]) -> str:
    """Print the VLANs of ports and bridges, as `bridge vlan show` does; nothing where none is filtered."""
    lines = []
    for name, link in filtering(links).items():
        for number, entry in enumerate(link.vlans or ()):
            lines.append(f"{'' if number else name:16}  {entry}\n")
    return "".join(["port              vlan-id  \n", *lines]) if lines else ""


def with_vlans(links: Iterable[Link], text: str, source: str = "bridge vlan") -> tuple[Link, ...]:
    """Return the links with the VLANs that are listed; a port without a line is in none.

    Raises: StateSyntaxError for text the tool does not print.
    """
    listed: dict[str, list[VlanEntry]] = {}
    name = ""
    for number, line in enumerate(text.splitlines(), 1):
        words = Words(line, source=source, number=number)
        if not line.strip() or (number == 1 and line.split()[:2] in (["port", "vlan-id"], ["port", "vlan"])):
            continue
        if not line[0].isspace():
            name = words.take("a device")
        if words.next == "None":
            continue
        if words:
            listed.setdefault(name, []).extend(_entries(words))
    asked = filtering(links)
    return tuple(replace(x, vlans=tuple(listed.get(x.name, ()))) if x.name in asked else x for x in links)


def _entries(words: Words) -> list[VlanEntry]:
    """Read `ID[-ID] [PVID] [Egress Untagged]`."""
    first, dash, last = words.take("a VLAN").partition("-")
    if not all(number.isdecimal() and number.isascii() and int(number) < 4096 for number in (first, last or first)):
        raise words.wrong(tr("{vlan} is no number of a VLAN (1 to 4094), and no range", vlan=f"{first}{dash}{last}"))
    flags = set()
    while words:
        flags.add(words.one_of(("PVID", "Egress", "Untagged")))
    ids = range(int(first), int(last or first) + 1)
    return [VlanEntry(number, "PVID" in flags, "Untagged" in flags) for number in ids]
