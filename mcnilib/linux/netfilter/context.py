"""Where a packet stands when a rule looks at it: hook, devices, connection, and the questions a match may ask the
namespace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, NamedTuple

from mcnilib.linux.chance import Chance
from mcnilib.linux.netfilter.conntrack import ConnState, Entry, Zone
from mcnilib.linux.netfilter.hooks import NfVerdict
from mcnilib.linux.netfilter.ipset import IpSet
from mcnilib.linux.packet import Packet


class FoundSocket(NamedTuple):
    """A socket of this namespace that a packet is for; `socket` is what the transport layer knows it by."""

    socket: object
    bound: bool  # to an address of its own, not to 0.0.0.0
    transparent: bool  # IP_TRANSPARENT in ip(7): it may have and take addresses that are not local


SocketLookup = Callable[[Packet, str, bool], FoundSocket | None]
"""(packet, iif, listening): the listening socket, else the connected one."""


class BridgePorts(NamedTuple):
    """The bridge ports of a packet that br_netfilter has shown to PREROUTING, by name (struct nf_bridge_info).

    `physin` is the one it came in by, until it leaves the namespace; `physout` the one it leaves by, where it is
    bridged and not routed. `sender` is the MAC its frame came from.
    """

    physin: str
    physout: str = ""
    sender: str = ""


@dataclass(slots=True)
class Context:
    """The surroundings of one packet at one hook. `iif` and `oif` are device names, empty where there is none."""

    hook: str
    iif: str = ""
    oif: str = ""
    ctstate: ConnState = ConnState.NEW
    reply: bool = False  # the packet travels in the reply direction of its connection
    entry: Entry | None = None
    sets: dict[str, IpSet] | None = None
    address_type: Callable[[IPv4Address, str], str] | None = (
        None  # (address, device or "") -> LOCAL, UNICAST, BROADCAST...
    )
    reverse_path: Callable[[Packet, str, bool, bool, bool], bool] | None = (
        None  # (packet, iif, loose, validmark, accept_local) -> passes
    )
    path_mtu: Callable[[Packet, str, str], int] | None = None  # (packet, iif, oif) -> bytes, there and back
    sockets: SocketLookup | None = None
    first_address: Callable[[str], IPv4Address | None] | None = None  # of a device
    chance: Chance | None = None
    now: float = 0.0  # seconds since the run began
    memory: dict[object, Any] | None = None  # what matches of this namespace remember in this run
    fresh: bool = True  # nothing says anything of its connection: NOTRACK has an effect
    notrack: bool = False  # set by a NOTRACK rule
    zone: Callable[[Packet], Zone] | None = None  # set by a CT rule; the mark may be the zone
    socket: FoundSocket | None = None  # that TPROXY gave the packet to
    verdict: NfVerdict | None = None  # with which a rule ends its table, where it is another than its target says
    ports: BridgePorts | None = None  # None: it came in by no port of a bridge, or br_netfilter is off
