"""Outcomes remembered: never another than the conversation has, and not worked out again where nothing it met changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from kernel_worlds import bridged
from small_worlds import namespace, plug, routed

from mcnilib.errors import Unsupported
from mcnilib.scenarios import all_scenarios
from mcnilib.scenarios.scenario import Scenario, neighbours
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.outcome_cache import OutcomeCache
from mcnilib.trace.run import run
from mcnilib.trace.trace import Outcome
from mcnilib.world.commands import do
from mcnilib.world.world import World

TO_B = Flow("a", IPv4Address("10.0.2.2"), "tcp", 80)
SERVER = [Listener("b", 80)]


def told(outcome: Outcome) -> tuple[object, ...]:
    """All that an outcome tells, without the objects of its run; of one that works, not which packet was the last."""
    if outcome.works:
        return outcome.verdict, outcome.error, outcome.seen_source
    steps = [(s.netns, s.stage, s.action, s.evidence, s.before, s.after) for s in outcome.journey.steps]
    return outcome.verdict, outcome.error, outcome.seen_source, outcome.journey.number, steps


@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_the_outcome_is_that_of_the_conversation(story: Scenario) -> None:
    for settings in (story.start(), *neighbours(story, story.start())):
        assert told(story.outcome(settings)) == told(story.run(settings).outcome), settings


def with_bystander(command: str = "") -> World:
    """The router between a and b, and c that nobody talks to."""
    c = namespace("c", "eth0 10.0.3.2/24")
    world = plug(*routed(), c, lan1="a.eth0 r.e1", lan2="b.eth0 r.e2", lan3="c.eth0")
    return do(world, "c", command) if command else world


def test_what_the_conversation_does_not_meet_changes_nothing() -> None:
    cache = OutcomeCache()
    before = cache.outcome(with_bystander(), TO_B, SERVER)
    assert cache.outcome(with_bystander("iptables -A INPUT -j DROP"), TO_B, SERVER) is before


def unplugged() -> World:
    return replace(with_bystander(), segments=with_bystander().segments[:1])


def taken() -> World:
    """c stands on b's segment, with b's MAC address."""
    world = plug(*with_bystander(), lan1="a.eth0 r.e1", lan2="c.eth0 b.eth0 r.e2")
    c = world["c"]
    stolen = replace(c.link("eth0"), mac=world["b"].link("eth0").mac)
    return replace(world, namespaces=tuple(n.but(links=(n.links[0], stolen)) if n is c else n for n in world))


@pytest.mark.parametrize(
    "change",
    [
        lambda: do(with_bystander(), "r", "iptables -A FORWARD -j DROP"),
        lambda: do(with_bystander(), "b", "ip route del default"),
        unplugged,
    ],
    ids=["a rule on the way", "a route at the end", "a cable"],
)
def test_what_it_meets_is_asked_again(change: Callable[[], World]) -> None:
    cache = OutcomeCache()
    before = told(cache.outcome(with_bystander(), TO_B, SERVER))
    assert told(cache.outcome(change(), TO_B, SERVER)) == told(run(change(), TO_B, SERVER).outcome) != before


def test_a_device_nobody_met_is_asked_again_too() -> None:
    cache = OutcomeCache()
    cache.outcome(with_bystander(), TO_B, SERVER)
    with pytest.raises(Unsupported, match="eth0 of c and eth0 of b take what is sent to"):
        cache.outcome(taken(), TO_B, SERVER)


def test_who_was_only_asked_by_arp_may_answer_now() -> None:
    """c hears the request for an address nobody has; as a proxy it answers. Its iptables rules never mattered."""
    c = namespace("c", "eth0 10.0.1.3/24\neth1 10.0.3.2/24", "route 10.0.1.77 dev eth1\nsysctl net.ipv4.ip_forward 1")
    world = plug(*routed(), c, lan1="a.eth0 r.e1 c.eth0", lan2="b.eth0 r.e2")
    flow, cache = Flow("a", IPv4Address("10.0.1.77"), "tcp", 80), OutcomeCache()
    before = cache.outcome(world, flow, SERVER)
    assert cache.outcome(do(world, "c", "iptables -A INPUT -j DROP"), flow, SERVER) is before
    proxied = do(world, "c", "sysctl -w net.ipv4.conf.eth0.proxy_arp=1")
    assert told(cache.outcome(proxied, flow, SERVER)) == told(run(proxied, flow, SERVER).outcome) != told(before)


def test_rules_that_see_what_crosses_a_bridge_count_although_nobody_stops_there() -> None:
    flow, cache = Flow("a", IPv4Address("10.0.7.3"), "tcp", 80), OutcomeCache()
    world = bridged()
    for here, there, ip in (
        ("a", "b", "10.0.7.3"),
        ("b", "a", "10.0.7.2"),
    ):  # nobody asks, so n's own stack sees nothing
        world = do(world, here, f"ip neigh add {ip} lladdr {world[there].link('eth0').mac} dev eth0")
    assert cache.outcome(world, flow, SERVER).works
    shown = do(do(world, "n", "iptables -A FORWARD -j DROP"), "n", "sysctl -w net.bridge.bridge-nf-call-iptables=1")
    assert not cache.outcome(shown, flow, SERVER).works
