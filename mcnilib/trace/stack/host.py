"""One namespace during a run: its state, which never changes, beside what the run adds: connections and learned
neighbours."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial
from ipaddress import IPv4Address
from typing import NamedTuple

from mcnilib.errors import NoRoute, Unsupported
from mcnilib.language import tr
from mcnilib.linux.chance import Chance
from mcnilib.linux.device.base import Frame
from mcnilib.linux.device.link import Link
from mcnilib.linux.netfilter.conntrack import ConnState, Conntrack, Tracked
from mcnilib.linux.netfilter.conntrack_tcp import Limits
from mcnilib.linux.netfilter.context import BridgePorts, Context, FoundSocket
from mcnilib.linux.netfilter.ipvs.connection import IpvsTable
from mcnilib.linux.netns import Netns
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.fib import Decision
from mcnilib.linux.routing.hop import Hop
from mcnilib.linux.routing.mtu import mtu_locked, route_mtu
from mcnilib.linux.routing.neigh import PROXY
from mcnilib.linux.routing.route import Query, Route
from mcnilib.linux.routing.source import rpfilter_passes, source_address
from mcnilib.trace.stack.ethernet import wire_of
from mcnilib.world.world import World


@dataclass(frozen=True, slots=True)
class Arrival:
    """The packet stands at the input of `link` in `netns`."""

    netns: str
    link: Link
    skb: Skb


@dataclass(frozen=True, slots=True)
class AtPort:
    """The packet stands at the input of a bridge port in `netns`, in a frame; iptables sees it before the bridge."""

    netns: str
    port: Link
    frame: Frame
    skb: Skb


@dataclass(frozen=True, slots=True)
class Departure:
    """The packet is about to leave `netns` as its own: OUTPUT comes next.

    `dev`: it is handed over by a child of that device, and may only leave by it.
    """

    netns: str
    skb: Skb
    dev: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The packet reached the transport layer of `netns`."""

    netns: str
    skb: Skb
    iif: str


Position = Arrival | AtPort | Departure | Delivery | None

_CT = "net.netfilter.nf_conntrack_"

FORWARD_PMTU = "net.ipv4.ip_forward_use_pmtu"

_HOP_POLICIES = {"net.ipv4.fib_multipath_use_neigh": ("0",), "net.ipv4.fib_multipath_hash_policy": ("0", "1")}
"""Settings that choose among next hops, with the values that are modelled."""


class Skb:
    """A packet on its way through namespaces, with what Linux keeps beside it (struct sk_buff)."""

    __slots__ = (
        *("any_source", "bad_checksum", "by_icmp", "ipvs", "l3mdev", "local", "packet", "ports"),
        *("socket", "tracked", "txhash", "unbound"),
    )

    def __init__(
        self,
        packet: Packet,
        tracked: Tracked | None = None,
        *,
        unbound: bool = False,
        by_icmp: bool = False,
        any_source: bool = False,
        txhash: int = 0,
        l3mdev: str = "",
    ) -> None:
        """Start with what the sender attached; `tracked` is set only by replies netfilter itself sends.

        `unbound`: the lookup that chose the source was the only one, so no rule `from` that source was asked.
        `by_icmp`: the kernel's own ICMP socket sends it, alone or in a tunnel of the same namespace.
        `any_source`: netfilter or a transparent socket sends it, from whichever address it was asked at.
        `txhash` is what the socket adds to the flow's hash, another after each timeout (sk_rethink_txhash()).
        `l3mdev` is the VRF of the socket that sends it, or of the device it came by; empty: it is in none.
        Set on the way: `bad_checksum`, the UDP checksum is wrong; `local`, its route is of type local (RTCF_LOCAL);
        `ipvs`, IPVS rewrote it, and looks at it no more (ipvs_property);
        `socket`, whose it is since TPROXY said so; `ports`, the bridge ports iptables knows of. Of what REJECT sends,
        they say by which port it goes back (see `icmp`).
        """
        self.ports: BridgePorts | None = None
        self.bad_checksum = self.local = self.ipvs = False
        self.packet, self.tracked, self.unbound = packet, tracked, unbound
        self.socket: FoundSocket | None = None
        self.by_icmp, self.any_source, self.txhash, self.l3mdev = by_icmp, any_source, txhash, l3mdev


