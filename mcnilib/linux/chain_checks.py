"""What the kernel refuses when a table is loaded: jumps that lead nowhere or in circles, rules out of place.

Source: net/netfilter/nf_tables_api.c (nft_chain_validate), nft_compat.c, xt_{nat,CT}.c, ipt_{REJECT,rpfilter}.c,
xt_MASQUERADE.c, xt_addrtype.c (Linux 6.18); iptables-restore(8) (iptables 1.8.9).
"""

from __future__ import annotations

from mcnilib.errors import Refused
from mcnilib.linux.kept import KeptMatch, KeptTarget
from mcnilib.linux.match_state import AddrType, RpFilter
from mcnilib.linux.netfilter import BUILT_IN, ChainRule, Table
from mcnilib.linux.target import DROP, Jump, Notrack, Reject, SetDscp, SetTos, SetTtl, Verdict
from mcnilib.linux.target_nat import Dnat, Masquerade, Netmap, Redirect, Snat

PLACES: dict[type, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Reject: (("filter",), ("INPUT", "FORWARD", "OUTPUT")),
    Dnat: (("nat",), ("PREROUTING", "OUTPUT")),
    Snat: (("nat",), ("INPUT", "POSTROUTING")),
    Masquerade: (("nat",), ("POSTROUTING",)),
    Redirect: (("nat",), ("PREROUTING", "OUTPUT")),
    Netmap: (("nat",), ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")),
    SetTtl: (("mangle",), BUILT_IN["mangle"]),
    SetTos: (("mangle",), BUILT_IN["mangle"]),
    SetDscp: (("mangle",), BUILT_IN["mangle"]),
    Notrack: (("raw",), ("PREROUTING", "OUTPUT")),
    RpFilter: (("raw", "mangle"), ("PREROUTING",)),
}
"""Tables and hooks in which a target or match works; a user chain stands in every hook it is reached from."""

NO_DEVICE = {"in": ("POSTROUTING", "OUTPUT"), "out": ("PREROUTING", "INPUT")}
"""Built-in chains that refuse `addrtype --limit-iface-...`."""


MANGLE, EVERY = ("mangle",), BUILT_IN["mangle"]
KEPT_PLACES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "CHECKSUM": (MANGLE, EVERY),
    "CLASSIFY": (MANGLE, ("FORWARD", "OUTPUT", "POSTROUTING")),
    "CONNSECMARK": (("mangle", "security"), EVERY),
    "CT": (("raw",), ("PREROUTING", "OUTPUT")),
    "ECN": (MANGLE, EVERY),
    "SECMARK": (("mangle", "security"), EVERY),
    "SYNPROXY": (tuple(BUILT_IN), ("INPUT", "FORWARD")),
    "TPROXY": (MANGLE, ("PREROUTING",)),
    "owner": (tuple(BUILT_IN), ("OUTPUT", "POSTROUTING")),
    "socket": (tuple(BUILT_IN), ("PREROUTING", "INPUT")),
}
"""The same for matches and targets that are kept as text, by name."""


LIMITED = frozenset((*PLACES, KeptMatch, KeptTarget, AddrType, Verdict))
"""Kinds of matches and targets that may be out of place; all others work everywhere."""

Jumps = dict[str, list[str]]


def check_table(table: Table, source: str = "iptables") -> None:
    """Refuse a table the kernel would not load.

    Circles among chains that no hook leads to are no harm, and loaded.
    Raises: Refused, naming the circle, the missing chain or the rule.
    """
    jumps = {c.name: [r.target.chain for r in c.rules if isinstance(r.target, Jump)] for c in table.chains}
    for name, own in jumps.items():
        for jump in own:
            if jump not in jumps or jump in BUILT_IN[table.name]:
                why = "is not there" if jump not in jumps else "is a built-in chain"
                what = f"{source}: chain {name} of table {table.name} jumps to {jump}, which {why}"
                raise Refused(what, error="ENOENT")
    hooks = _hooks(table, jumps, source)
    for chain in table.chains:
        for rule in chain.rules:
            for part in (*rule.matches, rule.target):
                if type(part) in LIMITED:
                    _check_place(table, rule, part, hooks.get(chain.name, set()), source)


def _hooks(table: Table, jumps: Jumps, source: str) -> dict[str, set[str]]:
    """Return for each chain the hooks it is reached from. Raises: Refused for a circle."""
    found = {name: {name} for name in BUILT_IN[table.name] if name in jumps}
    for name in _callers_first(table, jumps, tuple(found), source):
        for jump in jumps[name]:
            found.setdefault(jump, set()).update(found[name])
    return found


def _callers_first(table: Table, jumps: Jumps, starts: tuple[str, ...], source: str) -> list[str]:
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
                raise Refused(f"{source}: chains of table {table.name} jump in a circle: {circle}", error="EMLINK")
            path[following] = iter(jumps[following])
    return list(reversed(done))


def _check_place(table: Table, rule: ChainRule, part: object, hooks: set[str], source: str) -> None:
    tables, allowed = _places(part) or ((table.name,), tuple(hooks))
    if table.name not in tables or not hooks.issubset(allowed):
        wrong = " and ".join(sorted(hooks.difference(allowed)))
        where = wrong if table.name in tables else f"table {table.name}"
        raise Refused(f"{source}: {rule} has no place in {where}", error="EINVAL")
    if isinstance(part, AddrType) and rule.chain in NO_DEVICE.get(part.limit, ()):
        raise Refused(f"{source}: {rule} asks for a device packets in {rule.chain} do not have", error="EINVAL")
    if table.name == "nat" and part == DROP:
        raise Refused(f"{source}: {rule} would filter in table nat", error="EINVAL")


def _places(part: object) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    if isinstance(part, KeptMatch | KeptTarget):
        return KEPT_PLACES.get(part.name)
    return PLACES.get(type(part))
