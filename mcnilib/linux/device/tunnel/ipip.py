"""Tunnels over IPv4 without UDP: IP in IP, and GRE with or without keys.

Source: ip/{link_iptnl,link_gre}.c (iproute2 6.1); ip_tunnel_xmit(), ip_tunnel_lookup(), ip_tunnel_key_match() in
net/ipv4/ip_tunnel.c, net/ipv4/{ipip,ip_gre}.c (Linux 6.18); RFC 2003, RFC 2784, RFC 2890.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, ClassVar

from mcnilib.language import mark
from mcnilib.linux.device.base import Head, Keyword, KindLine, Tunnel
from mcnilib.linux.packet import Inner, Packet
from mcnilib.linux.text import Words

IPIP = "ipencap"
"""The protocol of an IPIP packet; its device looks the way up without the packet's mark. Source: ip_tunnel_xmit()."""


GRE = "gre"
"""The protocol of a GRE packet; the same holds for it."""


def address_or_any(words: Words) -> IPv4Address | None:
    """Read an address, or `any` for none."""
    if words.next != "any":
        return words.address()
    words.take()
    return None


IP_TUNNEL_FLAGS = "nopmtudisc pmtudisc noencap-csum noencap-csum6 noencap-remcsum"
"""Words without a value that follow a tunnel over IPv4 and change nothing here."""

IP_TUNNEL_REFUSED = "encap encap-sport encap-dport encap-csum encap-csum6 encap-remcsum fwmark dev external"
"""Words that would change where packets go, or what they are."""


class IpTunnel(Tunnel):
    """A tunnel over IPv4 without UDP; without a fixed remote the route's gateway is the outer destination.

    Its packets are not to be fragmented if those inside are not, unless it has `ignore_df`.
    """

    __slots__ = ()

    flags: ClassVar[str] = "NOARP"
    state: ClassVar[str] = "UNKNOWN"
    has_mac: ClassVar[bool] = False
    proto: ClassVar[str]  # of the outer packet

    local: IPv4Address | None
    remote: IPv4Address | None
    ignore_df: bool

    @property
    def is_fallback(self) -> bool:
        """Tell whether it has no fixed end."""
        return self.local is None and self.remote is None

    @property
    def inner_key(self) -> int | None:
        """The key in the headers of what it sends."""
        return None

    def link_layer(self, mac: str) -> str:
        """Return the words of the line `link/...`, which has its ends in place of a MAC."""
        ends = f"{self.local or '0.0.0.0'} {'peer' if self.remote else 'brd'} {self.remote or '0.0.0.0'}"
        return f"link/{self.layer} {ends}"

    @property
    def generality(self) -> tuple[bool, ...]:
        """Order of asking: both ends fixed, the remote, the local one, none (ip_tunnel_lookup())."""
        return self.remote is None, self.local is None

    def far_ends(self, mac: str, next_hop: IPv4Address) -> tuple[IPv4Address, ...]:
        """Return the remote end, or the next hop."""
        return (self.remote or next_hop,)

    def packed(self, packet: Packet, far_end: IPv4Address, mac: str, sport: int) -> Packet:
        """Return the outer packet; 0.0.0.0 as its source is still to be chosen. The mark stays on it."""
        inner = Inner(packet, key=self.inner_key, gre=self.proto == GRE)
        source, df = self.local or IPv4Address(0), packet.df and not self.ignore_df
        return Packet(source, far_end, self.proto, mark=packet.mark, inner=inner, df=df)

    def takes(self, outer: Packet) -> bool:
        """Tell whether a packet comes from and to the ends it has."""
        return outer.proto == self.proto and self.local in (None, outer.dst) and self.remote in (None, outer.src)


@dataclass(frozen=True, slots=True)
class Ipip(IpTunnel):
    """An IP-in-IP device."""

    word: ClassVar[str] = "ipip"
    probe: ClassVar[str] = "link add p7 type ipip local 127.0.0.1"
    line: ClassVar[KindLine] = KindLine(
        mark("an ipip device"),
        Keyword("remote", "remote", address_or_any, absent="any"),
        Keyword("local", "local", address_or_any, absent="any"),
        Keyword("ignore-df", "ignore_df"),
        passed="ttl tos 6rd-prefix",
        flags=IP_TUNNEL_FLAGS,
        refused=IP_TUNNEL_REFUSED,
        json={"link": "dev"},
    )
    layer: ClassVar[str] = "ipip"
    fallback: ClassVar[str] = "tunl0"
    proto: ClassVar[str] = IPIP

    local: IPv4Address | None = None
    remote: IPv4Address | None = None
    ignore_df: bool = False

    @classmethod
    def begin(cls, words: Words, head: Head) -> None:
        """Read what it carries: only IPv4, or anything."""
        words.one_of(("any", "ipip"))

    @classmethod
    def line_of_json(cls, data: Mapping[str, Any]) -> str:
        """Return the line of `ip -d address`, with what it carries in front."""
        return " ".join([cls.word, data.get("proto", "any"), *cls.line.words_of_json(data)])

    def __str__(self) -> str:
        return " ".join([self.word, "any" if self.is_fallback else "ipip", *self.line.shown(self)])


@dataclass(frozen=True, slots=True)
class Gre(IpTunnel):
    """A GRE device. Only packets with its `ikey` are for it, or without a key if it has none; what it sends has `okey`.

    Keys are printed as addresses.
    """

    word: ClassVar[str] = "gre"
    probe: ClassVar[str] = "link add p17 type gre local 127.0.0.1"
    line: ClassVar[KindLine] = KindLine(
        mark("a gre device"),
        Keyword("remote", "remote", address_or_any, absent="any"),
        Keyword("local", "local", address_or_any, absent="any"),
        Keyword("ttl", "ttl", lambda words: words.take("a TTL")),
        Keyword("ikey", "ikey", Words.address),
        Keyword("okey", "okey", Words.address),
        Keyword("ignore-df", "ignore_df"),
        passed="tos hoplimit erspan_ver",
        flags=IP_TUNNEL_FLAGS,
        refused=f"{IP_TUNNEL_REFUSED} iseq oseq icsum ocsum key seq csum",  # what comes without would be dropped
        json={"link": "dev"},
    )
    layer: ClassVar[str] = "gre"
    fallback: ClassVar[str] = "gre0"
    proto: ClassVar[str] = GRE

    local: IPv4Address | None = None
    remote: IPv4Address | None = None
    ignore_df: bool = False
    ikey: IPv4Address | None = None
    okey: IPv4Address | None = None
    ttl: str = "inherit"

    @classmethod
    def line_of_json(cls, data: Mapping[str, Any]) -> str:
        """Return the line of `ip -d address`, in which a TTL of 0 is inherited."""
        return super(Gre, cls).line_of_json({**data, "ttl": data.get("ttl") or "inherit"})

    @property
    def inner_key(self) -> int | None:
        """The key in the headers of what it sends."""
        return None if self.okey is None else int(self.okey)

    def takes(self, outer: Packet) -> bool:
        """Tell whether a packet comes from and to the ends it has, with its key."""
        key = None if self.ikey is None else int(self.ikey)
        same = outer.inner is not None and outer.inner.key == key
        return same and super(Gre, self).takes(outer)
