"""Rules that are there but not understood, and chains that are jumped to but not there.

In a cluster's own state they must not pass for rules that do not match: a packet that gets to one ends there, unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mcnilib.errors import McniError, Unknown, Unsupported
from mcnilib.linux.context import Context
from mcnilib.linux.match import Match, Test
from mcnilib.linux.netfilter import BUILT_IN, Chain, ChainRule
from mcnilib.linux.packet import Packet
from mcnilib.linux.rule_parse import read_rule


@dataclass(frozen=True, slots=True)
class Unread:
    """The rest of a rule from the first word that is not modelled; `why` names it, `collect` what is missing."""

    words: str
    why: str
    collect: str = ""

    def test(self) -> Test:
        """End the packet's way here: nobody knows whether the rule holds."""
        return self._end

    def _end(self, packet: Packet, at: Context) -> bool:
        raise Unknown(self.why, collect=self.collect)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say why nobody knows."""
        return self.why

    def __str__(self) -> str:
        return self.words


def unread_rule(line: str, problem: Unsupported, source: str, number: int) -> ChainRule:
    """Keep what is understood of a rule: its chain, and the header matches iptables-save prints in front."""
    head = min((line.partition(word)[0] for word in (" -m ", " -j ", " -g ")), key=len)
    try:
        rule = read_rule(head, source, number)
    except McniError:
        head = " ".join(line.split()[:2])
        rule = read_rule(head, source, number)
    matches: tuple[Match, ...] = (*rule.matches, Unread(line[len(head) :].strip(), str(problem)))
    return ChainRule(rule.chain, matches)


def absent_chains(table: str, chains: Mapping[str, Chain], source: str) -> Iterator[Chain]:
    """Yield a chain that ends every packet, unknown, for each one that is jumped to but not there."""
    jumps = (jump for chain in chains.values() for jump in chain.outline.jumps)
    for name in sorted({jump for jump in jumps if jump not in chains and jump not in BUILT_IN[table]}):
        why = f"{source} has no chain {name} in table {table}"
        yield Chain(name, (ChainRule(name, (Unread("", why, f"`iptables-save -t {table}`"),)),))
