"""iptables targets: what a rule does with a packet its matches selected.

Verdicts end a chain or a table; MARK, CONNMARK, TTL, TOS and DSCP change the packet or its connection. The NAT targets
are in `target_nat`.
Source: iptables(8), iptables-extensions(8).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcnilib.linux.netfilter.iptables.extension import KeptTarget
from mcnilib.linux.netfilter.iptables.match.ip import read_dscp, read_tos
from mcnilib.linux.netfilter.iptables.match.mark import read_masked
from mcnilib.linux.netfilter.iptables.target.opaque import read_ct
from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option, need_plain
from mcnilib.linux.packet import Packet


@dataclass(frozen=True, slots=True)
class Mark:
    """MARK --set-xmark value/mask: clear the mask's bits, then XOR the value."""

    value: int
    mask: int = 0xFFFFFFFF

    def __str__(self) -> str:
        return f"-j MARK --set-xmark {self.value:#x}/{self.mask:#x}"


@dataclass(frozen=True, slots=True)
class Connmark:
    """CONNMARK: save the packet's mark on the connection, restore it, or set the connection's mark."""

    action: str  # save, restore, set
    value: int = 0
    nfmask: int = 0xFFFFFFFF
    ctmask: int = 0xFFFFFFFF

    def __str__(self) -> str:
        if self.action == "set":
            return f"-j CONNMARK --set-xmark {self.value:#x}/{self.ctmask:#x}"
        return f"-j CONNMARK --{self.action}-mark --nfmask {self.nfmask:#x} --ctmask {self.ctmask:#x}"


@dataclass(frozen=True, slots=True)
class SetTtl:
    """TTL: set, raise or lower the packet's time to live; it stays within 0 to 255."""

    change: str  # set, inc or dec
    value: int

    def apply(self, packet: Packet) -> Packet:
        """Return the packet with its new TTL. Source: ttl_tg() in net/netfilter/xt_HL.c."""
        ttl = {"set": self.value, "inc": packet.ttl + self.value, "dec": packet.ttl - self.value}[self.change]
        return packet.but(ttl=max(0, min(255, ttl)))

    def __str__(self) -> str:
        return f"-j TTL --ttl-{self.change} {self.value}"


@dataclass(frozen=True, slots=True)
class SetTos:
    """TOS --set-tos value/mask: clear the mask's bits, then XOR the value."""

    value: int
    mask: int = 0xFF

    def apply(self, packet: Packet) -> Packet:
        """Return the packet with its new TOS byte. Source: tos_tg() in net/netfilter/xt_DSCP.c."""
        return packet.but(tos=(packet.tos & ~self.mask) ^ self.value)

    def __str__(self) -> str:
        return f"-j TOS --set-tos {self.value:#04x}/{self.mask:#04x}"


@dataclass(frozen=True, slots=True)
class SetDscp:
    """DSCP --set-dscp: set the upper six bits of the TOS byte."""

    value: int

    def apply(self, packet: Packet) -> Packet:
        """Return the packet with its new DSCP; the ECN bits stay. Source: dscp_tg() in net/netfilter/xt_DSCP.c."""
        return packet.but(tos=self.value << 2 | packet.tos & 3)

    def __str__(self) -> str:
        return f"-j DSCP --set-dscp {self.value:#04x}"


@dataclass(frozen=True, slots=True)
class Notrack:
    """Leave the packet out of connection tracking (raw table only); printed as the tool that saved it spells it."""

    spelling: str = "NOTRACK"  # or `CT --notrack`

    def __str__(self) -> str:
        return f"-j {self.spelling}"


Rewriting = SetTtl | SetTos | SetDscp

CHANGING = (Mark, Connmark, SetTtl, SetTos, SetDscp, KeptTarget)
"""Targets that change the packet or its connection and go on, or that refuse."""

ALL = 0xFFFFFFFF

CHANGES: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "--set-xmark": lambda value, mask: (value, mask),
    "--set-mark": lambda value, mask: (value, value | mask),
    "--or-mark": lambda value, mask: (value, value),
    "--and-mark": lambda value, mask: (0, ALL & ~value),
    "--xor-mark": lambda value, mask: (value, 0),
}
"""What each way to write a change means as --set-xmark: clear the mask's bits, XOR the value."""


def _change(words: RuleWords, option: str) -> tuple[int, int]:
    """Read the value of one of the options above."""
    if option in ("--set-xmark", "--set-mark"):
        value, mask = read_masked(words, "a mark")
    else:
        value, mask = words.number("a mark"), ALL
    return CHANGES[option](value, mask)


def _mark(words: RuleWords) -> Mark:
    return Mark(*_change(words, need_plain(words, *CHANGES)))


CONNMARK = dict.fromkeys((*CHANGES, "--save-mark", "--restore-mark"), "action")


def _connmark(words: RuleWords) -> Connmark:
    action, value = "", 0
    masks = {"nfmask": ALL, "ctmask": ALL}
    for name, _ in each_option(words, "CONNMARK", CONNMARK, plain=CONNMARK.values()):
        if name == "action" and words.last in CHANGES:
            action = "set"
            value, masks["ctmask"] = _change(words, words.last)
        elif name == "action":
            action = words.last[2:].removesuffix("-mark")
        elif action in ("", "set"):
            raise words.fail(f"--{name} belongs to --save-mark and --restore-mark, and follows them")
        else:
            mask = words.number("a mask")
            masks |= {"nfmask": mask, "ctmask": mask} if name == "mask" else {name: mask}
    if not action:
        need_plain(words, *CONNMARK)
    return Connmark(action, value, masks["nfmask"], masks["ctmask"])


def _ttl(words: RuleWords) -> SetTtl:
    change = need_plain(words, "--ttl-set", "--ttl-inc", "--ttl-dec").removeprefix("--ttl-")
    return SetTtl(change, words.number("a TTL", 0 if change == "set" else 1, 255))


TOS_CHANGES: dict[str, Callable[[int], tuple[int, int]]] = {
    "--and-tos": lambda bits: (0, 0xFF & ~bits),
    "--or-tos": lambda bits: (bits, bits),
    "--xor-tos": lambda bits: (bits, 0),
}


def _tos(words: RuleWords) -> SetTos:
    option = need_plain(words, "--set-tos", *TOS_CHANGES)
    if option in TOS_CHANGES:
        return SetTos(*TOS_CHANGES[option](words.number("a TOS", 0, 255)))
    return SetTos(*read_tos(words))


def _dscp(words: RuleWords) -> SetDscp:
    return SetDscp(read_dscp(words, need_plain(words, "--set-dscp", "--set-dscp-class")))


def _ct(words: RuleWords) -> Notrack | KeptTarget:
    kept = read_ct(words)
    return Notrack(f"CT {kept.words}") if kept.words.startswith("--notrack") else kept
