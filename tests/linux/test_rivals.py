"""Default routes of one metric: the first is taken until something speaks against its gateway; then it is chance."""

from __future__ import annotations

import pytest

from mcnilib.kernel.fuzz.case import base
from mcnilib.linux.routing.fib import equal_defaults, with_doubt
from mcnilib.linux.routing.route import parse_routes
from mcnilib.snapshots.question import read_flow, read_listeners
from mcnilib.snapshots.snapshot import Snapshot, snapshot_of
from mcnilib.trace.explain import verdict
from mcnilib.trace.trace import Outcome, Trace, Verdict
from mcnilib.world.commands import do
from mcnilib.world.world import World

SECOND = "ip route append default via 10.0.1.254"
NO_ANSWER = "iptables -A FORWARD -j DROP"

ROUTES = """\
default via 10.0.0.9 dev e0
default via 10.1.0.2 dev e1
default via 10.1.0.3 dev e1 metric 5
default via 10.1.0.4 dev e1 table 7
10.0.0.0/24 dev e0 proto kernel scope link src 10.0.0.1
"""


def asked(world: World) -> Trace:
    return Snapshot(world, read_listeners(["b:80"])).trace(read_flow("a", "tcp:10.0.2.2:80"))


def outcome(world: World) -> Outcome:
    return asked(world).outcome


def test_only_default_routes_of_one_table_and_one_metric_are_rivals() -> None:
    rivals = equal_defaults(parse_routes(ROUTES, "all"))
    assert sorted(str(route.via) for route in rivals) == ["10.0.0.9", "10.1.0.2"]


def test_the_first_is_taken() -> None:
    world = do(base("routers"), "a", SECOND)
    world = do(world, "s", NO_ANSWER)  # who forwards is r, by which the first route leads
    assert outcome(world).verdict is Verdict.CONNECTED


SILENT = "ip link set e1 down"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "ends"),
    [
        pytest.param((), {"unreachable"}, id="b answers by r, which has no way back: unreachable in any turn"),
        pytest.param(("ip route replace default via 10.0.2.254",), {"unreachable", "connected"}, id="b answers by s"),
    ],
)
def test_when_the_gateway_of_the_first_is_silent_any_may_have_its_turn(more: tuple[str, ...], ends: set[str]) -> None:
    world = do(do(do(base("routers"), "a", SECOND), "r", SILENT), "b", *more)
    assert ends <= {course.outcome.verdict.value for course in asked(world).courses}
    assert not asked(do(base("routers"), "r", SILENT)).branches, "one default route: no chance"


@pytest.mark.slow
def test_a_gateway_whose_mac_is_written_down_may_be_left() -> None:
    world = base("routers")
    mac = next(link.mac for link in world["r"].links if link.name == "e1")
    written = do(world, "a", f"ip neigh add 10.0.1.1 lladdr {mac} dev eth0")
    assert outcome(written).verdict is Verdict.CONNECTED
    both = do(written, "a", SECOND)
    assert outcome(both).verdict is Verdict.CONNECTED, "by either"
    assert outcome(do(both, "s", NO_ANSWER)).verdict is Verdict.DEPENDS


@pytest.mark.parametrize(
    ("listing", "doubtful"),
    [
        ("", False),
        ("10.0.0.9 dev e0 lladdr 02:00:00:00:00:01 REACHABLE \n", False),
        ("10.0.0.9 dev e0 lladdr 02:00:00:00:00:01 STALE \n", True),
        ("10.0.0.9 dev e0 FAILED \n", True),
        ("10.1.0.2 dev e1 INCOMPLETE \n", True),
        ("10.0.0.9 dev e1 FAILED \n", False),
        ("10.1.0.3 dev e1 FAILED \n", False),
        ("10.0.0.9 dev e0 proxy \n", False),
        ("\n10.0.0.9\n", False),
    ],
)
def test_what_a_listing_of_neighbours_tells(listing: str, doubtful: bool) -> None:
    routes = parse_routes(ROUTES, "all")
    doubted = with_doubt(routes, listing)
    assert [bool(route.doubt) for route in doubted] == [doubtful, doubtful, False, False, False]


def test_an_old_entry_of_a_gateway_in_a_snapshot_leaves_it_to_chance() -> None:
    world = do(do(base("routers"), "a", SECOND), "s", NO_ANSWER)
    files = Snapshot(world).files()
    flow, servers = read_flow("a", "tcp:10.0.2.2:80"), read_listeners(["b:80"])
    assert snapshot_of(files).trace(flow, servers).outcome.works
    mac = world["r"].link("e1").mac
    files["a/ip-neigh.txt"] = f"10.0.1.1 dev eth0 lladdr {mac} STALE \n"
    said = verdict(snapshot_of(files).trace(flow, servers))
    assert said.startswith("it depends: works")
