"""One case on both sides: simulated, measured, compared. It agrees, it differs, or it is refused before the run."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from traceback import extract_tb

from mcnilib.errors import McniError, Unsupported
from mcnilib.kernel.compare import compare
from mcnilib.kernel.fuzz.case import Case
from mcnilib.kernel.fuzz.pieces import guesses
from mcnilib.kernel.observe import observe
from mcnilib.kernel.realise import Lab
from mcnilib.linux.packet import Packet
from mcnilib.trace.run import run
from mcnilib.trace.trace import Trace, Verdict

PATIENCE = {"tcp": 0.7, "udp": 0.3, "icmp": 0.3}
"""Seconds the client waits; see `verify`."""
SLOWER = 3
FIRST_PORT, PORTS = 10000, 20000

PIECES = 5
"""How many pieces are left out of each world, one at a time, to ask it again."""

REMEMBERING = ("-m recent", "-m limit", "-m statistic")
"""Matches that remember packets: no conversation of another case may have passed them."""

AGREES, DIFFERS, REFUSED = "agrees", "differs", "refused"


@dataclass(frozen=True, slots=True)
class Trial:
    """What a case came to. `verdict` is how the conversation ended on the kernel."""

    case: Case
    ended: str
    text: str
    verdict: str = ""


def attempt(lab: Lab, case: Case) -> Trial:
    """Run a case on both sides; runs in a worker. The model may refuse a world, but only before the kernel ran it."""
    try:
        trace = simulate(case)
    except Unsupported as refusal:
        return Trial(case, REFUSED, str(refusal))
    unknown = next((one.outcome for one in trace.courses if one.outcome.verdict is Verdict.UNKNOWN), None)
    if unknown:
        return Trial(case, REFUSED, unknown.step.action)
    if trace.open:
        return Trial(case, REFUSED, "chance has more branches than are followed")
    if any(_packed_twice(step.after) for journey in trace.journeys for step in journey.steps):
        return Trial(case, REFUSED, "the lab cannot follow a packet through a tunnel in a tunnel")
    try:
        _become(lab, case)
    except McniError as problem:
        lab.clear()  # half of it may be there
        return Trial(case, REFUSED, f"the lab cannot build it: {problem}")
    trial = _measure(lab, case)
    if trial.ended != AGREES:  # once more, with more patience, in a fresh lab
        lab.clear()
        trial = _measure(lab, case, slower=SLOWER)
    guessed = guesses(case, Random(f"{case.world} {case.client} {case.to}"), PIECES) if trial.ended == AGREES else ()
    return next((Trial(case, DIFFERS, text, trial.verdict) for text in guessed), trial)


def _become(lab: Lab, case: Case) -> None:
    """Build the case's world; anew where what is there stands in the way. Raises: McniError."""
    try:
        if any(match in line for line in case.lines for match in REMEMBERING):
            lab.clear()
        lab.become(case.build())
    except McniError:
        lab.clear()
        lab.become(case.build())


def simulate(case: Case) -> Trace:
    """Run a case in the simulator only."""
    return run(case.build(), case.flow(), case.listeners())


def _packed_twice(packet: Packet) -> bool:
    return bool(packet.inner and packet.inner.packet.inner)


def _measure(lab: Lab, case: Case, *, slower: int = 1) -> Trial:
    world, listeners = case.build(), case.listeners()
    lab.become(world)
    lab.conversations += 1
    proto = case.to.partition(":")[0]
    flow = case.flow(FIRST_PORT + lab.conversations % PORTS, PATIENCE[proto] * slower)
    try:
        kernel = observe(lab, flow, listeners, ident=flow.sport + PORTS)
    except (LookupError, ValueError) as problem:  # what was captured makes no conversation
        where = extract_tb(problem.__traceback__)[-1]
        return Trial(case, DIFFERS, f"the lab cannot tell what happened: {problem!r} in {where.name}:{where.lineno}")
    report = compare(run(world, flow, listeners), kernel, flow, listeners)
    if not report.agrees:  # when two timers end at once, chance says whether what they send crosses
        crossed = compare(run(world, flow, listeners, crossing=True), kernel, flow, listeners)
        report = crossed if crossed.agrees else report
    return Trial(case, AGREES if report.agrees else DIFFERS, str(report), kernel.outcome.verdict.value)
