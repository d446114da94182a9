"""What becomes of the guide's conversations on Linux, as tables: settings, verdict, and what decides where.

A row reads: under these settings (the others as the scenario starts) this is what the person at the client sees, and
this is the packet that settles it, on which machine, in which chain (or part of Linux).
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from ipaddress import IPv4Address

import pytest

from mcnilib.cluster.settings import PodPolicy, SettingError, Settings, Tuning
from mcnilib.cluster.spec import CLUSTER
from mcnilib.errors import McniError
from mcnilib.scenarios import Scenario, ScenarioError, all_scenarios, scenario
from mcnilib.scenarios.matrix import compare, matrix
from mcnilib.trace.explain import packet_name
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import run
from mcnilib.trace.trace import Journey, Stage, Step, Trace
from mcnilib.world.commands import do
from mcnilib.world.listing import listing

CONNECTED, HANGS, TIMES_OUT = "connected", "connect succeeds, then hangs", "connect times out"
ONE_WAY, LOST, UNREACHABLE = "delivered one way only", "lost", "unreachable"
RESET = "connect succeeds, then the connection is reset"
CURE = "kube-proxy 1.29, be-liberal 1, restarted yes"
"""What the guide prescribes: kube-proxy then leaves its INVALID drop out."""


def chosen(story: Scenario, words: str) -> Settings:
    """Read `kube-proxy 1.30, placement same node` on top of the scenario's start."""
    pairs = (word.split(" ", 1) for word in words.split(", ") if word)
    return story.start().but(**dict(pairs))


def told(name: str, words: str = "", *commands: str) -> Trace:
    """Run a scenario; each command is `namespace: command` and typed before the conversation begins."""
    story = scenario(name)
    settings = chosen(story, words)
    if not commands:
        return story.run(settings)
    world = story.world(settings)
    for netns, _, command in (one.partition(": ") for one in commands):
        world = do(world, netns, command)
    return run(world, story.flow(settings), story.listeners(settings))


def place(step: Step) -> str:
    """Name where a step decided: machine and chain, or machine and part of Linux."""
    chain = "cali-tw" if step.chain.startswith("cali-tw-") else step.chain
    chain = "cali-fw" if chain.startswith("cali-fw-") else chain
    return f"{step.netns} {chain if step.table else step.stage.value}"


def end(trace: Trace) -> tuple[str, str]:
    """Return the verdict, and for failures the packet and the place that settle it."""
    outcome = trace.outcome
    settled = f"{packet_name(outcome.journey.packet)} {place(outcome.step)}"
    return outcome.verdict.value, "" if outcome.works else settled


