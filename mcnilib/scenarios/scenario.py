"""What a scenario is: who talks to whom, what may be changed, and what the guide says about it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address
from itertools import chain
from typing import NamedTuple

from mcnilib.cluster.build import build
from mcnilib.cluster.settings import Option, Placement, Protocol, Settings, option, sweep
from mcnilib.cluster.spec import CLUSTER, Cluster
from mcnilib.language import current_language, mark, tr
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.outcome_cache import OutcomeCache
from mcnilib.trace.sizes import run_sizes, size_notes
from mcnilib.trace.trace import Outcome, Trace
from mcnilib.world.world import World

_SERVER_PORT = 80

OUTCOMES = OutcomeCache()
"""What the sweeps of all scenarios have in common."""

OF_SOME = ("placement", "endpoint", "external_policy", "receiving_node")
"""Settings that choose the actors, or shape the service with the NodePort: of those scenarios only that name them.

All others change the cluster or the protocol, and with them any scenario.
"""


GUIDE_TITLE = mark("Calico + Macvlan Multi-CNI Data Forwarding Process")

GUIDE_EDITION = mark("by the maintainers of Spiderpool, in the edition of version 1.0")

GUIDE_ADDRESS = "https://github.com/spidernet-io/spiderpool/blob/v1.0.0/docs/concepts/multi_cni_coexist.md"
"""The document with which scenarios are compared, called Spiderpool's guide: its title, who wrote it, where it is."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the guide says: `section` is its heading, `says` a short statement, `works` whether it promises a
    connection; None where it makes no promise."""

    section: str
    says: str
    works: bool | None

    def holds(self, works: bool) -> bool | None:
        """Tell whether the guide is right when the conversation works, or does not; None: it makes no promise."""
        return None if self.works is None else self.works is works


@dataclass(frozen=True, slots=True)
class DialTarget:
    """The conversation under some settings: client, server, and the address and port the client dials.

    `to` and `port` default to the server's own address and port 80; the server listens on port `listens`.
    """

    client: str
    server: str
    to: IPv4Address | None = None
    port: int = _SERVER_PORT
    listens: int = _SERVER_PORT


def by_placement(settings: Settings, same_node: str, across_nodes: str) -> str:
    """Return the pod that stands where `placement` says."""
    return same_node if settings.placement is Placement.SAME_NODE else across_nodes


def to_service(client: str, endpoint: str) -> DialTarget:
    """Dial the ClusterIP of demo/web, which has this pod behind it."""
    web = CLUSTER.web_behind(endpoint)
    return DialTarget(client, endpoint, web.cluster_ip, web.port)


def to_node_port(client: str, node: str, endpoint: str) -> DialTarget:
    """Dial the NodePort of demo/web at the address of a node; the service has this pod behind it."""
    return DialTarget(client, endpoint, CLUSTER.node(node).address.ip, CLUSTER.web_behind(endpoint).node_port)


def to_node(client: str, node: str) -> DialTarget:
    """Dial a program that listens on a node itself."""
    return DialTarget(client, node, CLUSTER.node(node).address.ip)


def to_underlay(client: str, server: str) -> DialTarget:
    """Dial the Macvlan address of a pod that has a Calico address too.

    Raises: ValueError for a pod without Macvlan NIC.
    """
    pod = CLUSTER.pod(server)
    if pod.underlay is None:
        raise ValueError(tr("pod {pod} has no Macvlan NIC", pod=server))
    return DialTarget(client, server, pod.underlay.ip)


_IPTABLES_ONLY = mark("the guide speaks of kube-proxy's iptables mode only")


def of_iptables_mode(claim: Callable[[Settings], Claim]) -> Callable[[Settings], Claim]:
    """Return what the guide says of a conversation: in the mode it knows; of kube-proxy's other modes, nothing."""

    def said(settings: Settings) -> Claim:
        known = claim(settings)
        return known if settings.kube_proxy_mode == "iptables" else Claim(known.section, _IPTABLES_ONLY, works=None)

    return said


class Apart(NamedTuple):
    """A setting whose other values are combined with few values of the others: it has a say in few states.

    `beside`: those values; of a setting that is not named, all. `values`: the other values; empty for all of them.
    """

    setting: str
    beside: tuple[tuple[str, tuple[object, ...]], ...] = ()
    values: tuple[object, ...] = ()


IN_MODES = ("1.28", "1.29", "1.33", "1.35")
"""Versions of kube-proxy that a mode is held against the kernel with: before it has nftables, with the INVALID drop in
it, without, and the newest. Source: pkg/proxy/nftables/proxier.go (1.29 to 1.35)."""


def in_modes(
    *beside: tuple[str, tuple[object, ...]], versions: tuple[object, ...] = IN_MODES, of_version: bool = False
) -> tuple[Apart, ...]:
    """Sweep kube-proxy's other modes beside few values of the other settings, each with some versions.

    `of_version`: sweep the version apart, too, in a scenario in which only the modes make it matter.
    """
    version = (Apart("kube_proxy", beside),) if of_version else ()
    return (*version, Apart("kube_proxy_mode", (("kube_proxy", versions), *beside)))


