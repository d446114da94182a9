"""Commands a learner types, and what becomes of the flagship's connection."""

from __future__ import annotations

import pytest

from mcnilib.errors import McniError
from mcnilib.linux.commands import do
from mcnilib.linux.show import listing
from mcnilib.scenarios import scenario
from mcnilib.trace.run import run

STORY = scenario("7")
START = STORY.start()
WORLD = STORY.world(START)
VETH = next(link.name for link in WORLD["node1"].links if link.name.startswith("veth"))


def works(netns: str, *commands: str) -> bool:
    return run(do(WORLD, netns, *commands), STORY.flow(START), STORY.listeners(START)).outcome.works


@pytest.mark.parametrize(
    ("netns", "commands", "works_then"),
    [
        ("node1", [], False),
        ("node1", ["iptables -D KUBE-FORWARD 1"], True),
        ("node1", ["iptables -D KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"], True),
        ("node2", ["iptables -D KUBE-FORWARD 1"], False),  # the other node's rule is harmless
        ("node1", [f"iptables -t raw -I PREROUTING -i {VETH} -j NOTRACK"], True),
        ("node1", [f"iptables -I FORWARD -i {VETH} -m comment --comment \"let it pass\" -j ACCEPT"], True),
        ("node1", ["sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1"], False),
        ("node2", ["ip route add 172.16.100.2 via 172.16.1.2 dev en0"], True),
        ("node2", ["ip rule add to 172.16.100.2 lookup 77 priority 900", "ip route add default via 172.16.1.2 dev en0 table 77"], True),
        ("node1", ["iptables -D KUBE-FORWARD 1", "iptables -P FORWARD DROP"], False),
        ("mac1", ["ip route del 10.233.64.0/18"], True),  # by way of the gateway, which knows the blocks without encapsulation
    ],
)  # fmt: skip
def test_what_a_command_changes(netns: str, commands: list[str], works_then: bool) -> None:
    assert works(netns, *commands) is works_then


@pytest.mark.parametrize(
    ("command", "table", "line"),
    [
        ("ip route add local 8.8.8.0/24 dev lo", "local", "local 8.8.8.0/24 dev lo scope host"),
        ("ip route add local 8.8.8.0/24 dev lo table 100", "100", "local 8.8.8.0/24 dev lo scope host"),
        ("ip route add broadcast 8.8.8.0 dev en0", "local", "broadcast 8.8.8.0 dev en0 scope link"),
        ("ip route add 8.8.8.0/24 dev en0", "main", "8.8.8.0/24 dev en0 scope link"),
    ],
)
def test_a_route_goes_where_ip_puts_it(command: str, table: str, line: str) -> None:
    netns = do(WORLD, "node1", command)["node1"]
    assert [str(r).strip() for r in netns.routes if r.table == table and "8.8.8" in str(r)] == [line]
    gone = do(WORLD, "node1", command, command.replace(" add ", " del "))["node1"]
    assert not any("8.8.8" in str(r) for r in gone.routes)