FACTS = [
    # 1: no gateway, no node; what forbids it is the mode of the children, and only on one node
    ("macvlan-same-subnet", "", CONNECTED, ""),
    ("macvlan-same-subnet", "placement across nodes", CONNECTED, ""),
    ("macvlan-same-subnet", "macvlan-mode private", UNREACHABLE, "SYN mac1 arp"),
    ("macvlan-same-subnet", "macvlan-mode vepa", UNREACHABLE, "SYN mac1 arp"),  # the switch does not send it back
    ("macvlan-same-subnet", "macvlan-mode vepa, hairpin yes", CONNECTED, ""),
    ("macvlan-same-subnet", "macvlan-mode private, hairpin yes", UNREACHABLE, "SYN mac1 arp"),  # private: never
    ("macvlan-same-subnet", "macvlan-mode private, placement across nodes", CONNECTED, ""),
    # 2: the gateway is the way, also on one node; it sees both directions, so a firewall is content
    ("macvlan-different-subnets", "", CONNECTED, ""),
    ("macvlan-different-subnets", "stateful-gateway stateful", CONNECTED, ""),
    ("macvlan-different-subnets", "placement across nodes, stateful-gateway stateful", CONNECTED, ""),
    ("macvlan-different-subnets", "gateway absent", UNREACHABLE, "SYN mac1 arp"),
    ("macvlan-different-subnets", "gateway absent, placement across nodes", UNREACHABLE, "SYN mac1 arp"),
    # 3: a child and its parent never meet on the parent's wire, unless the switch reflects; veth0 is another wire
    ("node-to-own-macvlan", "", UNREACHABLE, "SYN node1 arp"),
    ("node-to-own-macvlan", "protocol ICMP", UNREACHABLE, "echo request node1 arp"),
    ("node-to-own-macvlan", "coordinator on", CONNECTED, ""),
    ("node-to-own-macvlan", "hairpin yes", CONNECTED, ""),
    ("node-to-own-macvlan", "hairpin yes, macvlan-mode vepa", CONNECTED, ""),
    ("macvlan-to-own-node", "", UNREACHABLE, "SYN mac1 arp"),
    ("macvlan-to-own-node", "protocol UDP", LOST, "UDP mac1 arp"),  # the socket is not told in time
    ("macvlan-to-own-node", "coordinator on", CONNECTED, ""),
    ("macvlan-to-own-node", "hairpin yes", CONNECTED, ""),
    ("macvlan-to-other-node", "", CONNECTED, ""),  # any other node is an ordinary neighbour
    ("macvlan-to-other-node", "coordinator on", CONNECTED, ""),
    # 4: without SNAT the endpoint answers the client directly, from an address the client never dialled
    ("macvlan-to-clusterip-macvlan", "", TIMES_OUT, "SYN-ACK mac3 socket"),
    ("macvlan-to-clusterip-macvlan", "protocol UDP", ONE_WAY, "UDP mac3 socket"),
    ("macvlan-to-clusterip-macvlan", CURE, TIMES_OUT, "SYN-ACK mac3 socket"),  # no drop rule, no help
    ("macvlan-to-clusterip-macvlan", "cluster-cidr yes", CONNECTED, ""),
    ("macvlan-to-clusterip-macvlan", "cluster-cidr yes, protocol UDP", CONNECTED, ""),
    ("macvlan-to-clusterip-macvlan", "masquerade-all on", CONNECTED, ""),
    ("macvlan-to-clusterip-macvlan", "endpoint mac1b", CONNECTED, ""),  # the mark sends the answer through the node
    ("macvlan-to-clusterip-macvlan", "endpoint mac1b, mark-rules off", TIMES_OUT, "SYN-ACK mac1 socket"),
    ("macvlan-to-clusterip-macvlan", "endpoint mac3", CONNECTED, ""),  # itself: a rule of its own masquerades that
    ("macvlan-to-clusterip-macvlan", "coordinator off", UNREACHABLE, "SYN gateway route"),  # nobody there knows services
    # 5: the answer leaves through eth0 and reaches the client untranslated; the mark brings it back to veth0
    ("nodeport-to-macvlan", "", TIMES_OUT, "SYN-ACK client socket"),
    ("nodeport-to-macvlan", "protocol UDP", ONE_WAY, "UDP client socket"),
    ("nodeport-to-macvlan", "mark-rules on", CONNECTED, ""),
    ("nodeport-to-macvlan", "mark-rules on, protocol UDP", CONNECTED, ""),
    ("nodeport-to-macvlan", "external-policy Cluster", CONNECTED, ""),  # the node masquerades: no mark needed
    ("nodeport-to-macvlan", "external-policy Cluster, endpoint mac4", CONNECTED, ""),
    ("nodeport-to-macvlan", "endpoint mac4", TIMES_OUT, "SYN node3 KUBE-EXTERNAL-SERVICES"),  # Local, but not local
    ("nodeport-to-macvlan", "stateful-gateway stateful", TIMES_OUT, "SYN-ACK gateway FORWARD"),  # not even a reset
    ("nodeport-to-macvlan", "mark-rules on, stateful-gateway stateful", CONNECTED, ""),
    # veth0 has no address: there loose fails as strict does, because the route to the client points elsewhere
    ("nodeport-to-macvlan", "mark-rules on, pod-rp-filter 1", TIMES_OUT, "SYN mac3 rp_filter"),
    ("nodeport-to-macvlan", "mark-rules on, pod-rp-filter 2", TIMES_OUT, "SYN mac3 rp_filter"),
    ("nodeport-to-macvlan", "external-policy Cluster, pod-rp-filter 1", CONNECTED, ""),  # from the node: by veth0
    ("nodeport-to-macvlan-from-lan", "", TIMES_OUT, "SYN-ACK lan-client socket"),  # a neighbour is no better off
    ("nodeport-to-macvlan-from-lan", "mark-rules on", CONNECTED, ""),
    ("nodeport-to-macvlan-from-lan", "endpoint mac2", TIMES_OUT, "SYN node1 KUBE-EXTERNAL-SERVICES"),
    # 6: both directions cross the node
    ("macvlan-to-calico-same-node", "", CONNECTED, ""),
    ("macvlan-to-calico-same-node", "protocol ICMP", CONNECTED, ""),
    # 7: the client connects, its ACK is INVALID on its own node; the sysctl alone does not make it valid
    ("macvlan-to-calico-across-nodes", "", HANGS, "ACK node1 KUBE-FORWARD"),
    ("macvlan-to-calico-across-nodes", "be-liberal 1, restarted yes", HANGS, "ACK node1 KUBE-FORWARD"),  # 1.28
    ("macvlan-to-calico-across-nodes", "kube-proxy 1.29, be-liberal 1", HANGS, "ACK node1 KUBE-FORWARD"),  # read at start
    ("macvlan-to-calico-across-nodes", "kube-proxy 1.29, restarted yes", HANGS, "ACK node1 KUBE-FORWARD"),
    ("macvlan-to-calico-across-nodes", CURE, CONNECTED, ""),  # 1.29 itself is enough
    ("macvlan-to-calico-across-nodes", "protocol UDP", CONNECTED, ""),  # one-sided UDP stays NEW
    ("macvlan-to-calico-across-nodes", "protocol ICMP", CONNECTED, ""),  # a ping proves nothing
    ("macvlan-to-calico-across-nodes", "felix-invalid off", HANGS, "ACK node1 KUBE-FORWARD"),  # it crosses no cali device
    ("macvlan-to-calico-across-nodes", "workaround SNAT on the pod's node", CONNECTED, ""),
    ("macvlan-to-calico-across-nodes", "workaround host route back", CONNECTED, ""),
    ("macvlan-to-calico-across-nodes", "workaround NOTRACK for the pod's veth", CONNECTED, ""),
    # with VXLAN the SYN comes from vxlan.calico, but the pod's address is reached through en0
    ("macvlan-to-calico-across-nodes", f"{CURE}, node-rp-filter 1", CONNECTED, ""),
    ("macvlan-to-calico-across-nodes", f"{CURE}, node-rp-filter 1, encapsulation VXLAN", TIMES_OUT, "SYN node2 rp_filter"),
    ("macvlan-to-calico-across-nodes", f"{CURE}, node-rp-filter 2, encapsulation VXLAN", CONNECTED, ""),
    ("macvlan-to-calico-across-nodes", f"{CURE}, pod-rp-filter 1", TIMES_OUT, "SYN-ACK mac1 rp_filter"),
    ("macvlan-to-calico-across-nodes", f"{CURE}, pod-rp-filter 2", CONNECTED, ""),
    # 8: inside a tunnel the gateway does not see the request, but it has to forward the answer
    ("macvlan-to-calico-across-subnets", "", TIMES_OUT, "SYN-ACK gateway FORWARD"),
    ("macvlan-to-calico-across-subnets", CURE, TIMES_OUT, "SYN-ACK gateway FORWARD"),  # nothing on the nodes helps
    ("macvlan-to-calico-across-subnets", "protocol ICMP", ONE_WAY, "echo reply gateway FORWARD"),
    ("macvlan-to-calico-across-subnets", "protocol UDP", CONNECTED, ""),
    ("macvlan-to-calico-across-subnets", "stateful-gateway none", HANGS, "ACK node3 KUBE-FORWARD"),
    ("macvlan-to-calico-across-subnets", f"stateful-gateway none, {CURE}", CONNECTED, ""),
    ("macvlan-to-calico-across-subnets", "encapsulation none", HANGS, "ACK node3 KUBE-FORWARD"),  # it sees both halves
    ("macvlan-to-calico-across-subnets", f"encapsulation none, {CURE}", CONNECTED, ""),
    # 9: the node's SNAT makes the path symmetric, so the drop rule has nothing to bite
    ("macvlan-to-clusterip-calico", "", CONNECTED, ""),
    ("macvlan-to-clusterip-calico", "endpoint cal1", CONNECTED, ""),
    ("macvlan-to-clusterip-calico", "encapsulation VXLAN", CONNECTED, ""),
    ("macvlan-to-clusterip-calico", "cluster-cidr no", TIMES_OUT, "SYN-ACK mac1 socket"),
    ("macvlan-to-clusterip-calico", f"cluster-cidr no, {CURE}", TIMES_OUT, "SYN-ACK mac1 socket"),
    ("macvlan-to-clusterip-calico", "cluster-cidr no, protocol UDP", ONE_WAY, "UDP mac1 socket"),
    ("macvlan-to-clusterip-calico", "cluster-cidr no, endpoint cal1", CONNECTED, ""),  # the node is on the way anyhow
    # 10: mac1 answers through its own node, which never saw a request; natOutgoing makes it answer node2
    ("calico-to-macvlan", "", TIMES_OUT, "SYN-ACK node1 KUBE-FORWARD"),
    ("calico-to-macvlan", "protocol ICMP", ONE_WAY, "echo reply node1 KUBE-FORWARD"),
    ("calico-to-macvlan", "protocol UDP", CONNECTED, ""),
    ("calico-to-macvlan", CURE, CONNECTED, ""),
    ("calico-to-macvlan", "nat-outgoing on", CONNECTED, ""),
    ("calico-to-macvlan", "placement same node", CONNECTED, ""),
    ("calico-to-macvlan", "placement same node, nat-outgoing on", CONNECTED, ""),
    # 11, 12: the pod's more specific routes decide, whatever the default
    *(
        (name, f"default-nic {nic}, tuning {tuning}, placement {where}", CONNECTED, "")
        for name in ("multi-nic-to-calico", "multi-nic-to-macvlan", "calico-to-multi-nic")
        for nic in ("eth0", "net1")
        for tuning in ("tuned", "v0.8.6", "not tuned")
        for where in ("same node", "across nodes")
    ),
    # 13: kube-proxy does not masquerade a client of the pod network; natOutgoing does, for an endpoint outside it
    ("multi-nic-to-clusterip", "", TIMES_OUT, "SYN-ACK node1 KUBE-FORWARD"),
    ("multi-nic-to-clusterip", CURE, CONNECTED, ""),
    ("multi-nic-to-clusterip", "nat-outgoing on", CONNECTED, ""),
    ("multi-nic-to-clusterip", "endpoint cal1", CONNECTED, ""),
    ("multi-nic-to-clusterip", "endpoint mac2", CONNECTED, ""),  # on mul2's own node both directions meet it
    ("multi-nic-to-clusterip", "protocol UDP", CONNECTED, ""),
    # 14: the guide's note holds for none of the two clients; `v0.8.6` is the rule of v0.8.2 to v0.8.6
    ("nodeport-to-multi-nic", "default-nic eth0", TIMES_OUT, "SYN-ACK lan-client socket"),
    ("nodeport-to-multi-nic", "default-nic net1", TIMES_OUT, "SYN-ACK lan-client socket"),  # on-link on net1 all the same
    ("nodeport-to-multi-nic", "default-nic eth0, tuning v0.8.6", TIMES_OUT, "SYN-ACK lan-client socket"),
    ("nodeport-to-multi-nic", "default-nic net1, tuning v0.8.6", CONNECTED, ""),  # there the one rule is eth0's
    ("nodeport-to-multi-nic", "default-nic eth0, tuning tuned", CONNECTED, ""),
    ("nodeport-to-multi-nic", "default-nic net1, tuning tuned", CONNECTED, ""),
    ("nodeport-to-multi-nic", "external-policy Cluster", CONNECTED, ""),  # the client is the node then
    ("nodeport-to-multi-nic", "receiving-node node1", TIMES_OUT, "SYN node1 KUBE-EXTERNAL-SERVICES"),
    # another node is a neighbour of net1 too: mul2 answers it past its own node, where Felix finds the ACK INVALID
    ("nodeport-to-multi-nic", "receiving-node node1, external-policy Cluster", HANGS, "ACK node2 cali-tw"),
    ("nodeport-to-multi-nic", "receiving-node node1, external-policy Cluster, tuning tuned", CONNECTED, ""),
    ("nodeport-to-multi-nic-from-outside", "default-nic net1", TIMES_OUT, "SYN-ACK client socket"),
    ("nodeport-to-multi-nic-from-outside", "default-nic eth0", TIMES_OUT, "SYN-ACK client socket"),  # net1's default is first
    ("nodeport-to-multi-nic-from-outside", "default-nic eth0, tuning v0.8.6", CONNECTED, ""),  # the default is enough
    ("nodeport-to-multi-nic-from-outside", "default-nic eth0, tuning tuned", CONNECTED, ""),
    ("nodeport-to-multi-nic-from-outside", "default-nic net1, tuning tuned", CONNECTED, ""),
    # 15: untuned, mul1 answers by net1 behind its node's back; Felix's rule stands before kube-proxy's, both must go
    ("macvlan-to-multi-nic", "", HANGS, "ACK node1 cali-tw"),
    ("macvlan-to-multi-nic", CURE, HANGS, "ACK node1 cali-tw"),
    ("macvlan-to-multi-nic", "felix-invalid off", HANGS, "ACK node1 KUBE-FORWARD"),
    ("macvlan-to-multi-nic", f"felix-invalid off, {CURE}", CONNECTED, ""),
    ("macvlan-to-multi-nic", "tuning tuned", CONNECTED, ""),
    ("macvlan-to-multi-nic", "placement across nodes, tuning tuned", HANGS, "ACK node1 KUBE-FORWARD"),
    ("macvlan-to-multi-nic", f"placement across nodes, tuning tuned, {CURE}", CONNECTED, ""),
    ("macvlan-to-multi-nic", f"placement across nodes, {CURE}", HANGS, "ACK node2 cali-tw"),  # the next in line
    ("macvlan-to-multi-nic", "protocol UDP", CONNECTED, ""),
    ("macvlan-to-multi-nic-underlay", "", CONNECTED, ""),
    ("macvlan-to-multi-nic-underlay", "tuning not tuned, placement same node", CONNECTED, ""),
    # 16: the Macvlan address of a multi-NIC pod needs natOutgoing: table 101 sends the answer to the gateway
    ("calico-to-multi-nic-underlay", "", TIMES_OUT, "SYN-ACK gateway route"),
    ("calico-to-multi-nic-underlay", "nat-outgoing on", CONNECTED, ""),
    ("calico-to-multi-nic-underlay", "encapsulation none", CONNECTED, ""),  # the gateway knows the pods by BGP
    ("calico-to-multi-nic-underlay", "default-nic net1", TIMES_OUT, "SYN-ACK node1 cali-fw"),
    ("calico-to-multi-nic-underlay", "default-nic net1, placement same node", CONNECTED, ""),
    ("calico-to-clusterip", "", TIMES_OUT, "SYN-ACK node2 KUBE-FORWARD"),
    ("calico-to-clusterip", "nat-outgoing on", CONNECTED, ""),
    ("macvlan-to-clusterip-multi-nic", "", TIMES_OUT, "SYN-ACK mac1 socket"),
    ("macvlan-to-clusterip-multi-nic", "cluster-cidr yes", CONNECTED, ""),
    ("macvlan-to-clusterip-multi-nic", "cluster-cidr yes, tuning not tuned", HANGS, "ACK node2 cali-tw"),  # as in 14
    ("macvlan-to-clusterip-multi-nic", "cluster-cidr yes, tuning not tuned, endpoint mul1", CONNECTED, ""),  # own node
    # 18: a pool that was disabled when the pod was created has no route there: it is left to the default route
    ("macvlan-to-disabled-pool", "", UNREACHABLE, "SYN gateway route"),
    ("macvlan-to-disabled-pool", "placement across nodes", UNREACHABLE, "SYN gateway route"),
    ("macvlan-to-disabled-pool", "encapsulation none", CONNECTED, ""),  # the gateway knows the pods by BGP
    ("macvlan-to-disabled-pool", "hijack all", CONNECTED, ""),
    ("macvlan-to-disabled-pool", "hijack all, placement across nodes", HANGS, "ACK node1 KUBE-FORWARD"),  # lesson 7 follows
    # 20: REDIRECT takes the first address of the NIC the packet came in by, and veth0 has none
    ("clusterip-to-macvlan-with-sidecar", "", TIMES_OUT, "SYN mac3 ISTIO_INBOUND"),
    ("clusterip-to-macvlan-with-sidecar", "veth-address yes", CONNECTED, ""),
    ("clusterip-to-macvlan-with-sidecar", "sidecar off", CONNECTED, ""),
    ("clusterip-to-macvlan-with-sidecar", "endpoint mac4", CONNECTED, ""),  # from another node it comes in by eth0
    ("clusterip-to-macvlan-with-sidecar", "protocol UDP", CONNECTED, ""),  # the sidecar takes TCP alone
    # 21: the cache's address is one of the node's, and only hijackCIDR leads to the node
    ("macvlan-to-node-local-dns", "", LOST, "UDP gateway route"),
    ("macvlan-to-node-local-dns", "protocol TCP", UNREACHABLE, "SYN gateway route"),
    ("macvlan-to-node-local-dns", "hijack all", CONNECTED, ""),
    ("macvlan-to-node-local-dns", "hijack all, protocol TCP", CONNECTED, ""),
    ("macvlan-to-node-local-dns", "hijack all, coordinator off", LOST, "UDP gateway route"),
    ("macvlan-to-node-local-dns", "hijack all, node-local-dns off", LOST, "UDP gateway route"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "verdict", "settled"), FACTS)
