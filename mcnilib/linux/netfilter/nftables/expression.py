"""What a rule of nft reads of a packet, its connection and its namespace, and what it computes of it.

An expression has a type, a text, and a value for a packet; no value means that the packet has no such part, and then
the rule does not match (NFT_BREAK).
Source: nft(8) "PRIMARY EXPRESSIONS", "PAYLOAD EXPRESSIONS"; net/netfilter/nft_{payload,meta,ct,fib,numgen,hash,
bitwise,lookup}.c (Linux 6.18).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.chance import Chance
from mcnilib.linux.netfilter.conntrack import Entry
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.nftables import datatype
from mcnilib.linux.netfilter.nftables.datatype import DataType, KeyValues, Value, show_values
from mcnilib.linux.packet import WITH_PORTS, Packet, lengths


class Finder(Protocol):
    """A set or a map of a table, as an expression asks it."""

    def find(self, key: KeyValues) -> Found | None:
        """Return the element a key has; None where there is none."""
        ...


class Found(Protocol):
    """An element of a map."""

    @property
    def data(self) -> object:
        """What the map says for its key."""
        ...


class Sight(Protocol):
    """What a rule sees: the packet, where it is, and the sets of its table."""

    packet: Packet
    at: Context

    def finder(self, name: str) -> Finder:
        """Return a set of the table, with what rules added to it."""
        ...


class Expression:
    """Something that has a value for a packet. `str()` is what nft prints for it."""

    __slots__ = ()
    parts: tuple[Expression, ...] = ()  # what it is computed of

    @property
    def tracks(self) -> bool:
        """Tell whether it makes the kernel track connections. Source: nft_ct_get_init()."""
        return any(part.tracks for part in self.parts)

    @property
    @abstractmethod
    def types(self) -> tuple[DataType, ...]:
        """The types of its values: one, or one for each part joined by dots."""

    @abstractmethod
    def key(self, sight: Sight) -> KeyValues | None:
        """Return its values; None where the packet has no such part."""


@dataclass(frozen=True, slots=True)
class PacketField(Expression):
    """A part of the packet, of its connection, or of where it is: `ip saddr`, `meta mark`, `ct state`."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def types(self) -> tuple[DataType, ...]:
        """The type of the part."""
        return (SELECTORS[self.text][0],)

    @property
    def tracks(self) -> bool:
        """Tell whether it asks for the connection."""
        return self.text.startswith("ct ")

    def key(self, sight: Sight) -> KeyValues | None:
        """Return its value."""
        value = SELECTORS[self.text][1](sight.packet, sight.at)
        return None if value is None else (value,)


@dataclass(frozen=True, slots=True)
class FibLookup(Expression):
    """`fib saddr . iif oif`, `fib daddr type`: what the routing tables say of an address.

    Of the device only whether there is one is known, by `missing` or its number (`numbered`), 0 where there is none.
    """

    address: str
    flags: tuple[str, ...]
    result: str
    numbered: bool = False

    def __str__(self) -> str:
        return f"fib {' . '.join((self.address, *self.flags))} {self.result}"

    @property
    def types(self) -> tuple[DataType, ...]:
        """A type of address, or whether there is a device."""
        device = datatype.INTEGER if self.numbered else datatype.BOOLEAN
        return (datatype.ADDRTYPE if self.result == "type" else device,)

    def key(self, sight: Sight) -> KeyValues | None:
        """Look the address up."""
        packet, at = sight.packet, sight.at
        if self.result != "type":
            return (self._has_way_back(packet, at),)
        if at.address_type is None:
            raise Unsupported(tr("{fib} where there are no routing tables to ask", fib=self))
        device = at.iif if "iif" in self.flags else at.oif if "oif" in self.flags else ""
        return (datatype.ADDRTYPE.symbols[at.address_type(getattr(packet, _SIDES[self.address]), device).lower()],)

    def _has_way_back(self, packet: Packet, at: Context) -> int:
        if at.reverse_path is None or self.address != "saddr" or "iif" not in self.flags or "oif" in self.flags:
            raise Unsupported(tr("{fib} when a packet reaches it", fib=self))
        return int(at.iif == "lo" or at.reverse_path(packet, at.iif, False, "mark" in self.flags, False))


