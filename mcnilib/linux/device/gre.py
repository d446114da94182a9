"""GRE tunnels between IPv4 addresses, with or without keys.

Source: ip/link_gre.c (iproute2 6.1); ipgre_xmit(), ipgre_rcv() in net/ipv4/ip_gre.c, ip_tunnel_key_match() in
net/ipv4/ip_tunnel.c (Linux 6.18); RFC 2784, RFC 2890.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, ClassVar

from mcnilib.linux.device.base import Keyword, KindLine
from mcnilib.linux.device.ipip import GRE, IP_TUNNEL_FLAGS, IP_TUNNEL_REFUSED, IpTunnel, address_or_any
from mcnilib.linux.packet import Packet
from mcnilib.linux.text import Words


@dataclass(frozen=True, slots=True)
class Gre(IpTunnel):
    """A GRE device. Only packets with its `ikey` are for it, or without a key if it has none; what it sends has `okey`.

    Keys are printed as addresses.
    """

    word: ClassVar[str] = "gre"
    probe: ClassVar[str] = "link add p17 type gre local 127.0.0.1"
    line: ClassVar[KindLine] = KindLine(
        "a gre device",
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
