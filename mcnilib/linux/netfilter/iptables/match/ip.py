"""Matches on the rest of the IPv4 header: its length, address ranges, TTL, TOS, DSCP, ECN.

Source: iptables-extensions(8); net/netfilter/xt_{length,iprange,dscp,hl,ecn}.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from mcnilib.language import mark, tr
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import (
    Match,
    MatchRecord,
    Purity,
    Test,
    differs,
    needs_exact_length,
)
from mcnilib.linux.netfilter.iptables.grammar import Grammar, OptionEntry
from mcnilib.linux.netfilter.iptables.values import (
    DSCP,
    bounds,
    hex_byte,
    masked_tos,
    number,
    range_text,
    read_class,
    read_ip,
    read_tos,
)  # fmt: skip
from mcnilib.linux.netfilter.iptables.words import RuleWords
from mcnilib.linux.packet import Packet, lengths

_AddressRange = tuple[IPv4Address, IPv4Address]


def _ends(words: RuleWords) -> _AddressRange:
    """Read `A-B` or `A` as the ends of a range of addresses."""
    low, dash, high = words.take(tr("a range of addresses")).partition("-")
    first = read_ip(words, low)
    return first, read_ip(words, high) if dash else first


TTL = number(0, 255, mark("a TTL"))


def _ends_text(ends: _AddressRange) -> str:
    return f"{ends[0]}-{ends[1]}"


@dataclass(frozen=True, slots=True)
class Length(Match):
    """`-m length --length LOW:HIGH`: bytes of the packet with its IP header."""

    records = (
        MatchRecord("length", Grammar({
            "--length": OptionEntry(
                ("low", "high"), bounds(mark("a length")), lambda *ends: range_text(ends), "negated"
            ),
        }, single=True), purity=Purity.REFUSES, tracks=False, samples=("[!] --length 0:33|33|84|81:1500|0:84",)),
    )  # fmt: skip

    low: int
    high: int
    negated: bool = False

    def test(self) -> Test:
        """Compare the length; where options not modelled would decide, the packet is refused."""
        return lambda packet, at: self._within(packet) is not self.negated

    def _within(self, packet: Packet) -> bool:
        shortest, longest = lengths(packet)
        if longest < self.low or shortest > self.high or self.low > self.high:
            return False
        if self.low <= shortest and longest <= self.high:
            return True
        raise needs_exact_length(self, packet)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the length."""
        shortest, longest = lengths(packet)
        length = str(shortest) if shortest == longest else f"{shortest} to {longest}"
        return differs("length", length, range_text((self.low, self.high)), self.negated)


@dataclass(frozen=True, slots=True)
class IpRange(Match):
    """`-m iprange --src-range A-B --dst-range C-D`, both ends included."""

    records = (
        MatchRecord("iprange", Grammar({
            "--src-range": OptionEntry(("src",), _ends, _ends_text, "src_negated"),
            "--dst-range": OptionEntry(("dst",), _ends, _ends_text, "dst_negated"),
        }, one_of=("--src-range", "--dst-range")), purity=Purity.PURE, tracks=False, samples=(
            "[!] --src-range|--dst-range {address}-{last}",
        )),
    )  # fmt: skip

    src: _AddressRange | None = None
    dst: _AddressRange | None = None
    src_negated: bool = False
    dst_negated: bool = False

    def test(self) -> Test:
        """Compare both addresses."""
        return lambda packet, at: not self.why_not(packet, at)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the address that is outside; empty when both are right."""
        for side, ip, ends, negated in (
            ("source", packet.src, self.src, self.src_negated),
            ("destination", packet.dst, self.dst, self.dst_negated),
        ):
            if ends and (ends[0] <= ip <= ends[1]) is negated:
                return differs(side, ip, f"{ends[0]}-{ends[1]}", negated)
        return ""


@dataclass(frozen=True, slots=True)
class Ttl(Match):
    """`-m ttl --ttl-eq|lt|gt N`. Forwarding lowers the TTL before the rules of FORWARD see the packet."""

    records = (
        MatchRecord("ttl", Grammar({
            "--ttl-eq": OptionEntry(("ttl",), TTL, negated="negated", constants={"compare": "eq"}),
            "--ttl-lt": OptionEntry(("ttl",), TTL, constants={"compare": "lt"}),
            "--ttl-gt": OptionEntry(("ttl",), TTL, constants={"compare": "gt"}),
            "--ttl": OptionEntry(("ttl",), TTL, negated="negated", constants={"compare": "eq"}, printed=False),
        }, single=True), purity=Purity.PURE, tracks=False, samples=("[!] --ttl-eq 64|63", "--ttl-lt|--ttl-gt 63|62")),
    )  # fmt: skip

    compare: str  # eq, lt or gt
    ttl: int
    negated: bool = False

    def test(self) -> Test:
        """Compare the TTL."""
        ttl, wanted = self.ttl, not self.negated
        if self.compare == "eq":
            return lambda packet, at: (packet.ttl == ttl) is wanted
        if self.compare == "lt":
            return lambda packet, at: packet.ttl < ttl
        return lambda packet, at: packet.ttl > ttl

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the TTL."""
        sign = {"eq": "", "lt": "below ", "gt": "above "}[self.compare]
        return differs("TTL", packet.ttl, f"{sign}{self.ttl}", self.negated)


