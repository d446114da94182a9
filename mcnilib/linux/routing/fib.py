"""The routing lookup: which rule and which route a packet gets, and what kind of address an address is.

Rules are tried by priority; in a table the longest prefix wins, then the lowest metric, then the order of the table.
As long as nobody added or removed a rule, Linux keeps the tables local and main in one trie, so a longer prefix in main
beats a shorter one in local. Which of equal default routes is taken, and which of a route's next hops, a namespace
decides at run time (`mcnilib.trace.stack.host`). Not modelled: TOS, and that a socket bound to a device sends even
without a route.
Source: net/ipv4/{fib_trie,fib_frontend,fib_rules}.c, include/net/ip_fib.h (Linux 6.18).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import replace
from functools import cached_property, partial
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from mcnilib.errors import NoRoute
from mcnilib.language import mark, tr
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.origin import Origin
from mcnilib.linux.routing.hop import Hop
from mcnilib.linux.routing.neigh import PROXY
from mcnilib.linux.routing.route import (
    ANY,
    L3MDEV,
    LIMITED_BROADCAST,
    REJECTING,
    UNCHOSEN,
    Query,
    Route,
    RouteType,
    scope_id,
)
from mcnilib.linux.routing.rule import DEFAULT_RULES, Rule
from mcnilib.linux.unmodelled import Gap

ROUTE_ERRORS = {
    RouteType.BLACKHOLE: "EINVAL",
    RouteType.UNREACHABLE: "EHOSTUNREACH",
    RouteType.PROHIBIT: "EACCES",
}
"""Errno of a rejecting route. Source: fib_props in net/ipv4/fib_semantics.c."""

RULE_ERRORS = {"blackhole": "EINVAL", "unreachable": "ENETUNREACH", "prohibit": "EACCES"}
"""Errno of a rejecting rule. Source: fib4_rule_action() in net/ipv4/fib_rules.c."""

_MEMO_SIZE = 4096

Selector = Callable[[Query], bool]
"""Tells whether a rule applies."""


class Decision(NamedTuple):
    """The rule that applied and the route it led to."""

    rule: Rule
    route: Route

    @property
    def device(self) -> str:
        """The device a packet is handed to: lo for the namespace's own addresses, whichever device has them."""
        return "lo" if self.route.type is RouteType.LOCAL else self.route.dev


class Refusal(NamedTuple):
    """Why there is no route: in words, as errno, and the route or rule that decided (None: nothing fitted)."""

    what: str
    error: str
    line: Route | Rule | None


class Trie:
    """Routes by prefix; what a family's addresses find are routes of that family only."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Index routes, longest prefix first, those of one prefix in their order."""
        levels: dict[tuple[int, int], dict[int, list[tuple[Route, str, int]]]] = {}
        for route in routes:
            host_bits = route.dst.max_prefixlen - route.dst.prefixlen
            level = levels.setdefault((route.dst.version, host_bits), {})
            network = int(route.dst.network_address) >> host_bits
            level.setdefault(network, []).append((route, route.dev, scope_id(route.scope)))
        self._levels = [(version, host_bits, level) for (version, host_bits), level in sorted(levels.items())]

    def find(self, dst: IPv4Address, oif: str = "", scope: int = 0) -> Route | None:
        """Take the first route that fits device and scope, backing up to shorter prefixes.

        Source: fib_table_lookup() in net/ipv4/fib_trie.c.
        """
        family, number = dst.version, int(dst)
        for version, host_bits, level in self._levels:
            for route, dev, reach in level.get(number >> host_bits, ()) if version == family else ():
                if reach >= scope and (not oif or dev == oif or (not dev and _may_lead(route, {oif}))):
                    return route
        return None


def _may_lead(route: Route, devices: Set[str]) -> bool:
    """Tell whether a route without a device of its own goes by one of these, as far as is known."""
    return not route.hops or any(hop.dev in devices for hop in route.hops)


class RuleLookup(NamedTuple):
    """One table to look into: under which rule, and whether the rule applies."""

    rule: Rule
    applies: Selector | None  # None: always
    trie: Trie


