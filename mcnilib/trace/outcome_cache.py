"""Outcomes remembered: a conversation ends as before when the namespaces it came to, and all cables, are as before.

A sweep over settings asks for many conversations that never meet what a setting changes. Only outcomes are remembered,
not traces: two equal rules may have different writers, and a trace tells of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mcnilib.language import current_language
from mcnilib.linux.chance import Chance
from mcnilib.linux.netfilter.conntrack import Entry
from mcnilib.linux.netns import Netns
from mcnilib.trace.branches import follow
from mcnilib.trace.devices.bridge import shown_to_iptables
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import Run
from mcnilib.trace.sizes import in_sizes
from mcnilib.trace.trace import Outcome, Trace, Verdict
from mcnilib.world.world import World

KEPT = 256
"""Outcomes kept of one conversation; the sweep over one setting after the other needs some 40."""


class _Cached(NamedTuple):
    """What decided a conversation, and how it ended."""

    cables: tuple[object, ...]
    passed: tuple[Netns, ...]
    asked: tuple[tuple[str, tuple[object, ...]], ...]  # those that only ARP asked, and what it read there
    outcome: Outcome

    def decides(self, world: World, cables: tuple[object, ...]) -> bool:
        same = all(world[netns.name] == netns for netns in self.passed) and self.cables == cables
        return same and all(_for_arp(world[name]) == read for name, read in self.asked)


class OutcomeCache:
    """The outcomes of conversations, each with the state it depended on."""

    def __init__(self, connections: Sequence[tuple[str, Entry]] = (), *, partial: bool = False) -> None:
        """Start empty; `connections` and `partial` are those of `run_sizes`, the same for all outcomes."""
        self._connections, self._partial = connections, partial
        self._known: dict[tuple[Flow, tuple[Listener, ...], str], list[_Cached]] = {}

    def outcome(self, world: World, flow: Flow, listeners: Sequence[Listener]) -> Outcome:
        """Return how `run_sizes` ends; the conversation is held unless one before saw the same state.

        One that works ends with the client's answer here, not with the last packet of its close.
        """
        entries = self._known.setdefault((flow, tuple(listeners), current_language()), [])
        cables = _cables(world)
        for cached in entries:
            if cached.decides(world, cables):
                return cached.outcome
        talks: list[Run] = []

        def hold(flow: Flow, partial: bool) -> Trace:
            def talk(chance: Chance) -> Trace:
                talks.append(Run(world, flow, listeners, self._connections, partial, chance=chance))
                return talks[-1].finish(closing=False)

            return follow(world, talk)

        trace = in_sizes(world, flow, self._partial, hold)
        if trace.outcome.verdict is not Verdict.UNKNOWN and len(entries) < KEPT:
            passed = {flow.netns, *(name for held in talks for journey in held.journeys for name in journey.hops())}
            awake = sorted({name for held in talks for name in held.net.hosts})
            asked = tuple((name, _for_arp(world[name])) for name in awake if name not in passed)
            entries.append(_Cached(cables, tuple(world[name] for name in sorted(passed)), asked, trace.outcome))
        return trace.outcome


def _for_arp(netns: Netns) -> tuple[object, ...]:
    """Return what decides whether a namespace answers ARP; its devices are among the cables."""
    sysctls = tuple(setting for setting in netns.sysctls if setting.key.startswith("net.ipv4."))
    return netns.ip4.rules, netns.ip4.routes, netns.ip4.neighbours, netns.missing, sysctls


def _cables(world: World) -> tuple[object, ...]:
    """Return all that `mcnilib.trace.stack.ethernet` reads of a world."""
    return (world.segments, world.complete, *((n.name, n.links, _bridges_shown(n)) for n in world))


def _bridges_shown(netns: Netns) -> bool:
    return any(link.is_bridge and shown_to_iptables(netns, link) for link in netns.links)
