"""The routing lookup: which rule and which route a packet gets, and what kind of address an address is.

Rules are tried by priority; in a table the longest prefix wins, then the lowest metric, then the order of the table.
As long as nobody added or removed a rule, Linux keeps the tables local and main in one trie, so a longer prefix in main
beats a shorter one in local. Not modelled: multipath, TOS, VRF, the turns that default routes of one metric take
(`mcnilib.linux.routing.fib`), and that a socket bound to a device sends even without a route.
Source: net/ipv4/{fib_trie,fib_frontend,fib_rules}.c, include/net/ip_fib.h (Linux 6.18).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, NamedTuple

from mcnilib.errors import NoRoute, Unknown
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.origin import Origin
from mcnilib.linux.routing.neigh import PROXY
from mcnilib.linux.routing.route import ANY, L3MDEV, REJECTING, Query, Route, scope_id
from mcnilib.linux.routing.rule import DEFAULT_RULES, Rule

if TYPE_CHECKING:
    from mcnilib.linux.netns import Netns


ROUTE_ERRORS = {"blackhole": "EINVAL", "unreachable": "EHOSTUNREACH", "prohibit": "EACCES"}
"""Errno of a rejecting route. Source: fib_props in net/ipv4/fib_semantics.c."""

RULE_ERRORS = {"blackhole": "EINVAL", "unreachable": "ENETUNREACH", "prohibit": "EACCES"}
"""Errno of a rejecting rule. Source: fib4_rule_action() in net/ipv4/fib_rules.c."""

MEMO_SIZE = 4096

Slot = tuple[Route, str, int]
"""A route with its device (empty: none) and the number of its scope."""

Trie = tuple[tuple[int, dict[int, tuple[Slot, ...]]], ...]
"""(host bits, network bits -> routes), longest prefix first."""

Selector = Callable[[Query, int, int], bool]
"""Tells whether a rule applies; source and destination are given as numbers too."""


class Decision(NamedTuple):
    """The rule that applied and the route it led to."""

    rule: Rule
    route: Route

    @property
    def device(self) -> str:
        """The device a packet is handed to: lo for the namespace's own addresses, whichever device has them."""
        return "lo" if self.route.type == "local" else self.route.dev


class Refusal(NamedTuple):
    """Why there is no route: in words, as errno, and the route or rule that decided (None: nothing fitted)."""

    what: str
    error: str
    line: Route | Rule | None


class Stage(NamedTuple):
    """One table to look into: under which rule, and whether the rule applies."""

    rule: Rule
    applies: Selector | None  # None: always
    trie: Trie