def test_what_the_client_sees_and_what_decides(name: str, settings: str, verdict: str, settled: str) -> None:
    assert end(told(name, settings)) == (verdict, settled)


INVALID_DROP = "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"


@pytest.mark.parametrize(
    ("name", "settings", "evidence", "writer"),
    [
        ("macvlan-to-calico-across-nodes", "", INVALID_DROP, "kube-proxy 1.28"),
        ("macvlan-to-calico-across-nodes", "pod-rp-filter 1", "net.ipv4.conf.all.rp_filter = 1", "coordinator"),
        ("macvlan-to-calico-across-subnets", "", "-A FORWARD -m conntrack --ctstate INVALID -j DROP", "firewall"),
        ("calico-to-macvlan", "kube-proxy 1.35", INVALID_DROP, "kube-proxy 1.35"),
        ("macvlan-to-multi-nic", "", '"cali:AOmPDKXj0AxnZS-a" -m conntrack --ctstate INVALID -j DROP', "Felix"),
        ("nodeport-to-macvlan", "endpoint mac4", 'has no local endpoints" -m addrtype', "kube-proxy 1.28"),
    ],
)
def test_the_deciding_line_and_who_wrote_it(name: str, settings: str, evidence: str, writer: str) -> None:
    step = told(name, settings).outcome.step
    assert evidence in step.evidence
    assert step.origin is not None
    assert writer.lower() in step.origin.writer.lower()


