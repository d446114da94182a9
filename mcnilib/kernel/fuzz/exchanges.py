"""The exchanges of a case in the simulator, one after the other, in every course that chance may take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mcnilib.kernel.fuzz.case import Case
from mcnilib.linux.chance import Chance
from mcnilib.trace.branches import follow
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import Run
from mcnilib.trace.stack.host import Network
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World

Nets = list[tuple[Trace, Network]]
"""The courses of an exchange, the likeliest first, each with what it leaves behind."""


def courses(
    world: World, flow: Flow, listeners: Sequence[Listener], past: Network | None, *, crossing: bool = False
) -> tuple[Trace, Nets]:
    """Run an exchange, in every course chance may take, in what the one before it left behind."""
    found: Nets = []

    def play(chance: Chance) -> Trace:
        one = Run(world, flow, listeners, crossing=crossing, chance=chance, past=past)
        found.append((one.finish(), one.net))
        return found[-1][0]

    return follow(world, play), found


def simulated(case: Case) -> Iterator[tuple[Trace, Network]]:
    """Run all exchanges and yield each with what it leaves behind; where chance has a say, the likeliest course does.

    Raises: Unsupported for state that is not modelled.
    """
    past: Network | None = None
    for world, flow, turn in zip(case.worlds(), case.flows(), case.turns, strict=True):
        trace, nets = courses(world, flow, turn.listeners(), past)
        past = nets[0][1]
        yield trace, past


def simulate(case: Case) -> Trace:
    """Run a case in the simulator only, and return the last exchange."""
    return list(simulated(case))[-1][0]
