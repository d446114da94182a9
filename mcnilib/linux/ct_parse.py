"""Readers of the options of `-m conntrack` and `-m state`. Source: iptables-extensions(8) (iptables 1.8.9)."""

from __future__ import annotations

from ipaddress import IPv4Interface

from mcnilib.linux.match_conntrack import (
    CT_ORDER,
    PLAIN_STATES,
    SIDES,
    STATE_ORDER,
    STATUS_ORDER,
    ConntrackIs,
    CtAddress,
    CtDirection,
    CtExpire,
    CtOption,
    CtPorts,
    CtProtocol,
    CtState,
    CtStatus,
)
from mcnilib.linux.netfilter.iptables.extension import Match
from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option, has_holes, need
from mcnilib.linux.packet import ALL_PROTOCOLS, PROTOCOL_NUMBERS, USUAL, protocol_name

OPTIONS = {f"--{name}": name for name in CT_ORDER}


def read_conntrack(words: RuleWords) -> Match:
    """Read the options of `-m conntrack`; they may stand in any order."""
    found = [
        _option(words, name, negated) for name, negated in each_option(words, "conntrack", OPTIONS, (), ("ctdir",))
    ]
    if not found:
        need(words, *OPTIONS)
    return ConntrackIs(tuple(sorted(found, key=lambda option: CT_ORDER.index(option.option))))


def _option(words: RuleWords, name: str, negated: bool) -> CtOption:
    if name in SIDES:
        return CtAddress(name, _address(words), negated)
    match name:
        case "ctstate":
            return CtState(frozenset(words.listed("a state", STATE_ORDER)), negated)
        case "ctproto":
            return CtProtocol(_protocol(words), negated)
        case "ctstatus":
            return CtStatus(_status(words), negated)
        case "ctexpire":
            return CtExpire(_seconds(words), negated)
        case "ctdir":
            return CtDirection(words.one_of("ORIGINAL or REPLY", ("ORIGINAL", "REPLY")) == "REPLY")
    return CtPorts(name, _ports(words), negated)


def _address(words: RuleWords) -> IPv4Interface:
    word = words.take("an address")
    try:
        if has_holes(word.partition("/")[2]):
            raise words.unsupported(f"{word}: a mask with holes")
        return IPv4Interface(word)
    except ValueError:
        raise words.fail(f"{word!r} is not an IPv4 address or prefix") from None


def _protocol(words: RuleWords) -> int:
    word = words.take("a protocol")
    if word.lower() in ALL_PROTOCOLS:
        return 0
    name = protocol_name(word)
    if name is None:
        raise words.fail(f"{word!r} is not a protocol", near=USUAL)
    return int(name) if name.isdecimal() else PROTOCOL_NUMBERS[name]


def _status(words: RuleWords) -> frozenset[str]:
    """Read the status bits; NONE adds none to others."""
    found = frozenset(words.listed("a status", STATUS_ORDER))
    return found - {"NONE"} or found


def _seconds(words: RuleWords) -> tuple[int, int]:
    low, colon, high = words.take("a time").partition(":")
    first = words.as_number(low or "0", "a time")
    return first, words.as_number(high or "0xffffffff", "a time", first) if colon else first


def _ports(words: RuleWords) -> tuple[int, int]:
    word = words.take("a port")
    low, colon, high = word.partition(":")
    first = words.as_number(low or "0", "a port", 0, 65535)
    return first, words.as_number(high or "65535", "a port", 0, 65535) if colon else first


def read_state(words: RuleWords) -> Match:
    """Read the option of `-m state`, which iptables-save prints as it was given."""
    _, negated = need(words, "--state")
    return ConntrackIs((CtState(frozenset(words.listed("a state", PLAIN_STATES)), negated, "state"),))
