"""kube-proxy: the rules of every version, character by character, and when it looks at the sysctl."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from mcnilib.cluster.kube_proxy import BE_LIBERAL, KubeProxy, rules, start_kube_proxy, start_kubelet
from mcnilib.cluster.kube_proxy.view import chain_hash, chain_of, endpoint_chain, probability
from mcnilib.cluster.settings import VERSIONS
from mcnilib.cluster.spec import Endpoint, HostSpec, Nic, Service, TrafficPolicy
from mcnilib.errors import Unsupported
from mcnilib.linux.netfilter.iptables.edit import find_table
from mcnilib.linux.netfilter.iptables.save import parse_tables, print_tables
from mcnilib.linux.netns import new_netns, set_sysctl

CIDR = IPv4Network("10.233.64.0/18")
NODE = HostSpec("node1", (Nic("en0", 2, "lan", IPv4Interface("172.17.1.1/16")),))
HERE = Endpoint(IPv4Address("172.17.1.200"), 80, "node1")
THERE = replace(HERE, node="node2")
WEB = Service(
    *("demo", "web", IPv4Address("10.233.0.100"), 80, (HERE,), "http"),
    node_port=32456,
    external_policy=TrafficPolicy.LOCAL,
)
DROP = "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"

WORKED_EXAMPLE = """\
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-PROXY-CANARY - [0:0]
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -j KUBE-FIREWALL
-A INPUT @NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-A INPUT @NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A FORWARD @NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD @NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A FORWARD @NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A OUTPUT -j KUBE-FIREWALL
-A OUTPUT @NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A OUTPUT @NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 @MARTIAN -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack @KNOWN -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-EXT-XRY76EGRC3BSCIIJ - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-SEP-TVIFX4FMHXR6NYDR - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-XRY76EGRC3BSCIIJ - [0:0]
:KUBE-SVL-XRY76EGRC3BSCIIJ - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
@EXT -s 10.233.64.0/18 -m comment --comment "pod traffic for demo/web:http external destinations" -j @SVC
@EXT -m comment --comment "masquerade LOCAL traffic for demo/web:http external destinations" @LOCAL -j KUBE-MARK-MASQ
@EXT -m comment --comment "route LOCAL traffic for demo/web:http external destinations" @LOCAL -j @SVC
@EXT -j @SVL
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-NODEPORTS -p tcp -m comment --comment "demo/web:http" -m tcp --dport 32456 -j KUBE-EXT-XRY76EGRC3BSCIIJ
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
@SEP -s 172.17.1.200/32 -m comment --comment "demo/web:http" -j KUBE-MARK-MASQ
@SEP -p tcp -m comment --comment "demo/web:http" -m tcp -j DNAT --to-destination 172.17.1.200:80
-A KUBE-SERVICES -d 10.233.0.100/32 -p tcp -m comment --comment "demo/web:http cluster IP" -m tcp --dport 80 -j @SVC
-A KUBE-SERVICES -m comment --comment @LAST -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
@SVC ! -s 10.233.64.0/18 -d 10.233.0.100/32 -p tcp -m comment --comment "demo/web:http cluster IP" @P80 -j @MASQ
@SVC -m comment --comment "demo/web:http -> 172.17.1.200:80" -j KUBE-SEP-TVIFX4FMHXR6NYDR
@SVL -m comment --comment "demo/web:http -> 172.17.1.200:80" -j KUBE-SEP-TVIFX4FMHXR6NYDR
COMMIT
"""
SHORT = {
    "-j @SVC": "-j KUBE-SVC-XRY76EGRC3BSCIIJ",
    "-j @SVL": "-j KUBE-SVL-XRY76EGRC3BSCIIJ",
    "@SVC": "-A KUBE-SVC-XRY76EGRC3BSCIIJ",
    "@SVL": "-A KUBE-SVL-XRY76EGRC3BSCIIJ",
    "@EXT": "-A KUBE-EXT-XRY76EGRC3BSCIIJ",
    "@SEP": "-A KUBE-SEP-TVIFX4FMHXR6NYDR",
    "@LOCAL": "-m addrtype --src-type LOCAL",
    "@LAST": '"kubernetes service nodeports; NOTE: this must be the last rule in this chain"',
    "@P80": "-m tcp --dport 80",
    "@MASQ": "KUBE-MARK-MASQ",
    "@NEW": "-m conntrack --ctstate NEW",
    "@MARTIAN": '-m comment --comment "block incoming localnet connections" '
    "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT",
    "@KNOWN": "--ctstate RELATED,ESTABLISHED",
}
"""Abbreviations of this file's expectations; what is compared is the full text."""


