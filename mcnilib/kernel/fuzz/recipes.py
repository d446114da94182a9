"""Lines that matter only together, typed one after the other: a mark and the rule that asks for it, and the like."""

from __future__ import annotations

from random import Random

from mcnilib.kernel.fuzz.rules import CHAINS
from mcnilib.kernel.fuzz.shape import addresses, devices, every_address, networks
from mcnilib.linux.netns import Netns
from mcnilib.linux.world import World

MARKED_TABLE = 99
"""The routing table that only marked packets are looked up in."""
MARKS = ("MARK --set-xmark 0x1/0xffffffff", "MARK --set-xmark 0x1/0x1", "CONNMARK --set-xmark 0x1/0xffffffff")
FORGET = "MARK --set-xmark 0x0/0xffffffff"
MATCHES = ("", "", "", "-p tcp ", "-p udp ", "-p tcp -m tcp --dport 80 ", "-p tcp -m tcp --sport 80 ", "-p icmp ")


def marked(draw: Random, world: World, netns: Netns) -> list[str]:
    """Mark packets on their way out, in any table, and send what is marked another way.

    Sometimes a later table takes the mark away again, or a connection's mark is what marks.
    """
    lines = [_policy_rule(draw, world), _marked_route(draw, world, netns)]
    tables = draw.sample([table for table, chains in CHAINS.items() if "OUTPUT" in chains], draw.randint(1, 2))
    lines += [_marking_rule(draw, table) for table in tables]
    if draw.random() < 0.3:
        restore = "CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff"
        lines.append(f"iptables -t {draw.choice(list(CHAINS))} -A OUTPUT -j {restore}")
    return lines


def _policy_rule(draw: Random, world: World) -> str:
    words = draw.choice(("", "", f"to {draw.choice(networks(world))} ", f"from {draw.choice(every_address(world))} "))
    action = draw.choice((*[f"lookup {MARKED_TABLE}"] * 6, "blackhole", "unreachable", "prohibit"))
    start = words if words.startswith("from") else f"from all {words}"
    return f"ip rule add {start}fwmark {draw.choice(('0x1', '0x1/0x1'))} priority {draw.randint(50, 200)} {action}"


def _marked_route(draw: Random, world: World, netns: Netns) -> str:
    target = draw.choice(("default", "default", *networks(world)))
    refusing = f"{draw.choice(('blackhole', 'unreachable', 'prohibit', 'throw'))} {target}"
    own = addresses(netns)
    src = f" src {draw.choice(own)}" if own and draw.random() < 0.4 else ""
    onward = f"{target} via {draw.choice(every_address(world))}{src}"
    direct = f"{target} dev {draw.choice([*devices(netns), 'lo'])}{src}"
    return f"ip route add {draw.choice((refusing, onward, onward, onward, direct, direct))} table {MARKED_TABLE}"


def _marking_rule(draw: Random, table: str) -> str:
    target = draw.choice((*MARKS, MARKS[0], MARKS[0], FORGET))
    return f"iptables -t {table} -{draw.choice('AI')} OUTPUT {draw.choice(MATCHES)}-j {target}"
