"""Neighbour entries as `ip neigh` prints them."""

from __future__ import annotations

import pytest
from ip_shell import model, real

from mcnilib.errors import StateSyntaxError, Unsupported
from mcnilib.linux.neigh import parse_neigh, parse_neighbours
from mcnilib.linux.show import listing

LINE = "169.254.1.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT "
COMMAND = "neigh add 10.0.0.9 dev e0 lladdr 02:00:00:00:00:01 nud permanent"


def test_an_entry_prints_as_the_tool_prints_it() -> None:
    assert str(parse_neigh(LINE)) == LINE


def test_what_was_learned_is_no_state() -> None:
    text = f"10.0.0.7 dev eth0  FAILED \n{LINE}\n10.0.0.8 dev eth0 lladdr 02:00:00:00:00:08 STALE \nfe80::1 dev eth0 lladdr 02:00:00:00:00:09 PERMANENT \n"
    assert [str(entry) for entry in parse_neighbours(text)] == [LINE]


@pytest.mark.parametrize(
    ("line", "column", "what"),
    [
        ("10.0.0.9 eth0 lladdr 02:00:00:00:00:01 PERMANENT", 10, "unknown word 'eth0'"),
        ("10.0.0.9 dev eth0 lladr 02:00:00:00:00:01 PERMANENT", 19, "unknown word 'lladr'; did you mean 'lladdr'?"),
        ("10.0.0.9 dev eth0 lladdr 02:00:00:00:01 PERMANENT", 26, "'02:00:00:00:01' is not a MAC address"),
        ("10.0.0 dev eth0 lladdr 02:00:00:00:00:01 PERMANENT", 1, "'10.0.0' is not an IPv4 address"),
        ("10.0.0.9 dev eth0 lladdr 02:00:00:00:00:01", 43, "one of PERMANENT is missing"),
        ("10.0.0.9 dev eth0 lladdr 02:00:00:00:00:01 PERMANENT now", 54, "unexpected word 'now'"),
    ],
)
def test_where_a_line_is_wrong(line: str, column: int, what: str) -> None:
    with pytest.raises(StateSyntaxError) as caught:
        parse_neigh(line)
    assert (caught.value.column, caught.value.what) == (column, what)


@pytest.mark.parametrize(
    "state", ["lladdr 02:00:00:00:00:01 NOARP", "lladdr 02:00:00:00:00:01 REACHABLE", "FAILED", "proxy"]
)
def test_other_entries_are_named(state: str) -> None:
    with pytest.raises(Unsupported, match=state.split()[-1]):
        parse_neigh(f"10.0.0.9 dev eth0 {state}")


@pytest.mark.kernel
def test_the_kernel_prints_it_so() -> None:
    (found,) = real(COMMAND, ["ip -4 neigh"])
    assert found == listing(model(COMMAND), "ip neigh")
