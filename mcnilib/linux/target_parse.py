"""From the words after `-j` to a target: a table of readers, one per target.

Accepts what iptables-restore accepts and normalises it to what iptables-save prints. What is not modelled is
kept as text.
Source: iptables-extensions(8) (iptables 1.8.9).
"""

from __future__ import annotations

from collections.abc import Callable

from mcnilib.linux.header_match_parse import read_dscp, read_tos
from mcnilib.linux.kept_targets import read_ct, read_kept_target
from mcnilib.linux.log_parse import read_log, read_nflog
from mcnilib.linux.match_parse import read_masked
from mcnilib.linux.nat_parse import read_dnat, read_masquerade, read_netmap, read_redirect, read_snat
from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option, need_plain
from mcnilib.linux.target import (
    ACCEPT,
    DROP,
    REJECT_KINDS,
    RETURN,
    Connmark,
    Jump,
    Log,
    Mark,
    Notrack,
    Reject,
    SetDscp,
    SetTos,
    SetTtl,
    Target,
)

ALL = 0xFFFFFFFF


def read_target(words: RuleWords, goto: bool) -> Target:
    """Read a target's name and options; a name that is no target is a chain. Raises: StateSyntaxError."""
    name = words.take("a target")
    if not name:
        raise words.fail("a target has a name")
    if goto:
        return Jump(name, True)
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


def _ttl(words: RuleWords) -> Target:
    change = need_plain(words, "--ttl-set", "--ttl-inc", "--ttl-dec").removeprefix("--ttl-")
    return SetTtl(change, words.number("a TTL", 0 if change == "set" else 1, 255))


TOS_CHANGES: dict[str, Callable[[int], tuple[int, int]]] = {
    "--and-tos": lambda bits: (0, 0xFF & ~bits),
    "--or-tos": lambda bits: (bits, bits),
    "--xor-tos": lambda bits: (bits, 0),
}


def _tos(words: RuleWords) -> Target:
    option = need_plain(words, "--set-tos", *TOS_CHANGES)
    if option in TOS_CHANGES:
        return SetTos(*TOS_CHANGES[option](words.number("a TOS", 0, 255)))
    return SetTos(*read_tos(words))


def _dscp(words: RuleWords) -> Target:
    return SetDscp(read_dscp(words, need_plain(words, "--set-dscp", "--set-dscp-class")))


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
    "DNAT": read_dnat,
    "SNAT": read_snat,
    "MASQUERADE": read_masquerade,
    "REDIRECT": read_redirect,
    "NETMAP": read_netmap,
    "TTL": _ttl,
    "TOS": _tos,
    "DSCP": _dscp,
    "NOTRACK": lambda words: Notrack(),
    "CT": _ct,
    "LOG": read_log,
    "NFLOG": read_nflog,
    "TRACE": lambda words: Log("TRACE"),
}
"""Every target that is modelled, with the reader of its options."""
