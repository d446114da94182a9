"""Lines that matter only together, typed one after the other: a mark and the rule that asks for it, and the like."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from random import Random

from mcnilib.kernel.fuzz.parts import CHAINS_OF, addresses_of, devices, every_address, networks
from mcnilib.linux.netns import Netns
from mcnilib.world.world import World

UNUSED_ADDRESS, SERVICE = "10.3.0.9", "10.96.0.10"
"""Addresses nobody has; rules may send the second to somebody."""


MARKED_TABLE, LOCAL_TABLE = 99, 66
"""The routing tables that only marked packets are looked up in, and that addresses of one's own stand in."""

_MARKS = ("MARK --set-xmark 0x1/0xffffffff", "MARK --set-xmark 0x1/0x1", "CONNMARK --set-xmark 0x1/0xffffffff")

FORGET = "MARK --set-xmark 0x0/0xffffffff"

_MATCHES = ("", "", "", "-p tcp ", "-p udp ", "-p tcp -m tcp --dport 80 ", "-p tcp -m tcp --sport 80 ", "-p icmp ")


def marked(draw: Random, world: World, netns: Netns) -> list[str]:
    """Mark packets on their way out, in any table, and send what is marked another way.

    Sometimes a later table takes the mark away again, or a connection's mark is what marks.
    """
    lines = [_policy_rule(draw, world), _marked_route(draw, world, netns)]
    tables = draw.sample(list(CHAINS_OF), draw.randint(1, 2))
    lines += [_marking_rule(draw, table) for table in tables]
    if draw.random() < 0.3:
        restore = "CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff"
        lines.append(f"iptables -t {draw.choice(list(CHAINS_OF))} -A OUTPUT -j {restore}")
    return lines


def _policy_rule(draw: Random, world: World) -> str:
    selector = draw.choice(
        ("", "", f"to {draw.choice(networks(world))} ", f"from {draw.choice(every_address(world))} ")
    )
    action = draw.choice((*[f"lookup {MARKED_TABLE}"] * 6, "blackhole", "unreachable", "prohibit"))
    start = selector if selector.startswith("from") else f"from all {selector}"
    return f"ip rule add {start}fwmark {draw.choice(('0x1', '0x1/0x1'))} priority {draw.randint(50, 200)} {action}"


def _marked_route(draw: Random, world: World, netns: Netns) -> str:
    target = draw.choice(("default", "default", *networks(world)))
    refusing = f"{draw.choice(('blackhole', 'unreachable', 'prohibit', 'throw'))} {target}"
    own = addresses_of(netns)
    src = f" src {draw.choice(own)}" if own and draw.random() < 0.4 else ""
    onward = f"{target} via {draw.choice(every_address(world))}{src}"
    direct = f"{target} dev {draw.choice([*devices(netns), 'lo'])}{src}"
    return f"ip route add {draw.choice((refusing, onward, onward, onward, direct, direct))} table {MARKED_TABLE}"


def _marking_rule(draw: Random, table: str) -> str:
    target = draw.choice((*_MARKS, _MARKS[0], _MARKS[0], FORGET))
    return f"iptables -t {table} -{draw.choice('AI')} OUTPUT {draw.choice(_MATCHES)}-j {target}"


def balanced(draw: Random, world: World, netns: Netns) -> list[str]:
    """Share a service among two or three endpoints by chance, some of them dead, as kube-proxy does."""
    every = every_address(world)
    ends = draw.sample(every, min(len(every), draw.choice((2, 2, 3))))
    if draw.random() < 0.3:
        ends[draw.randrange(len(ends))] = UNUSED_ADDRESS
    proto, chain = draw.choice(("tcp", "tcp", "udp")), draw.choice(("PREROUTING", "OUTPUT", "both"))
    lines = ["iptables -t nat -N SVC"]
    for number, end in enumerate(ends):
        left = len(ends) - number
        share = f"-m statistic --mode random --probability {1 / left:.11f} " if left > 1 else ""
        port = draw.choice((":80", ":80", ":80", ":8080"))
        lines.append(f"iptables -t nat -A SVC -p {proto} {share}-j DNAT --to-destination {end}{port}")
    address = draw.choice((SERVICE, SERVICE, draw.choice(every)))
    jump = f"-d {address}/32 -p {proto} -m {proto} --dport 80 -j SVC"
    chains = ("PREROUTING", "OUTPUT") if chain == "both" else (chain,)
    lines += [f"iptables -t nat -A {hook} {jump}" for hook in chains]
    return [*lines, *(["iptables -t nat -A POSTROUTING -j MASQUERADE"] if draw.random() < 0.3 else [])]


