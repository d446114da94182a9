"""Matches on the rest of the IPv4 header: address ranges, odd masks, TTL, TOS, DSCP, ECN, fragments.

Source: iptables-extensions(8); net/netfilter/xt_{iprange,dscp,hl,ecn}.c, net/ipv4/netfilter/ip_tables.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from mcnilib.errors import Unsupported
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, Test, bang, differs
from mcnilib.linux.netfilter.iptables.match.header import read_ip
from mcnilib.linux.netfilter.iptables.match.misc import KINDS
from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option, need
from mcnilib.linux.packet import Packet, lengths


@dataclass(frozen=True, slots=True)
class Length:
    """`-m length --length LOW:HIGH`: bytes of the packet with its IP header."""

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
        raise Unsupported(f"match {str(self)[3:]} for a packet of {shortest} to {longest} bytes: its exact length")

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the length."""
        shortest, longest = lengths(packet)
        found = str(shortest) if shortest == longest else f"{shortest} to {longest}"
        return differs("length", found, self._words(), self.negated)

    def _words(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}:{self.high}"

    def __str__(self) -> str:
        return f"-m length {bang(self.negated)}--length {self._words()}"


Ends = tuple[IPv4Address, IPv4Address]


@dataclass(frozen=True, slots=True)
class IpRange:
    """`-m iprange --src-range A-B --dst-range C-D`, both ends included."""

    src: Ends | None = None
    dst: Ends | None = None
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

    def __str__(self) -> str:
        words = ["-m iprange"]
        words += [f"{bang(self.src_negated)}--src-range {self.src[0]}-{self.src[1]}"] if self.src else []
        words += [f"{bang(self.dst_negated)}--dst-range {self.dst[0]}-{self.dst[1]}"] if self.dst else []
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Ttl:
    """`-m ttl --ttl-eq|lt|gt N`. Forwarding lowers the TTL before the rules of FORWARD see the packet."""

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

    def __str__(self) -> str:
        return f"-m ttl {bang(self.negated)}--ttl-{self.compare} {self.ttl}"


@dataclass(frozen=True, slots=True)
class Tos:
    """`-m tos --tos VALUE/MASK`."""

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

    def __str__(self) -> str:
        return f"-m tos {bang(self.negated)}--tos {self.value:#04x}/{self.mask:#04x}"


@dataclass(frozen=True, slots=True)
class Dscp:
    """`-m dscp --dscp VALUE`: the upper six bits of the TOS byte."""

    value: int
    negated: bool = False

    def test(self) -> Test:
        """Compare the upper six bits."""
        value, wanted = self.value, not self.negated
        return lambda packet, at: (packet.tos >> 2 == value) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the DSCP."""
        return differs("DSCP", f"{packet.tos >> 2:#04x}", f"{self.value:#04x}", self.negated)

    def __str__(self) -> str:
        return f"-m dscp {bang(self.negated)}--dscp {self.value:#04x}"


@dataclass(frozen=True, slots=True)
class Ecn:
    """`-m ecn`: the TCP flags ECE and CWR (true: set, false: not set), the lowest two bits of the TOS byte."""

    ece: bool | None = None
    cwr: bool | None = None
    ect: int | None = None
    ect_negated: bool = False

    def test(self) -> Test:
        """Compare flags and bits."""
        return lambda packet, at: not self.why_not(packet, at)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name what is wrong; empty when all is right."""
        if self.ect is not None and (packet.tos & 3 == self.ect) is self.ect_negated:
            return differs("ECN bits", packet.tos & 3, self.ect, self.ect_negated)
        for name, wanted in (("ECE", self.ece), ("CWR", self.cwr)):
            if wanted is not None and (packet.tcp is None or (name in packet.tcp.flags) is not wanted):
                return f"TCP flag {name} is {'not ' if wanted else ''}set"
        return ""

    def __str__(self) -> str:
        words = ["-m ecn"]
        words += [f"{bang(not self.ece)}--ecn-tcp-ece"] if self.ece is not None else []
        words += [f"{bang(not self.cwr)}--ecn-tcp-cwr"] if self.cwr is not None else []
        words += [f"{bang(self.ect_negated)}--ecn-ip-ect {self.ect}"] if self.ect is not None else []
        return " ".join(words)