@dataclass(frozen=True, slots=True)
class Tos(Match):
    """`-m tos --tos VALUE/MASK`."""

    records = (
        MatchRecord("tos", Grammar({
            "--tos": OptionEntry(("value", "mask"), read_tos, masked_tos, "negated"),
        }, single=True), purity=Purity.PURE, tracks=False, samples=("[!] --tos 0x10/0xff|0x00/0x3f|0xc0/0xff",)),
    )  # fmt: skip

    value: int
    mask: int = 0xFF
    negated: bool = False

    def test(self) -> Test:
        """Compare the masked TOS byte."""
        value, mask, wanted = self.value, self.mask, not self.negated
        return lambda packet, at: (packet.tos & mask == value) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the TOS byte."""
        return differs("TOS", f"{packet.tos:#04x}", f"{self.value:#04x}/{self.mask:#04x}", self.negated)


@dataclass(frozen=True, slots=True)
class Dscp(Match):
    """`-m dscp --dscp VALUE`: the upper six bits of the TOS byte."""

    records = (
        MatchRecord("dscp", Grammar({
            "--dscp": OptionEntry(("value",), DSCP, hex_byte, "negated"),
            "--dscp-class": OptionEntry(("value",), read_class, negated="negated", printed=False),
        }, single=True), purity=Purity.PURE, tracks=False, samples=("[!] --dscp 0x04|0x00|0x2e",)),
    )  # fmt: skip

    value: int
    negated: bool = False

    def test(self) -> Test:
        """Compare the upper six bits."""
        value, wanted = self.value, not self.negated
        return lambda packet, at: (packet.tos >> 2 == value) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the DSCP."""
        return differs("DSCP", f"{packet.tos >> 2:#04x}", f"{self.value:#04x}", self.negated)


@dataclass(frozen=True, slots=True)
class Ecn(Match):
    """`-m ecn`: the TCP flags ECE and CWR (true: set, false: not set), the lowest two bits of the TOS byte."""

    records = (
        MatchRecord("ecn", Grammar({
            "--ecn-tcp-ece": OptionEntry(("ece",), sign=True),
            "--ecn-tcp-cwr": OptionEntry(("cwr",), sign=True),
            "--ecn-ip-ect": OptionEntry(("ect",), number(0, 3, mark("the ECN bits")), negated="ect_negated"),
        }, one_of=("--ecn-tcp-ece", "--ecn-tcp-cwr", "--ecn-ip-ect")), purity=Purity.PURE, tracks=False, samples=(
            "[!] --ecn-ip-ect 0",
        )),
    )  # fmt: skip

    ece: bool | None = None
    cwr: bool | None = None
    ect: int | None = None
    ect_negated: bool = False

    @property
    def protocols(self) -> tuple[str, ...]:
        """TCP, where a rule asks for one of its flags."""
        return () if self.ece is None and self.cwr is None else ("tcp",)

    def test(self) -> Test:
        """Compare flags and bits."""
        return lambda packet, at: not self.why_not(packet, at)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name what is wrong; empty when all is right."""
        if self.ect is not None and (packet.tos & 3 == self.ect) is self.ect_negated:
            return differs("ECN bits", packet.tos & 3, self.ect, self.ect_negated)
        for name, wanted in (("ECE", self.ece), ("CWR", self.cwr)):
            if wanted is not None and (packet.tcp is None or (name in packet.tcp.flags) is not wanted):
                return (
                    tr("TCP flag {name} is not set", name=name) if wanted else tr("TCP flag {name} is set", name=name)
                )
        return ""
