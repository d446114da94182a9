"""The cluster under settings: history as an order of events, who writes what, and what stays the same."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mcnilib.cluster import build as building
from mcnilib.cluster.build import build, events
from mcnilib.cluster.settings import Encapsulation, MacvlanMode, Settings, Tuning, Workaround, options, sweep
from mcnilib.cluster.spec import CLUSTER
from mcnilib.linux.netfilter.iptables.edit import find_table
from mcnilib.linux.netfilter.iptables.save import parse_tables, print_tables
from mcnilib.linux.routing.route import parse_routes, print_routes

DROP = "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"
LIBERAL = "net.netfilter.nf_conntrack_tcp_be_liberal"
NODES = [node.name for node in CLUSTER.nodes]


def world(**settings):
    return build(Settings.of(**settings))


def chain(netns, table, name):
    return [str(rule) for rule in find_table(netns.ip4.tables, table).chain(name).rules]


def routes(netns, table="main"):
    return [line.rstrip() for line in print_routes(netns.ip4.routes, table).splitlines()]


def names(**settings):
    return [event.name for event in events(Settings.of(**settings))]


# history


def test_the_events_of_the_defaults_in_order():
    assert names() == [
        "boot the machines",
        "announce the pod addresses",
        "start the kubelet",
        "start kube-proxy",
        "start Calico",
        "start the spiderpool-agent",
        *(f"create pod {pod.name}" for pod in CLUSTER.pods),
        "Felix programs the nodes",
    ]


@pytest.mark.parametrize(
    ("settings", "last"),
    [
        ({"be_liberal": True}, [f"sysctl -w {LIBERAL}=1"]),
        ({"restarted": True}, ["restart kube-proxy"]),
        ({"be_liberal": True, "restarted": True}, [f"sysctl -w {LIBERAL}=1", "restart kube-proxy"]),
        ({"node_rp_filter": 2}, ["sysctl -w net.ipv4.conf.all.rp_filter=2"]),
        ({"workaround": Workaround.SNAT}, ["add the workaround"]),
    ],
)
def test_what_is_done_by_hand_comes_last(settings, last):
    assert names(**settings)[len(names()) :] == last


def test_an_event_says_what_it_did_and_where():
    by_name = {event.name: event for event in events(Settings())}
    assert by_name["create pod mac1"].namespaces == ("mac1", "node1")
    assert by_name["start kube-proxy"].namespaces == tuple(NODES)
    assert all(event.did and event.changes for event in events(Settings()))


@pytest.mark.parametrize(
    ("version", "liberal", "restarted", "drops"),
    [
        ("1.28", False, False, True),
        ("1.28", True, True, True),  # never looks
        ("1.29", False, True, True),
        ("1.29", True, False, True),  # looked too early
        ("1.29", True, True, False),
        ("1.30", True, True, False),
        ("1.35", True, True, False),
    ],
)
def test_the_drop_rule_depends_on_the_order_of_events(version, liberal, restarted, drops):
    netns = world(kube_proxy=version, be_liberal=liberal, restarted=restarted)["node1"]
    assert (DROP in chain(netns, "filter", "KUBE-FORWARD")) is drops


@pytest.mark.parametrize("version", ["1.22", "1.28", "1.37"])
def test_a_restart_alone_leads_to_the_same_state(version):
    assert world(kube_proxy=version, restarted=True).namespaces == world(kube_proxy=version).namespaces


# what stays the same


def test_the_same_settings_give_the_same_world():
    assert world() is world()
    assert world(protocol="UDP").namespaces == world().namespaces


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({"be_liberal": True}, NODES),
        ({"kube_proxy": "1.30"}, NODES),
        ({"felix_invalid": False}, NODES),
        ({"workaround": Workaround.SNAT}, NODES),
        ({"stateful_gateway": True}, ["gateway"]),
        ({"tuning": Tuning.NOT}, ["mul1", "mul2"]),
        ({"mark_rules": False}, ["mac1", "mac1b", "mac2", "mac3", "mac4", "mac17"]),
        ({"hairpin": True}, []),
        ({"gateway": False}, []),
        ({"protocol": "ICMP"}, []),
        ({"placement": "same node"}, []),
    ],
)
def test_namespaces_a_setting_does_not_touch_are_the_same_objects(settings, changed):
    building._play.cache_clear()  # it may be older than the parts, where other clusters were built meanwhile
    pairs = zip(world(), world(**settings), strict=True)
    assert [a.name for a, b in pairs if a is not b] == changed


HONOURED = {
    "restarted": {"kube_proxy": "1.30", "be_liberal": True},
    "default_nic": {},
    "masquerade_all": {},
    "mtu": {"encapsulation": "VXLAN"},
}
"""What else must be set for a setting to make a difference."""
TOLD_APART = {"calico": ("3.27", "3.28", "3.30")}
"""Values of a setting of which not each one differs from the next."""
TALKS = ("protocol", "placement", "receiving-node")
"""Settings that choose who talks to whom, and leave the cluster alone."""


@pytest.mark.parametrize("o", [o for o in options() if o.name not in TALKS], ids=lambda o: o.name)
def test_every_setting_changes_something(o):
    base = Settings.of(**HONOURED.get(o.attribute, {}))
    different = [build(base.but(**{o.attribute: value})) for value in TOLD_APART.get(o.name, o.values)]
    assert all((a.namespaces, a.segments) != (b.namespaces, b.segments) for a, b in pairwise(different[:3]))


# who writes what


def test_felix_stands_above_kube_proxy_and_has_the_last_word():
    forward = chain(world()["node1"], "filter", "FORWARD")
    targets = [rule.rsplit(" ", 1)[1] for rule in forward]
    assert targets[:5] == [
        "cali-FORWARD",
        "KUBE-PROXY-FIREWALL",
        "KUBE-FORWARD",
        "KUBE-SERVICES",
        "KUBE-EXTERNAL-SERVICES",
    ]
    assert len(targets) == 7
    assert targets[5] == "ACCEPT"


@pytest.mark.parametrize("name", [netns.name for netns in world()])
def test_every_line_has_a_writer_and_a_reason(name):
    netns = world(workaround="host route back", be_liberal=True, stateful_gateway=True)[name]
    lines = [*netns.links, *netns.ip4.rules, *netns.ip4.routes, *netns.ip4.neighbours, *netns.sysctls, *netns.sets]
    lines += [rule for table in netns.ip4.tables for c in table.chains for rule in c.rules]
    assert [line for line in lines if not (line.origin and line.origin.writer and line.origin.why)] == []


@pytest.mark.parametrize("encapsulation", Encapsulation)
@pytest.mark.parametrize("version", ["1.22", "1.24", "1.28", "1.35"])
def test_text_and_back(version, encapsulation):
    for netns in world(kube_proxy=version, encapsulation=encapsulation, workaround="NOTRACK for the pod's veth"):
        assert parse_tables(print_tables(netns.ip4.tables)) == netns.ip4.tables
        for table in {route.table for route in netns.ip4.routes}:
            printed = print_routes(netns.ip4.routes, table)
            assert parse_routes(printed, table) == tuple(r for r in netns.ip4.routes if r.table == table)


@pytest.mark.parametrize(
    ("encapsulation", "extra"),
    [
        (Encapsulation.NONE, []),
        (Encapsulation.VXLAN, ["10.233.100.0 dev veth0 scope link src 172.16.100.2"]),
        (Encapsulation.IPIP, ["10.233.100.0 dev veth0 scope link src 172.16.100.2"]),
    ],
)
def test_a_macvlan_pod_knows_all_addresses_of_its_node(encapsulation, extra):
    shown = routes(world(encapsulation=encapsulation)["mac1"])
    assert [line for line in shown if "dev veth0 scope link" in line] == [
        *extra,
        "172.16.1.2 dev veth0 scope link src 172.16.100.2",
    ]


def test_the_pod_on_the_second_nic_goes_through_its_nodes_first_address():
    assert "10.233.64.0/18 via 172.16.1.2 dev veth0 src 172.17.1.150" in routes(world()["mac17"])


def test_without_coordinator_only_the_macvlan_cni_was_there():
    netns = world(coordinator=False)
    assert [link.name for link in netns["mac1"].links] == ["lo", "eth0"]
    assert not any(link.name.startswith("veth") for link in netns["node1"].links)
    assert not routes(netns["node1"], "500")


@pytest.mark.parametrize("mode", MacvlanMode)
def test_macvlan_mode(mode):
    assert world(macvlan_mode=mode)["mac1"].link("eth0").kind.mode == mode.value


# the gateway


def test_switches_and_cables():
    plugged = {segment.name: [port.netns for port in segment.ports] for segment in world().segments}
    assert plugged == {
        "lan-172.16": ["node1", "node2", "gateway", "lan-client"],
        "lan-172.17": ["node1", "node3", "node4", "gateway"],
        "outside": ["gateway", "client"],
    }


def test_an_absent_gateway_is_unplugged():
    building._play.cache_clear()
    assert not any(port.netns == "gateway" for segment in world(gateway=False).segments for port in segment.ports)
    assert world(gateway=False)["gateway"] is world()["gateway"]


def test_a_reflecting_switch():
    assert all(segment.reflects for segment in world(hairpin=True).segments)


def test_the_gateway_knows_pods_only_without_encapsulation():
    assert "10.233.101.0/26 via 172.16.1.3 dev lan16 proto bird" in routes(world()["gateway"])
    assert not any("10.233." in line for line in routes(world(encapsulation="VXLAN")["gateway"]))


def test_the_stateful_firewall():
    assert chain(world(stateful_gateway=True)["gateway"], "filter", "FORWARD") == [
        "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A FORWARD -m conntrack --ctstate INVALID -j DROP",
        "-A FORWARD -m conntrack --ctstate NEW -j ACCEPT",
    ]
    assert not world()["gateway"].ip4.tables


# workarounds


def test_snat_stands_on_top_of_postrouting():
    rules = chain(world(workaround=Workaround.SNAT)["node1"], "nat", "POSTROUTING")
    assert rules[:3] == [
        f"-A POSTROUTING -s {ip}/32 -d 10.233.64.0/18 -j MASQUERADE"
        for ip in ("172.16.100.2", "172.16.100.4", "172.17.1.150")
    ]
    assert rules[3].endswith("-j KUBE-POSTROUTING")


def test_notrack_takes_the_pods_veth():
    rules = chain(world(workaround=Workaround.NOTRACK)["node1"], "raw", "PREROUTING")
    veth = CLUSTER.pod("mac1").host_device
    assert rules[1] == f"-A PREROUTING -d 10.233.64.0/18 -i {veth} -j CT --notrack"  # below Felix, which wants the top


@pytest.mark.parametrize(
    ("encapsulation", "node", "line"),
    [
        (Encapsulation.NONE, "node2", "172.16.100.2 via 172.16.1.2 dev en0"),  # mac1, same subnet
        (Encapsulation.VXLAN, "node2", "172.16.100.2 via 172.16.1.2 dev en0"),
        (Encapsulation.VXLAN, "node2", "172.17.1.100 via 10.233.102.0 dev vxlan.calico onlink"),  # mac3
        (Encapsulation.IPIP, "node2", "172.17.1.100 via 172.17.1.1 dev tunl0 onlink"),
    ],
)
def test_host_routes_back(encapsulation, node, line):
    assert line in routes(world(workaround=Workaround.ROUTE_BACK, encapsulation=encapsulation)[node])


def test_without_encapsulation_there_is_no_way_back_to_another_subnet():
    shown = routes(world(workaround=Workaround.ROUTE_BACK)["node2"])
    assert not any(line.startswith("172.17.1.100 ") for line in shown)


# every world can be built


def test_every_pair_of_settings_builds():
    attributes = [o.attribute for o in options() if o.attribute not in ("kube_proxy", "endpoint", "protocol")]
    for first, second in pairwise(attributes):
        if {first, second} == {"calico", "calico_dataplane"}:
            continue  # older releases have no such mode, and say so
        for settings in sweep(Settings(), first, second):
            assert len(build(settings).namespaces) == 18
