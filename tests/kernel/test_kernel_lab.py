"""The kernel lab: worlds become real and read back the same, conversations agree hop by hop, a wrong model is found out."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from kernel_worlds import CASES, DROP_INVALID, FLOODED, Case, asymmetric, chains, macvlans, marked, tunnelled
from small_worlds import namespace, plug, routed

from mcnilib.cluster.build import build
from mcnilib.cluster.settings import Settings
from mcnilib.kernel.compare.compare import Report, compare_traces
from mcnilib.kernel.lab.capabilities import PROBES, lacking, probe
from mcnilib.kernel.lab.tools import ToolFailed
from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.observe import converse, listing_mismatches
from mcnilib.linux.routing.route import parse_route
from mcnilib.trace.run import run
from mcnilib.trace.trace import Stage
from mcnilib.world.world import World

pytestmark = pytest.mark.kernel


def need(worker: Worker, world: World) -> None:
    """Skip, naming what the kernel does not have, when it cannot make the world."""
    if missing := ", ".join(lacking(world, worker.run(probe))):
        pytest.skip(f"this kernel has no {missing}")


def measured(worker: Worker, case: Case, number: int, model: World | None = None) -> Report:
    """Hold the case's conversation on the kernel, and in the simulator in the same world or another."""
    flow = replace(case.flow, sport=10000 + number)
    kernel = worker.run(converse, case.world, flow, case.listeners, number)
    return compare_traces(run(model or case.world, flow, case.listeners), kernel, flow, case.listeners)


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(routed(), id="hosts and a router"),
        pytest.param(plug(namespace("a", "up 10.0.1.2/24\nt\ndev"), lan="a.up a.t"), id="devices named like words"),
        pytest.param(asymmetric(DROP_INVALID), id="rules"),
        pytest.param(macvlans(), id="macvlan and veth"),
        pytest.param(tunnelled(), id="VXLAN, neighbours, proxy ARP"),
        pytest.param(marked(), id="routing rules, marks, a set, an accounting object"),
        pytest.param(build(Settings()), id="the cluster"),
        pytest.param(build(Settings.of(kube_proxy="1.33", encapsulation="VXLAN", be_liberal=True)), id="with VXLAN"),
        pytest.param(build(Settings.of(workaround="host route back", node_rp_filter=2)), id="with a host route back"),
    ],
)
def test_what_the_tools_print_is_what_the_world_prints(worker: Worker, world: World) -> None:
    need(worker, world)
    assert "\n".join(map(str, worker.run(listing_mismatches, world))) == ""


def test_a_lab_that_became_another_world_is_that_world(worker: Worker) -> None:
    for settings in (Settings(), Settings.of(workaround="SNAT on the pod's node", be_liberal=True), Settings()):
        assert "\n".join(map(str, worker.run(listing_mismatches, build(settings)))) == ""


def test_nobody_measures_in_a_world_that_failed_half_way(worker: Worker) -> None:
    a = routed()["a"]
    lost = a.with_ip4(routes=(*a.ip4.routes, parse_route("9.9.9.0/24 via 7.7.7.7 dev eth0")))
    for _ in range(2):
        with pytest.raises(ToolFailed, match="Nexthop has invalid gateway"):
            worker.run(listing_mismatches, routed().put(lost))


@pytest.mark.parametrize(("number", "name"), [*enumerate(CASES, 1)], ids=list(CASES))
def test_simulator_and_kernel_agree(worker: Worker, number: int, name: str) -> None:
    case = CASES[name]
    need(worker, case.world)
    flow = replace(case.flow, sport=10000 + number)
    kernel = worker.run(converse, case.world, flow, case.listeners, number)
    model = run(case.world, flow, case.listeners)
    assert str(compare_traces(model, kernel, flow, case.listeners)) == f"agree on {len(kernel.journeys)} packets"
    assert kernel.outcome.verdict.value == case.verdict


