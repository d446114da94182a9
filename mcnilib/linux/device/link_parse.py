"""Reading links from the output of `ip -d address show`.

Words that change nothing here (timers, offload sizes, IPv6) are passed over; a kind or option that would change a
packet's way raises `Unsupported`.
Source: ip/{ipaddress,iplink_vxlan,iplink_macvlan,iplink_bridge,iplink_bridge_slave,link_iptnl}.c (iproute2 6.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mcnilib.errors import StateSyntaxError, Unsupported
from mcnilib.linux.device.link import (
    NO_MAC,
    Address,
    Bridge,
    Far,
    Kind,
    Link,
    Loopback,
    Macvlan,
    Opaque,
    Physical,
    Veth,
)
from mcnilib.linux.device.link_words import (
    ADDRESS_FLAGS,
    BRIDGE,
    BRIDGE_SWITCHES,
    COMMON,
    MACVLAN,
    MODES,
    PORT,
    PORT_OFF,
    PORT_ON,
    passed_over,
)
from mcnilib.linux.device.tunnel_parse import read_ipip, read_vxlan
from mcnilib.linux.routing.route import SCOPES
from mcnilib.linux.text import Grammar, Words


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
                    raise Unsupported(f"{words.source}:{words.number}: a point-to-point address (peer)")
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
    words.take("the device's name")
    words.end()
    return Address(interface, scope, broadcast)


@dataclass(frozen=True, slots=True)
class _Where:
    """What the lines of a link are read against: their namespace, and the indexes of the links printed with them."""

    source: str
    netns: str
    indexes: dict[str, int]
    partial: bool = False


@dataclass(frozen=True, slots=True)
class _Head:
    """The first two lines of a link."""

    name: str
    other: str  # what follows @: a device, ifN, or nothing
    far_netns: str


def parse_links(
    text: str, source: str = "ip -d address", netns: str = "", *, partial: bool = False
) -> tuple[Link, ...]:
    """Read the output of `ip -d address show` in network namespace `netns`; IPv6 is passed over.

    With `partial`, devices that are not modelled become `Opaque`, and a namespace known by its id only is called `/ID`.
    Raises: StateSyntaxError for text `ip` does not print, Unsupported for kinds and options that are not modelled.
    """
    blocks: list[list[Words]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if not line[0].isspace():
            blocks.append([])
            if not partial and XDP.search(line):
                raise Unsupported(f"{source}:{number}: a device with an XDP program")
            line = XDP.sub(lambda found: found[1].ljust(len(found[0])), line)
        elif not blocks:
            raise StateSyntaxError("a link begins with its number", source=source, line=number, column=1, text=line)
        blocks[-1].append(Words(line, source=source, number=number))
    heads = (re.match(r"(\d{1,10}): ([^\s@:]+)[@:]", block[0].line, re.ASCII) for block in blocks)
    where = _Where(source, netns, {found[2]: int(found[1]) for found in heads if found}, partial)
    if partial:
        return tuple(_link_or_opaque(block, where) for block in blocks)
    links = tuple(_link(block, where) for block in blocks)
    _check(links, source)
    return links


XDP = re.compile(r"(> mtu \d{1,10} )xdp(?:generic|offload|multi)?(?:/id:\d{1,10})?(?= |$)", re.ASCII)
"""A program that gets a device's frames before the network stack does. Source: xdp_dump() in ip/iplink_xdp.c."""


