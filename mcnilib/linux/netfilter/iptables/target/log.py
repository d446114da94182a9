"""Readers of the options of LOG and NFLOG. Source: iptables-extensions(8) (iptables 1.8.9)."""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option, quoted


@dataclass(frozen=True, slots=True)
class Log:
    """LOG, NFLOG or TRACE: tells somebody and goes on."""

    name: str
    options: tuple[tuple[str, str], ...] = ()  # (option, value); flags such as --log-uid have an empty value

    def __str__(self) -> str:
        words = (f"{name} {quoted(value)}" if value else name for name, value in self.options)
        return " ".join([f"-j {self.name}", *words])


LEVELS = ("emerg", "alert", "crit", "error", "warning", "notice", "info", "debug")
"""Names of log levels, by number."""

DEFAULT_LEVEL = LEVELS.index("warning")

FLAGS = ("--log-tcp-sequence", "--log-tcp-options", "--log-ip-options", "--log-uid", "--log-macdecode")

LOG = {option: option for option in ("--log-prefix", "--log-level", *FLAGS)}
"""Options of LOG, in the order iptables-save prints them."""

NFLOG = {option: option for option in ("--nflog-prefix", "--nflog-group", "--nflog-size", "--nflog-threshold")}
"""Options of NFLOG, in the order iptables-save prints them."""

PREFIX_LENGTHS = {"--log-prefix": 29, "--nflog-prefix": 63}

LIMITS = {"--nflog-group": 0xFFFF, "--nflog-size": 0xFFFFFFFF, "--nflog-threshold": 0xFFFF}


def read_log(words: RuleWords) -> Log:
    """Read LOG; level 4 is the default and not printed."""
    found: dict[str, str] = {}
    for option, _ in each_option(words, "LOG", LOG, plain=LOG):
        if option in FLAGS:
            found[option] = ""
        elif option == "--log-prefix":
            found[option] = _prefix(words, option)
        elif (level := _level(words)) != DEFAULT_LEVEL:
            found[option] = str(level)
    return Log("LOG", tuple((option, found[option]) for option in LOG if option in found))


def _level(words: RuleWords) -> int:
    word = words.take("a level")
    if word in (*LEVELS, "panic"):
        return LEVELS.index(word) if word in LEVELS else 0
    if not word.isdecimal():
        raise words.fail(f"{word!r} is not a level", near=LEVELS)
    return words.as_number(word, "a level", 0, 7)


def _prefix(words: RuleWords, option: str) -> str:
    text = words.take("a prefix")
    if not 0 < len(text.encode()) <= PREFIX_LENGTHS[option]:
        raise words.fail(f"a prefix has 1 to {PREFIX_LENGTHS[option]} characters")
    return text


def read_nflog(words: RuleWords) -> Log:
    """Read NFLOG; group 0 and threshold 0 are the defaults and not printed."""
    found: dict[str, str] = {}
    for option, _ in each_option(words, "NFLOG", NFLOG | {"--nflog-range": "--nflog-range"}, plain=NFLOG):
        if option == "--nflog-range":
            words.number("a number")  # never had an effect, and is not printed
        elif option == "--nflog-prefix":
            found[option] = _prefix(words, option)
        elif (value := words.number("a number", 0, LIMITS[option])) or option == "--nflog-size":
            found[option] = str(value)
    return Log("NFLOG", tuple((option, found[option]) for option in NFLOG if option in found))
