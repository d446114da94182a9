"""What mends the cause a verdict names is tried, and preferred."""

from __future__ import annotations

import pytest
from kernel_worlds import FORWARDS, chains
from small_worlds import namespace, plug, talk

from mcnilib.repair.candidates import standard_repairs
from mcnilib.world.world import World

_MARKED = chains("nat", "POSTROUTING -m mark --mark 0x4 -j MASQUERADE")
_EMPTY = "rule 99: from 10.0.2.2 lookup 100\n"


def _world(server: str = "", tables: str = "") -> World:
    """Client a, router r, server b with a NIC to another router c, which knows nothing of a."""
    return plug(
        namespace("a", "eth0 10.0.1.2/24", "route default via 10.0.1.1 dev eth0"),
        namespace("r", "e1 10.0.1.1/24\ne2 10.0.2.1/24", FORWARDS, tables),
        namespace("b", "eth0 10.0.2.2/24\neth1 10.0.3.2/24", f"{server}route default via 10.0.3.1 dev eth1"),
        namespace("c", "e3 10.0.3.1/24", FORWARDS),
        lan1="a.eth0 r.e1",
        lan2="b.eth0 r.e2",
        lan3="b.eth1 c.e3",
    )


@pytest.mark.parametrize(
    ("world", "first"),
    [
        (_world(_EMPTY), "b: ip route add default via 10.0.2.1 dev eth0 table 100"),
        (_world(tables=_MARKED), "r: iptables -t nat -I POSTROUTING -s 10.0.1.2/32 -d 10.0.2.2/32 -j MASQUERADE"),
    ],
    ids=["a table without a route", "a rule that did not match"],
)
def test_what_mends_the_cause_is_tried(world, first):
    found = [repair for repair in standard_repairs(world, talk(world, "tcp:10.0.2.2:80")) if repair.of_cause]
    assert next(str(command) for repair in found for command in repair.commands) == first


def test_without_a_cause_none_is_preferred():
    world = _world()
    assert not any(repair.of_cause for repair in standard_repairs(world, talk(world, "tcp:10.0.2.2:80")))
