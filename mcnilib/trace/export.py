"""A Trace as plain JSON values, for other programs. docs/trace-json.md documents every key.

The form is stable: keys are only added, and `format` counts up when one changes its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mcnilib.linux.netfilter.conntrack import Entry
from mcnilib.linux.packet import Packet
from mcnilib.trace.explain import conntrack_view
from mcnilib.trace.trace import Branch, Journey, Outcome, Step, Trace
from mcnilib.trace.why.reason import Reason
from mcnilib.trace.why.reasons import reasons

_FORMAT = 1

Json = dict[str, Any]


def trace_to_json(trace: Trace) -> Json:
    """Return the whole trace: outcome, journeys with their steps, and the connections at the end; where chance has a
    say, how each branch ends."""
    branches: Json = {"branches": [_branch(branch) for branch in trace.branches], "open": trace.open}
    data: Json = {
        "format": _FORMAT,
        "outcome": _outcome(trace.outcome),
        "reasons": [_reason(reason) for reason in reasons(trace)],
        "notes": list(trace.notes),
        "journeys": [_journey(journey) for journey in trace.journeys],
        "connections": _connections(dict(trace.connections)),
        "before_close": _connections(_before_close(trace)),
    }
    sizes = {name: _outcome(end) for name, end in (("small", trace.small), ("large", trace.large)) if end}
    return data | sizes | (branches if trace.branches else {})


def _connections(tables: Mapping[str, Iterable[Entry]]) -> Json:
    return {name: there for name, entries in tables.items() if (there := [_entry(entry) for entry in entries])}


def _before_close(trace: Trace) -> dict[str, tuple[Entry, ...]]:
    """Return the connections of each namespace right before the first FIN; nothing where none was sent."""
    numbers = [journey.number for journey in trace.journeys]
    first = next((journey.number for journey in trace.journeys if "FIN" in journey.packet.kind), None)
    if first is None or first == numbers[0]:
        return {}
    before = numbers[numbers.index(first) - 1]
    return {name: conntrack_view(trace, name, before) for name, _ in trace.connections}


def _branch(branch: Branch) -> Json:
    chance = [{"question": turn.question, "answer": turn.options[turn.taken]} for turn in branch.turns]
    return {"share": branch.share, "chance": chance, "outcome": _outcome(branch.trace.outcome)}


def _outcome(outcome: Outcome) -> Json:
    return {
        "verdict": outcome.verdict.value,
        "works": outcome.works,
        "error": outcome.error,
        "seen_source": outcome.seen_source,
        "journey": outcome.journey.number,
        "step": _step(outcome.step),
    }


def _reason(reason: Reason) -> Json:
    return {
        "journey": reason.journey,
        "step": reason.index,
        "netns": reason.netns,
        "text": reason.said,
        "evidence": reason.evidence,
        "listing": reason.listing.command if reason.listing else "",
        "writer": reason.origin.writer if reason.origin else "",
        "decides": reason.decides,
    }


def _journey(journey: Journey) -> Json:
    return {
        "number": journey.number,
        "time": round(journey.time, 6),
        "reply": journey.reply,
        "retransmission_of": journey.retransmission_of,
        "packet": _packet(journey.packet),
        "fate": journey.fate.value,
        "steps": [_step(step) for step in journey.steps],
    }


def _step(step: Step) -> Json:
    """Leave out what is empty: a step says only what it has to say."""
    values: Json = {
        "netns": step.netns,
        "stage": step.stage.value,
        "hook": step.hook,
        "table": step.table,
        "chain": step.chain if step.table else "",
        "iif": step.iif,
        "oif": step.oif,
        "action": step.action,
        "evidence": step.evidence,
        "listing": step.listing.command if step.listing else "",
        "writer": step.origin.writer if step.origin else "",
        "why": step.origin.why if step.origin else "",
        "ctstate": str(step.ctstate),
        "changed": [{"field": f, "before": a, "after": b} for f, a, b in step.before.differences(step.after)],
        "to": list(step.to) if step.to else [],
        "path": [f"{place}/{device}" if device else place for place, device in step.path],
        "fate": step.fate.value,
    }
    kept = {key: value for key, value in values.items() if value not in ("", [])}
    return kept | ({"connection": _entry(step.entry)} if step.entry else {})


def _packet(packet: Packet) -> Json:
    values: Json = {"src": str(packet.src), "dst": str(packet.dst), "proto": packet.proto, "kind": packet.kind}
    if packet.sport or packet.dport:
        values |= {"sport": packet.sport, "dport": packet.dport}
    return values | {"ttl": packet.ttl, "mark": f"{packet.mark:#x}", "payload": packet.length}


def _entry(entry: Entry) -> Json:
    return {
        "proto": entry.original.proto,
        "state": entry.state,
        "original": str(entry.original),
        "reply": str(entry.reply),
        "seen_reply": entry.seen_reply,
        "assured": entry.assured,
        "mark": entry.mark,
    }
