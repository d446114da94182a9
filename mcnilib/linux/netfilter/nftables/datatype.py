"""What values nft compares: their types, how each is written, and how wide it is.

A value is a number as the kernel's register holds it, or for names of devices a text.
Source: nft(8) "DATA TYPES"; `nft describe TYPE`; src/{datatype,ct,fib,meta,proto}.c (nftables 1.0.6).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from mcnilib.linux.packet import PROTOCOL_NUMBERS

Value = int | str
KeyValues = tuple[Value, ...]
"""The values of an expression: several where parts are joined by dots."""

ValueSpan = tuple[Value, Value]
"""The first and the last value of a range; a name that ends with * is all that begin like it."""


Wanted = tuple[tuple[ValueSpan, ...], ...]
"""Values a comparison asks for: of a list of flags several, of parts joined by dots each with several spans."""


@dataclass(frozen=True)
class DataType:
    """A type of values: its name as in `type ipv4_addr`, its width in bits, its names for values.

    `flags`: its values are bits, of which a comparison asks for any. `hexadecimal`: numbers without a name are printed
    so.
    """

    name: str
    bits: int = 32
    symbols: Mapping[str, int] = field(default_factory=dict, hash=False)
    flags: bool = False
    hexadecimal: bool = False
    text: bool = False

    def read(self, word: str) -> ValueSpan:
        """Read a value, a range or a prefix. Raises: ValueError for anything else."""
        if self.text:
            return self._name(word)
        if word in self.symbols:
            return (self.symbols[word],) * 2
        if self.name == "ipv4_addr":
            return _addresses(word)
        if "-" in word[1:]:
            first, _, last = word.partition("-")
            low, high = self.number(first), self.number(last)
            if low > high:
                raise ValueError(word)
            return low, high
        return (self.number(word),) * 2

    def _name(self, word: str) -> ValueSpan:
        name = word[1:-1] if word.startswith('"') else word
        if not name or len(name) > 15 or "/" in name:
            raise ValueError(word)
        return name, name

    def number(self, word: str) -> int:
        """Read one number or name of a number. Raises: ValueError."""
        if word in self.symbols:
            return self.symbols[word]
        if not word.isascii() or "_" in word:
            raise ValueError(word)
        value = int(word, 16) if word.startswith("0x") else int(word)
        if not 0 <= value < 1 << self.bits:
            raise ValueError(word)
        return value

    def show(self, value: Value) -> str:
        """Write a value as nft does."""
        if isinstance(value, str):
            return f'"{value}"'
        if self.name == "ipv4_addr":
            return str(IPv4Address(value))
        for name, number in self.symbols.items():
            if number == value:
                return name
        if self.hexadecimal:
            return f"0x{value:x}" if self.flags else f"0x{value:0{(self.bits + 3) // 4}x}"
        return str(value)

    def names_of(self, bits: int) -> list[str]:
        """Name the flags that are set, lowest first."""
        return [name for name, bit in self.symbols.items() if bits & bit]

    def as_bits(self, value: Value, *, plain: bool) -> str:
        """Write the right side of an operator on bits: plain numbers, several flags in brackets."""
        names = self.names_of(value) if self.flags and isinstance(value, int) else []
        if plain:
            return str(value)
        return f"({' | '.join(names)})" if len(names) > 1 else self.show(value)

    def plain(self, value: Value) -> str:
        """Write a value without its name, as nft does at the ends of a range."""
        if isinstance(value, str) or self.hexadecimal or self.name == "ipv4_addr":
            return self.show(value) if not self.symbols else f"0x{value:0{(self.bits + 3) // 4}x}"
        return str(value)


_DOTTED = re.compile(r"(\d|[1-9]\d{1,2})\.(\d|[1-9]\d{1,2})\.(\d|[1-9]\d{1,2})\.(\d|[1-9]\d{1,2})", re.ASCII)


def _address(word: str) -> int:
    """Read an address, faster than `ipaddress`. Raises: ValueError."""
    octets = _DOTTED.fullmatch(word)
    if octets is None:
        raise ValueError(word)
    a, b, c, d = map(int, octets.groups())
    if max(a, b, c, d) > 255:
        raise ValueError(word)
    return a << 24 | b << 16 | c << 8 | d


def _addresses(word: str) -> ValueSpan:
    if "-" in word:
        first, _, last = word.partition("-")
        low, high = _address(first), _address(last)
        if low > high:
            raise ValueError(word)
        return low, high
    if "/" not in word:
        return (_address(word),) * 2
    if not word.partition("/")[2].isdigit():
        raise ValueError(word)
    prefix = IPv4Network(word, strict=False)
    return int(prefix.network_address), int(prefix.broadcast_address)


IPV4_ADDR = DataType("ipv4_addr")
INET_PROTO = DataType("inet_proto", 8, PROTOCOL_NUMBERS)
INET_SERVICE = DataType("inet_service", 16)
MARK = DataType("mark", hexadecimal=True)
IFNAME = DataType("ifname", 128, text=True)
INTERFACE = DataType("iface_index", text=True)
CT_STATE = DataType(
    "ct_state", 32, {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}, flags=True
)
CT_STATUS = DataType(
    "ct_status",
    32,
    {"expected": 1, "seen-reply": 2, "assured": 4, "confirmed": 8, "snat": 16, "dnat": 32, "dying": 512},
    flags=True,
)
CT_DIR = DataType("ct_dir", 8, {"original": 0, "reply": 1})
ADDRTYPE = DataType(
    "fib_addrtype",
    32,
    {
        "unspec": 0,
        "unicast": 1,
        "local": 2,
        "broadcast": 3,
        "anycast": 4,
        "multicast": 5,
        "blackhole": 6,
        "unreachable": 7,
        "prohibit": 8,
    },
)
ICMP_TYPE = DataType(
    "icmp_type",
    8,
    {
        "echo-reply": 0,
        "destination-unreachable": 3,
        "source-quench": 4,
        "redirect": 5,
        "echo-request": 8,
        "router-advertisement": 9,
        "router-solicitation": 10,
        "time-exceeded": 11,
        "parameter-problem": 12,
        "timestamp-request": 13,
        "timestamp-reply": 14,
        "info-request": 15,
        "info-reply": 16,
        "address-mask-request": 17,
        "address-mask-reply": 18,
    },
)
ICMP_CODE = DataType(
    "icmp_code",
    8,
    {
        "net-unreachable": 0,
        "host-unreachable": 1,
        "prot-unreachable": 2,
        "port-unreachable": 3,
        "frag-needed": 4,
        "net-prohibited": 9,
        "host-prohibited": 10,
        "admin-prohibited": 13,
    },
)
TCP_FLAG = DataType(
    "tcp_flag",
    8,
    {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128},
    flags=True,
    hexadecimal=True,
)
NFPROTO = DataType("nf_proto", 8, {"ipv4": 2, "ipv6": 10})
ETHER_TYPE = DataType("ether_type", 16, {"ip": 0x0800, "arp": 0x0806, "ip6": 0x86DD, "vlan": 0x8100})
BOOLEAN = DataType("boolean", 1, {"missing": 0, "exists": 1})
PKTTYPE = DataType("pkt_type", 8, {"host": 0, "unicast": 0, "broadcast": 1, "multicast": 2, "other": 3})
INTEGER = DataType("integer")
DSCP_CLASS = DataType(
    "dscp",
    6,
    {
        "cs0": 0,
        "cs1": 8,
        "cs2": 16,
        "cs3": 24,
        "cs4": 32,
        "cs5": 40,
        "cs6": 48,
        "cs7": 56,
        "df": 0,
        "be": 0,
        "lephb": 1,
        "af11": 10,
        "af12": 12,
        "af13": 14,
        "af21": 18,
        "af22": 20,
        "af23": 22,
        "af31": 26,
        "af32": 28,
        "af33": 30,
        "af41": 34,
        "af42": 36,
        "af43": 38,
        "va": 44,
        "ef": 46,
    },
    hexadecimal=True,
)

DATA_TYPES = {
    kind.name: kind
    for kind in (
        IPV4_ADDR,
        INET_PROTO,
        INET_SERVICE,
        MARK,
        IFNAME,
        INTERFACE,
        CT_STATE,
        CT_STATUS,
        CT_DIR,
        ADDRTYPE,
        ICMP_TYPE,
        ICMP_CODE,
        TCP_FLAG,
        NFPROTO,
        ETHER_TYPE,
        BOOLEAN,
        PKTTYPE,
        INTEGER,
        DSCP_CLASS,
    )
}
"""The types a set may be declared with, by name."""


def bits_of(wanted: Wanted) -> int:
    """Return the flags of a list as one number."""
    bits = 0
    for spans in wanted:
        bits |= int(spans[0][0])
    return bits


def show_values(kinds: Iterable[DataType], values: KeyValues) -> str:
    """Write values that dots join."""
    return " . ".join(kind.show(value) for kind, value in zip(kinds, values, strict=True))
