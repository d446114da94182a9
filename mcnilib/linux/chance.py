"""Chance: what Linux leaves to a random number, a hash or a race is a question, and a run answers each in one way.

A run is handed the answers it is to give, and keeps what it was asked: whoever wants to know what else may happen runs
again with another answer (`mcnilib.trace.branches`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple

from mcnilib.language import tr

Range = tuple[int, int]
"""First and last port."""

EPHEMERAL = 32768, 60999
"""The ports a client gets that asks for none: net.ipv4.ip_local_port_range where nobody wrote it (ip-sysctl.rst)."""

ONE_BY_ONE = 16
"""Ports of a range so small that each is a case of its own."""

RARE = 0.001
"""Ranges of ports that a draw hits less often are no case of their own: one port of 64,512, for instance."""


class Turn(NamedTuple):
    """A question that chance answered: what it could have been, how probable each was, and which it was.

    Question and option make a clause: `the port drawn of 1024:65535` `is in 1024:32767`.
    """

    question: str
    options: tuple[str, ...]
    shares: tuple[float, ...]  # from 0 to 1, in sum 1; empty where nobody knows how probable each is
    taken: int

    def weight(self, option: int) -> float:
        """Return how probable an option is, from 0 to 1; all are alike where nobody knows."""
        return self.shares[option] if self.shares else 1 / len(self.options)

    def __str__(self) -> str:
        return f"{self.question} {self.options[self.taken]}"


class Chance:
    """The answers of one run: first those it was handed, then as before, and the likeliest where nothing was before.

    `ports` returns the ranges of ports that something asks for.
    """

    def __init__(self, answers: Sequence[int] = (), ports: Callable[[], Iterable[Range]] = tuple) -> None:
        """Take the answers to the first questions, each the place of an option."""
        self.turns: list[Turn] = []
        self._answers, self._ports = answers, ports
        self._before: dict[tuple[str, tuple[str, ...]], int] = {}
        self._random = Random(0).random
        self._kept: dict[object, int] = {}

    def pick(self, question: str, options: Sequence[str], shares: Sequence[float] = ()) -> int:
        """Answer a question with the place of one of its options; without `shares` nobody knows how likely each is."""
        turn = Turn(question, tuple(options), tuple(shares), 0)
        if len(self.turns) < len(self._answers):
            taken = self._answers[len(self.turns)]
        else:
            likeliest = max(range(len(options)), key=turn.weight)
            taken = self._before.get(turn[:2], likeliest)
        self._before[turn[:2]] = taken
        self.turns.append(turn._replace(taken=taken))
        return taken

    def holds(self, question: str, share: float) -> bool:
        """Tell whether what is true with a probability, from 0 to 1, is true now."""
        if share <= 0 or share >= 1:
            return share >= 1
        return not self.pick(question, (tr("holds"), tr("does not hold")), (share, 1 - share))

    def port(self, low: int, high: int, proto: str, *, usual: int = 0, key: object = None) -> int:
        """Draw a port. Ranges that somebody asks for are cases, each with one port that stands for the others.

        That is `usual`, where it is in the case. What has the same `key` gets the same port.
        """
        if key is None:
            return self._port(low, high, proto, usual)
        if key not in self._kept:
            self._kept[key] = self._port(low, high, proto, usual)
        return self._kept[key]

    def _port(self, low: int, high: int, proto: str, usual: int) -> int:
        cases = list(_cases(low, high, self._ports()))
        size = high - low + 1
        at = 0
        if len(cases) > 1:
            shares = tuple((last - first + 1) / size for first, last in cases)
            labels = [
                tr("is {port}", port=first) if first == last else tr("is in {low}:{high}", low=first, high=last)
                for first, last in cases
            ]
            drawn = tr("the id drawn of {low}:{high}") if proto == "icmp" else tr("the port drawn of {low}:{high}")
            at = self.pick(drawn.format(low=low, high=high), labels, shares)
        first, last = cases[at]
        return usual if first <= usual <= last else first + int(self._random() * 0x10000) % (last - first + 1)


def _cases(low: int, high: int, asked: Iterable[Range]) -> Iterator[Range]:
    """Split a range where one that is asked for begins or ends; rare cases are left out."""
    size = high - low + 1
    if size <= ONE_BY_ONE:
        yield from ((port, port) for port in range(low, high + 1))
        return
    edges = {low, high + 1}
    for first, last in asked:
        first, last = max(first, low), min(last, high)
        if (last - first + 1) / size >= RARE:
            edges |= {first, last + 1}
    yield from ((first, after - 1) for first, after in pairwise(sorted(edges)) if (after - first) / size >= RARE)
