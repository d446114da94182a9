"""The network of one run: its hosts, its cabling, its clock, and what its IP layers want to send."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from mcnilib.errors import Unknown
from mcnilib.linux.chance import Chance
from mcnilib.trace.host import Host, Skb
from mcnilib.trace.wire import wire_of
from mcnilib.world.world import World


@dataclass(frozen=True, slots=True)
class Emission:
    """A packet a namespace's IP layer sends by itself: an ICMP error, a RST, an echo reply.

    `after` delays it by seconds.
    """

    netns: str
    skb: Skb
    after: float = 0.0


class Hosts(dict[str, Host]):
    """The namespaces of a run by name, each woken up when the first packet gets there."""

    def __init__(self, world: World, chance: Chance) -> None:
        """Remember the world; nobody is awake yet."""
        super().__init__()
        self._world, self._chance = world, chance

    def __missing__(self, name: str) -> Host:
        netns = self._world[name]
        for gap in netns.missing:
            if not gap.rules:
                raise Unknown(gap.why, collect=gap.collect, netns=name)
        host = self[name] = Host(netns, self._chance)
        return host


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
        self.redirected: dict[tuple[IPv4Address, IPv4Address], str] = {}  # (source, destination): by which router
        if past:
            self._go_on(past)

    def _go_on(self, past: Network) -> None:
        self.now, self.held, self.redirected = past.now, past.held + 1, dict(past.redirected)
        for name, host in past.hosts.items():
            self.hosts[name].remember(host)
