"""The lab's state read back with the real tools, beside what the World prints: is it the world that was meant?

Physical NICs are veth cables in the lab, so a device's far end is left out; members of a set have no order, counters
no value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mcnilib.kernel.lab import sysctls
from mcnilib.kernel.lab.lab import Lab
from mcnilib.kernel.lab.tools import finish
from mcnilib.linux.device.base import NO_END, DeviceRole
from mcnilib.linux.device.fdb import LEARNED_STATION, print_fdb, with_fdb
from mcnilib.linux.device.link import Link, parse_links
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netfilter.ipset import parse_sets, print_sets
from mcnilib.linux.netfilter.iptables.save import print_tables
from mcnilib.linux.netns import Netns
from mcnilib.linux.routing.neigh import PROXY, Neigh, parse_neighbours
from mcnilib.linux.routing.route import print_routes

COMMANDS = {
    "ip rule": ("ip", "rule"),
    "ip route show table all": ("ip", "-4", "route", "show", "table", "all"),
    "ip neigh": ("ip", "-4", "neigh", "show", "nud", "permanent", "nud", "noarp"),
    "ip neigh show proxy": ("ip", "-4", "neigh", "show", "proxy"),
    "bridge fdb show": ("bridge", "fdb", "show"),
    "iptables-save": ("iptables-nft-save",),
    "ipset save": ("ipset", "save"),
    "ip -d address": ("ip", "-d", "address"),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A listing in which the lab is not the World: the lines only one of them has."""

    netns: str
    command: str
    meant: tuple[str, ...]
    real: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.netns}, {self.command}:",
            *(f"  meant: {x}" for x in self.meant),
            *(f"  real:  {x}" for x in self.real),
        ]
        return "\n".join(lines)


def read_back(lab: Lab) -> tuple[Difference, ...]:
    """Compare every listing of every namespace, in order where order means something."""
    running = [
        (netns, command, lab.start(netns.name, *argv)) for netns in lab.world for command, argv in COMMANDS.items()
    ]
    found = [_difference(netns, command, finish(tool)) for netns, command, tool in running]
    found += [_sysctls(lab, netns) for netns in lab.world]
    return tuple(difference for difference in found if difference)


def _difference(netns: Netns, command: str, real: str) -> Difference | None:
    meant, lines = _meant(netns, command), _lines(netns, command, real)
    if meant == lines:
        return None
    only_meant, only_real = (tuple(x for x in one if x not in other) for one, other in ((meant, lines), (lines, meant)))
    if not only_meant and not only_real:
        return Difference(netns.name, f"{command} (order)", tuple(meant), tuple(lines))
    return Difference(netns.name, command, only_meant, only_real)


def _meant(netns: Netns, command: str) -> list[str]:
    """Return the lines the World prints."""
    match command:
        case "ip rule":
            return [str(rule).rstrip() for rule in netns.ip4.rules]
        case "ip route show table all":
            return _stripped(print_routes(netns.ip4.routes))
        case "ip neigh":
            return _neighbours(neigh for neigh in netns.ip4.neighbours if neigh.state != PROXY)
        case "ip neigh show proxy":
            return _neighbours(neigh for neigh in netns.ip4.neighbours if neigh.state == PROXY)
        case "bridge fdb show":
            return sorted(_stripped(print_fdb(netns.links)))
        case "iptables-save":
            return _tables(_stripped(print_tables(netns.ip4.tables)))
        case "ipset save":
            return _sets(print_sets(netns.sets))
    return _links(netns.links)


def _lines(netns: Netns, command: str, text: str) -> list[str]:
    """Return the lines the tool printed, without what has no meaning here."""
    match command:
        case "ip neigh" | "ip neigh show proxy":
            return _neighbours(parse_neighbours(text))
        case "bridge fdb show":
            found = with_fdb(netns.links, text)
            return sorted(line for line in _stripped(print_fdb(found)) if not LEARNED_STATION.search(line))
        case "iptables-save":
            lines = (line for line in _stripped(text) if not line.startswith("#"))
            return _tables([re.sub(r"\[\d+:\d+\]", "[0:0]", line) for line in lines])
        case "ipset save":
            return _sets(text)
        case "ip -d address":
            return _links(parse_links(as_in_the_world(netns, text), netns=netns.name))
    return _stripped(text)


def as_in_the_world(netns: Netns, text: str) -> str:
    """Give devices the World's indexes, and leave out what the kernel gives every namespace (tunl0, gre0, sit0).

    The lab's namespaces have no names, and the kernel chooses the indexes.
    """
    indexes, kept = {link.name: link.index for link in netns.links}, []
    for block in re.split(r"^(?=\d+: )", text, flags=re.MULTILINE)[1:]:
        number, name = re.findall(r"[^\s:@]+", block)[:2]
        if name in indexes:
            kept.append(f"{indexes[name]}{block[len(number) :]}")
        elif f"{name}@NONE: " not in block:
            kept.append(block)
    return re.sub(r"link-netnsid \d+", "link-netns elsewhere", "".join(kept))


def _neighbours(entries: Iterable[Neigh]) -> list[str]:
    return sorted(str(entry).rstrip() for entry in entries)


def _stripped(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def _tables(lines: list[str]) -> list[str]:
    """Put whole tables in order of their names; each keeps the order of its lines."""
    starts = [i for i, line in enumerate(lines) if line.startswith("*")]
    blocks = [lines[i:j] for i, j in zip(starts, [*starts[1:], len(lines)], strict=False)]
    return [line for block in sorted(blocks) for line in block]


def _sets(text: str) -> list[str]:
    plain = (replace(one, options="", members=tuple(sorted(one.members, key=str))) for one in parse_sets(text))
    return sorted(str(one) for one in plain)


def _links(links: Iterable[Link]) -> list[str]:
    """Describe devices without their far ends; a NIC is a veth here, and forwarding entries are compared apart."""
    lines = []
    for link in links:
        cable = link.kind.role in (DeviceRole.NIC, DeviceRole.PAIR)
        kind = Veth(NO_END) if cable else link.kind.leading_to(NO_END).with_entries((), ())
        carrier = link.carrier or not link.kind.child  # others have it by their cables
        lines.append(str(replace(link, kind=kind, carrier=carrier, by=None)))
    return lines


def _sysctls(lab: Lab, netns: Netns) -> Difference | None:
    with lab.inside(netns.name):
        wrong = [(s, real) for s in netns.sysctls if (real := sysctls.read(s.key)) != s.value]
    if not wrong:
        return None
    meant = tuple(str(setting) for setting, _ in wrong)
    return Difference(netns.name, "sysctl -a", meant, tuple(f"{setting.key} = {real}" for setting, real in wrong))
