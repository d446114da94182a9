"""Network devices as `ip -d address show` prints them: kinds, addresses, and where their other end stands.

Modelled kinds: loopback, physical (a port on a switch segment), veth, macvlan, bridge, vxlan, ipip. Any other kind
raises `Unsupported`. Reading the tool's output is in `link_parse`, frame delivery between devices in
`mcnilib.trace.stack.ethernet`. Source: ip-link(8), ip-address(8), iproute2 6.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NamedTuple

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
class Station:
    """An entry of a bridge's forwarding database: frames for `mac` go out of `port`.

    `state`: permanent (the bridge keeps such frames itself), static, or empty for one that was learned. Unless it is
    `sticky`, an entry moves when a frame of that MAC comes in by another port.
    """

    mac: str
    port: str
    state: str = "static"
    sticky: bool = False


@dataclass(frozen=True, slots=True)
class Bridge:
    """A software switch; its ports are the links whose `master` is its name.

    `fdb` leaves out the entries the kernel makes for the MACs of the bridge and its ports.
    """

    fdb: tuple[Station, ...] = ()


@dataclass(frozen=True, slots=True)
class Vxlan:
    """A VXLAN device with a static forwarding database: MAC -> remote tunnel end.

    `udpcsum`: its UDP headers have a checksum, as they do unless the device was made with `noudpcsum`.
    """

    vni: int
    local: IPv4Address
    dev: str
    port: int = 4789
    fdb: tuple[tuple[str, IPv4Address], ...] = ()
    udpcsum: bool = True


@dataclass(frozen=True, slots=True)
class Ipip:
    """An IP-in-IP device; without a fixed remote the route's gateway is the outer destination."""

    local: IPv4Address | None = None
    remote: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class Opaque:
    """A device of a kind that is not modelled; `why` names it. Nobody knows what becomes of a packet sent there.

    `lower` is the device below it, when that one hands its packets over.
    """

    why: str
    lower: Far | None = None


Kind = Loopback | Physical | Veth | Macvlan | Bridge | Vxlan | Ipip | Opaque


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


class Hidden(NamedTuple):
    """A device that stands on another one, or may, and is not known; an empty `mac` may be any. See `hidden`."""

    mac: str
    why: str
    collect: str


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
    carrier: bool = True  # false: its cable has nothing at the other end, or it is kept down (protodown)
    hidden: tuple[Hidden, ...] = ()  # who else may take its frames
    egress: str = ""  # why nobody knows what becomes of packets that leave by it: its queueing discipline
    by: Origin | None = field(default=None, compare=False)

    def primary(self, address: Address) -> Address:
        """Return the address whose subnet the given one shares: itself, unless it is printed as `secondary`."""
        same = (a for a in self.addresses if a.interface.network == address.interface.network)
        return next(same, address)

    def primaries(self) -> tuple[Address, ...]:
        """Return the addresses that are not printed as `secondary`: the first of each subnet."""
        first: dict[IPv4Network, Address] = {}
        for address in self.addresses:
            first.setdefault(address.interface.network, address)
        return tuple(first.values())

    @property
    def has_arp(self) -> bool:
        """Tell whether neighbours are resolved on this device (false: NOARP, loopback and IPIP)."""
        return not isinstance(self.kind, Loopback | Ipip)


def print_links(links: Iterable[Link], netns: str = "") -> str:
    """Print links as `ip -d address show` does in network namespace `netns`."""
    every = tuple(links)
    names = {link.index: link.name for link in every}
    return "".join(f"{line}\n" for link in every for line in _link_lines(link, names, netns))


def _link_lines(link: Link, names: dict[int, str], netns: str) -> Iterator[str]:
    far = _far(link.kind)
    here = far is not None and far.netns == netns
    other = f"@{names.get(far.index, f'if{far.index}') if here else f'if{far.index}'}" if far else ""
    master = f" master {link.master}" if link.master else ""
    flags, qdisc, state = _condition(link)
    name = f"{link.name}@NONE" if isinstance(link.kind, Ipip) else f"{link.name}{other}"
    yield f"{link.index}: {name}: <{flags}> mtu {link.mtu} qdisc {qdisc}{master} state {state} group default qlen 1000"
    down = "protodown on " if isinstance(link.kind, Macvlan) and not link.carrier else ""
    yield f"    {_link_layer(link)}" + (f" link-netns {far.netns} " if far and not here else " ") + down
    if not isinstance(link.kind, Loopback | Physical):
        yield f"    {_kind_text(link.kind)} "
    primaries = set(link.primaries())
    for address in link.addresses:
        secondary = "" if address in primaries else " secondary"
        yield f"    {_address_text(address)}{secondary} {link.name}"
        yield "       valid_lft forever preferred_lft forever"


def _far(kind: Kind) -> Far | None:
    match kind:
        case Veth(peer=far) | Macvlan(lower=far):
            return far
    return None


def _condition(link: Link) -> tuple[str, str, str]:
    """Return flags, queueing discipline and operational state."""
    match link.kind:
        case Loopback():
            flags, qdisc, state = "LOOPBACK", "noqueue", "UNKNOWN"
        case Ipip():
            flags, qdisc, state = "NOARP", "noqueue", "UNKNOWN"
        case Vxlan():
            flags, qdisc, state = "BROADCAST,MULTICAST", "noqueue", "UNKNOWN"
        case _:
            flags, qdisc, state = "BROADCAST,MULTICAST", "noqueue", "UP"
    if isinstance(link.kind, Physical):
        qdisc = "pfifo_fast"
    if link.up and not link.carrier:
        return f"NO-CARRIER,{flags},UP", qdisc, "DOWN"
    return (f"{flags},UP,LOWER_UP", qdisc, state) if link.up else (flags, "noop", "DOWN")


def _link_layer(link: Link) -> str:
    match link.kind:
        case Loopback():
            return f"link/loopback {link.mac} brd 00:00:00:00:00:00"
        case Ipip(local=local, remote=remote):
            return f"link/ipip {local or '0.0.0.0'} {'peer' if remote else 'brd'} {remote or '0.0.0.0'}"
    return f"link/ether {link.mac} brd ff:ff:ff:ff:ff:ff"


def _kind_text(kind: Kind) -> str:
    match kind:
        case Opaque(why=why):
            return why.replace("\n", " ")
        case Macvlan(mode=mode):
            return f"macvlan mode {mode}"
        case Vxlan(vni=vni, local=local, dev=dev, port=port, udpcsum=udpcsum):
            checksum = "" if udpcsum else " noudpcsum"
            return f"vxlan id {vni} local {local} dev {dev} srcport 0 0 dstport {port} nolearning{checksum}"
        case Ipip(local=local, remote=remote):
            proto = "any" if local is None and remote is None else "ipip"
            return f"ipip {proto} remote {remote or 'any'} local {local or 'any'}"
    return type(kind).__name__.lower()


def _address_text(address: Address) -> str:
    broadcast = f" brd {address.broadcast}" if address.broadcast else ""
    return f"inet {address.interface}{broadcast} scope {address.scope}"
