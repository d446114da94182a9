"""Matches on the rest of the IPv4 header: address ranges, odd masks, TTL, TOS, DSCP, ECN, fragments.

Source: iptables-extensions(8); net/netfilter/xt_{iprange,dscp,hl,ecn}.c, net/ipv4/netfilter/ip_tables.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Test, bang, differs
from mcnilib.linux.packet import Packet


@dataclass(frozen=True, slots=True)
class MaskedAddress:
    """`-s` or `-d` with a mask that is no prefix, such as 10.0.0.5/255.0.0.255."""

    side: str  # s or d
    address: IPv4Address
    mask: IPv4Address
    negated: bool = False

    def test(self) -> Test:
        """Compare the masked address."""
        mask, wanted = int(self.mask), not self.negated
        net = int(self.address) & mask
        if self.side == "s":
            return lambda packet, at: (int(packet.src) & mask == net) is wanted
        return lambda packet, at: (int(packet.dst) & mask == net) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the address."""
        side, found = ("source", packet.src) if self.side == "s" else ("destination", packet.dst)
        return differs(side, found, f"{self.address}/{self.mask}", self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}-{self.side} {self.address}/{self.mask}"


@dataclass(frozen=True, slots=True)
class Fragment:
    """`-f`: second and further fragments. Packets here are whole, so it never holds, and `! -f` always does."""

    negated: bool = False

    def test(self) -> Test | None:
        """Hold for `! -f` only."""
        return None if self.negated else lambda packet, at: False

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that packets are whole."""
        return "" if self.negated else "the packet is whole, not a later fragment"

    def __str__(self) -> str:
        return f"{bang(self.negated)}-f"


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
