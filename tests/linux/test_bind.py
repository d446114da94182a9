"""Before a socket sends: bound addresses, broadcast, multicast. The kernel says the same: tests/data/fuzz."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from small_worlds import namespace, plug, routed, talk

from mcnilib.errors import Unsupported
from mcnilib.trace.explain import verdict
from mcnilib.trace.trace import Trace, Verdict
from mcnilib.world.commands import do
from mcnilib.world.world import World

A = namespace("a", "eth0 10.0.1.1/24\neth1 10.0.2.1/24", "route default via 10.0.1.2 dev eth0")
B = namespace("b", "eth0 10.0.1.2/24\neth1 10.0.2.2/24")
WORLD = plug(A, B, lan="a.eth0 b.eth0", other="a.eth1 b.eth1")


def dial(to: str, source: str = "") -> Trace:
    return talk(WORLD, to, src=IPv4Address(source) if source else None)


@pytest.mark.parametrize(
    ("to", "source", "seen"),
    [
        ("tcp:10.0.1.2:80", "", "10.0.1.1"),
        ("tcp:10.0.1.2:80", "10.0.1.1", "10.0.1.1"),
        ("tcp:10.0.1.2:80", "10.0.2.1", "10.0.2.1"),
        ("udp:10.0.1.2:80", "10.0.2.1", "10.0.2.1"),
        ("icmp:10.0.1.2", "10.0.2.1", "10.0.2.1"),
    ],
)
def test_a_bound_socket_keeps_its_address(to: str, source: str, seen: str) -> None:
    assert dial(to, source).outcome.seen_source == seen


@pytest.mark.parametrize(
    ("to", "source", "error", "says"),
    [
        ("tcp:10.0.1.2:80", "10.0.1.9", "EADDRNOTAVAIL", "10.0.1.9 is no address of a"),
        ("udp:10.0.1.2:80", "10.0.1.2", "EADDRNOTAVAIL", "10.0.1.2 is no address of a"),
        ("udp:10.0.1.255:80", "", "EACCES", "broadcast to 10.0.1.255 without SO_BROADCAST"),
        ("icmp:255.255.255.255", "", "EACCES", "broadcast to 255.255.255.255 without SO_BROADCAST"),
        ("tcp:10.0.1.255:80", "", "ENETUNREACH", "10.0.1.255 is not one host"),
        ("tcp:224.0.0.1:80", "", "ENETUNREACH", "224.0.0.1 is not one host"),
    ],
)
def test_what_a_socket_refuses(to: str, source: str, error: str, says: str) -> None:
    outcome = dial(to, source).outcome
    assert (outcome.error, outcome.step.action) == (error, f"{says} ({error})")


@pytest.mark.parametrize(("to", "says"), [("udp:224.0.0.1:80", "multicast"), ("tcp:0.0.0.0:80", "0.0.0.0")])
def test_what_is_not_modelled_is_refused_by_name(to: str, says: str) -> None:
    with pytest.raises(Unsupported, match=says):
        dial(to)


def test_where_sockets_may_have_any_address_one_that_does_is_not_modelled() -> None:
    world = do(WORLD, "a", "sysctl -w net.ipv4.ip_nonlocal_bind=1")
    assert talk(world, "tcp:10.0.1.2:80", src=IPv4Address("10.0.1.1")).outcome.works
    with pytest.raises(Unsupported, match=r"a socket of a with 10\.0\.1\.9, which ip_nonlocal_bind allows"):
        talk(world, "tcp:10.0.1.2:80", src=IPv4Address("10.0.1.9"))


def test_a_host_without_an_address_sends_from_none_which_is_not_modelled() -> None:
    bare = plug(namespace("a", "eth0", "route default dev eth0"), B, lan="a.eth0 b.eth0")
    with pytest.raises(Unsupported, match=r"a has no address to send to 10\.0\.9\.9 from, and takes 0\.0\.0\.0"):
        talk(bare, "tcp:10.0.9.9:80")


DNAT = "*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A {hook} -d 10.0.9.9/32 -j DNAT --to-destination {to}\nCOMMIT\n"


@pytest.mark.parametrize(("to", "end"), [("tcp:10.0.9.9:80", Verdict.TIMED_OUT), ("icmp:10.0.9.9", Verdict.LOST)])
def test_a_router_drops_what_dnat_sends_to_no_address_and_says_nothing(to: str, end: Verdict) -> None:
    outcome = talk(routed(DNAT.format(hook="PREROUTING", to="0.0.0.0")), to).outcome
    assert (outcome.verdict, outcome.step.action) == (end, "martian destination 0.0.0.0")


@pytest.mark.parametrize("to", ["224.0.0.1", "255.255.255.255"])
def test_what_dnat_sends_to_many_is_refused_whether_there_is_a_route_or_not(to: str) -> None:
    with pytest.raises(Unsupported, match=to):
        talk(routed(DNAT.format(hook="PREROUTING", to=to)), "tcp:10.0.9.9:80")


def ruled(tables: str) -> World:
    """The rules of the router are those of the client instead."""
    return routed().put(routed()["a"].with_ip4(tables=routed(tables)["r"].ip4.tables))


def test_what_a_host_sends_itself_to_no_address_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"DNAT to 0\.0\.0\.0 on the way out of a"):
        talk(ruled(DNAT.format(hook="OUTPUT", to="0.0.0.0")), "tcp:10.0.9.9:80")


@pytest.mark.parametrize("to", ["udp:10.0.2.2:80", "icmp:10.0.2.2"])
def test_a_datagram_that_its_own_rules_drop_says_so_to_its_sender(to: str) -> None:
    assert verdict(talk(ruled("*filter\n:OUTPUT DROP [0:0]\nCOMMIT\n"), to)).startswith("unreachable (EPERM)")
