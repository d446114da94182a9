"""Network devices as `ip -d address show` prints them: their kind, their addresses, their condition.

What is modelled of a kind stands in its own file of this folder. Words that change nothing here (timers, offload
sizes, IPv6) are passed over; a kind or option that would change a packet's way raises `Unsupported`. Frame delivery
between devices is in `mcnilib.trace.stack.ethernet`.
Source: ip-link(8), ip-address(8), ip/ipaddress.c (iproute2 6.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NamedTuple

from mcnilib.errors import StateSyntaxError, Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.device.base import NO_MAC, DeviceRole, Head, Kind, LinkEnd, Printout, passed_over
from mcnilib.linux.device.bridge import Bridge
from mcnilib.linux.device.child.ipvlan import Ipvlan
from mcnilib.linux.device.child.vlan import QOS_MAPS, Vlan
from mcnilib.linux.device.l3.kinds import Tun, WireGuard
from mcnilib.linux.device.macvlan import Macvlan
from mcnilib.linux.device.master import Bond, Vrf
from mcnilib.linux.device.nic import Dummy, Loopback, Physical, UnmodelledDevice
from mcnilib.linux.device.port import NO_PORT, BridgePort, VlanEntry
from mcnilib.linux.device.tunnel.ipip import Gre, Ipip
from mcnilib.linux.device.tunnel.vxlan import Vxlan
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.origin import Origin
from mcnilib.linux.routing.route import SCOPES
from mcnilib.linux.text import WordReaders, Words
from mcnilib.linux.unmodelled import Gap

KINDS: tuple[type[Kind], ...] = (
    *(Loopback, Physical, Veth, Macvlan, Ipvlan, Vlan, Bond, Bridge, Vxlan, Ipip, Gre, Vrf),
    *(Tun, WireGuard, Dummy, UnmodelledDevice),
)
"""Every kind there is."""

BY_WORD = {kind.word: kind for kind in KINDS if kind.word}

MASTERS = {f"{word}_slave": kind for word, kind in BY_WORD.items() if kind.slave}
"""The kinds whose slaves have a line of that name."""

BY_LAYER = {kind.layer: kind for kind in reversed(KINDS)}
"""A kind for each type of link layer, of those that have it the first."""


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
    gap: Gap


@dataclass(frozen=True, slots=True)
class Link:
    """One network device. Indexes are unique per namespace and give the order of registration."""

    index: int
    name: str
    kind: Kind = field(default=Physical())
    mac: str = NO_MAC
    addresses: tuple[Address, ...] = ()
    up: bool = True
    mtu: int = 1500
    master: str = ""  # the bridge this device is a port of, the bond it is a slave of, its VRF
    carrier: bool = True  # false: its cable has nothing at the other end, or it is kept down (protodown)
    hidden: tuple[Hidden, ...] = ()  # who else may take its frames
    port: BridgePort = NO_PORT
    vlans: tuple[VlanEntry, ...] | None = None  # of a bridge that filters them, and its ports; None: nobody listed them
    egress: Gap | None = None  # why nobody knows what becomes of packets that leave by it: its queueing discipline
    origin: Origin | None = field(default=None, compare=False)

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
    def ips(self) -> tuple[IPv4Address, ...]:
        """Its addresses, without their prefix lengths."""
        return tuple(address.ip for address in self.addresses)

    @property
    def has_arp(self) -> bool:
        """Tell whether neighbours are resolved on this device (false: NOARP, as on loopback, tunnels and dummies)."""
        return self.kind.has_arp

    @property
    def is_loopback(self) -> bool:
        """Tell whether it is `lo`."""
        return self.kind.role is DeviceRole.LOOPBACK

    @property
    def is_bridge(self) -> bool:
        """Tell whether other devices are its ports."""
        return self.kind.role is DeviceRole.BRIDGE


def print_links(links: Iterable[Link], netns: str = "") -> str:
    """Print links as `ip -d address show` does in network namespace `netns`."""
    every = tuple(links)
    names = {link.index: link.name for link in every}
    return "".join(f"{line}\n" for link in every for line in _link_lines(link, names, netns))


def _link_lines(link: Link, names: dict[int, str], netns: str) -> Iterator[str]:
    end = None if link.kind.unmodelled else link.kind.endpoint
    here = end is not None and end.netns == netns
    iflink = f"@{names.get(end.index, f'if{end.index}') if here else f'if{end.index}'}" if end else ""
    master = f" master {link.master}" if link.master else ""
    flags, qdisc, state = _condition(link)
    name = f"{link.name}{iflink if link.kind.has_mac or link.kind.layer == 'none' else '@NONE'}"
    yield f"{link.index}: {name}: <{flags}> mtu {link.mtu} qdisc {qdisc}{master} state {state} group default qlen 1000"
    down = "protodown on " if link.kind.child and not link.carrier else ""
    yield f"    {link.kind.link_layer(link.mac)}" + (f" link-netns {end.netns} " if end and not here else " ") + down
    if kind := str(link.kind):
        yield f"    {kind} "
    if link.port != NO_PORT:
        yield f"    bridge_slave {link.port} "
    primaries = set(link.primaries())
    for address in link.addresses:
        secondary = "" if address in primaries else " secondary"
        yield f"    {_address_text(address)}{secondary} {link.name}"
        yield "       valid_lft forever preferred_lft forever"


def _condition(link: Link) -> tuple[str, str, str]:
    """Return flags, queueing discipline and operational state."""
    kind = link.kind
    if not link.up:
        return kind.flags, "noop", "DOWN"
    if not link.carrier:
        return f"NO-CARRIER,{kind.flags},UP", kind.qdisc, "DOWN"
    return f"{kind.flags},UP,LOWER_UP", kind.qdisc, kind.state


def _address_text(address: Address) -> str:
    broadcast = f" brd {address.broadcast}" if address.broadcast else ""
    return f"inet {address.interface}{broadcast} scope {address.scope}"


def read_address(words: Words, *, peers: bool = False) -> Address:
    """Read `inet A/P [brd B] scope S [proto P] [flags] LABEL`; with `peers` also `inet A peer B/P`, where A is a /32.

    Raises: StateSyntaxError; Unsupported for a peer's address.
    """
    words.take()
    interface, broadcast, scope = words.interface(), None, ""
    while not scope:
        match words.take("scope"):
            case "peer":
                if not peers:
                    raise words.unsupported(tr("a point-to-point address (peer)"))
                words.interface()
            case "brd":
                broadcast = words.address()
            case "metric":
                words.number_upto(0xFFFFFFFF)
            case "scope":
                scope = words.one_of(SCOPES)
            case _:
                raise words.unknown(("brd", "scope", "metric"))
    if words.next == "proto" and not words.last:
        words.take()
        words.take("a protocol")
    while words.next in ADDRESS_FLAGS:
        words.take()
    words.take(_NAME)
    words.end()
    return Address(interface, scope, broadcast)


ADDRESS_FLAGS = ("secondary", "dynamic", "noprefixroute", "mngtmpaddr", "deprecated", "nodad", "home", "tentative")
"""What may stand between the scope of an address and its label."""


def parse_links(
    text: str, source: str = "ip -d address", netns: str = "", *, partial: bool = False
) -> tuple[Link, ...]:
    """Read the output of `ip -d address show` in network namespace `netns`; IPv6 is passed over.

    With `partial`, devices that are not modelled become an `UnmodelledDevice`, and a namespace known by its id only is
    called `/ID`.
    Raises: StateSyntaxError for text `ip` does not print, Unsupported for kinds and options that are not modelled.
    """
    blocks: list[list[Words]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if not line[0].isspace():
            blocks.append([])
            if not partial and XDP.search(line):
                raise Unsupported(tr("{source}:{number}: a device with an XDP program", source=source, number=number))
            line = XDP.sub(lambda match: match[1].ljust(len(match[0])), line)
        elif not blocks:
            raise StateSyntaxError(tr("a link begins with its number"), source=source, line=number, column=1, text=line)
        blocks[-1].append(Words(line, source=source, number=number))
    heads = (re.match(r"(\d{1,10}): ([^\s@:]+)[@:]", block[0].line, re.ASCII) for block in blocks)
    printout = Printout(source, netns, {match[2]: int(match[1]) for match in heads if match}, partial)
    if partial:
        return tuple(_link_or_unmodelled(block, printout) for block in blocks)
    links = tuple(_link(block, printout) for block in blocks)
    _check(links, source)
    return links


XDP = re.compile(r"(> mtu \d{1,10} )xdp(?:generic|offload|multi)?(?:/id:\d{1,10})?(?= |$)", re.ASCII)
"""A program that gets a device's frames before the network stack does. Source: xdp_dump() in ip/iplink_xdp.c."""


