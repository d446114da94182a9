"""The words of a drawing that have fixed places: outcome, key, who is client and server, what each host knew."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from mcnilib.language import tr
from mcnilib.show.labels.label_text import conntrack_state, data_planes, decided_by, missed_packets, writers
from mcnilib.show.labels.text_metrics import ellipsize, text_width, wrap
from mcnilib.show.layout.edge_routing import EdgeLines
from mcnilib.show.layout.geometry import Point
from mcnilib.show.layout.plan import Plan
from mcnilib.show.layout.scene import Arrow, Label, Layout
from mcnilib.show.picture.palette import ROLES, role_of
from mcnilib.trace.branches import parts
from mcnilib.trace.explain import part_name
from mcnilib.trace.trace import Fate, Trace
from mcnilib.world.world import World


def captions(
    layout: Layout, world: World, trace: Trace, plan: Plan, lines: EdgeLines, at: tuple[int, int] | None = None
) -> tuple[Label, ...]:
    """Return all of them; what hosts knew is that right after the step `at` (the packet's number, the index)."""
    return (*_header(trace, plan), *_key(plan, lines), *_roles(layout, world, trace), *_states(layout, trace, at))


def _header(trace: Trace, plan: Plan) -> Iterator[Label]:
    """Yield the outcome in words, and who talks to whom."""
    outcome, first = trace.outcome, trace.journeys[0].packet
    name = next(name for name, role in ROLES.items() if role is role_of(outcome))
    text, room = (
        f"{role_of(outcome).glyph} {tr(outcome.verdict.value)}",
        plan.width - (28 if plan.stacked else KEY_WIDTH + _longer_key()),
    )
    size = 16.0 if text_width(text, 16.0, bold=True) <= room else 12.0
    yield Label(text, 14, 18, size=size, bold=True, colour=name)
    port = f":{first.dport}" if first.dport else ""
    asked = f"{trace.journeys[0].visits[0].netns} → {first.dst}{port}, {first.proto.upper()}"
    yield Label(ellipsize(f"{asked}{_shown(trace)}", room), 14, 37, colour="quiet")


def _shown(trace: Trace) -> str:
    """Say which of several ends is drawn."""
    drawn = (part for part in parts(trace) if part.trace.journeys is trace.journeys)
    return next((tr("; drawn here: {end}", end=part_name(part)) for part in drawn), "") if len(parts(trace)) > 1 else ""


KEY = {"request": 11.0, "reply": 26.0, "error": 41.0}
"""The kinds of arrows, each with its height in the upper right corner."""

KEY_WIDTH = 160.0
"""Room for them and for the margins, in pixels."""

STACKED_KEY = {"request": 58.0, "reply": 180.0, "error": 290.0}
"""The kinds of arrows of a narrow sheet, beside each other, each with the x of its tip, or further to the right."""

STACKED_SAMPLE = 46.0
"""How long an arrow of a narrow sheet's key is, in pixels."""


def _tips(plan: Plan, lines: EdgeLines) -> dict[str, Point]:
    """Return the tips of the explained arrows: an error only where there is one."""
    shown = [role for role in KEY if role != "error" or any(edge.error for edge in lines)]
    if not plan.stacked:
        return {role: (plan.width - 74 - _longer_key(), KEY[role]) for role in shown}
    tips, free = dict[str, Point](), 0.0
    for role in shown:
        x = max(STACKED_KEY[role], free + STACKED_SAMPLE)
        tips[role], free = (x, 54.0), x + 12 + text_width(tr(ROLES[role].word))
    return tips


def _longer_key() -> float:
    """Return how much more room the names of the arrows need than they have in the corner."""
    return max(0.0, *(text_width(tr(ROLES[role].word)) - 56 for role in KEY))


def _key(plan: Plan, lines: EdgeLines) -> Iterator[Label]:
    for role, (x, y) in _tips(plan, lines).items():
        yield Label(tr(ROLES[role].word), x + 8, y, colour="quiet")


def samples(plan: Plan, lines: EdgeLines) -> tuple[Arrow, ...]:
    """Return one arrow of each kind, beside its name."""
    long = STACKED_SAMPLE if plan.stacked else 56
    tips = _tips(plan, lines).items()
    return tuple(Arrow(((x - long, y), (x, y)), (), role, lost=False) for role, (x, y) in tips)


def _roles(layout: Layout, world: World, trace: Trace) -> Iterator[Label]:
    """Yield `client` and `server` where they are drawn as pods."""
    first = trace.journeys[0]
    arrived = (j.last.netns for j in trace.journeys if not j.reply and j.fate is Fate.DELIVERED)
    owners = (n.name for n in world for link in n.links for a in link.addresses if a.ip == first.packet.dst)
    server = next(chain(arrived, owners), "")
    client = first.visits[0].netns
    both = {client: tr("client and server")} if client == server else {client: tr("client"), server: tr("server")}
    for name, word in both.items():
        rect = next((b.rect for b in layout.boxes if b.name == name and b.kind == "pod"), None)
        if rect:
            word = ellipsize(word, rect.w - text_width(name, 13, bold=True) - 28)
            x = rect.x + 18 + text_width(name, 13, bold=True) if layout.stacked else rect.right - 10
            yield Label(word, x, rect.y + 14, align="left" if layout.stacked else "right", colour="quiet")


def _states(layout: Layout, trace: Trace, at: tuple[int, int] | None) -> Iterator[Label]:
    """Yield, for every host a packet passed, what its connection tracking knew, and whose rules matched; for the latter
    there is no room where machines are stacked."""
    passed = {name for journey in trace.journeys for name in journey.hops()}
    for name in (box.name for box in layout.boxes if box.kind == "machine" and box.name in passed):
        rect, (left, right, *_) = layout.rect_of(name), layout.callout_areas[name]
        missed = missed_packets(trace, name) if decided_by(trace, at) else []
        tracked, heading = [conntrack_state(trace, name, at), *missed], [("conntrack", "quiet")]
        if layout.stacked:  # there is room for fewer lines
            tracked[0], heading = f"conntrack: {tracked[0]}", []
        tracking = [*heading, *((text, "ink") for text in tracked)]
        yield from _column(tracking, left.x + 4, rect.bottom - 12, left.w - 8, "left")
        if not layout.stacked and (names := writers(trace, name)):
            rules = [
                *((line, "quiet") for line in _heading(tr("{planes} by", planes=data_planes(trace, name)), right.w)),
                *((tr(name), colour if decided_by(trace, at) else "quiet") for name, colour in names.items()),
            ]
            yield from _column(rules, right.right - 4, rect.bottom - 12, right.w, "right")


def _heading(text: str, limit: float) -> tuple[str, ...]:
    """Break a heading into lines of which the last is more than one word, where there is room for two."""
    *lines, last = wrap(text, limit)
    if lines and " " not in last and " " in lines[-1]:
        before, _, word = lines.pop().rpartition(" ")
        lines, last = [*lines, before], f"{word} {last}"
    return (*lines, last)


def _column(lines: list[tuple[str, str]], x: float, bottom: float, limit: float, align: str) -> Iterator[Label]:
    """Yield lines of text one below the other, the last at the bottom; one that is too wide is broken."""
    broken = [(part, colour) for text, colour in lines for part in wrap(text, limit)]
    for up, (text, colour) in enumerate(reversed(broken)):
        yield Label(text, x, bottom - 15 * up, align=align, colour=colour)
