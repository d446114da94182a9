"""Readers of the options of matches: from the words after `-m NAME` to a match. A table of readers, one per match.

Accepts what iptables-restore accepts and normalises it to what iptables-save prints. What is not modelled raises
`Unsupported`.
Source: iptables-extensions(8) (iptables 1.8.9).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mcnilib.linux.ct_parse import read_conntrack, read_state
from mcnilib.linux.header_match_parse import HEADER_READERS
from mcnilib.linux.kept_matches import read_kept_match
from mcnilib.linux.match_memory import Nth
from mcnilib.linux.match_set import read_set
from mcnilib.linux.match_state import (
    ADDRESS_TYPES,
    AddrType,
    Comment,
    ConnmarkIs,
    MarkIs,
    NfAcct,
    RpFilter,
    Statistic,
)
from mcnilib.linux.netfilter.iptables.extension import Match
from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option, need, need_plain
from mcnilib.linux.port_parse import read_icmp, read_multiport, read_ports

COMMENT_LENGTH = 255
"""Longest comment the kernel keeps."""


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


def _comment(words: RuleWords) -> Match:
    need_plain(words, "--comment")
    text = words.take("the comment")
    if len(text.encode()) > COMMENT_LENGTH:
        raise words.fail(f"a comment has {COMMENT_LENGTH} characters at most")
    return Comment(text)


def read_masked(words: RuleWords, what: str) -> tuple[int, int]:
    """Read VALUE or VALUE/MASK, 32 bits each."""
    value, slash, mask = words.take(what).partition("/")
    return words.as_number(value, what), words.as_number(mask, "a mask") if slash else 0xFFFFFFFF


def _mark(words: RuleWords) -> Match:
    _, negated = need(words, "--mark")
    value, mask = read_masked(words, "a mark")
    return MarkIs(value, mask, negated)


def _connmark(words: RuleWords) -> Match:
    _, negated = need(words, "--mark")
    value, mask = read_masked(words, "a mark")
    return ConnmarkIs(value, mask, negated)


ADDRTYPE = {"--src-type": "src", "--dst-type": "dst", "--limit-iface-in": "limit", "--limit-iface-out": "limit"}


def _addrtype(words: RuleWords) -> Match:
    found: dict[str, tuple[tuple[str, ...], bool]] = {}
    limit = ""
    for name, negated in each_option(words, "addrtype", ADDRTYPE, plain=("limit",)):
        if name == "limit":
            limit = words.last.rpartition("-")[2]
        else:
            types = words.listed("an address type", ADDRESS_TYPES)
            found[name] = (tuple(sorted(set(types), key=ADDRESS_TYPES.index)), negated)
    if not found:
        raise words.fail("addrtype needs --src-type or --dst-type")
    src, dst = found.get("src", ((), False)), found.get("dst", ((), False))
    return AddrType(src[0], dst[0], src[1], dst[1], limit)


STATISTIC = {"--mode": "mode", "--probability": "probability", "--every": "every", "--packet": "packet"}


def _statistic(words: RuleWords) -> Match:
    found: dict[str, tuple[str, bool]] = {}
    for name, negated in each_option(words, "statistic", STATISTIC, plain=("mode", "packet")):
        found[name] = words.take(f"the value of --{name}"), negated
        if name == "probability" and not _is_probability(found[name][0]):
            raise words.fail(f"{found[name][0]!r} is not a probability from 0 to 1")
    match {name: value for name, (value, _) in found.items()}:
        case {"mode": "random", "probability": share, **rest} if not rest:
            return Statistic(round(float(share) * 0x80000000), found["probability"][1])
        case {"mode": "nth", "every": every, "packet": packet, **rest} if not rest:
            count = words.as_number(every, "a count", 1)
            return Nth(count, words.as_number(packet, "a packet", 0, count - 1), found["every"][1])
    raise words.fail("expected --mode random --probability P or --mode nth --every N --packet P")


def _is_probability(word: str) -> bool:
    return bool(re.fullmatch(r"(\d+\.?\d*|\.\d+)(e[-+]?\d{1,3})?", word, re.ASCII)) and float(word) <= 1


RPFILTER = {f"--{name}": name for name in ("loose", "validmark", "accept-local", "invert")}


def _rpfilter(words: RuleWords) -> Match:
    found = {name for name, _ in each_option(words, "rpfilter", RPFILTER, plain=RPFILTER.values())}
    return RpFilter(*(name in found for name in RPFILTER.values()))


def _nfacct(words: RuleWords) -> Match:
    need_plain(words, "--nfacct-name")
    return NfAcct(words.take("a name"))


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
