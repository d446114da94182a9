"""A trace as a table of steps: number, place, what was decided, the line of state, who wrote it, what changed.

Three depths: the outcome, the hops, every decision. As a real HTML table for screens and screen readers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mcnilib.language import clauses, mark, tr, trn
from mcnilib.show.html.markup import DECIDED, Html, code, element, joined, option_html, sentence
from mcnilib.trace.explain import place_name, sending_step, short_name, times_sent
from mcnilib.trace.trace import DEPTHS, Depth, Fate, Journey, Stage, Step, Trace
from mcnilib.trace.why.reasons import reasons

DEPTH_LABELS = {"outcome": mark("the outcome"), "hops": mark("every hop"), "decisions": mark("every decision")}

ADDRESS_FIELDS = ("src", "dst", "sport", "dport")
"""The changes worth telling when not every decision is told."""

AROUND = 6
"""Rows shown before and after the step that is looked at, so that it need not be searched for."""

STEP_COLUMNS = (
    *(mark("packet"), mark("where"), mark("what")),
    *(mark("line of state that decided"), mark("written by"), mark("changed")),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the step table. `journey` and `index` say which step it is."""

    journey: int
    index: int
    packet: str
    where: str
    what: str
    line: str
    writer: str
    why: str
    changed: str
    fate: Fate
    heading: str = ""  # how a table names the packet: with the number of times it was sent
    head: int = 0  # the packet it is folded into, in a table; 0: it is told by itself
    reason: str = ""  # what did not match there, or had no route

    def __str__(self) -> str:
        return f"{self.packet}, {self.where}: {self.what}"


def rows(trace: Trace, depth: str = "hops") -> tuple[Row, ...]:
    """Return the steps of a depth as rows. Raises: ValueError for a depth that is not in DEPTHS."""
    if depth not in DEPTHS:
        raise ValueError(tr("depth cannot be {depth!r}; it is one of {depths}", depth=depth, depths=", ".join(DEPTHS)))
    chosen = (trace.outcome.journey,) if depth == Depth.OUTCOME else trace.journeys
    fields = ADDRESS_FIELDS if depth != Depth.DECISIONS else ()
    beside: dict[tuple[int, int], list[str]] = {}
    for reason in reasons(trace):
        beside.setdefault((reason.journey, reason.index), []).append(reason.said)
    folded, times = trace.folded, {one.number: sent for one, sent in times_sent(trace)}
    return tuple(
        replace(
            _row(journey, index, step, fields),
            heading=short_name(journey, times.get(journey.number, 1)),
            head=folded.get(journey.number, 0),
            reason=clauses(beside.get((journey.number, index), ())),
        )
        for journey in chosen
        for index, step in enumerate(journey.steps)
        if _told(journey, step, depth) or (journey.number, index) in beside
    )


_CAPTIONS = {
    "outcome": mark("Steps: outcome"),
    "hops": mark("Steps: hops"),
    "decisions": mark("Steps: decisions"),
}


def deciding_place(trace: Trace) -> tuple[int, int]:
    """Return the packet and the index of the step that decided how a conversation ends."""
    outcome = trace.outcome
    at = next(index for index, step in enumerate(outcome.journey.steps) if step is outcome.step)
    return outcome.journey.number, at


def failure(trace: Trace) -> tuple[int, int] | None:
    """Return the packet and the index of the step at which a conversation fails; None for one that works."""
    return None if trace.outcome.works else deciding_place(trace)


def depth_options() -> Html:
    """Return the depths as the options of a list, of which every hop is chosen."""
    return joined(*(option_html(tr(text), depth, chosen=depth == Depth.HOPS) for depth, text in DEPTH_LABELS.items()))


def _told(journey: Journey, step: Step, depth: str) -> bool:
    """Tell whether a step belongs to a depth: the end of a packet always, its moves and rewrites from hops on."""
    if depth == Depth.DECISIONS or step is journey.last:
        return True
    moved = step.stage in (Stage.DEVICE, Stage.TUNNEL, Stage.NAT)
    rewritten = (step.before.src, step.before.dst) != (step.after.src, step.after.dst)
    return depth == Depth.HOPS and not journey.retransmission_of and (moved or rewritten)


def _row(journey: Journey, index: int, step: Step, fields: tuple[str, ...]) -> Row:
    pairs = (pair for pair in step.before.differences(step.after) if not fields or pair[0] in fields)
    changed = "; ".join(f"{name} {a} → {b}" for name, a, b in pairs)
    decided = sending_step(journey, step) if fields else step  # among all decisions the route has its own row
    return Row(
        journey.number,
        index,
        short_name(journey),
        f"{step.netns}: {place_name(step)}",
        step.action,
        decided.evidence.strip(),
        tr(decided.origin.writer) if decided.origin else "",
        tr(decided.origin.why) if decided.origin else "",
        changed,
        step.fate,
    )


def table_html(steps: Sequence[Row], depth: str, current: tuple[int, int] | None = None, *, fold: bool = True) -> Html:
    """Return the step table as HTML, from all rows of a depth.

    With `current` (packet, step index) only the rows around that step, which is marked with ▶ and `aria-current`. The
    whole table has packets that are sent again and go and end as before in one row, with their number, unless `fold`
    is false: a table along which one walks has every step.
    """
    at = next((i for i, row in enumerate(steps) if (row.journey, row.index) == current), None)
    if at is None and fold:
        steps = [replace(row, packet=row.heading) for row in steps if not row.head]
    first, last = (0, len(steps)) if at is None else (max(0, at - AROUND), min(len(steps), at + AROUND + 1))
    body = (_line(row, number == at) for number, row in enumerate(steps[first:last], start=first))
    heads = element("tr", *(element("th", tr(head), scope="col") for head in STEP_COLUMNS))
    return element(
        "table",
        element("caption", tr(_CAPTIONS[depth])),
        element("thead", heads),
        element("tbody", _skipped(_before(first)), *body, _skipped(_after(len(steps) - last))),
        class_="mcni-steps",
    )


def _before(count: int) -> str:
    return trn("… {count} step before", "… {count} steps before", count) if count else ""


def _after(count: int) -> str:
    return trn("… {count} step after", "… {count} steps after", count) if count else ""


def _skipped(text: str) -> str:
    return element("tr", element("td", text, colspan=str(len(STEP_COLUMNS)))) if text else ""


def _line(row: Row, current: bool) -> Html:
    ended = row.fate not in (Fate.GOES_ON, Fate.DELIVERED)
    marks = (f"{DECIDED} " if current else "") + ("✗ " if ended else "")
    classes = " ".join(name for name, on in (("lost", ended), ("current", current)) if on)
    head = element("th", f"{marks}{row.packet}", scope="row")
    cells = (element("td", cell) for cell in _cells(row))
    return element("tr", head, *cells, class_=classes, aria_current="step" if current else "")


def _cells(row: Row) -> Iterator[str]:
    yield row.where
    yield joined(row.what, element("div", sentence(row.reason))) if row.reason else row.what
    yield code(row.line) if row.line else ""
    yield element("span", row.writer, title=row.why) if row.writer else ""
    yield row.changed
