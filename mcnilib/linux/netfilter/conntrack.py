"""Connection tracking: which connection a packet belongs to, and in what state it finds it.

An entry has two directions and, for TCP, the knowledge of `conntrack_tcp`. `Conntrack` is the table of one namespace
during a run; entries are frozen values. Not modelled: helpers and expectations, accounting.
Source: net/netfilter/nf_conntrack_core.c, nf_conntrack_proto_{udp,icmp,generic}.c (Linux 6.18).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address
from typing import NamedTuple

from mcnilib.errors import StateSyntaxError, Unknown
from mcnilib.language import mark, tr
from mcnilib.linux.netfilter.conntrack_tcp import (
    Limits,
    SegmentKind,
    TcpConntrack,
    TcpTrack,
    TcpVerdict,
    segment_kind,
    tcp_new,
    tcp_packet,
    timeout_name,
)
from mcnilib.linux.packet import Packet

ICMP_PAIRS = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}
"""ICMP queries and their answers. Source: nf_conntrack_proto_icmp.c `invmap`."""

ICMP_OPENING = (8, 13, 15, 17)

_NO_COUNTERPART, _NO_QUESTION = mark("ICMP type without counterpart"), mark("ICMP answer without a question")

_NO_CONNECTION = mark("ICMP error about an unknown connection")

_ONLY_RST = mark("the only answer is a RST: entry removed")

ICMP_TRACKED_ERRORS = (3, 4, 5, 11, 12)


@dataclass(frozen=True, slots=True)
class ConnTuple:
    """One direction of a connection (nf_conntrack_tuple); for ICMP the ports are (id, id), `icmp` is (type, code)."""

    proto: str
    src: IPv4Address
    dst: IPv4Address
    sport: int = 0
    dport: int = 0
    icmp: tuple[int, int] | None = None

    def inverse(self) -> ConnTuple:
        """Return the direction of the answers. Source: nf_ct_invert_tuple()."""
        icmp = (ICMP_PAIRS[self.icmp[0]], self.icmp[1]) if self.icmp else None
        return ConnTuple(self.proto, self.dst, self.src, self.dport, self.sport, icmp)

    def key(self) -> tuple[object, ...]:
        """Return what the table is indexed by: with the version of IP, as ::1 and 0.0.0.1 are the same number."""
        return (self.src.version, self.proto, int(self.src), int(self.dst), self.sport, self.dport, self.icmp)

    def __str__(self) -> str:
        if self.icmp:
            return f"src={self.src} dst={self.dst} type={self.icmp[0]} code={self.icmp[1]} id={self.sport}"
        return f"src={self.src} dst={self.dst} sport={self.sport} dport={self.dport}"


class Zone(NamedTuple):
    """In which part of the table each direction of a connection stands; 0 is where all stand that no CT rule put
    elsewhere. Source: nf_ct_zone_id() in include/net/netfilter/nf_conntrack_zones.h."""

    original: int = 0
    reply: int = 0

    def words(self) -> tuple[str, str, str]:
        """Return what `conntrack -L` prints behind the first direction, behind the second, and at the end."""
        if self.original == self.reply:
            return "", "", f"zone={self.original} " if self.original else ""
        original = f" zone-orig={self.original}" if self.original else ""
        return original, f" zone-reply={self.reply}" if self.reply else "", ""


DEFAULT_ZONE = Zone()


class Entry(NamedTuple):
    """One line of `conntrack -L`. `expires` is the moment, in seconds since the run began, at which it is forgotten."""

    original: ConnTuple
    reply: ConnTuple
    tcp: TcpTrack | None = None
    seen_reply: bool = False
    assured: bool = False
    confirmed: bool = False
    mark: int = 0
    snat: bool = False
    dnat: bool = False
    src_nat_done: bool = False  # the nat table was asked about the source already (IPS_SRC_NAT_DONE)
    dst_nat_done: bool = False  # (IPS_DST_NAT_DONE)
    masquerade_oif: str = ""  # the device MASQUERADE chose the address of
    expires: float = 0.0
    stream_since: float = 0.0  # UDP: moment after which replies make it a stream
    zone: Zone = DEFAULT_ZONE
    listed: bool = False  # read from a listing, which does not tell the TCP windows

    @property
    def state(self) -> str:
        """The TCP state as `conntrack -L` names it; empty for other protocols."""
        return self.tcp.state if self.tcp else ""

    def line(self, now: float) -> str:
        """Print the entry as `conntrack -L` does at moment `now`."""
        numbers = {"tcp": 6, "udp": 17, "icmp": 1}
        fields = [f"{self.original.proto:<8} {numbers.get(self.original.proto, 0)} {max(0, round(self.expires - now))}"]
        fields += [self.state] if self.state else []
        first, second, last = self.zone.words()
        fields += [f"{self.original}{first}"] + ([] if self.seen_reply else ["[UNREPLIED]"]) + [f"{self.reply}{second}"]
        return " ".join([*fields, *(["[ASSURED]"] if self.assured else []), f"mark={self.mark} {last}use=1"])

    @property
    def keys(self) -> tuple[tuple[object, ...], tuple[object, ...]]:
        """What the table is indexed by: both directions, each in its zone."""
        return (*self.original.key(), self.zone.original), (*self.reply.key(), self.zone.reply)


class ConnState(StrEnum):
    """What a rule sees of a packet's connection, as `--ctstate` names it (enum ip_conntrack_info)."""

    INVALID = "INVALID"
    NEW = "NEW"
    ESTABLISHED = "ESTABLISHED"
    RELATED = "RELATED"
    UNTRACKED = "UNTRACKED"


