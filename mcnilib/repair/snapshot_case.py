"""A conversation to be repaired, through a snapshot: it has no settings, and the conversations that show what a repair
breaks or mends are those its two ends may have with the other namespaces that were collected.
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
from mcnilib.trace.run import run
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World

_MOST = 12
"""Namespaces with which the two ends' conversations are held."""


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
        flow = replace(self.flow, netns=self._client)
        return self._held(world, replace(flow, dst=repair.dial.to) if repair.dial else flow)

    def works(self, repair: Repair, world: World) -> bool:
        """Tell whether the conversation works in a world."""
        return self.trace(repair, world).outcome.works

    @property
    def _client(self) -> str:
        return self.snapshot.namespace(self.flow.netns)

    def _held(self, world: World, flow: Flow) -> Trace:
        given = (replace(server, netns=self.snapshot.namespace(server.netns)) for server in self.listeners)
        servers, asked = (*given, *self.snapshot.listeners), replace(flow, patience=PATIENCE_AFTER)
        return run(world, asked, servers, connections=self.snapshot.connections, partial=True)

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

    def in_words(self, repair: Repair) -> tuple[str, ...]:
        """Return nothing: a snapshot has no settings."""
        return ()

    def others(self, repair: Repair) -> Iterator[Other]:
        """Hold pings between each end and other namespaces, and what other namespaces ask of the same server."""
        world = self.after(repair)
        for name, flow, before in self._before:
            yield Other(name, before, self._held(world, flow).outcome.works)

    @cached_property
    def _before(self) -> tuple[tuple[str, Flow, bool], ...]:
        asked = dict(self._asked())
        return tuple((n, flow, self._held(self.snapshot.world, flow).outcome.works) for n, flow in asked.items())

    def _asked(self) -> Iterator[tuple[str, Flow]]:
        ends = dict.fromkeys((self._client, *self._owners))
        names = [netns.name for netns in self.snapshot.world if self._addresses(netns.name)][:_MOST]
        for name in names:
            for end in ends:
                if name != end:
                    yield from (_ping(end, name, self._addresses(name)), _ping(name, end, self._addresses(end)))
            if name not in ends:
                same = replace(self.flow, netns=name, src=None, sport=0)
                address = f"{same.proto}:{same.dst}:{same.dport}"
                yield tr("{client} to {server}", client=name, server=address), same


def _ping(client: str, server: str, addresses: Sequence[IPv4Address]) -> tuple[str, Flow]:
    return tr("ping from {client} to {server}", client=client, server=server), Flow(client, addresses[0], "icmp", 0)
