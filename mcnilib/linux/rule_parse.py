"""From the words of one rule to its matches and target: a table of readers, one per match and target.

Accepts what iptables-restore accepts and normalises it to what iptables-save prints. What is not modelled raises
`Unsupported`.
Source: iptables(8), iptables-extensions(8) (iptables 1.8.9).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

from mcnilib.errors import Unsupported
from mcnilib.linux.match import Destination, InInterface, Match, OutInterface, Protocol, Source
from mcnilib.linux.match_state import (
    STATE_ORDER,
    AddrType,
    Comment,
    ConnmarkIs,
    CtState,
    InSet,
    MarkIs,
    NfAcct,
    Recent,
    RpFilter,
    Statistic,
)
from mcnilib.linux.port_parse import read_icmp, read_multiport, read_ports
from mcnilib.linux.rule_words import RuleWords, need

PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "4": "ipencap", "ipv4": "ipencap", "47": "gre", "132": "sctp"}
PROTOCOL_NAMES = ("tcp", "udp", "icmp", "ipencap", "gre", "sctp", "esp", "ah", "udplite", "igmp")
ADDRESS_TYPES = (
    "UNSPEC",
    "UNICAST",
    "LOCAL",
    "BROADCAST",
    "ANYCAST",
    "MULTICAST",
    "BLACKHOLE",
    "UNREACHABLE",
    "PROHIBIT",
)
HEADER = {
    "-s": "src", "--source": "src", "--src": "src", "-d": "dst", "--destination": "dst", "--dst": "dst",
    "-i": "iif", "--in-interface": "iif", "-o": "oif", "--out-interface": "oif", "-p": "proto", "--protocol": "proto",
}  # fmt: skip
HEADER_ORDER = (Source, Destination, InInterface, OutInterface, Protocol)


def read_network(words: RuleWords) -> IPv4Network:
    """Read an address or prefix; host bits are cleared as iptables does."""
    word = words.take("an address")
    try:
        return IPv4Network(word, strict=False)
    except ValueError:
        raise words.fail(f"{word!r} is not an IPv4 address or prefix") from None


def read_header(words: RuleWords) -> Match | None:
    """Read one header option such as `! -s 10.0.0.0/8`; None when the next word is none."""
    option, negated = words.accept_option(*HEADER)
    if not option:
        return None
    match HEADER[option]:
        case "src":
            return Source(read_network(words), negated)
        case "dst":
            return Destination(read_network(words), negated)
        case "proto":
            return Protocol(_protocol(words), negated)
        case "iif":
            return InInterface(words.take("a device"), negated)
    return OutInterface(words.take("a device"), negated)


def _protocol(words: RuleWords) -> str:
    word = words.take("a protocol").lower()
    name = PROTOCOLS.get(word, word)
    if name in PROTOCOL_NAMES:
        return name
    if word.isdigit() and 0 < int(word) < 256:
        return word
    raise words.fail(f"{word!r} is not a protocol", near=PROTOCOL_NAMES)


def read_match(words: RuleWords, name: str) -> Match:
    """Read the options of `-m name`. Raises: Unsupported for a match that is not modelled."""
    reader = READERS.get(name)
    if reader is None:
        raise Unsupported(f"{words.where()}: match {name!r} is not modelled")
    return reader(words)


def _comment(words: RuleWords) -> Match:
    need(words, "--comment")
    return Comment(words.take("the comment"))


def _conntrack(words: RuleWords) -> Match:
    option, negated = words.accept_option("--ctstate", "--state")
    if not option:
        raise Unsupported(f"{words.where()}: match conntrack is modelled with --ctstate only, not {words.peek()!r}")
    return CtState(frozenset(_listed(words, "a state", STATE_ORDER)), negated)


def _listed(words: RuleWords, what: str, valid: tuple[str, ...]) -> tuple[str, ...]:
    found = tuple(words.take(what).upper().split(","))
    for one in found:
        if one not in valid:
            raise words.fail(f"{one!r} is not {what}", near=valid)
    return found


def read_masked(words: RuleWords, what: str) -> tuple[int, int]:
    """Read VALUE or VALUE/MASK, 32 bits each."""
    value, _, mask = words.take(what).partition("/")
    return words.as_number(value, what), words.as_number(mask, "a mask") if mask else 0xFFFFFFFF


def _mark(words: RuleWords) -> Match:
    _, negated = need(words, "--mark")
    value, mask = read_masked(words, "a mark")
    return MarkIs(value, mask, negated)


def _connmark(words: RuleWords) -> Match:
    _, negated = need(words, "--mark")
    value, mask = read_masked(words, "a mark")
    return ConnmarkIs(value, mask, negated)


def _addrtype(words: RuleWords) -> Match:
    found: dict[str, tuple[tuple[str, ...], bool]] = {}
    limit = ""
    while True:
        option, negated = words.accept_option("--src-type", "--dst-type", "--limit-iface-in", "--limit-iface-out")
        if not option:
            break
        if option.startswith("--limit"):
            limit = option.rpartition("-")[2]
        else:
            found[option] = (_listed(words, "an address type", ADDRESS_TYPES), negated)
    src, dst = found.get("--src-type", ((), False)), found.get("--dst-type", ((), False))
    if not found:
        raise words.fail("addrtype needs --src-type or --dst-type")
    return AddrType(src[0], dst[0], src[1], dst[1], limit)


def _set(words: RuleWords) -> Match:
    _, negated = need(words, "--match-set")
    name, side = words.take("a set"), words.take("src or dst")
    if side not in ("src", "dst"):
        raise Unsupported(f"{words.where()}: match set with {side!r}; src and dst are modelled")
    return InSet(name, side, negated)


def _statistic(words: RuleWords) -> Match:
    need(words, "--mode")
    mode = words.take("a mode")
    if mode != "random":
        raise Unsupported(f"{words.where()}: statistic --mode {mode}; random is modelled")
    _, negated = need(words, "--probability")
    word = words.take("a probability")
    if not re.fullmatch(r"[01]?\.?\d+", word) or not 0 <= float(word) <= 1:
        raise words.fail(f"{word!r} is not a probability from 0 to 1")
    return Statistic(round(float(word) * 0x80000000), negated)


def _rpfilter(words: RuleWords) -> Match:
    found = set()
    while option := words.accept("--loose", "--validmark", "--accept-local", "--invert"):
        found.add(option)
    if "--accept-local" in found:
        raise Unsupported(f"{words.where()}: rpfilter --accept-local")
    return RpFilter("--loose" in found, "--validmark" in found, False, "--invert" in found)


def _nfacct(words: RuleWords) -> Match:
    need(words, "--nfacct-name")
    return NfAcct(words.take("a name"))


RECENT_VALUES = ("--seconds", "--hitcount", "--name", "--mask")
RECENT_FLAGS = ("--set", "--rcheck", "--update", "--remove", "--reap", "--rttl", "--rsource", "--rdest")


def _recent(words: RuleWords) -> Match:
    """Keep the words, in the order iptables-save prints them."""
    values, flags = dict[str, str](), list[str]()
    while True:
        if option := words.accept(*RECENT_VALUES):
            values[option] = words.take(f"the value of {option}")
        elif option := words.accept(*RECENT_FLAGS):
            flags.append(option)
        else:
            break
    values = {"--name": "DEFAULT", "--mask": "255.255.255.255"} | values
    side = "--rdest" if "--rdest" in flags else "--rsource"
    head = [flag for flag in ("--set", "--rcheck", "--update", "--remove") if flag in flags]
    timed = [f"--seconds {values['--seconds']}"] if "--seconds" in values else []
    timed += ["--reap"] if "--reap" in flags else []
    timed += [f"--hitcount {values['--hitcount']}"] if "--hitcount" in values else []
    timed += ["--rttl"] if "--rttl" in flags else []
    return Recent(" ".join([*head, *timed, f"--name {values['--name']} --mask {values['--mask']} {side}"]))


READERS: dict[str, Callable[[RuleWords], Match]] = {
    "comment": _comment,
    "conntrack": _conntrack,
    "state": _conntrack,
    "mark": _mark,
    "connmark": _connmark,
    "addrtype": _addrtype,
    "set": _set,
    "statistic": _statistic,
    "rpfilter": _rpfilter,
    "nfacct": _nfacct,
    "recent": _recent,
    "tcp": read_ports("tcp"),
    "udp": read_ports("udp"),
    "icmp": read_icmp,
    "multiport": read_multiport,
}
"""Every match that is modelled, with the reader of its options."""


def read_ip(words: RuleWords, word: str) -> IPv4Address:
    """Turn a word into an address."""
    try:
        return IPv4Address(word)
    except ValueError:
        raise words.fail(f"{word!r} is not an IPv4 address") from None
