"""The step table and the printed state around a step."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from show_examples import EXAMPLES, connects, hangs, text_of, world
from small_worlds import namespace, plug, talk

import mcnilib
from mcnilib.linux.netfilter.iptables.edit import find_table, put_chain, put_table
from mcnilib.linux.netfilter.iptables.save import parse_tables
from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.show.html.markup import code, element, sentence
from mcnilib.show.html.state import consulted, state_html, state_lines
from mcnilib.show.html.table import STEP_COLUMNS, rows, table_html
from mcnilib.trace.run import run
from mcnilib.trace.trace import Trace


def unanswered() -> Trace:
    """A server whose answer asks an empty table, and then goes to a router that has no route to the client."""
    rule = "rule 99: from 10.0.2.2 lookup 100\nroute default via 10.0.3.1 dev eth1"
    return talk(
        plug(
            namespace("a", "eth0 10.0.1.2/24", "route default via 10.0.1.1 dev eth0"),
            namespace("r", "e1 10.0.1.1/24\ne2 10.0.2.1/24", "sysctl net.ipv4.ip_forward 1"),
            namespace("b", "eth0 10.0.2.2/24\neth1 10.0.3.2/24", rule),
            namespace("c", "e3 10.0.3.1/24", "sysctl net.ipv4.ip_forward 1"),
            lan1="a.eth0 r.e1", lan2="b.eth0 r.e2", lan3="b.eth1 c.e3",
        ),
        "tcp:10.0.2.2:80",
    )  # fmt: skip


SHOW = Path(mcnilib.__file__).parent / "show"
STORY = scenario("7")
START = STORY.start()


@pytest.mark.parametrize(("depth", "packets"), [("outcome", {3}), ("hops", {1, 2, 3, 4, 5, 6, 7})])
def test_a_depth_chooses_the_packets(depth, packets):
    assert {row.journey for row in rows(hangs(), depth)} == packets


def test_what_was_sent_again_is_told_by_its_end_only():
    again = [row for row in rows(hangs(), "hops") if row.journey in (5, 6, 7)]
    assert [row.packet for row in again] == [
        "5 data (retransmit of 4)",
        "6 SYN-ACK (retransmit of 2)",
        "7 ACK (retransmit of 3)",
    ]


def _packets(trace: Trace) -> list[str]:
    names = re.findall(r'<th scope="row">(?:✗ )?([^<]*)', table_html(rows(trace, "hops"), "hops"))
    return list(dict.fromkeys(names))


def test_a_whole_table_has_a_count_instead_of_what_was_sent_again_and_ends_alike():
    assert _packets(hangs()) == ["1 SYN", "2 SYN-ACK (sent 2 times)", "3 ACK (sent 2 times)", "4 data (sent 2 times)"]


def test_what_was_sent_again_and_ends_otherwise_has_a_row_of_its_own():
    packets = _packets(scenario("10").run(scenario("10").start()))
    assert packets == ["1 SYN", "2 SYN-ACK (sent 7 times)", "4 SYN (retransmit of 1, sent 5 times)"]


def test_a_row_says_what_did_not_match_or_had_no_route_there():
    row, last = (row for row in rows(unanswered(), "hops") if row.reason)
    assert (row.where, row.what) == ("b: route", "route: eth1 via 10.0.3.1")
    assert row.reason.startswith("table 100, which `99: from 10.0.2.2 lookup 100` asks, is empty")
    assert "<div>table 100, which <code>99: from" in table_html((row,), "hops")
    assert (last.where, last.reason) == ("c: route", "10.0.1.2 is an address of a")


def test_a_row_says_where_what_by_which_line_and_whose():
    row = rows(hangs(), "outcome")[-1]
    assert (row.packet, row.where, row.what, row.line, row.writer) == (
        "3 ACK",
        "node1: filter KUBE-FORWARD",
        "dropped",
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
        "kube-proxy 1.28",
    )


def test_a_rewrite_names_the_fields():
    changed = [row.changed for row in rows(EXAMPLES["rewritten"][1], "hops") if row.changed]
    assert changed[0] == "dst 10.233.0.100 → 10.233.101.2"


def test_the_table_is_a_real_table_with_headings():
    html = table_html(rows(hangs(), "hops"), "hops")
    assert html.count('<th scope="col">') == len(STEP_COLUMNS)
    assert html.count('<th scope="row">') == len([row for row in rows(hangs(), "hops") if not row.head])
    assert "<caption>" in html


@pytest.mark.parametrize("current", [(1, 1), (3, 4)])
def test_the_step_looked_at_is_marked_by_a_sign_and_for_screen_readers(current):
    html = table_html(rows(hangs(), "decisions"), "decisions", current)
    assert html.count('aria-current="step"') == html.count("▶ ") == 1


@pytest.mark.parametrize(
    ("line", "unbroken"),
    [
        (
            "-m conntrack --ctstate NEW -j MARK --set-xmark 0x1/0x1",
            ["-m", "--ctstate", "-j", "--set-xmark"],
        ),
        ("default via 172.16.0.1 dev eth0", []),
        ("- -A <KUBE-SVC>", ["-A", "&lt;KUBE-SVC&gt;"]),
    ],
)
def test_words_with_hyphens_stay_whole(line, unbroken):
    assert re.findall(r'<span class="word">(.*?)</span>', code(line)) == unbroken
    assert text_of(code(line)) == line


def test_a_loss_is_marked_by_a_sign():
    assert "✗ 3 ACK" in table_html(rows(hangs(), "outcome"), "outcome")
    assert "✗" not in table_html(rows(connects(), "decisions"), "decisions")


# ------------------------------------------------------------------------------------------------ state


@pytest.mark.parametrize(
    ("story", "settings", "command", "decided"),
    [
        ("7", {}, "iptables-save -t filter | grep -w KUBE-FORWARD", "-m conntrack --ctstate INVALID -j DROP"),
        ("7", {"pod_rp_filter": 1}, "sysctl -a | grep rp_filter", "net.ipv4.conf.all.rp_filter = 1"),
    ],
)
def test_the_deciding_line_is_marked_in_its_listing(story, settings, command, decided):
    one = scenario(story)
    chosen = one.start().but(**settings)
    trace = one.run(chosen)
    printed, lines = state_lines(one.world(chosen), trace.outcome.step)
    assert printed == command
    assert next(line.text for line in lines if line.decided).endswith(decided)
    assert sum(line.decided for line in lines) == 1


@pytest.mark.parametrize(
    ("before", "after", "shown"), [(90, 90, "all"), (300, 1, "few"), (1, 300, "few"), (0, 300, "few")]
)
def test_of_a_long_chain_only_what_a_packet_was_compared_with_is_printed(before, after, shown):
    other = "".join(
        "-A KUBE-FORWARD -d 9.9.{}.{}/32 -j ACCEPT\n".format(*divmod(i, 256)) for i in range(before + after)
    )
    table = find_table(STORY.world(START)["node1"].ip4.tables, "filter")
    rules = parse_tables(f"*filter\n:KUBE-FORWARD - [0:0]\n{other}COMMIT\n")[0].chain("KUBE-FORWARD").rules
    old = table.chain("KUBE-FORWARD")
    chain = replace(old, rules=(*rules[:before], *old.rules, *rules[before:]))
    node = STORY.world(START)["node1"]
    there = STORY.world(START).put(node.with_ip4(tables=put_table(node.ip4.tables, put_chain(table, chain))))
    trace = run(there, STORY.flow(START), STORY.listeners(START))
    _, lines = state_lines(there, trace.outcome.step)
    own = [str(rule) for rule in old.rules]
    if shown == "all":
        assert [line.text for line in lines[1:]] == [*map(str, chain.rules)]
        return
    assert [line.text for line in lines[1:] if line.text != "..."] == own
    left = [line.note for line in lines if line.text == "..."]
    counts = ["1 rule asks" if n == 1 else f"{n} rules ask" for n in (before, after) if n]
    assert left == [f"{count} for another address, port or device" for count in counts]
    assert [line.text for line in lines if line.decided] == [own[0]]


def test_a_step_without_a_line_says_what_happened_instead():
    _, trace = EXAMPLES["nobody answers ARP"]
    html = state_html(world(), trace, trace.journeys[0], trace.outcome.step)
    assert "nothing answers ARP" in html
    assert "no rule or route decided this: ARP did" in html


def test_the_other_listings_a_packet_met_there_are_folded_below():
    trace = STORY.run(START)
    journey, step = trace.outcome.journey, trace.outcome.step
    html = state_html(STORY.world(START), trace, journey, step)
    assert "<details><summary>also consulted for packet 3 on node1" in html
    commands = {other.listing.command for other in consulted(journey, step)}
    assert "ip route show table main" in commands
    assert (step.listing, step.chain) not in [(other.listing, other.chain) for other in consulted(journey, step)]
    assert "conntrack -L, after packet 3" in html


@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_every_line_that_decided_is_found_in_what_its_command_prints(story):
    """Whatever step a reader looks at, exactly one printed line is marked, unless no line decided."""
    start = story.start()
    world_, trace = story.world(start), story.run(start)
    for journey in trace.journeys:
        for step in journey.steps:
            _, lines = state_lines(world_, step)
            assert sum(line.decided for line in lines) == (1 if step.listing else 0), (step.listing, step.evidence)


def test_what_is_printed_is_escaped():
    html = state_html(
        STORY.world(START), STORY.run(START), STORY.run(START).outcome.journey, STORY.run(START).outcome.step
    )
    assert not re.search(r"<(?!/?(div|h4|code|span|details|summary)\b)", html)


# ------------------------------------------------------------------------------------------------ markup


def test_text_is_escaped_in_one_place():
    """Whoever puts text into HTML does it by `element` and the like; the picture is XML and has its own head."""
    users = {path.name for path in SHOW.rglob("*.py") if "import escape" in path.read_text(encoding="utf-8")}
    assert users == {"markup.py", "svg.py"}


def test_what_is_html_is_not_escaped_again_and_anything_else_is():
    assert element("p", "<a>", element("b", "&"), title='"') == '<p title="&quot;">&lt;a&gt;<b>&amp;</b></p>'
    assert sentence("by `-A <X>`") == 'by <code><span class="word">-A</span> &lt;X&gt;</code>'