class Fib:
    """Rules, routes and devices of one namespace, compiled for many lookups when the first is made."""

    def __init__(self, rules: tuple[Rule, ...], routes: tuple[Route, ...], links: tuple[Link, ...]) -> None:
        """Remember what decides; `Netns.fib` holds it."""
        self.rules, self.routes, self.links = rules, routes, links
        self._decisions: dict[tuple[object, ...], Decision | Refusal] = {}
        self._types: dict[tuple[int, int, str], str] = {}

    @cached_property
    def custom(self) -> bool:
        """Tell whether somebody added or removed a rule."""
        return self.rules != DEFAULT_RULES

    @cached_property
    def _up(self) -> frozenset[str]:
        return frozenset(link.name for link in self.links if link.up)

    @cached_property
    def _live(self) -> list[Route]:
        """The routes Linux does not ignore, as it does those over a device that is down, but to its own addresses."""
        up = self._up
        anyway = (*REJECTING, RouteType.LOCAL)
        return [r for r in self.routes if r.type in anyway or r.dev in up or (not r.dev and _may_lead(r, up))]

    def alive(self, route: Route) -> list[Hop]:
        """Return the next hops of a route whose devices are up, of which each packet takes one."""
        return [hop for hop in route.hops if hop.dev in self._up and "dead" not in hop.flags]

    @cached_property
    def equal_defaults(self) -> frozenset[Route]:
        """The default routes one of which is chosen at run time."""
        return equal_defaults(self._live)

    @cached_property
    def own_addresses(self) -> frozenset[IPv4Address]:
        """The addresses of all devices."""
        return frozenset(address.ip for link in self.links for address in link.addresses)

    @cached_property
    def added_local(self) -> tuple[Route, ...]:
        """The local routes that somebody added: the kernel adds one for each address itself."""
        return tuple(route for route in self.routes if route.type is RouteType.LOCAL and route.proto != "kernel")

    @cached_property
    def _by_table(self) -> dict[str, list[Route]]:
        tables: dict[str, list[Route]] = {}
        for route in self._live:
            tables.setdefault(route.table, []).append(route)
        return tables

    def _table(self, *names: str) -> Trie:
        return Trie(route for name in names for route in self._by_table.get(name, ()))

    @cached_property
    def _local(self) -> Trie:
        return self._table("local") if self.custom else self._table("local", "main")

    @cached_property
    def _stages(self) -> list[RuleLookup]:
        if not self.custom:
            return [
                RuleLookup(self.rules[1], None, self._local),
                RuleLookup(self.rules[2], None, self._table("default")),
            ]
        unmodelled = {link.name for link in self.links if link.kind.unmodelled}
        stages: list[RuleLookup] = []
        for rule in map(self._named_vrf, self.rules):
            if rule.table == L3MDEV:
                stages += self._by_vrf(rule)
                rule = replace(rule, action=L3MDEV, gap=Gap(tr("{word!r} in a rule", word=L3MDEV)), text=str(rule))
            stages.append(RuleLookup(rule, _selector(rule, unmodelled), self._table(rule.table)))
        return stages

    def _named_vrf(self, rule: Rule) -> Rule:
        """Return a rule that names the device of a VRF as one that is not modelled: kernels differ in what it means."""
        named = [dev for dev in (rule.iif, rule.oif) if dev in self._vrf_tables]
        if not named or rule.gap:
            return rule
        what = tr("a rule that names the VRF {vrf}, which kernels understand differently", vrf=named[0])
        return replace(rule, iif="", oif="", gap=Gap(what), text=str(rule))

    @cached_property
    def _vrf_tables(self) -> dict[str, str]:
        return {link.name: link.kind.l3_table for link in self.links if link.kind.l3_table}

    @cached_property
    def vrf_of(self) -> dict[str, str]:
        """The VRF that each device belongs to, itself included; only devices that belong to one are named."""
        of = {name: name for name in self._vrf_tables}
        return of | {link.name: link.master for link in self.links if link.master in self._vrf_tables}

    def _by_vrf(self, rule: Rule) -> Iterator[RuleLookup]:
        """Yield the look-ups that the rule for VRFs leads to: the table of each. Source: l3mdev_update_flow()."""
        for vrf, table in self._vrf_tables.items():
            yield RuleLookup(rule, partial(self._in_vrf, vrf), self._table(table))

    def _in_vrf(self, vrf: str, query: Query) -> bool:
        return self.vrf_of.get(query.oif or query.iif) == vrf

    @cached_property
    def _rule_of_table(self) -> dict[str, Rule]:
        return {rule.table: rule for rule in self.rules}

    def lookup(self, query: Query, scope: int = 0) -> Decision:
        """Choose rule and route, as `ip route get` does; only routes of at least this scope are considered.

        Raises: NoRoute with errno name: ENETUNREACH when nothing fits or an unreachable rule applies, EHOSTUNREACH,
        EACCES and EINVAL for unreachable, prohibit and blackhole routes; Unknown when a rule or a route that is not
        modelled would decide.
        """
        dst, src = query.dst, query.src
        key = (dst.version, int(dst), int(src), query.iif, query.oif, query.mark, scope)
        decision = self._decisions.get(key)
        if decision is None:
            if len(self._decisions) >= _MEMO_SIZE:
                self._decisions.clear()
            decision = self._decisions[key] = self._decide(query, scope)
        if isinstance(decision, Refusal):
            raise NoRoute(decision.what, error=decision.error, line=decision.line)
        return decision

    def _decide(self, query: Query, scope: int) -> Decision | Refusal:
        """Try the tables in order."""
        oif = "" if query.oif in self._vrf_tables else query.oif
        for rule, applies, trie in self._stages:
            if applies is not None and not applies(query):
                continue
            route = trie.find(query.dst, oif, scope)
            if rule.gap and (rule.action != "lookup" or route):
                rule.gap.meet(
                    after=tr(", and it is unknown whether {dst} takes it: {rule}", dst=query.dst, rule=rule.text)
                )
            if rule.action != "lookup":
                return _by_rule(rule, query)
            if route and route.gap:
                route.gap.meet(after=tr(", which {dst} takes: {route}", dst=query.dst, route=route.text))
            if route is None or route.type is RouteType.THROW:
                continue
            if route.type in ROUTE_ERRORS:
                return _by_route(route)
            if route.dst.prefixlen <= rule.suppress:  # only of routes that lead somewhere: fib4_rule_suppress()
                continue
            return Decision(rule if self.custom else self._rule_of_table[route.table], route)
        return Refusal(
            tr("no route to {dst}{circumstances}", dst=query.dst, circumstances=_circumstances(query)),
            "ENETUNREACH",
            None,
        )

    def passed_over(self, query: Query) -> Iterator[Rule]:
        """Yield the rules for some packets only that apply to a look-up and whose tables have no route for it, up to
        the one that decides. Raises: Unknown when a rule or a route that is not modelled decides."""
        for rule, applies, trie in self._stages:
            if applies is not None and not applies(query):
                continue
            route = trie.find(query.dst, query.oif)
            if rule.action != "lookup" or (route and route.type is not RouteType.THROW):
                return
            if applies is not None:
                yield rule

    def address_type(self, ip: IPv4Address, dev: str = "") -> str:
        """Return what `-m addrtype` sees: LOCAL, UNICAST, BROADCAST or MULTICAST; with `dev`, LOCAL on it only.

        Rejecting routes never show, their lookup is an error.
        Source: __inet_dev_addr_type() in net/ipv4/fib_frontend.c.
        Raises: Unknown when the route is not modelled; of one that is unicast, whatever its next hop is, it is known.
        """
        key = (ip.version, int(ip), dev)
        kind = self._types.get(key)
        if kind is None:
            if len(self._types) >= _MEMO_SIZE:
                self._types.clear()
            kind = self._types[key] = self._find_type(ip, dev)
        return kind

    def _find_type(self, ip: IPv4Address, dev: str) -> str:
        if ip.is_multicast:
            return "MULTICAST"
        if ip in (UNCHOSEN, LIMITED_BROADCAST):
            return "BROADCAST"
        route = self._local.find(ip)
        if route and route.gap and (route.type is not RouteType.UNICAST or " tos " in route.text):
            route.gap.meet(after=tr(", which tells what kind of address {ip} is: {route}", ip=ip, route=route.text))
        if route is None or route.type in REJECTING or (dev and dev != route.dev):
            return "UNICAST"
        return route.type.upper()


