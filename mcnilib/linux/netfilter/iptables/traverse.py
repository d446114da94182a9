"""The walk of a packet through one table: which rules match, what they change, and which of them ends it.

Source: net/ipv4/netfilter/ip_tables.c (ipt_do_table), iptables(8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.netfilter.conntrack import ConnState
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.hooks import NfVerdict
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule, Table
from mcnilib.linux.netfilter.iptables.target.opaque import Notrack
from mcnilib.linux.netfilter.iptables.target.verdict import Jump
from mcnilib.linux.packet import Packet

MAX_JUMPS = 20_000
"""Jumps one packet may take in one table at one hook: chains that jump to the next one twice double with each chain."""

Note = Callable[[ChainRule, Packet, Packet], None]


def traverse(
    table: Table, hook: str, packet: Packet, at: Context, note: Note
) -> tuple[NfVerdict, Packet, ChainRule | Chain | None]:  # long because it is the inner loop of every walk
    """Walk a table's chain of one hook.

    Returns the verdict, the packet as the rules changed it, and what decided: a rule, or the built-in chain whose
    policy applied; None when the table has no such chain. `note` hears of every rule whose matches held, with the
    packet before and after it. A changed connection mark is left in `at.entry`.
    """
    base = table.by_name.get(hook)
    if base is None:
        return NfVerdict.ACCEPT, packet, None
    callers: list[Iterator[ChainRule]] = []
    jumps = 0
    rules = iter(base.candidates(packet, at))
    while True:
        for rule in rules:
            if not rule.test(packet, at):
                continue
            target, before = rule.target, packet
            if target and rule.changes:
                packet = target.apply(packet, at)
            note(rule, before, packet)
            if isinstance(target, Jump):
                jumps += 1
                if jumps > MAX_JUMPS:
                    raise Unsupported(
                        tr(
                            "table {table}: a packet takes more than {max_jumps} jumps in {hook}",
                            table=table.name,
                            max_jumps=MAX_JUMPS,
                            hook=hook,
                        )
                    )
                if not target.goto:
                    callers.append(rules)
                rules = iter(table.chain(target.chain).candidates(packet, at))
                break
            if rule.ends:
                return at.verdict or rule.ends, packet, rule
            if rule.returns:
                rules = iter(())  # as if the chain ended here
                break
            if isinstance(target, Notrack) and at.fresh:
                at.notrack, at.ctstate = True, ConnState.UNTRACKED
        else:
            if not callers:
                return NfVerdict(base.policy) if base.policy else NfVerdict.ACCEPT, packet, base
            rules = callers.pop()
