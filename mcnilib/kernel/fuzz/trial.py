"""One case on both sides: simulated, measured, compared. It agrees, it differs, or it is refused before the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from random import Random
from traceback import extract_tb

from mcnilib.errors import McniError, Unsupported
from mcnilib.kernel.compare.compare import Report, compare_ends, compare_traces
from mcnilib.kernel.fuzz.case import Case, courses, simulated
from mcnilib.kernel.fuzz.pieces import guesses, pieces_of
from mcnilib.kernel.fuzz.rules import remembers
from mcnilib.kernel.lab.capabilities import release
from mcnilib.kernel.lab.lab import ERROR_BURST, Lab
from mcnilib.kernel.lab.tools import ToolFailed
from mcnilib.kernel.observe.observe import CLIENT_PORTS, FIRST_PORT, SLOWER, observe
from mcnilib.linux.packet import Packet
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.stack.host import Network
from mcnilib.trace.trace import Fate, Stage, Trace, Verdict
from mcnilib.world.world import World

_MOST = 200
"""Smaller cases tried at most."""


def shrink(case: Case, differs: Callable[[Case], bool]) -> Case:
    """Drop exchanges, then half of the lines, then quarters, then single ones, as long as the rest still differs."""
    case = _fewer_turns(case, differs)
    tries, size = 0, max(1, len(case.every_line) // 2)
    while size and tries < _MOST:
        smaller = None
        for first in range(0, len(case.every_line), size):
            tries += 1
            candidate = case.without(first, first + size)
            if candidate != case and _builds(candidate) and differs(candidate):
                smaller = candidate
                break
        if smaller is not None:
            case = smaller
        else:
            size = size // 2
    return case


def _fewer_turns(case: Case, differs: Callable[[Case], bool]) -> Case:
    for gone in reversed(range(len(case.turns))):
        candidate = case.without_turn(gone) if len(case.turns) > 1 else case
        if candidate != case and differs(candidate):
            case = candidate
    return case


def _builds(case: Case) -> bool:
    try:
        case.worlds()
    except McniError:
        return False
    return True


_PIECES = 5
"""How many pieces are left out of each world, one at a time, to ask it again."""

TRIAL_AGREES, TRIAL_DIFFERS, TRIAL_REFUSED = "agrees", "differs", "refused"


@dataclass(frozen=True, slots=True)
class Trial:
    """What a case came to. `verdict` is how the conversation ended on the kernel, whose release is `kernel`."""

    case: Case
    ended: str
    text: str
    verdict: str = ""
    kernel: str = field(default_factory=release)


def attempt(lab: Lab, case: Case) -> Trial:
    """Run a case on both sides; runs in a worker. The model may refuse a world, but only before the kernel ran it."""
    try:
        refused = next(filter(None, (_why_not(trace) for trace, _ in simulated(case))), "")
    except Unsupported as problem:
        refused = str(problem)
    if refused:
        return Trial(case, TRIAL_REFUSED, refused)
    try:
        _realise(lab, case)
    except McniError as problem:
        lab.clear()  # half of it may be there
        return Trial(case, TRIAL_REFUSED, f"the lab cannot build it: {problem}")
    trial = _measure(lab, case)
    if trial.ended != TRIAL_AGREES:  # once more, with more patience, in a fresh lab
        lab.clear()
        trial = _measure(lab, case, slower=SLOWER)
    if trial.ended != TRIAL_AGREES:
        return trial
    guessed = chain(
        guesses(case, Random(f"{case.world} {case.turns[0].client} {case.turns[0].to}"), _PIECES), pieces_of(case)
    )
    return next((Trial(case, TRIAL_DIFFERS, text, trial.verdict) for text in guessed), trial)


def _why_not(trace: Trace) -> str:
    """Say why the kernel cannot be asked about an exchange; empty when it can."""
    if unknown := [course.outcome.step.action for course in trace.courses if course.outcome.verdict is Verdict.UNKNOWN]:
        return unknown[0]
    if any(_packed_twice(step.after) for journey in trace.journeys for step in journey.steps):
        return "the lab cannot follow a packet through a tunnel in a tunnel"
    return ""


def _realise(lab: Lab, case: Case) -> None:
    """Build the case's world; anew where what is there stands in the way. Raises: McniError."""
    try:
        if len(case.turns) > 1 or remembers(case.build()):
            lab.clear()
        lab.realise(case.build())
    except McniError:
        lab.clear()
        lab.realise(case.build())


def _packed_twice(packet: Packet) -> bool:
    return bool(packet.inner and packet.inner.packet.inner)


def _measure(lab: Lab, case: Case, *, slower: int = 1) -> Trial:
    """Hold all exchanges of a case and compare; the first that differs ends it."""
    past: Network | None = None
    first = FIRST_PORT + lab.conversations % CLIENT_PORTS
    trial = Trial(case, TRIAL_AGREES, "")
    flows = case.flows(first, slower)
    for number, (world, flow, turn) in enumerate(zip(case.worlds(), flows, case.turns, strict=True)):
        if number and lab.errors > ERROR_BURST:  # from now on the kernel keeps some to itself
            break
        lab.conversations += 1
        try:
            if turn.lines or not number:
                lab.realise(world)
            kernel = observe(lab, flow, turn.listeners(), ident=first + CLIENT_PORTS, going_on=number > 0)
            report, past = _compared(world, flow, turn.listeners(), kernel, past)
        except (Unsupported, ToolFailed) as problem:  # which way chance went before; or half of what was typed is there
            lab.clear()
            return trial if number else Trial(case, TRIAL_REFUSED, str(problem))
        except (LookupError, ValueError) as problem:  # what was captured makes no conversation
            where = extract_tb(problem.__traceback__)[-1]
            what = f"the lab cannot tell what happened: {problem!r} in {where.name}:{where.lineno}"
            return Trial(case, TRIAL_DIFFERS, what)
        text = f"{f'exchange {number + 1}: ' if case.turns[1:] else ''}{report}"
        trial = Trial(case, TRIAL_AGREES if report.agrees else TRIAL_DIFFERS, text, kernel.outcome.verdict.value)
        if not report.agrees or _waits(kernel):
            break
    return trial


def _waits(trace: Trace) -> bool:
    """Tell whether a packet waits for ARP in vain: when that ends its sender is told, in the middle of what follows."""
    return any(j.last.stage in (Stage.ARP, Stage.DEVICE) and j.fate is not Fate.DELIVERED for j in trace.journeys)


def _compared(
    world: World, flow: Flow, listeners: Sequence[Listener], kernel: Trace, past: Network | None
) -> tuple[Report, Network]:
    """Compare with the courses of the model; when two timers end at once, chance says whether what they send crosses.

    Raises: Unsupported where the model does not know all courses, or not all of an exchange that is not the first.
    """
    reports: list[tuple[Report, Network]] = []
    more = False
    for crossing in (False, True):
        trace, nets = courses(world, flow, listeners, past, crossing=crossing)
        if past and (reason := _why_not(trace)):
            raise Unsupported(reason)
        for model, net in nets:
            report = compare_ends(model, kernel, "all packets") if flow.sized else None
            reports.append((report or compare_traces(model, kernel, flow, listeners), net))
            if reports[-1][0].agrees:
                return reports[-1]
        more |= trace.open
    if more:
        raise Unsupported("chance has more branches than are followed")
    return reports[0]
