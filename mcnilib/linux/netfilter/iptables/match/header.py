"""Matches on a packet's header that need no -m: -s, -d, -i, -o, -p, -f.

One small frozen class per match with its words, its text and its condition. `test` compiles the condition for the
walk; `why_not` says in words which condition did not hold. Read `extension` first.
Source: iptables(8).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, MatchRecord, Purity, Test, differs
from mcnilib.linux.netfilter.iptables.grammar import Grammar
from mcnilib.linux.netfilter.iptables.words import RuleWords, bang, has_holes
from mcnilib.linux.packet import ALL_PROTOCOLS, USUAL, Packet, protocol_name

BY_HAND = (MatchRecord("", Grammar(), purity=Purity.PURE, tracks=False, samples=()),)
"""The record of what stands in front of all -m; `read_header` reads it."""


@dataclass(frozen=True, slots=True)
class MaskedAddress(Match):
    """`-s` or `-d` with a mask that is no prefix, such as 10.0.0.5/255.0.0.255."""

    records = BY_HAND

    side: str  # s or d
    address: IPv4Address
    mask: IPv4Address
    negated: bool = False

    def test(self) -> Test:
        """Compare the masked address."""
        mask, wanted, family = int(self.mask), not self.negated, self.address.version
        net = int(self.address) & mask
        if self.side == "s":
            return lambda packet, at: (int(packet.src) & mask == net and packet.src.version == family) is wanted
        return lambda packet, at: (int(packet.dst) & mask == net and packet.dst.version == family) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the address."""
        side, found = ("source", packet.src) if self.side == "s" else ("destination", packet.dst)
        return differs(side, found, f"{self.address}/{self.mask}", self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}-{self.side} {self.address}/{self.mask}"


@dataclass(frozen=True, slots=True)
class Fragment(Match):
    """`-f`: second and further fragments. Packets here are whole, so it never holds, and `! -f` always does."""

    records = BY_HAND

    negated: bool = False

    def test(self) -> Test | None:
        """Hold for `! -f` only."""
        return None if self.negated else lambda packet, at: False

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that packets are whole."""
        return "" if self.negated else "the packet is whole, not a later fragment"

    def __str__(self) -> str:
        return f"{bang(self.negated)}-f"


@dataclass(frozen=True, slots=True)
class Source(Match):
    """`-s NETWORK`."""

    records = BY_HAND

    network: IPv4Network
    negated: bool = False

    def test(self) -> Test:
        """Compare the masked source address."""
        net, mask, family = int(self.network.network_address), int(self.network.netmask), self.network.version
        wanted = not self.negated
        return lambda packet, at: (int(packet.src) & mask == net and packet.src.version == family) is wanted

    @property
    def exact(self) -> tuple[str, int] | None:
        """The address, when there is one only."""
        alone = self.network.prefixlen == 32 and not self.negated
        return ("src", int(self.network.network_address)) if alone else None

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the source."""
        return differs("source", packet.src, self.network, self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}-s {self.network}"


@dataclass(frozen=True, slots=True)
class Destination(Match):
    """`-d NETWORK`."""

    records = BY_HAND

    network: IPv4Network
    negated: bool = False

    def test(self) -> Test:
        """Compare the masked destination address."""
        net, mask, family = int(self.network.network_address), int(self.network.netmask), self.network.version
        wanted = not self.negated
        return lambda packet, at: (int(packet.dst) & mask == net and packet.dst.version == family) is wanted

    @property
    def exact(self) -> tuple[str, int] | None:
        """The address, when there is one only."""
        alone = self.network.prefixlen == 32 and not self.negated
        return ("dst", int(self.network.network_address)) if alone else None

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the destination."""
        return differs("destination", packet.dst, self.network, self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}-d {self.network}"


def device_matches(pattern: str, device: str) -> bool:
    """Compare a device with a name from a rule; a trailing `+` stands for any ending."""
    return device.startswith(pattern[:-1]) if pattern.endswith("+") else device == pattern


@dataclass(frozen=True, slots=True)
class InInterface(Match):
    """`-i DEVICE`, where a trailing `+` stands for any ending."""

    records = BY_HAND

    name: str
    negated: bool = False

    def test(self) -> Test:
        """Compare the device the packet came in by."""
        name, wanted = self.name, not self.negated
        return lambda packet, at: device_matches(name, at.iif) is wanted

    @property
    def exact(self) -> tuple[str, str] | None:
        """The device, when there is one only."""
        return None if self.negated or self.name.endswith("+") else ("iif", self.name)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the device."""
        return differs("incoming device", at.iif or "none", self.name, self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}-i {self.name}"


