"""A conversation to be repaired, through a snapshot: it has no settings, and the conversations that show what a repair
breaks or mends are those its world may have: pings, and what services and servers are asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Address

from mcnilib.language import tr
from mcnilib.repair.case import PATIENCE_AFTER, Other
from mcnilib.repair.repair import Command, Dial, Repair, RepairKind, carried_out
from mcnilib.snapshots.snapshot import Snapshot
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.outcome_cache import OutcomeCache
from mcnilib.trace.sizes import run_sizes
from mcnilib.trace.trace import Outcome, Stage, Trace, Verdict
from mcnilib.world.world import World

_MOST = 70, 80, 40
"""How many conversations of each sort are held, so that a search in a big snapshot ends."""
_MOST_SERVICES = 300
"""Services in a namespace's rules from which on they are not gone through."""


@dataclass(frozen=True)
class SnapshotCase:
    """A conversation through a snapshot, with the servers beside those that were collected."""

    snapshot: Snapshot
    flow: Flow
    listeners: tuple[Listener, ...] = ()

    def after(self, repair: Repair) -> World:
        """Return the world after commands. Raises: McniError for one that cannot be carried out there."""
        return carried_out(self.snapshot.world, repair.commands)

    def trace(self, repair: Repair, world: World) -> Trace:
        """Hold the conversation in a world, dialling as a repair says."""
        asked = _patient(self._dialled(repair))
        return run_sizes(world, asked, self._servers, connections=self.snapshot.connections, partial=True)

    def works(self, repair: Repair, world: World) -> bool:
        """Tell whether the conversation works in a world."""
        return self._outcome(world, self._dialled(repair)).works

    @property
    def _client(self) -> str:
        return self.snapshot.namespace(self.flow.netns)

    @cached_property
    def _servers(self) -> tuple[Listener, ...]:
        given = (replace(server, netns=self.snapshot.namespace(server.netns)) for server in self.listeners)
        return (*given, *self.snapshot.listeners)

    def _dialled(self, repair: Repair) -> Flow:
        flow = replace(self.flow, netns=self._client)
        return replace(flow, dst=repair.dial.to) if repair.dial else flow

    def choices(self) -> Sequence[tuple[Repair, ...]]:
        """Return nothing: a snapshot has no settings."""
        return ()

    def dials(self) -> Iterator[Repair]:
        """Yield the other addresses of the namespace whose address is dialled."""
        for name in self._owners:
            for address in self._addresses(name):
                if address != self.flow.dst:
                    yield Repair((RepairKind.DIAL,), dial=Dial(address, self.flow.dport))

    @cached_property
    def _owners(self) -> tuple[str, ...]:
        return tuple(netns.name for netns in self.snapshot.world if self.flow.dst in netns.own_addresses)

    def _addresses(self, name: str) -> list[IPv4Address]:
        return self.snapshot.world[name].dialled_addresses

    def commands(self, repair: Repair) -> tuple[Command, ...]:
        """Return all that is typed for a repair."""
        return repair.commands

    def caveats(self, repair: Repair) -> tuple[str, ...]:
        """Return nothing: only settings have any."""
        return ()

    def in_words(self, repair: Repair) -> tuple[str, ...]:
        """Return nothing: a snapshot has no settings."""
        return ()

    def others(self, repair: Repair) -> Iterator[Other]:
        """Hold other conversations of this world: pings, and what servers and services are asked.

        Those whose end is unknown as it is are left out: nobody could say what becomes of them.
        """
        world = self.after(repair)
        for name, flow, before in self._before:
            yield Other(name, before, _answered(self._outcome(world, flow)))

    def _outcome(self, world: World, flow: Flow) -> Outcome:
        return self._outcomes.outcome(world, _patient(flow), self._servers)

    @cached_property
    def _outcomes(self) -> OutcomeCache:
        return OutcomeCache(self.snapshot.connections, partial=True)

    @cached_property
    def _before(self) -> tuple[tuple[str, Flow, bool], ...]:
        ends = ((name, flow, self._outcome(self.snapshot.world, flow)) for flow, name in self._asked().items())
        return tuple((name, flow, _answered(end)) for name, flow, end in ends if end.verdict is not Verdict.UNKNOWN)

    def _asked(self) -> dict[Flow, str]:
        """Return the conversations to hold, each with its name, of each sort so many at most, from all over: pings
        between the two ends and others, what each asks of services and servers, pings between the others."""
        names = [netns.name for netns in self.snapshot.world if self._addresses(netns.name)]
        ends = dict.fromkeys((self._client, *self._owners))
        targets = dict(self._targets())
        sorts = (
            [self._ping(*pair) for end in ends for name in names if name != end for pair in ((end, name), (name, end))],
            [(replace(flow, netns=name), f"{name} to {said}") for flow, said in targets.items() for name in names],
            [self._ping(a, b) for a in names for b in names if a != b and not {a, b} & ends.keys()],
        )
        told = {flow: said for sort, most in zip(sorts, _MOST, strict=True) for flow, said in _some(sort, most)}
        return {flow: said for flow, said in told.items() if flow != replace(self._call, netns=self._client)}

    def _targets(self) -> Iterator[tuple[Flow, str]]:
        """Yield what may be asked, with its name: what this conversation asks, services, collected servers."""
        yield self._call, f"{self.flow.proto}:{self.flow.dst}:{self.flow.dport}"
        for service in self.snapshot.services(_MOST_SERVICES):
            yield from ((Flow("", service.address, proto, port), str(service)) for proto, port in service.ports)
        for host, server in self.snapshot.served():
            if not host.is_loopback:
                yield Flow("", host, server.proto, server.port), f"{server.proto}:{host}:{server.port}"

    @property
    def _call(self) -> Flow:
        """What this conversation asks, whoever asks."""
        return Flow("", self.flow.dst, self.flow.proto, self.flow.dport)

    def _ping(self, client: str, server: str) -> tuple[Flow, str]:
        said = tr("ping from {client} to {server}", client=client, server=server)
        return Flow(client, self._addresses(server)[0], "icmp", 0), said


def _patient(flow: Flow) -> Flow:
    """Return a conversation whose client waits a moment; as long as asked where what is too long is sent again."""
    return flow if flow.sized else replace(flow, patience=PATIENCE_AFTER)


def _answered(end: Outcome) -> bool:
    """Tell whether the far end answers: also a refusal, because nothing listens there now, says that it is reached."""
    return end.works or (end.verdict is Verdict.REFUSED and end.step.stage is Stage.SOCKET)


def _some(asked: Sequence[tuple[Flow, str]], most: int) -> Sequence[tuple[Flow, str]]:
    """Return so many at most, evenly from all."""
    return asked[:: -(-len(asked) // most) or 1]