def full(text):
    for short, words in SHORT.items():
        text = text.replace(short, words)
    return text


def node(version, *events, service=WEB, **flags):
    """Play events on an empty node: `start` (or restart) kube-proxy, `liberal`, `strict`."""
    netns, proxy = new_netns("node1"), KubeProxy(version, **{"cluster_cidr": CIDR, **flags})
    for event in events or ("start",):
        if event == "start":
            netns = start_kube_proxy(netns, proxy, NODE, (service,) if service else ())
        else:
            netns = set_sysctl(netns, BE_LIBERAL, "1" if event == "liberal" else "0")
    return netns


def save(netns):
    return print_tables(netns.ip4.tables)


def lines(netns, chain=""):
    return [line for line in save(netns).splitlines() if line.startswith(f"-A {chain}")]


def written(version, service, **flags):
    """Return the rules kube-proxy writes for a service, without the chains every node has."""
    proxy = KubeProxy(version, **{"cluster_cidr": CIDR, **flags})
    every = {line.text for line in rules(proxy, NODE, ()).lines}
    return [line.text for line in rules(proxy, NODE, (service,)).lines if line.text not in every]


# the worked example


@pytest.mark.parametrize("version", ["1.27", "1.28", "1.29", "1.30", "1.31", "1.35"])
def test_a_node_with_a_local_endpoint(version):
    assert save(node(version)) == full(WORKED_EXAMPLE)


@pytest.mark.parametrize("version", ["1.29", "1.30", "1.31", "1.35"])
def test_started_with_be_liberal_only_the_drop_is_missing(version):
    assert save(node(version, "liberal", "start")) == full(WORKED_EXAMPLE).replace(DROP + "\n", "")


@pytest.mark.parametrize("version", ["1.31", "1.35"])
def test_with_counters_two_lines_differ(version):
    proxy = KubeProxy(version, CIDR, nfacct=True)
    plain, counted = rules(replace(proxy, nfacct=False), NODE, (WEB,)).lines, rules(proxy, NODE, (WEB,)).lines
    expected = [line.text for line in plain]
    expected[expected.index(DROP)] = (
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct --nfacct-name  ct_state_invalid_dropped_pkts -j DROP"
    )
    port = next(i for i, text in enumerate(expected) if text.startswith("-A KUBE-NODEPORTS"))
    expected.insert(
        port,
        '-A KUBE-NODEPORTS -d 127.0.0.0/8 -p tcp -m comment --comment "demo/web:http" -m tcp --dport 32456 '
        "-m nfacct --nfacct-name  localhost_nps_accepted_pkts -j KUBE-EXT-XRY76EGRC3BSCIIJ",
    )
    assert [line.text for line in counted] == expected


def test_a_node_without_local_endpoint():
    got = save(node("1.28", service=replace(WEB, endpoints=(THERE,)))).splitlines()
    expected = [line for line in full(WORKED_EXAMPLE).splitlines() if "KUBE-SVL-" not in line]
    expected.insert(
        expected.index(full("-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 @MARTIAN -j DROP")),
        '-A KUBE-EXTERNAL-SERVICES -p tcp -m comment --comment "demo/web:http has no local endpoints" '
        "-m addrtype --dst-type LOCAL -m tcp --dport 32456 -j DROP",
    )
    assert got == expected


# the INVALID drop


@pytest.mark.parametrize(
    ("version", "events", "drops"),
    [
        ("1.22", "liberal start", True),
        ("1.28", "start", True),
        ("1.28", "liberal start", True),  # too old to look
        ("1.28", "liberal start start", True),
        ("1.29", "start", True),
        ("1.29", "start liberal", True),  # looked too early
        ("1.29", "start liberal start", False),  # the documented remedy
        ("1.29", "liberal start", False),
        ("1.29", "liberal start strict", False),  # set back: absent until the next start
        ("1.29", "liberal start strict start", True),
        ("1.35", "start liberal start", False),
    ],
)
def test_when_the_drop_rule_is_there(version, events, drops):
    assert (DROP in lines(node(version, *events.split()))) is drops