def _by_rule(rule: Rule, query: Query) -> Refusal:
    what = tr("{action} rule for {dst}", action=rule.action, dst=query.dst)
    return Refusal(what, RULE_ERRORS[rule.action], rule)


def _by_route(route: Route) -> Refusal:
    what = tr("{type} route to {dst}", type=route.type, dst=route.dst)
    return Refusal(what, ROUTE_ERRORS[route.type], route)


def _circumstances(query: Query) -> str:
    parts = [tr("from {src}", src=query.src)] if int(query.src) else []
    parts += [tr("by {device}", device=query.iif)] if query.iif != "lo" else []
    parts += [tr("on {device}", device=query.oif)] if query.oif else []
    parts += [tr("with mark {mark:#x}", mark=query.mark)] if query.mark else []
    return " ".join(["", *parts])


def _selector(rule: Rule, unmodelled: Set[str]) -> Selector | None:
    """Compile a rule's selectors; None when it applies to everything, or may (not modelled, with `not`).

    The rule for VRFs applies to packets over their devices only, which may be those whose kind is `unmodelled`.
    Source: l3mdev_fib_rule_match() in net/l3mdev/l3mdev.c.
    """
    if rule.gap and rule.inverted:
        return None
    if rule.action in (L3MDEV, "l3mdev"):
        return lambda query: query.iif in unmodelled or query.oif in unmodelled
    if (rule.src, rule.dst, rule.iif, rule.oif, rule.fwmark, rule.inverted) == (ANY, ANY, "", "", None, False):
        return None
    mark, mask = (rule.fwmark, rule.fwmask) if rule.fwmark is not None else (0, 0)

    def applies(query: Query) -> bool:
        fits = (
            query.src in rule.src
            and query.dst in rule.dst
            and rule.iif in ("", query.iif)
            and rule.oif in ("", query.oif)
            and not (query.mark ^ mark) & mask
        )
        return fits != rule.inverted

    return applies


