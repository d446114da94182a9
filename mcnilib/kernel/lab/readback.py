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
from mcnilib.linux.device.bridge_vlan import print_vlans, with_vlans
from mcnilib.linux.device.fdb import LEARNED_STATION, print_fdb, with_fdb
from mcnilib.linux.device.link import Link, parse_links
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netfilter.hooks import BUILT_IN
from mcnilib.linux.netfilter.ipset import parse_sets
from mcnilib.linux.netfilter.nftables.rule import NftTable, print_ruleset
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.linux.netns import Netns
from mcnilib.linux.routing.neigh import PROXY, Neigh, parse_neighbours
from mcnilib.world.listing import LISTINGS, ListingRow


@dataclass(frozen=True, slots=True)
class ListingMismatch:
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


def read_back(lab: Lab) -> tuple[ListingMismatch, ...]:
    """Compare every listing of every namespace, in order where order means something."""
    running = [
        (netns, row, command, lab.start(netns.name, *argv))
        for netns in lab.world
        for row in LISTINGS
        for command, argv in row.read_back.items()
    ]
    mismatches = [_difference(netns, row, command, finish(tool)) for netns, row, command, tool in running]
    mismatches += [_sysctls(lab, netns) for netns in lab.world]
    return tuple(difference for difference in mismatches if difference)


def _difference(netns: Netns, row: ListingRow, command: str, text: str) -> ListingMismatch | None:
    meant, real = _meant(netns, row, command), _real(netns, row, text)
    if meant == real:
        return None
    only_meant, only_real = (
        tuple(x for x in lines if x not in others) for lines, others in ((meant, real), (real, meant))
    )
    if not only_meant and not only_real:
        return ListingMismatch(netns.name, f"{command} (order)", tuple(meant), tuple(real))
    return ListingMismatch(netns.name, command, only_meant, only_real)


def _meant(netns: Netns, row: ListingRow, command: str) -> list[str]:
    """Return the lines the World prints."""
    match row.stem:
        case "ip-address":
            return _links(netns.links)
        case "ip-neigh":
            proxies = command.endswith(PROXY)
            return _neighbours(neigh for neigh in netns.ip4.neighbours if (neigh.state == PROXY) is proxies)
    return _ordered(row, row.print(netns) if row.print else "")


def _real(netns: Netns, row: ListingRow, text: str) -> list[str]:
    """Return the lines the tool printed, without what has no meaning here."""
    match row.stem:
        case "ip-address":
            return _links(parse_links(as_in_the_world(netns, text), netns=netns.name))
        case "ip-neigh":
            return _neighbours(parse_neighbours(text))
        case "bridge-fdb":
            kept = _stripped(print_fdb(with_fdb(netns.links, text)))
            text = "\n".join(line for line in kept if not LEARNED_STATION.search(line))
        case "nft":
            text = print_ruleset(tuple(table for table in read_ruleset(text) if _native(table)))
        case "bridge-vlan":
            text = print_vlans(with_vlans(netns.links, text))
        case "iptables":
            text = re.sub(r"\[\d+:\d+\]", "[0:0]", re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE))
    return _ordered(row, text)


def _native(table: NftTable) -> bool:
    """Tell whether a table is one of the World's own, not the probes' and not one of iptables."""
    return table.family == "inet" or (table.family == "ip" and table.name not in (*BUILT_IN, "mcni"))


def _ordered(row: ListingRow, text: str) -> list[str]:
    """Cut a text into lines, in an order of their own where the real one means nothing."""
    match row.stem:
        case "bridge-fdb":
            return sorted(_stripped(text))
        case "iptables":
            return _tables(_stripped(text))
        case "ipset":
            return _sets(text)
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
    plain = (replace(ip_set, options="", members=tuple(sorted(ip_set.members, key=str))) for ip_set in parse_sets(text))
    return sorted(str(ip_set) for ip_set in plain)


def _links(links: Iterable[Link]) -> list[str]:
    """Describe devices without their far ends; a NIC is a veth here, and forwarding entries are compared apart."""
    lines = []
    for link in links:
        cable = link.kind.role in (DeviceRole.NIC, DeviceRole.PAIR)
        kind = Veth(NO_END) if cable else link.kind.leading_to(NO_END).with_entries((), ())
        carrier = link.carrier or not link.kind.child  # others have it by their cables
        lines.append(str(replace(link, kind=kind, carrier=carrier, origin=None)))
    return lines


def _sysctls(lab: Lab, netns: Netns) -> ListingMismatch | None:
    with lab.inside(netns.name):
        wrong = [(s, real) for s in netns.sysctls if (real := sysctls.read_sysctl(s.key)) != s.value]
    if not wrong:
        return None
    meant = tuple(str(setting) for setting, _ in wrong)
    return ListingMismatch(netns.name, "sysctl -a", meant, tuple(f"{setting.key} = {real}" for setting, real in wrong))
