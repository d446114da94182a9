"""Targets that change a packet or its connection and go on: MARK, CONNMARK, TTL, TOS, DSCP, TCPMSS.

Source: iptables-extensions(8).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Target, TargetRecord
from mcnilib.linux.netfilter.iptables.grammar import Grammar, OptionEntry
from mcnilib.linux.netfilter.iptables.values import DSCP, hex_byte, masked_tos, number, read_class, read_mark, read_tos
from mcnilib.linux.netfilter.iptables.words import RuleWords
from mcnilib.linux.packet import IP_HEADER, TCP_HEADER, Packet

ALL = 0xFFFFFFFF

CHANGES: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "--set-xmark": lambda value, mask: (value, mask),
    "--set-mark": lambda value, mask: (value, value | mask),
    "--or-mark": lambda value, mask: (value, value),
    "--and-mark": lambda value, mask: (0, ALL & ~value),
    "--xor-mark": lambda value, mask: (value, 0),
}
"""What each way to write a change means as --set-xmark: clear the mask's bits, XOR the value."""


def _change(words: RuleWords) -> tuple[int, int]:
    """Read the value of one of the options above."""
    option = words.last
    if option in ("--set-xmark", "--set-mark"):
        value, mask = read_mark(words)
    else:
        value, mask = words.number("a mark"), ALL
    return CHANGES[option](value, mask)


def _changes(value: str, mask: str, **constants: str) -> dict[str, OptionEntry]:
    """Return the options that change a mark, of which --set-xmark is printed."""
    return {
        name: OptionEntry(
            (value, mask), _change, "{:#x}/{:#x}".format, constants=constants, printed=name == "--set-xmark"
        )
        for name in CHANGES
    }


TOS_CHANGES: dict[str, Callable[[int], tuple[int, int]]] = {
    "--and-tos": lambda bits: (0, 0xFF & ~bits),
    "--or-tos": lambda bits: (bits, bits),
    "--xor-tos": lambda bits: (bits, 0),
}


def _change_tos(words: RuleWords) -> tuple[int, int]:
    option = words.last
    return TOS_CHANGES[option](words.number("a TOS", 0, 255))


@dataclass(frozen=True, slots=True)
class Mark(Target):
    """MARK --set-xmark value/mask: clear the mask's bits, then XOR the value."""

    records = (
        TargetRecord(
            "MARK",
            Grammar(_changes("value", "mask"), single=True),
            tracks=False,
            changes=True,
            samples=("--set-xmark 0x1/0xffffffff|0x2/0xffffffff|0x3/0x3",),
        ),
    )

    value: int
    mask: int = 0xFFFFFFFF

    def apply(self, packet: Packet, at: Context) -> Packet:
        """Return the packet with its new mark. Source: mark_tg() in net/netfilter/xt_mark.c."""
        return packet.but(mark=(packet.mark & ~self.mask) ^ self.value)


_MASK = number(what=mark("a mask"))

_COPIES = {f"--{action}-mark": OptionEntry(constants={"action": action}) for action in ("save", "restore")}


def _both_masks(words: RuleWords) -> tuple[int, int]:
    return (_MASK(words),) * 2


@dataclass(frozen=True, slots=True)
class Connmark(Target):
    """CONNMARK: save the packet's mark on the connection, restore it, or set the connection's mark."""

    records = (
        TargetRecord("CONNMARK", Grammar({
            **_changes("value", "ctmask", action="set"),
            **_COPIES,
            "--nfmask": OptionEntry(("nfmask",), _MASK, hex, follows=_COPIES),
            "--ctmask": OptionEntry(("ctmask",), _MASK, hex, follows=_COPIES),
            "--mask": OptionEntry(("nfmask", "ctmask"), _both_masks, overrules="mask", follows=_COPIES, printed=False),
        }, some=True), tracks=True, changes=True, samples=(
            "--set-xmark 0x1/0xffffffff|0x2/0xffffffff|0x3/0x3",
            "--save-mark|--restore-mark --nfmask 0xffffffff --ctmask 0xffffffff",
        )),
    )  # fmt: skip

    action: str  # save, restore, set
    value: int = 0
    nfmask: int = 0xFFFFFFFF
    ctmask: int = 0xFFFFFFFF

    def apply(self, packet: Packet, at: Context) -> Packet:
        """Return the packet with its new mark, or change its connection's. Source: net/netfilter/xt_connmark.c."""
        if at.entry is None:
            return packet
        if self.action == "restore":
            return packet.but(mark=(packet.mark & ~self.nfmask) ^ (at.entry.mark & self.ctmask))
        value = self.value if self.action == "set" else packet.mark & self.nfmask
        at.entry = at.entry._replace(mark=(at.entry.mark & ~self.ctmask & ALL) ^ value)
        return packet