def test_a_typed_line_is_yours() -> None:
    world = do(WORLD, "node1", "iptables -I FORWARD -j DROP")
    step = run(world, STORY.flow(START), STORY.listeners(START)).outcome.step
    assert (step.evidence, step.by.writer) == ("-A FORWARD -j DROP", "you")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("", "empty"),
        ("rm -rf /", "'rm' is not understood"),
        ("ip route add 10.0.0.0/8 via 172.16.1.2 dve en0", "did you mean 'dev'"),
        ("ip route add default via 172.16.0.1 dev en0", "already"),
        ("ip route del 9.9.9.0/24", "no route to 9.9.9.0/24"),
        ("ip route flush table main", "flush"),
        ("ip rule del from 9.9.9.9 lookup 7", "no such rule"),
        ("iptables -D KUBE-FORWARD 9", "there is no rule 9"),
        ("iptables -A NOWHERE -j DROP", "no chain NOWHERE"),
        ("iptables -A FORWARD -j", "a target is missing"),
        ("iptables -A FORWARD -j NOWHERE", "jumps to NOWHERE, which is not there"),
        ("iptables -I FORWARD -j MASQUERADE", "no place in table filter"),
        ("iptables -t nat -A PREROUTING -j DROP", "would filter in table nat"),
        ("iptables -P FORWARD MAYBE", "ACCEPT or DROP"),
        ("iptables -Z FORWARD 1", "-Z"),
        ("sysctl net.ipv4.ip_forward", "KEY=VALUE"),
        ("sysctl -w net.ipv4.frobnicate=1", "frobnicate"),
    ],
)
def test_a_command_that_fails_says_why(command: str, says: str) -> None:
    with pytest.raises(McniError) as error:
        do(WORLD, "node1", command)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("commands", "shown", "line"),
    [
        (["ip rule add fwmark 0x1 table 100 pref 900"], "ip rule", "900:\tfrom all fwmark 0x1 lookup 100"),
        (["ip route add 10.9.0.0/16 via 172.16.1.3 dev en0 table 77"], "ip route show table 77", "10.9.0.0/16 via 172.16.1.3 dev en0"),
        (["ip route add 10.9.0.0/16 dev en0"], "ip route show table main", "10.9.0.0/16 dev en0 scope link"),
        (["ip neigh add 172.16.9.9 lladdr 02:00:00:00:00:09 dev en0 nud permanent"], "ip neigh", "172.16.9.9 dev en0 lladdr 02:00:00:00:00:09 PERMANENT"),
        (["iptables -N LATE", "iptables -A LATE -s 10.0.0.0/8 -j RETURN"], "iptables-save -t filter", "-A LATE -s 10.0.0.0/8 -j RETURN"),
        (["sysctl -w net.ipv4.conf.en0.rp_filter=2"], "sysctl -a", "net.ipv4.conf.en0.rp_filter = 2"),
    ],
)  # fmt: skip
def test_what_a_command_wrote_is_printed_by_the_tool(commands: list[str], shown: str, line: str) -> None:
    printed = listing(do(WORLD, "node1", *commands)["node1"], shown)
    assert line in [one.strip() for one in printed.splitlines()]


def routes(netns: str, *commands: str) -> list[str]:
    return listing(do(WORLD, netns, *commands)[netns], "ip route show table main").splitlines()


@pytest.mark.parametrize(
    ("commands", "there", "gone"),
    [
        (["ip route add 10.9.0.0/16 via 172.16.0.9"], "10.9.0.0/16 via 172.16.0.9 dev en0 ", ""),  # the kernel finds the device
        (["ip route replace default via 172.16.0.9 dev en0"], "default via 172.16.0.9 dev en0 ", "default via 172.16.0.1 dev en0 "),
        (["ip route replace 10.9.0.0/16 via 172.16.0.9"], "10.9.0.0/16 via 172.16.0.9 dev en0 ", ""),  # nothing to replace: added
        (["ip route add 10.9.0.0/16 via 172.16.0.9", "ip route replace 10.9.0.0/16 via 172.16.0.8"], "10.9.0.0/16 via 172.16.0.8 dev en0 ", "10.9.0.0/16 via 172.16.0.9 dev en0 "),
        (["ip route replace 10.9.0.0/16 via 172.16.0.9 metric 5", "ip route replace 10.9.0.0/16 via 172.16.0.8 metric 6"], "10.9.0.0/16 via 172.16.0.9 dev en0 metric 5 ", ""),
    ],
)  # fmt: skip
def test_a_route_as_a_person_types_it(commands: list[str], there: str, gone: str) -> None:
    lines = routes("node2", *commands)
    assert there.strip() in [line.strip() for line in lines]
    assert not gone or gone.strip() not in [line.strip() for line in lines]


@pytest.mark.parametrize("word", ["priority", "prio", "pref", "preference", "order"])
def test_the_priority_of_a_rule_has_many_names(word: str) -> None:
    rules = listing(do(WORLD, "mac1", f"ip rule add from all lookup 77 {word} 900")["mac1"], "ip rule")
    assert "900:\tfrom all lookup 77" in rules


def test_a_gateway_on_no_link_is_refused() -> None:
    with pytest.raises(McniError, match="invalid gateway"):
        do(WORLD, "node2", "ip route add 10.9.0.0/16 via 9.9.9.9")


def test_flushing_a_table_empties_every_chain_and_keeps_them() -> None:
    text = listing(do(WORLD, "node1", "iptables -F")["node1"], "iptables-save -t filter")
    assert "\n-A " not in text
    assert ":KUBE-FORWARD - [0:0]" in text
    assert works("node1", "iptables -F")
