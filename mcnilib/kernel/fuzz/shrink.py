"""Make a case as small as it can be while it still differs: without the lines it does not need."""

from __future__ import annotations

from collections.abc import Callable

from mcnilib.errors import McniError
from mcnilib.kernel.fuzz.case import Case

_MOST = 200
"""Smaller cases tried at most."""


def shrink(case: Case, differs: Callable[[Case], bool]) -> Case:
    """Drop exchanges, then half of the lines, then quarters, then single ones, as long as the rest still differs."""
    case = _fewer_turns(case, differs)
    tries, size = 0, max(1, len(case.every_line) // 2)
    while size and tries < _MOST:
        smaller = None
        for first in range(0, len(case.every_line), size):
            tries += 1
            candidate = case.without(first, first + size)
            if candidate != case and _builds(candidate) and differs(candidate):
                smaller = candidate
                break
        if smaller is not None:
            case = smaller
        else:
            size = size // 2
    return case


def _fewer_turns(case: Case, differs: Callable[[Case], bool]) -> Case:
    for gone in reversed(range(len(case.turns))):
        candidate = case.without_turn(gone) if len(case.turns) > 1 else case
        if candidate != case and differs(candidate):
            case = candidate
    return case


def _builds(case: Case) -> bool:
    try:
        case.worlds()
    except McniError:
        return False
    return True