def programs(text: str, source: str = "ip -d address") -> dict[str, Gap]:
    """Return the devices with an XDP program, which decides what becomes of their frames, each with its gap."""
    gaps = {}
    for number, line in enumerate(text.splitlines(), 1):
        name = re.match(r"\d{1,10}: ([^\s@:]+)[@:]", line, re.ASCII)
        if name and XDP.search(line):
            what = tr("{device} has an XDP program, which is not modelled", device=name[1])
            gaps[name[1]] = Gap(what, f"{source}:{number}")
    return gaps


def _link_or_unmodelled(lines: list[Words], printout: Printout) -> Link:
    """Read a link; one that is not modelled keeps its name, its addresses and the reason."""
    again = [Words(words.line, source=words.source, number=words.number) for words in lines]
    end = re.match(r"\d+: [^\s:]*@(?!NONE:|if\d{1,10}:)([^\s@:]+):", lines[0].line, re.ASCII)
    if end and end[1] not in printout.indexes:
        what = tr("{device!r}, which is no device here, is the end of a name with an @ in it", device=end[1])
        raise again[0].error(what)
    try:
        return _link(lines, printout)
    except Unsupported as problem:
        index, name, iflink = _names(again[0])
        flags, values = _flags(again[0]), again[0].fields(_HEAD, (), _LINK)
        addresses = tuple(read_address(words, peers=True) for words in again[2:] if words.next == "inet")
        kind = UnmodelledDevice(Gap(str(problem)), _lower(again, iflink, printout))
        mac = re.match(r"\s+link/ether (\S+)", again[1].line) if again[1:] else None
        link = Link(index, name, kind, mac[1] if mac else NO_MAC, addresses, "UP" in flags, carrier=_carrier(flags))
        return replace(link, master=values.get("master", ""))  # type: ignore[arg-type]


