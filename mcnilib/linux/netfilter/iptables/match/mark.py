"""Matches on the mark of a packet and on that of its connection.

Source: iptables-extensions(8); net/netfilter/xt_{mark,connmark}.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.language import tr
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, MatchRecord, Purity, Test, differs
from mcnilib.linux.netfilter.iptables.grammar import Grammar, OptionEntry
from mcnilib.linux.netfilter.iptables.values import read_mark
from mcnilib.linux.packet import Packet


def masked(value: int, mask: int) -> str:
    """Write a mark as iptables-save does: the mask only when it is not all ones."""
    return f"{value:#x}" if mask == 0xFFFFFFFF else f"{value:#x}/{mask:#x}"


MARK_OPTION = Grammar({"--mark": OptionEntry(("value", "mask"), read_mark, masked, "negated")}, single=True)
"""`[!] --mark VALUE/MASK`."""

MARK_SAMPLES = ("[!] --mark 0x1|0x2|0x1/0x1|0x0",)


@dataclass(frozen=True, slots=True)
class MarkIs(Match):
    """`-m mark --mark VALUE/MASK`."""

    records = (MatchRecord("mark", MARK_OPTION, purity=Purity.PURE, tracks=False, samples=MARK_SAMPLES),)

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


@dataclass(frozen=True, slots=True)
class ConnmarkIs(Match):
    """`-m connmark --mark VALUE/MASK`; never holds for a packet without connection."""

    records = (MatchRecord("connmark", MARK_OPTION, purity=Purity.PURE, tracks=True, samples=MARK_SAMPLES),)

    value: int
    mask: int = 0xFFFFFFFF
    negated: bool = False

    def test(self) -> Test:
        """Compare the mark of the packet's connection."""
        value, mask, wanted = self.value, self.mask, not self.negated
        return lambda packet, at: at.entry is not None and (at.entry.mark & mask == value) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the connection's mark."""
        mark = tr("absent (no connection)") if at.entry is None else f"{at.entry.mark:#x}"
        return differs("connection mark", mark, masked(self.value, self.mask), self.negated and at.entry is not None)
