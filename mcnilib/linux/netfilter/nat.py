"""NAT: decided once per connection, then applied to each of its packets and undone for the answers.

Top to bottom: whether the nat table is asked, what its rule allows (`NatRange`), which address and port are drawn
(`Choice`), what becomes of the connection (`decide`) and of each packet (`translate`).
The targets are in `iptables/target/nat`; who asks is `mcnilib.trace.stack.netfilter`.
Source: net/netfilter/nf_nat_core.c, nf_nat_masquerade.c, nf_nat_proto.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from typing import NamedTuple, Protocol

from mcnilib.linux.chance import Chance
from mcnilib.linux.netfilter.conntrack import ConnState, Conntrack, ConnTuple, Entry, Tracked, Zone
from mcnilib.linux.packet import Packet

SOURCE_HOOKS = ("POSTROUTING", "INPUT")
"""Where sources are rewritten; PREROUTING and OUTPUT rewrite destinations. Source: HOOK2MANIP()."""


def asks_table(packet: Packet, tracked: Tracked, connection: Entry, hook: str) -> bool:
    """Tell whether the nat table is asked about a packet: only about the first of a connection.

    Not yet decided and related is REJECT's RST: it carries the connection of the SYN that came no further. An ICMP
    error carries one too, and is only rewritten. Source: nf_nat_inet_fn().
    """
    if tracked.state is not ConnState.NEW and (tracked.state is not ConnState.RELATED or packet.icmp):
        return False
    return not (connection.src_nat_done if hook in SOURCE_HOOKS else connection.dst_nat_done)


def oif_changed(tracked: Tracked, connection: Entry, hook: str, oif: str) -> bool:
    """Tell whether a packet leaves through another device than its connection was masqueraded for.

    Source: nf_nat_oif_changed().
    """
    return hook == "POSTROUTING" and not tracked.reply and connection.masquerade_oif not in ("", oif)


ATTEMPTS, FEWEST_ATTEMPTS = 128, 16

WORD = 0xFFFFFFFF


class NatRange(NamedTuple):
    """What a NAT target allows. No address: the address stays; port 0: any port that suits."""

    low: IPv4Address | None
    high: IPv4Address | None
    port: int = 0
    last_port: int = 0
    base_port: int = 0  # ports are shifted by their distance from it; 0: they are not
    random: bool = False
    persistent: bool = False
    masquerade_oif: str = ""  # the device MASQUERADE took the address of

    def has(self, ip: IPv4Address, port: int) -> bool:
        """Tell whether the address and port are allowed."""
        if self.low and self.high and not self.low <= ip <= self.high:
            return False
        return not self.port or self.port <= port <= self.last_port


NULL_BINDING = NatRange(None, None)
"""What a connection is allowed that no rule rewrites: its own source, if no other connection has the tuple already.