def test_tcp_be_liberal_writes_the_sysctl_before_it_is_read():
    netns = node("1.29", tcp_be_liberal=True)
    assert DROP not in lines(netns)
    assert f"{BE_LIBERAL} = 1" in map(str, netns.sysctls)


def test_the_drop_says_who_wrote_it_and_why():
    chain = {c.name: c for t in node("1.29").ip4.tables if t.name == "filter" for c in t.chains}["KUBE-FORWARD"]
    assert chain.rules[0].origin.writer == "kube-proxy 1.29"
    assert "because nf_conntrack_tcp_be_liberal was 0 when kube-proxy started" in chain.rules[0].origin.why


# names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ns1/svc1:p80tcp", "XPGD46QRK7WJZT7O"),
        ("ns1/svc1:p80tcp10.180.0.1:80", "SXIVWICOYRO3J4NJ"),
        ("demo/web:httptcp", "XRY76EGRC3BSCIIJ"),
        ("demo/web:httptcp172.17.1.200:80", "TVIFX4FMHXR6NYDR"),
        ("demo/webtcp", "YTGZ2JEENUBCE3T3"),
    ],
)
def test_hashes_of_chain_names(text, expected):
    assert chain_hash(text) == expected


def test_a_port_without_name_is_hashed_without_colon():
    assert chain_of("SVC", replace(WEB, port_name="")) == "KUBE-SVC-YTGZ2JEENUBCE3T3"
    assert endpoint_chain(WEB, HERE) == "KUBE-SEP-TVIFX4FMHXR6NYDR"


@pytest.mark.parametrize(
    ("n", "printed"),
    [(2, "0.50000000000"), (3, "0.33333333349"), (4, "0.25000000000"), (5, "0.20000000019"), (7, "0.14285714272")],
)
def test_probabilities_as_iptables_keeps_them(n, printed):
    assert probability(n) == f" -m statistic --mode random --probability {printed}"


# policies, masquerading, endpoints (1.25 and later)

THREE = tuple(
    Endpoint(IPv4Address(f"10.233.{x}.2"), 80, n) for x, n in ((100, "node1"), (101, "node2"), (102, "node3"))
)


def test_one_of_three_endpoints_is_chosen_by_lot():
    service = replace(WEB, endpoints=THREE, node_port=0)
    chosen = [line for line in written("1.28", service) if line.startswith("-A KUBE-SVC-") and "->" in line]
    assert [line.split(" -> ")[1].split(" -j")[0] for line in chosen] == [
        '10.233.100.2:80" -m statistic --mode random --probability 0.33333333349',
        '10.233.101.2:80" -m statistic --mode random --probability 0.50000000000',
        '10.233.102.2:80"',
    ]


@pytest.mark.parametrize(
    ("flags", "source"),
    [
        ({}, "! -s 10.233.64.0/18 "),
        ({"cluster_cidr": None}, None),  # nobody is known to be outside: no masquerading
        ({"masquerade_all": True}, ""),
        ({"masquerade_all": True, "cluster_cidr": None}, ""),
    ],
)
def test_who_is_masqueraded_on_the_way_to_a_cluster_ip(flags, source):
    marks = [x for x in written("1.28", WEB, **flags) if x.startswith("-A KUBE-SVC-") and x.endswith("KUBE-MARK-MASQ")]
    line = f"-A KUBE-SVC-XRY76EGRC3BSCIIJ {source}-d 10.233.0.100/32 -p tcp -m comment --comment "
    assert marks == (
        [] if source is None else [f'{line}"demo/web:http cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ']
    )