_SIDES = {"saddr": "src", "daddr": "dst"}


@dataclass(frozen=True, slots=True)
class NumGen(Expression):
    """`numgen random mod 3`: one of so many numbers, by chance. `inc` counts packets, which nobody has seen."""

    mode: str
    modulus: int
    offset: int = 0

    def __str__(self) -> str:
        return f"numgen {self.mode} mod {self.modulus}{f' offset {self.offset}' if self.offset else ''}"

    @property
    def types(self) -> tuple[DataType, ...]:
        """A number."""
        return (datatype.INTEGER,)

    def key(self, sight: Sight) -> KeyValues:
        """Draw the number."""
        return (_drawn(sight.at, str(self), self.modulus) + self.offset,)


@dataclass(frozen=True, slots=True)
class Hash(Expression):
    """`jhash ip saddr mod 2 seed 0x1`: packets with equal values get equal numbers; which, the hash decides."""

    of: Expression
    modulus: int
    seed: str = ""
    offset: int = 0

    def __str__(self) -> str:
        seed, offset = f" seed {self.seed}" if self.seed else "", f" offset {self.offset}" if self.offset else ""
        return f"jhash {self.of} mod {self.modulus}{seed}{offset}"

    @property
    def types(self) -> tuple[DataType, ...]:
        """A number."""
        return (datatype.INTEGER,)

    @property
    def parts(self) -> tuple[Expression, ...]:  # type: ignore[override]
        """What is hashed."""
        return (self.of,)

    def key(self, sight: Sight) -> KeyValues | None:
        """Draw the number for these values; the same values get the same."""
        hashed = self.of.key(sight)
        if hashed is None:
            return None
        shown = show_values(self.of.types, hashed)
        return (_drawn(sight.at, tr("{hash} of {values}", hash=self, values=shown), self.modulus) + self.offset,)


def _drawn(at: Context, question: str, modulus: int) -> int:
    if modulus == 1:
        return 0
    options = [tr("is {number}", number=number) for number in range(modulus)]
    return (at.chance or Chance()).pick(question, options, [1 / modulus] * modulus)


@dataclass(frozen=True, slots=True)
class Constant(Expression):
    """A value, or values joined by dots."""

    values: KeyValues
    kinds: tuple[DataType, ...]

    def __str__(self) -> str:
        return show_values(self.kinds, self.values)

    @property
    def types(self) -> tuple[DataType, ...]:
        """The types they were read as."""
        return self.kinds

    def key(self, sight: Sight) -> KeyValues:
        """Return the values."""
        return self.values


OPERATORS: dict[str, Callable[[int, int], int]] = {
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "<<": lambda a, b: a << b,
    ">>": lambda a, b: a >> b,
}
"""Operators on bits; the words and, or and xor mean the first three."""


@dataclass(frozen=True, slots=True)
class Bitwise(Expression):
    """`meta mark & 0x000000ff`."""

    left: Expression
    operator: str
    right: Expression

    def __str__(self) -> str:
        if isinstance(self.right, Constant):
            plain = self.operator in ("<<", ">>") or self.types == (datatype.INTEGER,)
            return f"{self.left} {self.operator} {self.types[0].as_bits(self.right.values[0], plain=plain)}"
        return f"{self.left} {self.operator} {self.right}"

    @property
    def types(self) -> tuple[DataType, ...]:
        """The type of the left side."""
        return self.left.types

    @property
    def parts(self) -> tuple[Expression, ...]:  # type: ignore[override]
        """Both sides."""
        return self.left, self.right

    def key(self, sight: Sight) -> KeyValues | None:
        """Compute the bits, as wide as the left side."""
        left, right = self.left.key(sight), self.right.key(sight)
        if left is None or right is None or isinstance(left[0], str) or isinstance(right[0], str):
            return None
        return (OPERATORS[self.operator](left[0], right[0]) & (1 << self.types[0].bits) - 1,)


