"""What IPVS needs of the hook where a packet is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mcnilib.linux.netfilter.iptables.target.verdict import Reject
from mcnilib.linux.packet import Icmp, Packet
from mcnilib.linux.routing.fib import Decision
from mcnilib.trace.stack.host import Host, Skb
from mcnilib.trace.stack.recorder import Recorder

ERRORS = (3, 4, 11)
"""Types of ICMP errors that IPVS looks into."""


class IpvsPoint(Protocol):
    """One packet at one hook. What IPVS decides is left there: where the packet is sent, or how it is answered."""

    host: Host
    skb: Skb
    log: Recorder
    name: str
    iif: str
    now: float
    rejected: Reject | None  # the sender is told
    expired: bool  # that the time to live is used up
    sent: Decision | None  # the packet is sent there, from OUTPUT on
    decision: Decision | None  # what the last lookup found
    route_again: Callable[[], Decision | None] | None


def quoted_by(packet: Packet) -> tuple[Icmp, Packet, Packet] | None:
    """Return an ICMP error, the packet it quotes, and that packet turned round; None for what quotes none.

    Source: ip_vs_in_icmp(), ip_vs_out_icmp(), which look the quoted packet up as an answer to it would be.
    """
    icmp = packet.icmp
    if not icmp or not icmp.quoted or icmp.type not in ERRORS:
        return None
    quoted = icmp.quoted
    return icmp, quoted, quoted.but(src=quoted.dst, sport=quoted.dport, dst=quoted.src, dport=quoted.sport)
