"""Commands a learner types, and what becomes of the flagship's connection."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typed_commands import model, real, state, typed

from mcnilib.errors import McniError
from mcnilib.scenarios import scenario
from mcnilib.trace.run import run
from mcnilib.world.commands import do, run_command
from mcnilib.world.listing import listing

STORY = scenario("7")
START = STORY.start()
WORLD = STORY.world(START)
HERE = model()
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
    assert [str(r).strip() for r in netns.ip4.routes if r.table == table and "8.8.8" in str(r)] == [line]
    gone = do(WORLD, "node1", command, command.replace(" add ", " del "))["node1"]
    assert not any("8.8.8" in str(r) for r in gone.ip4.routes)


def test_a_typed_line_is_yours() -> None:
    world = do(WORLD, "node1", "iptables -I FORWARD -j DROP")
    step = run(world, STORY.flow(START), STORY.listeners(START)).outcome.step
    assert (step.evidence, step.origin.writer) == ("-A FORWARD -j DROP", "you")


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
        ("ip route del 10.9.0.1/24", "command:1:14: '10.9.0.1/24' is not an IPv4 prefix"),
        ("ip route del 10.9.0.0/33", "'10.9.0.0/33' is not an IPv4 prefix"),
        ("ip route del 10.9.0.0/0.0.0.255", "'10.9.0.0/0.0.0.255' is not an IPv4 prefix"),
        ("ip rout del x", "'x' is not an IPv4 prefix"),
        ("ip route del table 100", "the destination is missing"),
        ("ip route del default via 172.16.0.77", "no such route to 0.0.0.0/0"),
        ("ip route del 172.16.0.0/16 xyz", "unknown word 'xyz'"),
        ("ip route del 172.16.0.0/16 dev en9", "no device 'en9' in node1; there are lo, en0"),
        ("ip route add 10.9.0.0/24 via", "a value is missing behind 'via'"),
        ("ip route add 10.9.0.0/24 dev en0 onlink", "onlink by its gateway"),
        ("ip rotue add 10.9.0.0/24 dev en0", "did you mean 'route'?"),
        ("ip route ad 10.9.0.0/24 dev en0 table mian", "did you mean 'main'?"),
        ("ip route frob 10.9.0.0/24", "ip route frob: understood are add, replace, prepend, append, delete"),
        ("ip rule del pref 77", "has no such rule"),
        ("ip rule add lookup 0", "table 0, which stands for any empty one"),
        ("ip rule add oif a/b lookup 9", "'a/b' cannot be the name of a device"),
        ("ip rule add from 10.0.0.0/33 lookup 9", "command:1:18: '10.0.0.0/33' is not an IPv4 prefix"),
        ("ip address add 10.0.0.500/24 dev en0", "command:1:16: '10.0.0.500/24' is not an IPv4 address"),
        ("ip address add 10.0.0.5/24 dev en9", "no device 'en9' in node1"),
        ("ip address add 224.0.0.5/24 dev en0", "no address of one machine"),
        ("ip neigh add 10.0.0.5 dev en0", "`add ADDRESS lladdr MAC dev DEVICE`"),
        ("ip link set en9 down", "no device 'en9'"),
        ("ip link set en0 up down", "set DEVICE up|down"),
        ("iptables -t filtr -A FORWARD -j DROP", "table 'filtr' does not exist; there are raw, mangle, nat, filter, security; did you mean 'filter'?"),
        ("iptables -A FORWRAD -j DROP", "did you mean 'FORWARD'?"),
        ("iptables -I FORWARD ² -j DROP", "there is no rule ²"),
        ("iptables -I FORWARD 99 -j DROP", "there is no rule 99"),
        ("iptables -I FORWARD 99999999999999999999999 -j DROP", "there is no rule 9999"),
        ("iptables -D FORWARD 1 -j DROP", "nothing may follow the rule's number"),
        ("iptables -P KUBE-FORWARD DROP", "no built-in chain"),
        ("iptables -N KUBE-FORWARD", "exists already"),
        ("iptables -N DROP", "cannot be the name of a chain"),
        ("iptables -N 'a b'", "cannot be the name of a chain"),
        ("iptables -F FORWARD now", "nothing may follow FORWARD"),
        ("iptables -A FORWARD -m comment --comment 'a b -j DROP", "no closing quotation"),
        ("iptables -A FORWARD -j DROP; iptables -F", "';' in"),
        ("iptables -A", "the chain is missing"),
        ("iptables", "expected iptables"),
        ("sysctl -w net.ipv4.ip_forward = 1", "'net.ipv4.ip_forward' is not KEY=VALUE"),
        ("sysctl -w net.ipv4.ip_forward=yes", "takes a number"),
        ("sysctl -w net.ipv4.ip_forward=١", "takes a number"),
        ("sysctl -w net.ipv4.ip_default_ttl=256", "takes 1 to 255, not 256"),
        ("ipp route add x", "'ipp' is not understood; understood are ip route|rule|address|neigh|link ..., iptables ..., nft ..., sysctl KEY=VALUE; did you mean 'ip'?"),
    ],
)  # fmt: skip
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


@pytest.mark.parametrize(
    ("commands", "shown", "line"),
    [
        (["ip rule add from 10.9.0.9 pref 70", "ip rule del pref 70"], "ip rule", ""),  # a number says enough
        (["ip rule add fwmark 7 lookup 70 pref 70", "ip rule del fwmark 7"], "ip rule", ""),
        (["ip rule add lookup 70 pref 70", "ip rule add lookup 70 pref 71", "ip rule del lookup 70"], "ip rule", "71:\tfrom all lookup 70"),  # the first one goes
        (["ip rule add from 10.9.0.9"], "ip rule", "999:\tfrom 10.9.0.9 lookup main"),
        (["ip r a 10.9.0.0/24 dev en0 preference 5"], "ip route", "10.9.0.0/24 dev en0 scope link metric 5"),
        (["ip route add dev en0 10.9.0.0/24"], "ip route", "10.9.0.0/24 dev en0 scope link"),
        (["ip route add local 10.9.0.0/24 dev lo"], "ip route show table local", "local 10.9.0.0/24 dev lo scope host"),
        (["iptables -A FORWARD -s 10.9.0.9 -j DROP -t mangle"], "iptables-save -t mangle", "-A FORWARD -s 10.9.0.9/32 -j DROP"),
        (["iptables -A FORWARD -m comment --comment 'a \"b\"' -j DROP"], "iptables-save -t filter", '-A FORWARD -m comment --comment "a \\"b\\"" -j DROP'),
        (["iptables --table=raw --append OUTPUT --jump NOTRACK"], "iptables-save -t raw", "-A OUTPUT -j NOTRACK"),
        (["sysctl -w net.ipv4.ip_default_ttl=0x10 net.ipv4.tcp_syn_retries=3"], "sysctl net.ipv4.ip_default_ttl", "net.ipv4.ip_default_ttl = 16"),
    ],
)  # fmt: skip
def test_words_as_a_person_types_them(commands: list[str], shown: str, line: str) -> None:
    before = [one.strip() for one in listing(WORLD["node1"], shown).splitlines()]
    after = [one.strip() for one in listing(do(WORLD, "node1", *commands)["node1"], shown).splitlines()]
    assert [one for one in after if one not in before] == ([line] if line else [])


@pytest.mark.kernel
def test_the_tools_refuse_or_do_the_same() -> None:
    """The model may refuse more, by name; what it carries out leaves what the tools leave."""
    wrong = {}
    for command, shown in real(typed()).items():
        try:
            found = state(run_command(HERE, command))
        except McniError:
            continue
        if found != shown:
            wrong[command] = shown, found
    assert wrong == {}


WORDS = sorted(
    {word for command in typed() for word in command.split()} | {"²", "", "'", '"', "|", "\x1b", "0" * 5000, "💥"}
)


@given(
    st.sampled_from(typed()), st.lists(st.tuples(st.integers(0, 8), st.sampled_from(WORDS), st.booleans()), max_size=3)
)
@settings(max_examples=400, deadline=None)
def test_no_command_hurts(command: str, changes: list[tuple[int, str, bool]]) -> None:
    words = command.split()
    for at, word, instead in changes:
        words[at : at + instead] = [word]
    with contextlib.suppress(McniError):
        run_command(HERE, " ".join(words))
