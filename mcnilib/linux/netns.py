"""One network namespace as one frozen value: links, addresses, rules, routes, neighbours, netfilter, sets and sysctls.

The verbs do what `ip link add`, `ip address add`, `ip route add`, `ip rule add`, `ip neigh add` and `sysctl -w` do,
with everything the kernel derives from them, and refuse what it refuses.
Source: net/ipv4/{devinet,fib_frontend,fib_trie}.c, net/core/fib_rules.c (Linux 6.18).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from operator import attrgetter

from mcnilib.errors import Refused
from mcnilib.language import mark, tr
from mcnilib.linux.chance import Range
from mcnilib.linux.device.base import DeviceRole
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.nic import Loopback
from mcnilib.linux.netfilter.hooks import HOOKS, IPVS, LEGACY, HookEntry, HookKind, hook_entries
from mcnilib.linux.netfilter.ipset import IpSet
from mcnilib.linux.netfilter.iptables.match.set import InSet
from mcnilib.linux.netfilter.iptables.rule import Table, asks_for_tracking
from mcnilib.linux.netfilter.iptables.target.tproxy import Tproxy
from mcnilib.linux.netfilter.ipvs.service import VirtualServer
from mcnilib.linux.netfilter.nftables.rule import NftTable
from mcnilib.linux.origin import KERNEL, Origin
from mcnilib.linux.routing.fib import Fib, derived_routes
from mcnilib.linux.routing.mtu import own_mtu
from mcnilib.linux.routing.neigh import PROXY, Neigh
from mcnilib.linux.routing.nexthop import check_route
from mcnilib.linux.routing.route import SCOPES, Route, RouteType, table_id
from mcnilib.linux.routing.rule import DEFAULT_RULES, UNNUMBERED, Rule
from mcnilib.linux.sysctl import Setting, by_key, conf, get_number, inherited, written
from mcnilib.linux.text import not_there
from mcnilib.linux.unmodelled import Gap


@dataclass(frozen=True)
class Family:
    """What a namespace has for each address family. Tuples keep the order the tools print.

    Source: struct netns_ipv4 in include/net/netns/ipv4.h, the `family` of fib_rules_ops, neigh_table and xt_table.
    """

    rules: tuple[Rule, ...] = DEFAULT_RULES
    routes: tuple[Route, ...] = ()  # of all tables, in the order `ip route show table all` prints them
    neighbours: tuple[Neigh, ...] = ()
    tables: tuple[Table, ...] = ()  # netfilter: raw, mangle, nat, filter; absent means empty with policy ACCEPT
    legacy: tuple[Table, ...] = ()  # those of iptables-legacy, where iptables-nft has rules as well
    nft: tuple[NftTable, ...] = ()  # native tables of the families ip and inet, in the order nft prints them
    ipvs: tuple[VirtualServer, ...] = ()  # in the order ipvsadm prints them
    learned: tuple[Neigh, ...] = ()  # neighbours ARP knew when this was collected: those are not asked for

    @cached_property
    def has_custom_local_routes(self) -> bool:
        """Tell whether somebody other than the kernel added a route of type local."""
        return any(route.type is RouteType.LOCAL and route.proto != "kernel" for route in self.routes)

    @cached_property
    def tracks(self) -> bool:
        """Tell whether the kernel tracks connections here: only where a rule asks for it."""
        return asks_for_tracking((*self.tables, *self.legacy)) or any(t.tracks for t in self.nft if not t.dormant)

    @cached_property
    def by_name(self) -> Mapping[str, Table]:
        """The tables of both backends by their names; see `mcnilib.linux.netfilter.hooks.LEGACY`."""
        return {table.name: table for table in self.tables} | {f"{LEGACY}{table.name}": table for table in self.legacy}

    @cached_property
    def proxy_ports(self) -> frozenset[int]:
        """The ports that TPROXY rules name; 0 stands for the packet's own."""
        chains = (chain for table in self.by_name.values() if table.name == "mangle" for chain in table.chains)
        naming = (c for c in chains if any(isinstance(rule.target, Tproxy) for rule in c.summary.samples))
        return frozenset(
            rule.target.port for chain in naming for rule in chain.rules if isinstance(rule.target, Tproxy)
        )

    @cached_property
    def hooks(self) -> Mapping[str, tuple[HookEntry, ...]]:
        """What stands at each netfilter hook, in the order packets meet it."""
        if not self.nft and not self.ipvs:
            return hook_entries(tuple(self.by_name), self.tracks)
        names = dict.fromkeys((*self.by_name, *(["nat"] if any(map(self.native_nat, HOOKS)) else [])))
        return {
            hook: tuple(sorted((*self._more_at(hook), *entries), key=attrgetter("priority")))
            for hook, entries in hook_entries(tuple(names), self.tracks).items()
        }

    def _more_at(self, hook: str) -> tuple[HookEntry, ...]:
        """Return what stands at a hook beside iptables, conntrack and NAT."""
        return (*self._native_at(hook, HookKind.CHAIN), *(IPVS.get(hook, ()) if self.ipvs else ()))

    @cached_property
    def _native_entries(self) -> tuple[tuple[str, HookEntry], ...]:
        return tuple(entry for table in reversed(self.nft) for entry in table.entries)

    def _native_at(self, hook: str, kind: HookKind) -> list[HookEntry]:
        return [entry for at, entry in self._native_entries if at == hook and entry.kind is kind]

    @cached_property
    def native(self) -> Mapping[str, NftTable]:
        """The native tables by family and name."""
        return {table.title: table for table in self.nft}

    def has_native(self, hook: str) -> bool:
        """Tell whether a native chain stands at a hook."""
        return any(at == hook for at, _ in self._native_entries)

    def native_nat(self, hook: str) -> list[HookEntry]:
        """Return the nat chains of native tables at a hook, in the order in which they are asked."""
        return sorted(self._native_at(hook, HookKind.NAT), key=attrgetter("priority"))


