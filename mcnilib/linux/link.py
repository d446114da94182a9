"""Network devices as `ip -d address show` prints them: kinds, addresses, and where their other end stands.

Modelled kinds: loopback, physical (a port on a switch segment), veth, macvlan, bridge, vxlan, ipip. Any other kind
raises `Unsupported`. Frame delivery between devices is in `mcnilib.trace.wire`. Source: ip-link(8), ip-address(8).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface

from mcnilib.linux.origin import Origin

NO_MAC = "00:00:00:00:00:00"


@dataclass(frozen=True, slots=True)
class Far:
    """The device at the other end of a veth, or below a macvlan: `index` in network namespace `netns`."""

    netns: str
    index: int


@dataclass(frozen=True, slots=True)
class Loopback:
    """`lo`: what is sent arrives in the same namespace."""


@dataclass(frozen=True, slots=True)
class Physical:
    """A NIC; the world's segments say which switch it is plugged into."""


@dataclass(frozen=True, slots=True)
class Veth:
    """One end of a pair; a frame sent here arrives at the peer."""

    peer: Far


@dataclass(frozen=True, slots=True)
class Macvlan:
    """A child of a lower device. `mode` is bridge, private, vepa or passthru."""

    lower: Far
    mode: str = "bridge"


@dataclass(frozen=True, slots=True)
class Bridge:
    """A software switch; its ports are the links whose `master` is its name."""


@dataclass(frozen=True, slots=True)
class Vxlan:
    """A VXLAN device with a static forwarding database: MAC -> remote tunnel end."""

    vni: int
    local: IPv4Address
    dev: str
    port: int = 4789
    fdb: tuple[tuple[str, IPv4Address], ...] = ()


@dataclass(frozen=True, slots=True)
class Ipip:
    """An IP-in-IP device without fixed remote: the route's gateway is the outer destination."""

    local: IPv4Address | None = None
    remote: IPv4Address | None = None


Kind = Loopback | Physical | Veth | Macvlan | Bridge | Vxlan | Ipip


@dataclass(frozen=True, slots=True)
class Address:
    """One IPv4 address of a link with its prefix length; scope as `ip` prints it (global, site, link, host).

    `broadcast` is the address printed after `brd`; None when nobody set one, which is what `ip address add` does.
    """

    interface: IPv4Interface
    scope: str = "global"
    broadcast: IPv4Address | None = None

    @property
    def ip(self) -> IPv4Address:
        """The address without its prefix length."""
        return self.interface.ip


@dataclass(frozen=True, slots=True)
class Link:
    """One network device. Indexes are unique per namespace and give the order of registration."""

    index: int
    name: str
    kind: Kind = Physical()
    mac: str = NO_MAC
    addresses: tuple[Address, ...] = ()
    up: bool = True
    mtu: int = 1500
    master: str = ""  # the bridge this device is a port of
    by: Origin | None = field(default=None, compare=False)

    def primary(self, address: Address) -> Address:
        """Return the address whose subnet the given one shares: itself, unless it is printed as `secondary`."""
        same = (a for a in self.addresses if a.interface.network == address.interface.network)
        return next(same, address)

    @property
    def has_arp(self) -> bool:
        """Tell whether neighbours are resolved on this device (false: NOARP, loopback and IPIP)."""
        return not isinstance(self.kind, Loopback | Ipip)
