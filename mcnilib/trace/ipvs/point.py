"""What IPVS needs of the hook where a packet is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mcnilib.linux.netfilter.iptables.target.verdict import Reject
from mcnilib.linux.routing.fib import Decision
from mcnilib.trace.stack.host import Host, Skb
from mcnilib.trace.stack.recorder import Recorder


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
