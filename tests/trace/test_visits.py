"""A journey by the namespaces it crossed, and what happened in a step beside the sentence that tells it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from small_worlds import namespace, plug, routed, talk

from mcnilib.linux.chance import Chance
from mcnilib.linux.packet import Packet
from mcnilib.linux.unmodelled import Gap
from mcnilib.scenarios import scenario
from mcnilib.trace.stack.host import Network, Skb
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.trace import Fate, Missing, NoWay, Stage, Step, Told, Trace, Tunnelled
from mcnilib.world.commands import do

THERE = [("a", "", "eth0"), ("r", "e1", "e2"), ("b", "eth0", "")]


@pytest.mark.parametrize(
    ("typed", "to", "crossed"),
    [
        ((), "tcp:10.0.2.2:80", THERE),
        ((), "tcp:10.0.1.2:80", [("a", "", "")]),  # by lo, which leaves no namespace
        (("r", "iptables -A FORWARD -j DROP"), "tcp:10.0.2.2:80", [("a", "", "eth0"), ("r", "e1", "")]),
        (("a", "ip link set eth0 down"), "tcp:10.0.2.2:80", [("a", "", "")]),
    ],
)
def test_a_packet_crosses_namespaces(typed, to, crossed):
    journey = talk(do(routed(), *typed) if typed else routed(), to).journeys[0]
    assert [visit[:3] for visit in journey.visits] == crossed
    assert journey.hops() == tuple(name for name, _, _ in crossed)
    assert tuple(step for visit in journey.visits for step in visit.steps) == journey.steps


def test_a_tunnel_is_no_other_namespace_and_a_reply_comes_back_the_way_it_went():
    story = scenario("7")
    trace = story.run(story.start().but(kube_proxy="1.30", be_liberal=True, restarted=True, encapsulation="VXLAN"))
    packed = [s for j in trace.journeys for s in j.steps if s.stage is Stage.TUNNEL]
    assert {step.what for step in packed} == set(Tunnelled)
    assert all(step.action.startswith(step.what.value) for step in packed)
    for journey in trace.journeys:
        for one, other in zip(journey.visits, journey.visits[1:], strict=False):
            assert one.netns != other.netns
            assert one.oif
            assert other.iif


def last(trace: Trace) -> Step:
    """Return the step in which the first packet ended."""
    return trace.journeys[0].last


def test_what_happened_is_a_value_beside_the_sentence():
    alone = plug(namespace("a", "eth0 10.0.1.2/24"), lan="a.eth0")
    step = last(talk(alone, "udp:10.0.9.9:80", server="a"))
    assert (step.what, step.action) == (NoWay("ENETUNREACH"), "no route (ENETUNREACH)")
    step = last(talk(routed(), "udp:10.0.2.2:81"))
    assert isinstance(step.what, Told)
    assert step.action == f"{step.what.decision}, so it answers port unreachable"
    step = last(talk(routed("*filter\n-A FORWARD -j DROP\nCOMMIT"), "tcp:10.0.2.2:80"))
    assert (step.what, step.fate) == (None, Fate.DROPPED)


def test_a_limit_takes_back_what_was_said_of_an_answer():
    packet = Packet(IPv4Address("10.0.1.2"), IPv4Address("10.0.2.2"))
    log = Recorder(Network(routed(), Chance()), "b", Skb(packet))
    log.note(Stage.SOCKET, "no socket: answers RST", what=Told("no socket"))
    log.silence("icmp_ratelimit = 1000")
    assert log.steps[-1].action == "no socket: says nothing, as icmp_ratelimit = 1000"
    assert log.steps[-1].what == Told("no socket", "icmp_ratelimit = 1000")


def test_what_nobody_knows_is_named_with_what_stands_behind_it():
    world = routed()
    unread = replace(world["r"], missing=(Gap("node/x:1:1: nonsense: it cannot be read", unreadable=True),))
    step = last(talk(world.put(unread), "tcp:10.0.2.2:80"))
    assert isinstance(step.what, Missing)
    assert len(step.what.reasons) == 2
    assert step.what.reasons[-1] == "node/x:1:1: nonsense: it cannot be read"
    assert all(reason in step.action for reason in step.what.reasons)
