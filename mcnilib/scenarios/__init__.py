"""The stories: one module per heading of the source document, found by itself.

A scenario names actors, a conversation, the settings that matter and what the guide claims; no rule, route or
address stands in one. To add one, put a module with a `SCENARIO` (or `SCENARIOS`) into stories/ and a notebook
into notebooks/. Questions of users are in cases.py.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from mcnilib.errors import McniError
from mcnilib.language import tr
from mcnilib.scenarios import stories
from mcnilib.scenarios.scenario import Claim, DialTarget, Scenario

__all__ = ["Claim", "DialTarget", "Scenario", "ScenarioError", "all_scenarios", "scenario", "scenarios"]


class ScenarioError(McniError, LookupError):
    """A scenario that does not exist; the message names the nearest one that does."""


@cache
def all_scenarios() -> tuple[Scenario, ...]:
    """Return every scenario in the guide's order, then the cases."""
    names = (*(f"{stories.__name__}.{info.name}" for info in iter_modules(stories.__path__)), f"{__name__}.cases")
    modules = map(import_module, names)
    return tuple(sorted((s for module in modules for s in stories_of(module)), key=lambda story: story.number))


def stories_of(module: ModuleType) -> tuple[Scenario, ...]:
    """Return what a module tells: its `SCENARIO`, or its `SCENARIOS` where a heading of the guide has several."""
    return getattr(module, "SCENARIOS", None) or ((module.SCENARIO,) if hasattr(module, "SCENARIO") else ())


def scenario(name: str) -> Scenario:
    """Return a scenario by its name or number; the first of a number that several share.

    Raises: ScenarioError, naming the nearest scenario that exists.
    """
    return scenarios(name)[0]


def scenarios(name: str) -> tuple[Scenario, ...]:
    """Return the scenario of a name, or all of a number. Raises: ScenarioError, naming the nearest that exists."""
    if named := tuple(story for story in all_scenarios() if name in (story.name, str(story.number))):
        return named
    near = get_close_matches(name, [story.name for story in all_scenarios()], n=1, cutoff=0.3)
    if near:
        raise ScenarioError(
            tr(
                "there is no scenario {name!r}: did you mean {near!r}? `mcni list` shows them all",
                name=name, near=near[0],
            )
        )  # fmt: skip
    raise ScenarioError(tr("there is no scenario {name!r}: `mcni list` shows them all", name=name))