@dataclass(slots=True)
class Tracked:
    """What conntrack attached to a packet: the entry's number in the table, state and direction; it travels with
    the packet."""

    state: ConnState | None  # None: not asked yet, and NOTRACK comes too late
    number: int = 0  # 0: no entry
    reply: bool = False
    complaint: str = ""  # for INVALID and ignored packets: what the kernel would log


def tuple_of(packet: Packet) -> ConnTuple | None:
    """Return the direction a packet travels in; None for ICMP that has no counterpart. Source: nf_ct_get_tuple()."""
    if packet.icmp:
        if packet.icmp.type not in ICMP_PAIRS:
            return None
        ident = packet.icmp.ident
        return ConnTuple("icmp", packet.src, packet.dst, ident, ident, (packet.icmp.type, packet.icmp.code))
    return ConnTuple(packet.proto, packet.src, packet.dst, packet.sport, packet.dport)


class Conntrack:
    """The connection table of one namespace during a run."""

    def __init__(self, limits: Limits, timeout: Callable[[str], float]) -> None:
        """Start empty. `timeout` gives seconds for a name such as `tcp_timeout_syn_sent` or `udp_timeout`."""
        self.limits, self.timeout = limits, timeout
        self._entries: dict[int, Entry] = {}
        self._index: dict[tuple[object, ...], tuple[int, bool]] = {}
        self._next = 1

    def __getitem__(self, number: int) -> Entry:
        return self._entries[number]

    def __setitem__(self, number: int, entry: Entry) -> None:
        self._entries[number] = entry

    def __iter__(self) -> Iterator[Entry]:
        return (entry for number, entry in self._entries.items() if self._index.get(entry.keys[0], (0,))[0] == number)

    def find(self, direction: ConnTuple, now: float, zone: Zone = DEFAULT_ZONE) -> tuple[int, bool] | None:
        """Return the number of the entry with this direction, and whether that is the one of its answers.

        Source: resolve_normal_ct(), nf_ct_key_equal().
        """
        for place in zone if zone.original != zone.reply else zone[:1]:
            hit = self._index.get((*direction.key(), place))
            if hit and zone[hit[1]] == place:
                if self._entries[hit[0]].expires > now:
                    return hit
                self.forget(hit[0])
        return None

    def forget(self, number: int) -> None:
        """Remove an entry from the table; a packet that still holds its number is translated by it to the end."""
        entry = self._entries[number]
        for key in entry.keys:
            if self._index.get(key, (0,))[0] == number:
                del self._index[key]

    def copy(self, other: Conntrack) -> None:
        """Take over what another table holds; limits and timeouts stay this one's."""
        self._entries, self._index, self._next = dict(other._entries), dict(other._index), other._next

    def load(self, entry: Entry) -> None:
        """Put an existing connection into the table, as `conntrack -I` would."""
        self.confirm(self._add(entry))

    def clashes(self, number: int, *, answers: bool = False) -> bool:
        """Tell whether another connection has one of a new one's directions: zones kept it from being found.

        `answers`: ask for the direction of its answers alone. Source: __nf_conntrack_confirm().
        """
        new = self._entries[number]
        hits = (self._index[key] for key in new.keys[answers:] if key in self._index)
        return any(self._entries[other].zone[reply] == new.zone[reply] for other, reply in hits)

    def confirm(self, number: int) -> None:
        """Store a new connection: it survived all hooks. Source: __nf_conntrack_confirm()."""
        entry = self._entries[number]
        self._entries[number] = entry._replace(confirmed=True)
        original, reply = entry.keys
        self._index[original] = (number, False)
        self._index.setdefault(reply, (number, True))

    def drop_unconfirmed(self, tracked: Tracked | None) -> None:
        """Forget a connection whose first packet was dropped before it could be stored."""
        entry = self._entries.get(tracked.number) if tracked else None
        if tracked and entry and not entry.confirmed:
            del self._entries[tracked.number]

    def close(self, number: int, now: float) -> None:
        """Take a stored TCP connection for closed: REJECT resets it. Source: nf_conntrack_tcp_set_closing()."""
        entry = self._entries.get(number)
        if entry and entry.confirmed and entry.tcp and entry.tcp.state is not TcpConntrack.CLOSE:
            expires = now + self.timeout("tcp_timeout_close")
            self._entries[number] = entry._replace(tcp=entry.tcp._replace(state=TcpConntrack.CLOSE), expires=expires)

    def track(self, packet: Packet, now: float, zone: Zone = DEFAULT_ZONE) -> Tracked:
        """Look the packet up, or begin a connection, and move its state. Source: nf_conntrack_in()."""
        if packet.icmp and packet.icmp.type in ICMP_TRACKED_ERRORS:
            return self._related(packet, now, zone)
        direction = tuple_of(packet)
        if direction is None:
            return Tracked(ConnState.INVALID, complaint=_NO_COUNTERPART)
        hit = self.find(direction, now, zone)
        if hit is None:
            return self._begin(packet, direction, now, zone)
        return self._follow(packet, hit[0], hit[1], now)

    def _add(self, entry: Entry) -> int:
        number, self._next = self._next, self._next + 1
        self._entries[number] = entry
        return number

    def _related(self, packet: Packet, now: float, zone: Zone) -> Tracked:
        """Attach an ICMP error to the connection it complains about. Source: nf_conntrack_inet_error()."""
        quoted = packet.icmp.quoted if packet.icmp else None
        direction = tuple_of(quoted) if quoted else None
        hit = self.find(direction.inverse(), now, zone) if direction else None
        if hit is None:
            return Tracked(ConnState.INVALID, complaint=_NO_CONNECTION)
        entry = self._entries[hit[0]]
        expected = (entry.reply if hit[1] else entry.original).dst
        if packet.dst != expected:
            return Tracked(ConnState.INVALID, complaint=f"outer daddr {packet.dst} != inner saddr {expected}")
        return Tracked(ConnState.RELATED, hit[0], hit[1])

    def _begin(self, packet: Packet, direction: ConnTuple, now: float, zone: Zone) -> Tracked:
        tcp = None
        if packet.tcp:
            opinion = tcp_new(packet, packet.tcp, self.limits)
            if opinion.verdict is TcpVerdict.INVALID:
                return Tracked(ConnState.INVALID, complaint=opinion.complaint)
            tcp = opinion.track
        if packet.icmp and packet.icmp.type not in ICMP_OPENING:
            return Tracked(ConnState.INVALID, complaint=_NO_QUESTION)
        expires = now + self._lifetime(packet, tcp, False)
        entry = Entry(direction, direction.inverse(), tcp, expires=expires, stream_since=now + 2, zone=zone)
        return Tracked(ConnState.NEW, self._add(entry))

    def _lifetime(self, packet: Packet, tcp: TcpTrack | None, stream: bool) -> float:
        if tcp and packet.tcp:
            return self.timeout(f"tcp_timeout_{timeout_name(tcp, segment_kind(packet.tcp), self.limits)}")
        names = {"udp": "udp_timeout_stream" if stream else "udp_timeout", "icmp": "icmp_timeout"}
        return self.timeout(names.get(packet.proto, "generic_timeout"))

    def _follow(self, packet: Packet, number: int, reply: bool, now: float) -> Tracked:
        entry = self._entries[number]
        if packet.tcp and entry.listed:
            raise _no_windows(entry)
        state = ConnState.ESTABLISHED if reply or entry.seen_reply else ConnState.NEW
        complaint = ""
        if packet.tcp and entry.tcp:
            opinion = tcp_packet(entry.tcp, packet, packet.tcp, reply, self.limits, entry.seen_reply, entry.assured)
            if opinion.verdict is TcpVerdict.INVALID:
                self._entries[number] = entry._replace(tcp=opinion.track)
                return Tracked(ConnState.INVALID, complaint=opinion.complaint)
            if opinion.verdict is TcpVerdict.REOPEN:
                self.forget(number)
                return self.track(packet, now, entry.zone)
            complaint = opinion.complaint
            moved = self._tcp_entry(entry, packet, opinion.track, opinion.verdict, now)
        else:
            moved = self._plain_entry(entry, packet, now)
        if moved is None:
            self.forget(number)
            self._entries[number] = entry._replace(tcp=opinion.track, seen_reply=reply)
            return Tracked(state, number, reply, _ONLY_RST)
        self._entries[number] = moved._replace(seen_reply=True) if reply else moved
        return Tracked(state, number, reply, complaint)

    def _tcp_entry(
        self, entry: Entry, packet: Packet, track: TcpTrack, verdict: TcpVerdict, now: float
    ) -> Entry | None:
        """Return the entry after an accepted segment: new state, ASSURED, timeout; None when a RST removes it."""
        kind = segment_kind(packet.tcp) if packet.tcp else SegmentKind.NONE
        before = entry.tcp.state if entry.tcp else TcpConntrack.NONE
        if verdict is TcpVerdict.IGNORE:
            return entry._replace(tcp=track)
        seconds = self._lifetime(packet, track, False)
        if not entry.seen_reply:
            if kind is SegmentKind.RST:
                return None
            if kind is SegmentKind.SYN and before is TcpConntrack.SYN_SENT:
                return entry._replace(tcp=track)
            if track.state is TcpConntrack.ESTABLISHED:
                seconds = min(seconds, self.timeout("tcp_timeout_unacknowledged"))
        opened = before in (TcpConntrack.SYN_RECV, TcpConntrack.ESTABLISHED) and track.state is TcpConntrack.ESTABLISHED
        return entry._replace(tcp=track, assured=entry.assured or (entry.seen_reply and opened), expires=now + seconds)

    def _plain_entry(self, entry: Entry, packet: Packet, now: float) -> Entry:
        """Return a UDP, ICMP or other entry after one more packet. Source: nf_conntrack_udp_packet()."""
        if packet.proto != "udp":
            return entry._replace(expires=now + self._lifetime(packet, None, False))
        stream = entry.seen_reply and now > entry.stream_since
        expires = now + self._lifetime(packet, None, stream)
        return entry._replace(expires=expires, assured=entry.assured or stream)