def random_drops(draw: Random, world: World, netns: Netns) -> list[str]:
    """Let chance choose packets that open a connection, or any."""
    share = draw.choice(("0.50000000000", "0.33333333349", "0.25000000000"))
    table = draw.choice(("filter", "filter", "mangle", "raw"))
    opening = draw.choice(
        ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", "-p udp", "-p icmp", "-p tcp -m tcp --dport 80")
    )
    match = f"{opening} -m statistic --mode random --probability {share}"
    return [
        f"iptables -t {table} -A {draw.choice(CHAINS_OF[table])} {match} -j {draw.choice(('DROP', 'DROP', 'ACCEPT'))}"
    ]


def drawn(draw: Random, world: World, netns: Netns) -> list[str]:
    """Let chance draw the port of a masqueraded connection, and a rule ask for it."""
    proto, side = draw.choice(("tcp", "udp")), draw.choice(("--sport", "--sport", "--dport"))
    chain, ports = (
        draw.choice(("INPUT", "FORWARD", "FORWARD")),
        draw.choice(("1024:32767", "32768:65535", "1024:20000")),
    )
    return [
        f"iptables -t nat -A POSTROUTING -p {proto} -j MASQUERADE --random-fully",
        f"iptables -A {chain} -p {proto} -m {proto} {side} {ports} -j DROP",
    ]


def foreign_addresses(draw: Random, world: World, netns: Netns) -> list[str]:
    """Take foreign addresses for one's own, by a route of type local, perhaps in a table that a rule leads to."""
    target = draw.choice((SERVICE, SERVICE, UNUSED_ADDRESS, *networks(world), *every_address(world)))
    table = draw.choice(("", "", " table main", *[f" table {LOCAL_TABLE}"] * 4))
    dev = draw.choice(("lo", "lo", "lo", *devices(netns)))
    lines = [f"ip route add local {target} dev {dev}{table}"]
    if str(LOCAL_TABLE) in table:
        asked = draw.choice(("", f"iif {draw.choice(devices(netns))} ", "iif lo ", "fwmark 0x1 ", f"to {SERVICE} "))
        lines.append(f"ip rule add from all {asked}priority {draw.randint(50, 200)} lookup {LOCAL_TABLE}")
        if "fwmark" in asked:
            lines.append(f"iptables -t mangle -A {draw.choice(('PREROUTING', 'OUTPUT'))} -j MARK --set-xmark 0x1/0x1")
    return lines


def proxied(draw: Random, world: World, netns: Netns) -> list[str]:
    """Hand packets to a proxy (TPROXY), with a mark and a local route that bring them there, or without."""
    proto, mark = draw.choice(("tcp", "tcp", "udp")), draw.choice(("0x1/0x1", "0x1/0x1", "0x0/0x0"))
    match = draw.choice(("", "", f"-m {proto} --dport 80 ", "-d 10.96.0.10/32 "))
    on = f"--on-port {draw.choice((80, 80, 0))} --on-ip 0.0.0.0 --tproxy-mark {mark}"
    lines = [f"iptables -t mangle -A PREROUTING -p {proto} {match}-j TPROXY {on}"]
    if draw.random() < 0.4:
        found = draw.choice(("", " --transparent", " --nowildcard", " --transparent --nowildcard"))
        what = draw.choice(("MARK --set-xmark 0x1/0x1", "MARK --set-xmark 0x1/0x1", "ACCEPT", "DROP"))
        lines.insert(draw.randint(0, 1), f"iptables -t mangle -A PREROUTING -m socket{found} -j {what}")
    if draw.random() < 0.8:
        lines.append(f"ip rule add from all fwmark 0x1/0x1 priority {draw.randint(50, 200)} lookup {LOCAL_TABLE}")
        lines.append(f"ip route add local default dev lo table {LOCAL_TABLE}")
    if draw.random() < 0.3:
        lines.append(f"sysctl -w net.ipv4.conf.all.src_valid_mark={draw.choice('011')}")
    return lines


def several_hops(draw: Random, world: World, netns: Netns) -> list[str]:
    """Give a route two or three next hops, of which a hash takes one for each pair of addresses."""
    own = addresses_of(netns)
    near = [
        f"nexthop via {ip} dev {link.name} weight {draw.choice((1, 1, 2, 5))}"
        for link in netns.links
        for address in link.addresses
        for ip in every_address(world)
        if link.up and IPv4Address(ip) in address.interface.network and ip not in own
    ]
    if len(near) < 2:
        return []
    hops = draw.sample(near, min(len(near), draw.choice((2, 2, 3))))
    target = draw.choice(("default", "default", *networks(world)))
    verb = draw.choice(("add", "replace")) if target == "default" else "add"  # the lab keeps what addresses bring
    return [f"ip route {verb} {target} {' '.join(hops)}"]


RECIPES: tuple[Callable[[Random, World, Netns], list[str]], ...] = (
    marked,
    marked,
    balanced,
    random_drops,
    drawn,
    foreign_addresses,
    proxied,
    several_hops,
)
