"""A device as it is typed, in the words of `ip link add`, and as `ip -d address show` prints it.

    eth0 192.0.2.11/24 @lan
    cni0 10.244.1.1/24 bridge
    eth0 10.244.1.5/24 veth node1/veth1
    net1 172.16.1.5/16 macvlan node1/eth1 mode bridge
    vlan7 10.0.7.2/24 vlan eth0 id 7 mtu 1400

Any kind can be typed: what the model does not know is written down all the same, and unknown by name when a packet
gets there. Source: ip-link(8), print_linkinfo() in ip/ipaddress.c (iproute2 6.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface
from typing import NamedTuple

from mcnilib.language import tr
from mcnilib.linux.device.base import BROADCAST_MAC
from mcnilib.linux.text import Words, nearest

PAIRS = ("veth", "netkit")
"""Kinds that come in pairs: the word after them is the other end."""

STANDING = {"macvlan": "mode bridge", "macvtap": "mode bridge", "ipvlan": "mode l2 bridge", "vlan": "protocol 802.1Q"}
"""Kinds that stand on a device, the word after them, each with what `ip` prints first when nobody said anything."""

OTHER_KINDS = ("bridge", "dummy", "vxlan", "ipip", "gre", "wireguard", "tun", "vrf", "bond", "ifb", "geneve", "sit")
"""Other kinds that can be typed."""

TYPED_KINDS = (*PAIRS, *STANDING, *OTHER_KINDS)

_FLAGS = {
    **dict.fromkeys(("wireguard", "tun"), "POINTOPOINT,NOARP"),
    **dict.fromkeys(("ipip", "gre", "sit"), "NOARP"),
    **{"dummy": "BROADCAST,NOARP", "vrf": "NOARP,MASTER"},
}
_PORT = ("hairpin", "isolated", "learning", "flood", "guard", "neigh_suppress", "proxy_arp")
"""Words of a bridge's port. Source: ip/iplink_bridge_slave.c."""
_WITH_VALUE = ("mtu", "address", "index", "master", *_PORT)
_NAME = re.compile(r"[^\s/@:]{1,15}")


class FarEnd(NamedTuple):
    """The device at the other end, or below, and the column in which it was typed; no host: one of the same."""

    host: str
    device: str
    column: int


@dataclass(frozen=True, slots=True)
class TypedDevice:
    """What was typed of one device; an index of 0 and an empty MAC are chosen when it is written."""

    name: str
    addresses: tuple[IPv4Interface, ...] = ()
    kind: str = ""
    options: str = ""  # the words after the kind, as `ip -d` prints them
    far: FarEnd | None = None
    segment: str = ""
    master: str = ""
    port: str = ""  # the words of a bridge's port
    mac: str = ""
    index: int = 0
    mtu: int = 0
    up: bool = True

    def lines(self, iflink: str, far_netns: str) -> list[str]:
        """Print the device, which has an index and a MAC: `iflink` is what follows its name, for instance `@if7`."""
        flags = _FLAGS.get(self.kind, "BROADCAST,MULTICAST") + (",UP,LOWER_UP" if self.up else "")
        master = ["master", self.master] if self.master else []
        condition = ["qdisc", "noqueue", *master, "state", "UP" if self.up else "DOWN"]
        name = f"{self.index}: {self.name}{iflink}:"
        head = [name, f"<{flags}>", "mtu", str(self.mtu or 1500), *condition, "group", "default", "qlen", "1000"]
        layer = [*self._layer(), *(["link-netns", far_netns] if far_netns else [])]
        port = ["bridge_slave", "state", "forwarding", self.port] if self.master else []
        inet = (f"inet {address} scope global {self.name}" for address in self.addresses)
        below = (" ".join(layer), f"{self.kind} {self.options}".strip(), " ".join(port).rstrip(), *inet)
        return [" ".join(head), *(f"    {line} " for line in below if line)]

    def _layer(self) -> list[str]:
        """Return the words of the line `link/...`; a tunnel has its ends there."""
        if self.kind in ("wireguard", "tun"):
            return ["link/none"]
        if self.kind in ("ipip", "gre", "sit"):
            ends = {word: re.search(rf"\b{word} ([\d.]+)", self.options) for word in ("local", "remote")}
            local, remote = (end[1] if end else "0.0.0.0" for end in ends.values())
            return [f"link/{self.kind}", local, "peer" if ends["remote"] else "brd", remote]
        return ["link/ether", self.mac, "brd", BROADCAST_MAC]


def read_typed_device(words: Words) -> TypedDevice:
    """Read a device to the end of its line. Raises: StateSyntaxError."""
    name = words.take()
    if not _NAME.fullmatch(name):
        raise words.wrong(tr("{word!r} cannot be the name of a device", word=name))
    device = TypedDevice(name)
    while words:
        device = _more(device, words)
    return device


def _more(device: TypedDevice, words: Words) -> TypedDevice:
    """Read the next word of a device, and what belongs to it."""
    if re.match(r"\d+\.", words.next):
        return replace(device, addresses=(*device.addresses, words.interface()))
    if words.next.startswith("@"):
        return replace(device, segment=words.take()[1:])
    word = words.take()
    match word:
        case "type" | "up":
            return device
        case "down":
            return replace(device, up=False)
        case "mtu":
            return replace(device, mtu=words.number_upto(65535))
        case "index":
            return replace(device, index=words.number_upto(0x7FFFFFFF))
        case "address":
            return replace(device, mac=words.mac())
        case "master":
            return replace(device, master=words.take(tr("a bridge")))
        case _ if word in _PORT:
            return replace(device, port=f"{device.port} {word} {words.one_of(('on', 'off'))}".strip())
        case _ if device.kind:
            return replace(device, options=f"{device.options} {word}".strip())
        case _ if word in TYPED_KINDS:
            return _of_kind(device, word, words)
    raise words.wrong(_unknown(word))


def _unknown(word: str) -> str:
    near = nearest(word, (*TYPED_KINDS, *_WITH_VALUE, "down"))
    return tr("{word!r} is no address, no @SWITCH and no word of a device{near}", word=word, near=near)


def _of_kind(device: TypedDevice, kind: str, words: Words) -> TypedDevice:
    """Read what follows the name of a kind: the other end of a pair, the device below."""
    if kind in PAIRS or kind in STANDING:
        column = words.column(words.read)
        what = tr("HOST/DEVICE, the other end") if kind in PAIRS else tr("DEVICE or HOST/DEVICE, on which it stands")
        host, _, name = words.take(what).rpartition("/")
        if not _NAME.fullmatch(name) or (kind in PAIRS and not host):
            raise words.wrong(tr("expected {what}", what=what))
        usual = "" if kind not in STANDING or words.next in ("mode", "protocol") else STANDING[kind]
        return replace(device, kind=kind, far=FarEnd(host, name, column), options=usual)
    carried = {"ipip": "any" if words.next not in ("local", "remote") else "ipip"}
    return replace(device, kind=kind, options=carried.get(kind, ""))