def programs(text: str, source: str = "ip -d address") -> dict[str, str]:
    """Return the devices with an XDP program, which decides what becomes of their frames, each with the reason."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        name = re.match(r"\d{1,10}: ([^\s@:]+)[@:]", line, re.ASCII)
        if name and XDP.search(line):
            found[name[1]] = f"{source}:{number}: {name[1]} has an XDP program, which is not modelled"
    return found


def _link_or_opaque(lines: list[Words], where: _Where) -> Link:
    """Read a link; one that is not modelled keeps its name, its addresses and the reason."""
    again = [Words(words.line, source=words.source, number=words.number) for words in lines]
    end = re.match(r"\d+: [^\s:]*@(?!NONE:|if\d{1,10}:)([^\s@:]+):", lines[0].line, re.ASCII)
    if end and end[1] not in where.indexes:
        raise again[0].error(f"{end[1]!r}, which is no device here, is the end of a name with an @ in it")
    try:
        return _link(lines, where)
    except Unsupported as problem:
        index, name, other = _names(again[0])
        flags, values = _flags(again[0]), again[0].fields(HEAD, (), "a link")
        addresses = tuple(read_address(words, peers=True) for words in again[2:] if words.next == "inet")
        kind = Opaque(str(problem), _lower(again, other, where))
        mac = re.match(r"\s+link/ether (\S+)", again[1].line) if again[1:] else None
        found = Link(index, name, kind, mac[1] if mac else NO_MAC, addresses, "UP" in flags, carrier=_carrier(flags))
        return replace(found, master=values.get("master", ""))  # type: ignore[arg-type]


def _lower(lines: list[Words], other: str, where: _Where) -> Far | None:
    """Find the device that hands packets over to one that is not modelled."""
    if not lines[2:] or lines[2].next not in SHARING:
        return None
    try:
        _, _, far_netns = _link_layer(lines[1], where.partial)
        return _other_end(lines[1], _Head("", other, far_netns), where)
    except Unsupported:
        return None


SHARING = ("ipvlan", "ipvtap", "macvtap", "macvlan")
"""Kinds whose lower device hands packets over to them."""


def _check(links: tuple[Link, ...], source: str) -> None:
    bridges = {link.name for link in links if isinstance(link.kind, Bridge)}
    for link in links:
        if link.master and link.master not in bridges:
            raise Unsupported(f"{source}: {link.name} has the master {link.master}, which is no bridge")


def _link(lines: list[Words], where: _Where) -> Link:
    """Read the head, the link layer, the kind if one is named, and the addresses."""
    first, *rest = lines
    index, name, other = _names(first)
    flags = _flags(first)
    values = first.fields(HEAD, (), "a link")
    if not rest:
        raise first.error("the link/ether line is missing")
    held = "protodown on" in rest[0].line
    layer, mac, far_netns = _link_layer(rest[0], where.partial)
    head = _Head(name, "" if layer == "ipip" else other, far_netns)
    kind: Kind | None = Loopback() if layer == "loopback" else None
    addresses: list[Address] = []
    for words in rest[1:]:
        if words.next == "inet":
            addresses.append(read_address(words))
        elif words.next == "bridge_slave":
            _check_port(words, up="UP" in flags and _carrier(flags))
        elif words.next not in ("inet6", "valid_lft", "alias", "altname", "prog/xdp"):
            kind = _kind(words, head, where)
    if kind is None and (layer != "ether" or other):
        raise Unsupported(f"{where.source}:{first.number}: {name} is of no kind that is named; `ip -d` names it")
    if layer == "ether" and "NOARP" in flags:
        raise Unsupported(f"{where.source}:{first.number}: {name} has the flag NOARP")
    mtu, master = values.get("mtu", 1500), values.get("master", "")
    carrier = not held if isinstance(kind, Macvlan) else _carrier(flags)  # otherwise it has that of its lower device
    return Link(index, name, kind or Physical(), mac, tuple(addresses), "UP" in flags, mtu, master, carrier)  # type: ignore[arg-type]


def _names(words: Words) -> tuple[int, str, str]:
    index = words.take("a number")
    if not re.fullmatch(r"[1-9]\d{0,9}:", index, re.ASCII):
        raise words.wrong(f"{index!r} is not a number with a colon")
    name = words.take("a name")
    found = re.fullmatch(r"([^\s@:]+)(?:@([^\s@:]+))?:", name)
    if not found:
        raise words.wrong(f"{name!r} is not a name with a colon")
    return int(index[:-1]), found[1], found[2] or ""


def _flags(words: Words) -> list[str]:
    flags = words.take("<FLAGS>")
    if not re.fullmatch(r"<[A-Z0-9,_-]*>", flags):
        raise words.wrong(f"{flags!r} are not flags")
    return flags[1:-1].split(",")


def _carrier(flags: list[str]) -> bool:
    """Tell whether a device can send and receive; one that waits for more than a cable (dormant) can.

    Source: print_link_flags() in ip/ipaddress.c; netif_carrier_ok() decides whether a queue is attached.
    """
    return "NO-CARRIER" not in flags or "LOWER_UP" in flags


def _link_layer(words: Words, partial: bool) -> tuple[str, str, str]:
    """Read `link/ether MAC brd MAC ...`: the type, the MAC, and the namespace of the other end."""
    layer = words.take("link/ether").removeprefix("link/")
    if layer not in ("ether", "loopback", "ipip"):
        raise Unsupported(f"{words.source}:{words.number}: link type {layer!r}")
    mac = NO_MAC
    if layer == "ipip":
        words.address()
    else:
        mac = words.mac()
    values = words.fields(LAYER, (), "a link")
    if partial and "link-netnsid" in values:
        return layer, mac, f"/{values['link-netnsid']}"
    if "link-netnsid" in values:
        number = values["link-netnsid"]
        raise Unsupported(
            f"{words.source}:{words.number}: link-netnsid {number}; give the namespace a name (ip-netns(8))"
        )
    return layer, mac, str(values.get("link-netns", ""))


def _fitting(words: Words, pattern: str, what: str) -> str:
    word = words.take(what)
    if not re.fullmatch(pattern, word, re.ASCII):
        raise words.wrong(f"{word!r} is not {what}")
    return word


def _kind(words: Words, head: _Head, where: _Where) -> Kind:
    """Read the line that names the kind."""
    match words.take():
        case "veth":
            words.fields(passed_over(COMMON), (), "a veth")
            return Veth(_other_end(words, head, where))
        case "macvlan":
            return _macvlan(words, head, where)
        case "bridge" if head.other:
            raise words.wrong(f"{head.name}@{head.other} is a bridge, which has no other end")
        case "bridge":
            _read_usual(words, BRIDGE, BRIDGE_USUAL, "a bridge")
            return Bridge()
        case "vxlan":
            return read_vxlan(words)
        case "ipip":
            return read_ipip(words)
        case other:
            raise Unsupported(f"{where.source}:{words.number}: link kind {other!r} of {head.name}")


def _other_end(words: Words, head: _Head, where: _Where) -> Far:
    """Find the device behind `@`: by name in this namespace, by number in the one `link-netns` names."""
    if head.far_netns and re.fullmatch(r"if\d{1,10}", head.other, re.ASCII):
        return Far(head.far_netns, int(head.other[2:]))
    if not head.far_netns and head.other in where.indexes:
        return Far(where.netns, where.indexes[head.other])
    what = f"{head.name}@{head.other}" if head.other else head.name
    raise Unsupported(f"{where.source}:{words.number}: the other end of {what} is in no namespace that has a name")


def _macvlan(words: Words, head: _Head, where: _Where) -> Macvlan:
    if words.take("mode") != "mode":
        raise words.wrong("mode is missing")
    if words.next == "source":
        raise Unsupported(f"{where.source}:{words.number}: macvlan mode 'source'")
    mode = words.one_of(MODES)
    words.fields(passed_over(MACVLAN, COMMON, flags=["nopromisc"]), (), "a macvlan")
    return Macvlan(_other_end(words, head, where), mode)


def _check_port(words: Words, *, up: bool) -> None:
    """Refuse the settings of a bridge port that would change a frame's way.

    A port that is up is disabled only when somebody said so, or the bridge is down. Source: br_port_carrier_check().
    """
    words.take()
    usual = {**PORT_USUAL, "state": ("forwarding",)} if up else PORT_USUAL
    _read_usual(words, PORT, usual, "a bridge port")


def _read_usual(words: Words, passed: Iterable[str], deciding: Mapping[str, tuple[str, ...]], what: str) -> None:
    values = words.fields(passed_over(passed, COMMON, deciding), (), what)
    for word, usual in deciding.items():
        if values.get(word, usual[0]) not in usual:
            raise Unsupported(f"{words.source}:{words.number}: {what} with {word} {values[word]}")


BRIDGE_USUAL = dict.fromkeys(BRIDGE_SWITCHES, ("0",))

PORT_USUAL = {
    "state": ("forwarding", "disabled"),
    **dict.fromkeys(PORT_OFF, ("off",)),
    **dict.fromkeys(PORT_ON, ("on",)),
}
"""Settings of a bridge and of its ports that change a frame's way, with the values that are modelled.

Source: br_handle_frame_finish() in net/bridge/br_input.c, br_do_proxy_suppress_arp() in net/bridge/br_arp_nd_proxy.c,
br_nf_pre_routing() in net/bridge/br_netfilter_hooks.c.
"""

HEAD: Grammar = {**passed_over(COMMON, ["master"]), "mtu": ("mtu", lambda words: words.number_upto(0xFFFFFFFF))}

LAYER: Grammar = {
    **passed_over(COMMON, ["brd", "peer", "protodown", "protodown_reason"], flags=["proto_down", "unnumbered"]),
    "link-netns": ("link-netns", lambda words: _fitting(words, r"[^/]+|/(\d{1,10}|unknown)", "a namespace")),
    "link-netnsid": ("link-netnsid", lambda words: _fitting(words, r"\d{1,10}|unknown", "an id")),
}
