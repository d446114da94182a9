"""Rates such as `5/min`, as `-m limit` and `-m hashlimit` keep and print them.

Source: parse_rate() and print_rate() in extensions/libxt_{limit,hashlimit}.c (iptables 1.8.9).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mcnilib.linux.netfilter.iptables.words import RuleWords

UNITS = {"day": 86400, "hour": 3600, "min": 60, "sec": 1}
"""Seconds of each unit, in the order they are tried in for printing."""


class Rate(NamedTuple):
    """One packet in `period` units of 1/scale seconds."""

    period: int
    scale: int

    @property
    def nanoseconds(self) -> int:
        """Nanoseconds from one packet to the next."""
        return self.period * 1_000_000_000 // self.scale

    @property
    def text(self) -> str:
        """The rate as iptables-save prints it."""
        best = "day"
        for name, seconds in UNITS.items():
            whole = seconds * self.scale
            if name != "day" and (self.period > whole or whole // self.period < whole % self.period):
                break
            best = name
        return f"{UNITS[best] * self.scale // self.period}/{best}"


def read_rate(words: RuleWords, word: str, scale: int) -> Rate:
    """Turn a word just read, such as `5/min` or `3`, into a rate. Raises: StateSyntaxError."""
    found = re.fullmatch(r"(\d{1,9})(?:/([a-z]+))?", word, re.ASCII)
    unit = next((name for name in UNITS if found and _means(found[2] or "sec", name)), "")
    if not found or not unit or not int(found[1]):
        raise words.fail(f"{word!r} is not a rate such as 5/min")
    period = UNITS[unit] * scale // int(found[1])
    if not period:
        raise words.fail(f"{word!r} is faster than the kernel can measure")
    return Rate(period, scale)


def _means(word: str, unit: str) -> bool:
    """Tell whether a word is a unit or begins as one does: `s`, `sec`, `second`."""
    whole = {"sec": "second", "min": "minute"}.get(unit, unit)
    return whole.startswith(word)
