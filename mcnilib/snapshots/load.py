"""A world from its files: what is missing or not modelled stays in it as a gap, or is refused.

`load_collected` reads what was collected on real machines. Nothing is refused for being incomplete: a packet that needs
a missing part, a device of another kind or a rule nobody understands ends there, unknown. Text that no tool prints is
a gap as well. `load` reads what `mcnilib.snapshots.files.save` wrote, and raises the first gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

from mcnilib.errors import McniError, Unsupported
from mcnilib.language import tr
from mcnilib.linux.device.base import DeviceRole, LinkEnd
from mcnilib.linux.device.fdb import filtered_macs
from mcnilib.linux.device.link import Link, programs
from mcnilib.linux.device.nic import Physical, UnmodelledDevice
from mcnilib.linux.netfilter.iptables.save import incompatible_tables
from mcnilib.linux.netfilter.nftables.rule import NftTable
from mcnilib.linux.netns import Netns
from mcnilib.linux.text import check_text
from mcnilib.linux.unmodelled import Gap, Unseen, unreadable
from mcnilib.snapshots.files import WORLD, Place, parse_world
from mcnilib.snapshots.netns_ids import Home, connected, parse_ids, with_hidden
from mcnilib.snapshots.nft_json import Ruleset, headings, ingress_chains, is_ruleset, native_tables
from mcnilib.snapshots.sources.plain import Shortened, completed
from mcnilib.snapshots.unsupported import (
    UNSHOWN,
    arp_rules,
    bridge_rules,
    dormant_tables,
    filtered_bridges,
    filtered_devices,
    filters,
    foreign_tables,
    full_table,
    holds_something,
    odd_sysctls,
    programs_at_hooks,
    programs_on,
    queued_devices,
    root_queues,
    shows_hooks,
    since,
    tells_flags,
    transforms,
)
from mcnilib.world.json_form import text_of
from mcnilib.world.listing import LISTINGS, ListingRow, Parse, Reading
from mcnilib.world.world import Port, World

ROWS = {row.stem: row for row in LISTINGS}

_T = TypeVar("_T")


def load(files: Mapping[str, str]) -> World:
    """Return the world that `save` described; file names in errors are those of the mapping.

    Raises: StateSyntaxError for text the tools do not print, Unsupported for what is not modelled, Unknown for a file
    that is not there.
    """
    return _load(files, strict=True)


def load_collected(files: Mapping[str, str]) -> World:
    """Return the world of a snapshot's files; file names in errors are those of the mapping.

    A namespace with text the tools do not print is a gap as far as that text goes; the others are read.
    Raises: StateSyntaxError for a `world.json` that cannot be read; Unsupported for another version of the format.
    """
    return _load(files, strict=False)


def _load(files: Mapping[str, str], *, strict: bool) -> World:
    check_text(files.get(WORLD, ""), WORLD)
    places, segments, complete = parse_world(files.get(WORLD, ""))
    shortened: Shortened = {}
    if not strict:
        files, shortened = completed(files, places)
    plugged = frozenset(port for segment in segments for port in segment.ports)
    readers = {
        place.name: _Reader(place, files, plugged, Reading(not strict, not complete, place.collected))
        for place in places
    }
    homes = [reader.home() for reader in readers.values()]
    links = connected(homes)
    if not strict:
        filters = {name: reader.filters() for name, reader in readers.items()}
        links = with_hidden((replace(home, links=links[home.name]) for home in homes), filters)
    known = (reader.as_known(links[name]) for name, reader in readers.items())
    namespaces = (ns.but(unseen=(*ns.unseen, *shortened[ns.name])) if ns.name in shortened else ns for ns in known)
    return World(tuple(namespaces), segments, complete)


class _Reader:
    """The files of one namespace, and the gaps found while reading them."""

    def __init__(self, place: Place, files: Mapping[str, str], plugged: frozenset[Port], how: Reading) -> None:
        self.place, self.files, self.plugged, self.how = place, files, plugged, how
        self.gaps: dict[Gap, None] = {}  # in the order in which they were found
        self.programs: dict[str, Gap] = {}
        self.queues: dict[str, Gap] = {}

    def home(self) -> Home:
        """Return the devices, and what is known of where the others are."""
        place = self.place
        none: tuple[Link, ...] = ()
        links = self.read(ROWS["ip-address"], self._links, none)
        complete = not self.gaps
        try:
            ids = parse_ids(*self._file("ip-netns.txt"))
        except McniError as problem:
            ids = {}
            self.note(unreadable(problem), problem)
        plugged = tuple(map(self._plugged, links)) if self.how.partial else links
        return Home(place.name, plugged, place.node, place.called, {**ids, **place.ids}, complete)

    def filters(self) -> dict[str, list[str]]:
        """Return the MACs that devices take beside their own."""
        none: dict[str, list[str]] = {}
        return self.read(ROWS["bridge-fdb"], lambda text, path: filtered_macs(text), none, needed=False)

    def _links(self, text: str, path: str) -> tuple[Link, ...]:
        """Read the devices, and which of them have programs."""
        self.programs, self.queues = programs(text, path), root_queues(text, path)
        return ROWS["ip-address"].parse(Netns(self.place.name), text, path, self.how).links

    def as_known(self, links: tuple[Link, ...]) -> Netns:
        """Read everything else; nothing but the devices is known when that is not possible."""
        try:
            return self.netns(links)
        except McniError as problem:
            if not self.how.partial:
                raise
            return Netns(self.place.name, links, missing=(*self.gaps, unreadable(problem)))

    def netns(self, links: tuple[Link, ...]) -> Netns:
        """Read everything else. Raises: McniError for text that cannot be read."""
        netns = Netns(self.place.name, self._attached(links))
        for row in LISTINGS:
            match row.stem:
                case "ip-address":
                    continue  # these are the links that were given
                case "iptables":
                    netns = self._tables(netns)
                case "nft":
                    netns = netns.with_ip4(nft=self.native)
                case _ if row.print and row.stem != "iptables-legacy":
                    netns = self.fill(netns, row)
            if row.stem == "bridge-fdb":
                netns = netns.but(links=tuple(map(self._without_entries, netns.links)))
            if row.stem == "ip-route" and self.how.partial:
                self._compare(netns)
        netns = netns.but(missing=tuple(self.gaps), unseen=tuple(self._unseen()))
        return netns.but(links=tuple(self._shown(netns, link) for link in netns.links))

    def fill(self, netns: Netns, row: ListingRow, parse: Parse | None = None) -> Netns:
        """Read one listing into the namespace; `parse` is how, if not as the listing says."""
        how = parse or row.parse
        return self.read(row, lambda text, path: how(netns, text, path, self.how), netns, needed=row.needed(netns))

    def _unseen(self) -> Iterator[str]:
        """Name what was not looked at, of what was collected."""
        if since(self._file("uname.txt")[0], UNSHOWN) and not shows_hooks(self._file("bpf.txt")[0]):
            yield Unseen.PROGRAMS
        for row in LISTINGS if self.how.whole else ():
            if row.unseen and f"{self.place.name}/{row.file}" not in self.files:
                yield row.unseen

    def note(self, gap: Gap, problem: McniError | None = None) -> None:
        """Keep a gap, once; a reader that keeps nothing raises what left it."""
        if not self.how.partial:
            raise problem or gap.unknown()
        self.gaps.setdefault(gap)

    def _compare(self, netns: Netns) -> None:
        """Note a gap when devices, or their addresses, are missing whose routes are there."""
        name, routes = self.place.name, netns.ip4.routes
        there = {link.name: {address.ip for address in link.addresses} for link in netns.links}
        own = (r for r in routes if (r.type, r.table, r.proto, r.dst.prefixlen) == ("local", "local", "kernel", 32))
        lost = (tr("no device {device}", device=r.dev) for r in routes if r.dev and r.dev not in there)
        without = (
            tr("no {address} on {device}", address=r.src, device=r.dev)
            for r in own
            if r.src not in there.get(r.dev, (r.src,))
        )
        missing = next(lost, "") or (self.how.whole and next(without, ""))
        if missing and not self.gaps:
            what = tr("{name}/ip-address has {missing}, and {name}/ip-route names it", name=name, missing=missing)
            self.note(Gap(what, collect=tr("`ip -d address show` in {name}", name=name)))

    def _plugged(self, link: Link) -> Link:
        """Return a device that stands in a segment as a NIC: a VLAN is one from outside, and so is a container's end.

        Only what `world.json` says tells them from others.
        """
        role, plugged = link.kind.role, Port(self.place.name, link.name) in self.plugged
        alone = role in (DeviceRole.PAIR, DeviceRole.BOND, DeviceRole.UNMODELLED) or (
            link.kind.child and link.kind.child.tag
        )
        if plugged and alone:
            return replace(link, kind=Physical())
        if role in (DeviceRole.PAIR, DeviceRole.BRIDGE):  # theirs is that of the other ends
            return replace(link, carrier=True)
        return link

    def _attached(self, links: tuple[Link, ...]) -> tuple[Link, ...]:
        """Return the devices; what programs, filters or nftables decide about is not known there."""
        tc, nft = self._file("tc.txt"), self._nft_tables
        both = {**programs_on(*self._file("bpf.txt")), **filtered_devices(*tc), **self.programs}
        queues = queued_devices(*tc) if tc[1] in self.files else self.queues
        out = {**filters(*self._file("tc-filter.txt")), **queues}
        bridges = self.ruleset.bridges() if self.ruleset else filtered_bridges(*nft)
        bridges = bridges or bridge_rules(*self._file("ebtables-legacy.txt"))
        return tuple(
            self._known(link, both.get(link.name) or (bridges if link.is_bridge else None), out) for link in links
        )

    def _known(self, link: Link, gap: Gap | None, out: Mapping[str, Gap]) -> Link:
        """Return a device as it is known: not at all with a gap, or not what becomes of packets that leave."""
        egress = out.get(link.name)
        if not self.how.partial and (refused := gap or egress):
            raise Unsupported(refused.why)
        if gap:
            return replace(link, kind=UnmodelledDevice(gap, LinkEnd(self.place.name, link.index)))
        return replace(link, egress=egress) if egress else link

    @cached_property
    def ruleset(self) -> Ruleset | None:
        """What nft prints of all tables, where that was collected. Raises: StateSyntaxError."""
        text, name = self._file("nft.json")
        return Ruleset(text, name, dormant_tables(*self._nft_tables)) if name in self.files else None

    @cached_property
    def native(self) -> tuple[NftTable, ...]:
        """The tables of nftables that iptables-save does not print; a gap where they cannot be read."""
        text, name = self._file("nft.txt")
        try:
            if self.ruleset:
                return self.ruleset.native(running=self.how.running)
            return native_tables(text, name, running=self.how.running) if is_ruleset(text) else ()
        except McniError as problem:
            self.note(unreadable(problem, rules=True), problem)
            return ()

    @cached_property
    def _nft_tables(self) -> tuple[str, str]:
        """What nft prints of its tables and their flags, and the name of the file. Raises: StateSyntaxError."""
        text, name = self._file("nft.txt")
        return headings(text) if is_ruleset(text) else text, name

    def _without_entries(self, link: Link) -> Link:
        """Return a bridge as one nobody knows where nobody asked for the entries somebody may have written into it."""
        if not (self.how.whole and link.is_bridge) or self._path(ROWS["bridge-fdb"]):
            return link
        missing = tr(
            "{place}/bridge-fdb.txt is not in the snapshot, and {link} is a bridge",
            place=self.place.name,
            link=link.name,
        )
        return self._known(link, Gap(missing), {})

    def _shown(self, netns: Netns, link: Link) -> Link:
        """Return a bridge as one nobody knows where no sysctl tells whether iptables sees what crosses it."""
        if not (self.how.whole and link.is_bridge and netns.may_filter) or self._path(ROWS["sysctl"]):
            return link
        names = {"place": self.place.name, "link": link.name}
        missing = tr("{place}/sysctl.txt is not in the snapshot: does iptables see what crosses {link}?", **names)
        return self._known(link, Gap(missing), {})

    def _path(self, row: ListingRow) -> str:
        """Return the name of the file that holds a listing in either form; empty when it is not there."""
        paths = (f"{self.place.name}/{file}" for file in row.files)
        return next((path for path in paths if path in self.files), "")

    def _file(self, file: str) -> tuple[str, str]:
        """Return the text of one of the namespace's files, empty when it is not there, and its name."""
        path = f"{self.place.name}/{file}"
        text = self.files.get(path, "")
        check_text(text, path)
        return text, path

    def _tables(self, netns: Netns) -> Netns:
        """Read the netfilter rules of the backend that has any, or of both."""
        rows = ROWS["iptables"], ROWS["iptables-legacy"]
        nft, legacy = (self.files.get(f"{self.place.name}/{row.file}", "") for row in rows)
        for gap in self._foreign(nft):
            self.note(gap)
        if holds_something(nft) and holds_something(legacy):
            return self.fill(self.fill(netns, rows[0], self._corrected), rows[1])
        chosen, unused = rows[::-1] if holds_something(legacy) else rows
        if self._path(unused):
            self.fill(netns, unused, self._corrected)  # holds nothing, but what is wrong in it is said
        return self.fill(netns, chosen, self._corrected)

    def _foreign(self, nft: str) -> Iterator[Gap]:
        """Yield what else decides about packets besides the rules that are read."""
        name, nft_file, read = self.place.name, self._nft_tables, {(t.family, t.name) for t in self.native}
        if self.ruleset:
            yield from self.ruleset.gaps(tells_flags(nft_file[0]), read)
        else:
            yield from foreign_tables(*nft_file, read)
            yield from ingress_chains(self.native, nft_file[1])
        yield from arp_rules(*self._file("arptables-legacy.txt"))
        yield from transforms(*self._file("xfrm.txt"))
        yield from programs_at_hooks(*self._file("bpf.txt"))
        yield from full_table(*self._file("sysctl.txt"))
        yield from odd_sysctls(*self._file("sysctl.txt"))
        yield from incompatible_tables(nft, f"{name}/iptables.txt")

    def _corrected(self, netns: Netns, text: str, source: str, how: Reading) -> Netns:
        """Read the rules, and hold them against what nft prints of them."""
        netns = ROWS["iptables"].parse(netns, text, source, how)
        backend = self.ruleset if source.endswith("/iptables.txt") else None
        return netns.with_ip4(tables=backend.corrected(netns.ip4.tables)) if backend else netns

    def read(self, row: ListingRow, parse: Callable[[str, str], _T], nothing: _T, *, needed: bool = True) -> _T:
        """Read one listing in either form; note a gap when it is not there, not modelled, or cannot be read."""
        if not (path := self._path(row)):
            if needed:
                name = self.place.name
                missing = tr("{name}/{file} is not in the snapshot", name=name, file=row.file)
                self.note(Gap(missing, collect=f"`{row.command}` in {name}", rules=row.rules))
            return nothing
        try:
            return parse(self._text(path, row), path)
        except Unsupported as problem:
            if needed or not self.how.partial:
                self.note(Gap(str(problem), rules=row.rules), problem)
        except McniError as problem:
            self.note(unreadable(problem, rules=row.rules), problem)
        return nothing

    def _text(self, path: str, row: ListingRow) -> str:
        """Return the text form of a listing. Raises: StateSyntaxError for JSON or characters no tool prints."""
        text = self.files[path]
        check_text(text, path)
        return text_of(text, row.json, path) if row.json and path.endswith(".json") else text
