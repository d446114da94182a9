"""Which rules of a long chain can match a packet at all: an index by the exact values its rules ask for.

A chain of ten thousand services is not scanned but looked up by destination and port; the rules that come back stand
in their order, and walking them decides as walking all of them would.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from mcnilib.linux.context import Context
from mcnilib.linux.match import Destination, InInterface, Match, OutInterface, Protocol, Source
from mcnilib.linux.match_conntrack import ConntrackIs
from mcnilib.linux.match_header import Dscp, Ecn, Fragment, IpRange, MaskedAddress, Tos, Ttl
from mcnilib.linux.match_ports import IcmpType, Multiport, Ports
from mcnilib.linux.match_rest import Helper
from mcnilib.linux.match_state import Comment, ConnmarkIs, MarkIs, NfAcct
from mcnilib.linux.packet import Packet

if TYPE_CHECKING:
    from mcnilib.linux.netfilter import ChainRule

READ: dict[str, Callable[[Packet, Context], Hashable]] = {
    "service": lambda packet, at: (int(packet.dst), packet.dport),
    "dst": lambda packet, at: int(packet.dst),
    "src": lambda packet, at: int(packet.src),
    "iif": lambda packet, at: at.iif,
    "oif": lambda packet, at: at.oif,
    "dport": lambda packet, at: packet.dport,
}
"""What rules are indexed by, and where a packet has it. Nothing here changes while a packet walks a table."""

REPEATABLE = (
    Source, Destination, InInterface, OutInterface, Protocol, Ports, IcmpType, Multiport,
    Comment, ConntrackIs, MarkIs, ConnmarkIs, NfAcct,
    MaskedAddress, Fragment, IpRange, Ttl, Tos, Dscp, Ecn, Helper,
)  # fmt: skip
"""Matches that neither draw nor fail: passing them over because a later one does not hold changes nothing."""

Key = tuple[str, Hashable]
Placed = tuple[int, "ChainRule"]


class Index:
    """The rules of a chain, each under the rarest value it asks for."""

    def __init__(self, rules: Sequence[ChainRule]) -> None:
        """Sort the rules; those that ask for no exact value are free."""
        keys = [tuple(_keys(rule.matches)) for rule in rules]
        population = Counter(key for own in keys for key in own)
        parts: dict[str, dict[Hashable, list[Placed]]] = {}
        free: list[Placed] = []
        for place, (rule, own) in enumerate(zip(rules, keys, strict=True)):
            if own:
                kind, value = min(own, key=population.__getitem__)
                parts.setdefault(kind, defaultdict(list))[value].append((place, rule))
            else:
                free.append((place, rule))
        self._parts = tuple((READ[kind], dict(buckets)) for kind, buckets in parts.items())
        self._free, self._free_rules = free, [rule for _, rule in free]

    def candidates(self, packet: Packet, at: Context) -> Sequence[ChainRule]:
        """Return, in their order, the rules that could match this packet."""
        found = self._free
        for read, buckets in self._parts:
            own = buckets.get(read(packet, at))
            if own:
                found = found + own
        if found is self._free:
            return self._free_rules
        return [rule for _, rule in sorted(found, key=itemgetter(0))]


def _keys(matches: Sequence[Match]) -> Iterator[Key]:
    """List the exact values a rule asks for, up to the first match that has to be tried in any case."""
    dst = None
    for match in matches:
        if not isinstance(match, REPEATABLE) or (isinstance(match, ConntrackIs) and match.may_fail):
            return
        if isinstance(match, Ports):
            low, high = match.dport or (0, 1)
            if low == high and not match.not_dport:
                yield "dport", low
                if dst is not None:
                    yield "service", (dst, low)
        elif isinstance(match, Source | Destination) and match.network.prefixlen == 32 and not match.negated:
            value = int(match.network.network_address)
            yield ("src" if isinstance(match, Source) else "dst"), value
            dst = value if isinstance(match, Destination) else dst
        elif isinstance(match, InInterface | OutInterface) and not match.negated and not match.name.endswith("+"):
            yield ("iif" if isinstance(match, InInterface) else "oif"), match.name
