"""The nouns of policy routing, a line of `ip route` and a line of `ip rule`, as text and back.

Models priorities, selectors (not, from, to, iif, oif, fwmark/mask), tables, suppress_prefixlength, longest prefix,
metric, unicast, local, broadcast, blackhole, unreachable, prohibit and throw routes; one next hop per route. Other
words of the tools raise `Unsupported`; in what was collected elsewhere they are kept, and end the way of a packet that
needs them. The lookup is in `mcnilib.linux.fib`. Source: ip-rule(8), ip-route(8), iproute2 6.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from mcnilib.linux.origin import KERNEL, Origin

ANY = IPv4Network("0.0.0.0/0")
UNCHOSEN = IPv4Address(0)
FULL_MASK = 0xFFFFFFFF
UNNUMBERED = -1
"""Priority of a rule that was written without one."""
UNSUPPRESSED = -1
"""Prefix length of a rule that passes over no route."""

TABLES = {"local": 255, "main": 254, "default": 253}
"""Tables that `ip` prints by name. Source: /etc/iproute2/rt_tables."""

SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
"""Scopes of addresses and routes: the higher the number, the nearer. Source: /etc/iproute2/rt_scopes."""

PROTOCOLS = {
    **{"unspec": 0, "redirect": 1, "kernel": 2, "boot": 3, "static": 4, "gated": 8, "ra": 9, "mrt": 10, "zebra": 11},
    **{"bird": 12, "dnrouted": 13, "xorp": 14, "ntk": 15, "dhcp": 16, "keepalived": 18, "babel": 42, "openr": 99},
    **{"bgp": 186, "isis": 187, "ospf": 188, "rip": 189, "eigrp": 192},
}
"""Who installed a route; numbers without a name are printed as numbers. Source: /etc/iproute2/rt_protos."""

REJECTING = ("blackhole", "unreachable", "prohibit", "throw")
TYPES = ("unicast", "local", "broadcast", *REJECTING)


@dataclass(frozen=True, slots=True)
class Route:
    """One line of `ip route show table T`. `table` is what `ip` prints: local, main, default or a number."""

    dst: IPv4Network
    dev: str = ""
    via: IPv4Address | None = None
    src: IPv4Address | None = None
    type: str = "unicast"  # unicast, local, broadcast, blackhole, unreachable, prohibit, throw
    table: str = "main"
    scope: str = "global"  # global, site, link, host, nowhere, or a number
    proto: str = "boot"  # printed unless boot: kernel, static, bird, 80, ...
    metric: int = 0
    onlink: bool = False
    linkdown: bool = False  # the device has no carrier; Linux uses the route all the same
    nhid: int = 0  # the next hop object its way was taken from (`ip nexthop`); 0: none
    settings: str = ""  # of the connections over it, which change nothing here: mtu 1400 advmss 1000
    kept: str = ""  # the whole line, when it has words that are not modelled
    why: str = field(default="", compare=False)  # names the first of these, and where it stands
    doubt: str = field(default="", compare=False)  # what `ip neigh` has against its gateway, see mcnilib.linux.rivals
    by: Origin | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return _route_text(self, in_table="")

    def why_not(self, query: Query) -> str:
        """Say why a lookup does not take this route, in words; empty when prefix and device fit."""
        if query.dst not in self.dst:
            return f"{query.dst} is not in {self.dst}"
        if query.oif and query.oif != self.dev:
            return f"the device is {self.dev or 'none'}, not {query.oif}"
        return ""


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
    fwmask: int = FULL_MASK
    action: str = "lookup"  # lookup, blackhole, unreachable, prohibit
    inverted: bool = False  # `not`: applies when a selector does not hold
    suppress: int = (
        UNSUPPRESSED  # of the routes it leads to, those with a prefix of at most this length are passed over
    )
    proto: str = ""
    kept: str = ""  # the whole line, when it has words that are not modelled; the selectors above hold besides
    why: str = field(default="", compare=False)  # names the first of these, and where it stands
    by: Origin | None = field(default=None, compare=False)

    def __str__(self) -> str:
        if self.kept:
            return self.kept
        words = ["not"] if self.inverted else []
        words += ["from", _prefix_text(self.src, "all")]
        words += ["to", _prefix_text(self.dst, "all")] if self.dst != ANY else []
        words += ["fwmark", _mark_text(self.fwmark, self.fwmask)] if self.fwmark is not None else []
        words += ["iif", self.iif] if self.iif else []
        words += ["oif", self.oif] if self.oif else []
        words += ["lookup", self.table] if self.action == "lookup" else [self.action]
        words += ["suppress_prefixlength", str(self.suppress)] if self.suppress != UNSUPPRESSED else []
        words += ["proto", self.proto] if self.proto else []
        priority = "" if self.priority == UNNUMBERED else f"{self.priority}:\t"
        return priority + " ".join(words)

    def why_not(self, query: Query) -> str:
        """Say in words which selector keeps the rule from applying; empty when it applies."""
        failed = _failed_selector(self, query)
        if self.inverted:
            return "" if failed else "every selector holds, and the rule says `not`"
        return failed


@dataclass(frozen=True, slots=True)
class Query:
    """What a lookup is asked with: the flow key of the kernel. `src` 0.0.0.0 means not chosen yet."""

    dst: IPv4Address
    src: IPv4Address = UNCHOSEN
    iif: str = "lo"
    oif: str = ""
    mark: int = 0


DEFAULT_RULES = tuple(Rule(n, table, by=KERNEL) for n, table in ((0, "local"), (32766, "main"), (32767, "default")))
"""The rules every namespace starts with. Source: ip-rule(8)."""


def _failed_selector(rule: Rule, query: Query) -> str:
    if query.src not in rule.src:
        return f"source {query.src} is not in {rule.src}"
    if query.dst not in rule.dst:
        return f"destination {query.dst} is not in {rule.dst}"
    if rule.iif and rule.iif != query.iif:
        return f"came in by {query.iif}, not {rule.iif}"
    if rule.oif and rule.oif != query.oif:
        return f"is not bound to {rule.oif}"
    if rule.fwmark is not None and (rule.fwmark ^ query.mark) & rule.fwmask:
        return f"mark is {query.mark:#x}, not {_mark_text(rule.fwmark, rule.fwmask)}"
    return ""


def table_id(table: str) -> int:
    """Return the number of a routing table, given as `ip` prints it."""
    if table in TABLES or table.isdecimal():
        return TABLES[table] if table in TABLES else int(table)
    return FULL_MASK + int.from_bytes(table.encode(), "big")  # the machine's own name for a number nobody knows


def scope_id(scope: str) -> int:
    """Return the number of a scope, given as `ip` prints it."""
    return SCOPES[scope] if scope in SCOPES else int(scope)


def _prefix_text(prefix: IPv4Network, everything: str) -> str:
    if prefix == ANY:
        return everything
    return str(prefix.network_address) if prefix.prefixlen == 32 else str(prefix)


def _mark_text(mark: int, mask: int) -> str:
    text = f"{mark:#x}" if mark else "0"
    return text if mask == FULL_MASK else f"{text}/{mask:#x}" if mask else f"{text}/0"


def _route_text(route: Route, in_table: str) -> str:
    if route.kept:
        return f"{route.kept} "
    words = [route.type] if route.type != "unicast" else []
    words.append(_prefix_text(route.dst, "default"))
    words += ["nhid", str(route.nhid)] if route.nhid else []
    words += ["via", str(route.via)] if route.via else []
    words += ["dev", route.dev] if route.dev else []
    words += ["table", in_table] if in_table else []
    words += ["proto", route.proto] if route.proto != "boot" else []
    words += ["scope", route.scope] if route.scope != "global" else []
    words += ["src", str(route.src)] if route.src else []
    words += ["metric", str(route.metric)] if route.metric else []
    words += ["onlink"] if route.onlink else []
    words += ["linkdown"] if route.linkdown else []
    words += [route.settings] if route.settings else []
    return " ".join(words) + " "


def print_routes(routes: Iterable[Route], table: str = "all") -> str:
    """Print what `ip route show table T` prints; `all` adds the table to the lines of all but main."""
    if table == "all":
        return "".join(_route_text(r, r.table if r.table != "main" else "") + "\n" for r in routes)
    return "".join(f"{route}\n" for route in routes if route.table == table)
