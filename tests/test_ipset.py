"""IP sets as `ipset save` prints them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies_iptables import names, networks

from mcnilib.errors import StateSyntaxError, Unsupported
from mcnilib.linux.ipset import IpSet, parse_sets, print_sets

SETS = """\
create pools hash:net family inet hashsize 1024 maxelem 1048576
add pools 10.233.64.0/18
add pools 10.9.0.1
create hosts hash:ip family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x2ae76253
add hosts 172.16.1.2
create empty hash:ip
"""


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
    found = {one.name: one for one in parse_sets(SETS)}
    assert found[name].has(IPv4Address(ip)) is inside


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
    ],
)
def test_what_is_no_set_is_refused_with_line_and_column(text: str, where: str, what: str) -> None:
    with pytest.raises(StateSyntaxError, match=what) as error:
        parse_sets(text, "node1/ipset.txt")
    assert str(error.value).startswith(f"node1/ipset.txt:{where}:")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("create x hash:ip,port family inet", "hash:ip,port of set x"),
        ("create x bitmap:ip range 10.0.0.0/24", "bitmap:ip of set x"),
        ("create x hash:net family inet6", "inet6 of set x"),
        ("create x hash:ip family inet netmask 24", "netmask of set x"),
        ("create x hash:net family inet timeout 60", "timeout of set x"),
        (f"{CREATE}\nadd x 10.0.0.0/8 nomatch", "2: 'nomatch' of a member"),
        (f"{CREATE}\nadd x 10.0.0.0/8 packets 0 bytes 0", "'packets' of a member"),
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
    assert IpSet("x", members=tuple(members)).has(ip) is any(ip in network for network in members)
