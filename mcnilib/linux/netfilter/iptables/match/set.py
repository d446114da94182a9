"""`-m set`: is the packet in an IP set?

Source: iptables-extensions(8); net/netfilter/xt_set.c, ipset/ip_set_core.c (Linux 6.18).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.ipset import find_set
from mcnilib.linux.netfilter.iptables.extension import Match, MatchRecord, Purity, Test
from mcnilib.linux.netfilter.iptables.grammar import Grammar, OptionEntry, flag_option
from mcnilib.linux.netfilter.iptables.values import flag, long_number
from mcnilib.linux.netfilter.iptables.words import RuleWords
from mcnilib.linux.packet import Packet

_SIDES = re.compile(r"(src|dst)(,(src|dst)){0,5}")


def _name_and_sides(words: RuleWords) -> tuple[str, str]:
    name, sides = words.take("a set"), words.take(tr("src or dst"))
    if not _SIDES.fullmatch(sides):
        raise words.fail(tr("{sides!r} is not a list of src and dst", sides=sides))
    return name, sides


UPDATES = ("--update-counters", "--update-subcounters")

_PACKETS, _BYTES = (tuple(f"--{what}-{compare}" for compare in ("eq", "lt", "gt")) for what in ("packets", "bytes"))

COUNTERS = Grammar(
    {
        "--return-nomatch": flag_option("return_nomatch"),
        **dict.fromkeys(UPDATES, flag),
        **dict.fromkeys((*_PACKETS, *_BYTES), long_number(mark("a number"))),
    },
    frozenset((*UPDATES, "--packets-eq", "--bytes-eq")),
    unprinted=frozenset(UPDATES),
    exclusive=(_PACKETS, _BYTES),
)
"""What may follow --match-set."""


@dataclass(frozen=True, slots=True)
class InSet(Match):
    """`-m set --match-set NAME src|dst[,...]`; a set with fewer parts than sides uses the first ones."""

    records = (
        MatchRecord("set", Grammar({
            "--match-set": OptionEntry(
                ("name", "sides"), _name_and_sides, "{} {}".format, "negated", aliases=("--set",)
            ),
        }, single=True, then=COUNTERS), purity=Purity.REFUSES, tracks=False, samples=("[!] --match-set {set}",)),
    )  # fmt: skip

    name: str
    sides: str  # src, dst, or a list of them
    negated: bool = False
    return_nomatch: bool = False  # exceptions match, other members do not
    words: str = ""  # the options about counters, as iptables-save prints them

    def test(self) -> Test:
        """Look the packet up; a set that does not exist is an error, as it is for the kernel."""
        sides, wanted = tuple(self.sides.split(",")), -1 if self.return_nomatch else 1
        return lambda packet, at: (self._holds(packet, at, sides) == wanted) is not self.negated

    def _holds(self, packet: Packet, at: Context, sides: tuple[str, ...]) -> int:
        named = find_set(at.sets, self.name)
        if named.counts and ("--packets" in self.words or "--bytes" in self.words):
            raise Unsupported(
                tr("match {match} when a packet reaches it: members of sets do not count", match=str(self)[3:])
            )
        return named.holds(packet, at, sides)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name what was looked up, and the set."""
        named = (at.sets or {}).get(self.name)
        if named is None:
            return tr("set {name} does not exist", name=self.name)
        sides = [
            f"{side} {_part(kind, side, packet, at)}"
            for side, kind in zip(self.sides.split(","), named.kinds, strict=False)
        ]
        if not self.negated:
            return tr("{sides} is not in set {name}", sides=", ".join(sides), name=self.name)
        member = named.member(packet, at, tuple(self.sides.split(",")))
        said = {"sides": ", ".join(sides), "name": self.name, "member": member}
        return (
            tr("{sides} is in set {name} by `{member}`", **said) if member else tr("{sides} is in set {name}", **said)
        )


def _part(kind: str, side: str, packet: Packet, at: Context) -> str:
    match kind:
        case "port":
            return (
                str(packet.icmp) if packet.icmp else f"{packet.proto}:{packet.sport if side == 'src' else packet.dport}"
            )
        case "iface":
            return (at.iif if side == "src" else at.oif) or "none"
        case "mark":
            return f"{packet.mark:#x}"
    return str(packet.src if side == "src" else packet.dst)
