"""NetworkPolicies as Felix writes them: names, hashes, IP sets, and what becomes of a conversation."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from mcnilib.cluster.cni.calico.config import CALICO_VERSIONS, Calico, Workload
from mcnilib.cluster.cni.calico.felix import start_felix
from mcnilib.cluster.network_policy import Labels, NetworkPolicy, PolicyPeer, PolicyPort, PolicyRule
from mcnilib.cluster.settings import Encapsulation, PodPolicy
from mcnilib.cluster.spec import CLUSTER
from mcnilib.errors import Unsupported
from mcnilib.linux.netfilter.iptables.edit import find_table
from mcnilib.linux.netfilter.iptables.save import parse_tables, print_tables
from mcnilib.linux.netns import Netns, new_netns
from mcnilib.scenarios import scenario

WEB: Labels = (("app", "web"),)
CLIENTS = PolicyPeer((("role", "client"),))
POD = Workload("cali12345", labels=WEB, address=IPv4Address("10.233.100.3"))
CLIENT = Workload("calix", labels=CLIENTS.pods, address=IPv4Address("10.233.101.7"))
OTHER = Workload("caliy", "other", labels=CLIENTS.pods, address=IPv4Address("10.233.102.8"))

DENY = NetworkPolicy("default", "deny-all", ingress=(), egress=())
ALLOW = NetworkPolicy("default", "allow-web", WEB, ingress=(PolicyRule((CLIENTS,), (PolicyPort(8080),)),))
PRIVATE = tuple(map(IPv4Network, ("10.233.0.0/18", "10.233.64.0/18")))
OUTSIDE = PolicyPeer(block=IPv4Network("10.0.0.0/8"), without=PRIVATE)
EGRESS = NetworkPolicy("default", "egress-ext", WEB, egress=(PolicyRule((OUTSIDE,), (PolicyPort(443),)),))


def node(*policies: NetworkPolicy, version: str = "3.32", pods: tuple[Workload, ...] = (POD,)) -> Netns:
    vxlan, ends = Encapsulation.VXLAN, (POD, CLIENT, OTHER)
    config = Calico(CLUSTER.nodes, (CLUSTER.pod_cidr,), version, vxlan, policies=policies, endpoints=ends)
    return start_felix(new_netns("node1"), config, pods)


def chain(netns: Netns, name: str) -> list[str]:
    return [str(rule) for rule in find_table(netns.ip4.tables, "filter").chain(name).rules]


def hash_of(line: str) -> str:
    return line.split('"cali:')[1][:16]


# The hash of a line covers every line before it, and that of a jump the name of the chain it jumps to.
@pytest.mark.parametrize(
    ("version", "policy_chain", "first", "to_pod", "from_pod"),
    [
        ("3.32", "cali-pi-_l7X9Omtz7dibbh9L3Lp", "xfmJMI5913oepC28", "bzXeMl2qGrBxjYEO", "lL5SWpJVbEeE74A6"),
        ("3.31", "cali-pi-_Vm_1cJRadOrYgBn0juc", "bWI-yJisG_akWuLT", "eN3sRXDEp-A81lFY", "fj2Lv9AA49nT86SS"),
        ("3.30", "cali-pi-_Vm_1cJRadOrYgBn0juc", "bWI-yJisG_akWuLT", "eN3sRXDEp-A81lFY", "fj2Lv9AA49nT86SS"),
        ("3.29", "cali-pi-_Vm_1cJRadOrYgBn0juc", "bWI-yJisG_akWuLT", "Obp9oe3a7m81wT3S", "XQg-HrDGkPUQkVDy"),
        ("3.28", "cali-pi-_QMREAWxglfqoREwyt41", "PDD-BwUs4tqXLaMH", "lJ78OiwADhu1IP0K", "YrQF_Xg03g4uR5qA"),
        ("3.27", "cali-pi-_QMREAWxglfqoREwyt41", "PDD-BwUs4tqXLaMH", "N9RDT_1BdkC_ooaJ", "fUsQZrZUqNPaP4yC"),
        ("3.26", "cali-pi-_QMREAWxglfqoREwyt41", "PDD-BwUs4tqXLaMH", "N9RDT_1BdkC_ooaJ", "fUsQZrZUqNPaP4yC"),
    ],
)
def test_chains_have_felix_s_names_and_hashes(version, policy_chain, first, to_pod, from_pod) -> None:
    ingress, egress = node(DENY, ALLOW, version=version), node(EGRESS, version=version)
    assert hash_of(chain(ingress, policy_chain)[0]) == first
    assert hash_of(chain(ingress, "cali-tw-cali12345")[-1]) == to_pod
    assert hash_of(chain(egress, "cali-fw-cali12345")[-1]) == from_pod


def test_excepted_addresses_take_a_mark_away() -> None:
    lines = [line.partition(" -m comment")[0] for line in chain(node(EGRESS), "cali-po-_mvHwsZfRY8PdzCs0PUW")]
    name = "-A cali-po-_mvHwsZfRY8PdzCs0PUW"
    assert lines == [
        name,
        f"{name} -d 10.233.0.0/18",
        f"{name} -d 10.233.64.0/18",
        f"{name} -d 10.0.0.0/8 -p tcp",
    ]


@pytest.mark.parametrize(("version", "name"), [("3.32", "XgzEXiwiAal0ixtlWs5X"), ("3.29", "nrBJ0xHSr8PTSCUa-VlC")])
def test_neighbours_with_one_selector_are_a_group(version, name) -> None:
    policies = [replace(ALLOW, name=f"allow-{letter}") for letter in "ab"]
    netns = node(*policies, version=version)
    assert [line.split()[-1] for line in chain(netns, f"cali-gi-{name}")] == [
        line.split()[1] for line in map("".join, (chain(netns, c)[:1] for c in policy_chains(netns)))
    ]
    assert f"-j cali-gi-{name}" in "\n".join(chain(netns, "cali-tw-cali12345"))


def policy_chains(netns: Netns) -> list[str]:
    names = [found.name for found in find_table(netns.ip4.tables, "filter").chains if found.name.startswith("cali-pi-")]
    return sorted(names, key=lambda name: "allow-b" in "".join(chain(netns, name)))


def test_a_group_looks_every_fifth_policy_whether_one_has_decided() -> None:
    policies = [replace(ALLOW, name=f"p{number}") for number in range(1, 8)]
    netns = node(*policies)
    (group,) = (c for c in find_table(netns.ip4.tables, "filter").chains if c.name.startswith("cali-gi-"))
    returns = [place for place, rule in enumerate(group.rules) if "-j RETURN" in str(rule)]
    assert (len(group.rules), returns) == (8, [5])


def test_before_3_28_policies_stand_one_by_one() -> None:
    policies = [replace(ALLOW, name=f"allow-{letter}") for letter in "ab"]
    assert "cali-gi-" not in print_tables(node(*policies, version="3.27").ip4.tables)


@pytest.mark.parametrize(
    ("peer", "members"),
    [
        (CLIENTS, ["10.233.101.7/32"]),
        (PolicyPeer(), ["10.233.100.3/32", "10.233.101.7/32"]),
        (PolicyPeer(namespaces=()), ["10.233.100.3/32", "10.233.101.7/32", "10.233.102.8/32"]),
        (PolicyPeer(CLIENTS.pods, (("kubernetes.io/metadata.name", "other"),)), ["10.233.102.8/32"]),
        (PolicyPeer((("role", "none"),)), []),
    ],
)
def test_a_peer_is_the_calico_addresses_of_its_pods(peer, members) -> None:
    policy = replace(ALLOW, ingress=(PolicyRule((peer,)),))
    (found,) = (s for s in node(policy).sets if s.name.startswith("cali40s:"))
    assert list(map(str, found.members)) == members


def test_the_set_of_an_example_has_the_name_felix_gives_it() -> None:
    assert "cali40s:eQYdVhGOo8UPEPLlbaVTcnI" in {found.name for found in node(ALLOW).sets}


def test_a_policy_of_another_pod_leaves_no_trace() -> None:
    other = replace(ALLOW, pods=(("app", "db"),))
    assert node(other) == node()


def test_a_direction_without_policy_keeps_its_plain_chain() -> None:
    assert chain(node(ALLOW), "cali-fw-cali12345") == chain(node(), "cali-fw-cali12345")


@pytest.mark.parametrize("version", CALICO_VERSIONS)
def test_what_felix_writes_is_read_as_it_is_printed(version) -> None:
    text = print_tables(node(DENY, ALLOW, EGRESS, version=version).ip4.tables)
    assert print_tables(parse_tables(text)) == text


def test_more_ports_than_a_rule_can_hold_are_refused() -> None:
    ports = tuple(PolicyPort(number) for number in range(1, 17))
    with pytest.raises(Unsupported, match="more than 15 ports"):
        node(replace(ALLOW, ingress=(PolicyRule(ports=ports),)))


# Whom each policy of the setting lets through: who dials, and whether it connects.
@pytest.mark.parametrize(
    ("policy", "macvlan_pod", "multi_nic_pod", "calico_pod"),
    [
        (PodPolicy.NONE, True, True, True),
        (PodPolicy.DENY_INGRESS, False, False, False),
        (PodPolicy.FROM_PODS, False, True, True),
        (PodPolicy.FROM_ADDRESSES, True, True, True),
        (PodPolicy.OTHER_PORT, False, False, False),
        (PodPolicy.DENY_EGRESS, True, False, False),
    ],
)
def test_who_passes_a_policy(policy, macvlan_pod, multi_nic_pod, calico_pod) -> None:
    names = ("macvlan-to-calico-same-node", "multi-nic-to-calico", "calico-to-calico")
    passes = [works(name, policy) for name in names]
    assert passes == [macvlan_pod, multi_nic_pod, calico_pod]


def works(name: str, policy: PodPolicy) -> bool:
    told = scenario(name)
    return told.outcome(told.start().but(network_policy=policy)).works


def test_a_policy_does_not_guard_a_macvlan_pod() -> None:
    assert works("macvlan-same-subnet", PodPolicy.DENY_INGRESS)