SocketFinder = Callable[["Host", Packet, str, bool], FoundSocket | None]
"""Finds the socket of a namespace for a packet, by which device it came, listening or not."""


class LearnedEndpoint(NamedTuple):
    """Where a peer of WireGuard was when it sent last, and at which address and device its packet came in."""

    address: IPv4Address
    port: int
    own: IPv4Address
    iif: str


class Host:
    """A network namespace at run time."""

    def __init__(self, netns: Netns, chance: Chance, sockets: SocketFinder | None = None) -> None:
        """Index the namespace's state; `chance` answers what the kernel leaves to it, `sockets` who has a socket."""
        self.netns, self.name, self.chance = netns, netns.name, chance
        self.sysctls = netns.sysctls
        self.links: dict[str, Link] = {link.name: link for link in netns.links}
        self.tables = netns.ip4.by_name
        self.registered: dict[tuple[str, str], bool] = {}  # (hook, table): iptables-legacy's was last, and comes first
        self.sets = {s.name: s for s in netns.sets}
        self.connections = Conntrack(self._limits() if netns.ip4.tracks else Limits(), self._timeout)
        self.virtual = IpvsTable()
        self.silence: dict[IPv4Address, tuple[float, float]] = {}  # of ICMP: seconds a peer has saved, and when
        self.errors_sent = (0, -1.0)  # ICMP errors within a second, and since when
        self.memory: dict[object, tuple[object, object]] = {}  # of matches such as limit
        self.neighbours: dict[tuple[str, IPv4Address], str] = {}  # learned by ARP during the run
        self.unconfirmed: set[IPv4Address] = set()  # asked by ARP and silent, or known only because they asked
        self.endpoints: dict[tuple[str, str], LearnedEndpoint] = {}  # of WireGuard: (device, key of the peer)
        self.learned_mtus: dict[tuple[Route, IPv4Address], tuple[int, bool]] = {}  # MTU, locked
        self.aged: frozenset[IPv4Address] = frozenset()  # of these, those that were so when the run before this ended
        self._hops: dict[tuple[Route, IPv4Address, IPv4Address], Hop] = {}  # chosen for source and destination
        self._address_type = netns.fib.address_type
        self._reverse_path = partial(rpfilter_passes, netns)
        self._sockets = partial(sockets, self) if sockets else None

    @cached_property
    def ttl(self) -> int:
        """The time to live of the namespace's own packets."""
        return self.number("net.ipv4.ip_default_ttl")

    def remember(self, past: Host) -> None:
        """Go on with what another run left behind, which stays as it is: connections, neighbours, memories."""
        self.connections.copy(past.connections)
        self.virtual.copy(past.virtual)
        self.memory = {key: (owner, deepcopy(kept)) for key, (owner, kept) in past.memory.items()}
        self.neighbours, self.unconfirmed = dict(past.neighbours), set(past.unconfirmed)
        self.aged = frozenset(past.unconfirmed)
        self.learned_mtus, self.endpoints = dict(past.learned_mtus), dict(past.endpoints)

    def flag(self, key: str) -> bool:
        """Read a 0/1 sysctl."""
        return self.netns.number(key) != 0

    def number(self, key: str) -> int:
        """Read a numeric sysctl."""
        return self.netns.number(key)

    def conf(self, name: str, dev: str) -> int:
        """Read net.ipv4.conf.*.name as the kernel combines `all` and the device."""
        return self.netns.conf(name, dev)

    def context(self, hook: str, skb: Skb, iif: str, oif: str, now: float) -> Context:
        """Describe where and when the packet stands, for the rules of one table."""
        tracked = skb.tracked
        return Context(
            hook=hook,
            iif=iif,
            oif=oif,
            ctstate=(tracked.state if tracked else None) or ConnState.INVALID,
            fresh=tracked is None or tracked.state is ConnState.INVALID,
            reply=tracked.reply if tracked else False,
            entry=self.connections[tracked.number] if tracked and tracked.number else None,
            sets=self.sets,
            address_type=self._address_type,
            reverse_path=self._reverse_path,
            path_mtu=self._mtu_there_and_back,
            sockets=self._sockets,
            first_address=self._first_address,
            chance=self.chance,
            now=now,
            memory=self.memory,
            ports=skb.ports,
        )

    def route(self, query: Query) -> Decision:
        """Choose rule and route of a packet; of default routes that take turns, one by chance. Raises: NoRoute."""
        fib = self.netns.fib
        decision = fib.lookup(query)
        if decision.route.hops:
            return decision._replace(route=decision.route.by(self._hop(decision.route, query)))
        if fib.equal_defaults and decision.route in fib.equal_defaults and not query.oif:
            return decision._replace(route=self._select_default(decision.route))
        return decision

    def _hop(self, route: Route, query: Query) -> Hop:
        """Take one of a route's next hops: what the hash of source and destination, with a seed nobody knows, chooses.

        A lookup by a device takes the first by it; of the machine's own packets those with the address of a hop's
        device take that hop (Linux 6.16). Source: fib_select_path(), fib_select_multipath() in
        net/ipv4/fib_semantics.c, fib_multipath_hash() in net/ipv4/route.c. Raises: NoRoute where none is up;
        Unsupported where settings make other things decide.
        """
        hops = [hop for hop in self.netns.fib.alive(route) if query.oif in ("", hop.dev)]
        if not hops:
            raise NoRoute(tr("no next hop of {route} is up", route=str(route).strip()), line=route)
        if query.iif == "lo":
            own = (hop for hop in hops if source_address(self.netns, hop.dev, hop.via, route.scope) == query.src)
            hops = list(own) or hops
        if query.oif or len(hops) == 1:
            return hops[0]
        key = route, query.src, query.dst
        if key not in self._hops:
            self._refuse_policies()
            self._hops[key] = hops[self._pick_hop(hops, query.dst)]
        return self._hops[key]

    def _pick_hop(self, hops: list[Hop], dst: IPv4Address) -> int:
        whole = sum(hop.weight for hop in hops)
        question = tr("the next hop that {name} takes to {dst}", name=self.name, dst=dst)
        options = [tr("is `{hop}`", hop=hop) for hop in hops]
        return self.chance.pick(question, options, [hop.weight / whole for hop in hops])

    def _refuse_policies(self) -> None:
        for key, modelled in _HOP_POLICIES.items():
            setting = self.netns.settings.get(key)
            if setting and setting.value not in modelled:
                raise Unsupported(tr("{setting} on {name}, which chooses a next hop", setting=setting, name=self.name))

    def _select_default(self, first: Route) -> Route:
        """Take the first route while nothing speaks against its gateway, then any of its metric.

        Source: fib_select_default(), fib_detect_death().
        """
        written = any((x.ip, x.dev) == (first.via, first.dev) and x.state != PROXY for x in self.netns.ip4.neighbours)
        if not (written or first.doubt or first.via in self.unconfirmed):
            return first
        defaults = (route for route in self.netns.ip4.routes if route in self.netns.fib.equal_defaults)
        equal = [route for route in defaults if (route.table, route.metric) == (first.table, first.metric)]
        options = [tr("is {route}", route=str(route).strip()) for route in equal]
        return equal[self.chance.pick(tr("the default route {name} takes", name=self.name), options)]

    def path_mtu(self, decision: Decision, dst: IPv4Address, *, forwarded: bool = False) -> int:
        """Return the longest packet to an address by a route, in bytes; what was learned of the path counts.

        For packets that are forwarded it does not, unless the sysctl says so. Source: ip_dst_mtu_maybe_forward().
        """
        route = decision.route
        learned, locked = self.learned_mtus.get((route, dst), (0, False))
        if learned and (not forwarded or locked or mtu_locked(route) or self.flag(FORWARD_PMTU)):
            return learned
        return route_mtu(route, self.links[decision.device])

    def _mtu_there_and_back(self, packet: Packet, iif: str, oif: str) -> int:
        """Return the smaller MTU of a packet's own route and of that to its source. Source: xt_TCPMSS.c.

        Raises: Unsupported where the packet does not leave by the route that is found now.
        """
        there = self.route(Query(packet.dst, packet.src, iif or "lo", mark=packet.mark))
        if there.device != oif:
            raise Unsupported(
                tr(
                    "TCPMSS on {name}, for a packet that does not leave by {device}",
                    name=self.name,
                    device=there.device,
                )
            )
        back = self.route(Query(packet.src))
        return min(self.path_mtu(there, packet.dst), self.path_mtu(back, packet.src))

    def has_connection(self, packet: Packet, iif: str) -> bool:
        """Tell whether a TCP segment is for a connection here: it is known before the routes are asked.

        Source: tcp_v4_early_demux(), ip_forward().
        """
        return bool(packet.tcp and self._sockets and self._sockets(packet, iif, False))

    def _first_address(self, dev: str) -> IPv4Address | None:
        return next((address.ip for address in self.links[dev].primaries()), None)

    def rewrites(self, skb: Skb) -> bool:
        """Tell whether NAT changes the packets of the connection this one belongs to."""
        if not (skb.tracked and skb.tracked.number):
            return False
        entry = self.connections[skb.tracked.number]
        return entry.snat or entry.dnat

    def has_rules(self, *hooks: str) -> bool:
        """Tell whether iptables or nftables may do something to a packet at one of these hooks."""
        chains = (table.by_name.get(hook) for table in self.tables.values() for hook in hooks)
        return any(chain and not chain.idle for chain in chains) or any(map(self.netns.ip4.has_native, hooks))

    def is_local(self, ip: IPv4Address) -> bool:
        """Tell whether the address is one of this namespace's own."""
        return self._address_type(ip) == "LOCAL" or (bool(self.netns.fib.vrf_of) and ip in self.netns.own_addresses)

    def _limits(self) -> Limits:
        return Limits(
            be_liberal=self.flag(_CT + "tcp_be_liberal"),
            loose=self.flag(_CT + "tcp_loose"),
            ignore_invalid_rst=self.flag(_CT + "tcp_ignore_invalid_rst"),
            max_retrans=self.number(_CT + "tcp_max_retrans"),
        )

    def _timeout(self, name: str) -> float:
        """Return one of conntrack's timeouts, in seconds."""
        return float(self.netns.number(_CT + name))


