"""Neighbour entries as `ip neigh` prints them."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from ip_shell import model, real
from kernel_worlds import CASES

from mcnilib.errors import StateSyntaxError, Unsupported
from mcnilib.linux.netns import Family, Netns
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.neigh import SHOWN_BY, Neigh, parse_neigh, parse_neighbours
from mcnilib.trace.run import run
from mcnilib.trace.trace import Stage, Step
from mcnilib.world.json_form import neigh_lines, text_of
from mcnilib.world.listing import listing

LINE = "169.254.1.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT "
COMMANDS_SHOWING = tuple(dict.fromkeys(SHOWN_BY.values()))
COMMANDS = """
    neigh add 10.0.0.9 dev e0 lladdr 02:00:00:00:00:01 nud permanent
    neigh add 10.0.0.8 dev e0 lladdr 02:00:00:00:00:02 nud noarp
    neigh add proxy 10.0.0.7 dev e0
"""


def test_an_entry_prints_as_the_tool_prints_it() -> None:
    assert str(parse_neigh(LINE)) == LINE


def test_what_was_learned_is_no_state() -> None:
    text = f"10.0.0.7 dev eth0  FAILED \n{LINE}\n10.0.0.8 dev eth0 lladdr 02:00:00:00:00:08 STALE \nfe80::1 dev eth0 lladdr 02:00:00:00:00:09 PERMANENT \n"
    assert [str(entry) for entry in parse_neighbours(text)] == [LINE]


@pytest.mark.parametrize(
    ("line", "is_state"),
    [
        ("10.0.0.9 dev eth0 lladdr 02:00:00:00:00:09 NOARP ", True),
        ("10.0.0.9 dev eth0 proxy ", True),
        ("10.0.0.9 proxy ", True),  # on every device
        ("224.0.0.22 dev eth0 lladdr 01:00:5e:00:00:16 NOARP ", False),
        ("10.0.0.255 dev eth0 lladdr ff:ff:ff:ff:ff:ff NOARP ", False),
        ("127.0.0.1 dev lo lladdr 00:00:00:00:00:00 NOARP ", False),
        ("10.244.1.1 dev tunl0 lladdr 172.16.1.3 NOARP ", False),
        ("10.8.0.1 dev wg0 NOARP ", False),
        ("10.0.0.9 dev eth0 ", False),
        ("10.0.0.9 dev eth0 lladdr 02:00:00:00:00:09 extern_learn ", False),
        ("10.0.0.9 dev eth0 lladdr 02:00:00:00:00:09 REACHABLE proto zebra ", False),
        ("10.0.0.9 dev eth0 managed INCOMPLETE ", False),
    ],
)
def test_of_all_entries_those_are_state_that_somebody_wrote(line: str, is_state: bool) -> None:
    assert [str(entry) for entry in parse_neighbours(line)] == [line] * is_state


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("10.0.0.9 dev eth0 lladdr 02:00:00:00:00:09 PERMANENT proto static ", "10.0.0.9 dev eth0 lladdr 02:00:00:00:00:09 PERMANENT "),
        ("10.0.0.9 dev eth0 lladdr 02:00:00:00:00:09 router extern_learn NOARP ", "10.0.0.9 dev eth0 lladdr 02:00:00:00:00:09 NOARP "),
        ("10.0.0.9 dev eth0 proxy proto static ", "10.0.0.9 dev eth0 proxy "),
        ("10.0.0.9 dev eth0 router proxy extern_learn ", "10.0.0.9 dev eth0 proxy "),
    ],
)  # fmt: skip
def test_who_wrote_an_entry_and_what_else_it_is_changes_nothing(line: str, entry: str) -> None:
    assert [str(neighbour) for neighbour in parse_neighbours(line)] == [entry]


@pytest.mark.parametrize(
    ("line", "column", "what"),
    [
        ("10.0.0.9 eth0 lladdr 02:00:00:00:00:01 PERMANENT", 10, "unknown word 'eth0'"),
        ("10.0.0.9 dev eth0 lladr 02:00:00:00:00:01 PERMANENT", 19, "unknown word 'lladr'; did you mean 'lladdr'?"),
        ("10.0.0.9 dev eth0 lladdr 02:00:00:00:01 PERMANENT", 26, "'02:00:00:00:01' is not a MAC address"),
        ("10.0.0 dev eth0 lladdr 02:00:00:00:00:01 PERMANENT", 1, "'10.0.0' is not an IPv4 address"),
        ("10.0.0.9 dev eth0 lladdr 02:00:00:00:00:01", 43, "one of PERMANENT, NOARP is missing"),
        ("10.0.0.9 dev eth0 lladdr 02:00:00:00:00:01 PERMANENT now", 54, "unexpected word 'now'"),
    ],
)
def test_where_a_line_is_wrong(line: str, column: int, what: str) -> None:
    with pytest.raises(StateSyntaxError) as caught:
        parse_neigh(line)
    assert (caught.value.column, caught.value.what) == (column, what)


@pytest.mark.parametrize("state", ["lladdr 02:00:00:00:00:01 REACHABLE", "FAILED", "NOARP"])
def test_other_entries_are_named(state: str) -> None:
    with pytest.raises(Unsupported, match=state.removeprefix("lladdr 02:00:00:00:00:01 ").split()[0]):
        parse_neigh(f"10.0.0.9 dev eth0 {state}")


@pytest.mark.parametrize(
    ("dev", "works"), [("dev e1 ", True), ("dev e2 ", False), ("", True)], ids=lambda value: str(value)
)
def test_a_proxy_answers_on_its_device_or_on_each(dev: str, works: bool) -> None:
    """Not put to the kernel: it keeps an entry without a device when the namespace is gone."""
    case = CASES["a proxy for one address"]
    router = next(netns for netns in case.world if netns.ip4.neighbours)
    world = case.world.put(router.with_ip4(neighbours=(parse_neigh(f"10.0.2.2 {dev}proxy"),)))
    assert run(world, case.flow, case.listeners).outcome.works is works


@pytest.mark.kernel
def test_a_device_that_goes_down_loses_its_entries() -> None:
    """Permanent ones and proxies too; those of another device stay."""
    commands = (
        f"{COMMANDS}neigh add 10.9.0.1 dev e1 lladdr 02:00:00:00:00:05 nud permanent\nlink set e0 down\nlink set e0 up"
    )
    answers = real(commands, ["ip -4 neigh show nud all", "ip -4 neigh show proxy"])
    assert "".join(answers) == "".join(listing(model(commands), command) for command in COMMANDS_SHOWING)
    assert "10.9.0.1 dev e1" in answers[0]


@pytest.mark.kernel
@pytest.mark.parametrize(
    "lines",
    [
        "",
        "neigh add 10.0.0.6 lladdr 02:00:00:00:00:04 dev e0 nud none\nneigh add 10.0.0.5 lladdr 02:00:00:00:00:03 dev e0 extern_learn nud permanent",
    ],
)
def test_the_kernel_s_own_listing_is_read_in_both_forms(lines: str) -> None:
    commands = ["ip -4 neigh show nud all", "ip -4 neigh show proxy"]
    text = "".join(real(COMMANDS + lines, commands))
    shown = (
        text_of(answer, neigh_lines, "x") for answer in real(COMMANDS + lines, [f"ip -j{c[2:]}" for c in commands])
    )
    assert sorted(map(str, parse_neighbours("".join(shown)))) == sorted(map(str, parse_neighbours(text)))
    assert len(parse_neighbours(text)) == 3 + lines.count("permanent")


@pytest.mark.kernel
@pytest.mark.parametrize("command", COMMANDS_SHOWING)
def test_the_kernel_prints_it_so(command: str) -> None:
    (answer,) = real(COMMANDS, [command.replace("ip", "ip -4", 1)])
    assert answer == listing(model(COMMANDS), command) != ""


@pytest.mark.parametrize("state", SHOWN_BY)
def test_every_entry_stands_in_the_listing_that_a_step_names(state: str) -> None:
    """Also one that ARP learned: where it decides, programs and readers look for it there."""
    entry = Neigh(IPv4Address("10.0.1.77"), "eth0", "" if state == "proxy" else "02:00:00:00:00:07", state)
    packet = Packet(IPv4Address("10.0.1.2"), entry.ip)
    step = Step("a", Stage.ARP, "", packet, packet, entry)
    assert str(entry) in listing(Netns("a", ip4=Family(neighbours=(entry,))), step.listing.command)
