"""A line of `ip route` as text and back, and what a lookup is asked with.

Models tables, metrics, scopes, unicast, local, broadcast, blackhole, unreachable, prohibit and throw routes, with one
next hop or several (`mcnilib.linux.routing.hop`). Other words of the tool raise `Unsupported`; in what was collected
elsewhere they are kept, and end the way of a packet that needs them. The lookup is in `mcnilib.linux.routing.fib`.
Source: ip-route(8), iproute2 6.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum, auto
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.origin import Origin
from mcnilib.linux.routing.hop import Hop, read_hops
from mcnilib.linux.text import WordReaders, Words
from mcnilib.linux.unmodelled import Gap

L3MDEV = "[l3mdev-table]"
"""Stands for the table of the VRF a packet belongs to."""

NAME = r"[A-Za-z_][A-Za-z0-9_.+-]{0,63}"
"""Names of tables and protocols that rt_tables and rt_protos of the machine may give. Source: rtnl_tab_initialize()."""


def read_value(words: Words) -> object:
    """Read a value that stays text."""
    return words.take("a value")


def read_flag(words: Words) -> object:
    """Take a word that has no value."""
    return True


def gateway(words: Words) -> object:
    """Read a gateway; one of IPv6 is returned as the words it is printed with."""
    if words.next != "inet6":
        return words.address()
    words.take()
    address = words.take("an address")
    try:
        return f"via inet6 {IPv6Address(address)}"
    except ValueError:
        raise words.wrong(tr("{address!r} is not an IPv6 address", address=address)) from None


def _metric(words: Words) -> object:
    """Read the value of a route's metric; `lock` before it says that the kernel does not adapt it."""
    lock = f"{words.take()} " if words.next == "lock" else ""
    return f"{lock}{words.take('a value')}"


def _encapsulation(words: Words) -> object:
    """Read what a route wraps packets in, up to the way it sends them."""
    taken = [words.take("an encapsulation")]
    while words and words.next not in ("via", "dev", "nexthop"):
        taken.append(words.take())
    return taken


def _features(words: Words) -> object:
    taken = [words.take("a feature")]
    while words.next in ("ecn", "tcp_usec_ts"):
        taken.append(words.take())
    return taken


def _next_hops(words: Words) -> object:
    """Read all next hops of a route, which stand behind everything else."""
    if words.next not in ("via", "dev", "encap"):
        raise words.error(tr("a next hop is missing"))
    return words.rest()


METRICS: WordReaders = {
    word: (word, _metric)
    for word in (
        *("mtu", "advmss", "window", "rtt", "rttvar", "cwnd", "initcwnd", "initrwnd", "ssthresh", "reordering"),
        *("rto_min", "quickack", "congctl", "fastopen_no_cookie"),
    )
}
"""Settings of a route for the connections over it. Of what is modelled only `mtu` and `advmss` change something, and
only where a conversation has a size (`mcnilib.linux.routing.mtu`); the others change times.
"""

SIZES = ("mtu", "advmss")
"""Those that are modelled: bytes."""

ROUTE_KEPT: WordReaders = {
    **{word: (word, read_value) for word in ("realm", "realms", "tos", "dsfield", "from", "pref", "error", "as")},
    **{word: (word, read_value) for word in ("expires", "hoplimit", "ttl-propagate", "uid", "mark")},
    **{word: (word, read_flag) for word in ("dead", "offload", "trap", "pervasive", "notify", "unresolved")},
    **{word: (word, read_flag) for word in ("rt_offload", "rt_trap", "offload_failed", "rt_offload_failed")},
    "encap": ("encap", _encapsulation),
    "features": ("features", _features),
    "nexthop": ("nexthop", _next_hops),
}


def named_here(words: Words, names: Mapping[str, int], limit: int) -> str:
    """Read a number or a name; one that is not among `names` is the machine's own."""
    if re.fullmatch(NAME, words.next, re.ASCII) or words.next == L3MDEV:
        return words.take()
    return words.named(names, limit)


ANY = IPv4Network("0.0.0.0/0")

UNCHOSEN, LIMITED_BROADCAST = IPv4Address(0), IPv4Address("255.255.255.255")

FULL_MASK = 0xFFFFFFFF

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


class RouteType(StrEnum):
    """What is done with a packet that takes the route, as `ip route` names it. Source: rt_type in rtnetlink.h."""

    UNICAST = auto()
    LOCAL = auto()
    BROADCAST = auto()
    BLACKHOLE = auto()
    UNREACHABLE = auto()
    PROHIBIT = auto()
    THROW = auto()
    ANYCAST = auto()
    MULTICAST = auto()
    NAT = auto()
    XRESOLVE = auto()


REJECTING = (RouteType.BLACKHOLE, RouteType.UNREACHABLE, RouteType.PROHIBIT, RouteType.THROW)

TYPES = (RouteType.UNICAST, RouteType.LOCAL, RouteType.BROADCAST, *REJECTING)
"""The types that are modelled."""

