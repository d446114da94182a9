"""IP sets as `ipset save` prints them: named collections a rule can test addresses against.

Modelled types: hash:ip, hash:net, for IPv4, members without options. Anything else raises `Unsupported`.
Source: ipset(8) (ipset 7.17).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network

from mcnilib.errors import Unsupported
from mcnilib.linux.origin import Origin
from mcnilib.linux.words import Words

TYPES = ("hash:ip", "hash:net")
REFUSED = ("inet6", "netmask", "bitmask", "timeout")
"""Words of a `create` line that change what the set contains."""

NAME_LENGTH = 31
"""Longest name of a set."""


@dataclass(frozen=True)
class IpSet:
    """One set: its name, type and members; `options` are the remaining words of its `create` line."""

    name: str
    type: str = "hash:net"
    members: tuple[IPv4Network, ...] = ()
    options: str = "family inet hashsize 1024 maxelem 65536"
    by: Origin | None = field(default=None, compare=False)

    @cached_property
    def _by_mask(self) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        for member in self.members:
            found.setdefault(int(member.netmask), set()).add(int(member.network_address))
        return found

    def has(self, ip: IPv4Address) -> bool:
        """Tell whether the address is in the set."""
        number = int(ip)
        return any(number & mask in networks for mask, networks in self._by_mask.items())

    def lines(self) -> tuple[str, ...]:
        """Print the set as `ipset save NAME` does."""
        adds = (f"add {self.name} {_member(member)}" for member in self.members)
        return (f"create {self.name} {self.type} {self.options}".rstrip(), *adds)


def _member(network: IPv4Network) -> str:
    return str(network.network_address) if network.prefixlen == 32 else str(network)


def print_sets(sets: Iterable[IpSet]) -> str:
    """Print sets as `ipset save` does."""
    return "".join(f"{line}\n" for one in sets for line in one.lines())


def parse_sets(text: str, source: str = "ipset save") -> tuple[IpSet, ...]:
    """Read the output of `ipset save`.

    Raises: StateSyntaxError; Unsupported for a type of set, or an option of a set or member, that is not modelled.
    """
    sets: dict[str, IpSet] = {}
    members: dict[str, list[IPv4Network]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = Words(line, source=source, number=number)
        if not words:
            continue
        verb, name = words.one_of(("create", "add")), words.take("the name of a set")
        if (verb == "create") is (name in sets):
            raise words.wrong(f"set {name} is {'created twice' if verb == 'create' else 'not created above'}")
        if verb == "create":
            sets[name], members[name] = _create(words, name), []
        else:
            members[name].append(_read_member(words, sets[name]))
    return tuple(replace(one, members=tuple(members[one.name])) for one in sets.values())


def _create(words: Words, name: str) -> IpSet:
    if len(name) > NAME_LENGTH:
        raise words.wrong(f"names of sets have {NAME_LENGTH} characters at most")
    kind = words.take("a type")
    options: list[str] = []
    while words:
        options.append(words.take())
    refused = kind if kind not in TYPES else next((word for word in options if word in REFUSED), "")
    if refused:
        where = f"{words.source}:{words.number}"
        raise Unsupported(f"{where}: {refused} of set {name}; {' and '.join(TYPES)} for IPv4 are modelled")
    return IpSet(name, kind, (), " ".join(options))


def _read_member(words: Words, one: IpSet) -> IPv4Network:
    network = words.prefix()
    if network.prefixlen == 0 or (one.type == "hash:ip" and network.prefixlen < 32):
        raise words.wrong(f"{network} cannot be one member of a {one.type}")
    if words:
        raise Unsupported(f"{words.source}:{words.number}: {words.next!r} of a member of set {one.name}")
    return network
