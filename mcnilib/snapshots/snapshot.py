"""A snapshot that was read: its world, who listens in it, and the way back to files."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from mcnilib.cluster.kube_proxy.modes import without_ipvs
from mcnilib.errors import McniError, NotThere, StateSyntaxError
from mcnilib.gc_pause import gc_paused
from mcnilib.language import listed, tr, trn
from mcnilib.linux.netfilter.conntrack import Entry, parse_connections
from mcnilib.linux.netns import Netns
from mcnilib.linux.packet import is_large
from mcnilib.linux.sysctl import (
    CONF,
    FORWARD,
    GLOBAL,
    KERNEL_DEFAULT,
    NETFILTER,
    OF_SIZES,
    VS,
    Setting,
    conf_key,
    stored,
)
from mcnilib.linux.text import check_text, names_of, nearest, not_there
from mcnilib.linux.unmodelled import Gap, unreadable
from mcnilib.snapshots.archive import Texts, snapshots_in
from mcnilib.snapshots.files import save
from mcnilib.snapshots.folder import SnapshotError, read_file, read_folder, reports_in
from mcnilib.snapshots.load import load_collected
from mcnilib.snapshots.merge import merged
from mcnilib.snapshots.provenance import with_writers
from mcnilib.snapshots.question import own_port, parse_listeners, print_listeners, read_flow
from mcnilib.snapshots.targets.flow_target import refuse_ipv6
from mcnilib.snapshots.targets.names import Name, names_called, read_names, services_in
from mcnilib.snapshots.targets.outside import Beyond, placed, with_gateways
from mcnilib.trace.flow import ANY_ADDRESS, Flow, Listener
from mcnilib.trace.notes import notes_on
from mcnilib.trace.sizes import run_sizes
from mcnilib.trace.trace import Trace, Verdict
from mcnilib.world.ipv6 import ipv4_only
from mcnilib.world.world import Segment, World

SOCKETS, CONNECTIONS, SYSCTLS = "ss.txt", "conntrack.txt", "sysctl.txt"

_Ask = Callable[[World], Trace]

_UNASKED = ("accept_redirects", "send_redirects")
"""Off where they are not listed (`mcnilib.trace.stack.icmp`)."""
_ELSEWHERE = (
    *(FORWARD, "net.ipv4.icmp_errors_use_inbound_ifaddr", NETFILTER + "acct", NETFILTER + "log_invalid"),
    VS + "backup_only",
)
"""Asked as `forwarding`; and what decides only which address an ICMP error comes from, what is counted or logged, what
IPVS does as the backup of another machine."""
_SWITCHES = (
    *(name for name in CONF if name not in _UNASKED),
    *(key for key, (default, _) in GLOBAL.items() if default in ("0", "1") and key not in _ELSEWHERE),
)
"""Settings that have another value than the default: on or off; numbers of seconds or packets are left out."""
_OTHER = {"0": "1", "1": "0"}
_STRICTER = {"arp_announce": "2", "arp_ignore": "2"}
"""Settings with more than two values: the one that is in use and farthest from the default."""
_MOST = 64
"""Namespaces that are asked about one by one."""


@dataclass(frozen=True)
class Snapshot:
    """The state of some namespaces at one moment, and where it was read from."""

    world: World
    listeners: tuple[Listener, ...] = ()
    name: str = "snapshot"
    connections: tuple[tuple[str, Entry], ...] = ()  # those there are already, each with its namespace
    names: tuple[Name, ...] = ()  # of pods and services
    beyond: Beyond | None = None  # what nobody collected, behind its segments
    passed: tuple[tuple[str, str, int], ...] = ()  # namespaces, files, and how many lines of IPv6 they have

    def placed(self, netns: str, to: str) -> tuple[Snapshot, str, str]:
        """Return the snapshot with the machine outside that a question names, and its client and target without that.

        Raises: see `mcnilib.snapshots.targets.outside.placed`.
        """
        beyond, client, target = placed(self._beyond, netns, to)
        servers = (*beyond.listeners, *self.listeners)
        return replace(self, world=beyond.world, listeners=servers, beyond=beyond), client, target

    @property
    def _beyond(self) -> Beyond:
        return replace(self.beyond, world=self.world) if self.beyond else Beyond(self.world)

    def flow(self, netns: str, to: str, source: str = "", patience: float = 5.0) -> Flow:
        """Read a conversation as it is typed; the target may be a name that is known here. Raises: see `read_flow`."""
        return read_flow(netns, to, source, patience, lambda text: names_called(text, self.world, self.names))

    def trace(self, flow: Flow, listeners: Sequence[Listener] = ()) -> Trace:
        """Run a conversation through the snapshot; `listeners` are added to those that were collected.

        Raises: NotThere for a namespace that is not there, Unsupported for state that is not modelled, QuestionError
        for a client's port that a server has.
        """
        flow = replace(flow, netns=self.namespace(flow.netns))
        given = tuple(replace(listener, netns=self.namespace(listener.netns)) for listener in listeners)
        servers = (*given, *self.listeners)
        own_port(flow, servers)

        def ask(world: World) -> Trace:
            return run_sizes(world, flow, servers, connections=self.connections, partial=True)

        trace = ask(self.world)
        notes = (*notes_on(self.world, trace), *self._taken_for_granted(trace))
        notes += (*assumed(self.world, trace, ask, self._beyond.added),)
        return with_writers(replace(trace, notes=notes))

    def _taken_for_granted(self, trace: Trace) -> Iterator[str]:
        """Yield what is taken for granted of the machines nobody collected that packets came to."""
        visited = {step.netns for step in trace.steps()}
        yield from (sentence for name, sentence in self._beyond.told if name in visited)
        if any(name in visited for name, _, _ in self.passed):
            files = names_of([f"{name}/{file}" for name, file, _ in self.passed])
            count = sum(lines for _, _, lines in self.passed)
            yield trn(
                "passed over: {count} line of IPv6 in {files}",
                "passed over: {count} lines of IPv6 in {files}",
                count,
                files=files,
            )

    def namespace(self, name: str) -> str:
        """Return a namespace's name; it may be given as one of its addresses, or as a pod's name. Raises: NotThere."""
        names = [netns.name for netns in self.world]
        if name in names:
            return name
        refuse_ipv6(name)
        pods = [pod for pod in self.names if pod.kind == "pod" and pod.is_called(name)]
        if len(pods) > 1:
            raise NotThere(
                tr(
                    "{pods} are called {name!r}: name one of them",
                    pods=names_of([str(pod) for pod in pods]),
                    name=name,
                )
            )
        try:
            address = pods[0].address if pods else IPv4Address(name)
        except AddressValueError:
            addresses, bare = self._addresses(), re.split("[/:]", name)[0]  # an address with a length or a port
            raise not_there(
                tr("network namespace"), name, names, also=[bare] if bare in addresses else addresses
            ) from None
        owners = [netns.name for netns in self.world if address in netns.own_addresses]
        if len(owners) != 1:
            raise self._not_one(str(address), owners)
        return owners[0]

    def _not_one(self, address: str, owners: Sequence[str]) -> NotThere:
        """Build the error for an address that no namespace has, or several."""
        if owners:
            return NotThere(
                tr(
                    "{owners} have the address {address}: name one of them",
                    owners=names_of(owners),
                    address=address,
                )
            )
        return NotThere(
            tr(
                "no network namespace has the address {address}{nearest}",
                address=address,
                nearest=nearest(address, self._addresses()),
            )
        )

    def _addresses(self) -> list[str]:
        return [str(address) for netns in self.world for address in netns.own_addresses]

    def services(self, most: int) -> Iterable[Name]:
        """Return the services that were listed, else those that rules name where they name so many at most."""
        listed = [name for name in self.names if name.ports]
        return listed or (service for netns in self.world for service in services_in(netns, most))

    def served(self) -> Iterator[tuple[IPv4Address, Listener]]:
        """Yield the servers that were collected, each with the addresses at which others may ask it."""
        for server in self.listeners:
            anywhere = server.address == ANY_ADDRESS
            for address in self.world[server.netns].dialled_addresses if anywhere else [server.address]:
                yield address, server

    def files(self) -> dict[str, str]:
        """Return the files of the snapshot: relative name -> text. Sysctls that nobody wrote have their defaults."""
        names = [netns.name for netns in self.world]
        sockets = {f"{n}/{SOCKETS}": print_listeners(x for x in self.listeners if x.netns == n) for n in names}
        collected = save(self.world) | {name: text for name, text in sockets.items() if text}
        return collected | {f"{netns.name}/{SYSCTLS}": _given(netns) for netns in self.world}


def _given(netns: Netns) -> str:
    """Print the sysctls with what the model takes for them where nobody wrote any, so that nothing is left to assume.

    Redirects are off where they are not listed (`mcnilib.trace.stack.icmp`), and devices without a line are like
    `default`.
    """
    there = {setting.key: setting for setting in netns.sysctls}
    keys = (*GLOBAL, *(conf_key(name, scope) for name in CONF if name not in _UNASKED for scope in ("all", "default")))
    rest = {key: stored(netns.settings, key) for key in keys if key not in there}
    lines = sorted({**there, **rest}.values(), key=lambda setting: setting.key)
    return "".join(f"{setting}\n" for setting in lines if setting.value)


def open_snapshot(*paths: Path | str, segments: Iterable[Segment] = ()) -> Snapshot:
    """Read a snapshot: a folder, an archive, or what the script printed (`-`: standard input); several become one.

    Raises: SnapshotError, StateSyntaxError for text the tools do not print, Unsupported for another version.
    """
    return _opened(_parts(paths), segments, ", ".join(map(str, paths)))


def open_files(files: Mapping[str, bytes], segments: Iterable[Segment] = ()) -> Snapshot:
    """Read the snapshots among files in memory (name -> content) as one. Raises: see `open_snapshot`."""
    return _opened(snapshots_in(files), segments, ", ".join(dict.fromkeys(name.partition("/")[0] for name in files)))


def _opened(parts: Sequence[tuple[str, Texts]], segments: Iterable[Segment], name: str) -> Snapshot:
    with _located(parts):
        return snapshot_of(_joined([files for _, files in parts], segments), name)


def read_files(*paths: Path | str, segments: Iterable[Segment] = ()) -> dict[str, str]:
    """Return the files of one or several snapshots: relative name -> text. Raises: see `open_snapshot`."""
    parts = _parts(paths)
    with _located(parts):
        return _joined([files for _, files in parts], segments)


def _parts(paths: Sequence[Path | str]) -> list[tuple[str, Texts]]:
    """Return the snapshots that some paths name, each with what stands before its files' names in errors."""
    if [str(path) for path in paths].count("-") > 1:
        raise SnapshotError(tr("standard input is named twice (-), and can be read only once"))
    return [part for path in paths for part in _read(Path(path))]