_BY_WORD = frozenset(map(str, RouteType))


@dataclass(frozen=True, slots=True)
class Route:
    """One line of `ip route show table T`. `table` is what `ip` prints: local, main, default or a number."""

    dst: IPv4Network
    dev: str = ""
    via: IPv4Address | None = None
    src: IPv4Address | None = None
    type: RouteType = RouteType.UNICAST
    table: str = "main"
    scope: str = "global"  # global, site, link, host, nowhere, or a number
    proto: str = "boot"  # printed unless boot: kernel, static, bird, 80, ...
    metric: int = 0
    onlink: bool = False
    linkdown: bool = False  # the device has no carrier; Linux uses the route all the same
    nhid: int = 0  # the next hop object its way was taken from (`ip nexthop`); 0: none
    hops: tuple[Hop, ...] = ()  # where there are several: then the route itself has neither gateway nor device
    settings: str = ""  # of the connections over it: mtu 1400 advmss 1000
    text: str = ""  # the whole line, when it has words that are not modelled
    gap: Gap | None = field(default=None, compare=False)  # names the first of these
    doubt: str = field(default="", compare=False)  # what `ip neigh` has against its gateway, see fib.with_doubt
    origin: Origin | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return _route_text(self, in_table="")

    def why_not(self, query: Query) -> str:
        """Say why a lookup does not take this route, in words; empty when prefix and device fit."""
        if query.dst not in self.dst:
            return tr("{address} is not in {prefix}", address=query.dst, prefix=self.dst)
        if query.oif and not self.leads_to(query.oif):
            return tr("the device is {device}, not {oif}", device=self.dev or "none", oif=query.oif)
        return ""

    def leads_to(self, dev: str) -> bool:
        """Tell whether the route, or one of its next hops, is by a device. Source: fib_info_nh_uses_dev()."""
        return dev == self.dev or any(hop.dev == dev for hop in self.hops)

    def by(self, hop: Hop) -> Route:
        """Return the route as a packet takes it that goes by one of its next hops."""
        return replace(self, dev=hop.dev, via=hop.via, onlink="onlink" in hop.flags)


@dataclass(frozen=True, slots=True)
class Query:
    """What a lookup is asked with: the flow key of the kernel. `src` 0.0.0.0 means not chosen yet."""

    dst: IPv4Address
    src: IPv4Address = UNCHOSEN
    iif: str = "lo"
    oif: str = ""
    mark: int = 0


def table_id(table: str) -> int:
    """Return the number of a routing table, given as `ip` prints it."""
    if table in TABLES or table.isdecimal():
        return TABLES[table] if table in TABLES else int(table)
    return FULL_MASK + int.from_bytes(table.encode(), "big")  # the machine's own name for a number nobody knows


def scope_id(scope: str) -> int:
    """Return the number of a scope, given as `ip` prints it."""
    return SCOPES[scope] if scope in SCOPES else int(scope)


def prefix_text(prefix: IPv4Network, everything: str) -> str:
    """Print a prefix as `ip` does: `everything` for all addresses, a single one without its length."""
    if prefix == ANY:
        return everything
    return str(prefix.network_address) if prefix.prefixlen == 32 else str(prefix)


def _route_text(route: Route, in_table: str, before_hop: str = " ") -> str:
    if route.text:
        return f"{route.text} "
    arguments: list[str] = [route.type] if route.type is not RouteType.UNICAST else []
    arguments.append(prefix_text(route.dst, "default"))
    arguments += ["nhid", str(route.nhid)] if route.nhid else []
    arguments += ["via", str(route.via)] if route.via and not route.hops else []
    arguments += ["dev", route.dev] if route.dev and not route.hops else []
    arguments += ["table", in_table] if in_table else []
    arguments += ["proto", route.proto] if route.proto != "boot" else []
    arguments += ["scope", route.scope] if route.scope != "global" else []
    arguments += ["src", str(route.src)] if route.src else []
    arguments += ["metric", str(route.metric)] if route.metric else []
    arguments += ["onlink"] if route.onlink and not route.hops else []
    arguments += ["linkdown"] if route.linkdown else []
    arguments += [route.settings] if route.settings else []
    return "".join((" ".join(arguments), *(f"{before_hop}{hop}" for hop in route.hops))) + " "


_LINE = " \n\t"

_ROUTE_LINE = mark("a route")
"""What stands before each of several next hops."""


def print_routes(routes: Iterable[Route], table: str = "all") -> str:
    """Print what `ip route show table T` prints; `all` adds the table to the lines of all but main."""
    if table == "all":
        return "".join(_route_text(r, r.table if r.table != "main" else "", _LINE) + "\n" for r in routes)
    return "".join(_route_text(route, "", _LINE) + "\n" for route in routes if route.table == table)


def read_device(words: Words) -> str:
    """Read the name of a device."""
    return words.take("a device")


