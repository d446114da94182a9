"""A world from what was collected on real machines: what is missing or not modelled stays in it as a gap.

Unlike `mcnilib.snapshots.files.load` nothing is refused for being incomplete. A packet that needs a missing part, a
device of another kind or a rule nobody understands ends there, unknown. Text that no tool prints is still an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

from mcnilib.errors import McniError, Unsupported
from mcnilib.linux.device.base import DeviceRole, LinkEnd
from mcnilib.linux.device.fdb import filtered_macs, with_fdb
from mcnilib.linux.device.link import Link, parse_links, programs
from mcnilib.linux.device.nic import Physical, UnmodelledDevice
from mcnilib.linux.gap import CONNECTIONS, PROGRAMS, QUEUES, SOCKETS, TABLES, Gap, unreadable
from mcnilib.linux.netfilter.ipset import parse_sets
from mcnilib.linux.netfilter.iptables.edit import Tables
from mcnilib.linux.netfilter.iptables.save import incompatible_tables, parse_tables
from mcnilib.linux.netns import Family, Netns
from mcnilib.linux.routing.fib import with_doubt
from mcnilib.linux.routing.neigh import Neigh, parse_learned, parse_neighbours
from mcnilib.linux.routing.route import Route, parse_routes
from mcnilib.linux.routing.rule import parse_rules
from mcnilib.linux.sysctl import Setting, listing, parse_settings
from mcnilib.linux.text import check_text
from mcnilib.snapshots.attached import (
    UNSHOWN,
    filtered_devices,
    filters,
    programs_at_hooks,
    programs_on,
    queued_devices,
    root_queues,
    shows_hooks,
    since,
)
from mcnilib.snapshots.files import FILES, WORLD, Place, parse_world
from mcnilib.snapshots.netns_ids import Home, connected, parse_ids, with_hidden
from mcnilib.snapshots.nft_json import Ruleset
from mcnilib.snapshots.unsupported import (
    arp_rules,
    both_backends,
    bridge_rules,
    dormant_tables,
    filtered_bridges,
    foreign_tables,
    full_table,
    holds_something,
    odd_sysctls,
    tells_flags,
    transforms,
)
from mcnilib.world.json_form import FORMS, text_of
from mcnilib.world.world import Port, World

IDS = "ip-netns.txt"

LOOKED_AT = {
    TABLES: ("nft.json",),
    QUEUES: ("tc.txt",),
    SOCKETS: ("ss.txt",),
    CONNECTIONS: ("conntrack.txt",),
}
"""What a collected namespace may hold though it was not looked at, and the files that tell."""

Part = TypeVar("Part")


def load_collected(files: Mapping[str, str]) -> World:
    """Return the world of a snapshot's files; file names in errors are those of the mapping.

    A namespace with text the tools do not print is a gap as far as that text goes; the others are read.
    Raises: StateSyntaxError for a `world.json` that cannot be read; Unsupported for another version of the format.
    """
    check_text(files.get(WORLD, ""), WORLD)
    places, segments, complete = parse_world(files.get(WORLD, ""))
    ports = frozenset(port for one in segments for port in one.ports)
    readers = {place.name: _Reader(place, files, ports, complete) for place in places}
    homes = [reader.home() for reader in readers.values()]
    placed = connected(homes)
    filters = {name: reader.filters() for name, reader in readers.items()}
    links = with_hidden((replace(home, links=placed[home.name]) for home in homes), filters)
    return World(tuple(readers[name].as_known(links[name]) for name in readers), segments, complete)


class _Reader:
    """The files of one namespace, and the gaps found while reading them."""

    def __init__(self, place: Place, files: Mapping[str, str], ports: frozenset[Port], complete: bool) -> None:
        self.place, self.files, self.ports, self.complete = place, files, ports, complete
        self.gaps: list[Gap] = []
        self.programs: dict[str, str] = {}
        self.queues: dict[str, str] = {}

    def home(self) -> Home:
        """Return the devices, and what is known of where the others are."""
        name = self.place.name
        none: tuple[Link, ...] = ()
        links = self.read("ip-address", self._links, none)
        known = not self.gaps
        links = tuple(self._plugged(link) for link in links)
        try:
            ids = parse_ids(*self._file(IDS))
        except McniError as problem:
            ids = {}
            self.gaps.append(unreadable(problem))
        return Home(name, links, self.place.node, self.place.called, {**ids, **self.place.ids}, known)

    def filters(self) -> dict[str, list[str]]:
        """Return the MACs that devices take beside their own."""
        none: dict[str, list[str]] = {}
        return self.read("bridge-fdb", lambda text, path: filtered_macs(text), none, needed=False)

    def _links(self, text: str, path: str) -> tuple[Link, ...]:
        """Read the devices, and which of them have programs."""
        self.programs, self.queues = programs(text, path), root_queues(text, path)
        return parse_links(text, path, self.place.name, partial=True)

    def as_known(self, links: tuple[Link, ...]) -> Netns:
        """Read everything else; nothing but the devices is known when that is not possible."""
        try:
            return self.netns(links)
        except McniError as problem:
            return Netns(self.place.name, links, missing=(*self.gaps, unreadable(problem)))

    def netns(self, links: tuple[Link, ...]) -> Netns:
        """Read everything else. Raises: McniError for text that cannot be read."""
        links = self._attached(links)
        tunnels = any(link.kind.has_far_ends for link in links)
        links = self.read("bridge-fdb", lambda text, at: with_fdb(links, text, at), links, needed=tunnels)
        links = tuple(self._without_entries(link) for link in links)
        no_routes: tuple[Route, ...] = ()
        no_learned: tuple[Neigh, ...] = ()
        routes = self.read("ip-route", lambda text, at: parse_routes(text, "all", source=at, partial=True), no_routes)
        self._compare(links, routes)
        ip4 = Family(
            self.read("ip-rule", lambda text, at: parse_rules(text, source=at, partial=True), ()),
            self.read("ip-neigh", lambda text, at: with_doubt(routes, text), routes, needed=False),
            self.read("ip-neigh", lambda text, at: parse_neighbours(text, source=at), ()),
            self._tables(),
        )
        netns = Netns(
            self.place.name,
            links,
            ip4,
            self.read("ipset", lambda text, at: parse_sets(text, at), (), needed=False),
            self.read("sysctl", lambda text, at: self._settings(text, at, links), ()),
            tuple(self.gaps),
            tuple(self._unseen()),
        )
        learned = self.read("ip-neigh", lambda text, at: parse_learned(text, source=at), no_learned, needed=False)
        return netns.with_ip4(learned=learned)

    def _unseen(self) -> Iterator[str]:
        """Name what was not looked at, of what was collected."""
        if since(self._file("uname.txt")[0], UNSHOWN) and not shows_hooks(self._file("bpf.txt")[0]):
            yield PROGRAMS
        for part, names in LOOKED_AT.items() if self.place.collected else ():
            if not any(f"{self.place.name}/{file}" in self.files for file in names):
                yield part

    def _compare(self, links: tuple[Link, ...], routes: tuple[Route, ...]) -> None:
        """Note a gap when devices, or their addresses, are missing whose routes are there."""
        there = {link.name: {address.ip for address in link.addresses} for link in links}
        own = (r for r in routes if (r.type, r.table, r.proto, r.dst.prefixlen) == ("local", "local", "kernel", 32))
        lost = (f"no device {r.dev}" for r in routes if r.dev and r.dev not in there)
        without = (f"no {r.src} on {r.dev}" for r in own if r.src not in there.get(r.dev, (r.src,)))
        what = next(lost, "") or (self.place.collected and next(without, ""))
        if what and not self.gaps:
            files = f"{self.place.name}/ip-address has {what}, and {self.place.name}/ip-route names it"
            self.gaps.append(Gap(files, f"`ip -d address show` in {self.place.name}"))

    def _settings(self, text: str, path: str, links: tuple[Link, ...]) -> tuple[Setting, ...]:
        """Read the sysctls; of what was collected, those that are missing are not at their defaults."""
        found = parse_settings(text, source=path)
        return listing(found, (link.name for link in links), path) if self.place.collected else found

    def _plugged(self, link: Link) -> Link:
        """Return a device that stands in a segment as a NIC: a bond is one from outside, and so is a container's end.

        Only what `world.json` says tells them from others.
        """
        role, plugged = link.kind.role, Port(self.place.name, link.name) in self.ports
        if plugged and role in (DeviceRole.PAIR, DeviceRole.UNMODELLED):
            return replace(link, kind=Physical())
        if role in (DeviceRole.PAIR, DeviceRole.BRIDGE):  # theirs is that of the other ends
            return replace(link, carrier=True)
        return link

    def _attached(self, links: tuple[Link, ...]) -> tuple[Link, ...]:
        """Return the devices; what programs, filters or nftables decide about is not known there."""
        tc, nft = self._file("tc.txt"), self._file("nft.txt")
        both = {**programs_on(*self._file("bpf.txt")), **filtered_devices(*tc), **self.programs}
        queues = queued_devices(*tc) if tc[1] in self.files else self.queues
        out = {**filters(*self._file("tc-filter.txt")), **queues}
        bridges = self.ruleset.bridges() if self.ruleset else filtered_bridges(*nft)
        bridges = bridges or bridge_rules(*self._file("ebtables-legacy.txt"))
        return tuple(
            self._known(link, both.get(link.name) or (bridges if link.is_bridge else ""), out) for link in links
        )

    def _known(self, link: Link, why: str, out: Mapping[str, str]) -> Link:
        """Return a device as it is known: not at all for a reason, or not what becomes of packets that leave."""
        if why:
            return replace(link, kind=UnmodelledDevice(why, LinkEnd(self.place.name, link.index)))
        return replace(link, egress=out[link.name]) if link.name in out else link

    @cached_property
    def ruleset(self) -> Ruleset | None:
        """What nft prints of all tables, where that was collected. Raises: StateSyntaxError."""
        text, name = self._file("nft.json")
        return Ruleset(text, name, dormant_tables(*self._file("nft.txt"))) if name in self.files else None

    def _without_entries(self, link: Link) -> Link:
        """Return a bridge as one nobody knows where nobody asked for the entries somebody may have written into it."""
        path = f"{self.place.name}/bridge-fdb"
        there = any(f"{path}.{form}" in self.files for form in ("txt", "json"))
        if there or not (self.place.collected and link.is_bridge):
            return link
        return self._known(link, f"{path}.txt is not in the snapshot, and {link.name} is a bridge", {})

    def _file(self, file: str) -> tuple[str, str]:
        """Return the text of one of the namespace's files, empty when it is not there, and its name."""
        path = f"{self.place.name}/{file}"
        text = self.files.get(path, "")
        check_text(text, path)
        return text, path

    def _tables(self) -> Tables:
        """Read the netfilter rules of the backend that has any."""
        name = self.place.name
        nft, legacy = (self.files.get(f"{name}/{file}.txt", "") for file in ("iptables", "iptables-legacy"))
        self.gaps += both_backends(nft, legacy, f"{name}/iptables-legacy.txt")
        told = self._file("nft.txt")
        self.gaps += self.ruleset.gaps(tells_flags(told[0])) if self.ruleset else foreign_tables(*told)
        self.gaps += arp_rules(*self._file("arptables-legacy.txt"))
        self.gaps += transforms(*self._file("xfrm.txt"))
        self.gaps += programs_at_hooks(*self._file("bpf.txt"))
        for problems in (full_table, odd_sysctls):
            self.gaps += problems(*self._file("sysctl.txt"))
        self.gaps += incompatible_tables(nft, f"{name}/iptables.txt")
        stem, other = ("iptables-legacy", "iptables")[:: 1 if holds_something(legacy) else -1]
        none: Tables = ()
        if f"{name}/{other}.txt" in self.files:
            self.read(other, self._parse_tables, none)  # holds nothing, but what is wrong in it is said
        return self.read(stem, self._parse_tables, none)

    def _parse_tables(self, text: str, source: str) -> Tables:
        tables = parse_tables(text, source, partial=True, running=not self.complete)
        backend = self.ruleset if source.endswith("/iptables.txt") else None
        return backend.corrected(tables) if backend else tables

    def read(self, stem: str, parse: Callable[[str, str], Part], nothing: Part, *, needed: bool = True) -> Part:
        """Read one listing in either form; note a gap when it is not there, not modelled, or cannot be read."""
        path = f"{self.place.name}/{stem}.txt"
        json = f"{path[:-4]}.json"
        rules = stem.startswith("iptables")
        try:
            if path not in self.files and stem in FORMS and json in self.files:
                path = json
            if path in self.files:
                return parse(self._text(path, stem), path)
            gap = Gap(f"{path} is not in the snapshot", f"`{FILES[f'{stem}.txt']}` in {self.place.name}", rules)
        except Unsupported as problem:
            gap = Gap(str(problem), "", rules)
        except McniError as problem:
            gap, needed = unreadable(problem, rules=rules or stem == "ipset"), True
        if needed and gap not in self.gaps:
            self.gaps.append(gap)
        return nothing

    def _text(self, path: str, stem: str) -> str:
        """Return the text form of a listing. Raises: StateSyntaxError for JSON or characters no tool prints."""
        text = self.files[path]
        check_text(text, path)
        return text_of(text, FORMS[stem], path) if path.endswith(".json") else text
