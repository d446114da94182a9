"""Where does a packet go in a Kubernetes cluster with Calico and Macvlan, why is it lost, and what brings it back?

Read the packages from top to bottom: `linux` (what a namespace holds and does), `cluster` (who writes it), `trace`
(the walk), `scenarios` (the stories), `show` (how it looks), `kernel` (is it true on a real kernel).
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:  # loads more than everything else here
    from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Settings": "mcnilib.cluster.settings",
    "build": "mcnilib.cluster.build",
    "run": "mcnilib.trace.run",
    "Flow": "mcnilib.trace.flow",
    "Listener": "mcnilib.trace.flow",
    "scenario": "mcnilib.scenarios",
    "all_scenarios": "mcnilib.scenarios",
    "matrix": "mcnilib.scenarios.matrix",
    "compare": "mcnilib.scenarios.matrix",
    "exercise": "mcnilib.show.practice:practise",
    "do": "mcnilib.world.commands",
    "verdict": "mcnilib.trace.explain",
    "tell": "mcnilib.trace.explain",
    "conntrack_view": "mcnilib.trace.explain",
    "listing": "mcnilib.world.listing",
    "explore": "mcnilib.notebook",
    "play": "mcnilib.notebook",
    "step_picture": "mcnilib.notebook",
    "side_by_side": "mcnilib.notebook",
    "fix": "mcnilib.notebook",
    "conclusion": "mcnilib.notebook",
    "cluster_map": "mcnilib.notebook",
    "look_around": "mcnilib.notebook",
    "predict": "mcnilib.show.widgets.quiz",
    "open_snapshot": "mcnilib.snapshots.snapshot",
    "ask": "mcnilib.notebook",
    "speak": "mcnilib.language",
}
"""The names a notebook needs, in reading order, and where they live, behind a colon under another name; each is loaded
when it is first used."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that `import mcnilib` itself loads next to nothing (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mcnilib' has no attribute {name!r}; it has {', '.join(_HOMES)}")
    from mcnilib.gc_pause import gc_paused

    try:
        with gc_paused():
            module, _, other = _HOMES[name].partition(":")
            value = globals()[name] = getattr(import_module(module), other or name)
    except ModuleNotFoundError as error:
        from mcnilib.errors import MissingExtra

        raise MissingExtra(f"mcnilib.{name}", error.name or "a package") from error
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
