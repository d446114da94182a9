"""A World in real network namespaces: built, changed into another world, read back.

Everything happens in one process that has left the host's network (see `syscalls.leave_host`);
`kernel.lab.workers` starts it. Physical NICs become veth cables to a switch namespace with one bridge per segment.
Tables, rules, routes and sysctls are loaded as the text the World prints.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from fcntl import ioctl

from mcnilib.errors import McniError
from mcnilib.kernel.lab import commands, devices, reconfigure, sysctls
from mcnilib.kernel.lab.behind import l3, speaker
from mcnilib.kernel.lab.syscalls import in_netns, make_netns
from mcnilib.kernel.lab.tools import (
    BRIDGE,
    IP,
    IPSET,
    IPTABLES,
    IPTABLES_LEGACY,
    IPVSADM,
    NFT,
    Running,
    finish_all,
    start,
)
from mcnilib.kernel.observe.capture import Watch, open_watch
from mcnilib.kernel.observe.netlink import add_counter
from mcnilib.linux.netns import Netns
from mcnilib.linux.routing.fib import equal_defaults
from mcnilib.linux.routing.neigh import PROXY
from mcnilib.trace.stack.ethernet import Wire, wire_of
from mcnilib.world.world import World

SIOCGIFFLAGS, IFF_RUNNING = 0x8913, 0x40

READY_WITHIN = 5.0
"""Seconds within which all devices must have a carrier."""

ERROR_BURST = 4
"""No-route errors after which a lab is built anew: a router sends five, then one a second. Source: ip_error()."""

_Pair = tuple[Netns, Netns]
"""A namespace as it is and as it shall be."""


class Lab:
    """The namespaces of one world. `home` is the open file of this process's own, empty namespace."""

    def __init__(self, home: int) -> None:
        """Start without namespaces; `realise` makes them."""
        self.home = home
        self.world = World(())
        self.watches: dict[str, Watch] = {}
        self.errors = 0  # no-route errors sent since the lab was built
        self.conversations = 0  # held in this lab so far
        self._netns: dict[str, int] = {}
        self._programs: list[l3.Carrier | speaker.Speakers] = []

    def realise(self, world: World) -> None:
        """Turn the lab into another world: change what differs if the devices are the same, else build anew.

        What fails half-way leaves no namespaces behind: nobody shall measure in half a world.
        """
        try:
            self._realise(world)
        except BaseException:
            self.clear()
            raise

    def _realise(self, world: World) -> None:
        if not same_topology(self.world, world) or self.errors > ERROR_BURST or needs_fresh_lab(world):
            self.clear()
            self._build(world)
            return
        pairs = [(self.world[netns.name], netns) for netns in world]
        self.world = world
        self._configure([(old, new) for old, new in pairs if old != new])

    def running(self) -> frozenset[tuple[str, str]]:
        """Return the devices, each with its namespace, that are up and have a carrier at this moment."""
        up = []
        for name in self.watches:
            with self.inside(name), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                up += [(name, dev) for _, dev in socket.if_nameindex() if _running(sock, dev)]
        return frozenset(up)

    def places(self) -> dict[str, str]:
        """Return the file by which other programs find each namespace, as long as this process lives."""
        return {name: f"/proc/{os.getpid()}/fd/{descriptor}" for name, descriptor in self._netns.items()}

    def clear(self) -> None:
        """Give all namespaces back to the kernel."""
        for watch in self.watches.values():
            watch.close()
        for program in self._programs:
            program.close()
        self._programs = []
        for descriptor in self._netns.values():
            os.close(descriptor)
        self._netns, self.watches, self.world, self.errors = {}, {}, World(()), 0

    def run(self, netns: str, *argv: str, text: str = "") -> str:
        """Run a program in a namespace to its end and return what it prints."""
        return finish_all([self.start(netns, *argv, text=text)])[0]

    def start(self, netns: str, *argv: str, text: str = "") -> Running:
        """Start a program in a namespace; `tools.finish` collects it."""
        return start(netns, self._netns[netns], self.home, argv, text)

    def inside(self, netns: str) -> AbstractContextManager[None]:
        """Return a context in which this thread is in the namespace."""
        return in_netns(self._netns[netns], self.home)

    def _build(self, world: World) -> None:
        """Make namespaces, devices, addresses; then everything that can also be changed later."""
        self.world = world
        for name in (devices.SWITCH, *(netns.name for netns in world)):
            self._netns[name] = make_netns(self.home)
            with self.inside(name):
                sysctls.baseline()
        standing = self._make_way(world)
        for home, lines in devices.in_order(devices.makings(world, self._place, standing)):
            self.run(home, *IP, text="\n".join(lines))
        self._open(world)
        self._address(world)
        for netns in world:
            with self.inside(netns.name):
                sysctls.answer_at_once(netns)
        self._await_carriers(world)
        self._speak(world)
        for netns in world:
            with self.inside(netns.name):
                self.watches[netns.name] = open_watch(netns.name)
        self._configure([(reconfigure.empty(netns), netns) for netns in world])

    def _open(self, world: World) -> None:
        """Start the programs of tun devices, and tell WireGuard devices their peers."""
        pairs = []
        for ends in l3.carried(world):
            descriptors = []
            for port in ends:
                with self.inside(port.netns):
                    descriptors.append(l3.opened(port.link))
            pairs.append((descriptors[0], descriptors[1]))
        self._programs += [l3.Carrier(pairs)] if pairs else []
        for netns, argv, text in l3.peer_commands(world, self.run):
            self.run(netns, *argv, text=text)

    def _speak(self, world: World) -> None:
        """Start the programs that answer ARP."""
        sockets = {}
        for each in (each for segment in world.segments for each in segment.speakers):
            with self.inside(each.port.netns):
                sockets[each] = speaker.listening(each.port.link)
        self._programs += [speaker.Speakers(sockets)] if sockets else []

    def _make_way(self, world: World) -> dict[str, list[str]]:
        """Return the devices that namespaces have got by themselves, once none has a name the World wants."""
        by_netns: dict[str, list[str]] = {}
        for name, text in devices.loading(world):
            self.run(name, *IP, text=text)
        for netns in world:
            with self.inside(netns.name):
                by_netns[netns.name] = [name for _, name in socket.if_nameindex() if name != "lo"]
            if lines := devices.out_of_the_way(netns, by_netns[netns.name]):
                self.run(netns.name, *IP, text="\n".join(lines))
        return by_netns

    def _place(self, netns: str) -> str:
        return f"/proc/self/fd/{self._netns[netns]}"

    def _address(self, world: World) -> None:
        """Bring devices up and address them; the lower devices of macvlan children first."""
        below = {child.lower.netns for netns in world for link in netns.links if (child := link.kind.child)}
        for wave in (below, {netns.name for netns in world} - below):
            self._each((netns for netns in world if netns.name in wave), IP, commands.address_lines)
        self._each(world, BRIDGE, commands.forwarding_database)

    def _configure(self, pairs: list[_Pair]) -> None:
        """Change routes and rules beside netfilter, in all namespaces at once; then sysctls it brings."""
        for _, new in pairs:
            with self.inside(new.name):
                for counter in reconfigure.accounting_objects(new):
                    add_counter(counter)
        pending = self._begin(pairs, IP, commands.routing_changes)
        finish_all(self._begin(pairs, NFT, reconfigure.clearing))
        finish_all(self._begin(pairs, IPSET, reconfigure.set_changes))
        pending += self._begin(pairs, IPTABLES, reconfigure.table_changes)
        finish_all(pending)
        finish_all(self._begin(pairs, IPTABLES_LEGACY, reconfigure.legacy_changes))
        finish_all(self._begin(pairs, NFT, reconfigure.native_changes))
        finish_all(self._begin(pairs, IPVSADM, reconfigure.virtual_server_changes))
        for old, new in pairs:
            with self.inside(new.name):
                sysctls.change_sysctls(old, new)
                self.watches[new.name].rules = reconfigure.rules_by_handle(new)
                self.watches[new.name].bases = reconfigure.base_chains(new)

    def _begin(self, pairs: list[_Pair], argv: tuple[str, ...], text: Callable[[Netns, Netns], str]) -> list[Running]:
        texts = [(new.name, text(old, new)) for old, new in pairs]
        return [self.start(name, *argv, text=batch) for name, batch in texts if batch]

    def _each(self, namespaces: Iterable[Netns], argv: tuple[str, ...], lines: Callable[[Netns], list[str]]) -> None:
        texts = [(netns.name, "\n".join(lines(netns))) for netns in namespaces]
        finish_all([self.start(name, *argv, text=text) for name, text in texts if text])

    def _await_carriers(self, world: World) -> None:
        """Wait until every device that can have a carrier has it, which is a moment after the cable is there."""
        deadline = time.monotonic() + READY_WITHIN
        wire = wire_of(world)
        for netns in world:
            with self.inside(netns.name):
                self._await_one(netns, wire, deadline)

    @staticmethod
    def _await_one(netns: Netns, wire: Wire, deadline: float) -> None:
        names = [link.name for link in netns.links if wire.has_carrier(netns.name, link)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while names := [name for name in names if not _running(sock, name)]:
                if time.monotonic() > deadline:
                    raise McniError(f"no carrier on {', '.join(names)} in {netns.name} after {READY_WITHIN:g} s")
                time.sleep(0.001)


def needs_fresh_lab(world: World) -> bool:
    """Tell whether what a namespace has been before decides, which a fresh lab has not.

    Default routes take turns by what ARP learned; once there was a rule, the tables local and main stay apart; and
    whoever was told of an error is not told again soon; all that IPIP carries is one connection to conntrack.
    Source: fib_unmerge() in net/ipv4/fib_frontend.c.
    """
    return any(equal_defaults(n.ip4.routes) or _apart(n) or sysctls.limits(n) or _shares_a_tunnel(n) for n in world)


def _shares_a_tunnel(netns: Netns) -> bool:
    return netns.ip4.tracks and any(link.kind.tunnel and not link.kind.tunnel.udp_port for link in netns.links)


def _apart(netns: Netns) -> bool:
    return netns.ip4.has_custom_local_routes and not netns.fib.custom


ARP = re.compile(r"\.(arp|proxy_arp)\w*$")
"""Sysctls that decide who answers ARP, and to whom."""


def same_topology(one: World, other: World) -> bool:
    """Tell whether two worlds have the same devices and cabling, and answer ARP alike: what it learned stays."""
    return one.segments == other.segments and _parts(one) == _parts(other) != []


def _parts(world: World) -> list[tuple[object, ...]]:
    return [(n.name, n.links, *_answering(n)) for n in world]


def _answering(netns: Netns) -> Iterator[object]:
    """Yield what makes a namespace answer ARP or not, beside its addresses."""
    yield from (entry for entry in netns.ip4.neighbours if entry.state == PROXY)
    yield from (setting for setting in netns.sysctls if ARP.search(setting.key))


def _running(sock: socket.socket, name: str) -> bool:
    answer = ioctl(sock, SIOCGIFFLAGS, struct.pack("16sH14x", name.encode(), 0))
    return bool(struct.unpack_from("H", answer, 16)[0] & IFF_RUNNING)
