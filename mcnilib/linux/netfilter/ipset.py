"""IP sets as `ipset save` prints them: named collections a rule can test packets against.

Every type for IPv4 is read and printed. Not modelled: what asks for MAC addresses, and what changes a set during a run
(the SET target, counters); timeouts run in the time of the run.
Source: ipset(8) (ipset 7.17); net/netfilter/ipset/ip_set_{core,hash_gen,list_set}.c (Linux 6.18).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple, Protocol

from mcnilib.errors import Unknown, Unsupported
from mcnilib.language import listed, mark, tr
from mcnilib.linux.chance import Range
from mcnilib.linux.origin import Origin
from mcnilib.linux.packet import ICMP_WORDS, WITH_PORTS, Packet, protocol_name
from mcnilib.linux.text import Words

_MAC = r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}"

_PORT = r"\d{1,5}"

MemberPart = IPv4Network | str
"""An address or prefix, or the text of a port, device, MAC address, mark or set."""


class Member(NamedTuple):
    """One member: its parts, and the words after it."""

    parts: tuple[MemberPart, ...]
    options: str = ""  # as `ipset save` prints them: timeout 50 packets 0 bytes 0 comment "x" nomatch

    @property
    def said(self) -> str:
        """The options without the comment, which may say anything. Source: ipset_print_string() in lib/print.c."""
        return re.sub(r'\bcomment "[^"]*"', "", self.options)

    @property
    def nomatch(self) -> bool:
        """Tell whether the member is an exception: what it holds is not in the set."""
        return "nomatch" in self.said.split()

    @property
    def wildcard(self) -> bool:
        """Tell whether a device is given by its beginning."""
        return "wildcard" in self.said.split()

    @property
    def timeout(self) -> int:
        """Seconds until the member is gone; 0: it stays."""
        timeout = re.search(r"\btimeout (\d+)", self.said)
        return int(timeout[1]) if timeout else 0

    def alive(self, now: float) -> bool:
        """Tell whether the member is still there, so many seconds after the set was saved."""
        return not self.timeout or now < self.timeout

    def __str__(self) -> str:
        return f"{','.join(map(part_text, self.parts))} {self.options}".rstrip()


def part_text(part: MemberPart) -> str:
    """Write one part: an address without /32."""
    if isinstance(part, str):
        return part
    return str(part.network_address) if part.prefixlen == 32 else str(part)


def read_part(words: Words, kind: str, text: str, bitmap: bool) -> MemberPart:
    """Read one part of the member word just read. Raises: StateSyntaxError."""
    if kind in ("ip", "net"):
        return _network(words, kind, text)
    if kind == "port":
        return _bitmap_port(words, text) if bitmap else _port(words, text)
    if kind == "mac" and not re.fullmatch(_MAC, text, re.ASCII):
        raise words.wrong(tr("{word!r} is not a MAC address", word=text))
    if kind == "mark" and not re.fullmatch(r"0x[0-9a-f]{1,8}|0|[1-9]\d{0,9}", text, re.ASCII):
        raise words.wrong(tr("{word!r} is not a mark", word=text))
    return text.upper() if kind == "mac" else text


def _network(words: Words, kind: str, text: str) -> IPv4Network:
    try:
        network = IPv4Network(text)
    except ValueError:
        raise words.wrong(tr("{word!r} is not an IPv4 prefix", word=text)) from None
    if kind == "ip" and network.prefixlen < 32:
        raise words.wrong(tr("{word} cannot be one address of a member", word=text))
    return network


def _bitmap_port(words: Words, text: str) -> str:
    if not re.fullmatch(_PORT, text, re.ASCII) or int(text) > 0xFFFF:
        raise words.wrong(tr("{word!r} is not a port", word=text))
    return text


def _port(words: Words, text: str) -> str:
    """Read `tcp:80`, `80` or `icmp:echo-request`; the protocol is written by its name."""
    proto, colon, number = text.rpartition(":")
    name = protocol_name(proto) if colon else "tcp"
    if name is None or port_key(f"{name}:{number}") is None:
        raise words.wrong(tr("{word!r} is not PROTOCOL:PORT", word=text))
    return f"{name}:{number}"


def port_key(text: str) -> Hashable:
    """Return what is compared of `tcp:80` or `icmp:echo-request`: protocol and number; None for what is no port."""
    proto, _, number = text.partition(":")
    if proto == "icmp":
        kind, code = ICMP_WORDS.get(number, (-1, None))
        if kind >= 0:
            return proto, kind << 8 | (code or 0)
        codes = re.fullmatch(r"(\d{1,3})/(\d{1,3})", number, re.ASCII)
        return (proto, int(codes[1]) << 8 | int(codes[2])) if codes else None
    return (proto, int(number)) if re.fullmatch(_PORT, number, re.ASCII) and int(number) <= 0xFFFF else None


def _number(text: str) -> int:
    """Return the port of `tcp:80`, or of `80` in a set of type bitmap:port; -1 for the ICMP type of another member."""
    key = port_key(text if ":" in text else f"tcp:{text}")
    return int(key[1]) if isinstance(key, tuple) and key[0] != "icmp" else -1


def _joined(ports: Sequence[int]) -> Iterator[Range]:
    start = 0
    for at in range(1, len(ports) + 1):
        if at == len(ports) or ports[at] != ports[at - 1] + 1:
            yield ports[start], ports[at - 1]
            start = at


def packet_port(packet: Packet, source: bool, bitmap: bool) -> Hashable:
    """Return the port as sets see it: for ICMP type and code, for other protocols 0; a bitmap has TCP and UDP only."""
    number = packet.sport if source else packet.dport
    if bitmap:
        return number if packet.proto in ("tcp", "udp") else None
    if packet.icmp:
        return "icmp", packet.icmp.type << 8 | packet.icmp.code
    return packet.proto, number if packet.proto in WITH_PORTS else 0


class Lookup(Protocol):
    """What a set asks about a packet beside its header (struct xt_action_param)."""

    iif: str
    oif: str
    now: float
    sets: dict[str, IpSet] | None  # which a list of sets names


SET_TYPES = (
    "hash:ip", "hash:net", "hash:mac", "hash:ip,mac", "hash:ip,mark", "hash:ip,port", "hash:net,port", "hash:net,net",
    "hash:net,iface", "hash:ip,port,ip", "hash:ip,port,net", "hash:net,port,net", "bitmap:ip", "bitmap:ip,mac",
    "bitmap:port", "list:set",
)  # fmt: skip
"""The types of sets ipset documents."""

SET_NAME_LENGTH = 31
"""Longest name of a set."""

MemberKey = tuple[Hashable, ...]

Shape = tuple[int, ...]
"""Prefix lengths of a member's networks, and the length of a device given by its beginning; -1 for other parts."""


