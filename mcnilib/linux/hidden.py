"""Who else may take a device's frames: devices that stand on it and were not collected, or could not be placed.

A macvlan child in a namespace that is not in the snapshot shows in no listing of the device below it but one: that
device takes the child's MAC too, and `bridge fdb show` prints it as `self permanent`. A child that was collected may
stand on any device with the index it names, when the namespace is known by an id only. And a namespace that is there
and was not collected may have children without a MAC of their own.
Source: macvlan_open() in drivers/net/macvlan.c, ndo_dflt_fdb_dump() in net/core/rtnetlink.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from mcnilib.linux.device.link import Bridge, Far, Hidden, Link, Macvlan, Opaque, Physical, Veth
from mcnilib.linux.peers import Home

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
                far = _below(link)
                if far and (not far.netns or far.netns[:1] == "/"):
                    self._unplaced.setdefault((home.node, far.index), []).append((home.name, link))

    def told(self, home: Home, link: Link) -> Link:
        """Return a device with what may stand on it; a bridge port has room for nothing else."""
        if link.master or not isinstance(link.kind, Physical | Veth | Bridge):
            return link
        hidden = tuple(self._hidden(home, link))
        return replace(link, hidden=hidden) if hidden else link

    def _hidden(self, home: Home, link: Link) -> Iterator[Hidden]:
        here = f"{link.name} of {home.name}"
        for mac in self._filters.get(home.name, {}).get(link.name, ()):
            if mac not in self._macs:
                why = f"a device with the MAC address {mac}, which was not collected, stands on {here}"
                yield Hidden(mac, why, f"the network namespace with the MAC address {mac}")
        for name, child in self._unplaced.get((home.node, link.index), ()):
            if name != home.name:
                yield Hidden(child.mac, f"{child.name} of {name} may stand on {here}", "`ip netns list-id` in " + name)
        if names := self._missing.get(home.node):
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            which = ", ".join(names[:NAMED]) + more
            yield Hidden("", f"{which} of that machine may have devices on {here}", f"`ip -d address show` in {which}")


def _below(link: Link) -> Far | None:
    """Return the device that hands packets over to this one."""
    match link.kind:
        case Macvlan(lower=far) | Opaque(lower=Far() as far):
            return far
    return None
