"""Readers of the options of DNAT, SNAT, MASQUERADE, REDIRECT and NETMAP.

Source: iptables-extensions(8); extensions/libxt_NAT.c, libipt_NETMAP.c (iptables 1.8.9).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option, has_holes, need_plain
from mcnilib.linux.target_nat import Dnat, Masquerade, Netmap, Redirect, Snat

Ends = tuple[IPv4Address | None, IPv4Address | None]
Ports = tuple[int, int]


def _addresses(words: RuleWords, text: str) -> Ends:
    """Turn `A`, `A-B` or nothing into the ends of a range."""
    if not text:
        return None, None
    low, dash, high = text.partition("-")
    try:
        first = IPv4Address(low)
        last = IPv4Address(high) if dash else first
    except ValueError:
        raise words.fail(f"{text!r} is not an IPv4 address or a range, with or without ports") from None
    return first, None if last == first else last


def _ports(words: RuleWords, text: str) -> Ports:
    """Turn `P` or `P-Q` into the ends of a range; a range that is one port has no second end."""
    low, dash, high = text.partition("-")
    first = words.as_number(low, "a port", 1, 65535)
    last = words.as_number(high, "a port", first, 65535) if dash else first
    return first, 0 if last == first else last


def read_dnat(words: RuleWords) -> Dnat:
    """Read DNAT."""
    known = {"--to-destination": "to", "--to": "to", "--random": "random", "--persistent": "persistent"}
    found, to, base = set(), "", ""
    for name, _ in each_option(words, "DNAT", known, plain=known.values()):
        found.add(name)
        if name == "to":
            to, _, base = words.take("an address").partition("/")
    if "to" not in found:
        need_plain(words, "--to-destination")
    addresses, colon, ports = to.partition(":")
    first, last = _addresses(words, addresses)
    port, last_port = _ports(words, ports) if colon else (0, 0)
    if base and not last_port:
        raise words.fail("a base port needs a range of ports")
    shift = words.as_number(base, "a port", 1, 65535) if base else 0
    return Dnat(first, port, last, last_port, shift, "random" in found, "persistent" in found)


def read_snat(words: RuleWords) -> Snat:
    """Read SNAT."""
    known = {"--to-source": "to", "--to": "to", "--random": "random", "--random-fully": "fully"}
    known |= {"--persistent": "persistent"}
    found, to = set(), ""
    for name, _ in each_option(words, "SNAT", known, plain=known.values()):
        found.add(name)
        if name == "to":
            to = words.take("an address")
    if "to" not in found:
        need_plain(words, "--to-source")
    addresses, colon, ports = to.partition(":")
    first, last = _addresses(words, addresses)
    port, last_port = _ports(words, ports) if colon else (0, 0)
    return Snat(first, port, "fully" in found, last, last_port, "random" in found, "persistent" in found)


def read_masquerade(words: RuleWords) -> Masquerade:
    """Read MASQUERADE."""
    known = {"--random-fully": "fully", "--random": "random", "--to-ports": "ports"}
    found, ports = set(), (0, 0)
    for name, _ in each_option(words, "MASQUERADE", known, plain=known.values()):
        found.add(name)
        if name == "ports":
            ports = _ports(words, words.take("ports"))
    return Masquerade("fully" in found, "random" in found, *ports)


def read_redirect(words: RuleWords) -> Redirect:
    """Read REDIRECT."""
    known = {"--to-ports": "ports", "--to-port": "ports", "--random": "random"}
    found, ports = set(), (0, 0)
    for name, _ in each_option(words, "REDIRECT", known, plain=known.values()):
        found.add(name)
        if name == "ports":
            ports = _ports(words, words.take("ports"))
    return Redirect(*ports, "random" in found)


def read_netmap(words: RuleWords) -> Netmap:
    """Read NETMAP; host bits of its network are cleared."""
    need_plain(words, "--to")
    word = words.take("a network")
    if has_holes(word.partition("/")[2]):
        raise words.fail(f"{word!r}: a mask with holes")
    try:
        return Netmap(IPv4Network(word, strict=False))
    except ValueError:
        raise words.fail(f"{word!r} is not an IPv4 address or prefix") from None
