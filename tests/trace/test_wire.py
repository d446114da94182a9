"""Frames: who takes one, who does not although it looks like it, and where nobody can know."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import ClassVar

import pytest
from kernel_worlds import altered, bridged, knowing, macvlans, made, two_legs
from small_worlds import device, mac, namespace, plug, talk

from mcnilib.errors import Unsupported
from mcnilib.kernel.fuzz.case import parse_case, simulate
from mcnilib.linux.device.base import Child, Frame, LinkEnd
from mcnilib.linux.device.bridge import Bridge
from mcnilib.linux.device.bridge_vlan import with_vlans
from mcnilib.linux.device.fdb import print_fdb, with_fdb
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.nic import UnmodelledDevice
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.packet import Packet
from mcnilib.linux.unmodelled import Gap
from mcnilib.trace.explain import verdict
from mcnilib.trace.stack.ethernet import Wire
from mcnilib.trace.trace import Fate
from mcnilib.world.json_form import fdb_lines, text_of
from mcnilib.world.world import World


def lan() -> World:
    """Three hosts on a segment."""
    return plug(
        *(namespace(name, f"eth0 10.0.1.{i}/24") for i, name in ((2, "a"), (3, "b"), (4, "c"))),
        lan="a.eth0 b.eth0 c.eth0",
    )


def two_switches(cables: int) -> World:
    """Two bridges of n with cables between them, a at one, b at the other."""
    ends = [device("n", 4, "va", "", Veth(LinkEnd("a", 2))), device("n", 5, "vb", "", Veth(LinkEnd("b", 2)))]
    links = [replace(ends[0], master="br0"), replace(ends[1], master="br1")]
    for i in range(10, 10 + 2 * cables, 2):
        links += [replace(device("n", i, f"x{i}", "", Veth(LinkEnd("n", i + 1))), master="br0")]
        links += [replace(device("n", i + 1, f"x{i + 1}", "", Veth(LinkEnd("n", i))), master="br1")]
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
    return [device("n", 3, "en0"), device("n", 4, "va", "", Veth(LinkEnd("a", 2)))]


@pytest.mark.parametrize(
    ("world", "to", "says"),
    [
        pytest.param(lan(), "tcp:10.0.1.3:80", "connected", id="plugged in"),
        pytest.param(altered(lan(), "b", "eth0", carrier=False), "tcp:10.0.1.3:80", "unreachable", id="unplugged, and asked for"),
        pytest.param(altered(lan(), "a", "eth0", carrier=False), "tcp:10.0.1.3:80", "unreachable", id="unplugged, and asking"),
        pytest.param(altered(bridged(), "n", "br0", carrier=False), "tcp:10.0.7.1:80", "unreachable", id="a bridge without carrier"),
        pytest.param(knowing(mac("a", 2), "va", "permanent"), "icmp:10.0.7.1", "connected", id="a permanent entry of the client's MAC: the bridge itself answers by that port"),
        pytest.param(knowing(mac("b", 2), "va", ""), "icmp:10.0.7.1", "connected", id="a learned entry that is wrong, and not asked for"),
        pytest.param(two_legs("eth1"), "tcp:10.0.7.3:80", "it depends: works if the first to answer who has 10.0.7.3 on eth0 of a is eth0 of b", id="two legs on a bridge: which of them hears ARP first nothing shows"),
        pytest.param(two_switches(1), "tcp:10.0.7.3:80", "connected", id="two bridges and one cable"),
        pytest.param(altered(bridged(), "b", "eth0", mac=bridged()["a"].link("eth0").mac), "tcp:10.0.7.3:80", "unreachable", id="client and server with one MAC: the bridge knows where that is, where the answer comes from"),
        pytest.param(altered(bridged(), "a", "eth0", mac=bridged()["n"].link("vb").mac), "tcp:10.0.7.3:80", "unreachable", id="a client with the MAC of a port: the bridge keeps the answer"),
    ],
)  # fmt: skip
def test_who_takes_a_frame(world: World, to: str, says: str) -> None:
    assert verdict(talk(world, to)).startswith(says)


@dataclass(frozen=True, slots=True)
class ByAddress(Child):
    """As ipvlan: all have the MAC of the lower device, and where a packet goes decides who takes it."""

    reads_packets: ClassVar[bool] = True
    end_field: ClassVar[str] = "lower"
    lower: LinkEnd
    address: str = ""

    def wants(self, mac: str, ips: Container[IPv4Address], frame: Frame) -> bool:
        return frame.packet is not None and str(frame.packet.dst) == self.address


@pytest.mark.parametrize(("dst", "takes"), [("10.0.1.7", ["p"]), ("10.0.1.8", ["q"]), ("10.0.1.2", ["n"])])
def test_a_kind_may_decide_by_what_a_frame_carries(dst: str, takes: list[str]) -> None:
    n, m = namespace("n", "eth0 10.0.1.2/24"), namespace("m", "eth0 10.0.1.3/24")
    lower = n.link("eth0")
    pods = [
        made(name, replace(device(name, 2, "ipvl", "", ByAddress(LinkEnd("n", 2), address)), mac=lower.mac))
        for name, address in (("p", "10.0.1.7"), ("q", "10.0.1.8"))
    ]
    wire = Wire(plug(n, m, *pods, lan="n.eth0 m.eth0"))
    packets = [Packet(IPv4Address("10.0.1.3"), IPv4Address(one)) for one in ("10.0.1.7", dst)]  # the first is no memory
    receivers = [wire.send("m", m.link("eth0"), Frame(mac("m", 2), lower.mac, packet)) for packet in packets]
    assert [one.netns for one in receivers[-1]] == takes


def at(world: World, told: str) -> World:
    """The world in which a was told the MAC of b."""
    a = world["a"]
    entry = namespace("a", "eth0 10.0.1.2/24", f"neigh 10.0.1.3 dev eth0 lladdr {told} PERMANENT").ip4.neighbours
    return world.put(a.with_ip4(neighbours=entry))


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


@pytest.mark.parametrize(
    ("state", "port"), [pytest.param("static", "va", id="a static entry"), pytest.param("", "va", id="a learned one")]
)
def test_an_entry_that_moves_with_the_next_frame_is_unknown_where_it_is_wrong(state: str, port: str) -> None:
    world = knowing(mac("b", 2), port, state)
    said = verdict(talk(world, "tcp:10.0.7.3:80"))
    assert "br0 of n has 02:62:2d:2d:2d:02 behind va, and by the cables it is elsewhere" in said


FDB = """\
02:00:00:00:00:01 dev br0 self permanent
33:33:00:00:00:01 dev va self permanent
02:6e:2d:2d:2d:03 dev va master br0 permanent
02:6e:2d:2d:2d:03 dev va vlan 1 master br0 permanent
02:6e:2d:2d:2d:02 dev br0 master br0 permanent
02:00:00:00:00:aa dev va sticky master br0 static
02:00:00:00:00:ab dev va master br0 permanent
02:00:00:00:00:ac dev vb master br0 stale
02:00:00:00:00:ad dev vb extern_learn master br0 
"""  # noqa: W291
FDB_JSON = """[{"mac":"02:00:00:00:00:01","ifname":"br0","flags":["self"],"state":"permanent"},
{"mac":"02:6e:2d:2d:2d:03","ifname":"va","vlan":1,"flags":[],"master":"br0","state":"permanent"},
{"mac":"02:00:00:00:00:aa","ifname":"va","flags":["sticky"],"master":"br0","state":"static"},
{"mac":"02:00:00:00:00:ab","ifname":"va","flags":[],"master":"br0","state":"permanent"},
{"mac":"02:00:00:00:00:ac","ifname":"vb","flags":[],"master":"br0","state":"stale"},
{"mac":"02:00:00:00:00:ad","ifname":"vb","flags":["extern_learn"],"master":"br0","state":""}]"""


@pytest.mark.parametrize(
    "text",
    [pytest.param(FDB, id="text"), pytest.param(text_of(FDB_JSON, fdb_lines, "fdb"), id="JSON")],
)
def test_what_is_kept_of_a_bridge_s_entries(text: str) -> None:
    links = with_fdb(bridged()["n"].links, text)
    assert print_fdb(links) == (
        "02:00:00:00:00:aa dev va sticky master br0 static\n02:00:00:00:00:ab dev va master br0 permanent\n"
        "02:00:00:00:00:ac dev vb master br0 \n02:00:00:00:00:ad dev vb master br0 \n"
    )
    assert with_fdb(links, print_fdb(links)) == links


def with_entry(filtering: str, entry: str) -> World:
    """Two pods on a bridge in VLAN 1, and an entry of the server's MAC at the client's port."""
    world = bridged()
    vlans = "port  vlan-id\n" + "".join(f"{dev}  1 PVID Egress Untagged\n" for dev in ("va", "vb", "br0"))
    links = [replace(x, kind=replace(x.kind, vlan_filtering=filtering)) if x.is_bridge else x for x in world["n"].links]
    links = with_vlans(links, vlans) if filtering == "1" else tuple(links)
    links = with_fdb(links, f"{mac('b', 2)} dev va {entry}\n")
    assert with_fdb(links, print_fdb(links)) == links
    return world.put(world["n"].but(links=links))


@pytest.mark.parametrize(
    "entry", ["vlan 1 master br0 static", "vlan 1 sticky master br0 static", "vlan 1 master br0 permanent"]
)
def test_what_somebody_wrote_for_a_single_vlan_is_refused(entry: str) -> None:
    with pytest.raises(Unsupported, match=r"br0 of n has an entry of .* for VLAN 1 alone"):
        talk(with_entry("1", entry), "tcp:10.0.7.3:80")


@pytest.mark.parametrize(("filtering", "entry"), [("1", "vlan 1 master br0 "), ("0", "vlan 1 master br0 static")])
def test_what_a_bridge_learned_for_a_vlan_or_does_not_ask_is_passed_over(filtering: str, entry: str) -> None:
    assert verdict(talk(with_entry(filtering, entry), "tcp:10.0.7.3:80")).startswith("connected")


def test_a_device_kept_down_takes_frames_and_sends_none() -> None:
    """macvlan_handle_frame() asks for IFF_UP only; without carrier its queue is noop_qdisc."""
    world = altered(macvlans(), "p", "eth0", carrier=False)
    assert verdict(talk(world, "tcp:10.0.1.12:80", client="a", server="p")).startswith("unreachable")
    assert verdict(talk(world, "tcp:10.0.1.11:80", client="p", server="a")).startswith("unreachable")


def test_what_comes_in_by_a_port_that_is_not_modelled_is_unknown() -> None:
    """A port that sends back what it gets (hairpin), or keeps it from other ports: nobody who answers is no answer."""
    world = two_switches(0)
    port = replace(
        world["n"].link("va"), kind=UnmodelledDevice(Gap("a bridge port with hairpin on", "n/ip-address.txt:9"))
    )
    world = world.put(world["n"].but(links=tuple(port if x.name == "va" else x for x in world["n"].links)))
    said = verdict(talk(world, "tcp:10.0.7.9:80"))
    assert said.startswith("unknown beyond this point") and "the frame gets to va: n/ip-address.txt:9" in said


@pytest.mark.parametrize(
    ("case", "says"),
    [
        (
            """world guests
