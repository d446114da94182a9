"""Native nftables by chance, as it is typed: tables, chains at any hook, sets, and rules of anything the model knows.

What the kernel refuses is refused by the command; no draw is of what is unknown by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from string import Template

from mcnilib.errors import McniError
from mcnilib.kernel.fuzz.case import Case
from mcnilib.kernel.fuzz.parts import addresses_of, devices, every_address, typed
from mcnilib.kernel.fuzz.recipes import UNUSED_ADDRESS
from mcnilib.linux.netfilter.nftables.check import HOOKS_OF_TYPE
from mcnilib.linux.netns import Netns
from mcnilib.world.world import World

NATIVE = 0.15
"""How often rules of native nftables stand in a world."""

_MOST_NATIVE = 10
"""Lines of them at most."""

_PRIORITIES = {
    "filter": ("raw", "mangle", "filter", "security", "-310", "-210", "-190", "-110", "-90", "-5", "5", "90", "110"),
    "route": ("raw", "mangle", "filter", "-190", "-5", "110"),
    "nat": ("-100", "-95", "-110", "100", "95", "105"),
}
"""Where base chains of each type stand, not in the very place where conntrack or NAT does."""

_SETS = (
    "set $family t hosts { type ipv4_addr ; elements = { $address, $other } }",
    "set $family t nets { type ipv4_addr ; flags interval ; elements = { $network } }",
    "set $family t ports { type inet_service ; elements = { 80, 8081 } }",
    "set $family t services { type ipv4_addr . inet_proto . inet_service ;"
    " elements = { $address . tcp . 80, $other . udp . 80, $other . tcp . 8080 } }",
    "map $family t verdicts { type ipv4_addr : verdict ; elements = { $address : drop, $other : accept } }",
    "map $family t marks { type inet_service : mark ; elements = { 80 : 0x1, 8080 : 0x2 } }",
)

_SEEN = "set $family t seen { type ipv4_addr ; flags dynamic ; size 100 ; }"

_MATCHES = (
    "ip saddr $address",
    "ip daddr $address",
    "ip saddr != $network",
    "ip daddr $network",
    "ip daddr { $address, $other }",
    "ip saddr != { $address, $other }",
    "ip saddr $net.1-$net.9",
    "ip saddr @hosts",
    "ip daddr != @hosts",
    "ip daddr @nets",
    'iifname "$device"',
    'iifname != "$device"',
    'oifname "$device"',
    'oifname { "$device", "lo" }',
    'iif "$device"',
    'oif != "$device"',
    "meta l4proto tcp",
    "meta l4proto { icmp, udp }",
    "meta l4proto != icmp",
    "ip protocol udp",
    "tcp dport 80",
    "tcp sport 80",
    "udp dport { 80, 8080 }",
    "tcp dport != 80",
    "tcp dport >= 8080",
    "tcp sport < 1024",
    "th dport 70-90",
    "tcp dport @ports",
    "udp sport @ports",
    "ip daddr . tcp dport { $address . 80, $other . 8080 }",
    "ip daddr . meta l4proto . th dport @services",
    "ip saddr . meta l4proto . th sport @services",
    "tcp flags syn / syn,ack",
    "tcp flags & (fin | syn | rst | ack) == syn",
    "tcp flags != syn",
    "tcp flags syn",
    "icmp type echo-request",
    "icmp type { echo-reply, destination-unreachable }",
    "ct state new",
    "ct state established,related",
    "ct state { new, untracked }",
    "ct state invalid",
    "ct state != established",
    "ct direction reply",
    "ct direction original",
    "ct status dnat",
    "ct status snat",
    "ct mark 0x1",
    "ct original ip daddr $address",
    "meta l4proto tcp ct original proto-dst 80",
    "ct reply ip saddr $address",
    "meta mark 0x1",
    "meta mark & 0x3 == 0x1",
    "meta mark != 0",
    "meta mark and 0x1 != 0x1",
    "fib daddr type local",
    "fib daddr type { unicast, broadcast }",
    "fib saddr . iif oif missing",
    "fib saddr . iif oif exists",
    "fib daddr . iif type local",
    "ip ttl < 64",
    "ip ttl 63",
    "ip version 4",
    "ip dscp cs0",
    "numgen random mod 2 0",
    "jhash ip saddr . ip daddr mod 2 seed 0x1 0",
)

_REMEMBERING = (
    "limit rate 2/hour burst 2 packets",
    "limit rate over 1/hour burst 3 packets",
    "ip saddr @seen",
    "ip daddr @seen",
)

_ENDS = (
    *("accept", "accept", "drop", "drop", "return", "counter", "jump own", "jump own", "goto own"),
    *("reject", "reject with tcp reset", "reject with icmp host-prohibited", "reject with icmp admin-prohibited"),
    *("meta mark set 0x1", "meta mark set meta mark | 0x2", "meta mark set meta mark & 0xfffffffe", "notrack"),
    *("meta mark set ct mark", "ct mark set 0x1", "ct mark set meta mark", "meta mark set tcp dport map @marks"),
    *("tcp dport vmap { 80 : drop, 8080 : accept }", "ip saddr vmap @verdicts", "ip daddr vmap @verdicts"),
    *("ct state vmap { new : accept, invalid : drop }", "meta l4proto vmap { tcp : jump own, udp : drop }"),
    "numgen random mod 2 vmap { 0 : drop, 1 : accept }",
)

_TO_DESTINATION = (
    "dnat ip to $address",
    "dnat ip to $address",
    "meta l4proto tcp dnat ip to $address:80",
    "tcp dport 8080 dnat ip to $address:80",
    "udp dport 80 redirect to :8080",
    "tcp dport { 80, 8080 } redirect to :80",
    "redirect",
    "meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : $address . 80, 1 : $other . 80 }",
    "dnat ip to tcp dport map { 80 : $address, 8080 : $other }",
)

_PROTOCOLS = ("tcp", "tcp", "udp", "icmp")

_TO_SOURCE = (
    "masquerade",
    "masquerade",
    "masquerade random",
    "snat ip to $own",
    "meta l4proto tcp snat ip to $own:5000-5999",
)


def with_native(draw: Random, case: Case) -> Case:
    """Return mostly the case itself, else with rules of native nftables typed before its first exchange.

    None that remember packets where more is typed later: the lab makes the tables anew then.
    """
    if draw.random() >= NATIVE:
        return case
    world, first, kept = case.build(), case.turns[0], list[str]()
    remembering = not any(turn.lines for turn in case.turns[1:])
    for name in draw.choices([netns.name for netns in world], k=draw.choice((1, 1, 2))):
        for line in _script(draw, world, world[name], remembering):
            try:
                world = typed(world, f"{name}: nft '{line}'")
            except McniError:
                continue
            kept.append(f"{name}: nft '{line}'")
    return Case(case.world, (replace(first, lines=(*first.lines, *kept)), *case.turns[1:]))


def _script(draw: Random, world: World, netns: Netns, remembering: bool) -> Iterator[str]:
    """Yield a table with its sets and chains, then rules in any of them."""
    family = draw.choice(("ip", "inet"))
    fields = {"family": family}
    sets = (*_SETS, _SEEN) if remembering else _SETS
    yield f"add table {family} t"
    yield from (f"add {_filled(draw, world, netns, one, fields)}" for one in sets)
    yield f"add chain {family} t own"
    kinds = [
        draw.choice(("filter", "filter", "filter", "nat", "nat", "route")) for _ in range(draw.choice((1, 1, 2, 3)))
    ]
    for number, kind in enumerate(kinds):
        yield f"add chain {family} t base{number} {_base(draw, kind)}"
    for _ in range(draw.randint(1, _MOST_NATIVE)):
        at = draw.choice(["own", *(f"base{number}" for number in range(len(kinds)))])
        rule = _rule(draw, kinds[int(at[4:])] if at != "own" else "", remembering)
        verb, rule = draw.choice(("add", "add", "insert")), _filled(draw, world, netns, rule, fields)
        yield f"{verb} rule {family} t {at} {rule}"


def _base(draw: Random, kind: str) -> str:
    hook = draw.choice(HOOKS_OF_TYPE[kind])
    source = hook in ("input", "postrouting")
    there = [p for p in _PRIORITIES[kind] if kind != "nat" or p.startswith("-") is not source]
    policy = draw.choice(("accept",) * 9 + ("drop",))
    return f"{{ type {kind} hook {hook} priority {draw.choice(there)} ; policy {policy} ; }}"


def _rule(draw: Random, kind: str, remembering: bool) -> str:
    protocol = draw.choice(_PROTOCOLS)
    matches = [m for m in draw.choices(_MATCHES, k=draw.choice((0, 1, 1, 2, 2, 3))) if _agrees(m, protocol)]
    if remembering and draw.random() < 0.08:
        matches.append(draw.choice(_REMEMBERING))
    if remembering and draw.random() < 0.05:
        matches.append(draw.choice(("update @seen { ip saddr }", "add @seen { ip daddr }")))
    nat = draw.choice((_TO_DESTINATION, _TO_SOURCE)) if kind == "nat" and draw.random() < 0.7 else ()
    return " ".join((*matches, draw.choice([end for end in nat or _ENDS if _agrees(end, protocol)])))


def _agrees(text: str, protocol: str) -> bool:
    """Tell whether a part may stand in a rule about a protocol: nft refuses a rule about two."""
    return not any(re.search(rf"\b{other}\b", text) for other in _PROTOCOLS if other != protocol)


def _filled(draw: Random, world: World, netns: Netns, text: str, fields: dict[str, str]) -> str:
    every = every_address(world)
    address, other = draw.sample(sorted({*every, UNUSED_ADDRESS}), 2)
    net = address.rpartition(".")[0]
    own, device = draw.choice(addresses_of(netns) or every), draw.choice(devices(netns) or ["lo"])
    said = {"address": address, "other": other, "net": net, "network": f"{net}.0/24", "own": own, "device": device}
    return Template(text).substitute(fields, **said)
