"""The walk of a packet through one base chain of nftables and the chains it leads to.

Source: nft_do_chain() in net/netfilter/nf_tables_core.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.hooks import NfVerdict
from mcnilib.linux.netfilter.nat import NatTarget
from mcnilib.linux.netfilter.nftables.rule import NftChain, NftRule, NftTable
from mcnilib.linux.netfilter.nftables.statement import ChainPassage, NftVerdict
from mcnilib.linux.packet import Packet

MAX_RULES = 200_000
"""Rules one packet may meet at one base chain."""

RuleHeard = Callable[[NftRule, str, Packet, Packet], None]
"""Hears of each rule that matched, in the words of what it did, with the packet before and after it."""


class Passed(NamedTuple):
    """What a base chain said of a packet: the verdict, the packet as it is now, the rule or chain that decided, and how
    its address is to be rewritten or its sender told."""

    verdict: NfVerdict
    packet: Packet
    decider: object
    nat: NatTarget | None = None
    rejected: str = ""


def pass_chain(
    table: NftTable, base: NftChain, packet: Packet, at: Context, heard: RuleHeard
) -> Passed:  # long because it is the inner loop of every walk
    """Walk a base chain. A changed connection mark is left in `at.entry`."""
    passage = ChainPassage(packet, at, table.set_of)
    callers: list[Iterator[NftRule]] = []
    rules, met = iter(base.rules), 0
    while True:
        for rule in rules:
            met += 1
            if met > MAX_RULES:
                raise Unsupported(
                    tr("chain {chain}: a packet meets more than {max} rules", chain=base.name, max=MAX_RULES)
                )
            verdict = _ask(rule, passage, heard)
            if verdict is None or verdict.name == "continue":
                continue
            if verdict.name in ("accept", "drop"):
                return Passed(NfVerdict(verdict.name.upper()), passage.packet, rule, passage.nat, passage.rejected)
            if verdict.name == "return":
                rules = iter(())
                break
            if verdict.name == "queue":
                raise Unsupported(tr("{rule}: a program decides", rule=rule))
            if verdict.name == "jump":
                callers.append(rules)
            rules = iter(table.chain(verdict.chain).rules)
            break
        else:
            if not callers:
                return Passed(NfVerdict((base.policy or "accept").upper()), passage.packet, base)
            rules = callers.pop()


def _ask(rule: NftRule, passage: ChainPassage, heard: RuleHeard) -> NftVerdict | None:
    """Carry a rule's statements out; None where one does not hold."""
    before, passage.words = passage.packet, []
    verdict: NftVerdict | None = None
    for statement in rule.statements:
        verdict = statement.act(passage)
        if verdict is None:
            return None
        if verdict.name != "continue":
            break
    heard(rule, "; ".join(passage.words) or tr("counted"), before, passage.packet)
    return verdict