@pytest.mark.parametrize(
    ("name", "settings", "chain", "seen"),
    [
        ("macvlan-to-clusterip-macvlan", "cluster-cidr yes", "KUBE-POSTROUTING", "172.17.1.1"),
        ("macvlan-to-clusterip-macvlan", "masquerade-all on", "KUBE-POSTROUTING", "172.17.1.1"),
        ("macvlan-to-clusterip-macvlan", "endpoint mac3", "KUBE-POSTROUTING", "172.17.1.1"),
        ("macvlan-to-clusterip-macvlan", "endpoint mac1b", "", "172.16.100.2"),
        ("macvlan-to-clusterip-calico", "", "KUBE-POSTROUTING", "172.16.1.2"),
        # the address is that of the device it leaves by: in a tunnel not the node's, but the tunnel's
        ("macvlan-to-clusterip-calico", "encapsulation VXLAN", "KUBE-POSTROUTING", "10.233.100.0"),
        # a device of a pod has no address: the first one of the node that has
        ("macvlan-to-clusterip-calico", "endpoint cal1", "KUBE-POSTROUTING", "172.16.1.2"),
        ("nodeport-to-macvlan", "external-policy Cluster", "KUBE-POSTROUTING", "172.17.1.1"),
        ("nodeport-to-macvlan", "mark-rules on", "", "1.1.1.1"),  # Local keeps the client's address
        ("calico-to-macvlan", "nat-outgoing on", "cali-nat-outgoing", "172.16.1.3"),
        ("multi-nic-to-clusterip", "nat-outgoing on", "cali-nat-outgoing", "172.16.1.3"),  # not kube-proxy
        ("multi-nic-to-clusterip", "endpoint cal1, nat-outgoing on", "", "10.233.101.3"),
        ("nodeport-to-multi-nic", "tuning tuned", "", "172.16.1.100"),
    ],
)
def test_who_rewrites_the_source_and_to_what(name: str, settings: str, chain: str, seen: str) -> None:
    trace = told(name, settings)
    rules = (step for step in trace.journeys[0].steps if step.stage is Stage.NETFILTER)
    rewrites = [step.chain for step in rules if step.before.src != step.after.src]
    assert rewrites == ([chain] if chain else [])
    assert trace.outcome.seen_source == seen


