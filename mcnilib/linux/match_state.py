"""Matches on what Linux knows beside the header: marks, address types, chance, the reverse path.

Connection state is in `match_conntrack`, sets are in `match_set`.
Source: iptables-extensions(8); net/netfilter/xt_{mark,connmark,addrtype,statistic,nfacct}.c,
net/ipv4/netfilter/ipt_rpfilter.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.errors import Unsupported
from mcnilib.linux.chance import Chance
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Test, bang, differs
from mcnilib.linux.netfilter.iptables.words import quoted
from mcnilib.linux.packet import Packet

ADDRESS_TYPES = (
    "UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST",
    "BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE",
)  # fmt: skip
"""The order iptables-save prints types of addresses in."""


@dataclass(frozen=True, slots=True)
class Comment:
    """`-m comment --comment TEXT`: always holds."""

    text: str

    def test(self) -> None:
        """A comment is no condition."""

    def why_not(self, packet: Packet, at: Context) -> str:
        """Never asked: a comment always holds."""
        return ""

    def __str__(self) -> str:
        return f"-m comment --comment {quoted(self.text)}"


def masked(value: int, mask: int) -> str:
    """Write a mark as iptables-save does: the mask only when it is not all ones."""
    return f"{value:#x}" if mask == 0xFFFFFFFF else f"{value:#x}/{mask:#x}"


@dataclass(frozen=True, slots=True)
class MarkIs:
    """`-m mark --mark VALUE/MASK`."""

    value: int
    mask: int = 0xFFFFFFFF
    negated: bool = False

    def test(self) -> Test:
        """Compare the packet's mark."""
        value, mask, wanted = self.value, self.mask, not self.negated
        return lambda packet, at: (packet.mark & mask == value) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the mark."""
        return differs("mark", f"{packet.mark:#x}", masked(self.value, self.mask), self.negated)

    def __str__(self) -> str:
        return f"-m mark {bang(self.negated)}--mark {masked(self.value, self.mask)}"


@dataclass(frozen=True, slots=True)
class ConnmarkIs:
    """`-m connmark --mark VALUE/MASK`; never holds for a packet without connection."""

    value: int
    mask: int = 0xFFFFFFFF
    negated: bool = False

    def test(self) -> Test:
        """Compare the mark of the packet's connection."""
        value, mask, wanted = self.value, self.mask, not self.negated
        return lambda packet, at: at.entry is not None and (at.entry.mark & mask == value) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the connection's mark."""
        found = "absent (no connection)" if at.entry is None else f"{at.entry.mark:#x}"
        return differs("connection mark", found, masked(self.value, self.mask), self.negated and at.entry is not None)

    def __str__(self) -> str:
        return f"-m connmark {bang(self.negated)}--mark {masked(self.value, self.mask)}"


@dataclass(frozen=True, slots=True)
class AddrType:
    """`-m addrtype [!] --src-type TYPES [!] --dst-type TYPES --limit-iface-in|out`."""

    src: tuple[str, ...] = ()
    dst: tuple[str, ...] = ()
    src_negated: bool = False
    dst_negated: bool = False
    limit: str = ""  # in or out: only addresses of that device count

    def test(self) -> Test:
        """Look both addresses up in the routing tables."""
        return lambda packet, at: not self.why_not(packet, at)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the type of the address that is wrong; empty when both are right."""
        device = {"in": at.iif, "out": at.oif}.get(self.limit, "")
        sides = (
            ("source", packet.src, self.src, self.src_negated),
            ("destination", packet.dst, self.dst, self.dst_negated),
        )
        if at.address_type is None:
            raise Unsupported("addrtype where there are no routing tables to ask")
        for side, ip, types, negated in sides:
            if types:
                found = at.address_type(ip, device)
                if (found in types) is negated:
                    return differs(f"type of {side} {ip}", found, ",".join(types), negated)
        return ""

    def __str__(self) -> str:
        words = ["-m addrtype"]
        words += [f"{bang(self.src_negated)}--src-type {','.join(self.src)}"] if self.src else []
        words += [f"{bang(self.dst_negated)}--dst-type {','.join(self.dst)}"] if self.dst else []
        return " ".join([*words, *([f"--limit-iface-{self.limit}"] if self.limit else [])])


@dataclass(frozen=True, slots=True)
class Statistic:
    """`-m statistic --mode random --probability P`; P is kept in units of 2**-31, as the kernel does."""

    share: int
    negated: bool = False

    def test(self) -> Test:
        """Draw a number."""
        share, question = self._share, str(self)
        return lambda packet, at: (at.chance or Chance()).holds(question, share)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that chance decides; nothing is drawn."""
        return f"chance decides, it holds with probability {self._share:.3g}"

    @property
    def _share(self) -> float:
        """How probable it is that the match holds."""
        share = self.share / 0x80000000
        return 1 - share if self.negated else share

    def __str__(self) -> str:
        return f"-m statistic --mode random {bang(self.negated)}--probability {self.share / 0x80000000:.11f}"


@dataclass(frozen=True, slots=True)
class RpFilter:
    """`-m rpfilter`: would the answer leave by the device the packet came in by?"""

    loose: bool = False
    validmark: bool = False
    accept_local: bool = False
    invert: bool = False

    def test(self) -> Test:
        """Look the way back up; packets on loopback always pass."""
        return lambda packet, at: self._passes(packet, at) is not self.invert

    def _passes(self, packet: Packet, at: Context) -> bool:
        if at.reverse_path is None:
            raise Unsupported("rpfilter where there are no routing tables to ask")
        return at.iif == "lo" or at.reverse_path(packet, at.iif, self.loose, self.validmark, self.accept_local)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say what the way back to the source is like."""
        return f"the way back to {packet.src} {'is' if self.invert else 'is not'} by {at.iif}"

    def __str__(self) -> str:
        flags = ("loose", self.loose), ("validmark", self.validmark), ("accept-local", self.accept_local)
        words = [f"--{name}" for name, on in (*flags, ("invert", self.invert)) if on]
        return " ".join(["-m rpfilter", *words])


@dataclass(frozen=True, slots=True)
class NfAcct:
    """`-m nfacct --nfacct-name NAME`: counts, always holds. iptables-save prints two blanks before the name."""

    name: str

    def test(self) -> None:
        """Counting is no condition."""

    def why_not(self, packet: Packet, at: Context) -> str:
        """Never asked: counting always succeeds."""
        return ""

    def __str__(self) -> str:
        return f"-m nfacct --nfacct-name  {self.name}"
