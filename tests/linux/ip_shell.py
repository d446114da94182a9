"""A namespace described by the commands an administrator types: played on the model, and typed into a real kernel.

Each real namespace is anonymous and gone with its process. Two veth pairs, e0-e1 and e2-e3, are there from the start, and
what a host's administrator set for new namespaces is set back to the kernel's own defaults.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface

import pytest

from mcnilib.errors import NoRoute
from mcnilib.linux import netns as verbs
from mcnilib.linux.device.base import LinkEnd
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netns import Netns, new_netns
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.neigh import parse_neigh
from mcnilib.linux.routing.route import UNCHOSEN, Query, Route, parse_route, print_routes
from mcnilib.linux.routing.rule import Rule, parse_ip_rule
from mcnilib.linux.routing.source import preferred_source, validate_source
from mcnilib.linux.sysctl import CONF

START = f"""
cd /proc/sys/net/ipv4/conf
for pair in {" ".join(f"{name}={default}" for name, (default, _) in CONF.items())}; do
  for where in all default lo; do
    file=$where/${{pair%=*}}
    [ "$(cat $file)" = "${{pair#*=}}" ] || echo "${{pair#*=}}" > $file
  done
done
ip link set lo up
sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
ip link add name e0 index 2 type veth peer name e1 index 3
ip link add name e2 index 4 type veth peer name e3 index 5
for e in e0 e1 e2 e3; do ip link set $e up; done
"""
ERRNO = {
    "Network is unreachable": "ENETUNREACH",
    "No route to host": "EHOSTUNREACH",
    "Permission denied": "EACCES",
    "Invalid argument": "EINVAL",
    "Invalid cross-device link": "EINVAL",  # before Linux 6.15
}
MARK = "=-=-="


@lru_cache
def prefix() -> tuple[str, ...]:
    """How to start a process in a network namespace of its own; skip the test where that is not allowed."""
    for unshare in (("unshare", "-nm"), ("unshare", "-rnm")):
        if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0:
            return unshare
    pytest.skip("network namespaces are not allowed here")


def real(commands: str, questions: Sequence[str], before: str = START) -> list[str]:
    """Type the commands into a fresh namespace, then return the output of each question (stdout and stderr)."""
    typed = "\n".join(_typed(line) for line in commands.splitlines())
    asked = "\n".join(f"{question} 2>&1 || true; echo {MARK}" for question in questions)
    script = f"set -e\n{before}\n{typed}\n{asked}"
    done = subprocess.run(
        [*prefix(), "sh", "-c", script], capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    assert done.returncode == 0, f"{done.stderr}\n{script}"
    return done.stdout.split(f"{MARK}\n")[:-1]


def _typed(line: str) -> str:
    argv = line.split()
    if not argv:
        return ""
    return f"sysctl -qw {argv[1]}={argv[2]}" if argv[0] == "sysctl" else f"ip {line.strip()}"


def model(commands: str, name: str = "here") -> Netns:
    """Play the same commands on the model."""
    netns = new_netns(name)
    for index in range(2, 6):
        far = LinkEnd(name, index + 1 if index % 2 == 0 else index - 1)
        netns = verbs.add_link(netns, Link(index, f"e{index - 2}", Veth(far)))
    for line in filter(None, map(str.strip, commands.splitlines())):
        netns = _play(netns, line.split())
    return netns


def _play(netns: Netns, argv: list[str]) -> Netns:
    match argv:
        case ["address", "add", prefix, "dev", dev, *rest]:
            interface = IPv4Interface(prefix)
            options = dict(zip(rest[::2], rest[1::2], strict=True))
            scope = options.get("scope", "host" if interface.ip.is_loopback else "global")
            broadcast = interface.network.broadcast_address if options.get("brd") == "+" else options.get("brd")
            address = Address(interface, scope, IPv4Address(broadcast) if broadcast else None)
            return verbs.add_address(netns, dev, address)
        case ["route", "del", dst, *rest]:
            options = dict(zip(rest[::2], rest[1::2], strict=True))
            given = {name: int(text) if name == "metric" else text for name, text in options.items()}
            return verbs.del_route(netns, dst, **given)
        case ["route", how, *rest]:
            return verbs.add_routes(netns, typed_route(" ".join(rest)), how=how)
        case ["rule", "add", *rest]:
            return verbs.add_rule(netns, typed_rule(rest))
        case ["neigh", "add", "proxy", *rest]:
            return verbs.add_neigh(netns, parse_neigh(" ".join([*rest, "proxy"])))
        case ["neigh", "add", *rest]:
            entry = re.sub(r"nud (\w+)", lambda nud: nud[1].upper(), " ".join(rest))
            return verbs.add_neigh(netns, parse_neigh(entry))
        case ["link", "set", dev, state]:
            return verbs.set_link(netns, dev, up=state == "up")
        case ["sysctl", key, value]:
            return verbs.set_sysctl(netns, key, value)
    raise AssertionError(argv)


def typed_route(text: str) -> Route:
    """Read the arguments of `ip route add`: scope and table default as the tool fills them in."""
    kind = text.split()[0]
    if " scope " not in text and " via " not in text:
        text += {"local": " scope host", "broadcast": " scope link"}.get(
            kind, " scope link" if kind[0] in "0123456789d" else ""
        )
    return parse_route(text, "local" if kind in ("local", "broadcast") else "main")


def typed_rule(arguments: list[str]) -> Rule:
    """Read the arguments of `ip rule add`; the priority may stand anywhere."""
    text = " ".join(arguments)
    priority = ""
    if "priority" in arguments:
        at = arguments.index("priority")
        priority = f"{arguments[at + 1]}: "
        text = " ".join(arguments[:at] + arguments[at + 2 :])
    return parse_ip_rule(priority + (text if text.startswith(("from", "not")) else f"from all {text}"))


def query_of(question: str) -> Query:
    """Read the arguments of `ip route get`: ADDRESS [from A] [iif D] [oif D] [mark M]."""
    dst, *rest = question.split()
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    src = IPv4Address(options["from"]) if "from" in options else UNCHOSEN
    return Query(
        IPv4Address(dst), src, options.get("iif", "lo"), options.get("oif", ""), int(options.get("mark", "0"), 0)
    )


def answer(netns: Netns, question: str) -> str:
    """Say what `ip route get fibmatch` answers: the line of the table, or the errno.

    While local and main are one table it prints the lines of both as if they stood in main.
    """
    query = query_of(question)
    try:
        route = netns.fib.lookup(query).route
    except NoRoute as problem:
        return problem.error if query.iif == "lo" or netns.conf("forwarding", query.iif) else "EHOSTUNREACH"
    if query.iif != "lo":
        if route.type == "unicast" and not netns.conf("forwarding", query.iif):
            return "EHOSTUNREACH"
        oif = route.dev if route.type == "unicast" else ""
        wrong = validate_source(netns, Packet(query.src, query.dst, mark=query.mark), query.iif, oif)
        if wrong:
            return "EINVAL"
    return print_routes([route]).strip().replace("" if netns.fib.custom else " table local", "")


def real_answer(text: str) -> str:
    """Read the same from the output of `ip route get fibmatch`."""
    for message, name in ERRNO.items():
        if message in text:
            return name
    return text.strip()


def source(netns: Netns, question: str) -> str:
    """Return the source address a socket gets that sends there, as `ip route get` says."""
    query = query_of(question)
    route = netns.fib.lookup(query).route
    return str(preferred_source(netns, route, query.dst))