@dataclass(frozen=True, slots=True)
class SetTtl(Target):
    """TTL: set, raise or lower the packet's time to live; it stays within 0 to 255."""

    records = (
        TargetRecord(
            "TTL",
            Grammar(
                {
                    f"--ttl-{change}": OptionEntry(
                        ("value",), number(low, 255, mark("a TTL")), constants={"change": change}
                    )
                    for change, low in (("set", 0), ("inc", 1), ("dec", 1))
                },
                single=True,
            ),
            tracks=False,
            changes=True,
            tables=("mangle",),
            samples=("--ttl-set 63|1", "--ttl-inc 1", "--ttl-dec 1|63"),
        ),
    )

    change: str  # set, inc or dec
    value: int

    def apply(self, packet: Packet, at: Context) -> Packet:
        """Return the packet with its new TTL. Source: ttl_tg() in net/netfilter/xt_HL.c."""
        ttl = {"set": self.value, "inc": packet.ttl + self.value, "dec": packet.ttl - self.value}[self.change]
        return packet.but(ttl=max(0, min(255, ttl)))


@dataclass(frozen=True, slots=True)
class SetTos(Target):
    """TOS --set-tos value/mask: clear the mask's bits, then XOR the value."""

    records = (
        TargetRecord("TOS", Grammar({
            "--set-tos": OptionEntry(("value", "mask"), read_tos, masked_tos),
            **dict.fromkeys(TOS_CHANGES, OptionEntry(("value", "mask"), _change_tos, printed=False)),
        }, single=True), tracks=False, changes=True, tables=("mangle",), samples=(
            "--set-tos 0x10/0xff|0x08/0x1c|0x00/0xff",
        )),
    )  # fmt: skip

    value: int
    mask: int = 0xFF

    def apply(self, packet: Packet, at: Context) -> Packet:
        """Return the packet with its new TOS byte. Source: tos_tg() in net/netfilter/xt_DSCP.c."""
        return packet.but(tos=(packet.tos & ~self.mask) ^ self.value)


@dataclass(frozen=True, slots=True)
class SetDscp(Target):
    """DSCP --set-dscp: set the upper six bits of the TOS byte."""

    records = (
        TargetRecord("DSCP", Grammar({
            "--set-dscp": OptionEntry(("value",), DSCP, hex_byte),
            "--set-dscp-class": OptionEntry(("value",), read_class, printed=False),
        }, single=True), tracks=False, changes=True, tables=("mangle",), samples=("--set-dscp 0x04|0x2e|0x00",)),
    )  # fmt: skip

    value: int

    def apply(self, packet: Packet, at: Context) -> Packet:
        """Return the packet with its new DSCP; the ECN bits stay. Source: dscp_tg() in net/netfilter/xt_DSCP.c."""
        return packet.but(tos=self.value << 2 | packet.tos & 3)


@dataclass(frozen=True, slots=True)
class ClampMss(Target):
    """TCPMSS: lower the MSS of a SYN to a number, or to what the routes there and back leave for it.

    Only a conversation with a size has a SYN with an MSS; any other passes as it is.
    """

    records = (
        TargetRecord("TCPMSS", Grammar({
            "--clamp-mss-to-pmtu": OptionEntry(constants={"clamp": True}),
            "--set-mss": OptionEntry(("mss",), number(0, 65495)),
        }, single=True), tracks=False, changes=True, protocols=("tcp",), samples=(
            "--set-mss 1200|1000", "--clamp-mss-to-pmtu",
        )),
    )  # fmt: skip

    mss: int | None = None
    clamp: bool = False

    def apply(self, packet: Packet, at: Context) -> Packet:
        """Return the packet with its MSS, which is never raised. Source: net/netfilter/xt_TCPMSS.c (Linux 6.18).

        Raises: Unsupported where there are no routes to ask.
        """
        if not packet.tcp or not packet.tcp.mss:
            return packet
        most = self._of_path(packet, at) if self.mss is None else self.mss
        return packet.but(tcp=replace(packet.tcp, mss=most)) if most < packet.tcp.mss else packet

    def _of_path(self, packet: Packet, at: Context) -> int:
        if at.path_mtu is None:
            raise Unsupported(tr("TCPMSS --clamp-mss-to-pmtu where there are no routing tables to ask"))
        return at.path_mtu(packet, at.iif, at.oif) - IP_HEADER - TCP_HEADER