def first(trace: Trace, *, reply: bool) -> Journey:
    """Return the first packet of one side."""
    return next(journey for journey in trace.journeys if journey.reply is reply)


def nic(journey: Journey) -> str:
    """Name the device by which a packet leaves the namespace that made it."""
    return next(step.oif for step in journey.steps if step.stage is Stage.DEVICE)


@pytest.mark.parametrize(
    ("name", "settings", "there", "back"),
    [
        ("macvlan-same-subnet", "", "mac1 > mac1b", "mac1b > mac1"),
        ("macvlan-same-subnet", "placement across nodes", "mac1 > mac2", "mac2 > mac1"),
        ("macvlan-different-subnets", "", "mac1 > gateway > mac17", "mac17 > gateway > mac1"),
        ("macvlan-to-own-node", "coordinator on", "mac1 > node1", "node1 > mac1"),
        # the endpoint's node is only a wire: its IP stack, rules and table 500 are not on the way
        ("macvlan-to-clusterip-macvlan", "cluster-cidr yes", "mac3 > node3 > mac4", "mac4 > node3 > mac3"),
        ("macvlan-to-clusterip-macvlan", "", "mac3 > node3 > mac4", "mac4 > mac3"),
        ("nodeport-to-macvlan", "", "client > gateway > node3 > mac3", "mac3 > gateway > client"),
        ("nodeport-to-macvlan", "mark-rules on", "client > gateway > node3 > mac3", "mac3 > node3 > gateway > client"),
        ("macvlan-to-calico-same-node", "", "mac1 > node1 > cal1", "cal1 > node1 > mac1"),
        ("macvlan-to-calico-across-nodes", "", "mac1 > node1 > node2 > cal2", "cal2 > node2 > mac1"),
        # in a tunnel the gateway carries the request without looking into it
        ("macvlan-to-calico-across-subnets", "stateful-gateway none", "mac3 > node3 > gateway > node2 > cal2",
         "cal2 > node2 > gateway > mac3"),
        ("macvlan-to-clusterip-calico", "", "mac1 > node1 > node2 > cal2", "cal2 > node2 > node1 > mac1"),
        ("calico-to-macvlan", "", "cal2 > node2 > mac1", "mac1 > node1"),
        ("calico-to-macvlan", "nat-outgoing on", "cal2 > node2 > mac1", "mac1 > node2 > cal2"),
        ("multi-nic-to-calico", "", "mul1 > node1 > node2 > cal2", "cal2 > node2 > node1 > mul1"),
        ("multi-nic-to-macvlan", "", "mul1 > mac2", "mac2 > mul1"),
        ("nodeport-to-multi-nic", "", "lan-client > node2 > mul2", "mul2 > lan-client"),
        ("nodeport-to-multi-nic", "tuning tuned", "lan-client > node2 > mul2", "mul2 > node2 > lan-client"),
        ("macvlan-to-multi-nic", "", "mac1 > node1 > mul1", "mul1 > mac1"),
        ("macvlan-to-multi-nic-underlay", "", "mac1 > mul2", "mul2 > mac1"),
    ],
)  # fmt: skip
def test_the_way_there_and_the_way_back(name: str, settings: str, there: str, back: str) -> None:
    trace = told(name, settings)
    assert [" > ".join(first(trace, reply=reply).hops()) for reply in (False, True)] == [there, back]


