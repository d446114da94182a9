"""Readers of a rule's header options: -s, -d, -i, -o, -p. Source: iptables(8) (iptables 1.8.9)."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network

from mcnilib.linux.match import Destination, InInterface, OutInterface, Protocol, Source
from mcnilib.linux.match_header import Fragment, MaskedAddress
from mcnilib.linux.netfilter.iptables.extension import Match
from mcnilib.linux.netfilter.iptables.words import RuleWords, has_holes
from mcnilib.linux.packet import ALL_PROTOCOLS, USUAL, protocol_name

HEADER = {
    "-s": "src", "--source": "src", "--src": "src", "-d": "dst", "--destination": "dst", "--dst": "dst",
    "-i": "iif", "--in-interface": "iif", "-o": "oif", "--out-interface": "oif", "-p": "proto", "--protocol": "proto",
    "--proto": "proto", "-f": "fragment", "--fragment": "fragment",
}  # fmt: skip
HEADER_ORDER = ("src", "dst", "iif", "oif", "proto", "fragment")
"""The order iptables-save prints them in."""

REFUSED = ("-6", "--ipv6")
WITHOUT = {"-i": ("POSTROUTING", "OUTPUT"), "-o": ("PREROUTING", "INPUT")}
"""Built-in chains in which a packet has no such device yet, or no longer."""

NAME_LENGTH = 15
"""Longest device name Linux accepts."""

ANYWHERE = IPv4Network("0.0.0.0/0")


def read_header(words: RuleWords, chain: str) -> tuple[str, Match | None] | None:
    """Read one header option such as `! -s 10.0.0.0/8`: its kind, and a match unless it asks for nothing.

    None when the next word is no header option. Raises: StateSyntaxError; Unsupported for IPv6.
    """
    option = words.peek_option()
    if option not in HEADER and option not in REFUSED:
        return None
    _, negated = words.accept_option(option)
    if option in REFUSED:
        raise words.unsupported(f"{option} is not modelled")
    kind = HEADER[option]
    if kind in ("src", "dst"):
        return kind, _side(words, option, kind, negated)
    if kind == "fragment":
        return kind, Fragment(negated)
    if kind == "proto":
        name = _protocol(words, negated)
        return kind, Protocol(name, negated) if name else None
    return kind, _device(words, "-i" if kind == "iif" else "-o", chain, negated)


def _side(words: RuleWords, option: str, kind: str, negated: bool) -> Match | None:
    """Read the address of -s or -d; None for all of them."""
    found = read_network(words)
    if isinstance(found, tuple):
        return MaskedAddress(kind[0], *found, negated)
    if found == ANYWHERE and negated:
        raise words.fail(f"! {option} {found} would match nothing")
    return None if found == ANYWHERE else (Source if kind == "src" else Destination)(found, negated)


def read_network(words: RuleWords) -> IPv4Network | tuple[IPv4Address, IPv4Address]:
    """Read an address or prefix, or an address with a mask that has holes.

    Host bits are cleared and missing bytes are zero, as iptables does.
    """
    word = words.take("an address")
    if "," in word:
        raise words.unsupported(f"{word}: several addresses in one rule; iptables makes a rule of each")
    address, slash, mask = word.partition("/")
    if re.fullmatch(r"\d{1,3}(\.\d{1,3}){0,2}", address, re.ASCII) and slash:
        address += ".0" * (3 - address.count("."))
    try:
        if has_holes(mask):
            return IPv4Address(int(IPv4Address(address)) & int(IPv4Address(mask))), IPv4Address(mask)
        return IPv4Network(address + slash + mask, strict=False)
    except ValueError:
        raise words.fail(f"{word!r} is not an IPv4 address or prefix") from None


def _protocol(words: RuleWords, negated: bool) -> str | None:
    """Read a protocol; None stands for all of them."""
    word = words.take("a protocol")
    if word.lower() in ALL_PROTOCOLS:
        if negated:
            raise words.fail("a rule for no protocol at all would match nothing")
        return None
    name = protocol_name(word)
    if name is None:
        raise words.fail(f"{word!r} is not a protocol", near=USUAL)
    return name


def _device(words: RuleWords, option: str, chain: str, negated: bool) -> Match | None:
    """Read a device; `+` alone stands for all of them, which iptables-save does not print."""
    name = words.take("a device")
    if chain in WITHOUT[option]:
        raise words.fail(f"packets in {chain} have no device for {option}")
    if not 0 < len(name) <= NAME_LENGTH or re.search(r"\s", name):
        raise words.fail(f"{name!r} is not the name of a device, which has 1 to {NAME_LENGTH} characters")
    if name == "+" and not negated:
        return None
    return (InInterface if option == "-i" else OutInterface)(name, negated)
