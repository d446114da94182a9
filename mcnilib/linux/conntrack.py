"""Connection tracking: which connection a packet belongs to, and in what state it finds it.

An entry has two directions and, for TCP, the knowledge of `tcp_track`. `Conntrack` is the table of one namespace
during a run; entries are frozen values. Not modelled: zones, helpers and expectations, accounting.
Source: net/netfilter/nf_conntrack_core.c, nf_conntrack_proto_{udp,icmp,generic}.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import NamedTuple

from mcnilib.errors import Unknown
from mcnilib.linux.packet import Packet
from mcnilib.linux.tcp_track import Limits, TcpTrack, begin, follow, lifetime, segment_kind

ICMP_PAIRS = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}
"""ICMP queries and their answers. Source: nf_conntrack_proto_icmp.c `invmap`."""

ICMP_OPENING = (8, 13, 15, 17)
ICMP_TRACKED_ERRORS = (3, 4, 5, 11, 12)


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction of a connection. For ICMP the ports are (id, id) and `icmp` is (type, code)."""

    proto: str
    src: IPv4Address
    dst: IPv4Address
    sport: int = 0
    dport: int = 0
    icmp: tuple[int, int] | None = None

    def inverse(self) -> Flow:
        """Return the flow an answer would have."""
        icmp = (ICMP_PAIRS[self.icmp[0]], self.icmp[1]) if self.icmp else None
        return Flow(self.proto, self.dst, self.src, self.dport, self.sport, icmp)

    def key(self) -> tuple[object, ...]:
        """Return what the table is indexed by."""
        return (self.proto, int(self.src), int(self.dst), self.sport, self.dport, self.icmp)

    def __str__(self) -> str:
        if self.icmp:
            return f"src={self.src} dst={self.dst} type={self.icmp[0]} code={self.icmp[1]} id={self.sport}"
        return f"src={self.src} dst={self.dst} sport={self.sport} dport={self.dport}"


class Entry(NamedTuple):
    """One line of `conntrack -L`. `expires` is the moment, in seconds since the run began, at which it is forgotten."""

    original: Flow
    reply: Flow
    tcp: TcpTrack | None = None
    seen_reply: bool = False
    assured: bool = False
    confirmed: bool = False
    mark: int = 0
    snat: bool = False
    dnat: bool = False
    src_done: bool = False  # the nat table was asked about the source already
    dst_done: bool = False
    masquerade_oif: str = ""  # the device MASQUERADE chose the address of
    expires: float = 0.0
    stream_since: float = 0.0  # UDP: moment after which replies make it a stream
    listed: bool = False  # read from a listing, which does not tell the TCP windows

    @property
    def state(self) -> str:
        """The TCP state as `conntrack -L` names it; empty for other protocols."""
        return self.tcp.state if self.tcp else ""

    def line(self, now: float) -> str:
        """Print the entry as `conntrack -L` does at moment `now`."""
        numbers = {"tcp": 6, "udp": 17, "icmp": 1}
        words = [f"{self.original.proto:<8} {numbers.get(self.original.proto, 0)} {max(0, round(self.expires - now))}"]
        words += [self.state] if self.state else []
        words += [str(self.original)] + ([] if self.seen_reply else ["[UNREPLIED]"]) + [str(self.reply)]
        return " ".join([*words, *(["[ASSURED]"] if self.assured else []), f"mark={self.mark} use=1"])


@dataclass(slots=True)
class Tracked:
    """What conntrack attached to a packet: the entry's number in the table, state and direction; it travels with
    the packet."""

    state: str  # NEW, ESTABLISHED, RELATED, INVALID, UNTRACKED; empty: not asked yet, and NOTRACK comes too late
    number: int = 0  # 0: no entry
    reply: bool = False
    why: str = ""  # for INVALID and ignored packets: what the kernel would log


