"""Matches on a packet's header that need no -m: -s, -d, -i, -o, -p, -f.

A record declares the value of a packet a match asks for; its text, its condition and the answer of `why_not` follow
from it. Read `extension` first.
Source: iptables(8).
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, ClassVar

from mcnilib.language import tr
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, MatchRecord, Purity, Test, differs
from mcnilib.linux.netfilter.iptables.grammar import Grammar
from mcnilib.linux.netfilter.iptables.values import read_protocol
from mcnilib.linux.netfilter.iptables.words import RuleWords, bang, has_holes
from mcnilib.linux.packet import Packet

NO_OPTIONS = Grammar()


@dataclass(frozen=True, slots=True)
class HeaderRecord(MatchRecord):
    """What is declared of a match in front of all -m; `read_header` reads it."""

    name: str = ""
    options: Grammar = NO_OPTIONS
    _: KW_ONLY
    purity: Purity = Purity.PURE
    tracks: bool = False
    samples: tuple[str, ...] = ()
    option: str
    what: str  # the value of a packet it asks for
    key: str = ""  # what rules are indexed by, where they are by this value
    asked: Callable[[Packet, Context], Any]


class HeaderMatch(Match):
    """A match on one value of a packet, which its record tells."""

    __slots__ = ()
    records: ClassVar[tuple[HeaderRecord, ...]]
    negated: bool

    @property
    def record(self) -> HeaderRecord:
        """What is declared of it."""
        return self.records[0]

    @property
    @abstractmethod
    def wanted(self) -> object:
        """What the rule asks for, as iptables-save prints it."""

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the value."""
        return differs(self.record.what, self.record.asked(packet, at) or "none", self.wanted, self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}{self.record.option} {self.wanted}"