class Fib:
    """Rules and routes of one namespace, compiled for many lookups; `Netns.fib` holds it."""

    def __init__(self, rules: tuple[Rule, ...], routes: Iterable[Route], links: Iterable[Link]) -> None:
        """Index the tables by prefix; Linux ignores routes over a device that is down, except to its own addresses."""
        up = {link.name for link in links if link.up}
        live = [r for r in routes if r.type in (*REJECTING, "local") or r.dev in up or (r.kept and not r.dev)]
        tables: dict[str, list[Route]] = {}
        for route in live:
            tables.setdefault(route.table, []).append(route)
        self.custom = rules != DEFAULT_RULES
        self.contested = contested(live)
        self._memo: dict[tuple[object, ...], Decision | Refusal] = {}
        self._rules = {rule.table: rule for rule in rules}
        if self.custom:
            strange = {link.name for link in links if link.kind.unmodelled}
            self._stages = [Stage(r, _selector(r, strange), _trie(tables.get(r.table, ()))) for r in rules]
            self.local = _trie(tables.get("local", ()))
        else:
            self.local = _trie([*tables.get("local", ()), *tables.get("main", ())])
            self._stages = [Stage(rules[1], None, self.local), Stage(rules[2], None, _trie(tables.get("default", ())))]

    def lookup(self, query: Query, scope: int = 0) -> Decision:
        """Choose rule and route; only routes of at least this scope are considered.

        Raises: NoRoute; Unknown when a rule or a route that is not modelled would decide.
        """
        key = (int(query.dst), int(query.src), query.iif, query.oif, query.mark, scope)
        found = self._memo.get(key)
        if found is None:
            if len(self._memo) >= MEMO_SIZE:
                self._memo.clear()
            found = self._memo[key] = self._find(query, scope)
        if isinstance(found, Refusal):
            raise NoRoute(found.what, error=found.error, line=found.line)
        return found

    def _find(self, query: Query, scope: int) -> Decision | Refusal:
        """Try the tables in order."""
        dst, src = int(query.dst), int(query.src)
        for rule, applies, trie in self._stages:
            if applies is not None and not applies(query, src, dst):
                continue
            if rule.kept and (rule.action != "lookup" or find_route(trie, dst, query.oif, scope)):
                raise Unknown(f"{rule.why}, and nobody knows whether {query.dst} takes it: {rule.kept}", collect="")
            if rule.action != "lookup":
                return Refusal(f"{rule.action} rule for {query.dst}", RULE_ERRORS[rule.action], rule)
            route = find_route(trie, dst, query.oif, scope)
            if route and route.kept:
                raise Unknown(f"{route.why}, which {query.dst} takes: {route.kept}", collect="")
            if route is None or route.type == "throw":
                continue
            if route.type in ROUTE_ERRORS:
                return Refusal(f"{route.type} route to {route.dst}", ROUTE_ERRORS[route.type], route)
            if route.dst.prefixlen <= rule.suppress:  # only of routes that lead somewhere: fib4_rule_suppress()
                continue
            return Decision(rule if self.custom else self._rules[route.table], route)
        return Refusal(f"no route to {query.dst}{_circumstances(query)}", "ENETUNREACH", None)

    def address_type(self, ip: int, dev: str) -> str:
        """Look an address up among the local ones. Source: __inet_dev_addr_type().

        Raises: Unknown when the route is not modelled; of one that is unicast, whatever its next hop is, it is known.
        """
        route = find_route(self.local, ip, "", 0)
        if route and route.kept and (route.type != "unicast" or " tos " in route.kept):
            raise Unknown(
                f"{route.why}, which tells what kind of address {IPv4Address(ip)} is: {route.kept}", collect=""
            )
        if route is None or route.type in REJECTING or (dev and dev != route.dev):
            return "UNICAST"
        return route.type.upper()


def _circumstances(query: Query) -> str:
    parts = [f"from {query.src}"] if int(query.src) else []
    parts += [f"by {query.iif}"] if query.iif != "lo" else []
    parts += [f"on {query.oif}"] if query.oif else []
    parts += [f"with mark {query.mark:#x}"] if query.mark else []
    return " ".join(["", *parts])


def _trie(routes: Iterable[Route]) -> Trie:
    levels: dict[int, dict[int, list[Slot]]] = {}
    for route in routes:
        bits = 32 - route.dst.prefixlen
        level = levels.setdefault(bits, {})
        network = int(route.dst.network_address) >> bits
        level.setdefault(network, []).append((route, route.dev, scope_id(route.scope)))
    return tuple((bits, {net: tuple(slots) for net, slots in level.items()}) for bits, level in sorted(levels.items()))


def candidates(trie: Trie, dst: int) -> Iterator[Slot]:
    """Yield the routes whose prefix holds an address, in the order Linux considers them."""
    for bits, level in trie:
        yield from level.get(dst >> bits, ())


def find_route(trie: Trie, dst: int, oif: str, scope: int) -> Route | None:
    """Take the first route that fits device and scope, backing up to shorter prefixes. Source: fib_table_lookup()."""
    for bits, level in trie:
        for route, dev, reach in level.get(dst >> bits, ()):
            if reach >= scope and (not oif or dev in (oif, "")):
                return route
    return None


def _selector(rule: Rule, strange: Set[str]) -> Selector | None:
    """Compile a rule's selectors; None when it applies to everything, or may (not modelled, with `not`).

    The rule for VRFs applies to packets over their devices only, which are among the `strange`, whose kind is not
    modelled. Source: l3mdev_fib_rule_match() in net/l3mdev/l3mdev.c.
    """
    if rule.kept and rule.inverted:
        return None
    if rule.action in (L3MDEV, "l3mdev"):
        return lambda query, from_, to: query.iif in strange or query.oif in strange
    if (rule.src, rule.dst, rule.iif, rule.oif, rule.fwmark, rule.inverted) == (ANY, ANY, "", "", None, False):
        return None
    (src_bits, src), (dst_bits, dst) = _cut(rule.src), _cut(rule.dst)
    mark, mask = (rule.fwmark, rule.fwmask) if rule.fwmark is not None else (0, 0)

    def applies(query: Query, from_: int, to: int) -> bool:
        fits = (
            from_ >> src_bits == src
            and to >> dst_bits == dst
            and rule.iif in ("", query.iif)
            and rule.oif in ("", query.oif)
            and not (query.mark ^ mark) & mask
        )
        return fits != rule.inverted

    return applies


