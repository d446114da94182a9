"""Which ranges of ports the rules and sets of a namespace ask for: there it matters which port NAT draws."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mcnilib.linux.chance import Range
from mcnilib.linux.netfilter.ipset import IpSet, Member, port_key
from mcnilib.linux.netfilter.iptables.match.set import InSet
from mcnilib.linux.netfilter.iptables.rule import Table


def asked_ports(tables: Sequence[Table], sets: Sequence[IpSet]) -> frozenset[Range]:
    """Return the ranges that rules name, and the sets if any rule looks into one.

    Of rules that look alike but for one port or one set, only one is asked.
    """
    chains = (chain for table in tables for chain in table.chains)
    matches = [match for chain in chains for rule in chain.outline.samples for match in rule.matches]
    looked_into = sets if any(isinstance(match, InSet) for match in matches) else ()
    return frozenset([*(ports for match in matches for ports in match.asked_ports), *_of_sets(looked_into)])


def _of_sets(sets: Iterable[IpSet]) -> Iterator[Range]:
    """Yield the ports of sets that have some, those that follow each other as one range."""
    for one in sets:
        if "port" in one.kinds:
            place = one.kinds.index("port")
            members = (member for member in one.members if isinstance(member, Member))
            yield from _joined(sorted({number for m in members if (number := _number(str(m.parts[place]))) >= 0}))


def _number(part: str) -> int:
    """Return the port of `tcp:80`, or of `80` in a set of type bitmap:port; -1 for the ICMP type of another member."""
    key = port_key(part if ":" in part else f"tcp:{part}")
    return int(key[1]) if isinstance(key, tuple) and key[0] != "icmp" else -1


def _joined(ports: Sequence[int]) -> Iterator[Range]:
    start = 0
    for at in range(1, len(ports) + 1):
        if at == len(ports) or ports[at] != ports[at - 1] + 1:
            yield ports[start], ports[at - 1]
            start = at
