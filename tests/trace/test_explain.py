"""A conversation in sentences, and the questions a reader asks about it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from show_examples import EXAMPLES, connects, hangs, tcp

from mcnilib.linux.packet import Icmp, Packet
from mcnilib.scenarios import scenario
from mcnilib.trace.explain import (
    because,
    conntrack_view,
    course_difference,
    difference,
    packet_name,
    path_of,
    tell,
    tell_course,
    tell_step,
    verdict,
)

STORY = scenario("7")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "hangs",
            "connect succeeds, then hangs: packet 3 (ACK) is dropped on node1 in filter KUBE-FORWARD "
            "by `-m conntrack --ctstate INVALID -j DROP`, written by kube-proxy 1.28",
        ),
        ("connects", "connected; the server sees the client as 172.16.100.2"),
        (
            "rp_filter in the pod",
            "connect times out (ETIMEDOUT): packet 2 (SYN-ACK) is dropped on mac1 in rp_filter "
            "by `net.ipv4.conf.all.rp_filter = 1`, written by the coordinator",
        ),
        (
            "nobody answers ARP",
            "unreachable (EHOSTUNREACH): packet 1 (SYN) stops on node1: nothing answers ARP for 172.16.1.3",
        ),
    ],
)
def test_the_verdict_is_one_sentence_with_the_line_that_decided(name, sentence):
    assert verdict(EXAMPLES[name][1]) == sentence


@pytest.mark.parametrize(
    ("flags", "length", "name"),
    [
        ("SYN", 0, "SYN"),
        ("SYN ACK", 0, "SYN-ACK"),
        ("ACK", 0, "ACK"),
        ("PSH ACK", 100, "data"),
        ("ACK", 100, "data"),
        ("FIN ACK", 0, "FIN"),
        ("RST ACK", 0, "RST"),
    ],
)
def test_packets_are_named_as_people_say_it(flags, length, name):
    assert packet_name(tcp(flags, length=length)) == name


def test_other_packets_keep_the_names_of_their_tools():
    syn = tcp("SYN")
    assert packet_name(Packet(syn.src, syn.dst, "udp", 1, 2)) == "UDP"
    assert packet_name(Packet(syn.src, syn.dst, "icmp", icmp=Icmp(8))) == "echo request"


def test_an_invalid_packet_is_explained_by_what_the_namespace_never_saw():
    assert "node1 saw packet 1 (SYN) but not packet 2 (SYN-ACK), which went cal2 → node2 → mac1" in because(hangs())


def test_what_works_needs_no_excuse():
    assert because(connects()) == []


@pytest.mark.parametrize("depth", ["outcome", "hops", "decisions"])
def test_every_depth_begins_with_the_verdict_and_deeper_ones_say_more(depth):
    told = tell(hangs(), depth)
    assert told[0] == verdict(hangs())
    if depth != "outcome":
        assert len(told) > len(tell(hangs(), "outcome"))


def test_an_unknown_depth_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="outcome, hops, decisions"):
        tell(hangs(), "everything")


def test_a_path_names_devices_segments_and_namespaces_in_order():
    assert path_of(hangs().journeys[1]) == (
        "cal2",
        "[cal2.eth0 node2.cali9f8e7d6c5b4]",
        "node2",
        "[node2.en0 lan-172.16 node1.en0 mac1.eth0]",
        "mac1",
    )


def test_a_decision_is_told_with_its_line_and_its_writer():
    drop = hangs().journeys[2].last
    assert tell_step(drop).startswith("node1 filter KUBE-FORWARD FORWARD: dropped | -A KUBE-FORWARD -m conntrack")
    assert "| kube-proxy 1.28: drops" in tell_step(drop)


def test_two_runs_part_at_the_first_step_that_differs():
    parted = difference(hangs(), connects())
    assert parted is not None
    assert (parted.journey, parted.here.action, parted.there.action) == (3, "INVALID", "NEW")
    assert "— instead of —" in str(parted)


def test_a_run_does_not_differ_from_itself():
    assert difference(hangs(), hangs()) is None


def test_a_longer_run_differs_where_the_shorter_one_ends():
    longer = difference(EXAMPLES["rp_filter in the pod"][1], connects())
    assert longer is not None
    assert longer.journey == 2


@pytest.mark.parametrize(
    ("changes", "parts", "here", "there"),
    [
        (
            {"kube_proxy": "1.30", "be_liberal": True, "restarted": True},
            3,
            "it is dropped on node1 in filter KUBE-FORWARD by `-m conntrack --ctstate INVALID -j DROP`, "
            "written by kube-proxy 1.28",
            "from node1 it leaves through en0, arrives at en0 of node2",
        ),
        ({"kube_proxy": "1.29"}, 0, "", ""),  # other lines decide, to the same effect
        (
            {"encapsulation": "VXLAN"},
            1,
            "from node1 it leaves through en0, arrives at en0 of node2",
            "on node1 it is packed by vxlan.calico for 172.16.1.3",
        ),
    ],
)
def test_two_runs_part_where_a_packet_goes_elsewhere_or_ends_otherwise(changes, parts, here, there):
    start = STORY.start()
    parted = course_difference(STORY.run(start), STORY.run(start.but(**changes)))
    assert (parted.journey if parted else 0) == parts
    if parted:
        assert tell_course(parted.here) == here
        assert tell_course(parted.there) == there


@pytest.mark.parametrize(
    ("netns", "number", "states"),
    [
        # an asymmetric flow is two different stories on two nodes
        ("node1", 1, ["SYN_SENT"]),
        ("node1", 3, ["SYN_SENT"]),
        ("node2", 1, ["SYN_SENT"]),
        ("node2", 2, ["SYN_RECV"]),
        ("mac1", 3, ["ESTABLISHED"]),
    ],
)
def test_each_namespace_knows_only_what_passed_it(netns, number, states):
    trace = STORY.run(STORY.start())
    assert [entry.state for entry in conntrack_view(trace, netns, number)] == states


def test_the_last_view_is_what_the_run_left_behind():
    trace = STORY.run(STORY.start())
    at_the_end = dict(trace.connections)
    for netns in ("node1", "node2", "mac1", "cal2"):
        assert conntrack_view(trace, netns, trace.journeys[-1].number) == at_the_end[netns]


def test_a_packet_that_was_never_sent_has_no_view():
    with pytest.raises(ValueError, match="no packet 99"):
        conntrack_view(hangs(), "node1", 99)


@pytest.mark.parametrize(
    ("change", "known"),
    [({}, 1), ({"confirmed": False}, 0), ({"expires": 0.0}, 0)],  # not stored: its packet was dropped; or forgotten
)
def test_only_stored_connections_that_are_not_forgotten_are_known(change, known):
    trace = hangs()
    first = trace.journeys[0]
    steps = tuple(s._replace(entry=s.entry._replace(**change)) if s.entry else s for s in first.steps)
    altered = replace(trace, journeys=(replace(first, steps=steps), *trace.journeys[1:]))
    assert len(conntrack_view(altered, "node1", 1)) == known
