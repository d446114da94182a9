"""Commands as people type them, right and wrong, each carried out by the real tools in a namespace of its own."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable

from ip_shell import prefix

from mcnilib.linux.device.base import LinkEnd
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netns import Netns, add_link, new_netns
from mcnilib.world.commands import run_command
from mcnilib.world.listing import listing

BEFORE = """
ip address add 10.0.0.1/24 dev e0
ip route add default via 10.0.0.9
ip route add 10.9.0.0/24 via 10.0.0.9
ip route add blackhole 10.8.0.0/16
ip route add 10.7.0.1 dev e2 table 500
ip rule add lookup 500 priority 1000
ip rule add from 10.0.0.0/24 lookup 700 priority 1100
ip rule add from 10.0.0.0/24 lookup 701 priority 1101
ip rule add fwmark 5 lookup 800 priority 1200
ip neigh add 10.0.0.9 dev e0 lladdr 02:00:00:00:00:09 nud permanent
iptables -N MINE
iptables -A FORWARD -s 10.0.0.1 -j DROP
iptables -A FORWARD -j ACCEPT
"""
TYPED = """
ip route del 10.9.0.1/24; ip route del 10.9.0.0/33; ip rout del x; ip route del 10.9.0.0/24; ip route del 10.9.0.0/24 via 10.0.0.8
ip route del 10.9.0.0/24 dev e2; ip route del 10.9.0.0/24 proto static; ip route del 10.9.0.0/24 xyz; ip route del 10.7.0.1 table 500
ip route del table 500; ip route del default; ip route del; ip route del blackhole 10.8.0.0/16; ip route del unreachable 10.8.0.0/16
ip route del 10.8.0.0/16; ip route del local 10.0.0.1; ip route del broadcast 10.0.0.255; ip route d to 10.9.0.0/24
ip route del 10.9.0.0/0.0.0.255; ip route del 10.9.0.0/24 10.8.0.0/16; ip route del 10.9.0.0/24 scope link; ip route del 10.9.0.0/24 metric 5
ip route add via 10.0.0.9 10.9.1.0/24; ip route add 10.9.1.1/24 via 10.0.0.9; ip route add 10.9.1.0/24 dev e0 priority 100
ip route add 10.9.1.0/24 oif e0; ip route add 10.9.1.0/24; ip route add 10.9.1.0/24 dev; ip route add 10.9.1.0/24 dev e0 table 0
ip route add 10.9.1.0/24 dev e0 table 99999999999; ip route add 10.9.1.0/24 dev e0 table foo; ip route add 10.9.1.0/24 dev e0 protocol static
ip route add local 10.9.1.0/24 dev lo; ip route add local 10.9.1.0/24 dev lo table 100; ip route add broadcast 10.9.1.255 dev e0
ip route add blackhole 10.9.1.0/24 dev lo; ip route add throw 10.9.1.0/24 table 500; ip route add default; ip route add unreachable default
ip route add 10.9.1.0/24 dev e0 onlink; ip route add 10.9.1.0/24 via 99.9.9.9 dev e0 onlink; ip route add 10.9.1.0/24 via 99.9.9.9 onlink
ip route add 10.9.1.0/24 dev e0 src 10.0.0.7; ip route add 10.9.1.0/24 via 10.0.0.9 scope link; ip route add 10.9.1.0/024 dev e0
ip route add 10.9.1.0/24 dev e0 metric -1; ip route add 10.9.1.0/24 dev e0 metric 0x10; ip route a 10.9.1.0/24 dev e0; ip route ap 10.9.0.0/24 dev e0
ip route p 10.9.0.0/24 dev e2; ip route r 10.9.0.0/24 dev e2; ip route frob 10.9.1.0/24 dev e0; ip rxyz add 10.9.1.0/24 dev e0; ip -4 r a 10.9.1.0/24 dev e0
ip rule add from 10.0.0.0/33 lookup 100; ip rule add table 100; ip rule add to 10.0.0.0/24 lookup 100; ip rule add pref 100; ip rule add; ip rule add from all
ip rule add lookup 100 pref -1; ip rule add lookup foo; ip rule add fwmark 0x1/0xff lookup 100; ip rule add fwmark x lookup 100; ip rule add dev e0 lookup 100
ip rule add from 10.0.0.1 not lookup 100; ip rule add from 10.0.0.1 blackhole; ip rule add prohibit; ip rule add lookup main sup_pl 0; ip rule add xyz
ip rule add lookup 500 priority 1000; ip rule del pref 1000; ip rule del lookup 500; ip rule del lookup 501; ip rule del pref 0; ip rule del from all
ip rule del from 10.0.0.0/24; ip rule del from 10.0.0.0/25 lookup 700; ip rule del fwmark 5; ip rule del fwmark 5/0xff; ip rule del iif e0; ip rule del xyz
ip rule del not from 10.0.0.0/24 lookup 700; ip rule del blackhole; ip rule del; ip rule frob x
ip address add 10.0.0.500/24 dev e0; ip address add 10.0.0.5/24 e0; ip address add dev e0 10.0.0.5/24; ip address add 10.0.0.5 dev e0
ip address add 10.0.0.1/24 dev e0; ip address add 10.0.0.1/25 dev e0; ip address add 10.0.0.5/24 dev nope; ip address add 10.0.0.5/0.0.0.255 dev e0
ip address add local 10.0.0.5/24 dev e2; ip address add 10.0.0.5/0 dev e0; ip address add 127.0.0.2/8 dev e0; ip addresss add 10.0.0.5/24 dev e0
ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:0A dev e2; ip neigh add 10.0.0.10 lladdr 02:00:00:00:00 dev e0; ip neigh add 10.0.0.10 dev e0
ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev e0; ip neigh add 10.0.0.10 lladdr 02:00:00:00:00:09; ip neigh add x lladdr 02:00:00:00:00:09 dev e0
ip link set down dev e0; ip link set nope up; ip link set e0 sideways; ip l set e0 down; ip frob add x; ip
sysctl -w net.ipv4.ip_forward=1; sysctl -w net.ipv4.ip_forward = 1; sysctl -w net.ipv4.ip_forward=1 net.ipv4.tcp_syn_retries=9
sysctl -w net.ipv4.ip_forward=; sysctl -w net.ipv4.ip_forward=1x; sysctl -w net.ipv4.ip_forward=-1; sysctl -w net.ipv4.ip_forward=2147483648
sysctl -w net.ipv4.ip_forward=0x1; sysctl -w net.ipv4.ip_default_ttl=010; sysctl -w net.ipv4.ip_default_ttl=0; sysctl -w net.ipv4.ip_default_ttl=256
sysctl -w net.ipv4.tcp_syn_retries=128; sysctl -w net.ipv4.tcp_syn_retries=127; sysctl -w; sysctl -qw net.ipv4.ip_forward=1; sysctl -w =1
iptables -A FORWARD -j DROP -t mangle; iptables -A FORWARD -t filtr -j DROP; iptables -A; iptables; iptables -A FORWARD; iptables -t
iptables -A FORWARD -s 10.0.0.7/24 -j DROP; iptables -A FORWARD -s 10.0.0.500 -j DROP; iptables -A FORWARD --dport 80 -j DROP; iptables -A FORWARD -p foo -j DROP
iptables -A FORWARD -m comment --comment 'a "b"' -j DROP; iptables -A FORWARD -j DROP extra; iptables -A FORWARD -j DROP -j ACCEPT; iptables -A forward -j DROP
iptables --table=filter --append FORWARD --jump DROP; iptables -w 5 -A FORWARD -j DROP; iptables -A INPUT -o e0 -j DROP; iptables -A FORWARD -j FOO
iptables -I FORWARD 3 -j DROP; iptables -I FORWARD 4 -j DROP; iptables -I FORWARD 0 -j DROP; iptables -I FORWARD x -j DROP; iptables -I FORWARD
iptables -D FORWARD 2; iptables -D FORWARD 0; iptables -D FORWARD 3; iptables -D FORWARD -s 10.0.0.1 -j DROP; iptables -D FORWARD -j DROP; iptables -D FORWARD
iptables -D FORWARD 1 -j DROP; iptables -P FORWARD DROP; iptables -P FORWARD drop; iptables -P FORWARD; iptables -P MINE DROP; iptables -t nat -P INPUT DROP
iptables -N NEW; iptables -N MINE; iptables -N FORWARD; iptables -N DROP; iptables -N LOG; iptables -N -x; iptables -N averyveryverylongnameofchain1; iptables -N A B
iptables -F; iptables -F FORWARD; iptables -F NOWHERE; iptables -F FORWARD extra; iptables -t filtr -F; iptables -t nat -A POSTROUTING -j MASQUERADE
"""
SHOWN = (
    "ip rule",
    "ip route show table all",
    "ip neigh",
    "iptables-save",
    "ip -d address",
    *(f"sysctl net.ipv4.{key}" for key in ("ip_forward", "ip_default_ttl", "tcp_syn_retries")),
)
MARK = "=-=-="


def typed() -> list[str]:
    """Return the commands."""
    return [command.strip() for line in TYPED.strip().splitlines() for command in line.split(";")]


def model() -> Netns:
    """Return the namespace in which they are typed."""
    netns = new_netns("here")
    for index in range(2, 6):
        far = LinkEnd("here", index + 1 if index % 2 == 0 else index - 1)
        netns = add_link(netns, Link(index, f"e{index - 2}", Veth(far)))
    for line in BEFORE.strip().splitlines():
        netns = run_command(netns, line)
    return netns


def state(netns: Netns) -> list[list[str]]:
    """Return what the tools would show."""
    return [_plain(listing(netns, command).splitlines()) for command in SHOWN]


def real(commands: Iterable[str]) -> dict[str, list[list[str]] | None]:
    """Return what the tools show after each command; None where it is refused."""
    links = "link set lo up\\n" + "".join(
        f"link add e{n} index {n + 2} type veth peer name e{n + 1} index {n + 3}\\n" for n in (0, 2)
    )
    up = "".join(f"link set e{n} up\\n" for n in range(4))
    shown = "; ".join(f"{one.replace('ip ', 'ip -4 ', 1)} 2>&1; echo {MARK}" for one in SHOWN)
    setup = f"sysctl -qw net.ipv6.conf.all.disable_ipv6=1; printf '{links}{up}' | ip -batch -; {BEFORE}"
    return {one: _shown(f"set -e; {setup}\n{{ {one}; }} >/dev/null 2>&1 || exit 9; {shown}") for one in commands}


def _shown(script: str) -> list[list[str]] | None:
    words = [*prefix(), "sh", "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    assert done.returncode in (0, 9), f"{done.stderr}\n{script}"
    parts = done.stdout.split(f"{MARK}\n")[:-1]
    return None if done.returncode else [_plain(part.splitlines()) for part in parts]


def _plain(lines: Iterable[str]) -> list[str]:
    """Leave out comments, counters, and of devices all but their addresses."""
    lines = (re.sub(r"\[\d+:\d+\]", "[0:0]", line.rstrip()) for line in lines if not line.startswith("#"))
    kept = [line for line in lines if line and not re.match(r"\d+: |    (link/|veth|loopback)|       valid_lft", line)]
    return sorted(kept) if kept and "lladdr" in kept[0] else kept  # the kernel lists neighbours by a secret hash