def _gateway(words: Words) -> IPv4Address:
    if words.next == "inet6":
        raise Unsupported(
            tr("{source}:{number}: {word!r} in a route", source=words.source, number=words.number, word=words.next)
        )
    return words.address()


def read_table(words: Words) -> str:
    """Read a table, by name or number. Raises: Unsupported for that of a VRF."""
    if words.next == L3MDEV:
        raise Unsupported(
            tr("{source}:{number}: {word!r} in a rule", source=words.source, number=words.number, word=L3MDEV)
        )
    return words.named(TABLES, FULL_MASK)


NUMBER = r"0x[0-9a-f]{1,16}|0|[1-9]\d{0,19}"

_ROUTE: WordReaders = {
    "via": ("via", _gateway),
    "dev": ("dev", read_device),
    "table": ("table", read_table),
    "proto": ("proto", lambda words: words.named(PROTOCOLS)),
    "scope": ("scope", lambda words: words.named(SCOPES)),
    "src": ("src", Words.address),
    "metric": ("metric", lambda words: words.number_upto(FULL_MASK)),
    "onlink": ("onlink", lambda words: True),
    "linkdown": ("linkdown", lambda words: True),
    "nexthop": ("nexthop", _next_hops),
    **{word: METRICS[word] for word in SIZES},
}

MACHINE_NAMES: WordReaders = {
    "table": ("table", lambda words: named_here(words, TABLES, FULL_MASK)),
    "lookup": ("table", lambda words: named_here(words, TABLES, FULL_MASK)),
    "proto": ("proto", lambda words: named_here(words, PROTOCOLS, 255)),
}

_COLLECTED_ROUTE: WordReaders = {
    **_ROUTE,
    **METRICS,
    **ROUTE_KEPT,
    **{word: MACHINE_NAMES[word] for word in ("table", "proto")},
    "via": ("via", gateway),
    "nhid": ("nhid", lambda words: words.number_upto(FULL_MASK)),
}

_REFUSED = frozenset({*METRICS, *ROUTE_KEPT, "nhid", "inet6", "lock", "cache"} - _ROUTE.keys())
"""Words of a line that was not collected which the model lacks."""


def parse_route(
    line: str,
    table: str = "main",
    origin: Origin | None = None,
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
    kind = RouteType(words.take()) if words.next in _BY_WORD else RouteType.UNICAST
    if kind not in TYPES and not partial:
        raise Unsupported(tr("{source}:{number}: route type '{kind}'", source=source, number=number, kind=kind))
    grammar, refused = (_COLLECTED_ROUTE, frozenset[str]()) if partial else (_ROUTE, _REFUSED)
    values = {"table": table, "dst": words.prefix(), **words.fields(grammar, refused, _ROUTE_LINE)}
    settings = [f"{word} {values[word]}" for word in values if word in METRICS]
    values |= {"settings": " ".join(settings)} if settings else {}
    values = _with_hops(values, kind)
    values |= _kept_words(values, kind, line, f"{source}:{number}") if partial else {}
    if kind in REJECTING and ("dev" in values or "via" in values) and "nhid" not in values:
        raise words.error(tr("a {kind} route has neither gateway nor device", kind=kind))
    if "nexthop" in values and not partial:
        raise Unsupported(tr("{source}:{number}: {word!r} in a route", source=source, number=number, word="nexthop"))
    if kind not in REJECTING and not {"dev", "hops", "nexthop", "nhid"} & values.keys():
        raise words.error(tr("{what} is missing", what="dev"))
    return Route(**{name: values[name] for name in values if name not in ROUTE_ONLY}, type=kind, origin=origin)  # type: ignore[arg-type]


def _with_hops(values: dict[str, object], kind: RouteType) -> dict[str, object]:
    """Return the fields with the next hops read; where a word of them is not modelled they stay text."""
    hops = read_hops(str(values.get("nexthop", ""))) if kind is RouteType.UNICAST else ()
    return {name: values[name] for name in values if name != "nexthop"} | {"hops": hops} if hops else values


ROUTE_ONLY = {*METRICS, *ROUTE_KEPT}
"""Words whose values stand in the route's text only."""


def _kept_words(values: dict[str, object], kind: RouteType, line: str, where: str) -> dict[str, object]:
    """Return the fields of a route for its words that change nothing, and for those that are not modelled."""
    fields: dict[str, object] = {}
    unmodelled = [tr("route type '{type}'", type=kind)] if kind not in TYPES else []
    if isinstance(values.get("via"), str):
        unmodelled, fields["via"] = [*unmodelled, tr("{word!r} in a route", word=values["via"])], None
    printed = kind is RouteType.UNICAST and bool(
        {"dev", "hops"} & values.keys()
    )  # what the next hop object says, where that is one way
    unmodelled += [
        tr("{word!r} in a route", word=word)
        for word in values
        if word in ROUTE_KEPT or (word == "nhid" and not printed)
    ]
    return {**fields, "text": " ".join(line.split()), "gap": Gap(unmodelled[0], where)} if unmodelled else fields


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
