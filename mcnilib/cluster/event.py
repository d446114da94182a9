"""What happens to a cluster: events, each with the changes it makes to namespaces.

A change is remembered with what it was made to: two settings that share a history share its namespaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from mcnilib.cluster.spec import Pod
from mcnilib.language import tr
from mcnilib.linux.netns import Netns

_Verb = Callable[..., Netns]


@dataclass(frozen=True, eq=False)
class Change:
    """What one component does to one namespace: `verb(namespace, *arguments)`. Compared by identity; see `change`."""

    netns: str
    verb: _Verb
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.netns}: {self.verb.__name__}"


@lru_cache(maxsize=8192)
def change(netns: str, verb: _Verb, *arguments: Any) -> Change:
    """Return the change with these arguments; equal arguments give the same object."""
    return Change(netns, verb, arguments)


@dataclass(frozen=True, eq=False)
class Event:
    """Something that happens to the cluster, as an administrator would name it, and what it did in a sentence.

    Both are marked (`mcnilib.language.mark`): who shows them says `tr(...)`.
    """

    name: str
    did: str
    changes: tuple[Change, ...] = ()

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces the event changes."""
        return tuple(dict.fromkeys(change.netns for change in self.changes))

    def __str__(self) -> str:
        return f"{tr(self.name)}: {tr(self.did)}"


def apply(event: Event, namespaces: dict[str, Netns]) -> None:
    """Let an event happen to the namespaces, given by name."""
    for change in event.changes:
        namespaces[change.netns] = _after(_Held(namespaces[change.netns]), change)


class _Held:
    """A namespace as a key: compared by identity, because comparing whole namespaces would cost more than it saves."""

    __slots__ = ("netns",)

    def __init__(self, netns: Netns) -> None:
        self.netns = netns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and self.netns is other.netns

    def __hash__(self) -> int:
        return id(self.netns)


@lru_cache(maxsize=8192)
def _after(before: _Held, change: Change) -> Netns:
    return change.verb(before.netns, *change.arguments)


class Plugin(Protocol):
    """A CNI plugin with its options; two that are equal do the same."""

    def add(self, pod: Pod) -> Iterator[Change]:
        """Yield what the plugin's ADD does to the namespaces of the pod and of its node, in order."""
