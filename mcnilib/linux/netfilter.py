"""netfilter: rules, chains and tables, and the order in which a hook consults them.

                     PREROUTING ──► routing ──► FORWARD ──► POSTROUTING ──► device
                         ▲             │                        ▲
                      device         INPUT ──► socket ──► OUTPUT ┘ (routed before, and again when a rule changed mark or address)

Source: include/uapi/linux/netfilter_ipv4.h (priorities), iptables(8).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mcnilib.linux.match import Match
from mcnilib.linux.origin import Origin
from mcnilib.linux.target import Target

HOOKS = {
    "PREROUTING": ("raw", "conntrack", "mangle", "nat"),
    "INPUT": ("mangle", "filter", "nat", "confirm"),
    "FORWARD": ("mangle", "filter"),
    "OUTPUT": ("raw", "conntrack", "mangle", "nat", "filter"),
    "POSTROUTING": ("mangle", "nat", "confirm"),
}
"""What each hook consults, in order; `conntrack` looks the packet up, `confirm` stores a new connection."""


@dataclass(frozen=True, slots=True)
class ChainRule:
    """One `-A` line: all matches must hold for the target to act. No target: the rule only counts."""

    chain: str
    matches: tuple[Match, ...] = ()
    target: Target | None = None
    by: Origin | None = field(default=None, compare=False)

    def __str__(self) -> str:
        words = [f"-A {self.chain}", *map(str, self.matches), *([str(self.target)] if self.target else [])]
        return " ".join(words)


@dataclass(frozen=True)
class Chain:
    """A chain with its rules; built-in chains have a policy (ACCEPT or DROP), user chains have none."""

    name: str
    rules: tuple[ChainRule, ...] = ()
    policy: str = ""


@dataclass(frozen=True)
class Table:
    """raw, mangle, nat or filter: built-in chains first, then user chains by name, as iptables-save prints them."""

    name: str
    chains: tuple[Chain, ...] = ()