@dataclass(frozen=True, slots=True)
class Joined(Expression):
    """Parts joined by dots: `ip daddr . meta l4proto . th dport`."""

    parts: tuple[Expression, ...]

    def __str__(self) -> str:
        return " . ".join(map(str, self.parts))

    @property
    def types(self) -> tuple[DataType, ...]:
        """The types of the parts."""
        return tuple(kind for part in self.parts for kind in part.types)

    def key(self, sight: Sight) -> KeyValues | None:
        """Return the values of all parts; None where one has none."""
        values: list[Value] = []
        for part in self.parts:
            if (key := part.key(sight)) is None:
                return None
            values.extend(key)
        return tuple(values)


@dataclass(frozen=True, slots=True)
class MapLookup(Expression):
    """`tcp dport map @ports`: what a map says for a value."""

    of: Expression
    table: object  # a NftSet without a name, or `@NAME`
    data: tuple[DataType, ...]

    def __str__(self) -> str:
        return f"{self.of} map {self.table}"

    @property
    def types(self) -> tuple[DataType, ...]:
        """The types of the map's data."""
        return self.data

    @property
    def parts(self) -> tuple[Expression, ...]:  # type: ignore[override]
        """What is looked up."""
        return (self.of,)

    def key(self, sight: Sight) -> KeyValues | None:
        """Look it up; None where the map has no such element."""
        key = self.of.key(sight)
        found = None if key is None else finder(self.table, sight).find(key)
        return found.data if found else None  # type: ignore[return-value]


def finder(table: object, sight: Sight) -> Finder:
    """Return a set: the one that a rule has within itself, or the one of the table it names."""
    return sight.finder(table[1:]) if isinstance(table, str) else table  # type: ignore[return-value]


def _port(protocols: tuple[str, ...], side: str) -> Callable[[Packet, Context], Value | None]:
    def value(packet: Packet, at: Context) -> Value | None:
        return int(getattr(packet, side)) if packet.proto in protocols else None

    return value


def _any_port(side: str) -> Callable[[Packet, Context], Value | None]:
    """Read the bytes where a port would be: of a packet without ports something that is none."""

    def value(packet: Packet, at: Context) -> Value:
        return getattr(packet, side) if packet.proto in WITH_PORTS else -1

    return value


def _length(packet: Packet, at: Context) -> Value:
    shortest, longest = lengths(packet)
    if shortest != longest:
        raise Unsupported(
            tr("the exact length of a packet of {shortest} to {longest} bytes", shortest=shortest, longest=longest)
        )
    return longest


_TCP_BITS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "CWR": 128}


def _tcp_flags(packet: Packet, at: Context) -> Value | None:
    return None if packet.tcp is None else sum(_TCP_BITS[flag] for flag in packet.tcp.flags)


def _icmp(field: str) -> Callable[[Packet, Context], Value | None]:
    def value(packet: Packet, at: Context) -> Value | None:
        return None if packet.icmp is None else int(getattr(packet.icmp, field))

    return value


def _ct_state(packet: Packet, at: Context) -> Value:
    return datatype.CT_STATE.symbols[at.ctstate.lower()]


def _of_connection(read: Callable[[Entry, Context], Value]) -> Callable[[Packet, Context], Value | None]:
    def value(packet: Packet, at: Context) -> Value | None:
        return None if at.entry is None else read(at.entry, at)

    return value


def _status(entry: Entry, at: Context) -> int:
    bits = datatype.CT_STATUS.symbols
    set_bits = (
        ("seen-reply", entry.seen_reply),
        ("assured", entry.assured),
        ("confirmed", entry.confirmed),
        ("snat", entry.snat),
        ("dnat", entry.dnat),
    )
    return sum(bits[name] for name, is_set in set_bits if is_set)


def _end(side: str, field: str) -> Callable[[Packet, Context], Value | None]:
    """Read an end of the connection's tuple: `original` or `reply`, and which field of it."""
    return _of_connection(lambda entry, at: int(getattr(getattr(entry, side), field)))


def _kind_of_frame(packet: Packet, at: Context) -> Value:
    raise Unsupported(tr("meta pkttype when a packet reaches it"))


