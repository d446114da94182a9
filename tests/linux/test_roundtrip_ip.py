"""Whatever can be said of links, routes, rules, neighbours and sysctls survives its text; no text crashes a parser."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_link import FDB, REAL
from test_route import ROUTES, RULES

from mcnilib.errors import StateSyntaxError, Unknown, Unsupported
from mcnilib.linux.device.base import NO_MAC, LinkEnd
from mcnilib.linux.device.bridge import Bridge
from mcnilib.linux.device.fdb import print_fdb, with_fdb
from mcnilib.linux.device.link import Address, Link, parse_links, print_links
from mcnilib.linux.device.macvlan import Macvlan
from mcnilib.linux.device.nic import Loopback, Physical
from mcnilib.linux.device.tunnel.ipip import Ipip
from mcnilib.linux.device.tunnel.vxlan import Vxlan
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netns import Family, Netns
from mcnilib.linux.routing.neigh import Neigh, parse_neigh, parse_neighbours
from mcnilib.linux.routing.route import (
    FULL_MASK,
    PROTOCOLS,
    REJECTING,
    SCOPES,
    TABLES,
    Route,
    parse_route,
    parse_routes,
    print_routes,
)
from mcnilib.linux.routing.rule import Rule, parse_ip_rule, parse_rules
from mcnilib.linux.sysctl import CONF, GLOBAL, Setting, conf_key, parse_setting, parse_settings
from mcnilib.snapshots.files import save
from mcnilib.snapshots.load import load
from mcnilib.world.world import Port, Segment, World

HERE = "here"

addresses = st.integers(0, FULL_MASK).map(IPv4Address)
networks = st.builds(lambda ip, bits: IPv4Network((ip, bits), strict=False), addresses, st.integers(0, 32))
names = st.from_regex(r"[a-z][a-z0-9._-]{0,14}", fullmatch=True).filter(lambda name: name not in ("via", "dev"))
macs = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))
numbers = st.integers(0, FULL_MASK)
tables = st.one_of(st.sampled_from(list(TABLES)), st.integers(1, FULL_MASK).map(lambda n: _name(TABLES, n)))
protos = st.one_of(st.sampled_from(list(PROTOCOLS)), st.integers(0, 255).map(lambda n: _name(PROTOCOLS, n)))
scopes = st.one_of(st.sampled_from(list(SCOPES)), st.integers(0, 255).map(lambda n: _name(SCOPES, n)))


def _name(known: dict[str, int], number: int) -> str:
    return next((name for name, value in known.items() if value == number), str(number))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


usual_routes = st.builds(
    Route, networks, names, maybe(addresses), maybe(addresses), st.sampled_from(["unicast", "local", "broadcast"]),
    tables, scopes, protos, numbers, st.booleans(), st.booleans(),
)  # fmt: skip
rejecting_routes = st.builds(
    Route, networks, src=maybe(addresses), type=st.sampled_from(REJECTING), table=tables, scope=scopes, proto=protos, metric=numbers
)  # fmt: skip
routes = st.one_of(usual_routes, rejecting_routes)

selectors = {
    "priority": st.one_of(st.just(-1), numbers),
    "src": networks,
    "dst": networks,
    "iif": st.one_of(st.just(""), names),
    "oif": st.one_of(st.just(""), names),
    "inverted": st.booleans(),
    "proto": st.one_of(st.just(""), protos),
}
marks = st.fixed_dictionaries({}, optional={"mark": st.tuples(numbers, numbers)})
actions = st.one_of(
    st.builds(lambda table: {"table": table}, tables),
    st.builds(lambda action: {"action": action}, st.sampled_from(["blackhole", "unreachable", "prohibit"])),
)


def _rule(selected: dict[str, Any], mark: dict[str, Any], action: dict[str, Any]) -> Rule:
    marked = {"fwmark": mark["mark"][0], "fwmask": mark["mark"][1]} if mark else {}
    return Rule(**selected, **marked, **action)


rules = st.builds(_rule, st.fixed_dictionaries(selectors), marks, actions)
neighbours = st.builds(Neigh, addresses, names, macs)
keys = st.one_of(
    st.sampled_from(list(GLOBAL)),
    st.builds(conf_key, st.sampled_from(list(CONF)), st.one_of(st.sampled_from(["all", "default"]), names)),
)
sysctls = st.builds(Setting, keys, st.integers(-1, 10**9).map(str))

interfaces = st.builds(lambda ip, bits: IPv4Interface((ip, bits)), addresses, st.integers(0, 32))
link_addresses = st.builds(Address, interfaces, st.sampled_from(list(SCOPES)), maybe(addresses))
fars = st.builds(LinkEnd, names.map("other-{}".format), st.integers(1, 9999))


def kinds(index: int, others: list[int]) -> st.SearchStrategy[Any]:
    here = st.sampled_from(others).map(lambda n: LinkEnd(HERE, n)) if others else fars
    far = st.one_of(fars, here)
    return st.one_of(
        st.just(Loopback()),
        st.just(Physical()),
        st.just(Bridge()),
        st.builds(Veth, far),
        st.builds(Macvlan, far, st.sampled_from(["bridge", "private", "vepa", "passthru"])),
        st.builds(
            Vxlan, st.integers(0, 2**24 - 1), addresses, names, st.integers(0, 65535),
            st.lists(st.tuples(macs, addresses), max_size=3).map(tuple),
        ),
        st.builds(Ipip, maybe(addresses), maybe(addresses)),
    )  # fmt: skip


@st.composite
def link_lists(draw: st.DrawFn) -> tuple[Link, ...]:
    indexes = sorted(draw(st.sets(st.integers(1, 9999), min_size=1, max_size=5)))
    called = draw(st.lists(names, min_size=len(indexes), max_size=len(indexes), unique=True))
    links = [draw(one_link(i, n, [x for x in indexes if x != i])) for i, n in zip(indexes, called, strict=True)]
    bridges = [link.name for link in links if isinstance(link.kind, Bridge)]
    master = draw(st.sampled_from(["", *bridges]))
    ported = [link for link in links if isinstance(link.kind, Veth)][:1]
    return tuple(_with_master(link, master) if link in ported else link for link in links)


def _with_master(link: Link, master: str) -> Link:
    return Link(link.index, link.name, link.kind, link.mac, link.addresses, link.up, link.mtu, master)


def one_link(index: int, name: str, others: list[int]) -> st.SearchStrategy[Link]:
    def whole(kind: Any) -> st.SearchStrategy[Link]:
        mac = st.just(NO_MAC) if isinstance(kind, Ipip) else macs
        listed = st.lists(link_addresses, max_size=3).map(tuple)
        return st.builds(
            Link, st.just(index), st.just(name), st.just(kind), mac, listed, st.booleans(), st.integers(0, 65535)
        )

    return kinds(index, others).flatmap(whole)


@given(routes)
def test_a_route(route: Route) -> None:
    assert parse_route(str(route), route.table) == route
    assert parse_routes(print_routes([route]), "all") == (route,)


@given(rules)
def test_a_rule(rule: Rule) -> None:
    assert parse_ip_rule(str(rule)) == rule


@given(neighbours)
def test_a_neighbour_entry(entry: Neigh) -> None:
    assert parse_neigh(str(entry)) == entry


@given(sysctls)
def test_a_sysctl(line: Setting) -> None:
    assert parse_setting(str(line)) == line


@given(link_lists())
def test_the_links_of_a_namespace(links: tuple[Link, ...]) -> None:
    text, fdb = print_links(links, HERE), print_fdb(links)
    parsed = with_fdb(parse_links(text, netns=HERE), fdb)
    assert parsed == links
    assert print_links(parsed, HERE) == text


families = st.builds(
    Family, st.lists(rules, max_size=3).map(tuple), st.lists(routes, max_size=3).map(tuple),
    st.lists(neighbours, max_size=2).map(tuple),
)  # fmt: skip
namespaces = st.builds(
    Netns, names, link_lists(), families, sysctls=st.lists(sysctls, max_size=2, unique_by=lambda s: s.key).map(tuple),
)  # fmt: skip


@given(
    st.lists(namespaces, max_size=3, unique_by=lambda n: n.name),
    names,
    st.lists(st.builds(Port, names, names), max_size=3),
    st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_a_world(found: list[Netns], segment: str, ports: list[Port], reflects: bool) -> None:
    renamed = tuple(_in_its_own_name(netns) for netns in found)
    world = World(renamed, (Segment(segment, tuple(ports), reflects),))
    assert load(save(world)) == world


def _in_its_own_name(netns: Netns) -> Netns:
    """The links were drawn for a namespace called `here`; let their near ends point to this one."""
    text = print_links(netns.links, HERE)
    return netns.but(links=with_fdb(parse_links(text, netns=netns.name), print_fdb(netns.links)))


PARSERS: dict[str, tuple[Callable[[str], object], str]] = {
    "ip route": (lambda text: parse_routes(text, "all"), ROUTES),
    "ip rule": (parse_rules, RULES),
    "ip -d address": (lambda text: parse_links(text, netns="node1"), REAL),
    "bridge fdb": (lambda text: with_fdb(parse_links(REAL, netns="node1"), text), FDB),
    "ip neigh": (parse_neighbours, "169.254.1.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT \n10.0.0.7 dev eth0  FAILED \n"),
    "sysctl": (parse_settings, "net.ipv4.ip_forward = 1\nnet.ipv4.conf.eth0.rp_filter = 2\nkernel.panic = 0\n"),
    "world": (lambda text: load({"world.json": text}), '{"namespaces": [], "segments": [{"name": "lan", "ports": ["a/b"], "reflects": true}]}'),
}  # fmt: skip


def survives(parse: Callable[[str], object], text: str) -> None:
    with suppress(StateSyntaxError, Unknown, Unsupported):
        parse(text)


@pytest.mark.parametrize("name", PARSERS)
@given(text=st.one_of(st.text(), st.text(alphabet='0123456789./: \n\tabcdefx-@<>{}[]",')))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    survives(PARSERS[name][0], text)


@pytest.mark.parametrize("name", PARSERS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_damaged_output_is_read_or_refused(name: str, seed: int) -> None:
    parse, text = PARSERS[name]
    survives(parse, damaged(text, random.Random(seed)))


PIECES = ("", " ", "\n", "via", "dev", "0", "-1", "4294967296", "0x", "١", "10.0.0.1", "10.0.0.1/33", ":", "@", "<", "\x00", "é", "from", "mtu")  # fmt: skip


def damaged(text: str, chance: random.Random) -> str:
    """Replace, drop, double or swap some words or characters."""
    for _ in range(chance.randint(1, 4)):
        if chance.random() < 0.5:
            words = text.split(" ")
            place, other = chance.randrange(len(words)), chance.randrange(len(words))
            words[place] = chance.choice([chance.choice(PIECES), words[other], f"{words[place]} {words[other]}"])
            text = " ".join(words)
        else:
            place = chance.randrange(len(text) + 1)
            text = text[:place] + chance.choice(PIECES) + text[place + chance.randint(0, 3) :]
    return text
