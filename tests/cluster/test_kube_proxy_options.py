"""kube-proxy's options and conditions of endpoints in all three modes: what changes in the text, and what the kernel
takes."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from mcnilib.cluster.kube_proxy import KubeProxy, rules, start_kube_proxy
from mcnilib.cluster.spec import Endpoint, Nic, Node, Service, TrafficPolicy
from mcnilib.errors import Unsupported
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.nic import Physical
from mcnilib.linux.netfilter.ipset import print_sets
from mcnilib.linux.netfilter.iptables.save import print_tables
from mcnilib.linux.netfilter.ipvs.service import print_services
from mcnilib.linux.netfilter.nftables.rule import print_ruleset
from mcnilib.linux.netns import Netns, add_link, new_netns
from mcnilib.linux.sysctl import get

CIDR = IPv4Network("10.244.0.0/16")
BLOCK = IPv4Network("10.244.1.0/24")
NODE = Node("node1", (Nic("eth0", 2, "lan", IPv4Interface("192.168.0.1/24")),), zone="a", block=BLOCK)
MODES = ("iptables", "nftables", "ipvs")


def at(host: int, node: str = "node1", **more: object) -> Endpoint:
    return Endpoint(IPv4Address(f"10.244.1.{host}"), 80, node, **more)


def service(*endpoints: Endpoint, **more: object) -> Service:
    return Service("demo", "web", IPv4Address("10.96.0.10"), 80, endpoints, "http", **more)


def started(version: str, mode: str, *services: Service, **flags: object) -> Netns:
    node = new_netns("node1")
    for index, (name, ip) in enumerate((("eth0", "192.168.0.1/24"), ("eth1", "10.9.0.1/24"))):
        link = Link(2 + index, name, Physical(), f"02:00:00:00:00:0{index}", (Address(IPv4Interface(ip)),))
        node = add_link(node, link)
    return start_kube_proxy(node, KubeProxy(version, flags.pop("cidr", CIDR), mode=mode, **flags), NODE, services)


def text(node: Netns) -> str:
    return print_tables(node.ip4.tables) + print_ruleset(node.ip4.nft) + print_services(node.ip4.ipvs)


def chosen(version: str, mode: str, *services: Service, **flags: object) -> list[int]:
    """The endpoints that something of the mode leads to, by their last number."""
    shown = text(started(version, mode, *services, **flags))
    return [host for host in range(1, 9) if f"10.244.1.{host}:80" in shown or f"10.244.1.{host} . 80" in shown]


GONE = {"ready": False, "serving": False, "terminating": True}
ENDING = {"ready": False, "terminating": True}
NOT_READY = {"ready": False, "serving": False}
LOCAL = {"node_port": 30080, "external_policy": TrafficPolicy.LOCAL}


# Source: CategorizeEndpoints() in pkg/proxy/topology.go.
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("version", "endpoints", "more", "expected"),
    [
        ("1.30", (at(1), at(2, **ENDING), at(3, **GONE)), {}, [1]),
        ("1.30", (at(1, **NOT_READY), at(2, **ENDING), at(3, **GONE)), {}, [2]),
        ("1.30", (at(1, **NOT_READY), at(3, **GONE)), {}, []),
        ("1.30", (at(1, "node2"), at(2, **ENDING)), LOCAL, [1, 2]),  # the node's own last one, beside the cluster's
        ("1.36", (at(1, "node2"), at(2, **ENDING)), {}, [1]),
        ("1.30", (at(1, for_zones=("a",)), at(2, for_zones=("b",))), {}, [1]),
        ("1.30", (at(1, for_zones=("a",)), at(2)), {}, [1, 2]),  # one without a hint: none is heeded
        ("1.30", (at(1, for_zones=("c",)), at(2, for_zones=("b",))), {}, [1, 2]),  # none for the node's zone
        ("1.33", (at(1, for_nodes=("node1",)), at(2, for_nodes=("node2",))), {}, [1, 2]),
        ("1.34", (at(1, for_nodes=("node1",)), at(2, for_nodes=("node2",))), {}, [1]),
        ("1.34", (at(1, for_nodes=("n",), for_zones=("a",)), at(2, for_nodes=("n",), for_zones=("b",))), {}, [1]),
        ("1.34", (at(1, for_zones=("b",)), at(2, "node2", for_zones=("a",))), LOCAL, [1, 2]),
    ],
)
def test_which_endpoints_a_node_uses(mode, version, endpoints, more, expected):
    assert chosen(version, mode, service(*endpoints, **more)) == expected


@pytest.mark.parametrize(("version", "expected"), [("1.23", []), ("1.25", []), ("1.26", [1])])
def test_endpoints_that_end_are_used_from_1_26_on(version, expected):
    assert chosen(version, "iptables", service(at(1, **ENDING))) == expected


def test_a_local_policy_does_not_send_what_comes_from_outside_to_ending_endpoints_elsewhere():
    shown = text(started("1.30", "iptables", service(at(1, "node2", **ENDING), **LOCAL)))
    assert "has no local endpoints" in shown
    assert "KUBE-SVL-" not in shown


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("version", "answers"), [("1.29", True), ("1.30", False)])
def test_a_load_balancer_that_proxies_keeps_its_address(mode, version, answers):
    balanced = service(at(1), load_balancer_ips=(IPv4Address("192.0.2.7"),), load_balancer_proxies=True)
    assert ("192.0.2.7" in text(started(version, mode, balanced))) is answers


MANY = tuple(Endpoint(IPv4Address("10.244.0.0") + n, 80, "node2") for n in range(1, 1001))


@pytest.mark.parametrize(("more", "comments"), [((), True), ((at(1, **NOT_READY),), False)])
def test_above_1000_endpoints_their_rules_have_no_comments(more, comments):
    node = (NODE, (service(*MANY), replace(service(*more), name="two")))
    lines = [line.text for line in rules(KubeProxy("1.30", CIDR), *node).lines]
    assert any(" -> 10.244.0.1:80" in line for line in lines) is comments
    assert any('comment "demo/web:http cluster IP"' in line for line in lines)
    plain = [line for line in lines if line.startswith("-A KUBE-SEP-") and "comment" not in line]
    assert len(plain) == (0 if comments else 2000)


def test_a_large_cluster_before_1_24_is_refused():
    with pytest.raises(Unsupported, match="more than 1000 endpoints"):
        rules(KubeProxy("1.23", CIDR), NODE, (service(*MANY, at(1)),))


NODE_PORT = service(at(1), at(2, "node2"), node_port=30080)
ETH1 = {"node_port_addresses": (IPv4Network("10.9.0.0/16"),)}
BOTH = {"node_port_addresses": (IPv4Network("10.9.0.0/16"), IPv4Network("127.0.0.0/8"))}
ALL = {"node_port_addresses": (IPv4Network("10.9.0.0/16"), IPv4Network("0.0.0.0/0"))}
PREFIX, BRIDGE = {"pod_interface": "veth+"}, {"pod_interface": "cbr0"}
BIT = {"masquerade_bit": 20}
LAST = 'comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain"'
OF_NODE = {"by_node_cidr": True}


@pytest.mark.parametrize(
    ("mode", "version", "flags", "there", "absent"),
    [
        ("iptables", "1.30", ETH1, f"-A KUBE-SERVICES -d 10.9.0.1/32 -m comment --{LAST} -j KUBE-NODEPORTS", "192.168"),
        ("iptables", "1.30", ETH1, "-A KUBE-FORWARD", "block incoming localnet"),  # localhost is not among them
        ("iptables", "1.30", BOTH, "block incoming localnet", "--dst-type LOCAL"),
        ("iptables", "1.30", BOTH, f"-A KUBE-SERVICES -d 127.0.0.1/32 -m comment --{LAST} -j KUBE-NODEPORTS", ""),
        ("iptables", "1.30", ALL, f"--{LAST} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS", "-d 10.9.0.1/32"),
        ("nftables", "1.33", {}, "elements = { 192.168.0.1 }", "10.9.0.1"),
        ("nftables", "1.33", BOTH, "elements = { 10.9.0.1 }", "127.0.0.1"),
        ("nftables", "1.29", ETH1, "ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports", "fib"),
        ("nftables", "1.33", ALL, "\tip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @no-endpoint-nodeports", "@nodeport-ips"),
        ("nftables", "1.33", ALL, "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service", ""),
        ("ipvs", "1.30", {}, "-A -t 192.168.0.1:30080 -s rr", ""),
        ("ipvs", "1.30", ETH1, "-A -t 10.9.0.1:30080 -s rr", "192.168.0.1:30080"),
        ("iptables", "1.30", PREFIX, "-d 10.96.0.10/32 ! -i veth+ -p tcp", "-s 10.244.0.0/16"),
        ("iptables", "1.24", BRIDGE, "-d 10.96.0.10/32 ! -i cbr0 -p tcp", "-s 10.244.0.0/16"),
        ("ipvs", "1.30", BRIDGE, "-A KUBE-SERVICES ! -i cbr0 -m comment", "-s 10.244.0.0/16"),
        ("iptables", "1.30", OF_NODE, "! -s 10.244.1.0/24 -d 10.96.0.10/32", "10.244.0.0/16"),
        ("nftables", "1.36", OF_NODE, "ip daddr @cluster-ips ip saddr != 10.244.1.0/24", "10.244.0.0/16"),
        ("ipvs", "1.22", OF_NODE, "-A KUBE-SERVICES ! -s 10.244.1.0/24 -m comment", "10.244.0.0/16"),
        ("iptables", "1.22", BIT, "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x100000/0x100000", "0x4000"),
        ("iptables", "1.30", BIT, "-m mark --mark 0x100000/0x100000 -j ACCEPT", "0x4000"),
        ("ipvs", "1.30", BIT, "-m mark --mark 0x100000/0x100000 -j ACCEPT", "0x4000"),
        ("nftables", "1.33", BIT, "meta mark & 0x00100000 == 0x00000000 return", "0x00004000"),
        ("nftables", "1.36", BIT, "meta mark & 0x00100000 != 0x00000000 meta mark set", "0x00004000"),
    ],
)  # fmt: skip
def test_what_an_option_changes(mode, version, flags, there, absent):
    shown = text(started(version, mode, NODE_PORT, **flags))
    assert there in shown
    assert not absent or absent not in shown


def test_a_pods_traffic_told_by_its_device_reaches_all_endpoints():
    shown = text(started("1.30", "iptables", service(at(1), **LOCAL), **PREFIX))
    assert '-i veth+ -m comment --comment "pod traffic for demo/web:http external destinations"' in shown


@pytest.mark.parametrize(("flags", "opened"), [({}, "1"), (ETH1, "0"), (BOTH, "1"), (ALL, "1")])
def test_route_localnet_is_set_where_localhost_answers_node_ports(flags, opened):
    assert get(started("1.30", "iptables", NODE_PORT, **flags).sysctls, "net.ipv4.conf.all.route_localnet") == opened


@pytest.mark.parametrize(
    ("version", "flags", "error"),
    [
        ("1.33", {**PREFIX, "mode": "nftables"}, Unsupported),
        ("1.23", PREFIX, ValueError),
        ("1.24", ETH1, Unsupported),
        ("1.30", {"masquerade_bit": 32}, ValueError),
    ],
)
def test_what_is_refused(version, flags, error):
    with pytest.raises(error):
        KubeProxy(version, CIDR, **flags)


RICH = (
    service(at(1), at(2, "node2"), at(3, **ENDING), **LOCAL, affinity=10800),
    Service("demo", "two", IPv4Address("10.96.0.11"), 80, (at(4), at(5)), "http", node_port=30081),
    Service("demo", "out", IPv4Address("10.96.0.12"), 80, (at(6, "node2"),), "http", **LOCAL | {"node_port": 30082}),
    Service("demo", "none", IPv4Address("10.96.0.13"), 80, (), "http", load_balancer_ips=(IPv4Address("192.0.2.9"),)),
)


def in_a_namespace(*commands: tuple[list[str], str]) -> str:
    """What the last of the commands prints, each with its input, in a namespace of their own; skip without one."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    needed = ("unshare", *(command[0] for command, _ in commands))
    if absent := [program for program in needed if not shutil.which(program, path=path)]:
        pytest.skip(f"not installed: {', '.join(absent)}")
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = "\n".join(f"{' '.join(command)} <<'END'\n{given}END" for command, given in commands)
    unshare = ["unshare", *root, "--net", "sh", "-e"]
    if subprocess.run(unshare, input="true", capture_output=True, text=True, check=False).returncode:
        pytest.skip("network namespaces are not allowed")
    environment = os.environ | {"PATH": path}
    done = subprocess.run(unshare, input=script, env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout


def without_remarks(printed: str) -> str:
    return "".join(f"{line}\n" for line in printed.splitlines() if not line.startswith("#"))


@pytest.mark.kernel
@pytest.mark.parametrize("version", ["1.25", "1.28", "1.31", "1.35", "1.37"])
@pytest.mark.parametrize("flags", [{}, BOTH, PREFIX, OF_NODE, BIT], ids=str)
def test_the_kernel_takes_the_rules_of_iptables_mode(version, flags):
    wanted = print_tables(started(version, "iptables", *RICH, **flags).ip4.tables)
    printed = in_a_namespace((["iptables-nft-restore"], wanted), (["iptables-nft-save"], ""))
    assert without_remarks(printed) == wanted


@pytest.mark.kernel
def test_the_kernel_takes_rules_without_comments():
    wanted = print_tables(started("1.30", "iptables", service(*MANY, at(1)), RICH[1]).ip4.tables)
    printed = in_a_namespace((["iptables-nft-restore"], wanted), (["iptables-nft-save"], ""))
    assert without_remarks(printed) == wanted


@pytest.mark.kernel
@pytest.mark.parametrize("version", ["1.29", "1.30", "1.33", "1.35", "1.36", "1.37"])
@pytest.mark.parametrize("flags", [{}, BOTH, ALL, OF_NODE, BIT], ids=str)
def test_the_kernel_takes_the_table_of_nftables_mode(version, flags):
    wanted = print_ruleset(started(version, "nftables", *RICH, **flags).ip4.nft)
    printed = in_a_namespace((["nft", "-f", "-"], wanted), (["nft", "list", "ruleset"], ""))
    assert printed.strip() == wanted.strip()


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("version", "flags"),
    [
        (version, flags)
        for version in ("1.22", "1.25", "1.28", "1.37")
        for flags in ({}, ETH1, BRIDGE, OF_NODE, BIT)
        if (version, flags) != ("1.22", BRIDGE)  # it cannot tell pods by a device
    ],
    ids=str,
)
def test_the_kernel_takes_rules_and_sets_of_ipvs_mode(version, flags):
    node = started(version, "ipvs", *RICH, **flags)
    wanted, sets = print_tables(node.ip4.tables), print_sets(node.sets)
    loaded = ((["ipset", "restore"], sets), (["iptables-nft-restore"], wanted), (["iptables-nft-save"], ""))
    assert without_remarks(in_a_namespace(*loaded)) == wanted