def _joined(parts: Sequence[Texts], segments: Iterable[Segment]) -> Texts:
    extra = tuple(segments)
    return parts[0] if len(parts) == 1 and not extra else merged(parts, extra)


@contextmanager
def _located(parts: Iterable[tuple[str, Texts]]) -> Iterator[None]:
    """Say in errors which snapshot a file is of; a namespace that got another name is in none."""
    try:
        yield
    except StateSyntaxError as wrong:
        where = next((where for where, files in parts if wrong.source in files), None)
        if where is None:
            raise
        raise wrong.inside(where) from None


def _read(path: Path) -> list[tuple[str, Texts]]:
    if path.is_dir():
        return reports_in(path) or [(f"{path}/", read_folder(path))]
    if str(path) != "-" and not path.exists():
        raise SnapshotError(tr("{path}: no such file or folder", path=path))
    return snapshots_in({str(path): read_file(path)})


@gc_paused()
def snapshot_of(files: Mapping[str, str], name: str = "snapshot") -> Snapshot:
    """Read a snapshot's files; errors name them as the mapping does."""
    files, passed = _of_ipv4(files)
    world = without_ipvs(load_collected(files))
    gaps: dict[str, list[Gap]] = {}
    listeners, connections = tuple(_listeners(world, files, gaps)), tuple(_connections(world, files, gaps))
    namespaces = (netns.but(missing=(*netns.missing, *gaps.get(netns.name, ()))) for netns in world)
    beyond = with_gateways(replace(world, namespaces=tuple(namespaces)) if gaps else world)
    return Snapshot(beyond.world, listeners, name, connections, read_names(files), beyond, passed)


