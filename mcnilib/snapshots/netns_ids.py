"""Which namespace the other end of a link is in, when `ip` prints only an id or a name of its own machine.

An id (`link-netnsid`) means something only in the namespace that prints it. `ip netns list-id` names some of them;
for the others the veth pairs tell: the two ends name each other's index. What lies below a macvlan device is taken
for a NIC or a bridge. What fits two namespaces stays unknown.
Source: ip-netns(8); net/core/net_namespace.c, rtnl_fill_link_netnsid() in net/core/rtnetlink.c (Linux 6.18).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from mcnilib.errors import StateSyntaxError
from mcnilib.language import tr
from mcnilib.linux.device.base import DeviceRole, LinkEnd
from mcnilib.linux.device.link import Hidden, Link
from mcnilib.linux.unmodelled import Gap


@dataclass(frozen=True)
class Home:
    """A namespace's devices, and where it was collected: the machine, and the name it has there (empty: none).

    `ids` says which name an id has, as seen from here. `known`: it was collected which devices there are.
    """

    name: str
    links: tuple[Link, ...]
    node: str = ""
    called: str = ""
    ids: Mapping[int, str] = field(default_factory=dict)
    known: bool = True


def parse_ids(text: str, source: str = "ip netns list-id") -> dict[int, str]:
    """Read the output of `ip netns list-id`: id -> name; ids without a name are passed over.

    Raises: StateSyntaxError.
    """
    names = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = re.fullmatch(r"nsid (\d{1,10}) ?(?:\(iproute2 netns name: (.*?)\))?.*", line.strip(), re.ASCII)
        if line.strip() and not match:
            raise StateSyntaxError(tr("not `nsid NUMBER ...`"), source=source, line=number, column=1, text=line)
        if match and match[2]:
            names[int(match[1])] = match[2]
    return names


def connected(homes: Iterable[Home]) -> dict[str, tuple[Link, ...]]:
    """Return the devices of each namespace, with the namespaces of their other ends named as far as they are known."""
    every = list(homes)
    directory = _Directory(every)
    return {home.name: tuple(_named(link, home, directory) for link in home.links) for home in every}


class _Directory:
    """The namespaces of each machine by their names, and by the devices they have."""

    def __init__(self, homes: Iterable[Home]) -> None:
        self._called: dict[tuple[str, str], list[Home]] = {}
        self._ends: dict[tuple[object, ...], dict[str, Home]] = {}
        self._devices: dict[str, dict[int, Link]] = {}
        self._leading: dict[tuple[str, str], list[tuple[Link, LinkEnd]]] = {}
        self._blind: dict[str, list[Home]] = {}
        self._known: dict[tuple[str, str], Home | None] = {}
        for home in homes:
            for name in {home.called, home.name}:
                self._called.setdefault((home.node, name), []).append(home)
            self._devices[home.name] = {link.index: link for link in home.links}
            if not home.known:
                self._blind.setdefault(home.node, []).append(home)
            for link in home.links:
                self._enter(home, link)

    def _enter(self, home: Home, link: Link) -> None:
        for key in _as_end(link):
            self._ends.setdefault((home.node, *key), {})[home.name] = home
        if far := link.kind.endpoint:
            self._leading.setdefault((home.name, far.netns), []).append((link, far))

    def called(self, name: str, home: Home) -> Home | None:
        """Return another namespace of the same machine by its name, there or here."""
        return next((peer for peer in self._called.get((home.node, name), ()) if peer is not home), None)

    def fitting(self, number: str, home: Home) -> Home | None:
        """Return the only namespace all links of `home` that lead to an id could lead to; None for none or several.

        One whose devices nobody knows could be any.
        """
        key = (home.name, number)
        if key not in self._known:
            ends = (self._ends.get((home.node, *_sought(*leading)), {}) for leading in self._leading[key])
            near = (peer for peer in min(ends, key=len).values() if peer is not home)
            matches = list(islice((peer for peer in near if self._fits(number, home, peer)), 2))
            blind = any(peer is not home for peer in self._blind.get(home.node, ()))
            self._known[key] = matches[0] if len(matches) == 1 and not blind else None
        return self._known[key]

    def _fits(self, number: str, home: Home, peer: Home) -> bool:
        devices = self._devices[peer.name]
        return all(_joined(link, devices.get(far.index), home, peer) for link, far in self._leading[home.name, number])


BELOW = (DeviceRole.NIC, DeviceRole.BRIDGE, DeviceRole.BOND)
"""What another device may stand on."""


def _as_end(link: Link) -> Iterator[tuple[object, ...]]:
    """Yield what a device may be found as: the other end of a veth, and what lies below another device."""
    if link.kind.role is DeviceRole.PAIR and link.kind.endpoint:
        yield link.index, link.kind.endpoint.index
    if link.kind.role in BELOW:
        yield (link.index,)


def _sought(link: Link, far: LinkEnd) -> tuple[object, ...]:
    """Return what the other end of a link is found as."""
    return (far.index, link.index) if link.kind.role is DeviceRole.PAIR else (far.index,)


def _named(link: Link, home: Home, directory: _Directory) -> Link:
    far = link.kind.endpoint
    if far is None or far.netns == home.name:
        return link
    return replace(link, kind=link.kind.leading_to(_found(far, home, directory)))


def _found(far: LinkEnd, home: Home, directory: _Directory) -> LinkEnd:
    """Return the far end with the name of its namespace; as it is when that is not known."""
    if called := _called(far.netns, home):
        peer = directory.called(called, home)
        return LinkEnd(peer.name if peer else called, far.index)
    fitting = directory.fitting(far.netns, home)
    return LinkEnd(fitting.name, far.index) if fitting else far


def _called(netns: str, home: Home) -> str:
    """Return the name of the namespace a link leads to; empty for an id without a name, and one `ip` does not know."""
    if netns[:1] != "/":
        return netns
    return home.ids.get(int(netns[1:]), "") if netns[1:].isdecimal() else ""


def _joined(link: Link, end: Link | None, home: Home, peer: Home) -> bool:
    """Tell whether a device can be the other end of a link: a veth that names it in turn, or what lies below it."""
    if end is None:
        return False
    if link.kind.role is not DeviceRole.PAIR:
        return end.kind.role in BELOW
    back = end.kind.endpoint
    if end.kind.role is not DeviceRole.PAIR or back is None or back.index != link.index:
        return False
    named = _called(back.netns, peer)
    return back.netns != peer.name and named in ("", home.called, home.name)


NAMED = 3
"""Namespaces that a reason names; of more it tells the number."""

Filters = Mapping[str, Mapping[str, Iterable[str]]]
"""Namespace -> device -> the MACs it takes beside its own."""


def with_hidden(homes: Iterable[Home], filters: Filters) -> dict[str, tuple[Link, ...]]:
    """Return the devices of each namespace, each with those on it that nobody placed."""
    every = list(homes)
    seen = _Seen(every, filters)
    return {home.name: tuple(seen.told(home, link) for link in home.links) for home in every}


class _Seen:
    """What is known of a snapshot's machines: MACs, children without a place, namespaces without devices."""

    def __init__(self, homes: Iterable[Home], filters: Filters) -> None:
        self._filters = filters
        self._macs: set[str] = set()
        self._unplaced: dict[tuple[str, int], list[tuple[str, Link]]] = {}
        self._missing: dict[str, list[str]] = {}
        for home in homes:
            self._macs |= {link.mac for link in home.links}
            if not home.links:
                self._missing.setdefault(home.node, []).append(home.name)
            for link in home.links:
                far = None if link.kind.role is DeviceRole.PAIR else link.kind.endpoint  # what hands packets over to it
                if far and (not far.netns or far.netns[:1] == "/"):
                    self._unplaced.setdefault((home.node, far.index), []).append((home.name, link))

    def told(self, home: Home, link: Link) -> Link:
        """Return a device with what may stand on it; a bridge port has room for nothing else."""
        if link.master or link.kind.role not in (*BELOW, DeviceRole.PAIR):
            return link
        hidden = tuple(self._hidden(home, link))
        return replace(link, hidden=hidden) if hidden else link

    def _hidden(self, home: Home, link: Link) -> Iterator[Hidden]:
        here = f"{link.name} of {home.name}"
        for mac in self._filters.get(home.name, {}).get(link.name, ()):
            if mac not in self._macs:
                what = tr(
                    "a device with the MAC address {mac}, which was not collected, stands on {here}", mac=mac, here=here
                )
                yield Hidden(mac, Gap(what, collect=tr("the network namespace with the MAC address {mac}", mac=mac)))
        for name, child in self._unplaced.get((home.node, link.index), ()):
            if name != home.name:
                what = tr("{child} of {name} may stand on {here}", child=child.name, name=name, here=here)
                yield Hidden(child.mac, Gap(what, collect=tr("`ip netns list-id` in {name}", name=name)))
        if names := self._missing.get(home.node):
            more = tr(" and {count} more", count=len(names) - NAMED) if len(names) > NAMED else ""
            which = ", ".join(names[:NAMED]) + more
            what = tr("{which} of that machine may have devices on {here}", which=which, here=here)
            yield Hidden("", Gap(what, collect=tr("`ip -d address show` in {which}", which=which)))
