"""Rules that look alike: a ruleset of a hundred thousand lines has a few dozen forms, and each is understood once.

A form is a line with holes where an address, a comment, a port, a probability, a device or a chain stands. A line that
fills the holes of a known form with proper values is a rule the reader would accept, whose matches and target are of
the same kinds; what exactly it says is read when a packet, or a reader, first asks for its chain.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

from mcnilib.linux.netfilter import HOOKS, ChainRule
from mcnilib.linux.rule_words import word_list
from mcnilib.linux.target import Jump

_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_ADDRESS = rf"{_BYTE}\.{_BYTE}\.{_BYTE}\.{_BYTE}"
_PORT = r"[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5]"
_HOST, _DEVICE = rf"{_ADDRESS}/32", r"[A-Za-z][A-Za-z0-9_.-]{0,14}"
_CHAIN = r"[A-Z]*[-_a-z0-9][A-Za-z0-9_-]*"  # no name of a target or of a hook, which are all capitals

HOLES = {
    "-s": _HOST,
    "-d": _HOST,
    "-i": _DEVICE,
    "-o": _DEVICE,
    "--dport": _PORT,
    "--sport": _PORT,
    "--comment": r'"[ !#-\[\]-~]{0,255}"',  # printable ASCII without quotes and backslashes
    "--probability": r"0\.\d{1,11}",
    "--to-destination": rf"{_ADDRESS}:(?:{_PORT})",
}
"""The values that may differ in rules of one form, by the option they follow; all others must be the same."""

FEW = 250
"""So many lines are sooner read than their forms learned."""

MOST = 128
"""Forms that are remembered; a ruleset that has more of them is read line by line."""


class Form(NamedTuple):
    """How the lines of alike rules look, and one rule of them. Groups: the chain, the chain it jumps to if it does."""

    pattern: re.Pattern[str]
    sample: ChainRule

    @classmethod
    def of(cls, line: str, rule: ChainRule) -> Form | None:
        """Return the form of a line that was read as this rule; None where it cannot be told from the line alone."""
        words = word_list(line)
        if " ".join(words) != line or words[0] != "-A" or rule.remembers:
            return None
        own = re.escape(words[1]) if rule.chain in HOOKS or not re.fullmatch(_CHAIN, words[1]) else _CHAIN
        holes = dict(HOLES)
        if isinstance(rule.target, Jump) and words[-2] in ("-j", "-g"):
            holes[words[-2]] = _CHAIN
        parts = [_part(option, word, holes) for option, word in pairwise(words[1:])]
        pattern = " ".join([rf"-A ({own})", *parts])
        return cls(re.compile(pattern, re.ASCII), rule)


def _part(option: str, word: str, holes: dict[str, str]) -> str:
    """Return the pattern of a word that follows an option."""
    pattern = holes.get(option)
    if pattern is None or not re.fullmatch(pattern, word, re.ASCII):
        return re.escape(word)
    return f"({pattern})" if pattern == _CHAIN else f"(?:{pattern})"


class Alike(NamedTuple):
    """A rule of the same form, the chain a line belongs to, and the chain it jumps to; empty when it does not."""

    sample: ChainRule
    chain: str
    to: str


class Forms:
    """The forms seen so far, the usual ones first."""

    def __init__(self) -> None:
        """Begin without any."""
        self._forms: list[Form] = []
        self._read = 0

    def find(self, line: str) -> Alike | None:
        """Return a rule that looks alike, with the chains this line names; None for a line of no known form.

        A form that fits moves one place up.
        """
        forms = self._forms
        for at, form in enumerate(forms):
            if found := form.pattern.fullmatch(line):
                if at:
                    forms[at - 1], forms[at] = form, forms[at - 1]
                return Alike(form.sample, found[1], found[2] if found.re.groups > 1 else "")
        return None

    def learn(self, line: str, rule: ChainRule) -> None:
        """Remember the form of a line that was read."""
        self._read += 1
        if self._read > FEW and len(self._forms) < MOST and (form := Form.of(line, rule)):
            self._forms.append(form)
