"""A report as sentences and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mcnilib.errors import capital
from mcnilib.language import tr, trn
from mcnilib.repair.advice import Advice, FirstRepair, RepairReport
from mcnilib.trace.explain import course_difference, tell_course, verdict
from mcnilib.trace.trace import Trace


def told(report: RepairReport) -> Iterator[str]:
    """Yield the lines of a report: how it ends now, and what would help, what to prefer first."""
    yield verdict(report.start)
    yield ""
    yield how_many_help(report)
    for number, one in enumerate(report.advice, 1):
        yield ""
        yield from _entry(number, one, report)


def how_many_help(report: RepairReport) -> str:
    """Say how many changes help, of how many, and how many pairs were not tried."""
    if report.start.outcome.works:
        return tr("The conversation works. There is nothing to repair.")
    left = trn("{count} pair of changes was not tried.", "{count} pairs of changes were not tried.", report.left_out)
    return f"{_how_many(report)} {left}" if report.left_out else _how_many(report)


def _how_many(report: RepairReport) -> str:
    if not report.advice:
        return tr("None of the {tried} changes that were tried on the model helps.", tried=report.tried)
    return trn(
        "{count} of {tried} changes helps. Each was tried on the model.",
        "{count} of {tried} changes help. Each was tried on the model; the first is the best.",
        len(report.advice), tried=report.tried,
    )  # fmt: skip


def told_beside_verdict(first: FirstRepair, command: str = "") -> Iterator[str]:
    """Yield the lines that name the first repair beside a verdict, with what it breaks, or why none is named.

    `command` lists all that helps; empty: the one that was typed does, with --fix.
    """
    lists = f"`{command}`" if command else tr("the same command with --fix")
    more = tr("{command} lists all that helps.", command=capital(lists))
    if first.left_out:
        more = trn(
            "{count} more command was not tried: {command} tries it, too.",
            "{count} more commands were not tried: {command} tries them, too.",
            first.left_out, command=lists,
        )  # fmt: skip
    if not first.advice:
        none = tr("No single command helps. {command} tries more.", command=capital(lists))
        yield tr("No command that was tried helps.") + f" {more}" if first.left_out else none
        return
    yield tr("What would help on {machine}, tried on the model:", machine=first.advice.commands[0].netns)
    yield from (f"  {command.text}" for command in first.advice.commands)
    yield f"{first.advice.effect} {more}"


def first_to_json(first: FirstRepair, start: Trace) -> dict[str, Any]:
    """Return the first repair as JSON, beside a trace."""
    return {"repair": first.advice and _as_json(first.advice, start), "repair_left_out": first.left_out}


def _entry(number: int, advice: Advice, report: RepairReport) -> Iterator[str]:
    title = capital(advice.title)
    if number == 1:
        title = tr("{title} (recommended: {why})", title=title, why=report.why_first)
    yield f"{number}. {title}"
    yield from (f"     {command}" for command in advice.commands)
    yield f"   {tr('now: {verdict}', verdict=verdict(advice.remedy.trace))}"
    if course := first_course(report.start, advice.remedy.trace):
        yield "   " + tr("first change: {course}", course=course)
    yield f"   {advice.effect}"
    yield from ("   " + tr("note: {note}", note=note) for note in advice.notes)


def first_course(start: Trace, after: Trace) -> str:
    """Say which packet goes elsewhere first after a repair, and where; nothing where none does."""
    parted = course_difference(start, after)
    if not parted or not parted.there:
        return ""
    return tr("packet {number}: {course}", number=parted.journey, course=tell_course(parted.there))


def to_json(report: RepairReport) -> dict[str, Any]:
    """Return a report as JSON; docs/trace-json.md documents the keys."""
    return {
        "verdict": verdict(report.start),
        "works": report.start.outcome.works,
        "tried": report.tried,
        "left_out": report.left_out,
        "recommended": report.why_first,
        "repairs": [_as_json(one, report.start) for one in report.advice],
    }


def _as_json(advice: Advice, start: Trace) -> dict[str, Any]:
    remedy = advice.remedy
    dial = remedy.repair.dial
    return {
        "title": advice.title,
        "commands": [{"where": command.netns, "command": command.text} for command in advice.commands],
        "settings": list(advice.settings),
        "dial": {"address": str(dial.to), "port": dial.port, "endpoint": dial.endpoint} if dial else None,
        "verdict": verdict(remedy.trace),
        "first_change": first_course(start, remedy.trace),
        "held": remedy.held,
        "breaks": list(remedy.breaks),
        "mends": list(remedy.mends),
        "undone_by": remedy.repair.undone_by,
        "notes": list(advice.notes),
    }
