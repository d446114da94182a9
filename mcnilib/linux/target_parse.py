"""From the words after `-j` to a target: a table of readers, one per target.

Source: iptables-extensions(8) (iptables 1.8.9).
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

from mcnilib.errors import Unsupported
from mcnilib.linux.rule_parse import read_ip, read_masked
from mcnilib.linux.rule_words import RuleWords
from mcnilib.linux.target import (
    ACCEPT,
    DROP,
    REJECT_KINDS,
    RETURN,
    Connmark,
    Dnat,
    Jump,
    Log,
    Mark,
    Masquerade,
    Notrack,
    Reject,
    Snat,
    Target,
)

ALL = 0xFFFFFFFF
REFUSED = (
    "REDIRECT", "NETMAP", "TPROXY", "TEE", "TTL", "TOS", "DSCP", "TCPMSS", "SET", "HMARK", "CLASSIFY", "AUDIT",
    "CHECKSUM", "CONNSECMARK", "SECMARK", "CLUSTERIP", "ECN", "IDLETIMER", "LED", "NFQUEUE", "QUEUE", "RATEEST",
    "SYNPROXY", "ULOG", "TCPOPTSTRIP",
)  # fmt: skip
"""Targets iptables knows and this model does not."""


def read_target(words: RuleWords, goto: bool) -> Target:
    """Read a target's name and options; a name that is no target is a chain. Raises: Unsupported, naming it."""
    name = words.take("a target")
    if goto:
        return Jump(name, True)
    if name in REFUSED:
        raise Unsupported(f"{words.where()}: target {name!r} is not modelled")
    return READERS[name](words) if name in READERS else Jump(name)


def _option(words: RuleWords, *names: str) -> str:
    found = words.accept(*names)
    if not found:
        words.take("an option")
        raise words.fail(f"expected {' or '.join(names)}", near=names)
    return found


def _mark(words: RuleWords) -> Target:
    option = _option(words, "--set-xmark", "--set-mark", "--or-mark", "--and-mark", "--xor-mark")
    value, mask = read_masked(words, "a mark")
    match option:
        case "--set-mark":
            return Mark(value, value | mask)
        case "--or-mark":
            return Mark(value, value)
        case "--and-mark":
            return Mark(0, ALL & ~value)
        case "--xor-mark":
            return Mark(value, 0)
    return Mark(value, mask)


def _connmark(words: RuleWords) -> Target:
    option = _option(words, "--save-mark", "--restore-mark", "--set-xmark", "--set-mark")
    if option in ("--set-xmark", "--set-mark"):
        value, mask = read_masked(words, "a mark")
        return Connmark("set", value, ctmask=mask | (value if option == "--set-mark" else 0))
    masks = {"--nfmask": ALL, "--ctmask": ALL}
    while name := words.accept("--nfmask", "--ctmask", "--mask"):
        mask = words.number("a mask")
        masks |= {"--nfmask": mask, "--ctmask": mask} if name == "--mask" else {name: mask}
    return Connmark(option[2:].removesuffix("-mark"), 0, masks["--nfmask"], masks["--ctmask"])


def _dnat(words: RuleWords) -> Target:
    _option(words, "--to-destination")
    ip, port = _address_port(words)
    return Dnat(ip, port)


def _address_port(words: RuleWords) -> tuple[IPv4Address, int]:
    word = words.take("an address")
    ip, _, port = word.partition(":")
    if "-" in word:
        raise Unsupported(f"{words.where()}: NAT to a range ({word}) is not modelled")
    return read_ip(words, ip), words.as_number(port, "a port", 1, 65535) if port else 0


def _snat(words: RuleWords) -> Target:
    _option(words, "--to-source")
    ip, port = _address_port(words)
    return Snat(ip, port, bool(words.accept("--random-fully")))


def _masquerade(words: RuleWords) -> Target:
    return Masquerade(bool(words.accept("--random-fully")))


def _reject(words: RuleWords) -> Target:
    if not words.accept("--reject-with"):
        return Reject()
    kind = words.take("a type")
    short = {
        name.removeprefix("icmp-").removesuffix("-unreachable").removesuffix("-prohibited"): name
        for name in REJECT_KINDS
    }
    kind = {"tcp-rst": "tcp-reset", **short}.get(kind, kind)
    if kind not in REJECT_KINDS:
        raise words.fail(f"{kind!r} is not a type of rejection", near=REJECT_KINDS)
    return Reject(kind)


def _ct(words: RuleWords) -> Target:
    if not words.accept("--notrack"):
        raise Unsupported(f"{words.where()}: target CT is modelled with --notrack only, not {words.peek()!r}")
    return Notrack("CT --notrack")


LOG_OPTIONS = ("--log-prefix", "--log-level", "--nflog-group", "--nflog-prefix", "--nflog-threshold", "--nflog-size")


def _log(name: str) -> Callable[[RuleWords], Target]:
    def read(words: RuleWords) -> Target:
        found: list[tuple[str, str]] = []
        while option := words.accept(*LOG_OPTIONS):
            found.append((option, words.take(f"the value of {option}")))
        return Log(name, tuple(found))

    return read


READERS: dict[str, Callable[[RuleWords], Target]] = {
    "ACCEPT": lambda words: ACCEPT,
    "DROP": lambda words: DROP,
    "RETURN": lambda words: RETURN,
    "REJECT": _reject,
    "MARK": _mark,
    "CONNMARK": _connmark,
    "DNAT": _dnat,
    "SNAT": _snat,
    "MASQUERADE": _masquerade,
    "NOTRACK": lambda words: Notrack(),
    "CT": _ct,
    "LOG": _log("LOG"),
    "NFLOG": _log("NFLOG"),
    "TRACE": _log("TRACE"),
}
"""Every target that is modelled, with the reader of its options."""