@dataclass(frozen=True, slots=True)
class OutInterface(Match):
    """`-o DEVICE`, where a trailing `+` stands for any ending."""

    records = BY_HAND

    name: str
    negated: bool = False

    def test(self) -> Test:
        """Compare the device the packet leaves by."""
        name, wanted = self.name, not self.negated
        return lambda packet, at: device_matches(name, at.oif) is wanted

    @property
    def exact(self) -> tuple[str, str] | None:
        """The device, when there is one only."""
        return None if self.negated or self.name.endswith("+") else ("oif", self.name)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the device."""
        return differs("outgoing device", at.oif or "none", self.name, self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}-o {self.name}"


@dataclass(frozen=True, slots=True)
class ProtocolMatch(Match):
    """`-p PROTOCOL`, by the name /etc/protocols gives it."""

    records = BY_HAND

    name: str
    negated: bool = False

    def test(self) -> Test:
        """Compare the protocol."""
        name, wanted = self.name, not self.negated
        return lambda packet, at: (packet.proto == name) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the protocol."""
        return differs("protocol", packet.proto, self.name, self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}-p {self.name}"


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
        raise words.unsupported(f"{option} is not modelled")
    kind = HEADER[option]
    if kind in ("src", "dst"):
        return kind, _side(words, option, kind, negated)
    if kind == "fragment":
        return kind, Fragment(negated)
    if kind == "proto":
        name = _protocol(words, negated)
        return kind, ProtocolMatch(name, negated) if name else None
    return kind, _device(words, "-i" if kind == "iif" else "-o", chain, negated)


def _side(words: RuleWords, option: str, kind: str, negated: bool) -> Match | None:
    """Read the address of -s or -d; None for all of them."""
    found = read_network(words)
    if isinstance(found, tuple):
        return MaskedAddress(kind[0], *found, negated)
    if found == ANYWHERE and negated:
        raise words.fail(f"! {option} {found} would match nothing")
    return None if found == ANYWHERE else (Source if kind == "src" else Destination)(found, negated)


def read_network(words: RuleWords) -> IPv4Network | tuple[IPv4Address, IPv4Address]:
    """Read an address or prefix, or an address with a mask that has holes.

    Host bits are cleared and missing bytes are zero, as iptables does.
    """
    word = words.take("an address")
    if "," in word:
        raise words.unsupported(f"{word}: several addresses in one rule; iptables makes a rule of each")
    address, slash, mask = word.partition("/")
    if re.fullmatch(r"\d{1,3}(\.\d{1,3}){0,2}", address, re.ASCII) and slash:
        address += ".0" * (3 - address.count("."))
    try:
        if has_holes(mask):
            return IPv4Address(int(IPv4Address(address)) & int(IPv4Address(mask))), IPv4Address(mask)
        return IPv4Network(address + slash + mask, strict=False)
    except ValueError:
        raise words.fail(f"{word!r} is not an IPv4 address or prefix") from None


def _protocol(words: RuleWords, negated: bool) -> str | None:
    """Read a protocol; None stands for all of them."""
    word = words.take("a protocol")
    if word.lower() in ALL_PROTOCOLS:
        if negated:
            raise words.fail("a rule for no protocol at all would match nothing")
        return None
    name = protocol_name(word)
    if name is None:
        raise words.fail(f"{word!r} is not a protocol", near=USUAL)
    return name


def _device(words: RuleWords, option: str, chain: str, negated: bool) -> Match | None:
    """Read a device; `+` alone stands for all of them, which iptables-save does not print."""
    name = words.take("a device")
    if chain in WITHOUT[option]:
        raise words.fail(f"packets in {chain} have no device for {option}")
    if not 0 < len(name) <= _DEVICE_NAME_LENGTH or re.search(r"\s", name):
        raise words.fail(f"{name!r} is not the name of a device, which has 1 to {_DEVICE_NAME_LENGTH} characters")
    if name == "+" and not negated:
        return None
    return (InInterface if option == "-i" else OutInterface)(name, negated)