def applies(rule: Rule, query: Query) -> bool:
    """Tell whether a rule applies to a lookup, in a namespace without devices of kinds that are not modelled."""
    selector = _selector(rule, frozenset())
    return selector is None or selector(query)


def derived_routes(link: Link, address: Address, origin: Origin | None = None) -> Iterator[Route]:
    """Yield the routes the kernel adds for an address: local, broadcast, and the subnet it stands in.

    The subnet is left out for a /32 and a device that is down, broadcasts also for a /31. A secondary address derives
    the routes of its primary again.
    Source: fib_add_ifaddr() in net/ipv4/fib_frontend.c.
    """
    subnet, src = address.interface.network, link.primary(address).ip
    origin = origin or Origin(
        mark("the kernel"),
        mark("derived from the address {interface} on {link}", interface=address.interface, link=link.name),
    )
    lo = link.is_loopback

    def route(dst: object, kind: RouteType, scope: str, table: str = "local") -> Route:
        return Route(IPv4Network(dst), link.name, None, src, kind, table, scope, "kernel", origin=origin)

    yield route(address.ip, RouteType.LOCAL, "host")
    if not link.up:
        return
    if address.broadcast and address.broadcast != LIMITED_BROADCAST:
        yield route(address.broadcast, RouteType.BROADCAST, "link")
    if subnet.prefixlen == 32 or not int(subnet.network_address):
        return
    yield route(subnet, RouteType.LOCAL, "host") if lo else route(subnet, RouteType.UNICAST, "link", "main")
    if subnet.prefixlen < 31:
        yield route(subnet.broadcast_address, RouteType.BROADCAST, "link")


def equal_defaults(routes: Iterable[Route]) -> frozenset[Route]:
    """Return the default routes with a gateway that share table and metric with another one."""
    defaults = [route for route in routes if route.via and not route.dst.prefixlen]
    many = Counter((route.table, route.metric) for route in defaults)
    return frozenset(route for route in defaults if many[route.table, route.metric] > 1)


def with_doubt(routes: tuple[Route, ...], listing: str) -> tuple[Route, ...]:
    """Return the routes; equal default routes that `listing`, the output of `ip neigh`, speaks against name its line.

    The gateways of all of them count: where one is left, nobody knows for which.
    """
    equal = equal_defaults(routes)
    gateways = {(str(route.via), "dev", route.dev) for route in equal}
    lines = (line.strip() for line in listing.splitlines() if gateways and tuple(line.split()[:3]) in gateways)
    doubt = next((line for line in lines if not line.endswith(("REACHABLE", PROXY))), "")
    return tuple(replace(route, doubt=doubt) if route in equal else route for route in routes) if doubt else routes