Source: nf_nat_alloc_null_binding().
"""


class NatPoint(NamedTuple):
    """Where the nat table is asked about a connection, and what its targets may ask."""

    hook: str
    oif: str
    connection: Entry
    own_address: Callable[[], IPv4Address | None]  # of the outgoing device, in PREROUTING of the incoming one

    @property
    def source(self) -> bool:
        """Tell whether the source is rewritten, not the destination."""
        return self.hook in SOURCE_HOOKS

    @property
    def current(self) -> ConnTuple:
        """What the packets of the connection look like after the hooks before."""
        return self.connection.reply.inverse()


class NatTarget(Protocol):
    """What a rule does that rewrites an address: `-j DNAT` and its like."""

    def nat_range(self, at: NatPoint) -> NatRange | None:
        """Return what the target allows here; None where the machine has no address to take."""
        ...


class Choice(NamedTuple):
    """The choice for one connection: the table knows which tuples are taken, `chance` draws ports."""

    table: Conntrack
    span: NatRange
    source: bool
    chance: Chance
    now: float
    zone: Zone

    def of(self, current: ConnTuple) -> ConnTuple:
        """Return the tuple with the address and port it gets. Source: get_unique_tuple()."""
        if self.source and not self.span.random and (kept := self._as_before(current)):
            return kept
        span, wanted = self.span, self._with(current, ip=self._address(current))
        port = self._port(wanted)
        if not span.random:
            inside = span.port and not span.base_port and span.port <= port <= span.last_port
            if inside and (span.port == span.last_port or self._free(wanted)):
                return wanted
            if not span.port and self._free(wanted):
                return wanted
        return self._with_free_port(wanted)

    def _as_before(self, current: ConnTuple) -> ConnTuple | None:
        """Return the tuple itself if it is allowed and free, else with what its source got for another connection."""
        if self.span.has(current.src, current.sport):
            return current if self._free(current) or self._faces_one(current) else None
        for entry in self.table:
            first = entry.original
            same = (first.proto, first.src, first.sport) == (current.proto, current.src, current.sport)
            if same and entry.zone.original == self.zone.original:
                got = entry.reply.inverse()
                if self.span.has(got.src, got.sport):
                    wanted = self._with(current, ip=got.src, port=got.sport)
                    return wanted if self._free(wanted) else None
        return None

    def _faces_one(self, current: ConnTuple) -> bool:
        """Tell whether a datagram collides only with a connection the other way round, which NAT has not changed.

        Source: nf_nat_used_tuple_new() (Linux 6.12; as mended in 6.18).
        """
        if current.proto != "udp":
            return False
        found = self.table.find(current, self.now, self.zone) or self.table.find(current.inverse(), self.now, self.zone)
        other = self.table[found[0]] if found else None
        return other is None or (other.original == current.inverse() and not (other.snat or other.dnat))

    def _address(self, current: ConnTuple) -> IPv4Address | None:
        """Choose an address by a hash of source and destination; of the source alone when it is persistent."""
        low, high = self.span.low, self.span.high
        if low is None or high is None or low == high:
            return low
        hashed = jhash2((_swapped(current.src), 0, 0, 0), 0 if self.span.persistent else _swapped(current.dst))
        size = int(high) - int(low) + 1 & WORD  # the last below the first: a range that goes round, as in the kernel
        return IPv4Address(int(low) + (hashed * size >> 32) & WORD)

    def _with_free_port(self, wanted: ConnTuple) -> ConnTuple:
        """Return the tuple with a port that is free; an echo's id is its own port, so any hook may change it.

        Source: nf_nat_l4proto_unique_tuple().
        """
        echo = wanted.icmp is not None and not self.span.port
        if not echo and ((not self.span.port and not self.source) or not wanted.sport):
            return wanted
        low, high = (0, 65535) if echo else _allowed(self.span, self._port(wanted))
        for port in self._ports(self._port(wanted), low, high, wanted.proto):
            drawn = self._with(wanted, port=port)
            if self._free(drawn):
                return drawn
        return drawn

    def _ports(self, port: int, low: int, high: int, proto: str) -> Iterator[int]:
        """Count up from a port, by chance for a source; start anew elsewhere, with half the attempts each time."""
        size, start = high - low + 1, 0
        if self.span.base_port:
            start = port - self.span.base_port
        elif self.span.random or self.source:
            start = self.chance.port(low, high, proto) - low
        attempts = min(size, ATTEMPTS)
        while True:
            yield from (low + (start + step & 0xFFFF) % size for step in range(attempts))
            if attempts >= size or attempts < FEWEST_ATTEMPTS:
                return
            attempts, start = attempts // 2, self.chance.port(low, high, proto) - low

    def _free(self, wanted: ConnTuple) -> bool:
        answers = Zone(self.zone.reply, self.zone.reply)  # nf_conntrack_tuple_taken()
        return self.table.find(wanted.inverse(), self.now, answers) is None

    def _port(self, wanted: ConnTuple) -> int:
        return wanted.sport if self.source else wanted.dport

    def _with(self, wanted: ConnTuple, *, ip: IPv4Address | None = None, port: int | None = None) -> ConnTuple:
        number = self._port(wanted) if port is None else port
        sport = number if self.source or wanted.icmp else wanted.sport
        dport = number if wanted.icmp or not self.source else wanted.dport
        src, dst = (ip or wanted.src, wanted.dst) if self.source else (wanted.src, ip or wanted.dst)
        return replace(wanted, src=src, dst=dst, sport=sport, dport=dport)


def _allowed(span: NatRange, port: int) -> tuple[int, int]:
    """Return the lowest and the highest port; without ports in the rule, those of the same kind as the port."""
    if span.port:
        return min(span.port, span.last_port), max(span.port, span.last_port)
    return (1, 511) if port < 512 else (600, 1023) if port < 1024 else (1024, 65535)


def _swapped(ip: IPv4Address) -> int:
    """Return an address as a little-endian machine holds it."""
    return int.from_bytes(ip.packed, "little")


def jhash2(words: tuple[int, int, int, int], initial: int) -> int:
    """Hash four words of 32 bits. Source: jhash2() in include/linux/jhash.h."""
    start = 0xDEADBEEF + (len(words) << 2) + initial
    a, b, c = ((start + word) & WORD for word in words[:3])
    for i, shift in enumerate((4, 6, 8, 16, 19, 4)):
        if i % 3 == 0:
            a, c = (a - c & WORD) ^ _rolled(c, shift), c + b & WORD
        elif i % 3 == 1:
            b, a = (b - a & WORD) ^ _rolled(a, shift), a + c & WORD
        else:
            c, b = (c - b & WORD) ^ _rolled(b, shift), b + a & WORD
    a = a + words[3] & WORD
    for i, shift in enumerate((14, 11, 25, 16, 4, 14, 24)):
        if i % 3 == 0:
            c = (c ^ b) - _rolled(b, shift) & WORD
        elif i % 3 == 1:
            a = (a ^ c) - _rolled(c, shift) & WORD
        else:
            b = (b ^ a) - _rolled(a, shift) & WORD
    return c


def _rolled(word: int, shift: int) -> int:
    return (word << shift | word >> 32 - shift) & WORD


def decide(table: Conntrack, at: NatPoint, target: NatTarget | None, *, chance: Chance, now: float) -> Entry | None:
    """Return the connection bound as the target says; None when MASQUERADE or REDIRECT finds no address.

    One that is stored stays as it is: there was no nat table then. Source: nf_nat_setup_info().
    """
    span = target.nat_range(at) if target else NULL_BINDING
    if span is None or at.connection.confirmed:
        return None if span is None else at.connection
    if span is NULL_BINDING and not at.source:
        return at.connection._replace(dst_nat_done=True)
    wanted = Choice(table, span, at.source, chance, now, at.connection.zone).of(at.current)
    reply, changed = wanted.inverse(), wanted != at.current
    if at.source:
        snat, oif = at.connection.snat or changed, span.masquerade_oif
        return at.connection._replace(reply=reply, snat=snat, src_nat_done=True, masquerade_oif=oif)
    return at.connection._replace(reply=reply, dnat=at.connection.dnat or changed, dst_nat_done=True)


def translate(packet: Packet, entry: Entry, *, source: bool, reply: bool) -> Packet:
    """Rewrite the packet's source (POSTROUTING, INPUT) or destination (PREROUTING, OUTPUT) as its connection says.

    A packet that needs no change is returned itself, not a copy.
    """
    if not (entry.snat if source != reply else entry.dnat):
        return packet
    changed = _translate(packet, entry, source=source, reply=reply)
    return packet if changed == packet else changed


def _translate(packet: Packet, entry: Entry, *, source: bool, reply: bool) -> Packet:
    target = (entry.original if reply else entry.reply).inverse()
    if packet.icmp and packet.icmp.quoted:
        return _translate_error(packet, entry, target, source=source, reply=reply)
    if source:
        return _set_source(packet, target.src, target.sport)
    return _set_destination(packet, target.dst, target.dport)


def _translate_error(packet: Packet, entry: Entry, target: ConnTuple, *, source: bool, reply: bool) -> Packet:
    """Rewrite an ICMP error and the packet it quotes. Source: nf_nat_icmp_reply_translation()."""
    icmp = packet.icmp
    if icmp is None or icmp.quoted is None:
        return packet
    answer = entry.original if reply else entry.reply
    quoted = icmp.quoted
    if source:
        quoted, packet = _set_destination(quoted, answer.dst, answer.dport), packet.but(src=target.src)
    else:
        quoted, packet = _set_source(quoted, answer.src, answer.sport), packet.but(dst=target.dst)
    return packet.but(icmp=replace(icmp, quoted=quoted))


def _set_source(packet: Packet, ip: IPv4Address, port: int) -> Packet:
    if packet.icmp:
        return packet.but(src=ip, icmp=replace(packet.icmp, ident=port))
    return packet.but(src=ip, sport=port)


def _set_destination(packet: Packet, ip: IPv4Address, port: int) -> Packet:
    if packet.icmp:
        return packet.but(dst=ip, icmp=replace(packet.icmp, ident=port))
    return packet.but(dst=ip, dport=port)
