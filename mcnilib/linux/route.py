"""The nouns of policy routing, a line of `ip route` and a line of `ip rule`, as text and back.

Models priorities, selectors (not, from, to, iif, oif, fwmark/mask), tables, longest prefix, metric, unicast, local,
broadcast, blackhole, unreachable, prohibit and throw routes; one next hop per route. Other words of the tools raise
`Unsupported`; in what was collected elsewhere they are kept, and end the way of a packet that needs them. The lookup
is in `mcnilib.linux.fib`. Source: ip-rule(8), ip-route(8), iproute2 6.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from mcnilib.errors import Unsupported
from mcnilib.linux.origin import KERNEL, Origin
from mcnilib.linux.route_words import (
    L3MDEV,
    METRICS,
    ROUTE_KEPT,
    ROUTE_TYPES_KEPT,
    RULE_ACTIONS,
    RULE_KEPT,
    gateway,
    named_here,
)
from mcnilib.linux.words import Grammar, Words

ANY = IPv4Network("0.0.0.0/0")
UNCHOSEN = IPv4Address(0)
FULL_MASK = 0xFFFFFFFF
UNNUMBERED = -1
"""Priority of a rule that was written without one."""

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
    settings: str = ""  # of the connections over it, which change nothing here: mtu 1400 advmss 1000
    kept: str = ""  # the whole line, when it has words that are not modelled
    why: str = field(default="", compare=False)  # names the first of these, and where it stands
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


def _device(words: Words) -> str:
    return words.take("a device")


def _gateway(words: Words) -> IPv4Address:
    if words.next == "inet6":
        raise Unsupported(f"{words.source}:{words.number}: {words.next!r} in a route")
    return words.address()


def _table(words: Words) -> str:
    if words.next == L3MDEV:
        raise Unsupported(f"{words.source}:{words.number}: {L3MDEV!r} in a rule")
    return words.named(TABLES, FULL_MASK)


NUMBER = r"0x[0-9a-f]{1,16}|0|[1-9]\d{0,19}"


def _mark(words: Words) -> tuple[int, int]:
    word = words.take("a mark")
    found = re.fullmatch(rf"({NUMBER})(?:/({NUMBER}))?", word, re.ASCII)
    if not found:
        raise words.wrong(f"{word!r} is not a mark")
    mark, mask = int(found[1], 0), int(found[2], 0) if found[2] else FULL_MASK
    if max(mark, mask) > FULL_MASK:
        raise words.wrong(f"{word!r} does not fit 32 bits")
    return mark, mask


_ROUTE: Grammar = {
    "via": ("via", _gateway),
    "dev": ("dev", _device),
    "table": ("table", _table),
    "proto": ("proto", lambda words: words.named(PROTOCOLS)),
    "scope": ("scope", lambda words: words.named(SCOPES)),
    "src": ("src", Words.address),
    "metric": ("metric", lambda words: words.number_upto(FULL_MASK)),
    "onlink": ("onlink", lambda words: True),
    "linkdown": ("linkdown", lambda words: True),
}
_OWN_NAMES: Grammar = {
    "table": ("table", lambda words: named_here(words, TABLES, FULL_MASK)),
    "lookup": ("table", lambda words: named_here(words, TABLES, FULL_MASK)),
    "proto": ("proto", lambda words: named_here(words, PROTOCOLS, 255)),
}
_COLLECTED_ROUTE: Grammar = {
    **_ROUTE,
    **METRICS,
    **ROUTE_KEPT,
    **{word: _OWN_NAMES[word] for word in ("table", "proto")},
    "via": ("via", gateway),
}

_RULE: Grammar = {
    "from": ("src", lambda words: words.prefix(strict=False)),
    "to": ("dst", lambda words: words.prefix(strict=False)),
    "fwmark": ("fwmark", _mark),
    "iif": ("iif", _device),
    "oif": ("oif", _device),
    "lookup": ("table", _table),
    "blackhole": ("action", lambda words: "blackhole"),
    "unreachable": ("action", lambda words: "unreachable"),
    "prohibit": ("action", lambda words: "prohibit"),
    "proto": ("proto", lambda words: words.named(PROTOCOLS)),
}
_COLLECTED_RULE: Grammar = {**_RULE, **RULE_KEPT, **{word: _OWN_NAMES[word] for word in ("lookup", "proto")}}


def parse_route(
    line: str,
    table: str = "main",
    by: Origin | None = None,
    *,
    source: str = "ip route",
    number: int = 1,
    partial: bool = False,
) -> Route:
    """Read one line of `ip route show table T`, where `table` is T.

    With `partial`, words that are not modelled are kept, and names of tables and protocols are the machine's own.
    Raises: StateSyntaxError for text `ip` does not print, Unsupported for words that are not modelled.
    """
    words = Words(line, source=source, number=number)
    if words.next in ROUTE_TYPES_KEPT and not partial:
        raise Unsupported(f"{source}:{number}: route type {words.next!r}")
    kind = words.take() if words.next in (*TYPES, *ROUTE_TYPES_KEPT) else "unicast"
    refused = () if partial else (*METRICS, *ROUTE_KEPT, "inet6", "lock", "cache")
    grammar = _COLLECTED_ROUTE if partial else _ROUTE
    values = {"table": table, "dst": words.prefix(), **words.fields(grammar, refused, "a route")}
    values |= _kept_words(values, kind, line, f"{source}:{number}") if partial else {}
    if kind in REJECTING and ("dev" in values or "via" in values):
        raise words.error(f"a {kind} route has neither gateway nor device")
    if kind not in REJECTING and "dev" not in values and not {"nexthop", "nhid"} & values.keys():
        raise words.error("dev is missing")
    return Route(**{name: values[name] for name in values if name not in ROUTE_ONLY}, type=kind, by=by)  # type: ignore[arg-type]


ROUTE_ONLY = {*METRICS, *ROUTE_KEPT}
"""Words whose values stand in the route's text only."""


