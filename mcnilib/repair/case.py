"""A conversation to be repaired, of a scenario: what may be tried on it, how it is held after a repair, and which other
conversations show what the repair breaks or mends. Beside it: `snapshot_case`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Address
from typing import NamedTuple, Protocol

from mcnilib.cluster.kube_proxy.config import KubeProxy
from mcnilib.cluster.settings import Option, Placement, Settings
from mcnilib.cluster.spec import CLUSTER
from mcnilib.errors import McniError
from mcnilib.language import mark, tr
from mcnilib.repair.howto import how_to, in_words
from mcnilib.repair.late_segment import service_caveat
from mcnilib.repair.repair import Command, Dial, Repair, RepairKind, carried_out
from mcnilib.scenarios.conclusion import conclude, name_of
from mcnilib.scenarios.scenario import OUTCOMES, DialTarget, Scenario, to_node, to_service
from mcnilib.trace.flow import Flow
from mcnilib.trace.sizes import run_sizes
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World

PATIENCE_AFTER = 0.1
"""Seconds a client waits after a repair: before anything is sent again. What helps only then is no repair."""

_ASKED = ("protocol", "placement", "endpoint", "receiving_node")
"""Settings that choose the conversation: with another value it is another one, not this one repaired."""

_DOES_NOT_START = mark("this version of kube-proxy does not know the mode: it exits, and there are no services")

_KINDS = {"kube_proxy_mode": RepairKind.DATA_PLANE}
"""Settings that take more than others to change."""

_MISTAKES = ("mtu", "network_policy")
"""Settings whose values but the usual one are what somebody got wrong, or wants: setting them repairs nothing."""


class Other(NamedTuple):
    """Another conversation: its name, and whether it works before and after a repair."""

    name: str
    before: bool
    after: bool


class RepairCase(Protocol):
    """What a search needs to know of a conversation."""

    def after(self, repair: Repair) -> World:
        """Return the world a repair leads to. Raises: McniError for a command that cannot be carried out there."""

    def trace(self, repair: Repair, world: World) -> Trace:
        """Hold the conversation in a world, dialling as a repair says."""

    def works(self, repair: Repair, world: World) -> bool:
        """Tell whether the conversation works in a world; it need not be followed where one before saw the same."""

    def choices(self) -> Sequence[tuple[Repair, ...]]:
        """Return for each setting that may be changed the repairs its other values are, the nearest value first."""

    def dials(self) -> Iterator[Repair]:
        """Yield the other addresses the client may dial."""

    def others(self, repair: Repair) -> Iterator[Other]:
        """Hold other conversations before and after a repair."""

    def commands(self, repair: Repair) -> tuple[Command, ...]:
        """Return all that is typed for a repair."""

    def in_words(self, repair: Repair) -> tuple[str, ...]:
        """Say which settings a repair changes."""

    def caveats(self, repair: Repair) -> tuple[str, ...]:
        """Say what else becomes of it, found by trying."""


@dataclass(frozen=True)
class ScenarioCase:
    """The conversation of a scenario under some settings."""

    story: Scenario
    settings: Settings

    def after(self, repair: Repair) -> World:
        """Return the cluster after settings and commands; a service that is dialled has its endpoint."""
        settings = _with(self.settings, repair)
        if not KubeProxy(settings.kube_proxy, mode=settings.kube_proxy_mode).starts:
            raise McniError(tr(_DOES_NOT_START))
        endpoint = repair.dial.endpoint if repair.dial else ""
        world = self.story.world(settings.but(endpoint=endpoint) if endpoint else settings)
        return carried_out(world, repair.commands)

    def trace(self, repair: Repair, world: World) -> Trace:
        """Hold the conversation in a world, dialling as a repair says."""
        return run_sizes(world, self._flow(repair), self.story.listeners(self.settings))

    def works(self, repair: Repair, world: World) -> bool:
        """Tell whether the conversation works in a world."""
        return OUTCOMES.outcome(world, self._flow(repair), self.story.listeners(self.settings)).works

    def _flow(self, repair: Repair) -> Flow:
        flow = replace(self.story.flow(_with(self.settings, repair)), patience=PATIENCE_AFTER)
        if not repair.dial:
            return flow
        return replace(flow, dst=repair.dial.to, dport=repair.dial.port if flow.dport else 0)

    def choices(self) -> Sequence[tuple[Repair, ...]]:
        """Return the settings of the scenario, but for those that choose the conversation.

        Those whose other values are mistakes, or another installation, are not tried where they are as at the start.
        """
        start = self.story.start()
        options = (option for option in self.story.options() if option.attribute not in _ASKED)
        values = ((option, getattr(self.settings, option.attribute)) for option in options)
        return [
            tuple(_changes(option, now))
            for option, now in values
            if option.attribute not in _MISTAKES or now != getattr(start, option.attribute)
        ]

    def dials(self) -> Iterator[Repair]:
        """Yield other nodes with the NodePort, else the server's other addresses and the service in front of it."""
        way, flow = self.story.way(self.settings), self.story.flow(self.settings)
        for option in self.story.options():
            if option.attribute == "receiving_node":
                yield from (
                    replace(one, kinds=(RepairKind.DIAL,)) for one in _changes(option, self.settings.receiving_node)
                )
        if way.to not in (None, *self._addresses(way.server)):
            return
        for address in self._addresses(way.server):
            if address != flow.dst:
                yield Repair((RepairKind.DIAL,), dial=Dial(address, way.port))
        if way.server in _pods() and flow.proto != "icmp":
            service = to_service(way.client, way.server)
            yield Repair((RepairKind.DIAL,), dial=Dial(service.to or flow.dst, service.port, way.server))

    def commands(self, repair: Repair) -> tuple[Command, ...]:
        """Return all that is typed for a repair."""
        return how_to(repair, self.settings)

    def in_words(self, repair: Repair) -> tuple[str, ...]:
        """Say which settings a repair changes."""
        return in_words(repair)

    def caveats(self, repair: Repair) -> tuple[str, ...]:
        """Say of another mode of kube-proxy what it does to the packets that the INVALID drop was written for."""
        if "kube_proxy_mode" not in dict(repair.settings):
            return ()
        return (service_caveat(_with(self.settings, repair)),)

    def _addresses(self, name: str) -> list[IPv4Address]:
        return self.story.world(self.settings)[name].dialled_addresses

    def others(self, repair: Repair) -> Iterator[Other]:
        """Hold the conversations of the guide's conclusion, and what the same two ends may say to each other."""
        worlds: dict[int, tuple[World, World]] = {}
        for (name, story, settings), before in self._before:
            yield Other(name, before, _works(story, settings, repair, worlds))

    @cached_property
    def _before(self) -> tuple[tuple[tuple[str, Scenario, Settings], bool], ...]:
        return tuple((asked, _works(*asked[1:], Repair(()), {})) for asked in self._conversations)

    @cached_property
    def _conversations(self) -> tuple[tuple[str, Scenario, Settings], ...]:
        own: set[object] = {self._key(self.story, self.settings)}
        told = []
        for name, story, settings in (*self._concluded(), *self._between()):
            if (key := self._key(story, settings)) not in own:
                own.add(key)
                told.append((name, story, settings))
        return tuple(told)

    def _key(self, story: Scenario, settings: Settings) -> tuple[Flow, str]:
        """Return what makes two conversations the same: the client's call, and who answers."""
        return replace(story.flow(settings), patience=PATIENCE_AFTER), story.way(settings).server

    def _concluded(self) -> Iterator[tuple[str, Scenario, Settings]]:
        cells = (cell for placement in Placement for row in conclude(self.settings, placement) for cell in row)
        yield from ((name_of(cell), cell.story, cell.settings) for cell in cells if cell.story)

    def _between(self) -> Iterator[tuple[str, Scenario, Settings]]:
        """Yield what the two ends may say to each other and to the nodes: each way, and to a service in front of it."""
        way = self.story.way(self.settings)
        for client, server in ((way.client, way.server), (way.server, way.client)):
            if server in _pods():
                yield self._to_pod(client, server)
                to_it = self._told(to_service(client, server))
                name = tr("{client} to a service in front of {server}", client=client, server=server)
                yield name, to_it, self.settings.but(endpoint=server)
        for node in (node.name for node in CLUSTER.nodes):
            for end in sorted({way.client, way.server} & _pods()):
                yield tr("{client} to {server}", client=end, server=node), self._told(to_node(end, node)), self.settings
                yield self._to_pod(node, end)

    def _to_pod(self, client: str, pod: str) -> tuple[str, Scenario, Settings]:
        return tr("{client} to {server}", client=client, server=pod), self._told(DialTarget(client, pod)), self.settings

    def _told(self, way: DialTarget) -> Scenario:
        return replace(self.story, way=lambda settings: way)


def _with(settings: Settings, repair: Repair) -> Settings:
    return settings.but(**dict(repair.settings)) if repair.settings else settings


def _changes(option: Option, now: object) -> Iterator[Repair]:
    """Yield the other values of a setting, the nearest to the present one first, later ones before earlier."""
    here = option.values.index(now)
    order = sorted(range(len(option.values)), key=lambda number: (abs(number - here), number < here))
    for number in order[1:]:
        yield Repair(
            (_KINDS.get(option.attribute, RepairKind.SETTING),), settings=((option.attribute, option.values[number]),)
        )


def _works(story: Scenario, settings: Settings, repair: Repair, worlds: dict[int, tuple[World, World]]) -> bool:
    """Tell whether a conversation works after a repair; `worlds` keeps those before and after its commands."""
    chosen = _with(settings, repair)
    base = story.world(chosen)
    if id(base) not in worlds:
        worlds[id(base)] = base, carried_out(base, repair.commands)
    world = worlds[id(base)][1]
    return OUTCOMES.outcome(world, replace(story.flow(chosen), patience=PATIENCE_AFTER), story.listeners(chosen)).works


def _pods() -> frozenset[str]:
    return frozenset(pod.name for pod in CLUSTER.pods)