@pytest.mark.parametrize(
    ("name", "settings", "request_leaves", "reply_leaves"),
    [
        ("macvlan-to-clusterip-macvlan", "cluster-cidr yes", "veth0", "eth0"),  # not veth0: mac4's node is not asked
        ("macvlan-to-clusterip-macvlan", "endpoint mac1b, cluster-cidr yes", "veth0", "veth0"),
        ("nodeport-to-macvlan", "", "eth0", "eth0"),
        ("nodeport-to-macvlan", "mark-rules on", "eth0", "veth0"),
        ("multi-nic-to-calico", "default-nic net1", "eth0", "eth0"),
        ("multi-nic-to-macvlan", "default-nic eth0", "net1", "eth0"),
        ("multi-nic-to-clusterip", "default-nic net1, nat-outgoing on", "eth0", "eth0"),
        ("nodeport-to-multi-nic", "tuning not tuned", "eth0", "net1"),
        ("nodeport-to-multi-nic", "tuning tuned", "eth0", "eth0"),
        ("macvlan-to-multi-nic", "tuning not tuned", "veth0", "net1"),
        ("macvlan-to-multi-nic", "tuning tuned", "veth0", "eth0"),
    ],
)
def test_the_nic_by_which_each_side_sends(name: str, settings: str, request_leaves: str, reply_leaves: str) -> None:
    trace = told(name, settings)
    assert (nic(first(trace, reply=False)), nic(first(trace, reply=True))) == (request_leaves, reply_leaves)


@pytest.mark.parametrize(
    ("name", "settings", "commands", "verdict", "settled"),
    [
        # only the rule on the pod's own node matters
        ("macvlan-to-calico-across-nodes", "", ["node1: iptables -D KUBE-FORWARD 1"], CONNECTED, ""),
        ("macvlan-to-calico-across-nodes", "", ["node2: iptables -D KUBE-FORWARD 1"], HANGS, "ACK node1 KUBE-FORWARD"),
        # the larger of `all` and the interface counts
        ("macvlan-to-calico-across-nodes", CURE, ["mac1: sysctl -w net.ipv4.conf.eth0.rp_filter=1"], TIMES_OUT,
         "SYN-ACK mac1 rp_filter"),
        ("macvlan-to-calico-across-nodes", f"{CURE}, pod-rp-filter 2", ["mac1: sysctl -w net.ipv4.conf.eth0.rp_filter=1"],
         CONNECTED, ""),
        # a policy of DROP, as Docker sets it, ends already the SYN: no rule accepts what goes between veth and en0
        ("macvlan-to-calico-across-nodes", "", ["node1: iptables -P FORWARD DROP"], TIMES_OUT, "SYN node1 FORWARD"),
        ("macvlan-to-calico-across-nodes", CURE, ["node1: iptables -P FORWARD DROP"], TIMES_OUT, "SYN node1 FORWARD"),
        ("nodeport-to-macvlan", "mark-rules on", ["node3: iptables -P FORWARD DROP"], TIMES_OUT, "SYN node3 FORWARD"),
        ("macvlan-to-calico-same-node", "", ["node1: iptables -P FORWARD DROP"], CONNECTED, ""),  # Felix accepts it
        # a link-local address on veth0 repairs loose mode, not strict; src_valid_mark helps the first packet only
        ("nodeport-to-macvlan", "mark-rules on, pod-rp-filter 2", ["mac3: ip address add 169.254.100.1/32 dev veth0"],
         CONNECTED, ""),
        ("nodeport-to-macvlan", "mark-rules on, pod-rp-filter 1", ["mac3: ip address add 169.254.100.1/32 dev veth0"],
         TIMES_OUT, "SYN mac3 rp_filter"),
        ("nodeport-to-macvlan", "mark-rules on, pod-rp-filter 1", ["mac3: sysctl -w net.ipv4.conf.all.src_valid_mark=1"],
         HANGS, "ACK mac3 rp_filter"),
        # the guide's listings: without a gateway nobody answers ARP on veth0
        ("macvlan-to-clusterip-macvlan", "cluster-cidr yes",
         ["mac3: ip route del 10.233.0.0/18", "mac3: ip route add 10.233.0.0/18 dev veth0"], UNREACHABLE, "SYN mac3 arp"),
        ("macvlan-to-calico-same-node", "",
         ["mac1: ip route del 10.233.64.0/18", "mac1: ip route add 10.233.64.0/18 dev veth0"], UNREACHABLE, "SYN mac1 arp"),
        ("nodeport-to-macvlan", "mark-rules on",
         ["mac3: ip route del default table 100", "mac3: ip route add default dev veth0 table 100"],
         TIMES_OUT, "SYN-ACK mac3 arp"),
        # no `from` rules at all, and one default route: what the guide's note is about
        ("nodeport-to-multi-nic", "", ["mul2: ip route del default dev net1"], TIMES_OUT, "SYN-ACK lan-client socket"),
        ("nodeport-to-multi-nic", "", ["mul2: ip route del default dev eth0"], TIMES_OUT, "SYN-ACK lan-client socket"),
        ("nodeport-to-multi-nic-from-outside", "", ["mul2: ip route del default dev net1"], CONNECTED, ""),
        ("nodeport-to-multi-nic-from-outside", "", ["mul2: ip route del default dev eth0"], TIMES_OUT,
         "SYN-ACK client socket"),
        # the guide's repair, by hand
        ("nodeport-to-multi-nic", "",
         ["mul2: ip rule add from 10.233.101.3 lookup 100", "mul2: ip route add default via 169.254.1.1 dev eth0 table 100"],
         CONNECTED, ""),
    ],
)  # fmt: skip
def test_what_an_administrator_changes_by_hand(
    name: str, settings: str, commands: list[str], verdict: str, settled: str
) -> None:
    assert end(told(name, settings, *commands)) == (verdict, settled)


def test_a_listing_of_the_document_that_the_kernel_refuses() -> None:
    with pytest.raises(McniError, match="gateway"):
        told(
            "macvlan-to-clusterip-calico",
            "",
            "mac1: ip route add 10.99.0.0/18 via 10.7.168.71 dev eth0 src 10.233.100.2",
        )


def dial(netns: str, to: str, settings: str, server: str, patience: float = 5.0) -> Trace:
    """Dial an address that belongs to no scenario, in the cluster of the flagship."""
    story = scenario("7")
    flow = Flow(netns, IPv4Address(to), patience=patience)
    return run(story.world(chosen(story, settings)), flow, (Listener(server, 80),))


