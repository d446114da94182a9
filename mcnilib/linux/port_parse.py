"""Readers of the options of `-m tcp`, `-m udp`, `-m icmp` and `-m multiport`.

Source: iptables-extensions(8) (iptables 1.8.9).
"""

from __future__ import annotations

from collections.abc import Callable

from mcnilib.linux.chance import Range
from mcnilib.linux.match_ports import FLAG_ORDER, IcmpType, Multiport, Ports
from mcnilib.linux.netfilter.iptables.extension import Match
from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option, need
from mcnilib.linux.packet import ICMP_WORDS

Flags = tuple[frozenset[str], frozenset[str]]

PORTS = {"--sport": "sport", "--source-port": "sport", "--dport": "dport", "--destination-port": "dport"}
TCP = PORTS | {"--tcp-flags": "flags", "--syn": "flags", "--tcp-option": "option"}
IMPLIED = {"tcp": tuple(TCP), "udp": tuple(PORTS), "icmp": ("--icmp-type",)}
"""Options that may follow `-p NAME` without `-m NAME`."""


def read_ports(proto: str) -> Callable[[RuleWords], Match]:
    """Return the reader of `-m tcp` or `-m udp`."""

    def read(words: RuleWords) -> Match:
        ports: dict[str, tuple[Range | None, bool]] = {}
        flags: tuple[Flags | None, bool] = (None, False)
        known = TCP if proto == "tcp" else PORTS
        option: tuple[int | None, bool] = (None, False)
        for name, negated in each_option(words, proto, known):
            if name == "option":
                option = words.number("a TCP option", 1, 255), negated
                continue
            if name == "flags":
                flags = _flags(words), negated
            else:
                ports[name] = _range(words, words.take("a port")), negated
            if negated and not (ports[name][0] if name in ports else flags[0]):
                raise words.fail("this would match nothing")
        sport, dport = ports.get("sport", (None, False)), ports.get("dport", (None, False))
        return Ports(proto, sport[0], dport[0], flags[0], sport[1], dport[1], flags[1], *option)

    return read


def _range(words: RuleWords, word: str) -> Range | None:
    """Turn `80` or `1000:2000` into a range of ports; None stands for all ports."""
    low, colon, high = word.partition(":")
    first = words.as_number(low or "0", "a port", 0, 65535)
    last = words.as_number(high or "65535", "a port", 0, 65535) if colon else first
    if last < first:
        raise words.fail(f"{word!r} is an empty range of ports")
    return None if (first, last) == (0, 65535) else (first, last)


def _flags(words: RuleWords) -> Flags | None:
    """Read the flags to look at and those that must be set; None when there is nothing to look at."""
    if words.last == "--syn":
        return frozenset({"FIN", "SYN", "RST", "ACK"}), frozenset({"SYN"})
    mask, wanted = _flag_set(words), _flag_set(words)
    if wanted and not mask:
        raise words.fail("flags that are not looked at cannot be set: this would match nothing")
    return (mask, wanted) if mask else None


def _flag_set(words: RuleWords) -> frozenset[str]:
    if words.peek().upper() in ("ALL", "NONE"):
        return frozenset(FLAG_ORDER if words.take().upper() == "ALL" else ())
    return frozenset(words.listed("a TCP flag", FLAG_ORDER))


def read_icmp(words: RuleWords) -> Match:
    """Read `--icmp-type TYPE[/CODE]`, by number or name."""
    _, negated = need(words, "--icmp-type")
    word = words.take("an ICMP type")
    if word.lower() in ICMP_WORDS:
        return IcmpType(*ICMP_WORDS[word.lower()], negated)
    kind, slash, code = word.partition("/")
    if not kind[:1].isdecimal():
        raise words.fail(f"{word!r} is not an ICMP type", near=tuple(ICMP_WORDS))
    number = words.as_number(kind, "an ICMP type", 0, 255)
    found = words.as_number(code, "an ICMP code", 0, 255) if slash else None
    return IcmpType(number, None if number == 255 else found, negated)


MULTIPORT = {"--sports": "sports", "--source-ports": "sports", "--dports": "dports", "--destination-ports": "dports"}
MULTIPORT |= {"--ports": "ports"}


def read_multiport(words: RuleWords) -> Match:
    """Read `--sports`, `--dports` or `--ports` with up to 15 ports; a range counts as two."""
    option, negated = need(words, *MULTIPORT)
    parts = words.take("ports").split(",")
    ranges = tuple(_exact_range(words, part) for part in parts)
    if len(parts) + sum(":" in part for part in parts) > 15:
        raise words.fail("multiport takes 15 ports at most, a range counts as two")
    return Multiport(MULTIPORT[option], ranges, negated)


def _exact_range(words: RuleWords, word: str) -> Range:
    low, colon, high = word.partition(":")
    first = words.as_number(low, "a port", 0, 65535)
    last = words.as_number(high, "a port", 0, 65535) if colon else first
    if colon and last <= first:
        raise words.fail(f"{word!r} is not a range of ports")
    return first, last