def flow_of(packet: Packet) -> Flow | None:
    """Return the flow a packet belongs to; None for ICMP that has no counterpart."""
    if packet.icmp:
        if packet.icmp.type not in ICMP_PAIRS:
            return None
        ident = packet.icmp.ident
        return Flow("icmp", packet.src, packet.dst, ident, ident, (packet.icmp.type, packet.icmp.code))
    return Flow(packet.proto, packet.src, packet.dst, packet.sport, packet.dport)


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
        return (
            entry for number, entry in self._entries.items() if self._index.get(entry.original.key(), (0,))[0] == number
        )

    def find(self, flow: Flow, now: float) -> tuple[int, bool] | None:
        """Return the number of the entry with this flow and whether it is the reply direction."""
        hit = self._index.get(flow.key())
        if hit and self._entries[hit[0]].expires <= now:
            self.forget(hit[0])
            return None
        return hit

    def used(self, reply: Flow, now: float) -> bool:
        """Tell whether a connection with this reply flow exists, so that NAT must choose another port."""
        return self.find(reply, now) is not None

    def forget(self, number: int) -> None:
        """Remove an entry from the table; a packet that still holds its number is translated by it to the end."""
        entry = self._entries[number]
        for flow in (entry.original, entry.reply):
            if self._index.get(flow.key(), (0,))[0] == number:
                del self._index[flow.key()]

    def copy(self, other: Conntrack) -> None:
        """Take over what another table holds; limits and timeouts stay this one's."""
        self._entries, self._index, self._next = dict(other._entries), dict(other._index), other._next

    def load(self, entry: Entry) -> None:
        """Put an existing connection into the table, as `conntrack -I` would."""
        self.confirm(self._add(entry))

    def confirm(self, number: int) -> None:
        """Store a new connection: it survived all hooks. Source: __nf_conntrack_confirm()."""
        entry = self._entries[number]
        self._entries[number] = entry._replace(confirmed=True)
        self._index[entry.original.key()] = (number, False)
        self._index.setdefault(entry.reply.key(), (number, True))

    def drop_unconfirmed(self, tracked: Tracked | None) -> None:
        """Forget a connection whose first packet was dropped before it could be stored."""
        entry = self._entries.get(tracked.number) if tracked else None
        if tracked and entry and not entry.confirmed:
            del self._entries[tracked.number]

    def close(self, number: int, now: float) -> None:
        """Take a stored TCP connection for closed: REJECT resets it. Source: nf_conntrack_tcp_set_closing()."""
        entry = self._entries.get(number)
        if entry and entry.confirmed and entry.tcp and entry.state != "CLOSE":
            expires = now + self.timeout("tcp_timeout_close")
            self._entries[number] = entry._replace(tcp=entry.tcp._replace(state="CLOSE"), expires=expires)

    def track(self, packet: Packet, now: float) -> Tracked:
        """Look the packet up, or begin a connection, and move its state. Source: nf_conntrack_in()."""
        if packet.icmp and packet.icmp.type in ICMP_TRACKED_ERRORS:
            return self._related(packet, now)
        flow = flow_of(packet)
        if flow is None:
            return Tracked("INVALID", why="ICMP type without counterpart")
        hit = self.find(flow, now)
        if hit is None:
            return self._begin(packet, flow, now)
        return self._follow(packet, hit[0], hit[1], now)

    def _add(self, entry: Entry) -> int:
        number, self._next = self._next, self._next + 1
        self._entries[number] = entry
        return number

    def _related(self, packet: Packet, now: float) -> Tracked:
        """Attach an ICMP error to the connection it complains about. Source: nf_conntrack_inet_error()."""
        quoted = packet.icmp.quoted if packet.icmp else None
        flow = flow_of(quoted) if quoted else None
        hit = self.find(flow.inverse(), now) if flow else None
        if hit is None:
            return Tracked("INVALID", why="ICMP error about an unknown connection")
        entry = self._entries[hit[0]]
        expected = (entry.reply if hit[1] else entry.original).dst
        if packet.dst != expected:
            return Tracked("INVALID", why=f"outer daddr {packet.dst} != inner saddr {expected}")
        return Tracked("RELATED", hit[0], hit[1])

    def _begin(self, packet: Packet, flow: Flow, now: float) -> Tracked:
        tcp = None
        if packet.tcp:
            opinion = begin(packet, packet.tcp, self.limits)
            if opinion.verdict == "invalid":
                return Tracked("INVALID", why=opinion.why)
            tcp = opinion.track
        if packet.icmp and packet.icmp.type not in ICMP_OPENING:
            return Tracked("INVALID", why="ICMP answer without a question")
        entry = Entry(flow, flow.inverse(), tcp, expires=now + self._lifetime(packet, tcp, False), stream_since=now + 2)
        return Tracked("NEW", self._add(entry))

    def _lifetime(self, packet: Packet, tcp: TcpTrack | None, stream: bool) -> float:
        if tcp and packet.tcp:
            return self.timeout(f"tcp_timeout_{lifetime(tcp, segment_kind(packet.tcp), self.limits)}")
        names = {"udp": "udp_timeout_stream" if stream else "udp_timeout", "icmp": "icmp_timeout"}
        return self.timeout(names.get(packet.proto, "generic_timeout"))

    def _follow(self, packet: Packet, number: int, reply: bool, now: float) -> Tracked:
        entry = self._entries[number]
        if packet.tcp and entry.listed:
            raise Unknown(
                f"a connection {entry.original} is there already, and its TCP windows are not known", collect=""
            )
        state = "ESTABLISHED" if reply or entry.seen_reply else "NEW"
        why = ""
        if packet.tcp and entry.tcp:
            opinion = follow(entry.tcp, packet, packet.tcp, reply, self.limits, entry.seen_reply, entry.assured)
            if opinion.verdict == "invalid":
                self._entries[number] = entry._replace(tcp=opinion.track)
                return Tracked("INVALID", why=opinion.why)
            if opinion.verdict == "reopen":
                self.forget(number)
                return self.track(packet, now)
            why = opinion.why
            moved = self._tcp_entry(entry, packet, opinion.track, opinion.verdict, now)
        else:
            moved = self._plain_entry(entry, packet, now)
        if moved is None:
            self.forget(number)
            self._entries[number] = entry._replace(tcp=opinion.track, seen_reply=reply)
            return Tracked(state, number, reply, "the only answer is a RST: entry removed")
        self._entries[number] = moved._replace(seen_reply=True) if reply else moved
        return Tracked(state, number, reply, why)

    def _tcp_entry(self, entry: Entry, packet: Packet, track: TcpTrack, verdict: str, now: float) -> Entry | None:
        """Return the entry after an accepted segment: new state, ASSURED, timeout; None when a RST removes it."""
        kind = segment_kind(packet.tcp) if packet.tcp else ""
        before = entry.state
        if verdict == "ignore":
            return entry._replace(tcp=track)
        seconds = self._lifetime(packet, track, False)
        if not entry.seen_reply:
            if kind == "rst":
                return None
            if kind == "syn" and before == "SYN_SENT":
                return entry._replace(tcp=track)
            if track.state == "ESTABLISHED":
                seconds = min(seconds, self.timeout("tcp_timeout_unacknowledged"))
        opened = before in ("SYN_RECV", "ESTABLISHED") and track.state == "ESTABLISHED"
        return entry._replace(tcp=track, assured=entry.assured or (entry.seen_reply and opened), expires=now + seconds)

    def _plain_entry(self, entry: Entry, packet: Packet, now: float) -> Entry:
        """Return a UDP, ICMP or other entry after one more packet. Source: nf_conntrack_udp_packet()."""
        if packet.proto != "udp":
            return entry._replace(expires=now + self._lifetime(packet, None, False))
        stream = entry.seen_reply and now > entry.stream_since
        expires = now + self._lifetime(packet, None, stream)
        return entry._replace(expires=expires, assured=entry.assured or stream)