def asks(rule: Rule, query: Query) -> bool:
    """Tell whether a rule applies to a lookup, in a namespace without devices of kinds that are not modelled."""
    applies = _selector(rule, frozenset())
    return applies is None or applies(query, int(query.src), int(query.dst))


def _cut(prefix: IPv4Network) -> tuple[int, int]:
    bits = 32 - prefix.prefixlen
    return bits, int(prefix.network_address) >> bits


def lookup(netns: Netns, query: Query) -> Decision:
    """Choose the route of a packet, as `ip route get` does.

    Raises: NoRoute with errno name: ENETUNREACH when nothing fits or an unreachable rule applies, EHOSTUNREACH,
    EACCES and EINVAL for unreachable, prohibit and blackhole routes.
    """
    return netns.fib.lookup(query)


def address_type(netns: Netns, ip: IPv4Address, dev: str = "") -> str:
    """Return what `-m addrtype` sees: LOCAL, UNICAST, BROADCAST or MULTICAST; with `dev`, LOCAL on that device only.

    Source: __inet_dev_addr_type() in net/ipv4/fib_frontend.c. Rejecting routes never show, their lookup is an error.
    """
    if int(ip) >> 28 == 0xE:
        return "MULTICAST"
    number = int(ip)
    if number in (0, 0xFFFFFFFF):
        return "BROADCAST"
    return netns.fib.address_type(number, dev)


def derived_routes(link: Link, address: Address, by: Origin | None = None) -> Iterator[Route]:
    """Yield the routes the kernel adds for an address: local, broadcast, and the subnet it stands in.

    The subnet is left out for a /32 and a device that is down, broadcasts also for a /31. A secondary address derives
    the routes of its primary again.
    Source: fib_add_ifaddr() in net/ipv4/fib_frontend.c.
    """
    subnet, src = address.interface.network, link.primary(address).ip
    by = by or Origin("the kernel", f"derived from the address {address.interface} on {link.name}")
    lo = link.is_loopback

    def route(dst: object, kind: str, scope: str, table: str = "local") -> Route:
        return Route(IPv4Network(dst), link.name, None, src, kind, table, scope, "kernel", by=by)

    yield route(address.ip, "local", "host")
    if not link.up:
        return
    if address.broadcast and int(address.broadcast) != 0xFFFFFFFF:
        yield route(address.broadcast, "broadcast", "link")
    if subnet.prefixlen == 32 or not int(subnet.network_address):
        return
    yield route(subnet, "local", "host") if lo else route(subnet, "unicast", "link", "main")
    if subnet.prefixlen < 31:
        yield route(subnet.broadcast_address, "broadcast", "link")


def contested(routes: Iterable[Route]) -> frozenset[Route]:
    """Return the default routes with a gateway that share table and metric with another one."""
    default = [route for route in routes if route.via and not route.dst.prefixlen]
    many = Counter((route.table, route.metric) for route in default)
    return frozenset(route for route in default if many[route.table, route.metric] > 1)


def by_neighbours(routes: tuple[Route, ...], listing: str) -> tuple[Route, ...]:
    """Return the routes; those that may have their turn by `listing`, the output of `ip neigh`, name the line of doubt.

    The gateways of all of them count: where one is left, nobody knows for which.
    """
    rivals = contested(routes)
    gateways = {(str(route.via), "dev", route.dev) for route in rivals}
    lines = (line.strip() for line in listing.splitlines() if gateways and tuple(line.split()[:3]) in gateways)
    doubt = next((line for line in lines if not line.endswith(("REACHABLE", PROXY))), "")
    return tuple(replace(route, doubt=doubt) if route in rivals else route for route in routes) if doubt else routes
