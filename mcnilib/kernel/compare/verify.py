"""Verify scenarios: every chosen combination of settings in the simulator and on the kernel, several worlds at once.

Combinations that lead to the same world and the same conversation are measured once. Workers mostly wait, so there
are more of them than processors; each changes its lab from one world to the next as little as possible. TCP that meets
a narrow place is held with a large answer and a large request too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from mcnilib.cluster.settings import Settings
from mcnilib.kernel.compare.compare import Report, compare_ends, compare_traces
from mcnilib.kernel.compare.record import AGREES, DIFFERS, SKIPPED, world_text
from mcnilib.kernel.lab.capabilities import Capabilities, lacking, probe, release
from mcnilib.kernel.lab.lab import Lab
from mcnilib.kernel.lab.workers import THIS_KERNEL, Kernel, WorkerPool
from mcnilib.kernel.observe.observe import CLIENT_PORTS, FIRST_PORT, PATIENCE, SLOWER, observe
from mcnilib.language import listed, mark, tr
from mcnilib.scenarios import Scenario, scenario
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import run
from mcnilib.trace.sizes import large_flows, narrow_place
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World


@dataclass(frozen=True, slots=True)
class Result:
    """What one combination came to: agrees, differs or skipped, and in words why."""

    scenario: str
    settings: Settings
    letter: str
    text: str
    verdict: str = ""  # how the conversation ended on the kernel
    measured: bool = True  # false: another combination leads to the same world and conversation
    kernel: str = field(default_factory=release)  # the release of the kernel that was asked

    @property
    def agrees(self) -> bool:
        """Tell whether model and kernel agree; a skipped combination does not count as agreement."""
        return self.letter == AGREES

    def __str__(self) -> str:
        return f"{self.scenario} {self.settings}: {self.text}{f' ({self.verdict})' if self.verdict else ''}"


Conversation = tuple[Flow, tuple[Listener, ...]]

Group = dict[Conversation, list[Settings]]
"""Combinations of one world, by the conversation held in it."""


def verify(
    scenarios: Iterable[Scenario],
    combinations: Callable[[Scenario], Iterable[Settings]] = Scenario.combinations,
    jobs: int = 0,
    kernel: Kernel = THIS_KERNEL,
) -> Iterator[Result]:
    """Run combinations of scenarios in the simulator and on the kernel and yield the results as they come.

    `jobs` is the number of worlds at once, 0: as many as keep this machine busy.
    Raises: NoLab where the system allows no namespaces; McniError when a lab fails.
    """
    pieces = [(story.name, group) for story in scenarios for group in groups(story, combinations(story))]
    with WorkerPool(min(jobs or kernel.at_once, len(pieces) or 1), kernel) as pool:
        available = pool.run(probe)
        work = ((name, [settings[0] for settings in group.values()], available) for name, group in pieces)
        for number, results in pool.work(check, work):
            yield from _all_of(pieces[number][1], results)


def groups(story: Scenario, combinations: Iterable[Settings]) -> list[Group]:
    """Sort combinations by the world and the conversation they lead to."""
    by_world: dict[bytes, Group] = {}
    for settings in combinations:
        key = sha256(world_text(story.world(settings)).encode()).digest()
        conversation = (story.flow(settings), tuple(story.listeners(settings)))
        by_world.setdefault(key, {}).setdefault(conversation, []).append(settings)
    return list(by_world.values())


def _all_of(group: Group, results: Sequence[Result]) -> Iterator[Result]:
    """Give the result of a measured combination to all that lead to the same world and conversation."""
    for result, same in zip(results, group.values(), strict=True):
        yield result
        yield from (replace(result, settings=settings, measured=False) for settings in same[1:])


def check(lab: Lab, name: str, variants: Sequence[Settings], available: Capabilities) -> list[Result]:
    """Compare the conversations of one world; runs in a worker. All variants lead to the same world."""
    story = scenario(name)
    world = story.world(variants[0])
    missing = lacking(world, available)
    if missing:
        return [
            Result(name, variant, SKIPPED, mark("this kernel has no {missing}", missing=listed(missing)))
            for variant in variants
        ]
    return [_check(lab, story, settings, world) for settings in variants]


def _check(lab: Lab, story: Scenario, settings: Settings, world: World) -> Result:
    report, verdict = _measure(lab, story, settings, world)
    if not report.agrees:  # a busy machine may have been too slow for the client's patience: once more, with more of it
        report, verdict = _measure(lab, story, settings, world, slower=SLOWER)
    return Result(story.name, settings, AGREES if report.agrees else DIFFERS, str(report), verdict)


def _measure(lab: Lab, story: Scenario, settings: Settings, world: World, *, slower: int = 1) -> tuple[Report, str]:
    """Hold the conversation in the simulator and on the kernel; return the comparison and the kernel's verdict."""
    lab.realise(world)
    flow = replace(story.flow(settings), patience=PATIENCE[story.flow(settings).proto] * slower)
    listeners = story.listeners(settings)
    model, kernel, flow = _held(lab, world, flow, listeners)
    report = compare_traces(model, kernel, flow, listeners)
    if flow.proto == "tcp" and narrow_place(world, model):
        for large in large_flows(flow):
            ours, theirs, _ = _held(lab, world, large, listeners)
            wrong = compare_ends(
                ours, theirs, tr("{out} bytes out, {back} back", out=large.request, back=large.answer)
            ).mismatches
            report = replace(report, mismatches=(*report.mismatches, *wrong))
    return report, kernel.outcome.verdict.value


def _held(lab: Lab, world: World, flow: Flow, listeners: tuple[Listener, ...]) -> tuple[Trace, Trace, Flow]:
    """Hold a conversation in the simulator and on the kernel, with a port of its own; return both, and it."""
    lab.conversations += 1
    flow = replace(flow, sport=FIRST_PORT + lab.conversations % CLIENT_PORTS)
    kernel = observe(lab, flow, listeners, ident=lab.conversations % 60000 + 1)
    return run(world, flow, listeners), kernel, flow
