"""What is due in a run, in order of time: packets that set out, and what their senders do after a while.

The network itself takes no time: time passes only between one event and the next.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from mcnilib.linux.packet import Packet
from mcnilib.trace.stack.host import Network, Skb

_NEXT, _IDLE, _REQUEST, _TIMER = range(4)
"""Which of several events that are due goes first."""


class Sending(NamedTuple):
    """A packet that sets out: the number its journey will have, from where, and for whom."""

    number: int
    netns: str
    skb: Skb
    reply: bool  # sent by the server's side
    repeats: int  # number of the journey it repeats; 0: none


class Events:
    """The queue of a run, and its clock, which is the network's."""

    def __init__(self, net: Network, *, crossing: bool = False) -> None:
        """Begin at the network's time. With `crossing`, what happens at once crosses (see `mcnilib.trace.run.run`)."""
        self.net, self.begun, self.crossing = net, net.now, crossing
        self._due: list[tuple[float, int, int, Sending | Callable[[], object]]] = []
        self._order, self._numbers = count(), count(1)
        self._timer = _NEXT if crossing else _TIMER

    @property
    def time(self) -> float | None:
        """When the next event is due, in seconds; None when nothing is."""
        return self._due[0][0] if self._due else None

    def pop(self) -> Sending | Callable[[], object]:
        """Take the next event and let the time pass until it is due."""
        self.net.now, _, _, event = heappop(self._due)
        return event

    def clear(self) -> None:
        """Forget what is still due: it never happens."""
        self._due.clear()

    def later(self, seconds: float, action: Callable[[], object], *, idle: bool = False, request: bool = False) -> None:
        """Do something after a while; 0 means after everything already due, `idle` also after what follows from it.

        Of two timers that end at once the second waits until everything has happened that follows from the first: that
        of a connection request goes first, as measured with client and server on one machine (Linux 6.18).
        """
        timer = min(self._timer, _REQUEST) if request else self._timer
        rank = timer if seconds else _IDLE if idle else _NEXT
        heappush(self._due, (self.net.now + seconds, rank, next(self._order), action))

    def emit(self, netns: str, packet: Packet | Skb, *, reply: bool, repeats: int = 0) -> int:
        """Send a packet as soon as everything already due is done; return the number its journey will have."""
        sending = Sending(
            next(self._numbers), netns, packet if isinstance(packet, Skb) else Skb(packet), reply, repeats
        )
        heappush(self._due, (self.net.now, _NEXT, next(self._order), sending))
        return sending.number
