"""An iptables rule by chance, as it is typed: any match the model knows, and any target that may stand in the chain.

What may stand behind `-m NAME` or `-j NAME`, and where, each extension declares of itself: see `samples` of its record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import TypeVar

from mcnilib.kernel.fuzz.parts import CHAINS_OF, SET_SIDES, addresses_of, devices, every_address, own_chains
from mcnilib.linux.netfilter.iptables.extension import ANY_TABLE, Record
from mcnilib.linux.netfilter.iptables.rule_text import MATCHES, TARGETS
from mcnilib.linux.netns import Netns
from mcnilib.world.world import World

_Declared = TypeVar("_Declared", bound=Record)

OFTEN = 4
"""How often a match on the connection or on the protocol's own header, and a target that has its place in few tables,
is drawn, against once for every other."""

MATCH_RECORDS = [r for match in MATCHES for r in match.records for _ in range(OFTEN if r.tracks or r.implied else 1)]

TARGET_RECORDS = [r for target in TARGETS for r in target.records for _ in range(1 if r.tables is ANY_TABLE else OFTEN)]

RULE_TABLES = ("filter", "filter", "filter", "nat", "nat", "mangle", "mangle", "raw")

LOOPBACK = 0.05
"""How often a rule names 127.0.0.1 for an address."""


def remembers(world: World) -> bool:
    """Tell whether a rule remembers packets: no conversation of another case may have passed it."""
    chains = (chain for netns in world for table in netns.ip4.tables for chain in table.chains)
    native = (chain for netns in world for table in netns.ip4.nft for chain in table.chains)
    return any(rule.remembers for some in (chains, native) for chain in some for rule in chain.rules)


def spelled(draw: Random, sample: str, fields: Mapping[str, str]) -> str:
    """Draw one of the texts a sample of an extension stands for: of `A|B` one, `[A]` in one of three cases."""
    spelling = []
    for word in sample.split():
        choices = word.strip("[]").split("|")
        spelling.append(draw.choice(["", "", *choices] if word.startswith("[") else choices))
    return " ".join(filter(None, spelling)).format_map(fields)


def able(records: Sequence[_Declared], table: str, chain: str, proto: str = "") -> list[_Declared]:
    """Choose the extensions the kernel takes in a chain: those that need the protocol, or that need none."""
    there = (r for r in records if r.samples and table in r.tables and chain in r.hooks)
    return [r for r in there if (proto in r.protocols if proto else not r.protocols)]


def _extension(draw: Random, records: list[_Declared], world: World, netns: Netns, port: str = "") -> str:
    """Draw an extension with its options."""
    record = draw.choice(records)
    every = every_address(world)
    address = draw.choice(every) if draw.random() > LOOPBACK else "127.0.0.1"
    net = address.rpartition(".")[0]
    fields = {
        "address": address,
        "last": f"{net}.255",
        "network": f"{net}.0/24",
        "own": draw.choice(addresses_of(netns) or every),
        "port": port,
        "set": spelled(draw, draw.choice(SET_SIDES), {}),
    }
    return f"{record.name} {spelled(draw, draw.choice(record.samples), fields)}".rstrip()


def rule_line(draw: Random, world: World, netns: Netns) -> str:
    """Make up a rule of a namespace."""
    table = draw.choice(RULE_TABLES)
    chain = draw.choice(CHAINS_OF[table])
    verb = draw.choice(("-A", "-A", "-I"))
    matches = _matches(draw, table, chain, world, netns)
    return f"iptables -t {table} {verb} {chain} {matches}-j {_target(draw, table, chain, world, netns, matches)}"


def chain_line(draw: Random, world: World, netns: Netns) -> str:
    """Make up a chain of one's own, a rule in one that is there, or a jump to it."""
    own = own_chains(netns)
    if not own:
        return f"iptables -t {draw.choice(RULE_TABLES)} -N OWN"
    table = draw.choice(sorted(own))
    chain, built_in = draw.choice(own[table]), draw.choice(CHAINS_OF[table])
    matches = _matches(draw, table, built_in, world, netns)
    if draw.random() < 0.5:
        return f"iptables -t {table} -A {built_in} {matches}{draw.choice(('-j', '-j', '-g'))} {chain}"
    target = "RETURN" if draw.random() < 0.3 else _target(draw, table, built_in, world, netns, matches)
    return f"iptables -t {table} -A {chain} {matches}-j {target}"


def _matches(draw: Random, table: str, chain: str, world: World, netns: Netns) -> str:
    """Draw what a rule asks for; a blank follows each match."""
    matches = []
    if draw.random() < 0.3:
        address = f"{draw.choice(every_address(world))}/{draw.choice((32, 24))}"
        matches.append(f"{draw.choice(('', '! '))}{draw.choice(('-s', '-d'))} {address}")
    if draw.random() < 0.25:
        option = "-o" if chain in ("OUTPUT", "POSTROUTING") else "-i"
        matches.append(f"{draw.choice(('', '! '))}{option} {draw.choice(devices(netns))}")
    if draw.random() < 0.02:
        matches.append(f"{draw.choice(('', '! '))}-f")
    if draw.random() < 0.6:
        proto = draw.choice(("tcp", "tcp", "udp", "icmp"))
        matches.append(f"-p {proto}")
        if draw.random() < 0.75:
            matches.append(f"-m {_extension(draw, able(MATCH_RECORDS, table, chain, proto), world, netns)}")
    if draw.random() < 0.4:
        matches.append(f"-m {_extension(draw, able(MATCH_RECORDS, table, chain), world, netns)}")
    return "".join(f"{match} " for match in matches)


def _target(draw: Random, table: str, chain: str, world: World, netns: Netns, matches: str) -> str:
    port = draw.choice(("", "", ":80", ":8080")) if "-p tcp" in matches or "-p udp" in matches else ""
    return _extension(draw, able(TARGET_RECORDS, table, chain), world, netns, port)
