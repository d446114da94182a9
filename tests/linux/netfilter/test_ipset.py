"""IP sets as `ipset save` prints them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from set_facts import SAVED_SETS
from strategies_iptables import names, networks

from mcnilib.errors import StateSyntaxError, Unknown, Unsupported
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.ipset import IpSet, parse_sets, print_sets
from mcnilib.linux.netfilter.iptables.save import parse_rule
from mcnilib.linux.packet import Packet

SETS = """\
create pools hash:net family inet hashsize 1024 maxelem 1048576
add pools 10.233.64.0/18
add pools 10.9.0.1
create hosts hash:ip family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x2ae76253
add hosts 172.16.1.2
create empty hash:ip
"""


def has(found: IpSet, ip: IPv4Address | IPv6Address) -> bool:
    """Tell whether a packet from the address is in a set."""
    return found.holds(Packet(ip, ip), Context("INPUT"), ("src",)) > 0


def test_sets_read_back() -> None:
    assert print_sets(parse_sets(SETS)) == SETS


@pytest.mark.parametrize(
    ("name", "ip", "inside"),
    [
        ("pools", "10.233.64.0", True),
        ("pools", "10.233.127.255", True),
        ("pools", "10.233.128.0", False),
        ("pools", "10.9.0.1", True),
        ("hosts", "172.16.1.2", True),
        ("hosts", "172.16.1.3", False),
        ("empty", "172.16.1.2", False),
    ],
)
def test_what_is_in_a_set(name: str, ip: str, inside: bool) -> None:
    sets = {ip_set.name: ip_set for ip_set in parse_sets(SETS)}
    assert has(sets[name], IPv4Address(ip)) is inside


def test_an_address_of_another_family_is_another_though_its_number_is_the_same() -> None:
    (ip_set,) = parse_sets("create x hash:ip family inet hashsize 1024 maxelem 65536\nadd x 0.0.0.1\n")
    assert has(ip_set, IPv4Address("0.0.0.1"))
    assert not has(ip_set, IPv6Address("::1"))


CREATE = "create x hash:net family inet hashsize 1024 maxelem 65536"


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (f"{CREATE}\nadd x nonsense", "2:7", "not an IPv4 prefix"),
        (f"{CREATE}\nadd x 10.0.0.1/8", "2:7", "not an IPv4 prefix"),
        (f"{CREATE}\nadd x 0.0.0.0/0", "2:7", "cannot be one member of a hash:net"),
        ("create x hash:ip\nadd x 10.0.0.0/8", "2:7", "cannot be one member of a hash:ip"),
        (f"{CREATE}\nadd y 10.0.0.0/8", "2:5", "set y is not created above"),
        (f"{CREATE}\n{CREATE}", "2:8", "set x is created twice"),
        ("flush x", "1:1", "unknown word 'flush'"),
        ("create x", "1:9", "a type is missing"),
        (f"create {'x' * 32} hash:ip", "1:8", "31 characters"),
        ("create x hash:ip netmask 99", "1:28", "a mask that is none"),
        ("create x hash:ip,port\nadd x 10.0.0.1", "2:7", "a member of a hash:ip,port has 2 parts"),
        ("create x hash:ip,port\nadd x 10.0.0.1,frob:80", "2:7", "is not PROTOCOL:PORT"),
        ("create x hash:ip,port\nadd x 10.0.0.1,tcp:99999", "2:7", "is not PROTOCOL:PORT"),
        ("create x hash:ip,port\nadd x 10.0.0.0/8,tcp:80", "2:7", "cannot be one address"),
        ("create x hash:mac\nadd x 00:11", "2:7", "is not a MAC address"),
        ("create x bitmap:port range 1-9\nadd x tcp:5", "2:7", "is not a port"),
        (f"create x bitmap:port range 1-9\nadd x {'9' * 5000}", "2:7", "is not a port"),
        (f"create x hash:ip,port\nadd x 10.0.0.1,tcp:{'9' * 5000}", "2:7", "is not PROTOCOL:PORT"),
        ("create x hash:ip,mark\nadd x 1.1.1.1,010", "2:7", "'010' is not a mark"),
        ("create x hash:ip,mark family inet markmask zz", "1:46", "a mask that is none"),
        (f"create x hash:ip,mark markmask {'9' * 5000}", "1:5032", "a mask that is none"),
        (f"create x hash:ip,mark\nadd x 1.1.1.1,0x1 timeout {'9' * 5000}", "2:5027", "10 digits at most"),
        ("create x list:set size 8\nadd x y", "2:8", "set y is not created above"),
        ("create x list:set size 8\nadd x x", "2:8", "set x is a list itself"),
        (
            'create x hash:ip comment\nadd x 10.0.0.1 comment "a\nadd x 10.0.0.2 comment b"',
            "2:7",
            "a comment without its end",
        ),
    ],
)
def test_what_is_no_set_is_refused_with_line_and_column(text: str, where: str, what: str) -> None:
    with pytest.raises(StateSyntaxError, match=what) as error:
        parse_sets(text, "node1/ipset.txt")
    assert str(error.value).startswith(f"node1/ipset.txt:{where}:")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("create x hash:frob family inet", "hash:frob of set x"),
        ("create x nonsense", "nonsense of set x; types are hash:ip, "),
    ],
)
def test_what_is_not_modelled_is_refused_by_name(text: str, names: str) -> None:
    with pytest.raises(Unsupported, match=names):
        parse_sets(text)


@given(
    st.lists(
        st.builds(IpSet, names, st.just("hash:net"), st.lists(networks).map(tuple)), unique_by=lambda one: one.name
    )
)
def test_random_sets_read_back(sets: list[IpSet]) -> None:
    assert parse_sets(print_sets(sets)) == tuple(sets)


@given(st.lists(networks), st.ip_addresses(v=4))
def test_a_set_has_what_one_of_its_members_has(members: list[IPv4Network], ip: IPv4Address) -> None:
    assert has(IpSet("x", members=tuple(members)), ip) is any(ip in network for network in members)


@pytest.mark.parametrize("lines", SAVED_SETS)
def test_every_type_reads_back(lines: str) -> None:
    assert print_sets(parse_sets(lines)) == lines


MEMBERS = """\
create gone hash:ip family inet hashsize 1024 maxelem 65536 timeout 100
add gone 10.0.0.1 timeout 20
add gone 10.0.0.2 timeout 0
create macs hash:mac hashsize 1024 maxelem 65536
add macs 00:11:22:33:44:55
create counted hash:ip family inet hashsize 1024 maxelem 65536 counters
add counted 10.0.0.1 packets 5 bytes 6
create six hash:net family inet6 hashsize 1024 maxelem 65536
add six fe80::/64
create pairs hash:net,net family inet hashsize 1024 maxelem 65536
add pairs 10.0.0.0/31,10.0.0.0/8
add pairs 10.0.0.0/8,10.0.0.2 nomatch
create told hash:net family inet hashsize 1024 maxelem 65536 timeout 100 comment
add told 10.0.0.1 timeout 0 comment "timeout 1 nomatch, wildcard"
create marked hash:ip,mark family inet hashsize 1024 maxelem 65536 markmask 0xff
add marked 10.0.0.1,0x00000007
"""
PACKET = Packet(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"), "udp", 5, 6, mark=0x107)


@pytest.mark.parametrize(
    ("options", "now", "holds"),
    [
        ("--match-set gone src", 19.9, True),
        ("--match-set gone src", 20, False),
        ("--match-set gone dst", 9999, True),
        ("--match-set six src", 0, False),
        ("! --match-set six src", 0, True),
        ("--match-set counted src", 0, True),
        ("--match-set pairs src,dst", 0, True),
        ("--match-set pairs dst,src", 0, False),
        ("--match-set told src", 50, True),
        ("--match-set marked src,src", 0, True),
        ("--match-set marked dst,dst", 0, False),
    ],
)
def test_a_set_in_the_time_of_the_run(options: str, now: float, holds: bool) -> None:
    at = Context("FORWARD", now=now, sets={ip_set.name: ip_set for ip_set in parse_sets(MEMBERS)})
    rule = parse_rule(f"-A FORWARD -m set {options}")
    assert rule.holds(PACKET, at) is holds
    assert (rule.why_not(PACKET, at) == "") is holds


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--match-set macs src", "set macs asks for a MAC address"),
        ("--match-set counted src --packets-gt 3", "members of sets do not count"),
        ("--match-set none src", "set none does not exist"),
    ],
)
def test_what_a_set_cannot_say_is_refused_by_name(options: str, says: str) -> None:
    at = Context("FORWARD", sets={ip_set.name: ip_set for ip_set in parse_sets(MEMBERS)})
    with pytest.raises((Unsupported, Unknown), match=says):
        parse_rule(f"-A FORWARD -m set {options}").holds(PACKET, at)
