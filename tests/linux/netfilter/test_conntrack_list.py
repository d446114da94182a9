"""Connections there are already: what `conntrack -L` prints is read, changes what NAT may choose, and is never guessed at."""

from __future__ import annotations

import os
import subprocess

import pytest
from kernel_worlds import chains
from small_worlds import routed

from mcnilib.errors import StateSyntaxError
from mcnilib.linux.netfilter.conntrack import parse_connections
from mcnilib.snapshots.question import read_flow, read_listeners
from mcnilib.snapshots.snapshot import Snapshot
from mcnilib.trace.explain import verdict

NAT = chains(
    "nat",
    "PREROUTING -d 10.9.9.9/32 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.2.2:80",
    "POSTROUTING -o e2 -j MASQUERADE",
)
LINES = """\
tcp      6 431999 ESTABLISHED src=10.0.1.2 dst=10.96.0.1 sport=40000 dport=443 src=10.0.2.2 dst=10.0.2.1 sport=6443 dport=5000 [ASSURED] mark=16 use=1
udp      17 29 src=10.0.1.2 dst=10.0.2.2 sport=40000 dport=53 [UNREPLIED] src=10.0.2.2 dst=10.0.2.1 sport=53 dport=40000 mark=0 use=2
icmp     1 12 src=10.0.1.2 dst=10.0.2.2 type=8 code=0 id=4242 src=10.0.2.2 dst=10.0.1.2 type=0 code=0 id=4242 mark=0 use=1
sctp     132 3 CLOSED src=10.0.1.2 dst=10.0.2.2 sport=1 dport=2 src=10.0.2.2 dst=10.0.1.2 sport=2 dport=1 mark=0 use=1
unknown  2 3 src=10.0.1.2 dst=224.0.0.1 [UNREPLIED] src=224.0.0.1 dst=10.0.1.2 mark=0 use=1
"""


def test_a_listing() -> None:
    tcp, udp, icmp = parse_connections(LINES)
    assert (tcp.state, tcp.snat, tcp.dnat, tcp.assured, tcp.seen_reply, tcp.mark) == (
        "ESTABLISHED",
        True,
        True,
        True,
        True,
        16,
    )
    assert (udp.snat, udp.dnat, udp.seen_reply, udp.expires) == (True, False, False, 29.0)
    assert (icmp.snat, icmp.original.icmp, icmp.reply.icmp) == (False, (8, 0), (0, 0))
    assert [entry.line(0) for entry in (tcp, icmp)] == [LINES.splitlines()[0], LINES.splitlines()[2]]


@pytest.mark.parametrize(("word", "zone"), [("zone", (5, 5)), ("zone-orig", (5, 0)), ("zone-reply", (0, 5))])
def test_a_connection_is_read_with_its_zone(word: str, zone: tuple[int, int]) -> None:
    read = parse_connections(LINES.replace(" use=", f" {word}=5 use="))
    assert {entry.zone for entry in read} == {zone}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("6 431999", "x", "conntrack -L:1:1: not `PROTOCOL NUMBER SECONDS ...`"),
        ("ESTABLISHED", "OPEN", "conntrack -L:1:19: 'OPEN' is no TCP state"),
        ("sport=6443", "sport=66443", "conntrack -L:1:"),
        ("dst=10.96.0.1", "dst=10.96.0", "conntrack -L:1:44: dst= must be an IPv4 address"),
        ("src=10.0.2.2 dst=10.0.2.1 sport=6443", "", "not two directions"),
    ],
)
def test_text_the_tool_does_not_print(old: str, new: str, says: str) -> None:
    with pytest.raises(StateSyntaxError) as caught:
        parse_connections(LINES.replace(old, new, 1))
    assert says in str(caught.value)


def snapshot(line: str = "") -> Snapshot:
    """Return a client, a router with NAT and a server, and a connection the router has already."""
    return Snapshot(
        routed(NAT), read_listeners(["b:80"]), connections=tuple(("r", entry) for entry in parse_connections(line))
    )


def test_a_port_another_connection_has_is_not_given_twice() -> None:
    taken = "tcp 6 99 ESTABLISHED src=10.0.1.9 dst=10.9.9.9 sport=40000 dport=8080 src=10.0.2.2 dst=10.0.2.1 sport=80 dport=40000 [ASSURED] mark=0 use=1"
    flow = read_flow("a", "tcp:10.9.9.9:8080")
    ports = []
    for line in ("", taken):
        trace = snapshot(line).trace(flow)
        assert trace.outcome.works
        ports.append(
            next(
                entry.reply.dport
                for name, entries in trace.connections
                if name == "r"
                for entry in entries
                if str(entry.original.src) == "10.0.1.2"
            )
        )
    assert ports[0] == 40000
    assert ports[1] not in (0, 40000)


def test_a_segment_of_a_connection_that_was_listed_is_unknown() -> None:
    same = "tcp 6 99 ESTABLISHED src=10.0.1.2 dst=10.9.9.9 sport=40000 dport=8080 src=10.0.2.2 dst=10.0.2.1 sport=80 dport=40000 [ASSURED] mark=0 use=1"
    said = verdict(snapshot(same).trace(read_flow("a", "tcp:10.9.9.9:8080")))
    assert "is there already, and its TCP windows are not known" in said


@pytest.mark.kernel
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces take root")
def test_what_the_real_tool_prints() -> None:
    name = f"mcnict-{os.getpid()}"
    try:
        subprocess.run(["ip", "netns", "add", name], check=True)
        for line in (
            "-p tcp -t 100 --state ESTABLISHED -u ASSURED,SEEN_REPLY -s 10.0.1.2 -d 10.96.0.1 -r 10.0.2.2 -q 10.0.1.2 --sport 40000 --dport 443 --reply-port-src 6443 --reply-port-dst 40000",
            "-p udp -t 30 -s 10.0.1.2 -d 10.0.2.2 --sport 40000 --dport 53 -m 7",
        ):
            subprocess.run(
                ["ip", "netns", "exec", name, "conntrack", "-I", *line.split()], check=True, capture_output=True
            )
        said = subprocess.run(
            ["ip", "netns", "exec", name, "conntrack", "-L"], check=True, capture_output=True, text=True
        ).stdout
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)
    entries = {entry.original.proto: entry for entry in parse_connections(said)}
    assert (entries["tcp"].dnat, entries["tcp"].snat, entries["tcp"].assured, entries["tcp"].reply.sport) == (
        True,
        False,
        True,
        6443,
    )
    assert (entries["udp"].mark, entries["udp"].seen_reply) == (7, False)
