"""Many rules, few words: a line is put together from pieces that were read before.

The rules of a node are many, but of few shapes, and their pieces (`-d 10.0.0.1/32`, `-m tcp --dport 80`, `-j DROP`)
return again and again. The first line of a shape is read whole, in `rule_parse`; when its pieces alone come to the same
rule, further lines of that shape are made of their pieces. Every piece is read by its own reader, so nothing gets in
unread; whatever is unusual is read whole, and so are lines with an error, which is then named with its column.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from mcnilib.errors import McniError
from mcnilib.linux.header_parse import read_header
from mcnilib.linux.match import Match, Protocol
from mcnilib.linux.match_memory import MEMORIES
from mcnilib.linux.match_parse import read_match
from mcnilib.linux.netfilter import HOOKS, ChainRule
from mcnilib.linux.origin import Origin
from mcnilib.linux.rule_parse import chain_name, match_needs, read_rule, target_needs
from mcnilib.linux.rule_words import RuleWords
from mcnilib.linux.target import Target
from mcnilib.linux.target_parse import read_target

_CUT = re.compile(r"(?<! !) (?=(?:! )?-[A-Za-z] )")
"""A blank in front of a short option; inside a quoted text it leaves two pieces that cannot be read."""


class Piece(NamedTuple):
    """The chain, a match or the target of a rule. `role` is all of it that the other pieces can depend on."""

    role: str = ""
    chain: str = ""
    match: Match | None = None
    target: Target | None = None
    own: str = ""  # the words of a match that every rule has for itself, because it remembers packets


UNREADABLE = Piece()
"""What cannot be read alone, or asks for nothing."""

MOST = 4096
"""Shapes that are remembered; the rules of a node have some hundred."""
_PROVEN: dict[tuple[str, ...], bool] = {}
"""Shapes of lines, the roles of their pieces, and whether their pieces alone make the rule."""


def read_line(line: str, source: str, number: int, by: Origin | None = None) -> ChainRule:
    """Read one `-A CHAIN ...` line as `read_rule` does. Raises: StateSyntaxError, Unsupported."""
    pieces = [_piece(text) for text in _CUT.split(line)]
    shape = tuple([piece.role for piece in pieces])
    if _PROVEN.get(shape):
        return _together(pieces, by)
    rule = read_rule(line, source, number)
    if shape not in _PROVEN and UNREADABLE not in pieces:
        _remember(shape, rule == _together(pieces, None))
    return ChainRule(rule.chain, rule.matches, rule.target, by)


def _remember(shape: tuple[str, ...], proven: bool) -> None:
    if len(_PROVEN) >= MOST:
        _PROVEN.clear()
    _PROVEN[shape] = proven


def _together(pieces: list[Piece], by: Origin | None) -> ChainRule:
    """Make a rule of its pieces: the chain first, the target last."""
    matches = [_read(piece.own).match if piece.own else piece.match for piece in pieces]
    return ChainRule(pieces[0].chain, tuple([match for match in matches if match]), pieces[-1].target, by)


@lru_cache(maxsize=65536)
def _piece(text: str) -> Piece:
    """Read a piece, once as long as it is remembered."""
    try:
        return _read(text)
    except McniError:
        return UNREADABLE


def _read(text: str) -> Piece:
    words = RuleWords(text)
    read = READERS.get(words.peek(), _header)
    piece = read(words)
    return UNREADABLE if words.more else piece


def _chain(words: RuleWords) -> Piece:
    """Read `-A CHAIN`; built-in chains allow fewer matches."""
    words.take()
    name = chain_name(words)
    return Piece(f"-A {name}" if name in HOOKS else "-A", name)


def _match(words: RuleWords) -> Piece:
    words.take()
    match = read_match(words, words.take("a match"))
    role = type(match).__name__
    needed = match_needs(match)
    own = words.text if isinstance(match, MEMORIES) else ""
    return Piece(f"{role} {needed}" if needed else role, "", match, None, own)


def _target(words: RuleWords) -> Piece:
    target = read_target(words, words.take() == "-g")
    needed = target_needs(target)
    return Piece(f"-j {needed}" if needed else "-j", "", None, target)


def _header(words: RuleWords) -> Piece:
    kind, match = read_header(words, "") or ("", None)
    role = str(match) if isinstance(match, Protocol) else kind
    return Piece(role, "", match) if match else UNREADABLE


READERS = {"-A": _chain, "-m": _match, "-j": _target, "-g": _target}
"""Who reads a piece that begins with a word; all others are header matches."""
