"""What the kernel refuses when a table is loaded: jumps that lead nowhere or in circles, rules out of place.

Source: net/netfilter/nf_tables_api.c (nft_chain_validate), nft_compat.c, xt_{nat,CT}.c, ipt_{REJECT,rpfilter}.c,
xt_MASQUERADE.c, xt_addrtype.c (Linux 6.18); iptables-restore(8) (iptables 1.8.9).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mcnilib.errors import Refused
from mcnilib.language import tr
from mcnilib.linux.netfilter.hooks import BUILT_IN
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule, Table

_NO_HOOK: frozenset[str] = frozenset()

Jumps = Mapping[str, tuple[str, ...]]
"""For each chain of a table, the chains it jumps to."""

Where = Callable[[str, Callable[[ChainRule], bool]], str]
"""Says where a chain's first rule that fits stands in the text: `source:line:column`, or the source alone."""


def check_table(table: Table, source: str = "iptables", where: Where | None = None) -> None:
    """Refuse a table the kernel would not load; `where` finds the rule to blame.

    Circles among chains that no hook leads to are no harm, and loaded.
    Raises: Refused, naming the circle, the missing chain or the rule.
    """
    origin_of = where or (lambda chain, fits: source)
    jumps = {chain.name: chain.summary.jumps for chain in table.chains}
    user_chains = jumps.keys() - BUILT_IN[table.name]
    for name, jump in ((name, jump) for name, targets in jumps.items() for jump in targets if jump not in user_chains):
        lack = tr("is a built-in chain") if jump in jumps else tr("is not there")
        what = tr(
            "{jumping_to}: chain {name} of table {table} jumps to {jump}, which {lack}",
            jumping_to=origin_of(name, _jumping_to(jump)),
            name=name,
            table=table.name,
            jump=jump,
            lack=lack,
        )
        raise Refused(what, error="ENOENT")
    hooks = _hooks(table.name, jumps, origin_of)
    good: set[tuple[object, ...]] = set()
    for chain in table.chains:
        reached = hooks.get(chain.name, _NO_HOOK)
        kinds = (reached, *map(id, chain.summary.samples))
        if kinds not in good:
            _check_places(table, chain, reached, origin_of)
            good.add(kinds)


def _jumping_to(chain: str) -> Callable[[ChainRule], bool]:
    return lambda rule: rule.jumps_to == chain


def _hooks(table: str, jumps: Jumps, origin_of: Where) -> dict[str, frozenset[str]]:
    """Return for each chain the hooks it is reached from. Raises: Refused for a circle."""
    hooks = {name: frozenset((name,)) for name in BUILT_IN[table] if name in jumps}
    for name in _callers_first(table, jumps, tuple(hooks), origin_of):
        of_caller = hooks[name]
        for jump in jumps[name]:
            if not of_caller <= (so_far := hooks.get(jump, _NO_HOOK)):
                hooks[jump] = of_caller | so_far
    return hooks


def _callers_first(table: str, jumps: Jumps, starts: tuple[str, ...], origin_of: Where) -> list[str]:
    """Order the chains reached from some of them so that each stands behind all that jump to it."""
    done: dict[str, None] = {}
    for start in starts:
        path = {start: iter(jumps[start])} if start not in done else {}  # the chains jumped through, and what is left
        while path:
            name = next(reversed(path))
            following = next((jump for jump in path[name] if jump not in done), None)
            if following is None:
                done[name] = None
                del path[name]
                continue
            if following in path:
                walked = list(path)
                circle = " > ".join([*walked[walked.index(following) :], following])
                origin = origin_of(name, _jumping_to(following))
                raise Refused(
                    tr(
                        "{origin}: chains of table {table} jump in a circle: {circle}",
                        origin=origin,
                        table=table,
                        circle=circle,
                    ),
                    error="EMLINK",
                )
            path[following] = iter(jumps[following])
    return list(reversed(done))


def _check_places(table: Table, chain: Chain, hooks: frozenset[str], origin_of: Where) -> None:
    """Refuse the first rule of a chain that has no place where the chain is reached from."""
    if any(_misplaced(table, sample, hooks) for sample in chain.summary.samples):
        rule, reason = next((rule, reason) for rule in chain.rules if (reason := _misplaced(table, rule, hooks)))
        origin = origin_of(chain.name, lambda candidate: bool(_misplaced(table, candidate, hooks)))
        raise Refused(f"{origin}: {rule} {reason}", error="EINVAL")


def _misplaced(table: Table, rule: ChainRule, hooks: frozenset[str]) -> str:
    """Say why a rule has no place there; empty when it has."""
    parts = (*rule.matches, rule.target)
    reasons = (part.misplaced(table.name, rule.chain, hooks) for part in parts if part)
    return next(filter(None, reasons), "")
