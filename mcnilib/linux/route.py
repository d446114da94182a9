"""Policy routing: `ip rule`, `ip route`, and the lookup that combines them.

Models priorities, selectors (from, to, iif, oif, fwmark/mask), tables, longest prefix, metric, unicast, local,
broadcast, blackhole, unreachable, prohibit and throw routes; one next hop per route. Source: ip-rule(8), ip-route(8).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from mcnilib.linux.origin import KERNEL, Origin

ANY = IPv4Network("0.0.0.0/0")
UNCHOSEN = IPv4Address(0)


@dataclass(frozen=True, slots=True)
class Route:
    """One line of `ip route show table T`. `table` is what `ip` prints: local, main, default or a number."""

    dst: IPv4Network
    dev: str = ""
    via: IPv4Address | None = None
    src: IPv4Address | None = None
    type: str = "unicast"  # unicast, local, broadcast, blackhole, unreachable, prohibit, throw
    table: str = "main"
    scope: str = "global"  # global, link, host, nowhere
    proto: str = "boot"  # printed unless boot: kernel, static, bird, 80, ...
    metric: int = 0
    onlink: bool = False
    by: Origin | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of `ip rule`. Priority `UNNUMBERED` lets the kernel choose when the rule is added."""

    priority: int
    table: str = "main"
    src: IPv4Network = ANY
    dst: IPv4Network = ANY
    iif: str = ""
    oif: str = ""
    fwmark: int | None = None
    fwmask: int = 0xFFFFFFFF
    action: str = "lookup"  # lookup, blackhole, unreachable, prohibit
    by: Origin | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Query:
    """What a lookup is asked with: the flow key of the kernel. `src` 0.0.0.0 means not chosen yet."""

    dst: IPv4Address
    src: IPv4Address = UNCHOSEN
    iif: str = "lo"
    oif: str = ""
    mark: int = 0


UNNUMBERED = -1
"""Priority of a rule that was written without one."""

TABLES = {"local": 255, "main": 254, "default": 253}
"""Tables that `ip` prints by name. Source: /etc/iproute2/rt_tables."""


def table_id(table: str) -> int:
    """Return the number of a routing table, given as `ip` prints it."""
    return TABLES[table] if table in TABLES else int(table)


DEFAULT_RULES = tuple(Rule(n, table, by=KERNEL) for n, table in ((0, "local"), (32766, "main"), (32767, "default")))
"""The rules every namespace starts with. Source: ip-rule(8)."""
