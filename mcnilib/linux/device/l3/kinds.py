"""Devices of packets: TUN, whose packets a program gets, and WireGuard, which puts them into encrypted UDP.

What is sent on a tun device is handed to the program that opened it (a VPN client, tailscaled, flannel's UDP backend),
which alone knows what becomes of it. TAP devices, which carry frames, are not modelled. WireGuard sends a packet to the
peer whose allowed IPs have its destination (crypto-key routing), and takes one only if its source is among the allowed
IPs of the peer that sent it; who the peers are is read in `mcnilib.linux.device.l3.wg_show`.
Source: tun_print_opt() in ip/iptuntap.c (iproute2 6.1), drivers/net/tun.c (Linux 6.18); wg(8),
drivers/net/wireguard/{device,send,receive,socket,allowedips}.c (Linux 6.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import ClassVar

from mcnilib.language import mark
from mcnilib.linux.device.base import DeviceRole, Kind, KindLine, Tunnel
from mcnilib.linux.packet import Packet


class L3(Kind):
    """A device of packets: no MAC, no neighbours, `link/none`."""

    __slots__ = ()

    layer: ClassVar[str] = "none"
    state: ClassVar[str] = "UNKNOWN"
    has_mac: ClassVar[bool] = False

    def link_layer(self, mac: str) -> str:
        """Return the words of the line `link/none`."""
        return "link/none"


@dataclass(frozen=True, slots=True)
class Tun(L3):
    """A device whose packets a program reads and writes."""

    word: ClassVar[str] = "tun"
    probe: ClassVar[str] = "tuntap add dev p20 mode tun"
    role: ClassVar[DeviceRole] = DeviceRole.PROGRAM
    line: ClassVar[KindLine] = KindLine(
        mark("a tun device"),
        passed="pi vnet_hdr persist user group numqueues numdisabled",
        flags="multi_queue",
        usual={"type": ("tun",)},
    )
    flags: ClassVar[str] = "POINTOPOINT,MULTICAST,NOARP"
    qdisc: ClassVar[str] = "pfifo_fast"

    def __str__(self) -> str:
        return f"{self.word} type tun pi off vnet_hdr off persist off"


PeerEndpoint = tuple[IPv4Address, int]


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer: its public key, the IPv4 prefixes that are its own, and where it was last (None: nobody knows).

    `endpoint6`: its endpoint, where that has an IPv6 address.
    """

    key: str
    allowed: tuple[IPv4Network, ...] = ()
    endpoint: PeerEndpoint | None = None
    endpoint6: str = ""


@dataclass(frozen=True, slots=True)
class WireGuard(L3, Tunnel):
    """A WireGuard device: its peers (None: not collected), UDP port, and the mark of the packets it sends (0: none)."""

    word: ClassVar[str] = "wireguard"
    probe: ClassVar[str] = "link add p19 type wireguard"
    line: ClassVar[KindLine] = KindLine(mark("a wireguard device"))
    flags: ClassVar[str] = "POINTOPOINT,NOARP"

    peers: tuple[Peer, ...] | None = None
    port: int = 0
    mark: int = 0

    @property
    def udp_port(self) -> int:
        """The UDP port it listens on."""
        return self.port

    def peer_of(self, address: IPv4Address) -> Peer | None:
        """Return the peer with the longest prefix around an address. Source: allowedips.c."""
        fitting = (
            (network.prefixlen, peer) for peer in self.peers or () for network in peer.allowed if address in network
        )
        return max(fitting, key=lambda pair: pair[0], default=(0, None))[1]

    def takes(self, outer: Packet) -> bool:
        """Tell whether an encrypted packet comes to its port."""
        return outer.inner is not None and bool(outer.inner.sender) and outer.dport == self.port


def wireguard_of(kind: Kind) -> WireGuard | None:
    """Return a kind of device as what it is, if it is WireGuard."""
    return kind if isinstance(kind, WireGuard) else None
