"""The case for which kube-proxy drops INVALID packets: a segment of a service's answer, outside of conntrack's window.

conntrack calls it INVALID, so nobody restores the service's address in it. If it reaches the client, it is of no
connection there, the client answers RST, and that ends the server's connection. Source: kubernetes issue 74839.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mcnilib.cluster.settings import Settings
from mcnilib.language import mark, tr
from mcnilib.scenarios import scenario
from mcnilib.scenarios.scenario import Scenario
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import Run
from mcnilib.trace.trace import Fate, Journey
from mcnilib.world.world import World

_FAR = 10_000_000
"""Bytes by which the segment is ahead of the connection: more than any window that TCP agrees on here."""

_SERVICE, _ENDPOINT = "calico-to-clusterip", "cal2"
"""A conversation through a service whose client is not masqueraded, as the rule was written for."""


def late_segment(world: World, flow: Flow, listeners: Sequence[Listener]) -> tuple[Journey, ...]:
    """Hold a TCP conversation, let its server send one segment far ahead of the window, and return what comes of it.

    The first journey is the segment's, others are what is said to it; none where the server has sent nothing.
    """
    run = Run(world, flow, listeners)
    run.finish(closing=False)
    before = len(run.journeys)
    answers = [journey for journey in run.journeys if journey.reply and journey.packet.tcp]
    if answers:
        last = answers[-1]
        tcp = last.packet.tcp
        run.say(last.steps[0].netns, last.packet._replace(tcp=replace(tcp, seq=tcp.seq + _FAR)), reply=True)  # type: ignore[type-var, union-attr]
    return tuple(run.journeys[before:])


def late_segment_of(story: Scenario, settings: Settings) -> tuple[Journey, ...]:
    """Return what comes of such a segment of a scenario's conversation."""
    return late_segment(story.world(settings), story.flow(settings), story.listeners(settings))


def late_segment_ends(journeys: Sequence[Journey]) -> str:
    """Say what became of the segment, and of the connection."""
    last = journeys[0].last
    if last.fate is Fate.DROPPED:
        return tr("dropped on {netns} by `{rule}`", netns=last.netns, rule=last.evidence)
    if last.fate is Fate.DELIVERED:
        return tr("translated all the same and delivered to {netns}", netns=last.netns)
    reset = any(other.last.fate is Fate.DELIVERED for other in journeys[1:])
    untranslated = tr("it reaches {netns} untranslated", netns=last.netns)
    return tr("{reaches}, whose RST ends the connection", reaches=untranslated) if reset else untranslated


def service_caveat(settings: Settings) -> str:
    """Say what these settings do to such a segment of a service, with Felix's drop of INVALID packets and without."""
    story = scenario(_SERVICE)
    both = (settings.but(endpoint=_ENDPOINT, protocol="TCP", felix_invalid=drops) for drops in (True, False))
    with_felix, without = (late_segment_ends(late_segment_of(story, one)) for one in both)
    return tr(_CAVEAT, with_felix=with_felix, without=without)


_CAVEAT = mark(
    "a late segment of a service, which conntrack calls INVALID: {with_felix}; "
    "without Felix's own INVALID drop: {without}"
)
