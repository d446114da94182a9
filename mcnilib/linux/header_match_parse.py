"""Readers of matches on the IPv4 header, on length and frame, and of those that remember packets.

Source: iptables-extensions(8); extensions/lib{xt,ipt}_*.c (iptables 1.8.9).
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

from mcnilib.linux.match_header import Dscp, Ecn, Ends, IpRange, Tos, Ttl
from mcnilib.linux.match_memory import Limit, Quota, Recent
from mcnilib.linux.match_rest import Helper, Length, PacketType
from mcnilib.linux.netfilter.iptables.extension import Match, bang
from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option, need
from mcnilib.linux.rate import read_rate

LIMIT_SCALE = 10_000
TOS_NAMES = {
    "minimize-delay": 0x10, "maximize-throughput": 0x08, "maximize-reliability": 0x04, "minimize-cost": 0x02,
    "normal-service": 0x00,
}  # fmt: skip
TOS_NAME_MASK = 0x3F
DSCP_CLASSES = (
    {f"cs{number}": number * 8 for number in range(8)}
    | {f"af{high}{low}": high * 8 + low * 2 for high in range(1, 5) for low in range(1, 4)}
    | {"be": 0, "ef": 0x2E}
)


def read_ip(words: RuleWords, word: str) -> IPv4Address:
    """Turn a word just read into an address."""
    try:
        return IPv4Address(word)
    except ValueError:
        raise words.fail(f"{word!r} is not an IPv4 address") from None


def read_ends(words: RuleWords, word: str) -> Ends:
    """Turn `A-B` or `A` into the ends of a range of addresses."""
    low, dash, high = word.partition("-")
    first = read_ip(words, low)
    return first, read_ip(words, high) if dash else first


def _iprange(words: RuleWords) -> Match:
    found: dict[str, tuple[Ends | None, bool]] = {}
    for name, negated in each_option(words, "iprange", {"--src-range": "src", "--dst-range": "dst"}):
        found[name] = read_ends(words, words.take("a range of addresses")), negated
    if not found:
        raise words.fail("iprange needs --src-range or --dst-range")
    src, dst = found.get("src", (None, False)), found.get("dst", (None, False))
    return IpRange(src[0], dst[0], src[1], dst[1])


def _ttl(words: RuleWords) -> Match:
    option, negated = need(words, "--ttl-eq", "--ttl-lt", "--ttl-gt", "--ttl")
    if negated and option not in ("--ttl-eq", "--ttl"):
        raise words.fail(f"{option} cannot be negated")
    return Ttl("eq" if option == "--ttl" else option[-2:], words.number("a TTL", 0, 255), negated)


def read_tos(words: RuleWords) -> tuple[int, int]:
    """Read VALUE, VALUE/MASK or the name of a type of service: value and mask."""
    word = words.take("a type of service")
    if word.lower() in TOS_NAMES:
        return TOS_NAMES[word.lower()], TOS_NAME_MASK
    value, slash, mask = word.partition("/")
    return words.as_number(value, "a TOS", 0, 255), words.as_number(mask, "a mask", 0, 255) if slash else 0xFF


def _tos(words: RuleWords) -> Match:
    _, negated = need(words, "--tos")
    return Tos(*read_tos(words), negated)


def read_dscp(words: RuleWords, option: str) -> int:
    """Read the value of --dscp or --dscp-class."""
    if not option.endswith("-class"):
        return words.number("a DSCP", 0, 63)
    name = words.take("a class").lower()
    if name not in DSCP_CLASSES:
        raise words.fail(f"{name!r} is not a class of service", near=tuple(DSCP_CLASSES))
    return DSCP_CLASSES[name]


def _dscp(words: RuleWords) -> Match:
    option, negated = need(words, "--dscp", "--dscp-class")
    return Dscp(read_dscp(words, option), negated)


def _ecn(words: RuleWords) -> Match:
    found: dict[str, bool] = {}
    ect = None
    for name, negated in each_option(
        words, "ecn", {"--ecn-tcp-ece": "ece", "--ecn-tcp-cwr": "cwr", "--ecn-ip-ect": "ect"}
    ):
        found[name] = not negated
        if name == "ect":
            ect = words.number("the ECN bits", 0, 3)
    if not found:
        raise words.fail("ecn needs --ecn-tcp-ece, --ecn-tcp-cwr or --ecn-ip-ect")
    return Ecn(found.get("ece"), found.get("cwr"), ect, not found.get("ect", True))


def _length(words: RuleWords) -> Match:
    _, negated = need(words, "--length")
    low, colon, high = words.take("a length").partition(":")
    first = words.as_number(low or "0", "a length", 0, 0xFFFF)
    return Length(first, words.as_number(high or "65535", "a length", 0, 0xFFFF) if colon else first, negated)


KINDS = {"unicast": "unicast", "host": "unicast", "broadcast": "broadcast", "bcast": "broadcast"}
KINDS |= {"multicast": "multicast", "mcast": "multicast"}


def _pkttype(words: RuleWords) -> Match:
    _, negated = need(words, "--pkt-type")
    kind = words.take("a type of frame").lower()
    if kind not in KINDS:
        raise words.fail(f"{kind!r} is not a type of frame", near=tuple(KINDS))
    return PacketType(KINDS[kind], negated)


def _helper(words: RuleWords) -> Match:
    _, negated = need(words, "--helper")
    return Helper(words.take("a helper"), negated)


def _limit(words: RuleWords) -> Match:
    rate, burst = read_rate(words, "3/hour", LIMIT_SCALE), 0
    known = {"--limit": "rate", "--limit-burst": "burst"}
    for name, _ in each_option(words, "limit", known, plain=known.values()):
        if name == "rate":
            rate = read_rate(words, words.take("a rate"), LIMIT_SCALE)
        else:
            burst = words.number("a number", 0, 10000)
    return Limit(rate, burst or 5)


def _quota(words: RuleWords) -> Match:
    _, negated = need(words, "--quota")
    return Quota(words.as_long(words.take("a number of bytes"), "a number of bytes"), negated)


RECENT_MODES = ("set", "rcheck", "update", "remove")
RECENT = {f"--{name}": name for name in ("seconds", "reap", "hitcount", "rttl", "name", "mask", "rsource", "rdest")}
"""Options of `-m recent` beside the mode, in the order iptables-save prints them."""


def _recent(words: RuleWords) -> Match:
    """Keep the words, in the order iptables-save prints them."""
    known = RECENT | dict.fromkeys([f"--{mode}" for mode in RECENT_MODES], "mode")
    found = {"name": "--name DEFAULT", "mask": "--mask 255.255.255.255"}
    for name, negated in each_option(words, "recent", known, plain=RECENT.values()):
        option = words.last
        found[name] = f"{bang(negated)}{option}{_recent_value(words, name)}"
    mode = found.get("mode", "").removeprefix("! ")
    if not mode or ("reap" in found and "seconds" not in found) or ("rttl" in found and mode in ("--set", "--remove")):
        raise words.fail("expected --set, --rcheck, --update or --remove; --reap needs --seconds, --rttl a check")
    found["rsource"] = found.pop("rdest", "--rsource")
    return Recent(" ".join(found[name] for name in ("mode", *RECENT.values()) if found.get(name)))


def _recent_value(words: RuleWords, name: str) -> str:
    match name:
        case "seconds" | "hitcount":
            return f" {words.number(name, 1)}"
        case "name":
            return f" {words.take('the name')}"
        case "mask":
            return f" {read_ip(words, words.take('the mask'))}"
    return ""


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
