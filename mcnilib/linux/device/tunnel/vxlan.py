"""VXLAN: Ethernet frames in UDP, to the tunnel ends a static forwarding database names.

Source: ip/iplink_vxlan.c (iproute2 6.1); vxlan_xmit(), vxlan_find_mac() in drivers/net/vxlan/vxlan_core.c (Linux
6.18); RFC 7348.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import ClassVar

from mcnilib.language import mark
from mcnilib.linux.device.base import NO_MAC, FarEnds, Keyword, KindLine, Tunnel
from mcnilib.linux.device.port import FdbEntry
from mcnilib.linux.packet import Inner, Packet
from mcnilib.linux.text import Words

_DF = {"unset": None, "set": "set", "inherit": "inherit"}
"""Words for the DF bit of the outer header; `unset` is not printed."""


@dataclass(frozen=True, slots=True)
class Vxlan(Tunnel):
    """A VXLAN device with a static forwarding database: MAC -> remote tunnel end.

    `udpcsum`: its UDP headers have a checksum, as they do unless the device was made with `noudpcsum`. `df`: their IP
    headers forbid fragments (`set`), do so when the packet inside does (`inherit`), or never do (None).
    """

    word: ClassVar[str] = "vxlan"
    probe: ClassVar[str] = "link add p6 type vxlan id 4096 dstport 4789 local 127.0.0.1"
    line: ClassVar[KindLine] = KindLine(
        mark("a vxlan device"),
        Keyword("id", "vni", lambda words: words.number_upto(0xFFFFFF), required=True),
        Keyword("local", "local", Words.address, required=True),
        Keyword("dev", "dev", lambda words: words.take("a device"), required=True),
        Keyword("srcport", read=lambda words: (words.number_upto(65535), words.number_upto(65535)), always="0 0"),
        Keyword("dstport", "port", lambda words: words.number_upto(65535)),
        Keyword("nolearning", required=True),
        Keyword("df", "df", lambda words: _DF[words.one_of(_DF)]),
        Keyword("noudpcsum", "udpcsum", value=False),
        passed="ttl ageing",
        flags="udpcsum noudp6zerocsumtx noudp6zerocsumrx udp6zerocsumtx udp6zerocsumrx",
        refused="""
        group group6 remote remote6 local6 learning proxy rsc l2miss l3miss external gbp gpe vnifilter localbypass tos
        flowlabel maxaddr remcsumtx remcsumrx
        """,  # these would change where packets go
        json={"link": "dev", "port": "dstport", "udp_csum": "udpcsum"},
    )
    state: ClassVar[str] = "UNKNOWN"
    has_far_ends: ClassVar[bool] = True
    protodown: ClassVar[bool] = True

    vni: int
    local: IPv4Address
    dev: str
    port: int = 4789
    fdb: FarEnds = ()
    udpcsum: bool = True
    df: str | None = None

    @property
    def underlay(self) -> str:
        """The device its packets leave by."""
        return self.dev

    @property
    def udp_port(self) -> int:
        """The UDP port it listens on."""
        return self.port

    def far_ends(self, mac: str, next_hop: IPv4Address) -> tuple[IPv4Address, ...]:
        """Return the tunnel ends for a MAC, or those for all others (00:00:00:00:00:00)."""
        named = tuple(ip for entry_mac, ip in self.fdb if entry_mac == mac)
        return named or tuple(ip for entry_mac, ip in self.fdb if entry_mac == NO_MAC)

    def packed(self, packet: Packet, far_end: IPv4Address, mac: str, sport: int) -> Packet:
        """Return the outer packet; the mark stays on it."""
        inner = Inner(packet, self.vni, mac, self.udpcsum)
        df = self.df == "set" or (self.df == "inherit" and packet.df)
        ends = self.local, far_end, "udp", sport, self.port
        return Packet(*ends, mark=packet.mark, length=packet.length, inner=inner, df=df)

    def takes(self, outer: Packet) -> bool:
        """Tell whether a packet comes to its port with its network id."""
        return outer.inner is not None and (self.vni, self.port) == (outer.inner.vni, outer.dport)

    def entries(self, name: str) -> Iterator[str]:
        """Yield the lines of `bridge fdb show` for its far ends."""
        return (f"{mac} dev {name} dst {ip} self permanent" for mac, ip in self.fdb)

    def with_entries(self, far_ends: FarEnds, stations: tuple[FdbEntry, ...]) -> Vxlan:
        """Return the same with other far ends."""
        return replace(self, fdb=far_ends)