@dataclass(frozen=True)
class Scenario:
    """One story. `way` chooses the actors by the settings; `settings` are the toggles a reader sees, and no others."""

    number: int
    name: str  # lower-case words joined by `-`, as the command line and the notebooks spell it
    title: str
    question: str
    settings: tuple[str, ...]  # attributes of Settings
    way: Callable[[Settings], DialTarget]
    claim: Callable[[Settings], Claim]
    notebook: str = ""
    folded: tuple[str, ...] = ()  # of `settings`, those that matter least: a panel shows them when they are asked for
    defaults: tuple[tuple[str, object], ...] = ()  # where the scenario starts, as far as it differs from Settings()
    values: tuple[tuple[str, tuple[object, ...]], ...] = ()  # the values of a setting that make sense here, if not all
    patience: float = 5.0
    cluster: Cluster = CLUSTER
    apart: tuple[Apart, ...] = ()  # of `settings`, those that are swept apart from the others

    def options(self) -> tuple[Option, ...]:
        """Return the toggles a reader sees, each with the values that make sense here."""
        allowed = dict(self.values)
        return tuple(option(n).only(*allowed[n]) if n in allowed else option(n) for n in self.settings)

    def start(self) -> Settings:
        """Return the settings the scenario starts from: the interesting, usually broken, state."""
        return Settings().but(**dict(self.defaults))

    def world(self, settings: Settings) -> World:
        """Return the cluster under these settings."""
        return build(settings, self.cluster)

    def flow(self, settings: Settings) -> Flow:
        """Return the conversation the client starts."""
        way, protocol = self.way(settings), settings.protocol
        to = way.to or self.cluster.pod(way.server).address
        return Flow(
            way.client, to, protocol.value.lower(), 0 if protocol is Protocol.ICMP else way.port, patience=self.patience
        )

    def listeners(self, settings: Settings) -> tuple[Listener, ...]:
        """Return the server's sockets: TCP and UDP on the port it listens on."""
        way = self.way(settings)
        return Listener(way.server, way.listens), Listener(way.server, way.listens, "udp", pinned=True)

    def run(self, settings: Settings, patience: float | None = None, sizes: tuple[int, int] = (0, 0)) -> Trace:
        """Run the conversation; traces are remembered, because they only depend on the arguments.

        `sizes` are the bytes of request and answer, 0 for a few.
        """
        return _run(self, settings, self.patience if patience is None else patience, sizes, current_language())

    def run_in(
        self, world: World, settings: Settings, patience: float | None = None, sizes: tuple[int, int] = (0, 0)
    ) -> Trace:
        """Run the conversation in another world than the settings lead to: one that commands have changed."""
        flow = replace(self.flow(settings), patience=self.patience if patience is None else patience)
        trace = run_sizes(world, replace(flow, request=sizes[0], answer=sizes[1]), self.listeners(settings))
        return replace(trace, notes=tuple(size_notes(world, trace))) if trace.large else trace

    def outcome(self, settings: Settings) -> Outcome:
        """Return how the conversation ends; less work than `run` where the settings change nothing it meets."""
        return _outcome(self, settings, current_language())

    def combinations(self) -> Iterator[Settings]:
        """Yield every combination of the scenario's settings that is swept and held against the kernel."""
        return chain.from_iterable(sweep(self.start(), *options) for options in self.sweeps())

    def sweeps(self) -> Iterator[tuple[Option, ...]]:
        """Yield the values of the settings that are combined with each other.

        All of them, of those `apart` the value of the start; then for each of these its others, beside few of the rest:
        with all of them there would be many times as many.
        """
        options, start = self.options(), self.start()
        there = {o.attribute: o.values for o in options}
        usual = {apart.setting: (getattr(start, apart.setting),) for apart in self.apart}
        yield tuple(o.only(*usual[o.attribute]) if o.attribute in usual else o for o in options)
        for setting, beside, values in self.apart:
            others = values or tuple(value for value in there[setting] if value not in usual[setting])
            few = {**usual, **dict(beside), setting: others}
            yield tuple(o.only(*few[o.attribute]) if o.attribute in few else o for o in options)

    @property
    def swept_apart(self) -> frozenset[str]:
        """The settings that are swept apart from the others."""
        return frozenset(apart.setting for apart in self.apart)

    def changed(self, settings: Settings) -> dict[str, str]:
        """Return what differs from the scenario's start: name of a setting -> value, as the command line takes them."""
        start, texts = self.start().texts(), settings.texts()
        return {n: text for n, text in texts.items() if option(n).attribute in self.settings and start[n] != text}

    def command(self, settings: Settings, verb: str = "run") -> str:
        """Print the command that shows this state, or does something else with it."""
        options = (f"--{name} {shlex.quote(text)}" for name, text in self.changed(settings).items())
        return " ".join([f"mcni {verb}", self.name, *options])


def neighbours(story: Scenario, settings: Settings) -> Iterator[Settings]:
    """Yield the settings one change away."""
    for setting in story.options():
        for value in setting.values:
            if value != getattr(settings, setting.attribute):
                yield settings.but(**{setting.attribute: value})


@lru_cache(maxsize=4096)
def _outcome(scenario: Scenario, settings: Settings, language: str) -> Outcome:
    flow = replace(scenario.flow(settings), patience=scenario.patience)
    return OUTCOMES.outcome(scenario.world(settings), flow, scenario.listeners(settings))


@lru_cache(maxsize=4096)
def _run(scenario: Scenario, settings: Settings, patience: float, sizes: tuple[int, int], language: str) -> Trace:
    return scenario.run_in(scenario.world(settings), settings, patience, sizes)
