"""From the words after `-j` to a target: a table of readers, one per target.

Accepts what iptables-restore accepts and normalises it to what iptables-save prints. What is not modelled is
kept as text.
Source: iptables-extensions(8) (iptables 1.8.9).
"""

from __future__ import annotations

from collections.abc import Callable

from mcnilib.linux.netfilter.iptables.extension import KeptTarget
from mcnilib.linux.netfilter.iptables.target.log import Log, read_log, read_nflog
from mcnilib.linux.netfilter.iptables.target.mangle import (
    CONNMARK,
    Connmark,
    Mark,
    Notrack,
    Rewriting,
    _connmark,
    _ct,
    _dscp,
    _mark,
    _tos,
    _ttl,
)
from mcnilib.linux.netfilter.iptables.target.nat import (
    Dnat,
    Masquerade,
    Netmap,
    Redirect,
    Snat,
    read_dnat,
    read_masquerade,
    read_netmap,
    read_redirect,
    read_snat,
)
from mcnilib.linux.netfilter.iptables.target.opaque import read_kept_target
from mcnilib.linux.netfilter.iptables.target.verdict import (
    ACCEPT,
    DROP,
    REJECT_SHORT,
    RETURN,
    Jump,
    Reject,
    Verdict,
    _reject,
)
from mcnilib.linux.netfilter.iptables.words import RuleWords

Target = (
    Verdict | Jump | Reject | Mark | Connmark | Rewriting | Dnat | Snat | Masquerade | Redirect | Netmap | Notrack | Log
    | KeptTarget
)  # fmt: skip


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


CONNMARK |= {"--nfmask": "nfmask", "--ctmask": "ctmask", "--mask": "mask"}

REJECT_SHORT |= {"tcp-rst": "tcp-reset"}
"""`net-unreach`, `admin-prohib`, ... to the words iptables-save prints."""

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