@pytest.mark.parametrize(
    ("to", "settings", "verdict", "settled"),
    [
        # the guide's pod: its network ends at 10.233.127.255, so the packet goes to the gateway
        ("10.233.200.2", "", UNREACHABLE, "SYN gateway route"),
        # a node's tunnel address lies in the pod network, and so has a pod's trouble
        (str(CLUSTER.node("node2").tunnel), "encapsulation VXLAN", HANGS, "ACK node1 KUBE-FORWARD"),
        (str(CLUSTER.node("node2").tunnel), f"encapsulation VXLAN, {CURE}", CONNECTED, ""),
        (str(CLUSTER.node("node1").tunnel), "encapsulation VXLAN", CONNECTED, ""),
    ],
)
def test_addresses_a_macvlan_pod_should_better_not_dial(to: str, settings: str, verdict: str, settled: str) -> None:
    server = "node1" if to == str(CLUSTER.node("node1").tunnel) else "node2"
    assert end(dial("mac1", to, settings, server)) == (verdict, settled)


@pytest.mark.parametrize(
    ("timeout", "patience", "verdict"),
    [
        (3, 30, CONNECTED),  # the entry is gone when the data is sent again: conntrack picks the connection up
        (10, 30, CONNECTED),
        (120, 100, HANGS),
        (120, 300, RESET),  # too late: the server has given up and knows nothing of the connection
    ],
)
def test_the_hang_ends_with_the_entry_on_the_pods_node(timeout: int, patience: float, verdict: str) -> None:
    story = scenario("7")
    settings = story.start()
    world = do(story.world(settings), "node1", f"sysctl -w net.netfilter.nf_conntrack_tcp_timeout_syn_sent={timeout}")
    trace = run(world, replace(story.flow(settings), patience=patience), story.listeners(settings))
    assert trace.outcome.verdict.value == verdict


def test_two_nodes_two_stories() -> None:
    """The pod's node saw a SYN and no answer, the other one a SYN and its answer, and neither the ACK."""
    found = dict(told("macvlan-to-calico-across-nodes").connections)
    assert [(entry.state, entry.seen_reply) for entry in found["node1"]] == [("SYN_SENT", False)]
    assert [(entry.state, entry.seen_reply) for entry in found["node2"]] == [("SYN_RECV", True)]


@pytest.mark.parametrize(
    ("encapsulation", "settled"),
    [("VXLAN", "gateway route"), ("none", "node2 cali-tw")],  # by BGP the gateway knows where the pod is
)
def test_the_clients_reset_never_reaches_the_pod(encapsulation: str, settled: str) -> None:
    """The client does not discard the strange SYN-ACK, it answers RST; the pod never hears of it."""
    trace = told("nodeport-to-multi-nic", f"encapsulation {encapsulation}")
    resets = [journey for journey in trace.journeys if packet_name(journey.packet) == "RST"]
    assert {place(journey.last) for journey in resets} == {settled}


# what every scenario keeps

STORIES = all_scenarios()


def changes(story: Scenario) -> dict[str, Settings]:
    """Return the scenario's start, and every change of one of its settings, by name."""
    start = story.start()
    found = {"": start}
    for one in story.options():
        values = (value for value in one.values if value != getattr(start, one.attribute))
        found |= {f"{one.name} {one.text(value)}": start.but(**{one.attribute: value}) for value in values}
    return found


def missing(story: Scenario, settings: Settings) -> list[str]:
    """Return the lines of evidence that the printed state of their namespace does not hold."""
    world, printed = story.world(settings), {}
    lost = []
    for step in (step for journey in story.run(settings).journeys for step in journey.steps):
        where = step.listing
        if where is None:
            continue
        if where.command.startswith("ss "):
            text = "\n".join(str(listener) for listener in story.listeners(settings) if listener.netns == step.netns)
        else:
            key = (where.netns, where.command)
            text = printed[key] = printed.get(key) or listing(world[where.netns], where.command)
        if step.evidence not in text.split("\n"):
            lost.append(f"{where}: {step.evidence}")
    return lost


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_every_line_of_evidence_stands_in_the_printed_state(story: Scenario) -> None:
    assert {
        name: missing(story, settings) for name, settings in changes(story).items() if missing(story, settings)
    } == {}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_story_is_complete(story: Scenario) -> None:
    assert story.title and story.question and story.notebook.startswith(f"{story.number:02}-")
    assert story.name == story.name.lower().replace(" ", "-")
    assert set(dict(story.values)) <= set(story.settings)
    assert story.start() in set(story.combinations())
    assert all(story.claim(settings).section and story.claim(settings).says for settings in changes(story).values())


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_every_toggle_changes_the_cluster_or_the_conversation(story: Scenario) -> None:
    for one in story.options():
        honoured = HONOURED | (OF_VERSIONS if one.attribute == "kube_proxy" else {})
        changed = [story.start().but(**(honoured | {one.attribute: value})) for value in one.values]
        seen = [
            (w.namespaces, w.segments, story.flow(s)) for s, w in zip(changed, map(story.world, changed), strict=True)
        ]
        assert any(other != seen[0] for other in seen[1:]), one.name


HONOURED = {"kube_proxy": "1.29", "be_liberal": True, "tuning": Tuning.TUNED}
"""Without these, restarting kube-proxy and choosing the default NIC change nothing."""

OF_VERSIONS = {"kube_proxy_mode": "nftables"}
"""Some scenarios have versions of kube-proxy for this mode only, which the oldest one does not know."""


# the guide's claims

