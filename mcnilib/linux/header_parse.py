"""Readers of a rule's header options: -s, -d, -i, -o, -p. Source: iptables(8) (iptables 1.8.9)."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network

from mcnilib.linux.match import Destination, InInterface, Match, OutInterface, Protocol, Source
from mcnilib.linux.protocols import ALL_PROTOCOLS, USUAL, protocol_name
from mcnilib.linux.rule_words import RuleWords

HEADER = {
    "-s": "src", "--source": "src", "--src": "src", "-d": "dst", "--destination": "dst", "--dst": "dst",
    "-i": "iif", "--in-interface": "iif", "-o": "oif", "--out-interface": "oif", "-p": "proto", "--protocol": "proto",
    "--proto": "proto",
}  # fmt: skip
HEADER_ORDER = (Source, Destination, InInterface, OutInterface, Protocol)
"""The order iptables-save prints them in."""

REFUSED = ("-f", "--fragment", "-6", "--ipv6")
WITHOUT = {"-i": ("POSTROUTING", "OUTPUT"), "-o": ("PREROUTING", "INPUT")}
"""Built-in chains in which a packet has no such device yet, or no longer."""

NAME_LENGTH = 15
"""Longest device name Linux accepts."""

ANYWHERE = IPv4Network("0.0.0.0/0")


def read_header(words: RuleWords, chain: str) -> tuple[str, Match | None] | None:
    """Read one header option such as `! -s 10.0.0.0/8`: its kind, and a match unless it asks for nothing.

    None when the next word is no header option. Raises: StateSyntaxError; Unsupported for fragments and IPv6.
    """
    option, negated = words.accept_option(*HEADER, *REFUSED)
    if not option:
        return None
    if option in REFUSED:
        raise words.unsupported(f"{option} is not modelled")
    kind = HEADER[option]
    if kind in ("src", "dst"):
        network = read_network(words)
        if network == ANYWHERE and negated:
            raise words.fail(f"! {option} {network} would match nothing")
        match = (Source if kind == "src" else Destination)(network, negated)
        return kind, None if network == ANYWHERE else match
    if kind == "proto":
        name = _protocol(words, negated)
        return kind, Protocol(name, negated) if name else None
    return kind, _device(words, "-i" if kind == "iif" else "-o", chain, negated)


def read_network(words: RuleWords) -> IPv4Network:
    """Read an address or prefix; host bits are cleared and missing bytes are zero, as iptables does."""
    word = words.take("an address")
    if "," in word:
        raise words.unsupported(f"{word}: several addresses in one rule; iptables makes a rule of each")
    address, slash, mask = word.partition("/")
    if re.fullmatch(r"\d{1,3}(\.\d{1,3}){0,2}", address, re.ASCII) and slash:
        address += ".0" * (3 - address.count("."))
    try:
        return IPv4Network(address + slash + mask, strict=False)
    except ValueError:
        if _is_address(address) and _is_address(mask):
            raise words.unsupported(f"{word}: a mask with holes") from None
        raise words.fail(f"{word!r} is not an IPv4 address or prefix") from None


def _is_address(word: str) -> bool:
    try:
        IPv4Address(word)
    except ValueError:
        return False
    return True


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
