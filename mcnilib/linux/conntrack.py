"""Connection tracking: the entry, its two directions and its TCP state.

Source: net/netfilter/nf_conntrack_core.c, nf_conntrack_proto_tcp.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction of a connection; ports hold the ICMP id for echo."""

    proto: str
    src: IPv4Address
    dst: IPv4Address
    sport: int = 0
    dport: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `conntrack -L`: original and reply direction, TCP state, flags, mark, seconds to live."""

    original: Flow
    reply: Flow
    state: str = ""  # TCP only: SYN_SENT, SYN_RECV, ESTABLISHED, ...
    seen_reply: bool = False
    assured: bool = False
    mark: int = 0
    snat: bool = False
    dnat: bool = False
    expires: float = 0.0  # moment, in seconds since the run began
