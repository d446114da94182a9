"""A world: network namespaces and the switch segments their physical NICs are plugged into.

It holds state only; what happens during a run (conntrack, ARP learning, sockets) belongs to the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface
from typing import Any, TypeVar

from mcnilib.language import mark
from mcnilib.linux.netns import Netns
from mcnilib.linux.text import not_there

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Port:
    """A switch port: the NIC `link` of namespace `netns` is plugged in here."""

    netns: str
    link: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """The router of a segment, where nobody collected it: its address there, and lines of `ip route` beyond its subnet.

    An address without a length (/32) has that of the collected addresses of its subnet.
    """

    address: IPv4Interface
    routes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Speaker:
    """A program that answers ARP for an address on a device, whatever the kernel there would say.

    Source: internal/layer2/arp.go of MetalLB 0.14: it reads requests from a raw socket of each device.
    """

    address: IPv4Address
    port: Port


@dataclass(frozen=True, slots=True)
class Segment:
    """An Ethernet switch. `reflects` (hairpin): a frame may leave by the port it came in on (IEEE 802.1Qbg).

    `uplink`: something is plugged in that is no part of the world. `gateway`: the router that leads further, as it was
    told. `speakers`: programs that answer ARP there, which no listing shows.
    """

    name: str
    ports: tuple[Port, ...]
    reflects: bool = False
    uplink: bool = False
    gateway: Gateway | None = None
    speakers: tuple[Speaker, ...] = ()


@dataclass(frozen=True)
class World:
    """All namespaces, in a fixed order, and the segments between them.

    `complete`: a NIC in no segment has no cable. Otherwise nobody knows where its cable leads.
    """

    namespaces: tuple[Netns, ...]
    segments: tuple[Segment, ...] = ()
    complete: bool = True

    def __getitem__(self, name: str) -> Netns:
        """Return the namespace called `name`. Raises: NotThere."""
        if namespace := self._named.get(name):
            return namespace
        raise not_there(mark("network namespace"), name, (netns.name for netns in self.namespaces))

    def __iter__(self) -> Iterator[Netns]:
        return iter(self.namespaces)

    def put(self, netns: Netns) -> World:
        """Return the world with the namespace of that name replaced, or added at the end."""
        names = [n.name for n in self.namespaces]
        if netns.name not in names:
            return replace(self, namespaces=(*self.namespaces, netns))
        return replace(self, namespaces=tuple(netns if n.name == netns.name else n for n in self.namespaces))

    def segment_of(self, netns: str, link: str) -> Segment | None:
        """Find the segment a NIC is plugged into; None when the cable hangs loose."""
        return self.by_port.get(Port(netns, link))

    def derived(self, make: Callable[[World], T]) -> T:
        """Return what `make` makes of the world: at the first use, and then the same as long as the world is there."""
        if make not in self._derived:
            self._derived[make] = make(self)
        made: T = self._derived[make]
        return made

    @cached_property
    def _derived(self) -> dict[Callable[[World], Any], Any]:
        return {}

    @cached_property
    def _named(self) -> dict[str, Netns]:
        return {netns.name: netns for netns in reversed(self.namespaces)}

    @cached_property
    def by_port(self) -> dict[Port, Segment]:
        """The segment of each NIC that is plugged into one."""
        return {port: segment for segment in reversed(self.segments) for port in segment.ports}
