"""Felix: rule texts and hashes of every version, its place among others' rules, and what the kernel reads back."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from ipaddress import IPv4Network
from itertools import product
from pathlib import Path

import pytest

from mcnilib.cluster import underlay
from mcnilib.cluster.cni.calico.config import CALICO_VERSIONS, Calico, Workload
from mcnilib.cluster.cni.calico.felix import start_felix
from mcnilib.cluster.cni.calico.hashes import limited
from mcnilib.cluster.cni.calico.routes import join
from mcnilib.cluster.network_policy import APPLIED, PodPolicy
from mcnilib.cluster.settings import Encapsulation
from mcnilib.cluster.spec import CLUSTER
from mcnilib.errors import Unsupported
from mcnilib.linux.netfilter.ipset import print_sets
from mcnilib.linux.netfilter.iptables.edit import append, find_table, insert
from mcnilib.linux.netfilter.iptables.save import parse_rule, parse_tables, print_tables
from mcnilib.linux.netfilter.iptables.validate import check_table
from mcnilib.linux.netns import Netns, new_netns

DATA = Path(__file__).parents[1] / "data" / "calico"
NONE, VXLAN, IPIP = Encapsulation
POD = Workload("cali12345")
LOGGED = {"flow_logs": True}
MODELLED = list(product(CALICO_VERSIONS, Encapsulation))


def calico(version: str = "3.32", encapsulation: Encapsulation = NONE, **more: object) -> Calico:
    return Calico(CLUSTER.nodes, (CLUSTER.pod_cidr,), version, encapsulation, **more)  # type: ignore[arg-type]


def felix(*words: object, workloads: tuple[Workload, ...] = (POD,), **more: object) -> Netns:
    return start_felix(new_netns("node1"), calico(*words, **more), workloads)  # type: ignore[arg-type]


def chain(node: Netns, table: str, name: str) -> list[str]:
    return [str(rule) for rule in find_table(node.ip4.tables, table).chain(name).rules]


def hashes(node: Netns, table: str, name: str) -> str:
    return " ".join(line.split('"cali:')[1][:16] for line in chain(node, table, name) if "cali:" in line)


# Whole nodes with one pod of namespace default, among the rules of kube-proxy that matter for the order.
@pytest.mark.parametrize(
    ("file", "version", "encapsulation"),
    [("felix-3.32-vxlan.txt", "3.32", VXLAN), ("felix-3.26-ipip.txt", "3.26", IPIP)],
)
def test_a_whole_node_to_the_letter(file, version, encapsulation):
    text = (DATA / file).read_text()
    others = "".join(f"{line}\n" for line in text.splitlines() if "cali" not in line)
    node = new_netns("node1").with_ip4(tables=parse_tables(others))
    assert print_tables(start_felix(node, calico(version, encapsulation), [POD]).ip4.tables) == text


# Hashes found on real nodes: felix/fv/cali-iptables-dump.txt (3.30, VXLAN), support dumps of older releases.
@pytest.mark.parametrize(
    ("version", "encapsulation", "table", "name", "found"),
    [
        ("3.26", NONE, "filter", "INPUT", "Cz_u1IQiXIMmKD4c"),
        ("3.32", NONE, "filter", "OUTPUT", "tVnHkvAo15HuiPy0"),
        ("3.30", NONE, "filter", "FORWARD", "wUHhoiAYhphO9Mso S93hcgKJrXEqnTfs mp77cMpurHhyjLrM"),
        ("3.30", NONE, "raw", "PREROUTING", "6gwbT8clXdHdC1b1"),
        ("3.27", NONE, "nat", "POSTROUTING", "O3lYWMrLQYEMJtB5"),  # inserted on top
        ("3.28.1", NONE, "nat", "POSTROUTING", "O3lYWMrLQYEMJtB5"),
        ("3.28", NONE, "nat", "POSTROUTING", "0i8pjzKKPyA34aQD"),  # appended
        (
            "3.29",
            NONE,
            "filter",
            "cali-FORWARD",
            "vjrMJCRpqwy5oRoX A_sPAO0mcxbT9mOV 8ZoYfO5HKXWbB3pk jdEuaPBe14V2hutn 12bc6HljsMKsmfr- NOSxoaGx8OIstr1z",
        ),
        (
            "3.30",
            NONE,
            "filter",
            "cali-FORWARD",
            "W_vvds1Nw3n9QE2f ZfgmjuiLaA8Pg0kp tAzwBLPaV-j53OOZ 4Z0Pf0byo05NFe-P hQ7Oc16wmUtLuneJ rnKNH2WxGcRQcIlD",
        ),
        ("3.30", VXLAN, "raw", "cali-OUTPUT", "clI8WObfCl4yhr60 ZbkN6P8OdRcBRPpU ry5_UEpt1OaPPCxO MGhICIksKDnYMIkW"),
        (
            "3.30",
            VXLAN,
            "mangle",
            "cali-POSTROUTING",
            "NX-7roTexQ3fGRfU JkYr4aB8O4_N8NBS nO0nbHA3Or7V6l7t mgxNjIoKySH7TEGH",
        ),
        ("3.30", VXLAN, "nat", "cali-POSTROUTING", "Z-c7XtVd2Bq7s_hA nYKhEzDlr11Jccal e9dnSgSVNmIcpVhP"),
    ],
)
def test_hashes_are_those_of_real_nodes(version, encapsulation, table, name, found):
    assert hashes(felix(version, encapsulation), table, name) == found


# A node of a real cluster (3.28, VXLAN) with these pods; its chains as somebody published them.
REAL = (
    Workload("cali1dac8782bdb", "calico-apiserver", "calico-apiserver"),
    Workload("cali3579be14420", "calico-system", "calico-kube-controllers"),
    Workload("cali6945b3c77c1", "kube-system", "coredns"),
    Workload("cali6f60a778e0b", "kube-system", "coredns"),
    Workload("cali868a4e4c0db", "calico-system"),
    Workload("cali9d04617f188", "calico-apiserver", "calico-apiserver"),
)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (
            "cali-INPUT",
            "J76FwxInZIsk7uKY EDCNTTxYfggApx8C H03xYXARh4e8pwd4 MN6K3isIWBigb1Va OSYphBLwOgic22Hz rmi2_piRVmfeiwVp "
            "F7Q8zu44qIbOVben",
        ),
        (
            "cali-OUTPUT",
            "Mq1_rAdXXH3YkrzW 69FkRTJDvD5Vu6Vl -QZG79DohFjalQBb iC1pSPgbvgQzkUk_ 4Zh7KtRvt4W5AEBR Y0k-bqjt-5CUqyUq",
        ),
        (
            "cali-from-wl-dispatch",
            "aHK7yU_mJjLvN9P9 wHNdnT4ytw3hnQFt _b2AeThG6a53s1Jk Bb81zxJNbVhCAzR- RzmU3PGwDi5LZ3Y1 CPCo32RHIaeTT15t",
        ),
        ("cali-from-wl-dispatch-6", "51KYRHlKbzvZo9Tu K6kzaLeHUWg36Bzo BloWYvybf6fUB-zQ"),
        (
            "cali-fw-cali1dac8782bdb",
            "ewXlV09BwxlTmEX- 6_-94GUCd3jeMzuW gj5Txhi9uVaB6bDT OPts9jGapGnT2WV8 Usb6boV_eqw3tgpW 03sJ_J_dL3kuHE4Q "
            "TdHC3BoVwoQ7eqSG YdUyQXYlcTpzYtoj LhHEycC1jQTUucMh 7JRFyOlI1qp70OgT",
        ),
        (
            "cali-fw-cali868a4e4c0db",
            "2GsL5Kvr52V3_Rc2 5o-l0ZEH2CSK1kg1 AZ82OLFQi5JrA3Ko 0cVjpDc4VFZSZlol XvPonA1l5atzC7yv hyDiszvl7n_y88Bi "
            "_BuqAFFnLhFo1xa2 P4tcGyeiPTjzY0L_ hJqGCj5uvpf4N2ti BxV4qTM2roAoCXeD",
        ),
        ("cali-pro-kns.kube-system", "tgOR2S8DVHZW3F1M"),
        ("cali-pro-_u2Tn2rSoAPffvE7JO6", "0-_UPh39dt5XfhmJ"),
        ("cali-pri-_kJqfZpgUe7r2t4A-14", "IQx0SzlDGn6BPv0A"),
    ],
)
def test_chains_of_real_pods(name, found):
    assert hashes(felix("3.28", VXLAN, workloads=REAL), "filter", name) == found


# Another one, from before 3.28: the pod's chains clear one mark bit only.
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cali-to-wl-dispatch", "DH1bLyxskFJok8LY v4KHY3mc1Ym9DiZc Z6Ww2zhhGbh19h6K EuaJOevUVXhWjfo-"),
        (
            "cali-tw-cali82a8bb394bd",
            "vrhTi3Nw7kE6Ef5t jG_UsyATyr-kJ6AQ FerW_RRGXaa36-vj YKrxQCxGe4eaqLap wfbQVtfm0N1ND8R0 9PkEFe9LRMPxCP4K "
            "i-PGBuetIpieXaJ8 43EsNrcTxe_Gut6O",
        ),
        ("cali-pro-kns.kube-system", "tgOR2S8DVHZW3F1M HVEEtYPJsiGRXCIt"),
    ],
)
def test_chains_of_real_pods_before_3_28(name, found):
    devices = ("cali82a8bb394bd", "calie930c422661", "calif3533dd3229")
    pods = tuple(Workload(device, "kube-system", "coredns") for device in devices)
    assert hashes(felix("3.26", IPIP, workloads=pods), "filter", name) == found


@pytest.mark.parametrize(
    ("name", "found"), [("cali-from-wl-dispatch", "zTj6P0TIgYvgz-md"), ("cali-to-wl-dispatch", "7KNphB1nNHw80nIO")]
)
def test_a_node_without_pods_drops_every_unknown_pod_device(name, found):
    assert hashes(felix(workloads=()), "filter", name) == found


# What each version changed; the words are looked for in the whole table.
@pytest.mark.parametrize(
    ("version", "encapsulation", "table", "words", "there"),
    [
        ("3.32", VXLAN, "nat", "cali40network-ip-pools", True),
        ("3.31", VXLAN, "nat", "cali40network-ip-pools", True),
        ("3.31.5", VXLAN, "nat", "cali40all-ipam-pools", True),
        ("3.32.0", VXLAN, "nat", "cali40all-ipam-pools", True),
        ("3.32", VXLAN, "nat", "--to-ports 4790-65535", False),
        ("3.33", IPIP, "nat", "--to-ports 4790-65535", False),
        ("3.31", NONE, "mangle", "cali-egress-dscp", True),
        ("3.30", NONE, "mangle", "cali-egress-dscp", False),
        ("3.30", NONE, "filter", "0x0/0x1b0000", True),
        ("3.29", NONE, "filter", "0x0/0xf0000", True),
        ("3.29", VXLAN, "raw", "NOTRACK", True),
        ("3.28", VXLAN, "raw", "NOTRACK", False),
        ("3.32", IPIP, "raw", "NOTRACK", False),
        ("3.28", NONE, "filter", "0x0/0x30000", True),
        ("3.27", NONE, "filter", "0x0/0x30000", False),
        ("3.27", NONE, "filter", '-A cali-pri-kns.default -m comment --comment "cali:z015TBt2tO4F28NC"', True),
        ("3.28", NONE, "filter", '-A cali-pri-kns.default -m comment --comment "cali:z015TBt2tO4F28NC"', False),
        ("3.32", IPIP, "filter", "Allow IPIP packets from Calico hosts", True),
        ("3.32", IPIP, "filter", "VXLAN packets", False),
        ("3.32", NONE, "filter", "IPIP packets", False),
        ("3.32", NONE, "nat", "--limit-iface-out", False),
        ("3.26", VXLAN, "nat", "-o vxlan.calico", True),
        ("3.26", IPIP, "nat", "-o tunl0", True),
    ],
)
def test_what_versions_and_encapsulations_change(version, encapsulation, table, words, there):
    text = print_tables((find_table(felix(version, encapsulation).ip4.tables, table),))
    assert (words in text) is there


@pytest.mark.parametrize(
    ("switch", "table", "words", "usual", "switched"),
    [
        ({"nat_outgoing": False}, "nat", "-A cali-nat-outgoing", 1, 0),
        ({"disable_conntrack_invalid_check": True}, "filter", "--ctstate INVALID -j DROP", 2, 0),
        ({"endpoint_to_host": "DROP"}, "filter", 'DefaultEndpointToHostAction" -j DROP', 0, 1),
        ({"endpoint_to_host": "RETURN"}, "filter", 'DefaultEndpointToHostAction" -j RETURN', 0, 1),
    ],
)
def test_switches(switch, table, words, usual, switched):
    counts = [print_tables((find_table(node.ip4.tables, table),)).count(words) for node in (felix(), felix(**switch))]
    assert counts == [usual, switched]


def test_without_its_invalid_drop_all_later_hashes_of_a_pods_chain_change():
    usual, without = (
        hashes(felix(**s), "filter", "cali-tw-cali12345").split()
        for s in ({}, {"disable_conntrack_invalid_check": True})
    )
    assert without[0] == usual[0]
    assert not set(without[1:]) & set(usual)


# Devices that share the next character get a chain of their own, with its own drop for unknown ones.
@pytest.mark.parametrize(
    ("devices", "root", "children"),
    [
        (["calia"], ["-i calia -g cali-fw-calia"], {}),
        (["calia", "calib"], ["-i calia -g cali-fw-calia", "-i calib -g cali-fw-calib"], {}),
        (
            ["calia1", "calia2", "calib1"],
            ["-i calia+ -g cali-from-wl-dispatch-a", "-i calib1 -g cali-fw-calib1"],
            {"a": ["-i calia1 -g cali-fw-calia1", "-i calia2 -g cali-fw-calia2"]},
        ),
        (["calia1", "calia2"], ["-i calia1 -g cali-fw-calia1", "-i calia2 -g cali-fw-calia2"], {}),  # `calia` is common
    ],
)
def test_the_pods_chain_is_found_by_its_device(devices, root, children):
    node = felix(workloads=tuple(Workload(device) for device in reversed(devices)))
    found = {
        c.name: c for c in find_table(node.ip4.tables, "filter").chains if c.name.startswith("cali-from-wl-dispatch")
    }
    assert len(found) == 1 + len(children)
    for name, expected in [("", root), *children.items()]:
        rules = [str(rule) for rule in found[f"cali-from-wl-dispatch{'-' * bool(name)}{name}"].rules]
        plain = [f"{rule.split()[2]} {rule.split()[3]} {' '.join(rule.split()[-2:])}" for rule in rules[:-1]]
        assert plain == expected
        assert rules[-1].endswith('"Unknown interface" -j DROP')


def test_pods_of_one_namespace_share_its_profile():
    node = felix(workloads=(Workload("calia", "demo"), Workload("calib", "demo"), Workload("calic", "other")))
    names = [c.name for c in find_table(node.ip4.tables, "filter").chains if c.name.startswith("cali-pri-kns")]
    assert names == ["cali-pri-kns.demo", "cali-pri-kns.other"]


@pytest.mark.parametrize(
    ("name", "chain_name"),
    [
        ("kns.demo", "cali-pri-kns.demo"),
        ("k" * 19, "cali-pri-" + "k" * 19),  # 28 characters fit
        ("_" + "k" * 18, "cali-pri-_XIOBxkNP9hCBp6S0sM"),  # could be taken for a hash
        ("ksa.kube-system.coredns", "cali-pri-_u2Tn2rSoAPffvE7JO6"),
    ],
)
def test_chain_names_that_are_too_long_become_hashes(name, chain_name):
    assert limited("cali-pri-", name) == chain_name
    assert len(chain_name) <= 28


# Others wrote above and below since Felix last looked: it puts its first rule first and its last rules last again.
def test_felix_restores_the_order_and_leaves_the_rules_of_others():
    node = felix("3.32", VXLAN)
    jump = parse_rule('-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD')
    last = parse_rule("-A FORWARD -i en0 -j ACCEPT")
    drop = parse_rule("-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP")
    tables = append(insert(node.ip4.tables, "filter", jump), "filter", [last, drop])
    lines = chain(start_felix(node.with_ip4(tables=tables), calico("3.32", VXLAN), [POD]), "filter", "FORWARD")
    assert [line.split()[-1] for line in lines] == [
        "cali-FORWARD",
        "KUBE-FORWARD",
        "ACCEPT",
        "ACCEPT",
        "0x10000/0x10000",
    ]
    assert lines[2] == str(last)


def test_starting_again_changes_nothing():
    node = felix("3.30", IPIP)
    assert start_felix(node, calico("3.30", IPIP), [POD]) == node


def test_an_upgrade_or_a_vanished_pod_leaves_nothing_behind():
    old = felix("3.26", IPIP, workloads=(POD, Workload("calix", "gone")))
    assert start_felix(old, calico("3.32", VXLAN), [POD]) == felix("3.32", VXLAN)


@pytest.mark.parametrize(("version", "encapsulation"), MODELLED)
def test_every_version_prints_and_parses_and_jumps_only_to_chains_that_are_there(version, encapsulation):
    node = felix(version, encapsulation, workloads=(POD, Workload("cali19", "demo"), Workload("cali2", "demo")))
    assert parse_tables(print_tables(node.ip4.tables)) == node.ip4.tables
    for table in node.ip4.tables:
        check_table(table)
        used = {rule.target.chain for c in table.chains for rule in c.rules if hasattr(rule.target, "chain")}
        assert used == {c.name for c in table.chains if not c.policy}  # only chains something jumps to are programmed


@pytest.mark.parametrize(("version", "encapsulation"), MODELLED)
def test_every_set_a_rule_asks_for_exists(version, encapsulation):
    node = felix(version, encapsulation)
    words = print_tables(node.ip4.tables).split()
    asked = {words[place + 1] for place, word in enumerate(words) if word == "--match-set"}
    assert asked <= {found.name for found in node.sets}


@pytest.mark.parametrize(
    ("version", "encapsulation", "more", "name", "members"),
    [
        ("3.32", NONE, {}, "masq-ipam-pools", "10.233.64.0/18"),
        ("3.32", NONE, {"nat_outgoing": False}, "masq-ipam-pools", ""),
        ("3.32", NONE, {"extra_pools": (IPv4Network("172.16.0.0/16"),)}, "masq-ipam-pools", "10.233.64.0/18"),
        (
            "3.32",
            NONE,
            {"extra_pools": (IPv4Network("172.16.0.0/16"),)},
            "network-ip-pools",
            "10.233.64.0/18 172.16.0.0/16",
        ),
        ("3.31.5", NONE, {}, "all-ipam-pools", "10.233.64.0/18"),
        ("3.32", VXLAN, {}, "all-vxlan-net", "172.16.1.3/32 172.17.1.1/32 172.17.1.2/32"),  # not node1 itself
        ("3.32", IPIP, {}, "all-hosts-net", "172.16.1.2/32 172.16.1.3/32 172.17.1.1/32 172.17.1.2/32"),
    ],
)
def test_members_of_the_sets(version, encapsulation, more, name, members):
    sets = {found.name: found for found in felix(version, encapsulation, **more).sets}
    assert " ".join(map(str, sets[f"cali40{name}"].members)) == members


def test_felix_turns_the_node_into_a_router_and_says_so():
    written = {line.key: line for line in felix().sysctls}
    assert (written["net.ipv4.ip_forward"].value, written["net.netfilter.nf_conntrack_acct"].value) == ("1", "1")
    rules = [rule for t in felix("3.29").ip4.tables for c in t.chains for rule in c.rules]
    assert {rule.origin.writer for rule in rules} == {"Felix v3.29"}
    assert all(rule.origin.why and "\n" not in rule.origin.why for rule in rules)


@pytest.mark.parametrize("wrong", [{"version": "3.25"}, {"version": "3.28.2"}, {"endpoint_to_host": "REJECT"}])
def test_what_is_not_modelled_is_named(wrong):
    with pytest.raises(Unsupported, match=next(iter(wrong.values()))):
        Calico(CLUSTER.nodes, (CLUSTER.pod_cidr,), **wrong)


def in_a_namespace(script: str) -> str:
    """Run a shell script in a network namespace of its own and return what it prints."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if absent := [
        program for program in ("unshare", "ipset", "iptables-nft-restore") if not shutil.which(program, path=path)
    ]:
        pytest.skip(f"not installed: {', '.join(absent)}")
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    unshare = ["unshare", *root, "--net", "sh", "-e", "-c"]
    environment = os.environ | {"PATH": path}
    if subprocess.run([*unshare, "true"], env=environment, capture_output=True, check=False).returncode:
        pytest.skip("network namespaces are not allowed")
    done = subprocess.run([*unshare, script], env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout


@pytest.mark.kernel
@pytest.mark.parametrize(("version", "encapsulation"), MODELLED)
def test_the_kernel_takes_the_rules_and_prints_the_same_text(version, encapsulation):
    node = felix(version, encapsulation, workloads=(POD, Workload("cali19", "demo"), Workload("cali2", "demo")))
    rules, sets = print_tables(node.ip4.tables), print_sets(node.sets)
    script = f"ipset restore <<'END'\n{sets}END\niptables-nft-restore <<'END'\n{rules}END\n"
    printed = in_a_namespace(f"{script}iptables-nft-save\n")
    assert "".join(f"{line}\n" for line in printed.splitlines() if not line.startswith("#")) == rules


# Hashes of the branch release-v3.33 and of 3.30 to 3.32 with flow logs, re-computed from published chains.
@pytest.mark.parametrize(
    ("version", "encapsulation", "more", "table", "name", "found"),
    [
        ("3.33", VXLAN, {}, "nat", "cali-POSTROUTING", "k5tPXc7Lt1qvBU9K ZUy_r64wRDl4JBc4"),
        ("3.32", NONE, LOGGED, "filter", "cali-pri-kns.default", "WMSw8BmYOknRHfsz e-WThlKVDVygttEW"),
        ("3.30", NONE, LOGGED, "filter", "cali-pro-kns.default", "Vr81boRqq4V77Sg8 g6BYqmwsps9oKYEQ"),
        ("3.32", NONE, {}, "nat", "cali-nat-outgoing", "W_qq_N2KSTWyCvrX"),
        ("3.31.5", NONE, {}, "nat", "cali-nat-outgoing", "flqWnvo8yq4ULQLa"),
    ],
)
def test_hashes_of_what_releases_changed(version, encapsulation, more, table, name, found):
    assert hashes(felix(version, encapsulation, **more), table, name).endswith(found)


def test_flow_logs_before_each_drop_and_behind_each_allow():
    node = felix("3.32", **LOGGED)
    said = [line for line in chain(node, "filter", "cali-tw-cali12345") if "NFLOG" in line]
    assert [line.split("-j ")[1] for line in said] == ["NFLOG --nflog-prefix DRI --nflog-group 1 --nflog-size 80"]
    assert chain(node, "filter", "cali-pro-kns.default")[1].endswith(
        '-m mark --mark 0x10000/0x10000 -j NFLOG --nflog-prefix "ARE0|kns.default" --nflog-group 2 --nflog-size 80'
    )


def test_flow_logs_of_policies():
    selected = replace(POD, namespace="demo")
    node = felix("3.32", workloads=(selected,), policies=APPLIED[PodPolicy.FROM_PODS], endpoints=(selected,), **LOGGED)
    said = [line.split("-j ")[1] for table in ("filter",) for line in rules_with(node, table, "NFLOG")]
    assert any('"DPI|default"' in line for line in said)
    assert any(line.startswith('NFLOG --nflog-prefix "API0|knp/demo/allow-pods"') for line in said)


def rules_with(node: Netns, table: str, word: str) -> list[str]:
    chains = find_table(node.ip4.tables, table).chains
    return [str(rule) for found in chains for rule in found.rules if word in str(rule)]


@pytest.mark.parametrize(("version", "counts"), [("3.29", False), ("3.30", True)])
def test_who_counts_the_bytes_of_connections(version, counts):
    keys = {setting.key for setting in felix(version).sysctls}
    assert ("net.netfilter.nf_conntrack_acct" in keys) is counts


@pytest.mark.parametrize(("version", "logs"), [("3.29", False), ("3.30", True), ("3.33", True)])
def test_what_the_operator_makes(version, logs):
    made = Calico.by_operator(CLUSTER.nodes, (CLUSTER.pod_cidr,), version)
    assert (made.encapsulation, made.cross_subnet, made.flow_logs) == (VXLAN, True, logs)


@pytest.mark.parametrize(
    ("version", "encapsulation", "near", "far"),
    [
        ("3.32", VXLAN, "via 172.16.1.3 dev en0 proto 80 onlink", "via 10.233.102.0 dev vxlan.calico onlink"),
        ("3.31", IPIP, "via 172.16.1.3 dev en0 proto bird", "via 172.17.1.1 dev tunl0 proto bird onlink"),
        ("3.33", IPIP, "via 172.16.1.3 dev en0 proto 80 onlink", "via 172.17.1.1 dev tunl0 proto 80 onlink"),
    ],
)
def test_cross_subnet_spares_the_tunnel_to_neighbours(version, encapsulation, near, far):
    node = join(
        underlay.boot(new_netns("node1"), CLUSTER.node("node1")), calico(version, encapsulation, cross_subnet=True)
    )
    ways = [str(route).strip() for route in node.ip4.routes]
    assert f"10.233.101.0/26 {near}" in ways
    assert f"10.233.102.0/26 {far}" in ways


@pytest.mark.kernel
@pytest.mark.parametrize("version", ["3.28", "3.30", "3.31.5", "3.31", "3.32", "3.33"])
def test_the_kernel_takes_what_the_operator_s_calico_writes(version):
    made = Calico.by_operator(CLUSTER.nodes, (CLUSTER.pod_cidr,), version)
    selected = replace(POD, namespace="demo")
    made = replace(made, policies=APPLIED[PodPolicy.FROM_PODS], endpoints=(selected,))
    node = start_felix(new_netns("node1"), made, (selected, Workload("cali19", "demo")))
    rules, sets = print_tables(node.ip4.tables), print_sets(node.sets)
    script = f"ipset restore <<'END'\n{sets}END\niptables-nft-restore <<'END'\n{rules}END\n"
    printed = in_a_namespace(f"{script}iptables-nft-save\n")
    assert "".join(f"{line}\n" for line in printed.splitlines() if not line.startswith("#")) == rules
