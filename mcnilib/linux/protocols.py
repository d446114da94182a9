"""IP protocols by name and number, as iptables-save prints them.

Source: /etc/protocols (Debian netbase 6.4).
"""

from __future__ import annotations

_TEXT = """
1 icmp 2 igmp 3 ggp 4 ipencap 5 st 6 tcp 8 egp 9 igp 12 pup 17 udp 20 hmp 22 xns-idp 27 rdp 29 iso-tp4 33 dccp 36 xtp
37 ddp 38 idpr-cmtp 41 ipv6 43 ipv6-route 44 ipv6-frag 45 idrp 46 rsvp 47 gre 50 esp 51 ah 57 skip 58 ipv6-icmp
59 ipv6-nonxt 60 ipv6-opts 73 rspf 81 vmtp 88 eigrp 89 ospf 93 ax.25 94 ipip 97 etherip 98 encap 103 pim 108 ipcomp
112 vrrp 115 l2tp 124 isis 132 sctp 133 fc 135 mobility-header 136 udplite 137 mpls-in-ip 138 manet 139 hip 140 shim6
141 wesp 142 rohc 143 ethernet
"""

PROTOCOL_NAMES: dict[int, str] = {
    int(number): name for number, name in zip(_TEXT.split()[::2], _TEXT.split()[1::2], strict=True)
}
"""Protocol number to name."""

PROTOCOL_NUMBERS = {name: number for number, name in PROTOCOL_NAMES.items()} | {"ipv4": 4}
"""Protocol name to number; `ipv4` is what other distributions call protocol 4."""

ALL_PROTOCOLS = ("all", "ip", "0")
"""Words that stand for any protocol."""

USUAL = ("tcp", "udp", "icmp", "ipencap", "gre", "sctp", "esp", "ah", "udplite", "igmp")
"""Protocols somebody who mistyped one is likely to mean."""

WITH_PORTS = ("tcp", "udp", "udplite", "sctp", "dccp")
"""Protocols whose header begins with two ports."""


def protocol_name(word: str) -> str | None:
    """Return the name of a protocol, or its number (1 to 255) if it has no name; None for what is no protocol."""
    known = word.isascii() and word.isdecimal() and len(word) < 4
    number = int(word) if known else PROTOCOL_NUMBERS.get(word.lower(), 0)
    return PROTOCOL_NAMES.get(number, str(number)) if 0 < number < 256 else None