TOS_NAMES = {
    "minimize-delay": 0x10, "maximize-throughput": 0x08, "maximize-reliability": 0x04, "minimize-cost": 0x02,
    "normal-service": 0x00,
}  # fmt: skip

TOS_NAME_MASK = 0x3F

DSCP_CLASSES = (
    {f"cs{number}": number * 8 for number in range(8)}
    | {f"af{high}{low}": high * 8 + low * 2 for high in range(1, 5) for low in range(1, 4)}
    | {"be": 0, "ef": 0x2E}
)


def read_ends(words: RuleWords, word: str) -> Ends:
    """Turn `A-B` or `A` into the ends of a range of addresses."""
    low, dash, high = word.partition("-")
    first = read_ip(words, low)
    return first, read_ip(words, high) if dash else first


def _iprange(words: RuleWords) -> Match:
    found: dict[str, tuple[Ends | None, bool]] = {}
    for name, negated in each_option(words, "iprange", {"--src-range": "src", "--dst-range": "dst"}):
        found[name] = read_ends(words, words.take("a range of addresses")), negated
    if not found:
        raise words.fail("iprange needs --src-range or --dst-range")
    src, dst = found.get("src", (None, False)), found.get("dst", (None, False))
    return IpRange(src[0], dst[0], src[1], dst[1])


def _ttl(words: RuleWords) -> Match:
    option, negated = need(words, "--ttl-eq", "--ttl-lt", "--ttl-gt", "--ttl")
    if negated and option not in ("--ttl-eq", "--ttl"):
        raise words.fail(f"{option} cannot be negated")
    return Ttl("eq" if option == "--ttl" else option[-2:], words.number("a TTL", 0, 255), negated)


def read_tos(words: RuleWords) -> tuple[int, int]:
    """Read VALUE, VALUE/MASK or the name of a type of service: value and mask."""
    word = words.take("a type of service")
    if word.lower() in TOS_NAMES:
        return TOS_NAMES[word.lower()], TOS_NAME_MASK
    value, slash, mask = word.partition("/")
    return words.as_number(value, "a TOS", 0, 255), words.as_number(mask, "a mask", 0, 255) if slash else 0xFF


def _tos(words: RuleWords) -> Match:
    _, negated = need(words, "--tos")
    return Tos(*read_tos(words), negated)


def read_dscp(words: RuleWords, option: str) -> int:
    """Read the value of --dscp or --dscp-class."""
    if not option.endswith("-class"):
        return words.number("a DSCP", 0, 63)
    name = words.take("a class").lower()
    if name not in DSCP_CLASSES:
        raise words.fail(f"{name!r} is not a class of service", near=tuple(DSCP_CLASSES))
    return DSCP_CLASSES[name]


def _dscp(words: RuleWords) -> Match:
    option, negated = need(words, "--dscp", "--dscp-class")
    return Dscp(read_dscp(words, option), negated)


def _ecn(words: RuleWords) -> Match:
    found: dict[str, bool] = {}
    ect = None
    for name, negated in each_option(
        words, "ecn", {"--ecn-tcp-ece": "ece", "--ecn-tcp-cwr": "cwr", "--ecn-ip-ect": "ect"}
    ):
        found[name] = not negated
        if name == "ect":
            ect = words.number("the ECN bits", 0, 3)
    if not found:
        raise words.fail("ecn needs --ecn-tcp-ece, --ecn-tcp-cwr or --ecn-ip-ect")
    return Ecn(found.get("ece"), found.get("cwr"), ect, not found.get("ect", True))


def _length(words: RuleWords) -> Match:
    _, negated = need(words, "--length")
    low, colon, high = words.take("a length").partition(":")
    first = words.as_number(low or "0", "a length", 0, 0xFFFF)
    return Length(first, words.as_number(high or "65535", "a length", 0, 0xFFFF) if colon else first, negated)


KINDS |= {"multicast": "multicast", "mcast": "multicast"}
