"""The command `nft` as it is typed: what it makes, and what it refuses."""

from __future__ import annotations

import pytest

from mcnilib.errors import McniError
from mcnilib.kernel.fuzz.generate import chance
from mcnilib.kernel.fuzz.native import NATIVE
from mcnilib.linux.netfilter.nftables.rule import print_ruleset
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.linux.netns import Netns, new_netns
from mcnilib.world.commands import run_command

BASE = (
    "nft add table inet t",
    "nft add chain inet t own",
    "nft 'add chain inet t f { type filter hook forward priority 0 ; policy accept ; }'",
    "nft 'add set inet t hosts { type ipv4_addr ; }'",
    "nft 'add map inet t way { type inet_service : verdict ; elements = { 80 : jump own } }'",
    "nft add element inet t hosts '{ 10.0.0.1, 10.0.0.2 }'",
    "nft add rule inet t f ip saddr @hosts drop",
    "nft add rule inet t f tcp dport vmap @way",
    "nft insert rule inet t f iifname eth0 counter accept",
)


def typed(*commands: str) -> Netns:
    netns = new_netns("n")
    for command in commands:
        netns = run_command(netns, command)
    return netns


def test_what_is_typed_reads_as_nft_prints_it() -> None:
    made = typed(*BASE)
    assert [str(rule) for rule in made.ip4.nft[0].chain("f").rules] == [
        'iifname "eth0" counter accept', "ip saddr @hosts drop", "tcp dport vmap @way",
    ]  # fmt: skip
    assert read_ruleset(print_ruleset(made.ip4.nft)) == made.ip4.nft


@pytest.mark.parametrize(
    ("command", "left"),
    [
        ("nft flush chain inet t f", []),
        ("nft flush table inet t", []),
        ("sudo nft 'add rule inet t f index 0 tcp dport 22 accept'", 4),
        ("nft 'insert rule inet t f index 2 tcp dport 22 accept; flush chain inet t own'", 4),
        (r"nft add rule inet t f tcp dport 22 accept \; add rule inet t f drop", 5),
        ("nft delete element inet t hosts '{ 10.0.0.1 }'", 3),
        ("nft flush set inet t hosts", 3),
        ("nft add table inet t", 3),
    ],
)
def test_what_it_changes(command: str, left: object) -> None:
    rules = typed(*BASE, command).ip4.nft[0].chain("f").rules
    assert (len(rules) if isinstance(left, int) else list(rules)) == left


def test_a_table_goes_with_all_it_holds() -> None:
    assert typed(*BASE, "nft delete table inet t").ip4.nft == ()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("nft", "empty"),
        ("nft ad table t", "did you mean 'add'"),
        ("nft add rule ip t f drop", "no table 'ip t'"),
        ("nft add rule inet t g drop", "no chain 'g'"),
        ("nft add rule inet t f", "statement is missing"),
        ("nft add rule inet t f ip saddr @nets drop", "no set nets"),
        ("nft add rule inet t f jump nowhere", "ENOENT"),
        ("nft add rule inet t own jump own", "ELOOP"),
        ("nft add rule inet t f jump f", "ELOOP"),
        ("nft add rule inet t f masquerade", "EOPNOTSUPP"),
        ("nft 'add chain inet t n { type filter hook input priority 0 ; }; add rule inet t n tcp option maxseg size set rt mtu'", "EOPNOTSUPP"),
        ("nft add rule inet t f drop counter", "nothing may follow drop"),
        ("nft add rule inet t f iif eth7 drop", "ENODEV"),
        ("nft delete rule inet t f handle 4", "handles of the rules in chain f"),
        ("nft insert rule inet t f position 4 drop", "handles of the rules in chain f"),
        ("nft delete rule inet t f index 0", "unknown word 'index'"),
        ("nft delete chain inet t own", "EBUSY"),
        ("nft delete set inet t hosts", "EBUSY"),
        ("nft delete element inet t hosts '{ 10.0.0.9 }'", "ENOENT"),
        ("nft add element inet t way '{ 80 : drop }'", "EEXIST"),
        ("nft add rule inet t f meta mark & 1 drop", "for a shell"),
        ("nft 'add chain inet t n { type nat hook forward priority 0 ; }'", "EOPNOTSUPP"),
        ("nft 'add chain inet t n { type nat hook prerouting priority -200 ; }'", "EOPNOTSUPP"),
        ("nft 'add chain inet t n { type filter hook output priority 0 ; }; add rule inet t n fib saddr . iif oif missing drop'", "EOPNOTSUPP"),
        ("nft add table bridge t", "family bridge"),
    ],
)  # fmt: skip
def test_what_it_refuses(command: str, said: str) -> None:
    with pytest.raises(McniError, match=said):
        typed(*BASE, command)


HANDLES = """table ip t { # handle 7
	set s { # handle 3
		type ipv4_addr
		elements = { 10.0.0.1 }
	}

	chain f { # handle 1
		type filter hook forward priority filter; policy accept;
		ip saddr @s drop # handle 4
		tcp dport { 22, 80 } accept comment "a # handle 9" # handle 5
		osf name "Linux" drop # handle 6
	}
}
"""


@pytest.mark.parametrize(
    ("command", "left"),
    [
        ("delete rule ip t f handle 4", [5, 6]),
        ("delete rule ip t f handle 5", [4, 6]),
        ("insert rule ip t f handle 5 drop", [4, 0, 5, 6]),
        ("insert rule ip t f position 4 drop", [0, 4, 5, 6]),
        ("add rule ip t f handle 4 drop", [4, 0, 5, 6]),
        ("replace rule ip t f handle 6 drop", [4, 5, 0]),
        ("delete rule ip t f handle 7", "ENOENT"),
        ("add rule ip t f drop; delete rule ip t f handle 5", [4, 6, 0]),
        ("add rule ip t f drop; delete rule ip t f handle 7", "handles of the rules in chain f"),
    ],
)
def test_rules_are_known_by_the_handles_that_were_listed(command: str, left: list[int] | str) -> None:
    netns = new_netns("n").with_ip4(nft=read_ruleset(HANDLES))
    if isinstance(left, str):
        with pytest.raises(McniError, match=left):
            run_command(netns, f"nft '{command}'")
    else:
        done = run_command(netns, f"nft '{command}'")
        assert [rule.handle for rule in done.ip4.nft[0].chain("f").rules] == left


def test_handles_are_no_part_of_what_is_printed() -> None:
    printed = print_ruleset(read_ruleset(HANDLES))
    assert printed.replace('"a # handle 9"', "").count("handle") == 0
    assert read_ruleset(printed) == read_ruleset(HANDLES)


def test_the_fuzzer_draws_native_rules() -> None:
    with_rules = [number for number in range(100) if "nft 'add rule" in str(chance(0, number))]
    assert NATIVE * 50 < len(with_rules) < NATIVE * 200
