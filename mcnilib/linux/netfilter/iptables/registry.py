"""Every match and target by the name that stands after -m or -j, found by the records of their classes.

Source: iptables-extensions(8) (iptables 1.8.9).
"""

from __future__ import annotations

from mcnilib.linux.netfilter.iptables.extension import Match, MatchRecord, Target, TargetRecord
from mcnilib.linux.netfilter.iptables.match.addrtype import AddrType, RpFilter
from mcnilib.linux.netfilter.iptables.match.conntrack import ConntrackIs
from mcnilib.linux.netfilter.iptables.match.ip import Dscp, Ecn, IpRange, Length, Tos, Ttl
from mcnilib.linux.netfilter.iptables.match.mark import ConnmarkIs, MarkIs
from mcnilib.linux.netfilter.iptables.match.misc import Comment, Helper, NfAcct, PacketType
from mcnilib.linux.netfilter.iptables.match.opaque import OpaqueMatch
from mcnilib.linux.netfilter.iptables.match.ports import IcmpType, Multiport, Ports
from mcnilib.linux.netfilter.iptables.match.set import InSet
from mcnilib.linux.netfilter.iptables.match.stateful import Limit, Quota, Recent, Statistic
from mcnilib.linux.netfilter.iptables.target.log import Log
from mcnilib.linux.netfilter.iptables.target.mangle import Connmark, Mark, Notrack, SetDscp, SetTos, SetTtl
from mcnilib.linux.netfilter.iptables.target.nat import Dnat, Masquerade, Netmap, Redirect, Snat
from mcnilib.linux.netfilter.iptables.target.opaque import OpaqueTarget
from mcnilib.linux.netfilter.iptables.target.verdict import Jump, Reject, Verdict
from mcnilib.linux.netfilter.iptables.words import RuleWords

MATCHES: tuple[type[Match], ...] = (
    AddrType, RpFilter, ConntrackIs, Dscp, Ecn, IpRange, Length, Tos, Ttl, ConnmarkIs, MarkIs, Comment, Helper, NfAcct,
    PacketType, IcmpType, Multiport, Ports, InSet, Limit, Quota, Recent, Statistic, OpaqueMatch,
)  # fmt: skip
"""The classes that read a match."""

TARGETS: tuple[type[Target], ...] = (
    Verdict, Reject, Mark, Connmark, SetTtl, SetTos, SetDscp, Notrack, Log, Dnat, Snat, Masquerade, Redirect,
    Netmap, OpaqueTarget,
)  # fmt: skip
"""The classes that read a target; CT is two of them: of two records of one name the first reads."""

MATCH_NAMES: dict[str, tuple[type[Match], MatchRecord]] = {
    record.name: (one, record) for one in reversed(MATCHES) for record in one.records
}

TARGET_NAMES: dict[str, tuple[type[Target], TargetRecord]] = {
    record.name: (one, record) for one in reversed(TARGETS) for record in one.records
}


def read_match(words: RuleWords, name: str) -> Match:
    """Read the options of `-m name`. Raises: StateSyntaxError; Unsupported for a match iptables does not document."""
    if name not in MATCH_NAMES:
        raise words.unsupported(f"match {name!r} is not one iptables documents for IPv4")
    one, record = MATCH_NAMES[name]
    return one.read(words, record)


def is_implied(option: str, protocol: str) -> bool:
    """Tell whether an option may follow `-p PROTOCOL` without `-m`."""
    _, record = MATCH_NAMES.get(protocol, (None, None))
    return record is not None and record.implied and option in record.options.known


def read_target(words: RuleWords, goto: bool) -> Target:
    """Read a target's name and options; a name that is no target is a chain. Raises: StateSyntaxError."""
    name = words.take("a target")
    if not name:
        raise words.fail("a target has a name")
    if goto or name not in TARGET_NAMES:
        return Jump(name, goto)
    one, record = TARGET_NAMES[name]
    return one.read(words, record)
