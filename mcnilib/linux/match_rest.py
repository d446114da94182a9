"""Matches on what goes with a packet: its length, the kind of frame it came in, the helper of its connection.

Source: iptables-extensions(8); net/netfilter/{xt_length,xt_pkttype,xt_helper}.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.errors import Unsupported
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Test, bang, differs
from mcnilib.linux.netfilter.iptables.words import quoted
from mcnilib.linux.packet import Packet

IP_HEADER, UDP_HEADER, ICMP_HEADER, TCP_HEADER, TCP_OPTIONS = 20, 8, 8, 20, 40


def lengths(packet: Packet) -> tuple[int, int]:
    """Return the shortest and the longest the packet can be, in bytes with its IP header.

    A TCP segment has 0 to 40 bytes of options; how much an ICMP error quotes, and how long a packet in a tunnel is, is
    not known.
    """
    if packet.inner or packet.proto not in ("tcp", "udp", "icmp") or (packet.icmp and packet.icmp.quoted):
        return IP_HEADER, 0xFFFF
    if packet.proto == "tcp":
        shortest = IP_HEADER + TCP_HEADER + packet.length
        return shortest, shortest + TCP_OPTIONS
    whole = IP_HEADER + (UDP_HEADER if packet.proto == "udp" else ICMP_HEADER) + packet.length
    return whole, whole


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


@dataclass(frozen=True, slots=True)
class PacketType:
    """`-m pkttype --pkt-type unicast|broadcast|multicast`; only unicast frames are modelled."""

    kind: str
    negated: bool = False

    def test(self) -> Test:
        """Hold for unicast; a packet that would travel in another frame is refused."""
        return lambda packet, at: (self._kind(packet, at) == self.kind) is not self.negated

    def _kind(self, packet: Packet, at: Context) -> str:
        if packet.dst.is_multicast or (at.address_type and at.address_type(packet.dst, "") == "BROADCAST"):
            raise Unsupported(f"match pkttype for a packet to {packet.dst}: only unicast frames are modelled")
        return "unicast"

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the kind of frame."""
        return differs("type of frame", "unicast", self.kind, self.negated)

    def __str__(self) -> str:
        return f"-m pkttype {bang(self.negated)}--pkt-type {self.kind}"


@dataclass(frozen=True, slots=True)
class Helper:
    """`-m helper --helper NAME`: connections a helper expected. There are no helpers here, so only `!` holds."""

    name: str
    negated: bool = False

    def test(self) -> Test | None:
        """Hold for the negated form only."""
        return None if self.negated else lambda packet, at: False

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that no helper expected the connection."""
        return "" if self.negated else "no helper expected this connection"

    def __str__(self) -> str:
        name = quoted(self.name) if self.name else '""'
        return f"-m helper {bang(self.negated)}--helper {name}"