def _of_ipv4(files: Mapping[str, str]) -> tuple[Mapping[str, str], tuple[tuple[str, str, int], ...]]:
    """Return the files without what they say of IPv6, and how many lines of which that is."""
    kept, passed = dict(files), []
    for path, text in files.items():
        netns, _, file = path.rpartition("/")
        rest, lines = ipv4_only(file, text)
        if lines:
            passed.append((netns, file, lines))
            if rest is None:
                del kept[path]
            else:
                kept[path] = rest
    return kept, tuple(passed)


def _listeners(world: World, files: Mapping[str, str], gaps: dict[str, list[Gap]]) -> Iterable[Listener]:
    for netns in world:
        with _noted(netns.name, gaps):
            path = f"{netns.name}/{SOCKETS}"
            check_text(files.get(path, ""), path)
            yield from parse_listeners(files.get(path, ""), netns.name, path)


def _connections(world: World, files: Mapping[str, str], gaps: dict[str, list[Gap]]) -> Iterable[tuple[str, Entry]]:
    """Yield the connections of each namespace whose state is known well enough to hold any."""
    for netns in world:
        with _noted(netns.name, gaps):
            path = f"{netns.name}/{CONNECTIONS}"
            check_text(files.get(path, ""), path)
            entries = parse_connections(files.get(path, ""), path)
            yield from ((netns.name, entry) for entry in entries if all(gap.rules for gap in netns.missing))