@pytest.mark.parametrize(
    ("policy", "flags", "expected"),
    [
        (
            TrafficPolicy.CLUSTER,
            {},
            [
                '@EXT -m comment --comment "masquerade traffic for demo/web:http external destinations" -j @MASQ',
                "@EXT -j @SVC",
            ],
        ),
        (
            TrafficPolicy.LOCAL,
            {"cluster_cidr": None},
            [
                '@EXT -m comment --comment "masquerade LOCAL traffic for demo/web:http external destinations" @LOCAL '
                "-j KUBE-MARK-MASQ",
                '@EXT -m comment --comment "route LOCAL traffic for demo/web:http external destinations" @LOCAL '
                "-j @SVC",
                "@EXT -j @SVL",
            ],
        ),
    ],
)
def test_external_traffic_policy(policy, flags, expected):
    got = [x for x in written("1.28", replace(WEB, external_policy=policy), **flags) if x.startswith("-A KUBE-EXT-")]
    assert got == [full(line) for line in expected]


REJECTED = '-m comment --comment "demo/web:http has no endpoints"'
WITH = "-j REJECT --reject-with icmp-port-unreachable"


@pytest.mark.parametrize("version", ["1.22", "1.24", "1.28", "1.35"])
def test_a_service_without_endpoints_is_rejected(version):
    expected = [
        f"-A KUBE-SERVICES -d 10.233.0.100/32 -p tcp {REJECTED} -m tcp --dport 80 {WITH}",
        f"-A KUBE-EXTERNAL-SERVICES -p tcp {REJECTED} -m addrtype --dst-type LOCAL -m tcp --dport 32456 {WITH}",
    ]
    assert written(version, replace(WEB, endpoints=())) == expected


def test_internal_traffic_policy_local_without_local_endpoint_drops():
    service = replace(WEB, endpoints=(THERE,), internal_policy=TrafficPolicy.LOCAL, node_port=0)
    assert written("1.28", service) == [
        '-A KUBE-SERVICES -d 10.233.0.100/32 -p tcp -m comment --comment "demo/web:http has no local endpoints" '
        "-m tcp --dport 80 -j DROP"
    ]


def test_internal_traffic_policy_local_uses_the_local_chain():
    service = replace(WEB, internal_policy=TrafficPolicy.LOCAL, node_port=0)
    got = written("1.28", service)
    assert got[0].endswith("-m tcp --dport 80 -j KUBE-SVL-XRY76EGRC3BSCIIJ")
    assert not any("KUBE-SVC-" in line for line in got)


def test_affinity_first_asks_where_the_client_was():
    got = written("1.28", replace(WEB, affinity=10800, node_port=0, external_policy=TrafficPolicy.CLUSTER))
    sep, svc = "KUBE-SEP-TVIFX4FMHXR6NYDR", "-A KUBE-SVC-XRY76EGRC3BSCIIJ"
    recent = f"--name {sep} --mask 255.255.255.255 --rsource"
    comment = '-m comment --comment "demo/web:http -> 172.17.1.200:80"'
    assert got[2:4] == [
        f"{svc} {comment} -m recent --rcheck --seconds 10800 --reap {recent} -j {sep}",
        f"{svc} {comment} -j {sep}",
    ]
    assert got[-1] == (
        f'-A {sep} -p tcp -m comment --comment "demo/web:http" -m recent --set {recent} -m tcp '
        "-j DNAT --to-destination 172.17.1.200:80"
    )


def test_external_and_load_balancer_addresses():
    outside = replace(
        WEB,
        node_port=0,
        external_policy=TrafficPolicy.CLUSTER,
        external_ips=(IPv4Address("192.0.2.1"),),
        load_balancer_ips=(IPv4Address("192.0.2.2"),),
        source_ranges=(IPv4Network("203.0.113.0/24"), IPv4Network("172.17.0.0/16")),
    )
    got = written("1.28", outside)
    fw, ext, to = "KUBE-FW-XRY76EGRC3BSCIIJ", "KUBE-EXT-XRY76EGRC3BSCIIJ", "-m tcp --dport 80 -j"
    name = '-m comment --comment "demo/web:http'
    for line in (
        f'-A KUBE-SERVICES -d 192.0.2.1/32 -p tcp {name} external IP" {to} {ext}',
        f'-A KUBE-SERVICES -d 192.0.2.2/32 -p tcp {name} loadbalancer IP" {to} {fw}',
        f'-A KUBE-PROXY-FIREWALL -d 192.0.2.2/32 -p tcp {name} traffic not accepted by {fw}" {to} DROP',
        f'-A {fw} -s 203.0.113.0/24 {name} loadbalancer IP" -j {ext}',
        f'-A {fw} -s 192.0.2.2/32 {name} loadbalancer IP" -j {ext}',  # the node's own address is in a range
        f'-A {fw} -m comment --comment "other traffic to demo/web:http will be dropped by KUBE-PROXY-FIREWALL"',
    ):
        assert line in got


