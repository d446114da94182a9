"""Readers of the options of matches: from the words after `-m NAME` to a match. A table of readers, one per match.

Accepts what iptables-restore accepts and normalises it to what iptables-save prints. What is not modelled raises
`Unsupported`.
Source: iptables-extensions(8) (iptables 1.8.9).
"""

from __future__ import annotations

from collections.abc import Callable

from mcnilib.linux.netfilter.iptables.extension import Match
from mcnilib.linux.netfilter.iptables.match.addrtype import _addrtype, _rpfilter
from mcnilib.linux.netfilter.iptables.match.conntrack import read_conntrack, read_state
from mcnilib.linux.netfilter.iptables.match.ip import (
    _dscp,
    _ecn,
    _iprange,
    _length,
    _tos,
    _ttl,
)
from mcnilib.linux.netfilter.iptables.match.mark import _connmark, _mark
from mcnilib.linux.netfilter.iptables.match.misc import (
    _comment,
    _helper,
    _nfacct,
    _pkttype,
)
from mcnilib.linux.netfilter.iptables.match.opaque import read_kept_match
from mcnilib.linux.netfilter.iptables.match.ports import read_icmp, read_multiport, read_ports
from mcnilib.linux.netfilter.iptables.match.set import read_set
from mcnilib.linux.netfilter.iptables.match.stateful import (
    _limit,
    _quota,
    _recent,
    _statistic,
)
from mcnilib.linux.netfilter.iptables.words import RuleWords


def read_match(words: RuleWords, name: str) -> Match:
    """Read the options of `-m name`; matches that are not modelled are kept as text.

    Raises: StateSyntaxError; Unsupported for a match iptables does not document.
    """
    reader = READERS.get(name)
    if reader:
        return reader(words)
    kept = read_kept_match(words, name)
    if kept is None:
        raise words.unsupported(f"match {name!r} is not one iptables documents for IPv4")
    return kept


HEADER_READERS: dict[str, Callable[[RuleWords], Match]] = {
    "iprange": _iprange,
    "ttl": _ttl,
    "tos": _tos,
    "dscp": _dscp,
    "ecn": _ecn,
    "length": _length,
    "pkttype": _pkttype,
    "helper": _helper,
    "limit": _limit,
    "quota": _quota,
    "recent": _recent,
}
"""Readers of these matches, by name."""

READERS: dict[str, Callable[[RuleWords], Match]] = {
    "comment": _comment,
    "conntrack": read_conntrack,
    "state": read_state,
    "mark": _mark,
    "connmark": _connmark,
    "addrtype": _addrtype,
    "set": read_set,
    "statistic": _statistic,
    "rpfilter": _rpfilter,
    "nfacct": _nfacct,
    "tcp": read_ports("tcp"),
    "udp": read_ports("udp"),
    "icmp": read_icmp,
    "multiport": read_multiport,
    **HEADER_READERS,
}
"""Every match that is modelled, with the reader of its options."""