@contextmanager
def _noted(netns: str, gaps: dict[str, list[Gap]]) -> Iterator[None]:
    """Note a gap in a namespace instead of an error in one of its files."""
    try:
        yield
    except McniError as problem:
        gaps.setdefault(netns, []).append(unreadable(problem))


def assumed(world: World, trace: Trace, ask: _Ask, granted: Collection[str] = ()) -> Iterator[str]:
    """Yield a sentence for each sysctl that decided though nobody gave it: the kernel's default was taken.

    Which ones decided is found by asking again with the other value. Of what was collected nothing is assumed: a line
    that is not there ends a packet's way (`mcnilib.linux.sysctl.with_missing`). Of `granted` ones all is said.
    """
    if trace.outcome.verdict is Verdict.UNKNOWN:
        return
    end = _end(lambda _: trace, world)
    awake = {name for course in trace.courses for name, _ in course.connections}
    there = [netns for netns in world if netns.name in awake and netns.name not in granted]
    large = trace.large is not None or any(is_large(journey.packet) for journey in trace.journeys)
    for name in (name for name in _SWITCHES if large or name not in OF_SIZES):
        turned = {netns.name: changed for netns in there if (changed := _turned(netns, name)) is not netns}
        if turned and _end(ask, _with(world, *turned.values())) != end:
            alone = [ns for ns in turned if len(turned) <= _MOST and _end(ask, _with(world, turned[ns])) != end]
            yield _sentence(name, alone or [*turned])


def _turned(netns: Netns, name: str) -> Netns:
    """Return a namespace in which a setting has the other value wherever nobody gave it; itself where it was given."""
    if name.startswith(VS) and not netns.ip4.ipvs:
        return netns
    keys = [conf_key(name, dev) for dev in ("all", *(link.name for link in netns.links))] if name in CONF else [name]
    lines = [stored(netns.settings, key) for key in keys]
    stricter = _STRICTER.get(name)
    new = tuple(
        Setting(entry.key, stricter or _OTHER[entry.value]) for entry in lines if entry.origin is KERNEL_DEFAULT
    )
    return netns.but(sysctls=(*netns.sysctls, *new)) if new else netns


def _with(world: World, *namespaces: Netns) -> World:
    new = {netns.name: netns for netns in namespaces}
    return replace(world, namespaces=tuple(new.get(netns.name, netns) for netns in world))


def _end(ask: _Ask, world: World) -> tuple[str, ...]:
    """Return how the conversation ends in a world; a refusal is an end of its own."""
    try:
        outcome = ask(world).outcome
    except McniError as problem:
        return (str(problem),)
    return outcome.verdict.value, outcome.error, outcome.seen_source


def _sentence(name: str, namespaces: list[str]) -> str:
    key = conf_key(name, "all") if name in CONF else name
    default = (CONF[name] if name in CONF else GLOBAL[key])[0]
    return tr(
        "assumed: {setting} = {default} on {namespaces}, not given",
        setting=key.rpartition(".")[2],
        default=default,
        namespaces=listed(namespaces),
    )
