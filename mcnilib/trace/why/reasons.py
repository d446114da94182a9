"""All reasons of a conversation: found when somebody asks, by looking again at the state its packets met.

What would have changed the end is known by holding the conversation again in a world where the condition is gone.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcnilib.trace.trace import Replay, Stage, Trace
from mcnilib.trace.why.connections import listed_before, not_translated_back
from mcnilib.trace.why.filters import would_have_passed
from mcnilib.trace.why.native import natively_passed, natively_untranslated
from mcnilib.trace.why.reason import Reason
from mcnilib.trace.why.routing.routes import path_back, tables_without_route, whose_target
from mcnilib.trace.why.routing.selectors import rules_and_tables_missed
from mcnilib.trace.why.rules import own_policy
from mcnilib.trace.why.translations import untranslated

_UNROUTED = (Stage.ROUTE, Stage.ARP, Stage.DEVICE, Stage.FORWARDING, Stage.GAP)
"""Where a packet ends with an address that should have been translated; a request also at a socket."""


def reasons(trace: Trace) -> tuple[Reason, ...]:
    """Return why a conversation that fails does so, beyond the line that decided; what decides comes first. Of one that
    works, the listed connections it took part in."""
    if trace.replay is None or (trace.outcome.works and not trace.replay.loaded):
        return ()
    known = trace.replay.known
    if id(trace.journeys) not in known:
        found = tuple(sorted(_found(trace, trace.replay), key=lambda reason: not reason.decides))
        known[id(trace.journeys)] = trace.journeys, found  # with what it is about, so that no other takes its identity
    return known[id(trace.journeys)][1]  # type: ignore[return-value]


def _found(trace: Trace, replay: Replay) -> Iterator[Reason]:
    if trace.outcome.works:
        yield from listed_before(trace, replay)
        return
    found = tuple(_of_the_lost(trace, replay))
    yield from found
    yield from whose_target(replay, trace.outcome.journey, found)


def _of_the_lost(trace: Trace, replay: Replay) -> Iterator[Reason]:
    lost = trace.outcome.journey
    yield from path_back(replay, lost)
    yield from tables_without_route(replay, lost)
    yield from rules_and_tables_missed(replay, lost)
    yield from own_policy(replay, lost)
    yield from not_translated_back(trace, replay)
    yield from listed_before(trace, replay)
    if lost.last.stage in _UNROUTED or (lost.last.stage is Stage.SOCKET and not lost.reply):
        yield from untranslated(trace, replay)
        yield from natively_untranslated(trace, replay)
    yield from would_have_passed(replay, lost)
    yield from natively_passed(replay, lost)
