"""Which namespace the other end of a link is in, when `ip` prints only an id or a name of its own machine.

An id (`link-netnsid`) means something only in the namespace that prints it. `ip netns list-id` names some of them;
for the others the veth pairs tell: the two ends name each other's index. What fits two namespaces stays unknown.
Source: ip-netns(8); net/core/net_namespace.c, rtnl_fill_link_netnsid() in net/core/rtnetlink.c (Linux 6.18).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mcnilib.errors import StateSyntaxError
from mcnilib.linux.link import Bridge, Far, Link, Macvlan, Opaque, Physical, Veth


@dataclass(frozen=True)
class Home:
    """A namespace's devices, and where it was collected: the machine, and the name it has there (empty: none).

    `ids` says which name an id has, as seen from here.
    """

    name: str
    links: tuple[Link, ...]
    node: str = ""
    called: str = ""
    ids: Mapping[int, str] = field(default_factory=dict)


def parse_ids(text: str, source: str = "ip netns list-id") -> dict[int, str]:
    """Read the output of `ip netns list-id`: id -> name; ids without a name are passed over.

    Raises: StateSyntaxError.
    """
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = re.fullmatch(r"nsid (\d{1,10}) ?(?:\(iproute2 netns name: (.*?)\))?.*", line.strip(), re.ASCII)
        if line.strip() and not words:
            raise StateSyntaxError("not `nsid NUMBER ...`", source=source, line=number, column=1, text=line)
        if words and words[2]:
            found[int(words[1])] = words[2]
    return found


def connected(homes: Iterable[Home]) -> dict[str, tuple[Link, ...]]:
    """Return the devices of each namespace, with the namespaces of their other ends named as far as they are known."""
    every = list(homes)
    return {home.name: tuple(_named(link, home, every) for link in home.links) for home in every}


def _named(link: Link, home: Home, every: list[Home]) -> Link:
    match link.kind:
        case Veth(peer=far) if far.netns != home.name:
            return replace(link, kind=replace(link.kind, peer=_found(far, home, every)))
        case Macvlan(lower=far) if far.netns != home.name:
            return replace(link, kind=replace(link.kind, lower=_found(far, home, every)))
        case Opaque(lower=Far() as far) if far.netns != home.name:
            return replace(link, kind=replace(link.kind, lower=_found(far, home, every)))
    return link


def _found(far: Far, home: Home, every: list[Home]) -> Far:
    """Return the far end with the name of its namespace; as it is when that is not known."""
    near = [other for other in every if other.node == home.node and other is not home]
    called = _called(far.netns, home)
    if called:
        return Far(next((other.name for other in near if called in (other.called, other.name)), called), far.index)
    fitting = [other for other in near if _fits(far.netns, home, other)]
    return Far(fitting[0].name, far.index) if len(fitting) == 1 else far


def _called(netns: str, home: Home) -> str:
    """Return the name of the namespace a link leads to; empty for an id without a name, and one `ip` does not know."""
    if netns[:1] != "/":
        return netns
    return home.ids.get(int(netns[1:]), "") if netns[1:].isdecimal() else ""


def _fits(number: str, home: Home, other: Home) -> bool:
    """Tell whether all links of a namespace that lead to an id could lead to `other`."""
    devices = {link.index: link for link in other.links}
    leading = [(link, far) for link in home.links if (far := _far(link)) and far.netns == number]
    return all(_joined(link, devices.get(far.index), home, other) for link, far in leading)


def _far(link: Link) -> Far | None:
    match link.kind:
        case Veth(peer=far) | Macvlan(lower=far) | Opaque(lower=Far() as far):
            return far
    return None


def _joined(link: Link, end: Link | None, home: Home, other: Home) -> bool:
    """Tell whether a device can be the other end of a link: a veth that names it in turn, or what lies below it."""
    if end is None:
        return False
    if isinstance(link.kind, Macvlan | Opaque):
        return isinstance(end.kind, Physical | Bridge | Veth)
    if not isinstance(end.kind, Veth) or end.kind.peer.index != link.index:
        return False
    back = end.kind.peer.netns
    named = _called(back, other)
    return back != other.name and named in ("", home.called, home.name)