WRONG: dict[str, list[str]] = {
    # a reflecting switch does what the guide says cannot be
    "node-to-own-macvlan": ["hairpin yes"],
    "macvlan-to-own-node": ["hairpin yes"],
    # the SNAT it takes for granted needs a kube-proxy that knows the cluster CIDR
    "macvlan-to-clusterip-macvlan": ["", "kube-proxy *", "protocol UDP"],
    "macvlan-to-clusterip-calico": ["cluster-cidr no"],
    "macvlan-to-clusterip-multi-nic": ["", "encapsulation *", "tuning *", "kube-proxy *", "protocol UDP"],
    # "this issue cannot be avoided"; and only TCP has it
    "macvlan-to-calico-across-nodes": ["workaround *", "protocol UDP", "protocol ICMP"],
    "macvlan-to-calico-across-subnets": ["protocol UDP"],
    # ticks that need natOutgoing, or the INVALID drop out of the way
    "calico-to-macvlan": ["", "kube-proxy *", "be-liberal 1", "restarted yes", "protocol ICMP"],
    "calico-to-clusterip": ["", "encapsulation *", "kube-proxy *"],
    "calico-to-multi-nic-underlay": [
        "", "encapsulation IPIP", "felix-invalid off", "default-nic net1", "tuning *", "placement same node",
        "protocol *",
    ],
    "multi-nic-to-clusterip": ["", "default-nic net1", "kube-proxy *"],  # the SNAT it speaks of is natOutgoing's
    # a tick that needs what Macvlan pod to Calico pod needs, and policy routing in the pod
    "macvlan-to-multi-nic": [
        "", "kube-proxy *", "be-liberal 1", "restarted yes", "felix-invalid off", "tuning v0.8.6",
        "placement across nodes",
    ],
    # the note about the default route, which is wrong for both clients; with Cluster there is no trouble at all
    "nodeport-to-multi-nic": ["default-nic net1", "external-policy Cluster"],
    "nodeport-to-multi-nic-from-outside": ["", "kube-proxy *", "protocol UDP"],
}  # fmt: skip
"""Where Linux disagrees with the guide: at the scenario's start (empty) or one change away from it."""


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_where_the_document_is_wrong(story: Scenario) -> None:
    found = {name: story.claim(s).holds(story.run(s).outcome.works) for name, s in changes(story).items()}
    wrong = {name for name, holds in found.items() if holds is False}
    listed = WRONG.get(story.name, [])
    assert {name for name in found if any(fnmatchcase(name, pattern) for pattern in listed)} == wrong
    assert all(any(fnmatchcase(name, pattern) for name in wrong) for pattern in listed)


MODES = {"kube-proxy-mode nftables", "kube-proxy-mode ipvs"}

POLICIES = {f"network-policy {policy.value}" for policy in PodPolicy if policy is not PodPolicy.NONE}

SILENT = {
    "macvlan-same-subnet": {"macvlan-mode private", "macvlan-mode vepa"},
    "macvlan-to-other-node": {"", "coordinator on", "hairpin yes", "protocol UDP", "protocol ICMP"},
    "macvlan-to-clusterip-macvlan": {"coordinator off"},
    "nodeport-to-macvlan": {"external-policy Cluster", "endpoint mac4", "pod-rp-filter 1", "pod-rp-filter 2"},
    "nodeport-to-macvlan-from-lan": {"external-policy Cluster", "endpoint mac2", "pod-rp-filter 1", "pod-rp-filter 2"},
    "macvlan-to-calico-same-node": POLICIES,
    "multi-nic-to-calico": POLICIES,
    "macvlan-to-calico-across-subnets": {"stateful-gateway none"},
    "nodeport-to-multi-nic": {"receiving-node node1"},
    "nodeport-to-multi-nic-from-outside": {"receiving-node node1"},
    **{case.name: set(changes(case)) for case in STORIES if case.number > 17},  # questions of users
}
"""What the guide does not speak of."""


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_where_the_document_says_nothing(story: Scenario) -> None:
    silent = {name for name, settings in changes(story).items() if story.claim(settings).works is None}
    modes = MODES if "kube_proxy_mode" in story.settings else set()
    assert silent == SILENT.get(story.name, set()) | modes


# scenarios as such


def test_the_mode_of_kube_proxy_is_a_setting_where_kube_proxy_matters_and_each_mode_is_swept() -> None:
    having = [story for story in STORIES if "kube_proxy_mode" in story.settings]
    assert sorted({story.number for story in having}) == [4, 5, 7, 8, 9, 10, 13, 14, 15, 16]
    for story in having:
        modes = {(s.kube_proxy_mode, s.kube_proxy) for s in story.combinations()}
        assert modes >= {(mode, version) for mode in ("nftables", "ipvs") for version in ("1.28", "1.33")}, story.name


def test_all_rows_of_the_document_are_there() -> None:
    assert sorted({story.number for story in STORIES}) == [*range(1, 17), 18, 20, 21]
    assert len({story.name for story in STORIES}) == len(STORIES)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("7", "macvlan-to-calico-across-nodes"),
        ("3", "node-to-own-macvlan"),  # the first of the row
        ("15", "macvlan-to-multi-nic"),
        ("calico-to-macvlan", "calico-to-macvlan"),
    ],
)
def test_a_scenario_is_found_by_number_or_name(name: str, found: str) -> None:
    assert scenario(name).name == found


def test_an_unknown_scenario_is_answered_with_the_nearest() -> None:
    with pytest.raises(ScenarioError, match="did you mean 'nodeport-to-macvlan'"):
        scenario("nodeport-to-macvlna")


def test_a_story_may_leave_a_setting_fewer_values() -> None:
    story = scenario("5")
    assert {one.name: one.texts for one in story.options()}["endpoint"] == ("mac3", "mac4")
    assert {settings.endpoint for settings in story.combinations()} == {"mac3", "mac4"}
    assert len([settings for settings in story.combinations() if settings.kube_proxy == "1.28"]) == 80  # 48 of iptables


def test_the_command_that_shows_a_state() -> None:
    story = scenario("14")
    assert story.command(story.start()) == "mcni run nodeport-to-multi-nic"
    changed = chosen(story, "tuning v0.8.6, receiving-node node1")
    assert story.command(changed) == "mcni run nodeport-to-multi-nic --receiving-node node1 --tuning v0.8.6"


@pytest.mark.parametrize("table", [lambda story: matrix(story, "tuning"), lambda story: compare(story, "hairpin")])
def test_a_table_of_a_toggle_the_story_lacks_names_those_it_has(table) -> None:
    with pytest.raises(SettingError, match="it has kube_proxy, be_liberal"):
        table(scenario("6"))