@dataclass(frozen=True, slots=True)
class Fragment(Match):
    """`-f`: second and further fragments. Packets here are whole, so it never holds, and `! -f` always does."""

    records = (MatchRecord("", NO_OPTIONS, purity=Purity.PURE, tracks=False, samples=()),)

    negated: bool = False

    def test(self) -> Test | None:
        """Hold for `! -f` only."""
        return None if self.negated else lambda packet, at: False

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that packets are whole."""
        return "" if self.negated else tr("the packet is whole, not a later fragment")

    def __str__(self) -> str:
        return f"{bang(self.negated)}-f"


SOURCE = HeaderRecord(option="-s", what="source", key="src", asked=lambda packet, at: packet.src)

DESTINATION = HeaderRecord(option="-d", what="destination", key="dst", asked=lambda packet, at: packet.dst)


def _masked(record: HeaderRecord, address: IPv4Address, netmask: IPv4Address, negated: bool) -> Test:
    """Compare a masked address."""
    asked, mask, family, wanted = record.asked, int(netmask), address.version, not negated
    net = int(address) & mask
    return lambda packet, at: (int(ip := asked(packet, at)) & mask == net and ip.version == family) is wanted


@dataclass(frozen=True, slots=True)
class MaskedAddress(HeaderMatch):
    """`-s` or `-d` with a mask that is no prefix, such as 10.0.0.5/255.0.0.255."""

    records = (SOURCE, DESTINATION)

    side: str  # s or d
    address: IPv4Address
    mask: IPv4Address
    negated: bool = False

    @property
    def record(self) -> HeaderRecord:
        """What is declared of its side."""
        return self.records[self.side == "d"]

    @property
    def wanted(self) -> str:
        """The address with its mask."""
        return f"{self.address}/{self.mask}"

    def test(self) -> Test:
        """Compare the masked address."""
        return _masked(self.record, self.address, self.mask, self.negated)


@dataclass(frozen=True, slots=True)
class NetworkMatch(HeaderMatch):
    """A match on an address."""

    network: IPv4Network
    negated: bool = False

    @property
    def wanted(self) -> IPv4Network:
        """The network."""
        return self.network

    def test(self) -> Test:
        """Compare the masked address."""
        return _masked(self.record, self.network.network_address, self.network.netmask, self.negated)

    @property
    def exact(self) -> tuple[str, int] | None:
        """The address, when there is one only."""
        alone = self.network.prefixlen == 32 and not self.negated
        return (self.record.key, int(self.network.network_address)) if alone else None


class Source(NetworkMatch):
    """`-s NETWORK`."""

    __slots__ = ()
    records = (SOURCE,)


class Destination(NetworkMatch):
    """`-d NETWORK`."""

    __slots__ = ()
    records = (DESTINATION,)


@dataclass(frozen=True, slots=True)
class NameMatch(HeaderMatch):
    """A match on a name; a trailing `+`, which no protocol has, stands for any ending."""

    name: str
    negated: bool = False

    @property
    def wanted(self) -> str:
        """The name."""
        return self.name

    def test(self) -> Test:
        """Compare the name."""
        asked, name, wanted = self.record.asked, self.name, not self.negated
        if name.endswith("+"):
            return lambda packet, at: asked(packet, at).startswith(name[:-1]) is wanted
        return lambda packet, at: (asked(packet, at) == name) is wanted

    @property
    def exact(self) -> tuple[str, str] | None:
        """The name, when there is one only."""
        alone = self.record.key and not self.negated and not self.name.endswith("+")
        return (self.record.key, self.name) if alone else None


class InInterface(NameMatch):
    """`-i DEVICE`, where a trailing `+` stands for any ending."""

    __slots__ = ()
    records = (HeaderRecord(option="-i", what="incoming device", key="iif", asked=lambda packet, at: at.iif),)


class OutInterface(NameMatch):
    """`-o DEVICE`, where a trailing `+` stands for any ending."""

    __slots__ = ()
    records = (HeaderRecord(option="-o", what="outgoing device", key="oif", asked=lambda packet, at: at.oif),)


class ProtocolMatch(NameMatch):
    """`-p PROTOCOL`, by the name /etc/protocols gives it."""

    __slots__ = ()
    records = (HeaderRecord(option="-p", what="protocol", asked=lambda packet, at: packet.proto),)


HEADER = {
    "-s": "src", "--source": "src", "--src": "src", "-d": "dst", "--destination": "dst", "--dst": "dst",
    "-i": "iif", "--in-interface": "iif", "-o": "oif", "--out-interface": "oif", "-p": "proto", "--protocol": "proto",
    "--proto": "proto", "-f": "fragment", "--fragment": "fragment",
}  # fmt: skip

HEADER_ORDER = ("src", "dst", "iif", "oif", "proto", "fragment")
"""The order iptables-save prints them in."""

_IPV6_OPTIONS = ("-6", "--ipv6")

WITHOUT = {"-i": ("POSTROUTING", "OUTPUT"), "-o": ("PREROUTING", "INPUT")}
"""Built-in chains in which a packet has no such device yet, or no longer."""

_DEVICE_NAME_LENGTH = 15
"""Longest device name Linux accepts."""

ANYWHERE = IPv4Network("0.0.0.0/0")


def read_header(words: RuleWords, chain: str) -> tuple[str, Match | None] | None:
    """Read one header option such as `! -s 10.0.0.0/8`: its kind, and a match unless it asks for nothing.

    None when the next word is no header option. Raises: StateSyntaxError; Unsupported for IPv6.
    """
    option = words.peek_option()
    if option not in HEADER and option not in _IPV6_OPTIONS:
        return None
    _, negated = words.take_option()
    if option in _IPV6_OPTIONS:
        raise words.unsupported(tr("{option} is not modelled", option=option))
    kind = HEADER[option]
    if kind in ("src", "dst"):
        return kind, _side(words, option, kind, negated)
    if kind == "fragment":
        return kind, Fragment(negated)
    if kind == "proto":
        name = read_protocol(words)
        if negated and not name:
            raise words.fail(tr("a rule for no protocol at all would match nothing"))
        return kind, ProtocolMatch(name, negated) if name else None
    return kind, _device(words, "-i" if kind == "iif" else "-o", chain, negated)


def _side(words: RuleWords, option: str, kind: str, negated: bool) -> Match | None:
    """Read the address of -s or -d; None for all of them."""
    network = read_network(words)
    if isinstance(network, tuple):
        return MaskedAddress(kind[0], *network, negated)
    if network == ANYWHERE and negated:
        raise words.fail(tr("! {option} {network} would match nothing", option=option, network=network))
    return None if network == ANYWHERE else (Source if kind == "src" else Destination)(network, negated)


def read_network(words: RuleWords) -> IPv4Network | tuple[IPv4Address, IPv4Address]:
    """Read an address or prefix, or an address with a mask that has holes.

    Host bits are cleared and missing bytes are zero, as iptables does.
    """
    word = words.take("an address")
    if "," in word:
        raise words.unsupported(tr("{word}: several addresses in one rule; iptables makes a rule of each", word=word))
    address, slash, mask = word.partition("/")
    if re.fullmatch(r"\d{1,3}(\.\d{1,3}){0,2}", address, re.ASCII) and slash:
        address += ".0" * (3 - address.count("."))
    try:
        if has_holes(mask):
            return IPv4Address(int(IPv4Address(address)) & int(IPv4Address(mask))), IPv4Address(mask)
        return IPv4Network(address + slash + mask, strict=False)
    except ValueError:
        raise words.fail(tr("{word!r} is not an IPv4 address or prefix", word=word)) from None


def _device(words: RuleWords, option: str, chain: str, negated: bool) -> Match | None:
    """Read a device; `+` alone stands for all of them, which iptables-save does not print."""
    name = words.take("a device")
    if chain in WITHOUT[option]:
        raise words.fail(tr("packets in {chain} have no device for {option}", chain=chain, option=option))
    if not 0 < len(name) <= _DEVICE_NAME_LENGTH or re.search(r"\s", name):
        raise words.fail(
            tr(
                "{name!r} is not the name of a device, which has 1 to {device_name_length} characters",
                name=name,
                device_name_length=_DEVICE_NAME_LENGTH,
            )
        )
    if name == "+" and not negated:
        return None
    return (InInterface if option == "-i" else OutInterface)(name, negated)
