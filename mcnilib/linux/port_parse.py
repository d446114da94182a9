"""Readers of the options of `-m tcp`, `-m udp`, `-m icmp` and `-m multiport`. Source: iptables-extensions(8)."""

from __future__ import annotations

from collections.abc import Callable

from mcnilib.linux.match import Match
from mcnilib.linux.match_ports import FLAG_ORDER, IcmpType, Multiport, Ports, Range
from mcnilib.linux.rule_words import RuleWords, need

ICMP_WORDS = {
    "echo-reply": (0, None), "destination-unreachable": (3, None), "network-unreachable": (3, 0),
    "host-unreachable": (3, 1), "protocol-unreachable": (3, 2), "port-unreachable": (3, 3),
    "fragmentation-needed": (3, 4), "echo-request": (8, None), "time-exceeded": (11, None),
}  # fmt: skip


def read_range(words: RuleWords, word: str) -> Range:
    """Turn `80` or `1000:2000` into a range of ports."""
    low, colon, high = word.partition(":")
    first = words.as_number(low or "0", "a port", 0, 65535)
    last = words.as_number(high or "65535", "a port", 0, 65535) if colon else first
    if last < first:
        raise words.fail(f"{word!r} is an empty range of ports")
    return first, last


def read_ports(proto: str) -> Callable[[RuleWords], Match]:
    """Return the reader of `-m tcp` or `-m udp`."""

    def read(words: RuleWords) -> Match:
        found: dict[str, tuple[Range, bool]] = {}
        flags: tuple[frozenset[str], frozenset[str]] | None = None
        not_flags = False
        while True:
            names = ("--sport", "--source-port", "--dport", "--destination-port", "--tcp-flags", "--syn")
            option, negated = words.accept_option(*(names if proto == "tcp" else names[:4]))
            if not option:
                break
            if option in ("--tcp-flags", "--syn"):
                flags, not_flags = _flags(words, option), negated
            else:
                found[option[2]] = (read_range(words, words.take("a port")), negated)
        sport, dport = found.get("s", (None, False)), found.get("d", (None, False))
        return Ports(proto, sport[0], dport[0], flags, sport[1], dport[1], not_flags)

    return read


def _flags(words: RuleWords, option: str) -> tuple[frozenset[str], frozenset[str]]:
    if option == "--syn":
        return frozenset({"FIN", "SYN", "RST", "ACK"}), frozenset({"SYN"})
    return _flag_set(words), _flag_set(words)


def _flag_set(words: RuleWords) -> frozenset[str]:
    word = words.take("TCP flags").upper()
    if word in ("ALL", "NONE"):
        return frozenset(FLAG_ORDER if word == "ALL" else ())
    for name in word.split(","):
        if name not in FLAG_ORDER:
            raise words.fail(f"{name!r} is not a TCP flag", near=FLAG_ORDER)
    return frozenset(word.split(","))


def read_icmp(words: RuleWords) -> Match:
    """Read `--icmp-type TYPE[/CODE]`, by number or name."""
    _, negated = need(words, "--icmp-type")
    word = words.take("an ICMP type")
    if word in ICMP_WORDS:
        return IcmpType(*ICMP_WORDS[word], negated)
    kind, _, code = word.partition("/")
    number = words.as_number(kind, "an ICMP type", 0, 255)
    return IcmpType(number, words.as_number(code, "an ICMP code", 0, 255) if code else None, negated)


MULTIPORT = {"--sports": "sports", "--source-ports": "sports", "--dports": "dports", "--destination-ports": "dports"}
MULTIPORT |= {"--ports": "ports"}


def read_multiport(words: RuleWords) -> Match:
    """Read `--sports`, `--dports` or `--ports` with up to 15 ports and ranges."""
    option, negated = need(words, *MULTIPORT)
    ranges = tuple(read_range(words, part) for part in words.take("ports").split(","))
    if len(ranges) > 15:
        raise words.fail("multiport takes 15 ports at most")
    return Multiport(MULTIPORT[option], ranges, negated)