# older versions


@pytest.mark.parametrize(("version", "itself"), [("1.22", False), ("1.26", False), ("1.27", True), ("1.35", True)])
def test_from_1_27_on_it_guards_localhost_without_the_kubelet(version, itself):
    assert bool(lines(node(version), "KUBE-FIREWALL")) is itself
    assert ("-A INPUT -j KUBE-FIREWALL" in lines(node(version))) is itself


def test_1_24_marks_where_there_is_no_local_endpoint():
    got = written("1.24", replace(WEB, endpoints=(THERE,)))
    assert full("@EXT -j @SVL") in got
    assert full('@SVL -m comment --comment "demo/web:http has no local endpoints" -j KUBE-MARK-DROP') in got
    assert not any(line.startswith("-A KUBE-EXTERNAL-SERVICES") for line in got)


XLB = "-A KUBE-XLB-XRY76EGRC3BSCIIJ"


@pytest.mark.parametrize(
    ("version", "endpoint", "last"),
    [
        ("1.22", HERE, f'{XLB} -m comment --comment "Balancing rule 0 for demo/web:http" -j KUBE-SEP-TVIFX4FMHXR6NYDR'),
        ("1.23", HERE, f'{XLB} -m comment --comment "demo/web:http" -j KUBE-SEP-TVIFX4FMHXR6NYDR'),
        ("1.22", THERE, f'{XLB} -m comment --comment "demo/web:http has no local endpoints" -j KUBE-MARK-DROP'),
        ("1.23", THERE, f'{XLB} -m comment --comment "demo/web:http has no local endpoints" -j KUBE-MARK-DROP'),
    ],
)
def test_1_22_and_1_23_have_a_chain_for_local_endpoints(version, endpoint, last):
    got = [x for x in written(version, replace(WEB, endpoints=(endpoint,))) if x.startswith(XLB)]
    assert got == [
        full(
            f"{XLB} -s 10.233.64.0/18 -m comment --comment "
            '"Redirect pods trying to reach external loadbalancer VIP to clusterIP" -j @SVC'
        ),
        full(f'{XLB} -m comment --comment "masquerade LOCAL traffic for demo/web:http LB IP" @LOCAL -j @MASQ'),
        full(
            f'{XLB} -m comment --comment "route LOCAL traffic for demo/web:http LB IP to service chain" @LOCAL -j @SVC'
        ),
        last,
    ]


@pytest.mark.parametrize("version", ["1.22", "1.23"])
def test_1_22_and_1_23_masquerade_a_node_port_in_the_services_chain(version):
    got = written(version, replace(WEB, external_policy=TrafficPolicy.CLUSTER))
    port = '-p tcp -m comment --comment "demo/web:http" -m tcp --dport 32456'
    assert full(f"@SVC {port} -j @MASQ") in got
    assert full(f"-A KUBE-NODEPORTS {port} -j @SVC") in got


@pytest.mark.parametrize(("version", "count"), [("1.22", 2), ("1.23", 1), ("1.28", 1)])
def test_rules_for_known_connections(version, count):
    forward = lines(node(version), "KUBE-FORWARD")
    assert len([line for line in forward if "RELATED,ESTABLISHED" in line]) == count


@pytest.mark.parametrize("version", VERSIONS)
def test_text_and_back_for_every_version(version):
    netns = start_kubelet(new_netns("node1"), version)
    netns = start_kube_proxy(netns, KubeProxy(version, CIDR), NODE, (WEB, replace(WEB, name="two", endpoints=THREE)))
    assert parse_tables(save(netns)) == netns.ip4.tables


@pytest.mark.parametrize("version", VERSIONS)
def test_a_restart_changes_nothing_by_itself(version):
    assert node(version, "start", "start") == node(version, "start")


