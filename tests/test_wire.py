"""Frames: who takes one, who does not although it looks like it, and where nobody can know."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kernel_worlds import altered, bridged, macvlans, made
from small_worlds import device, namespace, plug, talk

from mcnilib.errors import Unsupported
from mcnilib.linux.link import Bridge, Far, Link, Veth
from mcnilib.linux.world import World
from mcnilib.trace.explain import verdict


def lan() -> World:
    """Three hosts on a segment."""
    return plug(
        *(namespace(name, f"eth0 10.0.1.{i}/24") for i, name in ((2, "a"), (3, "b"), (4, "c"))),
        lan="a.eth0 b.eth0 c.eth0",
    )


def two_switches(cables: int) -> World:
    """Two bridges of n with cables between them, a at one, b at the other."""
    ends = [device("n", 4, "va", "", Veth(Far("a", 2))), device("n", 5, "vb", "", Veth(Far("b", 2)))]
    links = [replace(ends[0], master="br0"), replace(ends[1], master="br1")]
    for i in range(10, 10 + 2 * cables, 2):
        links += [replace(device("n", i, f"x{i}", "", Veth(Far("n", i + 1))), master="br0")]
        links += [replace(device("n", i + 1, f"x{i + 1}", "", Veth(Far("n", i))), master="br1")]
    n = made("n", device("n", 2, "br0", "", Bridge()), device("n", 3, "br1", "", Bridge()), *links)
    return plug(n, namespace("a", "eth0 10.0.7.2/24 veth n 4"), namespace("b", "eth0 10.0.7.3/24 veth n 5"))


def reflected() -> World:
    """A pod a behind a bridge, whose NIC is at a switch that sends back what it gets."""
    n = made("n", device("n", 2, "br0", "10.0.7.1/24", Bridge()), *(replace(x, master="br0") for x in _two_ports()))
    return plug(
        n,
        namespace("a", "eth0 10.0.7.2/24 veth n 4"),
        namespace("b", "eth0 10.0.7.3/24"),
        reflects=True,
        lan="n.en0 b.eth0",
    )


def _two_ports() -> list[Link]:
    return [device("n", 3, "en0"), device("n", 4, "va", "", Veth(Far("a", 2)))]


@pytest.mark.parametrize(
    ("world", "to", "says"),
    [
        pytest.param(lan(), "tcp:10.0.1.3:80", "connected", id="plugged in"),
        pytest.param(altered(lan(), "b", "eth0", carrier=False), "tcp:10.0.1.3:80", "unreachable", id="unplugged, and asked for"),
        pytest.param(altered(lan(), "a", "eth0", carrier=False), "tcp:10.0.1.3:80", "unreachable", id="unplugged, and asking"),
        pytest.param(altered(bridged(), "n", "br0", carrier=False), "tcp:10.0.7.1:80", "unreachable", id="a bridge without carrier"),
        pytest.param(two_switches(1), "tcp:10.0.7.3:80", "connected", id="two bridges and one cable"),
        pytest.param(altered(bridged(), "b", "eth0", mac=bridged()["a"].link("eth0").mac), "tcp:10.0.7.3:80", "unreachable", id="client and server with one MAC: the bridge knows where that is, where the answer comes from"),
        pytest.param(altered(bridged(), "a", "eth0", mac=bridged()["n"].link("vb").mac), "tcp:10.0.7.3:80", "unreachable", id="a client with the MAC of a port: the bridge keeps the answer"),
    ],
)  # fmt: skip
def test_who_takes_a_frame(world: World, to: str, says: str) -> None:
    assert verdict(talk(world, to)).startswith(says)


def at(world: World, mac: str) -> World:
    """The world in which a was told the MAC of b."""
    a = world["a"]
    entry = namespace("a", "eth0 10.0.1.2/24", f"neigh 10.0.1.3 dev eth0 lladdr {mac} PERMANENT").neighbours
    return world.put(a.but(neighbours=entry))


@pytest.mark.parametrize(
    ("world", "to", "says"),
    [
        pytest.param(two_switches(2), "tcp:10.0.7.3:80", "bridges in a circle", id="two bridges, two cables, no STP"),
        pytest.param(reflected(), "tcp:10.0.7.3:80", "gets to the bridge br0 of n twice", id="a bridge at a switch that reflects"),
        pytest.param(altered(lan(), "c", "eth0", mac=lan()["b"].link("eth0").mac), "tcp:10.0.1.3:80", "eth0 of b and eth0 of c take what is sent to 02:62", id="two servers with one MAC"),
        pytest.param(at(lan(), "ff:ff:ff:ff:ff:ff"), "tcp:10.0.1.3:80", "the frame is for a whole group", id="a neighbour with the broadcast MAC"),
        pytest.param(at(lan(), "01:00:5e:00:00:05"), "udp:10.0.1.3:80", "the frame is for a whole group", id="a neighbour with a multicast MAC"),
    ],
)  # fmt: skip
def test_what_is_refused_by_name(world: World, to: str, says: str) -> None:
    with pytest.raises(Unsupported, match=says):
        talk(world, to)


def test_a_device_kept_down_takes_frames_and_sends_none() -> None:
    """macvlan_handle_frame() asks for IFF_UP only; without carrier its queue is noop_qdisc."""
    world = altered(macvlans(), "p", "eth0", carrier=False)
    assert verdict(talk(world, "tcp:10.0.1.12:80", client="a", server="p")).startswith("unreachable")
    assert verdict(talk(world, "tcp:10.0.1.11:80", client="p", server="a")).startswith("unreachable")
