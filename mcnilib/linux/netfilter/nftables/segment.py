"""`tcp option maxseg size set ...`: lower the MSS of a SYN to a number, or to what the routes there and back leave.

A segment without the option passes as it is; iptables' TCPMSS would add one.
Source: nft_exthdr_tcp_set_eval() in net/netfilter/nft_exthdr.c, get_tcpmss() in nft_rt.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.netfilter.nftables.statement import CONTINUE, ChainPassage, NftStatement, NftVerdict
from mcnilib.linux.packet import IP_HEADER, TCP_HEADER

HOOKS_OF_ROUTES = ("forward", "output", "postrouting")
"""Hooks at which a packet has a route. Source: nft_rt_validate()."""

_SET, _OF_ROUTES = ("tcp", "option", "maxseg", "size", "set"), ("rt", "mtu")


@dataclass(frozen=True, slots=True)
class SetMaxSegment(NftStatement):
    """`tcp option maxseg size set 1452` or `set rt mtu`; `size` 0: what the routes leave, less the headers."""

    size: int = 0

    def __str__(self) -> str:
        return " ".join([*_SET, *([str(self.size)] if self.size else _OF_ROUTES)])

    def act(self, passage: ChainPassage) -> NftVerdict | None:
        """Lower it; it is never raised. Raises: Unsupported where there are no routes to ask."""
        packet = passage.packet
        if packet.tcp is None:
            return None
        if packet.tcp.mss:
            most = self.size or self._of_path(passage)
            if most < packet.tcp.mss:
                passage.packet = packet.but(tcp=replace(packet.tcp, mss=most))
                passage.words.append(str(self))
        return CONTINUE

    def _of_path(self, passage: ChainPassage) -> int:
        at = passage.at
        if at.path_mtu is None:
            raise Unsupported(tr("{fib} where there are no routing tables to ask", fib=self))
        return at.path_mtu(passage.packet, at.iif, at.oif) - IP_HEADER - TCP_HEADER
