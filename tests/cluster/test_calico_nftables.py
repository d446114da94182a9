"""Felix in nftables mode: its own names, hashes and order; the kernel takes the table and prints the same text."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mcnilib.cluster.cni.calico.config import Calico, Workload
from mcnilib.cluster.cni.calico.felix import start_felix
from mcnilib.cluster.network_policy import APPLIED, NetworkPolicy, PodPolicy, PolicyPeer, PolicyPort, PolicyRule
from mcnilib.cluster.settings import Encapsulation
from mcnilib.cluster.spec import CLUSTER
from mcnilib.errors import Unsupported
from mcnilib.linux.netfilter.nftables.rule import print_ruleset
from mcnilib.linux.netns import Netns, new_netns

NONE, VXLAN, IPIP = Encapsulation
POD = Workload("cali12345", labels=(("app", "web"),), address=IPv4Address("10.233.100.3"))
WEB = PolicyRule((PolicyPeer(pods=(("role", "client"),)),), (PolicyPort(8080),))
EXAMPLE = (
    NetworkPolicy("default", "deny-all", ingress=(), egress=()),
    NetworkPolicy("default", "allow-web", (("app", "web"),), ingress=(WEB,)),
)
"""Default-deny, and what a label may send to a port."""


def felix(version: str, encapsulation: Encapsulation = VXLAN, *pods: Workload, **more: object) -> Netns:
    told = Calico(CLUSTER.nodes, (CLUSTER.pod_cidr,), version, encapsulation, dataplane="nftables", **more)
    return start_felix(new_netns("node1"), told, pods or (POD,))


def chain(node: Netns, name: str) -> str:
    text = print_ruleset(node.ip4.nft)
    begin = text.index(f"\tchain {name} {{\n")
    return text[begin : text.index("\t}\n", begin)]


# Published hashes: felix/fv/cali-nftables-dump.txt, and those re-computed with its recipe.
@pytest.mark.parametrize(
    ("version", "name", "found"),
    [
        ("3.33", "filter-cali-FORWARD", "DjLNGAdnReheqqCp nYRf9HAGIu4qv2zI"),
        ("3.33", "nat-cali-POSTROUTING", "tyzVzs_JgnIisxS6 _Ye9aC74uuE93XON iizGigGk7eNkPZ-h YRTaz6_HLitfcuyq"),
        ("3.32", "nat-cali-POSTROUTING", "tyzVzs_JgnIisxS6 _Ye9aC74uuE93XON 2Er8attV1nLNdKXr"),
        ("3.33", "nat-cali-nat-outgoing", "oMLt0S09xBKlYFS5"),
        ("3.32.0", "nat-cali-nat-outgoing", "JjuWIaIfSLZi41Xk"),
        ("3.33", "filter-cali-pi-knp/default/allow-web", "-O--3zzYiFC_KB-t"),
        ("3.33", "filter-cali-pi-knp/default/deny-all", "iC1nd1zltFi7sGkF"),
        ("3.33", "filter-cali-pri-kns.default", "q9-9Gdat5_ETkrCZ"),
        ("3.33", "filter-cali-pri-ksa.default.default", "p_Mw2SCh5ugQsIFB"),
        (
            "3.33",
            "filter-cali-tw-cali12345",
            "QthQ7SrvZg_4oB8e kvamJZXNuQ3mmvPE 3NYNMYSqKu1N-r5S AoYjT0W8rMmewGc3 9fGIgm3oBAk2Xzph 9LwivKSioe0H_byO "
            "c6i2GYfGlpR0C1iS cHMlHgF9G8anEPTL bCA-boP4zU-SlvT8 CLTxgMOn1qagQW_r guFU_ZDeCzQ9Ln6Y 9tdwJqNOJ_EEcKdx "
            "hVvVuzevmn4r3WL_ IGORxDX-tFmAmOIn",
        ),
        (
            "3.33",
            "filter-cali-fw-cali12345",
            "oZgzoFerbkc1VrDD 2qfUfxmrGRf4mToh ywJior3IsRhBMbAe PX08I_ry-yOCu_4_ BAMyqSMK2dUuofDX K-xkFHOUmBg4f-2W "
            "xsNBZ-aMD9I2kix- KVVo89aDf4DW2Hr7 6upDhG-wxPeV0xW0 zpwk3rPsb0etPpRz IJFOX_ucPfNG4meg -NhIr_hl-buxoy3s "
            "J23CstUXCB3jC_ni -50WPLfrp0itCW8p",
        ),
    ],
)
def test_hashes_as_felix_writes_them(version, name, found):
    node = felix(version, policies=EXAMPLE, endpoints=(POD,))
    hashes = re.findall(r'comment "cali:([^;]{16});', chain(node, name))
    assert hashes[: len(found.split())] == found.split()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("filter-cali-pi-knp/default/allow-web", "ip saddr @cali40s-eQYdVhGOo8UPEPLlbaVTcnI tcp dport 8080 counter"),
        ("filter-cali-from-wl-dispatch", "iifname vmap @filter-cali-from-wl-dispatch comment"),
        ("filter-cali-to-wl-dispatch", "oifname vmap @filter-cali-to-wl-dispatch comment"),
        ("filter-cali-fw-cali12345", "meta l4proto ipencap counter drop"),
        ("filter-cali-fw-cali12345", "udp dport 4789 counter drop"),
        ("raw-cali-PREROUTING", "fib saddr . mark . iif oif 0 counter drop"),
        ("nat-POSTROUTING", "type nat hook postrouting priority srcnat + 10; policy accept;"),
        ("mangle-OUTPUT", "type route hook output priority mangle; policy accept;"),
        ("nat-cali-nat-outgoing", "ip saddr @cali40masq-ipam-pools ip daddr != @cali40network-ip-pools counter"),
    ],
)
def test_how_nft_lists_what_felix_writes(name, line):
    assert line in chain(felix("3.33", policies=EXAMPLE, endpoints=(POD,)), name)


def test_nothing_of_it_is_in_iptables_and_another_start_replaces_the_table():
    node = felix("3.32")
    assert not any(found.name.startswith("cali-") for table in node.ip4.tables for found in table.chains)
    told = Calico(CLUSTER.nodes, (CLUSTER.pod_cidr,), "3.32", VXLAN, dataplane="nftables")
    assert start_felix(node, told, (POD,)) == node


@pytest.mark.parametrize(("version", "dataplane"), [("3.29", "nftables"), ("3.32", "eBPF"), ("3.32", "BPF")])
def test_what_is_not_modelled_is_refused_by_name(version, dataplane):
    with pytest.raises(Unsupported, match=dataplane):
        Calico(CLUSTER.nodes, (CLUSTER.pod_cidr,), version, dataplane=dataplane)


def listed_by_the_kernel(text: str) -> str:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if absent := [program for program in ("unshare", "nft") if not shutil.which(program, path=path)]:
        pytest.skip(f"not installed: {', '.join(absent)}")
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    unshare, environment = ["unshare", *root, "--net"], os.environ | {"PATH": path}
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("network namespaces are not allowed")
    script = [*unshare, "sh", "-e", "-c", "nft -f - && nft list ruleset"]
    done = subprocess.run(script, input=text, env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.replace("counter packets 0 bytes 0", "counter")


@pytest.mark.kernel
@pytest.mark.parametrize("encapsulation", Encapsulation)
@pytest.mark.parametrize("version", ["3.30", "3.31.5", "3.32", "3.33"])
@pytest.mark.parametrize("policy", ["none", "example", "from addresses", "port 8080"])
def test_the_kernel_takes_the_table_and_prints_the_same_text(version, encapsulation, policy):
    policies = EXAMPLE if policy == "example" else APPLIED[PodPolicy(policy)]
    pods = (POD, replace(POD, device="cali2", namespace="demo"), Workload("cali19", "demo"))
    node = felix(version, encapsulation, *pods, policies=policies, endpoints=pods, flow_logs=policy == "port 8080")
    wanted = print_ruleset(node.ip4.nft)
    assert listed_by_the_kernel(wanted).strip() == wanted.replace("counter packets 0 bytes 0", "counter").strip()
