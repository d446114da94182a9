"""What conntrack thinks of a conversation, packet by packet.

Each row is a story: packets as the namespace sees them (`>` from the client, `<` from the server, `+N` seconds pass),
and after each the state a rule would see and the TCP state `conntrack -L` would print.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from mcnilib.linux.netfilter.conntrack import Conntrack
from mcnilib.linux.netfilter.conntrack_tcp import Limits
from mcnilib.linux.packet import Icmp, Packet, Tcp
from mcnilib.linux.sysctl import get_number

CLIENT, SERVER = IPv4Address("172.16.100.2"), IPv4Address("10.233.101.2")

SEGMENTS = {  # words: flags, seq, ack, payload bytes
    "> SYN": ("SYN", 1000, 0, 0),
    "< SYN,ACK": ("SYN ACK", 5000, 1001, 0),
    "> ACK": ("ACK", 1001, 5001, 0),
    "> data": ("PSH ACK", 1001, 5001, 5),
    "< ACK": ("ACK", 5001, 1006, 0),
    "< data": ("PSH ACK", 5001, 1006, 5),
    "> ACK data": ("ACK", 1006, 5006, 0),
    "> FIN": ("FIN ACK", 1006, 5006, 0),
    "< FIN": ("FIN ACK", 5006, 1007, 0),
    "> last ACK": ("ACK", 1007, 5007, 0),
    "> RST": ("RST", 1001, 0, 0),
    "< RST": ("RST", 5001, 0, 0),
    "< RST,ACK": ("RST ACK", 0, 1001, 0),
    "> far outside": ("PSH ACK", 500_001, 5001, 5),
    "< acks unseen data": ("ACK", 5001, 1006, 0),
    "> SYN,FIN": ("SYN FIN", 1000, 0, 0),
    "< SYN": ("SYN", 5000, 0, 0),
}


def segment(words: str) -> Packet:
    flags, seq, ack, length = SEGMENTS[words]
    tcp = Tcp(frozenset(flags.split()), seq, ack, 64240 if "SYN" in flags else 502, 7 if "SYN" in flags else None)
    if words.startswith(">"):
        return Packet(CLIENT, SERVER, "tcp", 40000, 80, tcp, length=length)
    return Packet(SERVER, CLIENT, "tcp", 80, 40000, tcp, length=length)


def table(**limits: bool) -> Conntrack:
    return Conntrack(Limits(**limits), lambda name: float(get_number((), f"net.netfilter.nf_conntrack_{name}")))


def tell(connections: Conntrack, story: str, make=segment) -> list[str]:
    """Play a story; return `CTSTATE TCPSTATE` after each packet."""
    now, seen = 0.0, []
    for event in story.split("; "):
        if event.startswith("+"):
            now += float(event[1:])
            continue
        tracked = connections.track(make(event), now)
        if tracked.number and not connections[tracked.number].confirmed:
            connections.confirm(tracked.number)
        state = connections[tracked.number].state if tracked.number else "-"
        seen.append(f"{tracked.state} {state}".strip())
    return seen


HANDSHAKE = "> SYN; < SYN,ACK; > ACK"


@pytest.mark.parametrize(
    ("story", "last"),
    [
        ("> SYN", "NEW SYN_SENT"),
        ("> SYN; < SYN,ACK", "ESTABLISHED SYN_RECV"),
        (HANDSHAKE, "ESTABLISHED ESTABLISHED"),
        (f"{HANDSHAKE}; > data; < ACK; < data; > ACK data; > FIN", "ESTABLISHED FIN_WAIT"),
        (f"{HANDSHAKE}; > data; < ACK; < data; > ACK data; > FIN; < FIN", "ESTABLISHED LAST_ACK"),
        (f"{HANDSHAKE}; > data; < ACK; < data; > ACK data; > FIN; < FIN; > last ACK", "ESTABLISHED TIME_WAIT"),
        # the flagship: the node of the Macvlan pod never sees the SYN-ACK
        ("> SYN; > ACK", "INVALID -"),
        ("> SYN; > ACK; > data", "INVALID -"),
        # ... and after 120 seconds the flow is picked up in mid-stream
        ("> SYN; > ACK; +121; > data", "NEW ESTABLISHED"),
        ("> SYN; +119; > data", "INVALID -"),
        # a retransmitted SYN does not renew the entry
        ("> SYN; +100; > SYN; +21; > data", "NEW ESTABLISHED"),
        # the other half of an asymmetric flow
        ("< SYN,ACK", "INVALID -"),
        ("< RST", "INVALID -"),
        ("> ACK", "NEW ESTABLISHED"),
        ("> data", "NEW ESTABLISHED"),
        ("> data; < ACK", "ESTABLISHED ESTABLISHED"),
        # refused: the only answer is a RST, the entry goes, the packet still belongs to it
        ("> SYN; < RST,ACK", "ESTABLISHED CLOSE"),
        ("> SYN; < RST,ACK; > SYN", "NEW SYN_SENT"),
        (f"{HANDSHAKE}; > RST", "ESTABLISHED CLOSE"),
        # why the drop rule exists: a segment far outside the window
        (f"{HANDSHAKE}; > far outside", "INVALID -"),
        # one direction only after the handshake: the answer acknowledges what was never seen
        (f"{HANDSHAKE}; < acks unseen data", "INVALID -"),
        ("> SYN,FIN", "INVALID -"),
        ("> SYN; < SYN", "ESTABLISHED SYN_SENT2"),
        (f"{HANDSHAKE}; > SYN", "ESTABLISHED ESTABLISHED"),  # ignored: maybe we are out of sync
    ],
)
def test_tcp(story: str, last: str) -> None:
    assert tell(table(), story)[-1] == last


@pytest.mark.parametrize(
    ("story", "last"),
    [
        (f"{HANDSHAKE}; > far outside", "ESTABLISHED ESTABLISHED"),
        (f"{HANDSHAKE}; < acks unseen data", "ESTABLISHED ESTABLISHED"),
        ("> SYN; > ACK", "INVALID -"),  # the state table decides here, not the window: liberal changes nothing
        ("< SYN,ACK", "INVALID -"),
    ],
)
def test_be_liberal_touches_only_the_window_check(story: str, last: str) -> None:
    assert tell(table(be_liberal=True), story)[-1] == last


def test_without_loose_nothing_is_picked_up_in_mid_stream() -> None:
    assert tell(table(loose=False), "> data") == ["INVALID -"]


def test_an_invalid_packet_does_not_keep_the_entry_alive() -> None:
    connections = table()
    tell(connections, "> SYN; +60; > data")
    assert next(iter(connections)).expires == 120.0


OTHER = {
    "> udp": Packet(CLIENT, SERVER, "udp", 40000, 53),
    "< udp": Packet(SERVER, CLIENT, "udp", 53, 40000),
    "> echo": Packet(CLIENT, SERVER, "icmp", icmp=Icmp(8, ident=7)),
    "< reply": Packet(SERVER, CLIENT, "icmp", icmp=Icmp(0, ident=7)),
    "< port unreachable": Packet(
        SERVER, CLIENT, "icmp", icmp=Icmp(3, 3, quoted=Packet(CLIENT, SERVER, "udp", 40000, 53))
    ),
    "< error to a stranger": Packet(
        SERVER, IPv4Address("9.9.9.9"), "icmp", icmp=Icmp(3, 3, quoted=Packet(CLIENT, SERVER, "udp", 40000, 53))
    ),
    "> redirected": Packet(CLIENT, SERVER, "icmp", icmp=Icmp(9)),
}


@pytest.mark.parametrize(
    ("story", "last"),
    [
        ("> udp", "NEW"),
        ("> udp; > udp; > udp", "NEW"),  # one-sided UDP stays NEW, which is why ping and DNS prove nothing
        ("> udp; < udp", "ESTABLISHED"),
        ("> udp; < udp; > udp", "ESTABLISHED"),
        ("> udp; +31; < udp", "NEW"),  # forgotten after 30 s: the answer opens a connection of its own
        ("> echo", "NEW"),
        ("> echo; > echo", "NEW"),
        ("> echo; < reply", "ESTABLISHED"),
        ("< reply", "INVALID -"),
        ("> udp; < port unreachable", "RELATED"),
        ("< port unreachable", "INVALID -"),
        ("> udp; < error to a stranger", "INVALID -"),
        ("> redirected", "INVALID -"),
    ],
)
def test_udp_and_icmp(story: str, last: str) -> None:
    assert tell(table(), story, OTHER.__getitem__)[-1] == last


@pytest.mark.parametrize(
    ("story", "line"),
    [
        (
            "> SYN",
            "tcp      6 120 SYN_SENT src=172.16.100.2 dst=10.233.101.2 sport=40000 dport=80 [UNREPLIED] "
            "src=10.233.101.2 dst=172.16.100.2 sport=80 dport=40000 mark=0 use=1",
        ),
        (
            f"{HANDSHAKE}; > data; < ACK",
            "tcp      6 432000 ESTABLISHED src=172.16.100.2 dst=10.233.101.2 sport=40000 dport=80 "
            "src=10.233.101.2 dst=172.16.100.2 sport=80 dport=40000 [ASSURED] mark=0 use=1",
        ),
    ],
)
def test_an_entry_prints_as_conntrack_does(story: str, line: str) -> None:
    connections = table()
    tell(connections, story)
    assert next(iter(connections)).line(0) == line


def test_connections_of_two_families_are_two_though_their_numbers_are_the_same() -> None:
    connections = table()
    for address in (IPv4Address("0.0.0.1"), IPv6Address("::1")):
        tracked = connections.track(Packet(address, address, "udp", 40000, 53), 0)
        assert tracked.state == "NEW"
        connections.confirm(tracked.number)
    assert len(list(connections)) == 2
