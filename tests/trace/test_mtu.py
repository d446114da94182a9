"""Conversations with a size: how they end, what is said of it, and what nobody can know."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from kernel_worlds import chains, ipip_tunnels, tunnelled
from mtu_worlds import CASES, CLAMP, IPIP_CASES, NARROW, NO_ICMP, between, with_mtu

from mcnilib.errors import Unsupported
from mcnilib.linux.chance import Chance
from mcnilib.linux.netfilter.iptables.save import parse_tables
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.linux.packet import Icmp, Packet
from mcnilib.trace.explain import difference, verdict
from mcnilib.trace.export import trace_to_json
from mcnilib.trace.flow import Flow, Listener, NoConversation
from mcnilib.trace.notes import notes_on
from mcnilib.trace.run import run
from mcnilib.trace.sizes import run_sizes
from mcnilib.trace.stack.fragment import believe
from mcnilib.trace.stack.host import Network, Skb
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World


def ask(world: World, request: int = 0, answer: int = 0, proto: str = "tcp") -> Trace:
    """Let client a ask server b."""
    flow = Flow("a", IPv4Address("10.0.3.2"), proto, 80, sport=40000, request=request, answer=answer)
    return run(world, flow, [Listener("b", 80), Listener("b", 80, "udp", pinned=True)])


@pytest.mark.parametrize("name", [*CASES, *IPIP_CASES])
def test_a_conversation_with_a_size_ends_as_on_the_kernel(name: str) -> None:
    case = (CASES | IPIP_CASES)[name]
    flow, listeners = case.talk(1)
    outcome = run(case.world, flow, listeners).outcome
    assert (outcome.verdict.value, outcome.error) == (case.verdict, case.error)


def test_a_black_hole_names_the_device_and_what_became_of_the_icmp_error() -> None:
    assert verdict(ask(with_mtu(between(NO_ICMP), NARROW), request=20000)) == (
        "connect succeeds, then hangs: packet 4 (data) is dropped on r in forwarding: 1500 bytes that must not be "
        "fragmented, more than the MTU 1300 of e2; r tells 10.0.1.2, but packet 14 (fragmentation needed (MTU 1300)) is "
        "dropped on r in filter OUTPUT by `-p icmp -j DROP`"
    )


@pytest.mark.parametrize(
    ("world", "sizes"),
    [
        pytest.param(with_mtu(between(NO_ICMP), NARROW), (0, 0), id="no size: small packets get through"),
        pytest.param(with_mtu(between(NO_ICMP), NARROW), (300, 1200), id="small ones"),
        pytest.param(with_mtu(between(NO_ICMP), NARROW), (300, 20000), id="the other router says it"),
        pytest.param(with_mtu(between(), NARROW), (20000, 20000), id="the sender hears of it"),
    ],
)
def test_what_gets_through(world: World, sizes: tuple[int, int]) -> None:
    assert verdict(ask(world, *sizes)) == "connected; the server sees the client as 10.0.1.2"


SAID_BY_R = "r tells 10.0.1.2, but packet 14 (fragmentation needed (MTU 1300)) is dropped on r in filter OUTPUT"
LARGE_ONES = "large packets arrive too, through MTU 1300 at r.e2"


@pytest.mark.parametrize(
    ("world", "said"),
    [
        pytest.param(between(), ["connected; the server sees"], id="nothing narrow"),
        pytest.param(with_mtu(between(), NARROW), ["connected; the server sees", LARGE_ONES], id="the sender hears"),
        pytest.param(
            with_mtu(between(NO_ICMP), NARROW),
            ["connects; small requests arrive, large ones hang: packet 4 (data) is dropped on r ", SAID_BY_R],
            id="nobody tells the client",
        ),
        pytest.param(
            with_mtu(between(NO_ICMP), {"r.e1": 1300}),
            ["connects; small answers arrive, large ones hang: ", "more than the MTU 1300 of e1; r tells 10.0.3.2"],
            id="nobody tells the server",
        ),
        pytest.param(
            with_mtu(between(CLAMP + NO_ICMP), NARROW), ["connected; the server sees", LARGE_ONES], id="clamped MSS"
        ),
        pytest.param(
            with_mtu(between(), {"r.e1": 1300}),
            ["small packets: connected; what becomes of large ones is unknown: packet ", "got to a, but ", "(GSO)"],
            id="the far end of a pair takes less",
        ),
        pytest.param(with_mtu(between(NO_ICMP), {"a.eth0": 1300}), ["connected; the server sees"], id="the MSS fits"),
    ],
)
def test_a_conversation_without_a_size_has_small_and_large_packets(world: World, said: list[str]) -> None:
    flow = Flow("a", IPv4Address("10.0.3.2"), "tcp", 80, sport=40000)
    trace = run_sizes(world, flow, [Listener("b", 80)])
    lines = "\n".join((verdict(trace), *notes_on(world, trace)))
    at = [lines.find(words) for words in said]
    assert -1 not in at, lines
    assert at == sorted(at)
    assert ("large" in lines) == (len(said) > 1)


def test_two_runs_are_compared_in_the_size_in_which_they_differ() -> None:
    flow = Flow("a", IPv4Address("10.0.3.2"), "tcp", 80, sport=40000)
    told, silent = (run_sizes(with_mtu(between(x), NARROW), flow, [Listener("b", 80)]) for x in ("", NO_ICMP))
    for one, other in ((told, silent), (silent, told)):
        parted = difference(one, other)
        assert parted is not None
        assert parted.journey == 14
        assert "-p icmp -j DROP" in str(parted)


def test_datagrams_have_the_size_their_program_chose() -> None:
    world = with_mtu(between(NO_ICMP), NARROW)
    flow = Flow("a", IPv4Address("10.0.3.2"), "udp", 80, sport=40000)
    trace = run_sizes(world, flow, [Listener("b", 80, "udp", pinned=True)])
    assert trace.outcome.works
    assert "MTU 1300 at r.e2 was not considered" in notes_on(world, trace)[0]


def test_both_ends_stand_in_the_json() -> None:
    flow = Flow("a", IPv4Address("10.0.3.2"), "tcp", 80, sport=40000)
    for rules, works, other in ((NO_ICMP, False, "small"), ("", True, "large")):
        data = trace_to_json(run_sizes(with_mtu(between(rules), NARROW), flow, [Listener("b", 80)]))
        assert (data["outcome"]["works"], data[other]["works"]) == (works, True)
        assert not {"small", "large"} - {other} & set(data)


def test_segments_are_as_long_as_the_path_takes_once_it_is_known() -> None:
    data = [j.packet for j in ask(with_mtu(between(), NARROW), 20000).journeys if j.packet.length and not j.reply]
    assert [packet.length for packet in data[:10]] == [1448] * 10  # 1500 - 20 - 20 - 12
    assert {packet.length for packet in data[10:-1]} == {1248}
    assert all(packet.df for packet in data)


def test_a_veth_whose_far_end_takes_less_depends_on_how_segments_come() -> None:
    world = with_mtu(between(), {"r.e1": 1300})
    assert "r loses it: 1452 bytes, more than its MTU 1300" in verdict(ask(world, request=1400))
    assert verdict(ask(world, request=1400)).endswith("; nobody tells the sender")
    assert "Linux may keep several together (GSO)" in verdict(ask(world, request=3000))


def test_a_sender_that_tries_smaller_segments_later_is_named() -> None:
    world = with_mtu(between(NO_ICMP, a="sysctl net.ipv4.tcp_mtu_probing 1"), NARROW)
    said = "a has net.ipv4.tcp_mtu_probing = 1: it tries smaller segments after some 6 seconds"
    assert notes_on(world, ask(world, request=20000)) == (said,)
    assert said not in notes_on(world, ask(world))


def over_ipip(size: int, proto: str) -> Trace:
    """Let a ask b through an IPIP tunnel of 1480 bytes, whose path a knows to take 1400."""
    world = ipip_tunnels("route 10.0.1.2 dev en0 scope link mtu 1400")
    flow = Flow("a", IPv4Address("10.9.2.1"), proto, 80, sport=40000, request=size, answer=10)
    return run(world, flow, [Listener("b", 80), Listener("b", 80, "udp", pinned=True)])


def test_an_ipip_tunnel_refuses_what_is_too_long_for_its_path() -> None:
    trace = over_ipip(20000, "tcp")
    errors = [j for j in trace.journeys if j.packet.icmp]
    assert trace.outcome.works
    assert errors[0].packet.icmp and errors[0].packet.icmp.mtu == 1380
    with pytest.raises(Unsupported, match=r"whether t of a forbids .* \(pmtudisc\) is not modelled"):
        over_ipip(1500, "udp")


def test_fragments_meet_rules_only_where_connection_tracking_puts_them_together() -> None:
    port = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p udp --dport 81 -j DROP\nCOMMIT\n"
    tracked = port.replace("COMMIT", "-A FORWARD -m conntrack --ctstate INVALID -j DROP\nCOMMIT")
    assert ask(between(tracked), 4000, 4000, "udp").outcome.works
    with pytest.raises(Unsupported, match="fragments of a packet meet rules of r at FORWARD"):
        ask(between(port), 4000, 4000, "udp")
    native = "table ip t {\n\tchain c {\n\t\ttype filter hook forward priority 0;\n\t\tudp dport 81 drop\n\t}\n}\n"
    world = between()
    with pytest.raises(Unsupported, match="fragments of a packet meet rules of r at FORWARD"):
        ask(world.put(world["r"].with_ip4(nft=read_ruleset(native))), 4000, 4000, "udp")


@pytest.mark.parametrize(
    ("setting", "named", "learned"),
    [
        pytest.param(0, 1300, [(1300, False)], id="as it is named"),
        pytest.param(0, 1500, [(1500, False)], id="no less than the device takes"),
        pytest.param(0, 1600, [], id="more than the device takes"),
        pytest.param(0, 300, [(552, True)], id="too little to be true: locked"),
        pytest.param(1, 1300, [(552, True)], id="discovery is off, and the MTU is not looked at"),
        pytest.param(2, 1300, [], id="such errors are passed over"),
        pytest.param(3, 1300, [], id="nothing proves that the error is true"),
    ],
)
def test_what_is_learned_of_an_icmp_error(setting: int, named: int, learned: list[tuple[int, bool]]) -> None:
    net = Network(between(a=f"sysctl net.ipv4.ip_no_pmtu_disc {setting}"), Chance())
    lost = Packet(IPv4Address("10.0.1.2"), IPv4Address("10.0.3.2"), "udp", 40000, 80, length=1400)
    believe(Recorder(net, "a", Skb(lost)), Icmp(3, 4, quoted=lost, mtu=named))
    assert [*net.hosts["a"].learned_mtus.values()] == learned


@pytest.mark.parametrize("size", [-1, 65508])
def test_a_size_that_no_datagram_has_is_refused(size: int) -> None:
    with pytest.raises(NoConversation, match="a size is a number of bytes from 1 to 65507"):
        Flow("a", IPv4Address("10.0.3.2"), request=size)


@pytest.mark.parametrize("size", [0, 300], ids=["without a size", "with a size"])
def test_what_is_sent_again_has_another_port_in_a_tunnel(size: int) -> None:
    """The socket takes another hash after a timeout, of which VXLAN makes the port: sk_rethink_txhash()."""
    drops = chains("filter", "FORWARD -p tcp -m conntrack --ctstate ESTABLISHED -m tcp --tcp-flags PSH PSH -j DROP")
    world = tunnelled()
    world = world.put(world["m"].with_ip4(tables=parse_tables(drops)))
    flow = Flow("a", IPv4Address("10.9.2.5"), "tcp", 80, sport=40000, request=size, answer=size, patience=1.0)
    trace = run(world, flow, [Listener("b", 80)])
    data = [journey for journey in trace.journeys if journey.packet.length and not journey.reply]
    ports = [next(step.after.sport for step in journey.steps if step.after.inner) for journey in data]
    assert len(set(ports)) == len(ports) > 1
