"""The printed state of the place where something was decided, with the deciding line marked.

Of an iptables table only the chain is shown; each of its other rules says why it did not match.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from mcnilib.errors import McniError
from mcnilib.linux.netfilter import ChainRule
from mcnilib.linux.show import listing
from mcnilib.linux.tables import find_table
from mcnilib.linux.world import World
from mcnilib.trace.explain import conntrack_view
from mcnilib.trace.trace import Step, Trace

MARK = "▶"


@dataclass(frozen=True, slots=True)
class StateLine:
    """One printed line; `note` is a remark beside it, `decided` marks the line that did it."""

    text: str
    decided: bool = False
    note: str = ""


def state_lines(world: World, step: Step) -> tuple[str, tuple[StateLine, ...]]:
    """Return the command that prints the deciding line, and its output; no lines when no state decided."""
    if step.listing is None:
        return "", ()
    if step.table and isinstance(step.line, ChainRule):
        rules = find_table(world[step.netns].tables, step.table).chain(step.chain).rules
        return f"{step.listing.command} | grep -e '-A {step.chain} '", tuple(_rule(rule, step) for rule in rules)
    try:
        text = listing(world[step.netns], step.listing.command)
    except McniError:  # the line is of the run, not of the state: a listening socket
        text = step.evidence
    wanted = step.evidence.strip()
    lines = (StateLine(line, line.strip() == wanted) for line in text.splitlines() if line.strip())
    return step.listing.command, tuple(lines)


def _rule(rule: ChainRule, step: Step) -> StateLine:
    if rule == step.line:
        return StateLine(str(rule), True, str(rule.by or ""))
    try:
        why = rule.why_not(step.before, step.context) if step.context else ""
    except McniError as error:
        why = str(error)
    return StateLine(str(rule), False, f"not this one: {why}" if why else "")


def state_html(world: World, trace: Trace, step: Step) -> str:
    """Return the state around a step as HTML: the listing with the deciding line, and the connections known there."""
    command, lines = state_lines(world, step)
    shown = "".join(map(_line, lines)) or '<div class="line">no line of state decided this</div>'
    head = f"{step.netns}# {command}" if command else f"{step.netns}: {step.action}"
    return f'<div class="mcni-state"><h4>{escape(head)}</h4>{shown}{_connections(trace, step)}</div>'


def _line(line: StateLine) -> str:
    mark = f"{MARK} " if line.decided else "  "
    note = f'<span class="note">  # {escape(line.note)}</span>' if line.note else ""
    strong = ' class="line decided" aria-current="true"' if line.decided else ' class="line"'
    return f"<div{strong}><code>{mark}{escape(line.text.rstrip())}</code>{note}</div>"


def _connections(trace: Trace, step: Step) -> str:
    """Print what conntrack of the namespace knows after the packet."""
    journey = next((one for one in trace.journeys if step in one.steps), trace.outcome.journey)
    entries = conntrack_view(trace, step.netns, journey.number)
    lines = "".join(f'<div class="line"><code>  {escape(one.line(journey.time))}</code></div>' for one in entries)
    empty = '<div class="line">  (no connection)</div>'
    return f"<h4>{escape(step.netns)}# conntrack -L, after packet {journey.number}</h4>{lines or empty}"