@dataclass(frozen=True)
class IpSet:
    """One set: its name, type and members; `options` are the remaining words of its `create` line."""

    name: str
    type: str = "hash:net"
    members: tuple[IPv4Network | Member, ...] = ()
    options: str = "family inet hashsize 1024 maxelem 65536"
    origin: Origin | None = field(default=None, compare=False)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """What the parts of a member are: ip, net, port, iface, mac, mark or set."""
        return tuple(self.type.partition(":")[2].split(","))

    @cached_property
    def _mask(self) -> int:
        """The mask that is put on addresses before they are stored or looked up."""
        return mask_of(self.options)

    @property
    def inet6(self) -> bool:
        """Tell whether the addresses of its members are of IPv6, which no packet of IPv4 has."""
        return "inet6" in self.options.split()

    @property
    def asked_ports(self) -> tuple[Range, ...]:
        """The ranges of ports its members have, those that follow each other as one."""
        if "port" not in self.kinds:
            return ()
        position = self.kinds.index("port")
        texts = {str(member.parts[position]) for member in self.members if isinstance(member, Member)}
        return tuple(_joined(sorted(set(map(_number, texts)) - {-1})))

    @property
    def counts(self) -> bool:
        """Tell whether members count their packets and bytes."""
        return "counters" in self.options.split()

    @cached_property
    def _index(self) -> list[tuple[Shape, dict[MemberKey, Member]]]:
        """The members by shape, the longest prefixes first."""
        by_shape: dict[Shape, dict[MemberKey, Member]] = {}
        for element in self.members:
            member = element if isinstance(element, Member) else Member((element,))
            shape = tuple(_length(part, member.wildcard) for part in member.parts)
            key = tuple(map(self._part_key, self.kinds, member.parts))
            by_shape.setdefault(shape, {})[key] = member
        return sorted(by_shape.items(), reverse=True)

    def _part_key(self, kind: str, part: MemberPart) -> Hashable:
        if not isinstance(part, str):
            return int(part.network_address)
        if kind == "port":
            return int(part) if self.type == "bitmap:port" else port_key(part)
        return int(part, 0) if kind == "mark" else part

    def holds(self, packet: Packet, at: Lookup, sides: tuple[str, ...]) -> int:
        """Look a packet up: 1 when it is in the set, -1 when an exception (nomatch) has it, 0 when nothing has.

        `sides` says for each part which end of the packet is looked up. Raises: Unsupported for MAC addresses.
        """
        if self.type == "list:set":
            return int(any(self._listed(member, packet, at, sides) for member in self.members))
        member = self.member(packet, at, sides)
        return 0 if member is None else -1 if member.nomatch else 1

    def member(self, packet: Packet, at: Lookup, sides: tuple[str, ...]) -> Member | None:
        """Return the member, or the exception, that a packet finds; None where there is none, and for list:set.

        Raises: Unsupported for MAC addresses.
        """
        if self.type == "list:set" or len(sides) < len(self.kinds) or packet.src.version != (6 if self.inet6 else 4):
            return None
        key = tuple(self._value(kind, packet, at, side) for kind, side in zip(self.kinds, sides, strict=False))
        return None if None in key or "" in key else self._found(key, at.now)

    def _listed(self, member: IPv4Network | Member, packet: Packet, at: Lookup, sides: tuple[str, ...]) -> bool:
        if isinstance(member, IPv4Network) or not member.alive(at.now):
            return False
        return find_set(at.sets, part_text(member.parts[0])).holds(packet, at, sides) > 0

    def _value(self, kind: str, packet: Packet, at: Lookup, side: str) -> Hashable:
        """Return what is looked up for one part; None where the packet has no such thing."""
        match kind:
            case "ip" | "net":
                return int(packet.src if side == "src" else packet.dst) & self._mask
            case "port":
                return packet_port(packet, side == "src", self.type == "bitmap:port")
            case "iface":
                return at.iif if side == "src" else at.oif
            case "mark":
                return packet.mark & mark_mask_of(self.options)
        raise Unsupported(f"set {self.name} asks for a MAC address; a rule does not see the frame a packet came in")

    def _found(self, key: MemberKey, now: float) -> Member | None:
        for shape, members in self._index:
            member = members.get(tuple(map(_masked, key, shape)))
            if member is not None and member.alive(now):
                return member
        return None

    def lines(self) -> tuple[str, ...]:
        """Print the set as `ipset save NAME` does."""
        adds = (f"add {self.name} {_text(member)}" for member in self.members)
        return (f"create {self.name} {self.type} {self.options}".rstrip(), *adds)