def _kept_words(values: dict[str, object], kind: str, line: str, place: str) -> dict[str, object]:
    """Return the fields of a route for its words that change nothing, and for those that are not modelled."""
    found: dict[str, object] = {}
    settings = [f"{word} {values[word]}" for word in values if word in METRICS]
    found |= {"settings": " ".join(settings)} if settings else {}
    unread = [f"route type {kind!r}"] if kind not in TYPES else []
    if isinstance(values.get("via"), str):
        unread, found["via"] = [*unread, f"{values['via']!r} in a route"], None
    unread += [f"{word!r} in a route" for word in values if word in ROUTE_KEPT]
    return {**found, "kept": " ".join(line.split()), "why": f"{place}: {unread[0]}"} if unread else found


def parse_rule(
    line: str, by: Origin | None = None, *, source: str = "ip rule", number: int = 1, partial: bool = False
) -> Rule:
    """Read one line of `ip rule`; without `PRIORITY:` in front the rule is unnumbered.

    With `partial`, words that are not modelled are kept, and names of tables and protocols are the machine's own.
    Linux keeps and prints the host bits of a rule's prefix but does not look at them; here they are cut off.

    Raises: StateSyntaxError for text `ip` does not print, Unsupported for words that are not modelled.
    """
    words = Words(line.replace("[detached]", " " * len("[detached]")), source=source, number=number)
    priority = _priority(words)
    inverted = words.next == "not" and bool(words.take())
    if words.next != "from":
        raise words.error("from is missing")
    values = words.fields(_COLLECTED_RULE if partial else _RULE, () if partial else RULE_KEPT, "a rule")
    unread = [word for word in (*values, *([L3MDEV] if values.get("table") == L3MDEV else [])) if word in RULE_KEPT]
    if unread:
        values |= {"kept": line.strip(), "why": f"{source}:{number}: {unread[0]!r} in a rule"}
        other = [word for word in unread if word in RULE_ACTIONS]
        if other and values.get("table", L3MDEV) == L3MDEV:
            values = {name: value for name, value in values.items() if name != "table"} | {"action": other[0]}
        values = {name: value for name, value in values.items() if name not in RULE_KEPT}
    if ("table" in values) == ("action" in values):
        raise words.error("a rule says either lookup or what becomes of the packet")
    if "fwmark" in values:
        values["fwmark"], values["fwmask"] = values["fwmark"]  # type: ignore[misc]
    return Rule(priority, inverted=inverted, by=by, **values)  # type: ignore[arg-type]


def parse_routes(
    text: str, table: str = "main", *, source: str = "ip route", partial: bool = False
) -> tuple[Route, ...]:
    """Read the output of `ip route show table T`; with `all` for T, lines without `table` belong to main."""
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("\t") and lines:  # a next hop of the route above
            lines[-1] = (lines[-1][0], f"{lines[-1][1]} {line[1:]}")
        elif line.strip():
            lines.append((number, line))
    within = "main" if table == "all" else table
    return tuple(parse_route(line, within, source=source, number=n, partial=partial) for n, line in lines)


def parse_rules(text: str, *, source: str = "ip rule", partial: bool = False) -> tuple[Rule, ...]:
    """Read the output of `ip rule`; with `partial` sorted by priority, as Linux tries them."""
    lines = enumerate(text.splitlines(), 1)
    rules = [parse_rule(line, source=source, number=n, partial=partial) for n, line in lines if line.strip()]
    return tuple(sorted(rules, key=lambda rule: rule.priority) if partial else rules)


def _priority(words: Words) -> int:
    if not words.next.endswith(":"):
        return UNNUMBERED
    text = words.take()[:-1]
    if not (re.fullmatch(r"\d{1,10}", text, re.ASCII) and int(text) <= FULL_MASK):
        raise words.wrong(f"{text!r} is not a priority")
    return int(text)
