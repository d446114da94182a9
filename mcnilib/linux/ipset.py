"""IP sets as `ipset save` prints them: named collections a rule can test addresses against.

Modelled types: hash:ip, hash:net. Any other raises `Unsupported`. Source: ipset(8) (ipset 7.17).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network

from mcnilib.errors import StateSyntaxError, Unsupported
from mcnilib.linux.origin import Origin

TYPES = ("hash:ip", "hash:net")


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
        return (f"create {self.name} {self.type} {self.options}", *adds)


def _member(network: IPv4Network) -> str:
    return str(network.network_address) if network.prefixlen == 32 else str(network)


def print_sets(sets: Iterable[IpSet]) -> str:
    """Print sets as `ipset save` does."""
    return "".join(f"{line}\n" for one in sets for line in one.lines())


def parse_sets(text: str, source: str = "ipset save") -> tuple[IpSet, ...]:
    """Read the output of `ipset save`.

    Raises: StateSyntaxError; Unsupported for a type of set that is not modelled.
    """
    found: dict[str, IpSet] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if words and words[0] == "create" and len(words) >= 3:
            found[words[1]] = _create(words, source, number)
        elif words and words[0] == "add" and len(words) >= 3 and words[1] in found:
            old = found[words[1]]
            found[words[1]] = replace(old, members=(*old.members, _network(line, words[2], source, number)))
        elif words:
            raise StateSyntaxError(
                "expected `create` or `add` to a set created above", source=source, line=number, column=1, text=line
            )
    return tuple(found.values())


def _create(words: list[str], source: str, number: int) -> IpSet:
    if words[2] not in TYPES or "inet6" in words:
        raise Unsupported(
            f"{source}:{number}: set {words[1]} of type {words[2]}; {' and '.join(TYPES)} for IPv4 are modelled"
        )
    return IpSet(words[1], words[2], (), " ".join(words[3:]))


def _network(line: str, word: str, source: str, number: int) -> IPv4Network:
    try:
        return IPv4Network(word)
    except ValueError:
        column = line.index(word) + 1
        raise StateSyntaxError(
            f"{word!r} is not an IPv4 prefix", source=source, line=number, column=column, text=line
        ) from None