def mask_of(options: str) -> int:
    """Return the netmask or bitmask of a set's options; all ones when it has none. Raises: ValueError."""
    mask = re.search(r"\b(netmask|bitmask) (\S+)", options)
    if not mask or "inet6" in options.split():
        return 0xFFFFFFFF
    return int(IPv4Address(mask[2]) if "." in mask[2] else IPv4Network(f"0.0.0.0/{mask[2]}").netmask)


def mark_mask_of(options: str) -> int:
    """Return the mask a set puts on marks; all ones when it has none. Raises: ValueError."""
    mask = re.search(r"\bmarkmask (\S{1,10})(?!\S)|\bmarkmask\b", options)
    return int(mask[1] or "none", 0) if mask else 0xFFFFFFFF


def _length(part: MemberPart, wildcard: bool) -> int:
    if isinstance(part, str):
        return len(part) if wildcard else -1
    return part.prefixlen


def _masked(value: Hashable, length: int) -> Hashable:
    if length < 0:
        return value
    if isinstance(value, str):
        return value[:length]
    return value & (0xFFFFFFFF << 32 - length) if isinstance(value, int) else value


def _text(member: IPv4Network | Member) -> str:
    return str(member) if isinstance(member, Member) else part_text(member)


def find_set(sets: Mapping[str, IpSet] | None, name: str) -> IpSet:
    """Return a set; one that does not exist is an error, as it is for the kernel. Raises: Unknown."""
    ip_set = (sets or {}).get(name)
    if ip_set is None:
        raise Unknown(f"set {name} does not exist", collect="ipset save")
    return ip_set


