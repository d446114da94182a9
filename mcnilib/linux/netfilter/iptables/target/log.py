"""LOG, NFLOG and TRACE. Source: iptables-extensions(8) (iptables 1.8.9)."""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.language import tr
from mcnilib.linux.netfilter.iptables.extension import Target, TargetRecord
from mcnilib.linux.netfilter.iptables.grammar import Grammar, Reader
from mcnilib.linux.netfilter.iptables.values import flag, number
from mcnilib.linux.netfilter.iptables.words import RuleWords, quoted

LEVELS = ("emerg", "alert", "crit", "error", "warning", "notice", "info", "debug")
"""Names of log levels, by number."""

DEFAULT_LEVEL = LEVELS.index("warning")

LOG_FLAGS = ("--log-tcp-sequence", "--log-tcp-options", "--log-ip-options", "--log-uid", "--log-macdecode")


def _level(words: RuleWords) -> int:
    word = words.take("a level")
    if word in (*LEVELS, "panic"):
        return LEVELS.index(word) if word in LEVELS else 0
    if not word.isdecimal():
        raise words.fail(tr("{word!r} is not a level", word=word), near=LEVELS)
    return words.as_number(word, "a level", 0, 7)


def _prefix(length: int) -> Reader:
    def read(words: RuleWords) -> str:
        text = words.take("a prefix")
        if not 0 < len(text.encode()) <= length:
            raise words.fail(tr("a prefix has 1 to {length} characters", length=length))
        return quoted(text)

    return read


def _range(words: RuleWords) -> str:
    """Read a number of bytes, which has no effect."""
    words.number("a number")
    return ""


@dataclass(frozen=True, slots=True)
class Log(Target):
    """LOG, NFLOG or TRACE: tells somebody and goes on. `words` are its options as iptables-save prints them."""

    records = (
        TargetRecord("LOG", Grammar({
            "--log-prefix": _prefix(29),
            "--log-level": _level,
            **dict.fromkeys(LOG_FLAGS, flag),
        }, unprinted=frozenset([f"--log-level {DEFAULT_LEVEL}"])), tracks=False, changes=False, samples=("",)),
        TargetRecord("NFLOG", Grammar({
            "--nflog-prefix": _prefix(63),
            "--nflog-group": number(0, 0xFFFF),
            "--nflog-size": number(),
            "--nflog-threshold": number(0, 0xFFFF),
            "--nflog-range": _range,
        }, unprinted=frozenset(["--nflog-group 0", "--nflog-threshold 0", "--nflog-range"])),
        tracks=False, changes=False, samples=("--nflog-group 5",)),
        TargetRecord("TRACE", Grammar(), tracks=False, changes=False, samples=()),
    )  # fmt: skip

    named = "name"
    name: str
    words: str = ""
