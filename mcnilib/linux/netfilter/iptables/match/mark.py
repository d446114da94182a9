"""Matches on what Linux knows beside the header: marks, address types, chance, the reverse path.

Connection state is in `match_conntrack`, sets are in `match_set`.
Source: iptables-extensions(8); net/netfilter/xt_{mark,connmark,addrtype,statistic,nfacct}.c,
net/ipv4/netfilter/ipt_rpfilter.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, Test, bang, differs
from mcnilib.linux.netfilter.iptables.words import RuleWords, need
from mcnilib.linux.packet import Packet


def read_masked(words: RuleWords, what: str) -> tuple[int, int]:
    """Read VALUE or VALUE/MASK, 32 bits each."""
    value, slash, mask = words.take(what).partition("/")
    return words.as_number(value, what), words.as_number(mask, "a mask") if slash else 0xFFFFFFFF


def _mark(words: RuleWords) -> Match:
    _, negated = need(words, "--mark")
    value, mask = read_masked(words, "a mark")
    return MarkIs(value, mask, negated)


def _connmark(words: RuleWords) -> Match:
    _, negated = need(words, "--mark")
    value, mask = read_masked(words, "a mark")
    return ConnmarkIs(value, mask, negated)


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