def print_sets(sets: Iterable[IpSet]) -> str:
    """Print sets as `ipset save` does."""
    return "".join(f"{line}\n" for ip_set in sets for line in ip_set.lines())


_NAME = mark("the name of a set")


def parse_sets(text: str, source: str = "ipset save") -> tuple[IpSet, ...]:
    """Read the output of `ipset save`.

    Raises: StateSyntaxError; Unsupported for a type of set that ipset does not document.
    """
    sets: dict[str, IpSet] = {}
    members: dict[str, list[IPv4Network | Member]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = Words(line, source=source, number=number)
        if not words:
            continue
        verb, name = words.one_of(("create", "add")), words.take(_NAME)
        if (verb == "create") is (name in sets):
            twice = verb == "create"
            raise words.wrong(
                tr("set {name} is created twice", name=name)
                if twice
                else tr("set {name} is not created above", name=name)
            )
        if verb == "create":
            sets[name], members[name] = _create(words, name), []
        else:
            _check_comment(words)
            members[name].append(_read_member(words, sets[name]))
            if sets[name].type == "list:set":
                _check_listed(words, members[name][-1], sets)
    return tuple(replace(ip_set, members=tuple(members[name])) for name, ip_set in sets.items())


def _check_comment(words: Words) -> None:
    """Insist that a comment ends: with a line end in it, it goes on in what looks like the next line."""
    if words.line.count('"') % 2:
        raise words.error(tr("a comment without its end"))


def _create(words: Words, name: str) -> IpSet:
    if len(name) > SET_NAME_LENGTH:
        raise words.wrong(tr("names of sets have {count} characters at most", count=SET_NAME_LENGTH))
    kind = words.take("a type")
    if kind not in SET_TYPES:
        raise words.unsupported(
            tr("{type} of set {name}; types are {types}", type=kind, name=name, types=listed(SET_TYPES))
        )
    rest = words.rest()
    try:
        mask_of(rest), mark_mask_of(rest)
    except ValueError:
        raise words.error(tr("set {name} has a mask that is none", name=name)) from None
    return IpSet(name, kind, (), rest)


def _read_member(words: Words, ip_set: IpSet) -> IPv4Network | Member:
    if ip_set.type in ("hash:ip", "hash:net") and not ip_set.inet6 and words.last:
        network = words.prefix()
        if network.prefixlen == 0 or (ip_set.type == "hash:ip" and network.prefixlen < 32):
            raise words.wrong(tr("{network} cannot be one member of a {type}", network=network, type=ip_set.type))
        return network
    return _read_parts(words, ip_set)


def _check_listed(words: Words, member: IPv4Network | Member, sets: Mapping[str, IpSet]) -> None:
    """Refuse a list that holds a set not created above, or another list."""
    name = str(member).partition(" ")[0]
    if name not in sets or sets[name].type == "list:set":
        raise words.error(
            tr("set {name} is a list itself", name=name)
            if name in sets
            else tr("set {name} is not created above", name=name)
        )


def _read_parts(words: Words, ip_set: IpSet) -> Member:
    parts = words.take("a member").split(",")
    kinds = ip_set.kinds
    if ip_set.type == "bitmap:ip,mac" and len(parts) == 1:
        kinds = kinds[:1]
    if len(parts) != len(kinds):
        raise words.wrong(tr("a member of a {type} has {count} parts", type=ip_set.type, count=len(kinds)))
    if ip_set.inet6:
        return Member(tuple(parts), words.rest())
    bitmap = ip_set.type.startswith("bitmap")
    read = tuple(read_part(words, kind, text, bitmap) for kind, text in zip(kinds, parts, strict=True))
    rest = words.rest()
    if re.search(r"\btimeout \d{11}", rest):
        raise words.error(tr("a timeout has 10 digits at most"))
    return Member(read, rest)
