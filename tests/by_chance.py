"""Notebooks drawn by chance, where opening or running each of them takes too long for every run of the tests."""

from __future__ import annotations

import os
from collections.abc import Collection
from random import Random

DRAWN = 7
"""How many are drawn besides those of every run."""

EVERY = "all"
"""Value of MCNI_NOTEBOOKS with which all are taken."""


def drawn(names: Collection[str], *always: str) -> list[str]:
    """Draw some of the names, the same in all workers of a run of pytest; test ids tell which."""
    if os.environ.get("MCNI_NOTEBOOKS") == EVERY:
        return sorted(names)
    rest = sorted(set(names) - {*always})
    chance = Random(os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid()))
    return sorted([*always, *chance.sample(rest, min(DRAWN, len(rest)))])