@dataclass(frozen=True)
class Netns:
    """Everything about one namespace that Linux can print. Tuples keep the order the tools print."""

    name: str
    links: tuple[Link, ...] = ()
    ip4: Family = Family()
    sets: tuple[IpSet, ...] = ()
    sysctls: tuple[Setting, ...] = ()  # only what was written; the rest has the kernel's default
    missing: tuple[Gap, ...] = ()  # parts of the state nobody knows
    unseen: tuple[str, ...] = ()  # parts nobody looked at that seldom decide: said with a verdict

    @cached_property
    def fib(self) -> Fib:
        """Rules, routes and devices, compiled for lookups."""
        return Fib(self.ip4.rules, self.ip4.routes, self.links)

    @cached_property
    def own_addresses(self) -> frozenset[IPv4Address]:
        """The addresses of all devices."""
        return self.fib.own_addresses

    @property
    def dialled_addresses(self) -> list[IPv4Address]:
        """The addresses of its devices that others may dial, in order: all but those of loopback."""
        return [address for address in sorted(self.own_addresses) if not address.is_loopback]

    @cached_property
    def asked_ports(self) -> frozenset[Range]:
        """The ranges of ports that rules ask for, and sets if a rule looks into one: it matters which port NAT draws.

        Of rules of iptables that look alike but for one port or one set, only one is asked.
        """
        chains = (chain for table in self.ip4.by_name.values() for chain in table.chains)
        matches = [match for chain in chains for rule in chain.summary.samples for match in rule.matches]
        ranges = {ports for match in matches for ports in match.asked_ports}
        if any(isinstance(match, InSet) for match in matches):
            ranges.update(ports for ip_set in self.sets for ports in ip_set.asked_ports)
        ranges.update(ports for table in self.ip4.nft if not table.dormant for ports in table.port_ranges)
        return frozenset(ranges)

    @cached_property
    def mtus(self) -> frozenset[int]:
        """The MTUs of its devices and routes, loopback apart; 0 among them if a tunnel takes room for its headers."""
        tunnels = any(link.kind.role is DeviceRole.TUNNEL for link in self.links)
        devices = (link.mtu for link in self.links if not link.is_loopback)
        routes = (mtu for route in self.ip4.routes if route.settings and (mtu := own_mtu(route)))
        return frozenset((*devices, *routes, *([0] if tunnels else [])))

    @cached_property
    def settings(self) -> Mapping[str, Setting]:
        """The sysctls by their keys."""
        return by_key(self.sysctls)

    @cached_property
    def _conf(self) -> dict[tuple[str, str], int]:
        return {}

    def conf(self, name: str, dev: str) -> int:
        """Return the value of net.ipv4.conf.*.NAME that holds for a device; see `mcnilib.linux.sysctl.deciding`."""
        if (name, dev) not in self._conf:
            self._conf[name, dev] = conf(self.settings, name, dev)
        return self._conf[name, dev]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {}

    @property
    def may_filter(self) -> bool:
        """Whether there are rules of netfilter, of any backend, or nobody knows whether there are."""
        return bool(self.ip4.tables or self.ip4.legacy or self.ip4.nft) or any(gap.rules for gap in self.missing)

    def number(self, key: str) -> int:
        """Return the value of a numeric sysctl."""
        if key not in self._numbers:
            self._numbers[key] = get_number(self.settings, key)
        return self._numbers[key]

    @property
    def asked(self) -> tuple[tuple[str, str], ...]:
        """The sysctls that were asked for since this value was made: name and device, or a key and nothing."""
        return *self._conf, *((key, "") for key in self._numbers)

    def but(self, **changes: object) -> Netns:
        """Return the same namespace with some parts replaced."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def with_ip4(self, **changes: object) -> Netns:
        """Return the same namespace with some parts of its IPv4 state replaced."""
        return replace(self, ip4=replace(self.ip4, **changes))  # type: ignore[arg-type]

    def link(self, name: str) -> Link:
        """Return the device called `name`. Raises: NotThere."""
        for link in self.links:
            if link.name == name:
                return link
        raise not_there(mark("device"), name, (link.name for link in self.links), self.name)


def new_netns(name: str) -> Netns:
    """Return a fresh namespace whose `lo` is up."""
    lo = Link(1, "lo", Loopback(), addresses=(Address(IPv4Interface("127.0.0.1/8"), "host"),), mtu=65536, origin=KERNEL)
    return add_link(Netns(name), lo)


def add_link(netns: Netns, link: Link) -> Netns:
    """Add a device with its addresses and the routes the kernel derives from them.

    Raises: Refused (EEXIST) when a device of that name or index is there.
    """
    for existing in netns.links:
        if existing.name == link.name or existing.index == link.index:
            raise Refused(
                tr(
                    "{netns} has a device {index}: {existing}",
                    netns=netns.name,
                    index=existing.index,
                    existing=existing.name,
                ),
                error="EEXIST",
            )
    links = sorted((*netns.links, replace(link, addresses=())), key=lambda x: x.index)
    netns = netns.but(links=tuple(links), sysctls=inherited(netns.sysctls, link.name))
    for address in link.addresses:
        netns = _put_address(netns, link.name, address)
    return netns


def add_address(netns: Netns, dev: str, address: str | Address, *, origin: Origin | None = None) -> Netns:
    """Add an address, as `ip address add 172.16.1.2/16 dev en0`, and the routes that follow from it.

    `origin` is who added it; by default the derived routes name the address they come from.
    Raises: Refused (EEXIST) when the device has the address, (EINVAL) when its subnet is there with another scope.
    """
    if isinstance(address, str):
        interface = IPv4Interface(address)
        address = Address(interface, "host" if interface.ip.is_loopback else "global")
    return _put_address(netns, dev, address, origin)


def _put_address(netns: Netns, dev: str, address: Address, origin: Origin | None = None) -> Netns:
    link = netns.link(dev)
    link = replace(link, addresses=_with_address(link, address))
    return _derive(_with_link(netns, link), link, derived_routes(link, address, origin))


def _with_link(netns: Netns, new: Link) -> Netns:
    return netns.but(links=tuple(new if link.name == new.name else link for link in netns.links))


def _derive(netns: Netns, link: Link, routes: Iterable[Route]) -> Netns:
    """Add what is derived for a device, in the table of its VRF if it has one."""
    table = next((x.kind.l3_table for x in netns.links if x.name == link.master), "")
    own = (replace(route, table=table) for route in routes) if table else routes
    new = [route for route in dict.fromkeys(own) if route not in netns.ip4.routes]
    return _insert(netns, new, "append")


def _with_address(link: Link, new: Address) -> tuple[Address, ...]:
    """Place an address as the kernel does: secondaries last, primaries after those that reach as far.

    Source: __inet_insert_ifa() in net/ipv4/devinet.c.
    """
    shared = [a for a in link.addresses if a.interface.network == new.interface.network]
    if any(a.ip == new.ip for a in shared):
        raise Refused(tr("{link} has the address {interface}", link=link.name, interface=new.interface), error="EEXIST")
    if any(a.scope != new.scope for a in shared):
        raise Refused(
            tr(
                "{link} has another scope for {network} than {scope}",
                link=link.name,
                network=new.interface.network,
                scope=new.scope,
            ),
            error="EINVAL",
        )
    if shared:
        return (*link.addresses, new)
    primaries = set(link.primaries())
    before = [a in primaries and SCOPES[new.scope] <= SCOPES[a.scope] for a in link.addresses]
    index = len(before) - before[::-1].index(True) if True in before else 0
    return (*link.addresses[:index], new, *link.addresses[index:])


def set_link(netns: Netns, dev: str, *, up: bool) -> Netns:
    """Switch a device on or off. Off, it keeps only the routes to its own addresses; on, only derived ones come back.

    Its neighbour entries go, also permanent ones.
    Source: fib_disable_ip(), fib_add_ifaddr() in net/ipv4/fib_frontend.c; neigh_ifdown() in net/core/neighbour.c.
    """
    link = replace(netns.link(dev), up=up)
    routes = tuple(r for r in netns.ip4.routes if up or r.dev != dev or r.type is RouteType.LOCAL)
    neighbours = tuple(entry for entry in netns.ip4.neighbours if up or entry.dev != dev)
    netns = _with_link(netns, link).with_ip4(routes=routes, neighbours=neighbours)
    return _derive(netns, link, (route for address in link.addresses for route in derived_routes(link, address)))


def set_port(netns: Netns, dev: str, **switches: bool) -> Netns:
    """Set switches of a bridge port (see `BridgePort`). Raises: Refused (EOPNOTSUPP) for a device that is none."""
    link = netns.link(dev)
    if not link.master:
        raise Refused(tr("{dev} of {netns} is no port of a bridge", dev=dev, netns=netns.name), error="EOPNOTSUPP")
    return _with_link(netns, replace(link, port=replace(link.port, **switches)))


def add_routes(netns: Netns, *routes: Route, how: str = "add") -> Netns:
    """Add routes one after the other; `how` is the verb of `ip route`: add, append, prepend or replace.

    Replacing puts the route where the first one with its prefix and metric was, or adds it when there is none.
    Raises: Refused (EEXIST) when the table has the prefix with that metric (add) or the very route (append, prepend),
    (ENODEV, ENETDOWN, ENETUNREACH, EINVAL) when the kernel does not take its device, gateway or source.
    """
    for route in routes:
        check_route(netns.fib, route, netns.name)
        netns = _insert(netns, (route,), how)
    return netns


def _insert(netns: Netns, new: tuple[Route, ...] | list[Route], how: str) -> Netns:
    routes = list(netns.ip4.routes)
    keys = [_order(route) for route in routes]
    for route in new:
        key = _order(route)
        first, last = bisect_left(keys, key), bisect_right(keys, key)
        if first < last and (how == "add" or (how != "replace" and route in routes[first:last])):
            raise Refused(
                tr(
                    "table {table} of {netns} has a route to {dst} already",
                    table=route.table,
                    netns=netns.name,
                    dst=route.dst,
                ),
                error="EEXIST",
            )
        at = first if how in ("prepend", "replace") else last
        if how == "replace" and first < last:
            routes[at] = route
            continue
        routes.insert(at, route)
        keys.insert(at, key)
    return netns.with_ip4(routes=tuple(routes))


def _order(route: Route) -> tuple[int, int, int, int, int]:
    """Sort as the kernel dumps: tables by hash, then the trie by destination, longer prefix first, then metric."""
    table = table_id(route.table)
    return table & 255, table, int(route.dst.network_address), -route.dst.prefixlen, route.metric


def del_route(netns: Netns, dst: IPv4Network | str, *, table: str = "main", **given: object) -> Netns:
    """Delete the first route of a table that fits, as `ip route del`; `dst` may be `default`.

    `given` names other fields of the route that must be as said, as `dev="en0"`.
    Raises: Refused (ESRCH) when none fits. Source: fib_table_delete() in net/ipv4/fib_trie.c.
    """
    prefix, routes = IPv4Network("0.0.0.0/0" if dst == "default" else dst), netns.ip4.routes
    for index, route in enumerate(routes):
        fits = route.dst == prefix and route.table == table
        if fits and all(getattr(route, name) == value for name, value in given.items()):
            return netns.with_ip4(routes=routes[:index] + routes[index + 1 :])
    said = {"table": table, "netns": netns.name, "prefix": prefix}
    lack = (
        tr("table {table} of {netns} has no such route to {prefix}", **said)
        if given
        else tr("table {table} of {netns} has no route to {prefix}", **said)
    )
    raise Refused(lack, error="ESRCH")


def add_rule(netns: Netns, rule: Rule) -> Netns:
    """Add a routing rule behind those of the same priority; an unnumbered one gets the number the kernel gives.

    Raises: Refused (EEXIST) when the very rule is there.
    """
    rules = netns.ip4.rules
    if rule.priority == UNNUMBERED:
        second = rules[1].priority if len(rules) > 1 else 0
        rule = replace(rule, priority=max(second - 1, 0))
    if rule in rules:
        raise Refused(tr("{netns} has the rule {rule}", netns=netns.name, rule=rule), error="EEXIST")
    index = bisect_right([existing.priority for existing in rules], rule.priority)
    return netns.with_ip4(rules=(*rules[:index], rule, *rules[index:]))


def add_neigh(netns: Netns, neigh: Neigh) -> Netns:
    """Add a neighbour entry. Raises: Refused (EEXIST) when the device has one for that address."""
    if neigh.dev:
        netns.link(neigh.dev)
    keys = {(entry.ip, entry.dev, entry.state == PROXY) for entry in netns.ip4.neighbours}
    if (neigh.ip, neigh.dev, neigh.state == PROXY) in keys:
        raise Refused(
            tr("{netns} has a neighbour entry for {ip} on {dev}", netns=netns.name, ip=neigh.ip, dev=neigh.dev),
            error="EEXIST",
        )
    return netns.with_ip4(neighbours=(*netns.ip4.neighbours, neigh))


def set_sysctl(netns: Netns, key: str, value: str, origin: Origin | None = None) -> Netns:
    """Write a sysctl, as `sysctl -w key=value`, with what the kernel changes along with it.

    Raises: Unsupported for a key that is not modelled, Refused (EINVAL) for a value out of range.
    """
    devices = {link.name: not link.addresses for link in netns.links}
    return netns.but(sysctls=written(netns.sysctls, Setting(key, value, origin), devices))