class Emission(NamedTuple):
    """A packet a namespace's IP layer sends by itself: an ICMP error, a RST, an echo reply.

    `after` delays it by seconds.
    """

    netns: str
    skb: Skb
    after: float = 0.0


class Hosts(dict[str, Host]):
    """The namespaces of a run by name, each woken up when the first packet gets there."""

    def __init__(self, world: World, chance: Chance) -> None:
        """Remember the world; nobody is awake yet, and nobody has a socket."""
        super().__init__()
        self._world, self._chance = world, chance
        self.sockets: SocketFinder | None = None

    def __missing__(self, name: str) -> Host:
        netns = self._world[name]
        for gap in netns.missing:
            if not gap.rules:
                gap.meet(netns=name)
        host = self[name] = Host(netns, self._chance, self._find)
        return host

    def _find(self, host: Host, packet: Packet, iif: str, listening: bool) -> FoundSocket | None:
        return self.sockets(host, packet, iif, listening) if self.sockets else None


class Redirected(NamedTuple):
    """An ICMP redirect: which router sent it first, to which gateway, and when, in seconds."""

    router: str
    gateway: IPv4Address
    since: float


class Network:
    """Everything that lives as long as one run, and what the next one goes on with."""

    def __init__(self, world: World, chance: Chance, past: Network | None = None) -> None:
        """Wake the world up: fresh conntrack tables, empty ARP caches, time 0; or all of it as `past` has left it.

        The world of the past may differ in what was typed since then.
        """
        self.hosts, self.chance = Hosts(world, chance), chance
        self.wire = wire_of(world)
        self.now = 0.0
        self.outbox: list[Emission] = []
        self.held = 0  # conversations before this one; each of their sockets had a hash of its own: sk_set_txhash()
        self.redirected: dict[tuple[IPv4Address, IPv4Address], Redirected] = {}  # (source, destination)
        if past:
            self._go_on(past)

    def _go_on(self, past: Network) -> None:
        self.now, self.held, self.redirected = past.now, past.held + 1, dict(past.redirected)
        for name, host in past.hosts.items():
            self.hosts[name].remember(host)
