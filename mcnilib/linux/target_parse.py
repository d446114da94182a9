"""From the words after `-j` to a target: a table of readers, one per target.

Accepts what iptables-restore accepts and normalises it to what iptables-save prints. What is not modelled raises
`Unsupported`.
Source: iptables-extensions(8) (iptables 1.8.9).
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

from mcnilib.linux.kept_targets import read_ct, read_kept_target
from mcnilib.linux.log_parse import read_log, read_nflog
from mcnilib.linux.match_parse import read_masked
from mcnilib.linux.rule_words import RuleWords, each_option, need_plain
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
REFUSED = ("REDIRECT", "NETMAP", "TTL", "TOS", "DSCP")
"""Targets iptables knows and this model does not."""


def read_target(words: RuleWords, goto: bool) -> Target:
    """Read a target's name and options; a name that is no target is a chain. Raises: Unsupported, naming it."""
    name = words.take("a target")
    if goto:
        return Jump(name, True)
    if name in REFUSED:
        raise words.unsupported(f"target {name!r} is not modelled")
    if name in READERS:
        return READERS[name](words)
    return read_kept_target(words, name) or Jump(name)


CHANGES: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "--set-xmark": lambda value, mask: (value, mask),
    "--set-mark": lambda value, mask: (value, value | mask),
    "--or-mark": lambda value, mask: (value, value),
    "--and-mark": lambda value, mask: (0, ALL & ~value),
    "--xor-mark": lambda value, mask: (value, 0),
}
"""What each way to write a change means as --set-xmark: clear the mask's bits, XOR the value."""


def _change(words: RuleWords, option: str) -> tuple[int, int]:
    """Read the value of one of the options above."""
    if option in ("--set-xmark", "--set-mark"):
        value, mask = read_masked(words, "a mark")
    else:
        value, mask = words.number("a mark"), ALL
    return CHANGES[option](value, mask)


def _mark(words: RuleWords) -> Target:
    return Mark(*_change(words, need_plain(words, *CHANGES)))


CONNMARK = dict.fromkeys((*CHANGES, "--save-mark", "--restore-mark"), "action")
CONNMARK |= {"--nfmask": "nfmask", "--ctmask": "ctmask", "--mask": "mask"}


def _connmark(words: RuleWords) -> Target:
    action, value = "", 0
    masks = {"nfmask": ALL, "ctmask": ALL}
    for name, _ in each_option(words, "CONNMARK", CONNMARK, plain=CONNMARK.values()):
        if name == "action" and words.last in CHANGES:
            action = "set"
            value, masks["ctmask"] = _change(words, words.last)
        elif name == "action":
            action = words.last[2:].removesuffix("-mark")
        elif action in ("", "set"):
            raise words.fail(f"--{name} belongs to --save-mark and --restore-mark, and follows them")
        else:
            mask = words.number("a mask")
            masks |= {"nfmask": mask, "ctmask": mask} if name == "mask" else {name: mask}
    if not action:
        need_plain(words, *CONNMARK)
    return Connmark(action, value, masks["nfmask"], masks["ctmask"])


NAT_REFUSED = ("--random", "--persistent", "--to-ports")


def _dnat(words: RuleWords) -> Target:
    found = None
    known = {"--to-destination": "to", "--to": "to"}
    for _ in each_option(words, "DNAT", known, (*NAT_REFUSED, "--random-fully"), plain=("to",)):
        found = _address_port(words)
    if found is None:
        need_plain(words, *known)
        raise AssertionError("need_plain() finds no option here and raises")
    return Dnat(*found)


def _address_port(words: RuleWords) -> tuple[IPv4Address, int]:
    word = words.take("an address")
    ip, colon, port = word.partition(":")
    if "-" in word or not ip:
        raise words.unsupported(f"NAT to {word}; one address, with or without one port, is modelled")
    try:
        address = IPv4Address(ip)
    except ValueError:
        raise words.fail(f"{word!r} is not an IPv4 address with or without a port") from None
    return address, words.as_number(port, "a port", 1, 65535) if colon else 0


def _snat(words: RuleWords) -> Target:
    found, fully = None, False
    known = {"--to-source": "to", "--to": "to", "--random-fully": "fully"}
    for name, _ in each_option(words, "SNAT", known, NAT_REFUSED, plain=known.values()):
        if name == "to":
            found = _address_port(words)
        else:
            fully = True
    if found is None:
        need_plain(words, "--to-source")
        raise AssertionError("need_plain() finds no option here and raises")
    return Snat(*found, fully)


def _masquerade(words: RuleWords) -> Target:
    known = {"--random-fully": "fully"}
    return Masquerade(bool(list(each_option(words, "MASQUERADE", known, NAT_REFUSED, plain=known.values()))))


REJECT_SHORT = {kind.removeprefix("icmp-").replace("hibited", "hib").replace("able", ""): kind for kind in REJECT_KINDS}
REJECT_SHORT |= {"tcp-rst": "tcp-reset"}
"""`net-unreach`, `admin-prohib`, ... to the words iptables-save prints."""


def _reject(words: RuleWords) -> Target:
    if not words.accept("--reject-with"):
        return Reject()
    word = words.take("a type")
    kind = REJECT_SHORT.get(word, word)
    if kind not in REJECT_KINDS:
        raise words.fail(f"{word!r} is not a type of rejection", near=REJECT_KINDS)
    return Reject(kind)


def _ct(words: RuleWords) -> Target:
    kept = read_ct(words)
    return Notrack(f"CT {kept.words}") if kept.words.startswith("--notrack") else kept


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
    "LOG": read_log,
    "NFLOG": read_nflog,
    "TRACE": lambda words: Log("TRACE"),
}
"""Every target that is modelled, with the reader of its options."""
