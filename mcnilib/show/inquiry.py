"""A question to a snapshot as one types it: who talks to whom, and what if some commands had been given before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mcnilib.language import tr
from mcnilib.repair.advice import Passing, RepairReport, advise
from mcnilib.repair.snapshot_case import SnapshotCase
from mcnilib.show.html.markup import Html, block, element, sentence
from mcnilib.show.layout.plan import Plan, plan_around
from mcnilib.snapshots.question import changed, read_listeners
from mcnilib.snapshots.snapshot import Snapshot
from mcnilib.trace.branches import parts
from mcnilib.trace.explain import part_name, parting, verdict
from mcnilib.trace.trace import Trace, Verdict
from mcnilib.world.world import World


@dataclass(frozen=True)
class Findings:
    """What a question found: the world it was asked in, the conversation, and the same without the commands, if any."""

    world: World
    trace: Trace
    before: Trace | None = None

    @property
    def plan(self) -> Plan:
        """Where everything stands in the picture, the same for all ends of the conversation."""
        return plan_around(self.world, self.trace)

    @property
    def ends(self) -> Sequence[tuple[str, Trace]]:
        """The ends of a conversation that depends on chance, each with its name; none of another."""
        if self.trace.outcome.verdict is not Verdict.DEPENDS:
            return ()
        return [(part_name(part), part.trace) for part in parts(self.trace)]

    @property
    def compared(self) -> Html:
        """How the changed state differs from the snapshot: its verdict, and the first step that differs."""
        if self.before is None:
            return Html()
        lines = tr("Without the commands: {verdict}", verdict=verdict(self.before)), parting(self.before, self.trace)
        return block(*(element("div", sentence(line)) for line in lines))


@dataclass(frozen=True)
class Inquiry:
    """The fields of a question: the client, the target, what its socket is bound to, servers beside those that
    were collected (`NETNS:PORT ...`), commands, one `NETNS: COMMAND` a line, the bytes of request and answer (0: as
    the protocol has it), and how many seconds the client waits."""

    netns: str
    to: str
    source: str = ""
    listen: str = ""
    commands: str = ""
    sizes: tuple[int, int] = (0, 0)
    patience: float = 5.0

    @property
    def servers(self) -> list[str]:
        """The servers beside those that were collected, each `NETNS:PORT`."""
        return self.listen.replace(",", " ").split()

    def ask(self, snapshot: Snapshot) -> Findings:
        """Run the conversation. Raises: McniError for a field that cannot be read, or names what is not there."""
        case, unchanged = self._case(snapshot), self._placed(snapshot)[0]
        flow, servers, world = case.flow, case.listeners, case.snapshot.world
        trace = case.snapshot.trace(flow, servers)
        return Findings(world, trace, unchanged.trace(flow, servers) if self.commands.strip() else None)

    def repairs(self, snapshot: Snapshot, passing: Passing = iter) -> RepairReport:
        """Search what would make the conversation work, behind the commands. Raises: as `ask`."""
        case = self._case(snapshot)
        return advise(case, case.snapshot.trace(case.flow, case.listeners), passing)

    def _case(self, snapshot: Snapshot) -> SnapshotCase:
        snapshot, netns, to = self._placed(snapshot)
        flow = snapshot.flow(netns, to, self.source.strip(), self.patience)
        flow = replace(flow, request=self.sizes[0], answer=self.sizes[1])
        changed_world = changed(snapshot.world, self.commands)
        return SnapshotCase(replace(snapshot, world=changed_world), flow, read_listeners(self.servers))

    def _placed(self, snapshot: Snapshot) -> tuple[Snapshot, str, str]:
        return snapshot.placed(self.netns.strip(), self.to.strip())