def _lower(lines: list[Words], iflink: str, printout: Printout) -> LinkEnd | None:
    """Find the device that hands packets over to one that is not modelled."""
    if not lines[2:] or lines[2].next not in SHARING:
        return None
    try:
        _, _, far_netns = _link_layer(lines[1], printout.partial)
        return Head("", iflink, far_netns, printout).endpoint(lines[1])
    except Unsupported:
        return None


SHARING = ("ipvlan", "ipvtap", "macvtap", "macvlan", "vlan")
"""Kinds whose lower device hands packets over to them."""


def _check(links: tuple[Link, ...], source: str) -> None:
    bridges = {link.name for link in links if link.kind.slave}
    for link in links:
        if link.master and link.master not in bridges:
            raise Unsupported(
                tr(
                    "{source}: {device} has the master {master}, which is no bridge, bond or VRF",
                    source=source,
                    device=link.name,
                    master=link.master,
                )
            )


def _link(lines: list[Words], printout: Printout) -> Link:
    """Read the head, the link layer, the kind if one is named, and the addresses."""
    first, *rest = lines
    index, name, iflink = _names(first)
    flags = _flags(first)
    values = first.fields(_HEAD, (), _LINK)
    if not rest:
        raise first.error(tr("the link/ether line is missing"))
    layer, mac, far_netns = _link_layer(rest[0], printout.partial)
    head = Head(name, iflink if BY_LAYER[layer].has_mac else "", far_netns, printout)
    kind: Kind | None = Loopback() if layer == Loopback.layer else None
    addresses, port = list[Address](), NO_PORT
    for words in rest[1:]:
        if words.next == "inet":
            addresses.append(read_address(words, peers=printout.partial and layer == "none"))
        elif words.next in MASTERS:
            port = MASTERS[words.take()].read_slave(words, up="UP" in flags and _carrier(flags))
        elif words.next not in PASSED_LINES:
            kind = _kind(words, head)
    if kind is None and (layer != Physical.layer or iflink):
        raise first.unsupported(tr("{device} is of no kind that is named; `ip -d` names it", device=name))
    kind = kind or Physical()
    if kind.has_mac and kind.has_arp and "NOARP" in flags:
        raise first.unsupported(tr("{device} has the flag NOARP", device=name))
    carrier = "protodown on" not in rest[0].line if kind.child else _carrier(flags)  # which is the lower device's
    link = Link(index, name, kind, mac, tuple(addresses), "UP" in flags, carrier=carrier, port=port)
    return replace(link, **{name: values[name] for name in ("mtu", "master") if name in values})  # type: ignore[arg-type]