def _ends_of_connection() -> Iterator[tuple[str, tuple[DataType, Callable[[Packet, Context], Value | None]]]]:
    for side in ("original", "reply"):
        for word, field in (("saddr", "src"), ("daddr", "dst")):
            yield f"ct {side} ip {word}", (datatype.IPV4_ADDR, _end(side, field))
        for word, field in (("proto-src", "sport"), ("proto-dst", "dport")):
            yield f"ct {side} {word}", (datatype.INET_SERVICE, _end(side, field))
        yield (
            f"ct {side} protocol",
            (datatype.INET_PROTO, _of_connection(lambda entry, at: datatype.INET_PROTO.number(entry.original.proto))),
        )


SELECTORS: dict[str, tuple[DataType, Callable[[Packet, Context], Value | None]]] = {
    "ip saddr": (datatype.IPV4_ADDR, lambda packet, at: int(packet.src)),
    "ip daddr": (datatype.IPV4_ADDR, lambda packet, at: int(packet.dst)),
    "ip protocol": (datatype.INET_PROTO, lambda packet, at: datatype.INET_PROTO.number(packet.proto)),
    "ip ttl": (DataType("integer", 8), lambda packet, at: packet.ttl),
    "ip dscp": (datatype.DSCP_CLASS, lambda packet, at: packet.tos >> 2),
    "ip version": (DataType("integer", 4), lambda packet, at: 4),
    "ip length": (DataType("integer", 16), _length),
    "tcp sport": (datatype.INET_SERVICE, _port(("tcp",), "sport")),
    "tcp dport": (datatype.INET_SERVICE, _port(("tcp",), "dport")),
    "tcp flags": (datatype.TCP_FLAG, _tcp_flags),
    "udp sport": (datatype.INET_SERVICE, _port(("udp",), "sport")),
    "udp dport": (datatype.INET_SERVICE, _port(("udp",), "dport")),
    "sctp sport": (datatype.INET_SERVICE, _port(("sctp",), "sport")),
    "sctp dport": (datatype.INET_SERVICE, _port(("sctp",), "dport")),
    "th sport": (datatype.INET_SERVICE, _any_port("sport")),
    "th dport": (datatype.INET_SERVICE, _any_port("dport")),
    "icmp type": (datatype.ICMP_TYPE, _icmp("type")),
    "icmp code": (datatype.ICMP_CODE, _icmp("code")),
    "icmp id": (DataType("integer", 16), _icmp("ident")),
    "icmp sequence": (DataType("integer", 16), _icmp("seq")),
    "meta l4proto": (datatype.INET_PROTO, lambda packet, at: datatype.INET_PROTO.number(packet.proto)),
    "meta protocol": (datatype.ETHER_TYPE, lambda packet, at: 0x0800),
    "meta nfproto": (datatype.NFPROTO, lambda packet, at: 2),
    "meta mark": (datatype.MARK, lambda packet, at: packet.mark),
    "meta length": (DataType("integer", 32), _length),
    "meta pkttype": (datatype.PKTTYPE, _kind_of_frame),
    "iifname": (datatype.IFNAME, lambda packet, at: at.iif),
    "oifname": (datatype.IFNAME, lambda packet, at: at.oif),
    "iif": (datatype.INTERFACE, lambda packet, at: at.iif),
    "oif": (datatype.INTERFACE, lambda packet, at: at.oif),
    "ct state": (datatype.CT_STATE, _ct_state),
    "ct status": (datatype.CT_STATUS, _of_connection(_status)),
    "ct mark": (datatype.MARK, _of_connection(lambda entry, at: entry.mark)),
    "ct direction": (datatype.CT_DIR, _of_connection(lambda entry, at: int(at.reply))),
    **dict(_ends_of_connection()),
}
"""What can be read: how nft writes it, its type, and its value for a packet, None where the packet has none."""

SPELLINGS = {
    "mark": "meta mark",
    "meta iifname": "iifname",
    "meta oifname": "oifname",
    "meta iif": "iif",
    "meta oif": "oif",
    "pkttype": "meta pkttype",
    **{f"ct {side} {word}": f"ct {side} ip {word}" for side in ("original", "reply") for word in ("saddr", "daddr")},
}
"""Other ways to type the same."""
