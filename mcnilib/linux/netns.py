"""One network namespace: links, addresses, rules, routes, neighbours, netfilter tables, sets and sysctls as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mcnilib.linux.ipset import IpSet
from mcnilib.linux.link import Link
from mcnilib.linux.neigh import Neigh
from mcnilib.linux.netfilter import Table
from mcnilib.linux.route import DEFAULT_RULES, Route, Rule
from mcnilib.linux.sysctl import Setting


@dataclass(frozen=True)
class Netns:
    """Everything about one namespace that Linux can print. Tuples keep the order the tools print."""

    name: str
    links: tuple[Link, ...] = ()
    rules: tuple[Rule, ...] = DEFAULT_RULES
    routes: tuple[Route, ...] = ()  # of all tables, in the order `ip route show table all` gives inside each table
    neighbours: tuple[Neigh, ...] = ()
    tables: tuple[Table, ...] = ()  # netfilter: raw, mangle, nat, filter; absent means empty with policy ACCEPT
    sets: tuple[IpSet, ...] = ()
    sysctls: tuple[Setting, ...] = ()  # only what differs from the kernel's default

    def but(self, **changes: object) -> Netns:
        """Return the same namespace with some parts replaced."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def link(self, name: str) -> Link:
        """Return the device called `name`; KeyError names the ones there are."""
        for link in self.links:
            if link.name == name:
                return link
        raise KeyError(f"no device {name!r} in {self.name}; there are {', '.join(x.name for x in self.links)}")
