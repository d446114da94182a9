"""Branches: a conversation in which chance has a say is run again with other answers, until all are known or enough.

The course that is the likeliest goes first. What is asked again and again, as a rule with a probability is by every
packet, is answered as before unless a branch says otherwise: so the extremes, always and never, are among the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from heapq import heappop, heappush
from math import prod

from mcnilib.language import listed, tr
from mcnilib.linux.chance import Chance, Turn
from mcnilib.linux.packet import Packet
from mcnilib.trace.trace import Branch, Trace, Verdict
from mcnilib.world.world import World

MAX_BRANCHES = 64
"""Branches of one conversation that are followed."""

SMALL = 20
"""Shares are told as `1 of 3` up to so many parts, as a percentage otherwise."""

Answers = tuple[int, ...]


def follow(world: World, play: Callable[[Chance], Trace]) -> Trace:
    """Hold a conversation in every course that chance may take, likely ones first; return what came of it.

    Where all branches end alike, that is how it ends. At most MAX_BRANCHES are followed; `open` says that there
    are more.
    """
    ports = cache(lambda: frozenset(ports for netns in world for ports in netns.asked_ports))
    branches: list[Branch] = []
    waiting: list[tuple[float, Answers]] = [(-1.0, ())]
    while waiting and len(branches) < MAX_BRANCHES:
        answers = heappop(waiting)[1]
        chance = Chance(answers, ports)
        trace = play(chance)
        turns = tuple(chance.turns)
        branches.append(Branch(turns, _share(turns), trace))
        for weight, alternative in _others(turns, len(answers)):
            heappush(waiting, (-weight, alternative))
    return _joined(branches, bool(waiting)) if branches[0].turns else branches[0].trace


def _share(turns: Sequence[Turn]) -> float | None:
    return prod(turn.shares[turn.taken] for turn in turns) if all(turn.shares for turn in turns) else None


def _others(turns: Sequence[Turn], given: int) -> Iterator[tuple[float, Answers]]:
    """Yield the answers that lead to other courses, each with how probable it is; those handed over are left alone."""
    taken = tuple(turn.taken for turn in turns)
    for at in range(given, len(turns)):
        before = prod(turn.weight(turn.taken) for turn in turns[:at])
        for option in range(len(turns[at].options)):
            if option != taken[at]:
                yield before * turns[at].weight(option), (*taken[:at], option)


def _joined(explored: Sequence[Branch], more: bool) -> Trace:
    """Return the first branch with the others beside it; where they end differently, the likeliest that fails."""
    branches = tuple(sorted(explored, key=lambda branch: [turn.taken for turn in branch.turns]))
    first = explored[0].trace
    if len({_end(branch.trace) for branch in explored}) == 1:
        return replace(first, branches=branches, open=more)
    failing = [branch.trace for branch in explored if not branch.trace.outcome.works]
    shown = next((trace for trace in failing if trace.outcome.verdict is not Verdict.UNKNOWN), failing[0])
    return replace(shown, outcome=replace(shown.outcome, verdict=Verdict.DEPENDS), branches=branches, open=more)


def _end(trace: Trace) -> tuple[Verdict, str]:
    return trace.outcome.verdict, trace.outcome.error


@dataclass(frozen=True, slots=True)
class Part:
    """Branches that end alike: one of them, which they are in words, and how much of chance they are.

    Words: `through 10.0.1.5`, `if -m statistic ... holds`; empty where nothing tells them from the others.
    """

    trace: Trace
    where: str
    share: str


def parts(trace: Trace) -> tuple[Part, ...]:
    """Return the branches of a conversation that depends on chance, those that end alike as one; what works first."""
    ends = sorted({_end(branch.trace) for branch in trace.branches}, key=lambda end: end[0] is not Verdict.CONNECTED)
    alike = [[branch for branch in trace.branches if _end(branch.trace) == end] for end in dict.fromkeys(ends)]
    conditions = _apart(alike, _address) or _apart(alike, _socket) or _clauses(alike)
    return tuple(
        Part(_likeliest(some).trace, where, "" if trace.open else _in_words(some))
        for some, where in zip(alike, conditions, strict=True)
    )


def _likeliest(branches: Sequence[Branch]) -> Branch:
    return max(branches, key=lambda branch: branch.share or 0)


def _apart(alike: Sequence[Sequence[Branch]], name: Callable[[Packet], str]) -> list[str]:
    """Say to whom the first packet of each part went; nothing where that does not tell the parts from each other."""
    reached = [{name(branch.trace.journeys[0].last.after) for branch in branches} for branches in alike]
    apart = sum(map(len, reached)) == len(set().union(*reached))
    return [tr("through {addresses}", addresses=listed(sorted(some))) for some in reached] if apart else []


def _address(packet: Packet) -> str:
    return str(packet.dst)


def _socket(packet: Packet) -> str:
    return f"{packet.dst}:{packet.dport}"


def _clauses(alike: Sequence[Sequence[Branch]]) -> list[str]:
    """Say what all branches of a part have in common, and no branch of the others."""
    said = [[set(map(str, branch.turns)) for branch in branches] for branches in alike]
    clauses = []
    for at, mine in enumerate(said):
        others = set().union(*(turns for number, some in enumerate(said) if number != at for turns in some))
        own = [str(turn) for turn in alike[at][0].turns if str(turn) in set.intersection(*mine) - others]
        clauses.append(tr("if {condition}", condition=own[0]) if own else "")
    return clauses


def _in_words(branches: Sequence[Branch]) -> str:
    """Write how probable some branches are together; nothing where nobody knows."""
    shares = [branch.share for branch in branches if branch.share is not None]
    if len(shares) < len(branches):
        return ""
    whole = sum(shares)
    near = Fraction(whole).limit_denominator(SMALL)
    if near and abs(float(near) - whole) < 0.0001:
        return tr("{part} of {whole}", part=near.numerator, whole=near.denominator)
    return f"{whole:.1%}".replace("%", " %") if whole >= RARELY else tr("rarely")


RARELY = 0.0005
"""Shares below are not told as a number."""
