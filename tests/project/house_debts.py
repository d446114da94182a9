"""What the house owes: today's breaches of rules that came after it was built. Each list may only become shorter.

An entry that is no longer true makes tests/project/test_layers.py fail, as does a breach that is no entry: take it out, or mend
the breach. Modules and rooms are named as Python imports them.
"""

from __future__ import annotations

OF_EACH = {
    "SCENARIO": "each module of a scenario declares its own",
    "SCENARIOS": "the same, where one module tells several",
    "EXAMPLES": "each module of the command line gives its own",
    "add_verbs": "each module of the command line adds its own",
    "main": "the door of each program",
    "TYPE_CHECKING": "spares an import that costs more than everything else there",
}
"""Names that many modules define on purpose: one role, and whoever uses it goes through all of them."""

TWICE = []
"""Public names that two modules define, so that a reader has to ask which is meant."""

SMALL_FOR_ONE: set[str] = set()
"""Short modules that only one other imports: is it a concept of its own, or only a cut?"""

CROWDED: dict[str, int] = {}
"""Rooms with more files than one overlooks, and how many they may have meanwhile."""

CIRCLES = []
"""Modules that import one another in a circle, be it for their types alone."""

UNTRANSLATED: set[str] = set()
"""Modules with sentences that do not go through the catalogue yet (tests/project/test_catalogue.py)."""