@pytest.mark.parametrize(("number", "name"), [*enumerate(FLOODED, 2001)], ids=list(FLOODED))
def test_simulator_and_kernel_agree_on_the_outcome(worker: Worker, number: int, name: str) -> None:
    case = FLOODED[name]
    need(worker, case.world)
    flow = replace(case.flow, sport=10000 + number)
    kernel, model = (
        worker.run(converse, case.world, flow, case.listeners, number),
        run(case.world, flow, case.listeners),
    )
    assert [one.outcome.verdict.value for one in (kernel, model)] == [case.verdict, case.verdict]
    assert kernel.outcome.error == model.outcome.error


UNTRACKED = chains("raw", "PREROUTING -j CT --notrack") + chains("nat")


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("the flagship in small", asymmetric(chains("nat")), "request ACK, end"),
        (
            "the flagship in small",
            asymmetric(chains("nat")),
            "kernel: dropped in r (netfilter): -A FORWARD -m conntrack",
        ),
        ("the flagship in small", asymmetric(DROP_INVALID.replace("DROP\n", "ACCEPT\n")), "outcome, verdict"),
        ("the flagship in small", asymmetric(DROP_INVALID.replace("-m conntrack", "-i e1 -m conntrack")), ", rules"),
        ("the flagship over UDP", asymmetric(chains("filter", policy="DROP")), "model:  dropped in r (netfilter)"),
        ("through a router", routed(sysctls={"net.ipv4.ip_forward": "0"}), "(forwarding)"),
        ("the flagship over UDP", asymmetric(UNTRACKED + DROP_INVALID), "connections of r, conntrack -L"),
        ("macvlan siblings", macvlans("vepa", reflects=True), "devices and addresses"),
        ("a chain's policy", routed(chains("filter", "FORWARD -p tcp -j DROP")), "request SYN, end"),
    ],
)
def test_a_model_that_is_wrong_in_one_thing_is_found_out(worker: Worker, name: str, wrong: World, says: str) -> None:
    report = measured(worker, CASES[name], 500 + len(says), model=wrong)
    assert not report.agrees
    assert says in str(report)


def test_the_kernels_trace_carries_the_rule_its_writer_and_the_connection(worker: Worker) -> None:
    world = build(Settings())
    case = Case(world, "tcp:10.233.101.2:80", "", client="mac1", server="cal2")
    trace = worker.run(converse, world, replace(case.flow, sport=9000), case.listeners)
    step = trace.outcome.step
    assert (step.netns, step.table, step.chain, step.ctstate) == ("node1", "filter", "KUBE-FORWARD", "INVALID")
    assert step.evidence == "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"
    assert str(step.origin).startswith("kube-proxy 1.28: ")
    assert [entry.state for entry in dict(trace.connections)["node1"]] == ["SYN_SENT"]
    assert [entry.state for entry in dict(trace.connections)["node2"]] == ["SYN_RECV"]


def test_every_packet_is_followed_through_every_device(worker: Worker) -> None:
    case = CASES["VXLAN"]
    trace = worker.run(converse, case.world, replace(case.flow, sport=9001), case.listeners)
    steps = [(s.netns, s.oif, s.to) for s in trace.journeys[0].steps if s.stage in (Stage.DEVICE, Stage.TUNNEL)]
    assert steps == [
        ("a", "eth0", ("n", "cali0")),
        ("n", "vxlan.0", None),
        ("n", "en0", ("m", "en0")),
        ("m", "vxlan.0", None),
        ("m", "cali0", ("b", "eth0")),
    ]


def test_what_a_kernel_lacks_is_named() -> None:
    world = build(Settings.of(encapsulation="IPIP"))
    assert lacking(world, {"ipip": "Unknown device type", "macvlan": ""}) == ("ipip",)
    assert lacking(world, {"ipip": "", "ipset": "no", "macvlan": "no"}) == ("ipset", "macvlan")


def test_no_two_probes_make_a_device_of_one_name() -> None:
    made = [name for _, text in PROBES.values() for name in re.findall(r"\bp\d+\b", text)]
    named = {name: sum(name in re.findall(r"\bp\d+\b", text) for _, text in PROBES.values()) for name in made}
    assert {name for name, probes in named.items() if probes > 1} == set()