PASSED_LINES = ("inet6", "valid_lft", "alias", "altname", "prog/xdp", *QOS_MAPS)
"""First words of lines that change nothing here."""


def _kind(words: Words, head: Head) -> Kind:
    """Read the line that names the kind."""
    word = words.take()
    if word not in BY_WORD:
        raise words.unsupported(tr("link kind {kind!r} of {device}", kind=word, device=head.name))
    return BY_WORD[word].read(words, head)


def _names(words: Words) -> tuple[int, str, str]:
    index = words.take("a number")
    if not re.fullmatch(r"[1-9]\d{0,9}:", index, re.ASCII):
        raise words.wrong(tr("{word!r} is not a number with a colon", word=index))
    name = words.take("a name")
    match = re.fullmatch(r"([^\s@:]+)(?:@([^\s@:]+))?:", name)
    if not match:
        raise words.wrong(tr("{word!r} is not a name with a colon", word=name))
    return int(index[:-1]), match[1], match[2] or ""


def _flags(words: Words) -> list[str]:
    flags = words.take("<FLAGS>")
    if not re.fullmatch(r"<[A-Z0-9,_-]*>", flags):
        raise words.wrong(tr("{word!r} are not flags", word=flags))
    return flags[1:-1].split(",")


def _carrier(flags: list[str]) -> bool:
    """Tell whether a device can send and receive; one that waits for more than a cable (dormant) can.

    Source: print_link_flags() in ip/ipaddress.c; netif_carrier_ok() decides whether a queue is attached.
    """
    return "NO-CARRIER" not in flags or "LOWER_UP" in flags


def _link_layer(words: Words, partial: bool) -> tuple[str, str, str]:
    """Read `link/ether MAC brd MAC ...`: the type, the MAC, and the namespace of the other end."""
    layer, mac = words.take("link/ether").removeprefix("link/"), NO_MAC
    if layer not in BY_LAYER:
        raise words.unsupported(tr("link type {layer!r}", layer=layer))
    if BY_LAYER[layer].has_mac:
        mac = words.mac()
    elif layer != "none":
        words.address()
    values = words.fields(_LAYER, (), _LINK)
    if partial and "link-netnsid" in values:
        return layer, mac, f"/{values['link-netnsid']}"
    if "link-netnsid" in values:
        number = values["link-netnsid"]
        raise words.unsupported(tr("link-netnsid {number}; give the namespace a name (ip-netns(8))", number=number))
    return layer, mac, str(values.get("link-netns", ""))


def _fitting(words: Words, pattern: str, what: str) -> str:
    word = words.take(what)
    if not re.fullmatch(pattern, word, re.ASCII):
        raise words.wrong(tr("{word!r} is not {what}", word=word, what=what))
    return word


_LINK, _NAME = mark("a link"), mark("the device's name")

_HEAD: WordReaders = {**passed_over("master"), "mtu": ("mtu", lambda words: words.number_upto(0xFFFFFFFF))}

_LAYER: WordReaders = {
    **passed_over("brd peer protodown protodown_reason", "proto_down unnumbered"),
    "link-netns": ("link-netns", lambda words: _fitting(words, r"[^/]+|/(\d{1,10}|unknown)", mark("a namespace"))),
    "link-netnsid": ("link-netnsid", lambda words: _fitting(words, r"\d{1,10}|unknown", mark("an id"))),
}