def _no_windows(entry: Entry) -> Unknown:
    there = entry.original
    why = tr("a connection {connection} is there already, and its TCP windows are not known", connection=there)
    return Unknown(why, collect="")


_FIELD = re.compile(r"(src|dst|sport|dport|type|code|id)=(\S+)")

_HEAD = re.compile(r"(\w+) +(\d{1,3}) +(\d{1,10}) +", re.ASCII)

_ZONE = re.compile(r" zone(-orig|-reply)?=(\d{1,5})", re.ASCII)

_PROTOCOLS = ("tcp", "udp", "icmp")


def parse_connections(text: str, source: str = "conntrack -L") -> tuple[Entry, ...]:
    """Read the output of `conntrack -L`. Raises: StateSyntaxError for text it does not print."""
    return tuple(entry for number, line in enumerate(text.splitlines(), 1) for entry in _entry(line, source, number))


_Wrong = Callable[[str, int], StateSyntaxError]
"""Says what is wrong with a line, and in which column."""


def _entry(line: str, source: str, number: int) -> Iterator[Entry]:
    def wrong(what: str, column: int) -> StateSyntaxError:
        return StateSyntaxError(what, source=source, line=number, column=column, text=line)

    head = _HEAD.match(line)
    if not line.strip() or line.startswith("conntrack v"):
        return
    if not head:
        raise wrong(tr("not `PROTOCOL NUMBER SECONDS ...`"), 1)
    if head[1] not in _PROTOCOLS:
        return
    state = line[head.end() :].partition(" ")[0] if head[1] == "tcp" else ""
    if state and state not in TcpConntrack.__members__:
        raise wrong(tr("{state!r} is no TCP state", state=state), head.end() + 1)
    yield _read(line, state, float(head[3]), *_directions(head[1], line, wrong))


