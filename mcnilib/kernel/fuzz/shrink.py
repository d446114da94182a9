"""Make a case as small as it can be while it still differs: without the lines it does not need."""

from __future__ import annotations

from collections.abc import Callable

from mcnilib.errors import McniError
from mcnilib.kernel.fuzz.case import Case

MOST = 200
"""Smaller cases tried at most."""


def shrink(case: Case, differs: Callable[[Case], bool]) -> Case:
    """Drop half of the lines, then quarters, then single ones, as long as the rest still differs."""
    tries, size = 0, max(1, len(case.lines) // 2)
    while size and tries < MOST:
        smaller = None
        for first in range(0, len(case.lines), size):
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


def _builds(case: Case) -> bool:
    try:
        case.build()
    except McniError:
        return False
    return True
