"""Where Linux disagrees with the guide: found by running every story, never written down by hand.

A story is run as it starts and with every single setting changed. Of the runs in which a statement of the guide is
wrong, the first one is kept as the example.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mcnilib.cluster.settings import Settings
from mcnilib.scenarios import all_scenarios
from mcnilib.scenarios.scenario import Claim, Scenario, neighbours
from mcnilib.trace.explain import verdict


@dataclass(frozen=True)
class Disagreement:
    """A statement of the guide and a run that ends otherwise."""

    story: Scenario
    settings: Settings
    claim: Claim
    among: int  # runs that contradict the same statement

    @property
    def says(self) -> str:
        """What becomes of the conversation, and the line of state that decided."""
        return verdict(self.story.run(self.settings))


def disagreements() -> tuple[Disagreement, ...]:
    """Return one run for each statement of the guide that Linux contradicts, in the order of the scenarios."""
    return tuple(claim for story in all_scenarios() for claim in _of(story))


def _of(story: Scenario) -> Iterator[Disagreement]:
    by_claim: dict[Claim, list[Settings]] = {}
    start = story.start()
    for settings in (start, *neighbours(story, start)):
        claim = story.claim(settings)
        if claim.holds(story.outcome(settings).works) is False:
            by_claim.setdefault(claim, []).append(settings)
    for claim, runs in by_claim.items():
        yield Disagreement(story, runs[0], claim, len(runs))
