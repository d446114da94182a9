"""Verify scenarios: every chosen combination of settings in the simulator and on the kernel, several worlds at once.

Combinations that lead to the same world and the same conversation are measured once. Workers mostly wait, so there are more of
them than processors; each changes its lab from one combination to the next as little as possible.
"""

from __future__ import annotations

import os
import random
import select
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mcnilib.cluster.settings import Settings
from mcnilib.errors import McniError
from mcnilib.kernel.capabilities import Capabilities, capabilities, lacking
from mcnilib.kernel.compare import Report, compare
from mcnilib.kernel.observe import observe
from mcnilib.kernel.realise import Lab
from mcnilib.kernel.record import AGREES, DIFFERS, SKIPPED
from mcnilib.kernel.worker import Bench
from mcnilib.linux.world import World
from mcnilib.scenarios import Scenario, scenario
from mcnilib.trace.run import run

PATIENCE = {"tcp": 0.7, "udp": 0.3, "icmp": 0.3}
"""Seconds the client waits: long enough for two retransmissions of data, nothing else repeats sooner."""
FIRST_PORT, PORTS = 10000, 20000
"""Client ports of consecutive conversations in one lab, below those the kernel draws at random."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one combination came to: agrees, differs or skipped, and in words why."""

    scenario: str
    settings: Settings
    letter: str
    text: str
    verdict: str = ""  # how the conversation ended on the kernel

    @property
    def agrees(self) -> bool:
        """Tell whether model and kernel agree; a skipped combination does not count as agreement."""
        return self.letter == AGREES


def verify(
    scenarios: Iterable[Scenario],
    combinations: Callable[[Scenario], Iterable[Settings]],
    jobs: int = 0,
) -> Iterator[Result]:
    """Run combinations of scenarios in the simulator and on the kernel and yield the results as they come.

    `jobs` is the number of worlds at once, 0: four per processor.
    Raises: NoLab where the system allows no namespaces; McniError when a lab fails.
    """
    found = capabilities()
    waiting = ((one.name, settings) for one in scenarios for settings in combinations(one))
    with Benches(jobs or 4 * (os.cpu_count() or 1)) as benches:
        yield from benches.work(check, ((*job, found) for job in waiting))


class Benches:
    """Several workers; each gets the next piece of work when it is done with the last."""

    def __init__(self, number: int) -> None:
        """Start the workers."""
        self._benches = [Bench() for _ in range(number)]

    def __enter__(self) -> Benches:
        return self

    def __exit__(self, *what: object) -> None:
        for bench in self._benches:
            bench.close(at_once=what[0] is not None)

    def work(self, job: Callable[..., Result], pieces: Iterator[tuple[object, ...]]) -> Iterator[Result]:
        """Yield the results of all pieces in the order they are done."""
        poll, idle = select.poll(), list(self._benches)
        busy: dict[int, Bench] = {}
        while True:
            while idle and (piece := next(pieces, None)) is not None:
                bench = idle.pop()
                bench.submit(job, *piece)
                busy[bench.fileno()] = bench
                poll.register(bench, select.POLLIN)
            if not busy:
                return
            for descriptor, _ in poll.poll():
                bench = busy.pop(descriptor)
                poll.unregister(bench)
                idle.append(bench)
                yield bench.result()


def check(lab: Lab, name: str, settings: Settings, found: Capabilities) -> Result:
    """Compare one combination; runs in a worker."""
    story = scenario(name)
    world = story.world(settings)
    missing = lacking(world, found)
    if missing:
        return Result(name, settings, SKIPPED, f"this kernel has no {', '.join(missing)}")
    report, verdict = _measure(lab, story, settings, world)
    if not report.agrees:  # a busy machine may have been too slow for the client's patience: once more, with more of it
        report, verdict = _measure(lab, story, settings, world, slower=3)
    return Result(name, settings, AGREES if report.agrees else DIFFERS, str(report), verdict)


def _measure(lab: Lab, story: Scenario, settings: Settings, world: World, *, slower: int = 1) -> tuple[Report, str]:
    """Hold the conversation in the simulator and on the kernel; return the comparison and the kernel's verdict."""
    lab.become(world)
    lab.conversations += 1
    flow, listeners = story.flow(settings), story.listeners(settings)
    sport = FIRST_PORT + lab.conversations % PORTS
    flow = replace(flow, sport=sport, patience=PATIENCE[flow.proto] * slower)
    kernel = observe(lab, flow, listeners, ident=lab.conversations % 60000 + 1)
    return compare(run(world, flow, listeners), kernel, flow, listeners), kernel.outcome.verdict.value