def test_a_restart_after_an_upgrade_leaves_nothing_of_the_old_service_chains():
    old = node("1.23")
    new = start_kube_proxy(old, KubeProxy("1.28", CIDR), NODE, (WEB,))
    assert "KUBE-XLB-" not in save(new)


# the kubelet, and the order of jumps


@pytest.mark.parametrize("version", VERSIONS)
def test_kubelet_starts_first_so_its_jumps_stay_below(version):
    netns = start_kube_proxy(start_kubelet(new_netns("node1"), version), KubeProxy(version, CIDR), NODE)
    assert lines(netns, "INPUT")[-1] == "-A INPUT -j KUBE-FIREWALL"
    assert str(find_table(netns.ip4.tables, "filter").chain("OUTPUT").rules[-1]) == "-A OUTPUT -j KUBE-FIREWALL"
    assert lines(netns, "INPUT").count("-A INPUT -j KUBE-FIREWALL") == 1


@pytest.mark.parametrize(
    ("version", "chains"),
    [
        ("1.23", ["KUBE-KUBELET-CANARY"]),
        ("1.24", ["KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY"]),
        ("1.27", ["KUBE-IPTABLES-HINT"]),
    ],
)
def test_chains_of_the_kubelet_in_mangle(version, chains):
    mangle = start_kubelet(new_netns("node1"), version).ip4.tables[0]
    assert [chain.name for chain in mangle.chains if not chain.policy] == chains


def test_the_kubelet_drops_what_older_kube_proxies_mark():
    netns = start_kubelet(new_netns("node1"), "1.24")
    assert "-A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000" in lines(netns)
    assert lines(netns, "KUBE-FIREWALL")[0] == (
        '-A KUBE-FIREWALL -m comment --comment "kubernetes firewall for dropping marked packets" '
        "-m mark --mark 0x8000/0x8000 -j DROP"
    )


@pytest.mark.parametrize(
    ("version", "first"),
    [("1.24", "dropping marked packets"), ("1.25", "block incoming"), ("1.26", "block incoming"), ("1.27", "block incoming")],
)  # fmt: skip
def test_which_drop_of_the_kubelet_is_first(version, first):
    assert first in lines(start_kubelet(new_netns("node1"), version), "KUBE-FIREWALL")[0]


def test_jumps_that_are_there_are_not_moved():
    """Felix puts itself on top after kube-proxy; a restarted kube-proxy stays below."""
    from mcnilib.linux.netfilter.iptables.edit import insert, new_chain
    from mcnilib.linux.netfilter.iptables.save import parse_rule

    netns = node("1.28")
    tables = new_chain(netns.ip4.tables, "filter", "cali-FORWARD")
    netns = netns.with_ip4(tables=insert(tables, "filter", parse_rule("-A FORWARD -j cali-FORWARD")))
    again = start_kube_proxy(netns, KubeProxy("1.28", CIDR), NODE, (WEB,))
    assert lines(again, "FORWARD") == lines(netns, "FORWARD")
    assert lines(again, "FORWARD")[0] == "-A FORWARD -j cali-FORWARD"


def test_localhost_node_ports_off():
    netns = node("1.28", localhost_node_ports=False)
    assert not lines(netns, "KUBE-FIREWALL")
    assert full(
        "-A KUBE-SERVICES ! -d 127.0.0.0/8 -m comment --comment @LAST -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"
    ) in lines(netns)
    assert not any("route_localnet" in setting.key for setting in netns.sysctls)


# what is refused


@pytest.mark.parametrize("version", ["1.21", "1.38", "2.0", ""])
def test_versions_that_are_not_modelled(version):
    with pytest.raises(Unsupported, match=r"modelled are 1\.22 to 1\.37"):
        KubeProxy(version)


@pytest.mark.parametrize(
    ("version", "flag"),
    [("1.28", {"tcp_be_liberal": True}), ("1.30", {"nfacct": True}), ("1.25", {"localhost_node_ports": False})],
)
def test_flags_a_version_does_not_have(version, flag):
    with pytest.raises(ValueError, match="kube-proxy 1"):
        KubeProxy(version, **flag)
