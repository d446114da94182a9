"""The search: every change alone, then those that belong together; what helps is held against other conversations.

Alone are tried other addresses, the other values of each setting, and the standard repairs at the places the packets
came to. Then settings together, two and three of them, repairs behind a change after which the conversation came at
least as far and ended elsewhere, and at last pairs of changes that each changed something, the cheapest first, until
enough helps. What holds a change that helps without it is not tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, combinations, product

from mcnilib.errors import McniError
from mcnilib.repair.candidates import at_the_end, fresh, standard_repairs
from mcnilib.repair.case import RepairCase
from mcnilib.repair.repair import Repair
from mcnilib.trace.trace import Fate, Trace

_MANY = 4
"""Values from which on a setting has an order: of those that help the nearest is kept."""
_ENOUGH, _MOST_PAIRS = 8, 100
"""Changes that help from which on no pair is tried any more, and how many pairs are tried at most."""
_BEHIND = 4
"""Changes that did not help behind which others are tried."""


@dataclass(frozen=True)
class RepairAttempt:
    """A change that was tried, and the conversation after it; None where it cannot be carried out, or was not followed
    because one before saw the same and failed."""

    repair: Repair
    trace: Trace | None

    @property
    def works(self) -> bool:
        """Whether the conversation works then, whatever chance does."""
        return self.trace is not None and all(course.outcome.works for course in self.trace.courses)


@dataclass(frozen=True)
class Remedy:
    """A change that helps, with the other conversations it breaks and mends, and how many were held."""

    repair: Repair
    trace: Trace
    breaks: tuple[str, ...] = ()
    mends: tuple[str, ...] = ()
    held: int = 0

    @property
    def rank(self) -> tuple[int, bool, bool, tuple[int, int], int, int]:
        """The order in which to prefer: what breaks least, lasts, mends the cause, costs least, mends most, takes the
        fewest hops."""
        repair = self.repair
        hops = sum(len(journey.hops()) for journey in self.trace.journeys)
        lasts, mended = not repair.undone_by, -len(self.mends)
        return len(self.breaks), not lasts, not repair.of_cause, repair.cost, mended, hops


def remedies(case: RepairCase, helping: Iterable[RepairAttempt]) -> Iterator[Remedy]:
    """Hold the other conversations under each change that helps."""
    for attempt in helping:
        if attempt.trace is None:
            continue
        others = () if attempt.repair.dial else tuple(case.others(attempt.repair))
        breaks = tuple(other.name for other in others if other.before and not other.after)
        mends = tuple(other.name for other in others if other.after and not other.before)
        yield Remedy(attempt.repair, attempt.trace, breaks, mends, len(others))


def remedy_of(case: RepairCase, repair: Repair) -> Remedy | None:
    """Try one change, and hold the other conversations under it if it helps."""
    return next(iter(remedies(case, [attempt_of(case, repair)])), None)


def attempts(case: RepairCase) -> Iterator[RepairAttempt]:
    """Try each change alone, settings together, repairs behind changes after which it ended elsewhere, then pairs."""
    world = fresh(case.after(Repair(())))
    start = case.trace(Repair(()), world)
    choices = case.choices()
    alone = (*case.dials(), *(value for values in choices for value in values), *standard_repairs(world, start))
    tried = []
    for repair in alone:
        tried.append(_tried(case, repair))
        yield tried[-1]
    helpful = {attempt.repair for attempt in tried if attempt.works}
    rest = [tuple(value for value in values if value not in helpful) for values in choices]
    for attempt in chain(_together(case, rest), _behind(case, start, tried)):
        tried.append(attempt)
        yield attempt
    helping = sum(attempt.works for attempt in tried)
    for pair in pairs_left(case, tried)[:_MOST_PAIRS]:
        if helping >= _ENOUGH:
            return
        attempt = attempt_of(case, pair)
        helping += attempt.works
        yield attempt


def pairs_left(case: RepairCase, tried: Sequence[RepairAttempt]) -> list[Repair]:
    """Return the pairs that were not tried of changes that each changed something and did not help, cheapest first.

    Settings are left out: they are tried together anyway, those that change something only together, too.
    """
    done, start = {attempt.repair for attempt in tried}, case.trace(Repair(()), case.after(Repair(())))
    single = [attempt for attempt in tried if len(attempt.repair.kinds) == 1 and attempt.trace and not attempt.works]
    changed = [attempt.repair for attempt in single if attempt.trace and _course(attempt.trace) != _course(start)]
    pairs = (
        one + other
        for one, other in combinations(changed, 2)
        if not (one.settings and other.settings) and not (one.dial and other.dial)
    )
    return sorted(dict.fromkeys(pair for pair in pairs if pair not in done), key=lambda pair: pair.cost)


def _course(trace: Trace) -> list[tuple[object, ...]]:
    """Return where each packet came, with which addresses, and what ended it."""
    return [(journey.hops(), journey.last.after, journey.last.evidence) for journey in trace.journeys]


def _tried(case: RepairCase, repair: Repair) -> RepairAttempt:
    try:
        return RepairAttempt(repair, case.trace(repair, case.after(repair)))
    except McniError:
        return RepairAttempt(repair, None)


def attempt_of(case: RepairCase, repair: Repair) -> RepairAttempt:
    """Try a change; the conversation is followed only where it works."""
    with suppress(McniError):
        world = case.after(repair)
        if case.works(repair, world):
            return RepairAttempt(repair, case.trace(repair, world))
    return RepairAttempt(repair, None)


def _together(case: RepairCase, choices: Sequence[tuple[Repair, ...]]) -> Iterator[RepairAttempt]:
    """Try settings two and three at a time; of one that has an order its ends, and where one helps, all between."""
    some = [values if len(values) < _MANY else (values[0], values[-1]) for values in choices]
    known: list[set[tuple[str, object]]] = []
    for chosen in (chosen for number in (2, 3) for chosen in combinations(range(len(choices)), number)):
        for values in product(*(some[index] for index in chosen)):
            attempt = _attempt(case, values, known)
            if attempt and attempt.works and values != tuple(some[index][0] for index in chosen):
                between = product(
                    *(choices[i] if some[i] != choices[i] else (v,) for i, v in zip(chosen, values, strict=True))
                )
                yield from filter(None, (_attempt(case, nearer, known) for nearer in between))
            elif attempt:
                yield attempt


def _attempt(case: RepairCase, values: Sequence[Repair], known: list[set[tuple[str, object]]]) -> RepairAttempt | None:
    """Try settings together, unless some of them help already."""
    repair = sum(values[1:], values[0])
    if any(set(repair.settings) >= less for less in known):
        return None
    attempt = attempt_of(case, repair)
    known += [set(repair.settings)] if attempt.works else []
    return attempt


def nearest_values(helping: Sequence[RepairAttempt], choices: Sequence[tuple[Repair, ...]]) -> list[RepairAttempt]:
    """Leave out of settings that have an order all but the nearest values that help, with the others the same."""
    ordered = {value.settings[0][0]: value for values in choices if len(values) >= _MANY for value in values}
    kept: dict[object, RepairAttempt] = {}
    for attempt in helping:
        settings = tuple((name, "" if name in ordered else value) for name, value in attempt.repair.settings)
        kept.setdefault((attempt.repair.commands, attempt.repair.dial, settings), attempt)
    return [*kept.values()]


def _behind(case: RepairCase, start: Trace, tried: Sequence[RepairAttempt]) -> Iterator[RepairAttempt]:
    """Try what there is at the new end, behind the changes with which the conversation came farthest."""
    helpful = {attempt.repair for attempt in tried if attempt.works}
    moved = [attempt for attempt in tried if not attempt.works and attempt.trace and _moved(start, attempt.trace)]
    for attempt in sorted(moved, key=lambda attempt: -_arrived(attempt.trace))[:_BEHIND]:
        world = fresh(case.after(attempt.repair))
        seconds = dict.fromkeys(at_the_end(world, case.trace(attempt.repair, world)))
        yield from (_tried(case, attempt.repair + second) for second in seconds if second not in helpful)


def _arrived(trace: Trace | None) -> int:
    """Return how many packets arrived, those sent again apart."""
    first = (journey for journey in trace.journeys if not journey.retransmission_of) if trace else ()
    return sum(journey.fate is Fate.DELIVERED for journey in first)


def _moved(start: Trace, trace: Trace) -> bool:
    """Tell whether a conversation comes as far as before, and ends elsewhere or otherwise."""
    here, there = (found.outcome.step for found in (start, trace))
    return _arrived(trace) >= _arrived(start) and (here.netns, here.evidence) != (there.netns, there.evidence)
