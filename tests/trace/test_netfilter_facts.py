"""Facts about netfilter that the kernel answers too: see tests/kernel/test_kernel_netfilter.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kernel_worlds import chains
from nf_worlds import BACKENDS, MULTIPATH, NO_SYN_ACK, PROXIES, ZONES, both_talk, syn_acks, to_server
from small_worlds import routed

from mcnilib.linux.netfilter.conntrack import Zone, parse_connections
from mcnilib.trace.explain import verdict
from mcnilib.trace.notes import notes_on
from mcnilib.trace.run import run


@pytest.mark.parametrize("name", BACKENDS)
def test_of_two_backends_the_one_that_was_registered_last_is_asked_first(name: str) -> None:
    case = BACKENDS[name]
    trace = run(case.world, *both_talk(case, 1))
    ends = {
        turn.taken: branch.trace.outcome.verdict.value for branch in trace.branches for turn in branch.turns[:1]
    } or dict.fromkeys((0, 1), trace.outcome.verdict.value)
    assert (ends[0], ends[1]) == case.ends


def test_a_repeated_syn_is_answered_once_and_puts_off_the_server_s_own_timer() -> None:
    """The timer ends first after a second; then it has two, and each SYN begins them anew."""
    assert syn_acks(run(NO_SYN_ACK, *to_server(1))) == {0: 1, 1: 2, 2: 1, 3: 1}


def test_a_syn_is_sent_again_ten_times() -> None:
    """Four linear timeouts more than tcp_syn_retries says; seen on a kernel up to the eighth, at 19 seconds."""
    flow = to_server(1)[0]
    trace = run(routed(chains("filter", "FORWARD -p tcp -j DROP")), replace(flow, patience=200.0), [])
    syns = [round(j.time) for j in trace.journeys if not j.reply]
    assert syns == [0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67]


@pytest.mark.parametrize("name", PROXIES)
def test_tproxy_and_the_socket_match(name: str) -> None:
    case = PROXIES[name]
    assert run(case.world, *case.talk(1)).outcome.verdict.value == case.verdict


def test_a_martian_of_its_mark_is_explained() -> None:
    case = PROXIES["the mark takes part in the source check"]
    trace = run(case.world, *case.talk(1))
    assert "in rp_filter by `net.ipv4.conf.all.src_valid_mark = 1`" in verdict(trace)
    assert notes_on(case.world, trace)[0] == (
        "r: 10.0.1.2 is local here by 0.0.0.0/0 of table 100: net.ipv4.conf.all.src_valid_mark = 1 lets the mark 0x1 "
        "take part in the source check, and the rule 100 sends it there"
    )


@pytest.mark.parametrize("name", MULTIPATH)
def test_one_of_several_next_hops_is_taken(name: str) -> None:
    case = MULTIPATH[name]
    trace = run(case.world, *case.talk(1))
    assert {course.outcome.verdict.value for course in trace.courses} == set(case.ends)


def test_what_decides_among_next_hops_is_said() -> None:
    world = MULTIPATH["one of them is closed"].world
    trace = run(world, *MULTIPATH["one of them is closed"].talk(1))
    assert verdict(trace).startswith(
        "it depends: works if the next hop that a takes to 10.0.2.2 is `nexthop via 10.0.1.1 dev eth0 weight 1` (1 of 3)"
    )
    assert "assumed: a has Linux 6.16 or later" in notes_on(world, trace)[0]


@pytest.mark.parametrize("name", ZONES)
def test_a_connection_is_known_in_its_zone(name: str) -> None:
    world, verdict_ = ZONES[name]
    assert run(world, *to_server(1)).outcome.verdict.value == verdict_


@pytest.mark.parametrize(
    ("zone", "line"),
    [
        (Zone(5, 5), "udp      17 30 src=10.0.1.2 dst=10.0.2.2 sport=1 dport=2 src=10.0.2.2 dst=10.0.1.2 sport=2 dport=1 mark=0 zone=5 use=1"),
        (Zone(5, 0), "udp      17 30 src=10.0.1.2 dst=10.0.2.2 sport=1 dport=2 zone-orig=5 src=10.0.2.2 dst=10.0.1.2 sport=2 dport=1 mark=0 use=1"),
        (Zone(0, 5), "udp      17 30 src=10.0.1.2 dst=10.0.2.2 sport=1 dport=2 src=10.0.2.2 dst=10.0.1.2 sport=2 dport=1 zone-reply=5 mark=0 use=1"),
    ],
)  # fmt: skip
def test_a_zone_is_read_and_printed(zone: Zone, line: str) -> None:
    [entry] = parse_connections(line)
    assert entry.zone == zone
    assert entry.line(0.0) == line
