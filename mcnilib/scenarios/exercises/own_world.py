"""A world of one's own: the cluster and its conversations with other addresses, drawn from a word, the seed.

Nodes, pods, the Calico pool and the service get other addresses; names stay, and so do the two LANs, their gateways
and what is outside. Two pods that are alike may change places: then another line of state is the one that matters.
What a text says of the common cluster (addresses, devices, chains) is said of this one. The same seed gives the same
world, everywhere and at any time. Whether an exercise is as hard there is judged in `exercise`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property, lru_cache
from hashlib import sha256
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network
from typing import Any, TypeVar

from mcnilib.cluster.kube_proxy.view import endpoint_chain
from mcnilib.cluster.settings import Settings
from mcnilib.cluster.spec import CLUSTER, Cluster, Pod
from mcnilib.errors import McniError
from mcnilib.language import listed, tr
from mcnilib.scenarios.scenario import DialTarget, Scenario

SEED = re.compile(r"\w[\w.-]{0,63}(?:~\d{1,3})?")
"""What may be a seed: a learner's name, with `~2`, `~3` ... behind it where the world of the name itself is refused."""

ALIKE = ("mac1", "mac1b")
"""Two pods of one kind, on one node and one LAN."""

TOKEN = re.compile(r"\w+(?:\.\w+)*")

_T = TypeVar("_T")


class SeedError(McniError, ValueError):
    """A word that is no seed, or a seed whose world is not as hard as the common one."""


@dataclass(frozen=True)
class OwnWorld:
    """The world of a seed."""

    seed: str

    @cached_property
    def _drawn(self) -> bytes:
        """Bytes that follow from the seed; each choice has one of its own."""
        return sha256(self.seed.encode()).digest()

    def choose(self, candidates: Sequence[_T]) -> _T:
        """Choose the candidate of this seed. There is at least one."""
        return candidates[self._drawn[0] % len(candidates)]

    @cached_property
    def places(self) -> dict[str, str]:
        """The pods that change places: name -> name of the other."""
        first, second = ALIKE
        return {first: second, second: first} if self._drawn[1] % 2 else {}

    def address(self, common: IPv4Address) -> IPv4Address:
        """Return where an address of the common cluster is here; the order of addresses stays what it was.

        Nodes and what is near them are in 172.16.2-60.0 and 172.17.2-60.0, Macvlan pods in 172.16.61-250.0, the pool
        and the services in 10.1-232.0.0.
        """
        net, second, third, last = common.packed
        nodes, pods, pool, blocks, shift = self._drawn[2:7]
        shift = 4 * (1 + shift % 10)  # what is even, or the first of four, stays so
        if (net, second) in ((172, 16), (172, 17)) and third:
            third = {1: 2 + nodes % 59, 100: 61 + pods % 190}.get(third, third)
        elif (net, second) == (10, 233):
            second, third = 1 + pool % 232, third + (blocks % 56 - 35 if 100 <= third <= 103 else 0)
        else:
            return common
        return IPv4Address(bytes((net, second, third, last + shift if last else 0)))

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster with these addresses."""
        return self._moved(CLUSTER)  # type: ignore[no-any-return]

    def _moved(self, value: Any) -> Any:
        """Return a value of the cluster, and all in it, with the addresses of this world."""
        match value:
            case IPv4Interface():
                return IPv4Interface((self.address(value.ip), value.network.prefixlen))
            case IPv4Address():
                return self.address(value)
            case IPv4Network():
                return IPv4Network((self.address(value.network_address), value.prefixlen))
            case tuple():
                return tuple(map(self._moved, value))
        if not is_dataclass(value) or isinstance(value, type):
            return value
        return replace(value, **{field.name: self._moved(getattr(value, field.name)) for field in fields(value)})

    @cached_property
    def _words(self) -> dict[str, str]:
        """Words of the common cluster that are others here, beside addresses: name, device and chain of a pod."""
        both = [(pod, self.cluster.pod(self.places.get(pod.name, pod.name))) for pod in CLUSTER.pods]
        words = {old: new for pair in both for old, new in zip(*map(_words_of, pair), strict=True) if old != new}
        chains = ((_chain(CLUSTER, common), _chain(self.cluster, own)) for common, own in both)
        return words | {old.rpartition("-")[2]: new.rpartition("-")[2] for old, new in chains}

    def retell(self, told: Any) -> Any:
        """Return a text about the common cluster, or a tuple of such texts, as it is true here."""
        if isinstance(told, tuple):
            return tuple(map(self.retell, told))
        return TOKEN.sub(lambda token: self._word(token[0]), told)

    def _word(self, word: str) -> str:
        try:
            return self._words.get(word) or str(self.address(IPv4Address(word)))
        except AddressValueError:
            return word

    def target(self, common: DialTarget) -> DialTarget:
        """Return the conversation of the common cluster as it is held here."""
        client, server = (self.places.get(name, name) for name in (common.client, common.server))
        to = common.to or CLUSTER.pod(common.server).address
        return replace(common, client=client, server=server, to=IPv4Address(self._word(str(to))))


def _words_of(pod: Pod) -> tuple[str, str, str]:
    return pod.name, pod.host_device, str(pod.address)


def _chain(cluster: Cluster, pod: Pod) -> str:
    """Return the chain that leads to a pod behind demo/web."""
    web = cluster.web_behind(pod.name)
    return endpoint_chain(web, web.endpoints[0])


def introduced(story: Scenario, settings: Settings) -> str:
    """Say who connects to what in a scenario, with the addresses of its own cluster."""
    way, flow = story.way(settings), story.flow(settings)
    client, server = (f"{name} ({', '.join(_addresses(story.cluster, name))})" for name in (way.client, way.server))
    return tr(
        "{client} connects to {address}:{port}; the server is {server}.",
        client=client, address=flow.dst, port=flow.dport, server=server,
    )  # fmt: skip


def nodes_introduced(cluster: Cluster) -> str:
    """Say which address each node has."""
    return tr("Nodes: {nodes}.", nodes=listed(f"{node.name} {node.address.ip}" for node in cluster.nodes))


def _addresses(cluster: Cluster, name: str) -> Iterator[str]:
    """Yield the addresses of a machine or pod: a pod's Calico address before that of its Macvlan NIC."""
    for host in (*cluster.nodes, *cluster.clients):
        if host.name == name:
            yield str(host.address.ip)
    for pod in cluster.pods:
        if pod.name == name:
            yield from map(str, filter(None, (pod.overlay, pod.underlay and pod.underlay.ip)))


@lru_cache(maxsize=64)
def own_world(seed: str) -> OwnWorld:
    """Return the world of a seed. Raises: SeedError for a word that is none."""
    if not SEED.fullmatch(seed):
        raise SeedError(
            tr("{seed!r} is no seed: a name has letters, digits, `_`, `.` and `-`, and at most 64 of them", seed=seed)
        )
    return OwnWorld(seed)


@lru_cache(maxsize=256)
def own_story(seed: str, story: Scenario) -> Scenario:
    """Return a scenario as it is told in the world of a seed. Raises: SeedError."""
    own = own_world(seed)
    return replace(
        story,
        cluster=own.cluster,
        way=lambda settings: own.target(story.way(settings)),
        question=own.retell(story.question),
    )
