"""What a namespace holds at a moment of a conversation: connections, what ARP learned, the lines that decided."""

from __future__ import annotations

import pytest
from show_examples import text_of

from mcnilib.errors import NotThere
from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.show.html.markup import DECIDED
from mcnilib.show.html.netns_state import (
    CONNECTION_TABLE,
    LEARNED_NEIGHBOURS,
    Moment,
    look_into,
    moment_html,
)
from mcnilib.show.html.table import rows
from mcnilib.trace.trace import Asked

STORY = scenario("7")
START = STORY.start()
WORLD, TRACE = STORY.world(START), STORY.run(START)
DROP = "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"


def moment(step: int, depth: str = "decisions") -> Moment:
    row = rows(TRACE, depth)[step - 1]
    return Moment.of(TRACE, (row.journey, row.index))


def listed(name: str, command: str, at: Moment) -> list:
    return [
        line
        for part in look_into(WORLD[name], at)
        if part.command.partition(", after")[0] == command
        for line in part.lines
    ]


def step_of(number: int, netns: str, action: str) -> Moment:
    """Return the moment of the first step of a packet in a namespace whose action begins so."""
    journey = next(one for one in TRACE.journeys if one.number == number)
    steps = enumerate(journey.steps)
    return Moment.of(TRACE, (number, next(n for n, s in steps if s.netns == netns and s.action.startswith(action))))


def test_the_deciding_line_is_marked_where_it_stands_and_nowhere_else():
    at = moment(9, "hops")
    marked = {
        netns.name: [line for part in look_into(netns, at) for line in part.lines if line.decided] for netns in WORLD
    }
    assert [line.text for line in marked.pop("node1")] == [DROP]
    assert not any(marked.values())


def test_a_line_that_decided_before_names_the_packets():
    route = next(line for line in listed("node1", "ip route show table main", moment(9, "hops")) if line.met)
    assert (route.text.split(" via")[0], route.met, route.decided) == ("10.233.101.0/26", "packets 1, 3", False)


@pytest.mark.parametrize(
    ("number", "netns", "action", "entries"),
    [
        (1, "node1", "NEW", []),  # not stored before it leaves: conntrack -L does not list it
        (1, "node1", "connection stored", ["SYN_SENT"]),
        (2, "node2", "ESTABLISHED", ["SYN_RECV"]),
        (2, "mac1", "ESTABLISHED", ["SYN_RECV"]),
        (3, "node1", "INVALID", ["SYN_SENT"]),
    ],
)
def test_the_connection_table_is_that_of_the_moment(number, netns, action, entries):
    assert [line.text.split()[3] for line in listed(netns, CONNECTION_TABLE, step_of(number, netns, action))] == entries


def test_the_entry_that_was_looked_at_is_marked():
    at = step_of(2, "node2", "ESTABLISHED")
    assert [line.decided for line in listed("node2", CONNECTION_TABLE, at)] == [True]
    assert [line.decided for line in listed("mac1", CONNECTION_TABLE, at)] == [False]


def test_what_arp_learned_is_told_from_then_on():
    ask = step_of(2, "node2", "who has 172.16.100.2")
    before = Moment.of(TRACE, (2, ask.index - 1))
    assert not [line for line in listed("node2", LEARNED_NEIGHBOURS, before) if "172.16.100.2 " in line.text]
    [line] = [line for line in listed("node2", LEARNED_NEIGHBOURS, ask) if "172.16.100.2 " in line.text]
    assert line.text == "172.16.100.2 dev en0 lladdr 02:50:d1:1a:8c:3e REACHABLE"
    assert (line.decided, line.note) == (True, "asked for packet 2")


def test_a_listener_is_listed_where_a_packet_met_it():
    assert [line.text for line in listed("cal2", "ss -ltun", Moment.of(TRACE, None))] == ["tcp LISTEN 0.0.0.0:80"]
    assert not listed("cal1", "ss -ltun", Moment.of(TRACE, None))


def test_the_connection_tables_of_all_machines_stand_together():
    shown = moment_html(WORLD, moment(9, "hops"), CONNECTION_TABLE)
    text = text_of(shown["connections"])
    assert not shown["state"]
    assert "node1# conntrack -L, after packet 3" in text
    assert [text.count(state) for state in ("SYN_SENT", "SYN_RECV", "432000 ESTABLISHED")] == [1, 1, 1]
    assert "No connection is known on node3, node4, gateway" in text


def test_a_machine_is_told_with_its_connections_apart():
    shown = moment_html(WORLD, moment(9, "hops"), "")
    assert shown["about"] == "node1, 172.16.1.2, after packet 3. Packets have met mac1, node1, node2, cal2."
    assert "SYN_SENT" in shown["connections"] and "conntrack -L" not in shown["state"]
    assert text_of(shown["state"]).count(DECIDED) == 1
    assert "(no connection)" in moment_html(WORLD, moment(9, "hops"), "cal1")["connections"]
    with pytest.raises(NotThere, match="node9"):
        moment_html(WORLD, moment(9, "hops"), "node9")


@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_every_deciding_line_is_found_in_its_machine(story):
    world, trace = story.world(story.start()), story.run(story.start())
    for row in rows(trace, "hops"):
        at = Moment.of(trace, (row.journey, row.index))
        shown = moment_html(world, at, at.step.netns)
        page = shown["connections"] + shown["state"]
        assert (page.count('aria-current="true"') >= 1) == bool(
            row.line or at.step.entry or isinstance(at.step.what, Asked)
        ), row
