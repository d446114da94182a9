"""Reading lines of `ip route` and `ip rule`. Source: ip-rule(8), ip-route(8), iproute2 6.1."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

from mcnilib.errors import Unsupported
from mcnilib.linux.origin import Origin
from mcnilib.linux.route import FULL_MASK, PROTOCOLS, REJECTING, SCOPES, TABLES, TYPES, UNNUMBERED, Route, Rule
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
from mcnilib.linux.text import Grammar, Words


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
    "nhid": ("nhid", lambda words: words.number_upto(FULL_MASK)),
}

_RULE: Grammar = {
    "from": ("src", lambda words: words.prefix(strict=False)),
    "to": ("dst", lambda words: words.prefix(strict=False)),
    "fwmark": ("fwmark", _mark),
    "iif": ("iif", _device),
    "oif": ("oif", _device),
    "lookup": ("table", _table),
    "suppress_prefixlength": ("suppress", lambda words: words.number_upto(0x7FFFFFFF)),
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
    refused = () if partial else (*METRICS, *ROUTE_KEPT, "nhid", "inet6", "lock", "cache")
    grammar = _COLLECTED_ROUTE if partial else _ROUTE
    values = {"table": table, "dst": words.prefix(), **words.fields(grammar, refused, "a route")}
    values |= _kept_words(values, kind, line, f"{source}:{number}") if partial else {}
    if kind in REJECTING and ("dev" in values or "via" in values) and "nhid" not in values:
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
    told = kind == "unicast" and "dev" in values  # ip prints what the next hop object says, where that is one way
    unread += [f"{word!r} in a route" for word in values if word in ROUTE_KEPT or (word == "nhid" and not told)]
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