m: ip link set mv down
from a to tcp:10.0.7.1:8080 at n
""",
            "leaves through eth0; en0 of n loses it: mv of m, which takes all frames there, is down",
        ),
        (
            """world stacked
a: ip link set eth0 address 02:00:00:00:05:02
from a to tcp:10.0.7.1:80 at n
""",
            "nothing answers ARP for 10.0.7.1",
        ),
    ],
)
def test_what_a_macvlan_child_keeps_from_its_lower_device(case, says):
    assert says in simulate(parse_case(case)).outcome.step.action


def test_a_neighbour_known_because_it_asked_is_believed_for_a_while_only():
    """n asks c again after 5 s, and c takes the address n asks from for its own."""
    case = """world bridged
c: ip route add local 10.0.1.1 dev eth0 table 66
c: ip rule add from 10.0.1.3 priority 81 lookup 66
from c to icmp:10.0.7.2 at a
from c to icmp:10.0.7.2 at a
"""
    trace = simulate(parse_case(case))
    assert trace.outcome.step.fate is Fate.UNKNOWN
    assert "n knows 10.0.1.3 because it asked, and nothing answers ARP for 10.0.1.3" in trace.outcome.step.action


def test_an_address_of_loopback_is_refused_while_lo_is_down_also_where_output_drops_it() -> None:
    case = parse_case(
        "world routers\na: ip link set lo down\na: iptables -P OUTPUT DROP\nfrom a to udp:127.0.0.1:80 at b\n"
    )
    with pytest.raises(Unsupported, match="lo of a is down"):
        simulate(case)
