"""What a search found, in the order of what to prefer: what to do, what is typed for it, what it breaks and mends.

`advise` is what the command line, the panels and the pages call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mcnilib.gc_pause import gc_paused
from mcnilib.language import clauses, listed, tr
from mcnilib.repair.candidates import fresh, standard_repairs
from mcnilib.repair.case import RepairCase
from mcnilib.repair.repair import Command, Repair
from mcnilib.repair.search import Remedy, RepairAttempt, attempts, nearest_values, pairs_left, remedies, remedy_of
from mcnilib.trace.trace import Trace


@dataclass(frozen=True)
class Advice:
    """A remedy with what is typed for it; `settings` says in words which settings it sets, and to
    what; `caveats` what else was found by trying it."""

    remedy: Remedy
    commands: tuple[Command, ...]
    settings: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What is done, in a few words, and on which machine."""
        dial = self.remedy.repair.dial
        if self.settings:
            return tr("set {settings}", settings=listed(self.settings))
        if not dial:
            return self.remedy.repair.said
        address = f"{dial.to}:{dial.port}" if dial.port else str(dial.to)
        if not dial.endpoint:
            return tr("dial {address}", address=address)
        return tr("dial {address}, a service in front of {endpoint}", address=address, endpoint=dial.endpoint)

    @property
    def applies(self) -> bool:
        """Whether it can be applied by setting settings alone."""
        repair = self.remedy.repair
        return bool(repair.settings) and not repair.commands and not repair.dial

    @property
    def effect(self) -> str:
        """What becomes of the other conversations, in a sentence or two."""
        remedy = self.remedy
        if not remedy.held:
            return tr("It changes nothing for other conversations.")
        broken = tr("It breaks none of {held} other conversations.", held=remedy.held)
        if remedy.breaks:
            names, number = _some(remedy.breaks), len(remedy.breaks)
            broken = tr("It breaks {number} of {held}: {names}.", number=number, held=remedy.held, names=names)
        mended = tr("It also mends {number}: {names}.", number=len(remedy.mends), names=_some(remedy.mends))
        return f"{broken} {mended}" if remedy.mends else broken

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know before one does it."""
        repair = self.remedy.repair
        told = dict.fromkeys(tr(kind.note) for kind in repair.kinds if kind.note)
        back, writer = "", repair.undone_by
        if writer:
            back = tr("{writer} wrote the line and will write it again", writer=tr(writer))
        gone = tr("it is gone when the pod is created anew") if repair.passing else ""
        return (*filter(None, (back, gone)), *told, *self.caveats)


def _some(names: Sequence[str], most: int = 3) -> str:
    shown = clauses(names[:most])
    return tr("{names} and {more} more", names=shown, more=len(names) - most) if len(names) > most else shown


@dataclass(frozen=True)
class RepairReport:
    """How a conversation ends as it is, what would make it work (what to prefer first), how many changes were tried,
    and how many pairs of changes were not, because enough helps already or there were too many."""

    start: Trace
    advice: tuple[Advice, ...] = ()
    tried: int = 0
    left_out: int = 0

    @property
    def why_first(self) -> str:
        """Why the first is to be preferred; empty where there is none."""
        if not self.advice:
            return ""
        first = self.advice[0].remedy
        reasons = [tr("breaks less than any other") if first.breaks else tr("breaks nothing else")]
        reasons += [] if first.repair.undone_by else [tr("no program takes it back")]
        reasons += [tr("mends the cause that the verdict names")] if first.repair.of_cause else []
        if all(first.repair.cost <= other.remedy.repair.cost for other in self.advice):
            reasons.append(tr("nothing that helps costs less"))
        return listed(reasons)


Passing = Callable[[Iterable[RepairAttempt]], Iterable[RepairAttempt]]
"""Passes attempts on, and shows meanwhile how many there were."""

Holding = Callable[[RepairCase, Sequence[RepairAttempt]], Iterable[Remedy]]
"""Holds the other conversations under each change that helps, in their order."""


@gc_paused()
def advise(case: RepairCase, start: Trace, passing: Passing = iter, holding: Holding = remedies) -> RepairReport:
    """Try what there is to try on a conversation that ends as `start`; nothing where it works."""
    if start.outcome.works:
        return RepairReport(start)
    tried = list(passing(attempts(case)))
    helping = nearest_values([attempt for attempt in tried if attempt.works], case.choices())
    found = sorted(holding(case, [*passing(helping)]), key=lambda remedy: remedy.rank)
    return RepairReport(
        start, tuple(_advice(case, remedy) for remedy in found), len(tried), len(pairs_left(case, tried))
    )


MOST_TRIED, MOST_HELD = 50, 5
"""Of a search beside a verdict: how many changes are tried, and under how many that help other conversations are held.
They bound its time by an amount of work, so that the answer does not depend on the machine."""


@dataclass(frozen=True)
class FirstRepair:
    """The cheapest command that helps and breaks nothing, else the one that breaks least; `left_out` tells how many
    were not tried because that would take too long."""

    advice: Advice | None = None
    left_out: int = 0


@gc_paused()
def first_repair(case: RepairCase) -> FirstRepair:
    """Search the first command to name beside a verdict; last come those a program takes back.

    Only the standard repairs are tried, one by one, so many at most: a tenth of what `advise` does.
    """
    world = fresh(case.after(Repair(())))
    single = standard_repairs(world, case.trace(Repair(()), world))
    best: list[Remedy] = []
    left = 0
    for number, repair in enumerate(sorted(single, key=_promise)):
        if number == MOST_TRIED or len(best) == MOST_HELD:
            left = len(single) - number
            break
        remedy = remedy_of(case, repair)
        if remedy and not remedy.breaks:
            return FirstRepair(_advice(case, remedy))
        best += [remedy] if remedy else []
    return FirstRepair(_advice(case, min(best, key=lambda remedy: remedy.rank)) if best else None, left)


def _promise(repair: Repair) -> tuple[bool, bool, tuple[int, int]]:
    """Return what tells which change to try first: one that lasts, one that mends the cause, one that costs little."""
    return bool(repair.undone_by), not repair.of_cause, repair.cost


def _advice(case: RepairCase, remedy: Remedy) -> Advice:
    return Advice(remedy, case.commands(remedy.repair), case.in_words(remedy.repair), case.caveats(remedy.repair))
