"""A trace with the probable writers of the lines that decided: only those few lines are judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mcnilib.cluster.inferred import writer_of
from mcnilib.linux.sysctl import BUILT_IN
from mcnilib.trace.trace import Journey, Step, Trace


def with_writers(trace: Trace) -> Trace:
    """Return the same trace and branches; lines whose writer nobody noted name the probable one.

    Defaults that were assumed have no writer.
    """
    branches = tuple(replace(one, trace=with_writers(one.trace)) for one in trace.branches)
    same = (
        new.trace for new, old in zip(branches, trace.branches, strict=True) if old.trace.journeys is trace.journeys
    )
    told = next(same, None)  # of the branches the one that the trace itself tells stays the same
    journeys = told.journeys if told else tuple(_journey(journey) for journey in trace.journeys)
    outcome = trace.outcome
    decided = journeys[trace.journeys.index(outcome.journey)]
    step = decided.steps[outcome.journey.steps.index(outcome.step)]
    return replace(trace, journeys=journeys, outcome=replace(outcome, journey=decided, step=step), branches=branches)


def _journey(journey: Journey) -> Journey:
    return replace(journey, steps=tuple(_step(step) for step in journey.steps))


def _step(step: Step) -> Step:
    line: Any = step.line
    if step.by is BUILT_IN:
        return step._replace(line=replace(line, by=None))
    by = writer_of(line) if line is not None and step.by is None else None
    return step._replace(line=replace(line, by=by)) if by else step
