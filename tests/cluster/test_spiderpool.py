"""Spiderpool's coordinator: the listings of a single-NIC Macvlan pod, a multi-NIC pod, and their node."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

import pytest

from mcnilib.cluster.cni import macvlan, spiderpool
from mcnilib.cluster.cni.spiderpool import Coordinator, attach_multi
from mcnilib.cluster.settings import DefaultNic, Tuning
from mcnilib.cluster.spec import CLUSTER, mac_of
from mcnilib.linux.device.base import LinkEnd
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netfilter.iptables.save import print_tables
from mcnilib.linux.netns import add_link, add_routes, new_netns
from mcnilib.linux.routing.route import parse_route, print_routes

NODE3 = IPv4Address("172.17.1.1")
VETH = CLUSTER.pod("mac3").host_device


def coordinator(*node_ips, **options):
    addresses = tuple(map(IPv4Address, node_ips)) or (NODE3,)
    return Coordinator(addresses, CLUSTER.pod_cidr, CLUSTER.service_cidr, **options)


def mac3(**options):
    pod = CLUSTER.pod("mac3")
    return spiderpool.attach(macvlan.add_nic(new_netns("mac3"), pod, CLUSTER), pod, coordinator(**options))


def calico_pod(name):
    """Return a pod as the Calico CNI leaves it."""
    pod = CLUSTER.pod(name)
    address = Address(IPv4Interface(f"{pod.overlay}/32"))
    eth0 = Link(2, "eth0", Veth(LinkEnd(pod.node, pod.host_index)), mac_of(name, "eth0"), (address,))
    routes = ("169.254.1.1 dev eth0 scope link", "default via 169.254.1.1 dev eth0")
    return add_routes(add_link(new_netns(name), eth0), *map(parse_route, routes))


def mul1(default=DefaultNic.ETH0, tuning=Tuning.TUNED):
    pod = CLUSTER.pod("mul1")
    netns = macvlan.add_nic(calico_pod("mul1"), pod, CLUSTER)
    return attach_multi(netns, pod, coordinator("172.16.1.2"), default, tuning)


def table(netns, name):
    return [line.rstrip() for line in print_routes(netns.ip4.routes, name).splitlines()]


def rules(netns):
    return [str(rule).split(":\t", 1) for rule in netns.ip4.rules if 0 < rule.priority < 32766]


SINGLE_MAIN = [
    "default via 172.17.0.1 dev eth0",
    "10.233.0.0/18 via 172.17.1.1 dev veth0 src 172.17.1.100",
    "10.233.64.0/18 via 172.17.1.1 dev veth0 src 172.17.1.100",
    "169.254.0.0/16 via 172.17.1.1 dev veth0 src 172.17.1.100",
    "172.17.0.0/16 dev eth0 proto kernel scope link src 172.17.1.100",
    "172.17.1.1 dev veth0 scope link src 172.17.1.100",
]


def test_routes_of_a_single_nic_pod():
    assert table(mac3(), "main") == SINGLE_MAIN
    assert table(mac3(), "100") == ["default via 172.17.1.1 dev veth0 src 172.17.1.100"]
    assert table(mac3(), "101") == ["172.17.1.1 dev veth0 scope link src 172.17.1.100"]  # no rule leads there


def test_a_single_nic_pod_has_one_rule():
    assert rules(mac3()) == [["1000", "from all fwmark 0x1 lookup 100"]]


def test_the_pair_between_pod_and_node():
    node = spiderpool.attach_host(new_netns("node3"), CLUSTER.pod("mac3"))
    near, far = mac3().link("veth0"), node.link(VETH)
    assert near.kind == Veth(LinkEnd("node3", far.index))
    assert far.kind == Veth(LinkEnd("mac3", near.index))
    assert not near.addresses  # vethLinkAddress is empty by default
    assert not far.addresses
    assert near.mac != far.mac


def test_neighbours_of_pod_and_node_point_at_each_other():
    node = spiderpool.attach_host(new_netns("node3"), CLUSTER.pod("mac3"))
    far, near = node.link(VETH).mac, mac3().link("veth0").mac
    assert [str(n).strip() for n in mac3().ip4.neighbours] == [f"172.17.1.1 dev veth0 lladdr {far} PERMANENT"]
    assert [str(n).strip() for n in node.ip4.neighbours] == [f"172.17.1.100 dev {VETH} lladdr {near} PERMANENT"]


def test_mark_rules_of_a_single_nic_pod():
    lines = [line for line in print_tables(mac3().ip4.tables).splitlines() if line.startswith("-A")]
    assert lines == [
        "-A PREROUTING -i veth0 -m conntrack --ctstate NEW -j MARK --set-xmark 0x1/0xffffffff",
        "-A PREROUTING -m mark --mark 0x1 -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff",
        "-A OUTPUT -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff",
    ]


def test_without_mark_rules_nothing_of_them_is_left():
    netns = mac3(mark_rules=False)
    assert (netns.ip4.tables, rules(netns), table(netns, "100")) == ((), [], [])
    assert table(netns, "main") == SINGLE_MAIN


@pytest.mark.parametrize("value", [0, 1, 2])
def test_pod_rp_filter_is_written_for_all_only(value):
    assert [str(s) for s in mac3(rp_filter=value).sysctls] == [f"net.ipv4.conf.all.rp_filter = {value}"]


def test_every_address_of_the_node_is_reached_through_the_pair():
    pod = CLUSTER.pod("mac3")
    netns = spiderpool.attach(
        macvlan.add_nic(new_netns("mac3"), pod, CLUSTER), pod, coordinator("172.17.1.1", "10.233.102.0")
    )
    for name in ("main", "101"):
        assert "10.233.102.0 dev veth0 scope link src 172.17.1.100" in table(netns, name)
    assert "10.233.64.0/18 via 172.17.1.1 dev veth0 src 172.17.1.100" in table(netns, "main")  # the first one routes


@pytest.mark.parametrize(
    ("device", "address", "taken"),
    [
        ("en0", "172.16.1.2/16", True),
        ("vxlan.calico", "10.233.100.0/32", True),
        ("tunl0", "10.233.100.0/32", True),
        ("docker0", "172.18.0.1/16", False),
        ("kube-ipvs0", "10.233.0.1/32", False),
        ("cali536d52869bc", "10.0.0.1/32", False),
        ("nodelocaldns", "169.254.20.10/32", False),
    ],
)
def test_which_addresses_count_as_the_nodes(device, address, taken):
    node = add_link(new_netns("node1"), Link(2, device, addresses=(Address(IPv4Interface(address)),)))
    assert (spiderpool.node_addresses(node) == (IPv4Interface(address).ip,)) is taken


def test_all_pods_of_a_node_share_rule_1000():
    node = new_netns("node1")
    for name in ("mac1", "mac1b", "mac17"):
        node = spiderpool.attach_host(node, CLUSTER.pod(name))
    assert rules(node) == [["1000", "from all lookup 500"]]
    assert table(node, "500") == [
        f"{CLUSTER.pod(name).address} dev {CLUSTER.pod(name).host_device} scope link"
        for name in ("mac1", "mac1b", "mac17")
    ]


MULTI_MAIN = [
    "default via 169.254.1.1 dev eth0",
    "10.233.0.0/18 via 172.16.1.2 dev eth0 src 10.233.100.5",
    "10.233.64.0/18 via 172.16.1.2 dev eth0 src 10.233.100.5",
    "169.254.0.0/16 via 172.16.1.2 dev eth0 src 10.233.100.5",
    "169.254.1.1 dev eth0 scope link",
    "172.16.0.0/16 dev net1 proto kernel scope link src 172.16.100.5",
    "172.16.1.2 dev eth0 scope link src 10.233.100.5",
]
NET1_DEFAULT, TO_NODE = "default via 172.16.0.1 dev net1", "172.16.1.2 dev eth0 scope link src 10.233.100.5"
SUBNET = "172.16.0.0/16 dev net1 scope link src 172.16.100.5"


@pytest.mark.parametrize(
    ("default", "tuning", "expected"),
    [
        (
            DefaultNic.ETH0,
            Tuning.TUNED,
            {
                "rules": [["32764", "from 10.233.100.5 lookup 100"], ["32765", "from 172.16.100.5 lookup 101"]],
                "main": MULTI_MAIN,
                "100": ["default via 169.254.1.1 dev eth0"],
                "101": [NET1_DEFAULT, SUBNET, TO_NODE],
            },
        ),
        (
            DefaultNic.NET1,
            Tuning.TUNED,
            {
                "rules": [["32765", "from 10.233.100.5 lookup 101"]],
                "main": [NET1_DEFAULT, *MULTI_MAIN[1:]],
                "100": [],
                "101": [*MULTI_MAIN[:5], TO_NODE],
            },
        ),
        (
            DefaultNic.ETH0,
            Tuning.NOT,
            {"rules": [], "main": [NET1_DEFAULT, *MULTI_MAIN], "100": [], "101": [TO_NODE]},  # net1's default wins
        ),
        (
            DefaultNic.ETH0,
            Tuning.V0_8_6,
            {
                "rules": [["32765", "from 172.16.100.5 lookup 100"]],
                "main": MULTI_MAIN,
                "100": [NET1_DEFAULT, *MULTI_MAIN[1:4], SUBNET, TO_NODE],
                "101": [],
            },
        ),
    ],
    ids=["default on eth0", "default on net1", "not tuned", "v0.8.6"],
)
def test_routes_and_rules_of_a_multi_nic_pod(default, tuning, expected):
    netns = mul1(default, tuning)
    shown = {"rules": rules(netns), **{name: table(netns, name) for name in ("main", "100", "101")}}
    assert shown == expected


def test_a_multi_nic_pod_has_neither_veth0_nor_mark_rules():
    netns = mul1()
    assert [link.name for link in netns.links] == ["lo", "eth0", "net1"]
    assert not netns.ip4.tables
    assert [str(n).strip() for n in netns.ip4.neighbours] == ["172.16.1.2 dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT"]


def test_the_node_reaches_the_macvlan_address_of_a_multi_nic_pod_by_its_cali_device():
    pod = CLUSTER.pod("mul1")
    cali = Link(pod.host_index, pod.host_device, Veth(LinkEnd("mul1", 2)), "ee:ee:ee:ee:ee:ee")
    node = spiderpool.attach_host(add_link(new_netns("node1"), cali), pod)
    assert table(node, "500") == [f"172.16.100.5 dev {pod.host_device} scope link"]
    assert [str(n).strip() for n in node.ip4.neighbours] == [
        f"172.16.100.5 dev {pod.host_device} lladdr {mac_of('mul1', 'eth0')} PERMANENT"
    ]


def test_every_line_of_the_coordinator_says_who_wrote_it_and_why():
    netns = mac3()
    lines = [*netns.ip4.routes, *netns.ip4.neighbours, *netns.ip4.rules, *netns.sysctls]
    lines += [rule for t in netns.ip4.tables for chain in t.chains for rule in chain.rules]
    assert all(line.origin and line.origin.why for line in lines)
