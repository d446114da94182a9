"""The verb of the simulator, `mcnilib.trace.run.run`, on the real kernel; and the jobs a worker does one by one."""

from __future__ import annotations

from collections.abc import Sequence

from mcnilib.kernel.observe import observe
from mcnilib.kernel.readback import Difference, read_back
from mcnilib.kernel.realise import Lab
from mcnilib.kernel.worker import Bench
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World


def run(world: World, flow: Flow, listeners: Sequence[Listener] = ()) -> Trace:
    """Run one conversation in a lab that is made for it, and return what the kernel did.

    Raises: NoLab where the system allows no namespaces; ToolFailed when this kernel lacks something the world needs.
    """
    with Bench() as bench:
        trace: Trace = bench.run(converse, world, flow, listeners)
    return trace


def converse(lab: Lab, world: World, flow: Flow, listeners: Sequence[Listener], ident: int = 1) -> Trace:
    """Turn the lab into the world and hold a conversation; `ident` is the ICMP echo id."""
    lab.become(world)
    return observe(lab, flow, listeners, ident=ident)


def differences(lab: Lab, world: World) -> tuple[Difference, ...]:
    """Turn the lab into the world and compare what the tools print with what the World prints."""
    lab.become(world)
    return read_back(lab)
