"""The stories: one module per scenario of the source document, found by itself.

A scenario names actors, a conversation, the settings that matter and what the document claims; no rule, route or
address stands in one. To add one, put a module with a `SCENARIO` beside the others and a notebook into notebooks/.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from mcnilib.errors import McniError
from mcnilib.scenarios.scenario import Claim, Scenario, Way

__all__ = ["Claim", "Scenario", "ScenarioError", "Way", "all_scenarios", "scenario"]


class ScenarioError(McniError, LookupError):
    """A scenario that does not exist; the message names the nearest one that does."""


@cache
def all_scenarios() -> tuple[Scenario, ...]:
    """Return every scenario in the document's order."""
    modules = (import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__))
    found = [module.SCENARIO for module in modules if hasattr(module, "SCENARIO")]
    return tuple(sorted(found, key=lambda one: one.number))


def scenario(name: str) -> Scenario:
    """Return a scenario by its name or number.

    Raises: ScenarioError, naming the nearest scenario that exists.
    """
    known = {one.name: one for one in all_scenarios()} | {str(one.number): one for one in all_scenarios()}
    if name in known:
        return known[name]
    near = get_close_matches(name, [key for key in known if not key.isdigit()], n=1, cutoff=0.3)
    meant = f"did you mean {near[0]!r}? " if near else ""
    raise ScenarioError(f"there is no scenario {name!r}: {meant}`mcni list` shows them all")