def _read(line: str, state: str, seconds: float, original: ConnTuple, reply: ConnTuple) -> Entry:
    zones = {match[1] or "": int(match[2]) for match in _ZONE.finditer(line)}
    both = zones.get("", 0)
    mark = re.search(r" mark=(\d{1,10})\b", line, re.ASCII)
    return Entry(
        original,
        reply,
        TcpTrack(TcpConntrack(state)) if state else None,
        seen_reply="[UNREPLIED]" not in line,
        assured="[ASSURED]" in line,
        confirmed=True,
        mark=int(mark[1]) if mark else 0,
        snat=(original.src, original.sport) != (reply.dst, reply.dport),
        dnat=(original.dst, original.dport) != (reply.src, reply.sport),
        src_nat_done=True,
        dst_nat_done=True,
        expires=seconds,
        zone=Zone(zones.get("-orig", both), zones.get("-reply", both)),
        listed=True,
    )


def _directions(proto: str, line: str, wrong: _Wrong) -> tuple[ConnTuple, ConnTuple]:
    """Read the two directions: each begins with `src=`."""
    fields = list(_FIELD.finditer(line))
    starts = [position for position, field in enumerate(fields) if field[1] == "src"]
    if len(starts) != 2:
        raise wrong(tr("not two directions, each beginning with src="), 1)
    parts = fields[starts[0] : starts[1]], fields[starts[1] :]
    original, reply = (_direction(proto, {field[1]: field for field in part}, len(line), wrong) for part in parts)
    return original, reply


def _direction(proto: str, fields: dict[str, re.Match[str]], length: int, wrong: _Wrong) -> ConnTuple:
    def value(name: str, limit: int) -> int:
        field = fields.get(name)
        if field is None or not re.fullmatch(r"\d{1,5}", field[2], re.ASCII) or int(field[2]) > limit:
            column = field.start() + 1 if field else length + 1
            raise wrong(tr("{name}= must be a number up to {limit}", name=name, limit=limit), column)
        return int(field[2])

    def address(name: str) -> IPv4Address:
        try:
            return IPv4Address(fields[name][2])
        except (KeyError, AddressValueError):
            column = fields[name].start() + 1 if name in fields else length + 1
            raise wrong(tr("{name}= must be an IPv4 address", name=name), column) from None

    src, dst = address("src"), address("dst")
    if proto == "icmp":
        ident = value("id", 65535)
        return ConnTuple(proto, src, dst, ident, ident, (value("type", 255), value("code", 255)))
    return ConnTuple(proto, src, dst, value("sport", 65535), value("dport", 65535))
