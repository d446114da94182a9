"""The panel of a snapshot: questions, what-if, and what it says to mistakes."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from show_examples import text_of

from mcnilib import ask, scenario
from mcnilib.errors import McniError
from mcnilib.kernel.fuzz.case import base
from mcnilib.show.widgets.prefetch import run_later
from mcnilib.show.widgets.snapshot_panel import SnapshotPanel
from mcnilib.show.widgets.trace_view import TABLES_LATER
from mcnilib.snapshots.question import changed, read_listeners
from mcnilib.snapshots.snapshot import Snapshot, snapshot_of
from mcnilib.snapshots.targets.flow_target import QuestionError
from mcnilib.world.commands import do
from mcnilib.world.world import World

HALF_DEAD = (
    "iptables -t nat -A PREROUTING -d 10.0.9.9 -p tcp -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.0.2.2",
    "iptables -t nat -A PREROUTING -d 10.0.9.9 -p tcp -j DNAT --to-destination 10.0.2.99",
)


WORLD = scenario("7").world(scenario("7").start())


@pytest.fixture
def panel() -> SnapshotPanel:
    story = scenario("7")
    settings = story.start()
    files = Snapshot(story.world(settings), story.listeners(settings)).files()
    return ask(snapshot_of(files), "172.16.100.2", "tcp:10.233.101.2:80")


def test_the_panel_shows_the_answer(panel: SnapshotPanel) -> None:
    assert panel.client.value == "mac1"
    assert "connect succeeds, then hangs" in panel.view.verdict.value
    assert "kube-proxy (inferred)" in panel.view.verdict.value
    assert "<svg" in panel.view.picture.value
    assert "-A KUBE-FORWARD" in text_of(panel.view.state.value)
    assert panel.view.compared.value == ""
    data = panel._repr_mimebundle_()
    bundle = data[0] if isinstance(data, tuple) else data
    assert "connect succeeds, then hangs" in bundle["text/plain"]


def test_the_steps_can_be_walked_as_soon_as_the_panel_is_there() -> None:
    story = scenario("7")
    snapshot = snapshot_of(Snapshot(story.world(story.start()), story.listeners(story.start())).files())

    async def first_key_of_a_quick_reader() -> SnapshotPanel:
        panel = ask(snapshot, "mac1", "tcp:10.233.101.2:80")
        panel.view.stepper.slider.value = 2
        put_off = asyncio.get_running_loop().create_future()
        run_later(TABLES_LATER, lambda: put_off.set_result(None))
        await put_off
        return panel

    assert "step 2 of" in asyncio.run(first_key_of_a_quick_reader()).view.stepper.where.value


def test_what_if(panel: SnapshotPanel) -> None:
    panel.commands.value = "# the chain's only rule\nnode1: iptables -D KUBE-FORWARD 1"
    panel.button.click()
    assert "✓ connected" in panel.view.verdict.value
    assert "Without the commands: connect succeeds, then hangs" in panel.view.compared.value
    assert "First difference: packet 3" in panel.view.compared.value
    panel.commands.value = "node3: iptables -P FORWARD DROP"
    panel.button.click()
    assert "No step differs" in panel.view.compared.value
    assert "connect succeeds, then hangs" in panel.view.verdict.value


def test_what_would_help_is_listed_and_tried_by_a_click(panel: SnapshotPanel) -> None:
    panel.repairs.button.click()
    assert "changes help. Each was tried on the model" in panel.repairs.said.value
    assert panel.repairs.bar.layout.display == "none"
    assert 0 < panel.repairs.bar.value < 1
    first = panel.repairs.list.children[0]
    assert "node1: iptables -I FORWARD -s 172.16.100.2/32 -d 10.233.101.2/32 -j ACCEPT" in text_of(
        first.children[0].value
    )
    panel.commands.value = "# nothing yet"
    assert panel.repairs.list.children == ()  # it was about another question
    panel.repairs.button.click()
    panel.repairs.list.children[0].children[1].click()
    assert panel.commands.value.splitlines()[0] == "# nothing yet"
    assert "✓ connected" in panel.view.verdict.value
    assert panel.repairs.list.children == ()


def test_what_cannot_be_asked_cannot_be_repaired(panel: SnapshotPanel) -> None:
    panel.to.value = "tcp:10.233.101.2"
    panel.repairs.button.click()
    assert "is none of ADDRESS:PORT" in panel.repairs.said.value


def test_a_field_that_changes_asks_by_itself(panel: SnapshotPanel) -> None:
    panel.to.value = "udp:10.233.101.2:80"
    assert "✓ connected" in panel.view.verdict.value
    panel.commands.value = "node1: iptables -P FORWARD DROP"
    assert "Without the commands" in panel.view.compared.value
    panel.client.value = "node1"
    assert "node1" in panel.view.steps.value


def test_the_steps_can_be_walked(panel: SnapshotPanel) -> None:
    before = panel.view.picture.value
    panel.view.stepper.forward.click()
    assert panel.view.picture.value != before
    assert "step 1 of" in panel.view.stepper.where.value
    panel.view.depth.value = "decisions"
    assert "Steps: decisions" in panel.view.steps.value


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("to", "tcp:10.233.101.2", "is none of ADDRESS:PORT"),
        ("listen", "nobody:80", "no network namespace &#x27;nobody&#x27;"),
        ("commands", "node1 iptables", "is not NETNS: COMMAND"),
        ("commands", "node1: iptables -A FORWARD -j <b>", "&lt;b&gt;"),
        ("commands", "node1: ip route del 10.9.0.1/24", "&#x27;10.9.0.1/24&#x27; is not an IPv4 prefix"),
        ("commands", "node1: ip route del 10.9.0.0/33", "&#x27;10.9.0.0/33&#x27; is not an IPv4 prefix"),
        ("commands", "node1: ip address add 10.0.0.500/24 dev en0", "&#x27;10.0.0.500/24&#x27; is not an IPv4 address"),
        ("commands", "mac1: ip rout del x", "&#x27;x&#x27; is not an IPv4 prefix"),
        ("commands", "node11: iptables -F", "did you mean &#x27;node1&#x27;?"),
        ("commands", "node1: iptables -t filtr -F", "did you mean &#x27;filter&#x27;?"),
        ("source", "x", "&#x27;x&#x27; is not an IPv4 address"),
    ],
)
def test_a_mistake_is_shown_where_the_verdict_stands(panel: SnapshotPanel, field: str, value: str, says: str) -> None:
    before = {
        part: part.value for part in (panel.view.picture, panel.view.compared, panel.view.state, panel.view.steps)
    }
    right = getattr(panel, field).value
    getattr(panel, field).value = value
    panel.ask()
    assert says in panel.view.verdict.value
    assert 'role="alert"' in panel.view.verdict.value
    assert [part.value for part in before] == [""] * 4  # nothing answers this question
    assert (panel.view.stepper.slider.max, panel.view.stepper.forward.disabled) == (0, True)
    getattr(panel, field).value = right
    panel.ask()
    assert {part: part.value for part in before} == before


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("node1: iptables -A FORWARD -m frob -j DROP", "frob"),
        ("node1: iptables -m frob -j DROP", "-m"),
        ("node1: iptables -t natt -A X", "natt"),
        ("node1: iptables -A FORWRD -j DROP", "FORWRD"),
        ("node1: iptables -D FORWARD 99", "99"),
        ("node1: iptables -A FORWARD -j NOPE", "NOPE"),
        ("node1: ip route add 9.9.9.9 dev nope", "nope"),
        ("node1: ip route add 9.9.9.9 via 8.8.8.8", "8.8.8.8"),
        ("node1: ip route add 172.16.0.0/16 dev en0", "172.16.0.0/16"),
        ("node1: ip route add 1.2.3.4 dev en0 > x", "> x"),
        ("node1: sysctl -w foo=1", "foo=1"),
        ("node9: ip route add 1.2.3.4 dev en0", "node9"),
        ("node1:iptables -P FOO DROP", "FOO"),
    ],
)
def test_a_caret_points_to_the_wrong_word_of_a_command(panel: SnapshotPanel, line: str, wrong: str) -> None:
    panel.commands.value = f"# the first line is a remark\n{line}"
    panel.ask()
    head, shown, caret = text_of(panel.view.verdict.value).splitlines()[-3:]
    assert "command:2:" in head
    assert shown == f"  {line}"
    assert shown[caret.index("^") :].startswith(wrong)


def test_a_field_has_room_for_its_hint(panel: SnapshotPanel) -> None:
    for field in (panel.to, panel.source, panel.listen):
        assert int(field.layout.width.removesuffix("ch")) > len(field.description) + len(field.placeholder)


def test_commands_are_one_a_line() -> None:
    world = World(())
    assert changed(world, "\n# nothing\n") is world
    with pytest.raises(QuestionError, match="is not NETNS: COMMAND"):
        changed(world, "node1")


def test_where_chance_decides_each_end_can_be_drawn() -> None:
    world = do(do(base("routers"), "b", "ip address add 10.0.2.3/24 dev eth0"), "r", *HALF_DEAD)
    panel = ask(Snapshot(world, read_listeners(["b:80"])), "a", "tcp:10.0.9.9:80")
    assert "◐ it depends: works through 10.0.2.2 (1 of 2)" in text_of(panel.view.verdict.value)
    assert [name for name, _ in panel.view.end.options] == [
        "works through 10.0.2.2 (1 of 2)",
        "unreachable through 10.0.2.99 (1 of 2)",
    ]
    assert "unreachable" in text_of(panel.view.picture.value)
    on_paper = [label.text for label in panel.view._viewed.draw(panel.view._viewed.trace, None).labels]
    assert "a → 10.0.9.9:80, TCP; drawn here: unreachable through 10.0.2.99 (1 of 2)" in on_paper
    panel.view.end.value = panel.view.end.options[0][1]
    assert "✓ connected" in text_of(panel.view.picture.value)
    panel.to.value = "tcp:10.0.2.2:80"
    assert panel.view.end.layout.display == "none" and not panel.view.end.options


def test_a_blank_behind_the_colon_may_be_left_out() -> None:
    assert (
        changed(WORLD, "node1:iptables -P FORWARD DROP") == changed(WORLD, "node1: iptables -P FORWARD DROP") != WORLD
    )


LINES = (
    "node1: ip route del 10.9.0.1/24",
    "node1: ip address add 10.0.0.500/24 dev en0",
    "mac1: ip rout del x",
    "nodeX: iptables -F",
    "node1:",
    ": ip rule add lookup 7",
)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(LINES), st.text(max_size=40), st.text(max_size=40).map(lambda text: f"node1: ip {text}")
        ),
        max_size=3,
    )
)
@settings(max_examples=300, deadline=None)
def test_no_command_hurts_the_panel(lines: list[str]) -> None:
    with contextlib.suppress(McniError):
        changed(WORLD, "\n".join(lines))


def test_a_machine_outside_may_ask() -> None:
    story = scenario("7")
    snapshot = snapshot_of(Snapshot(story.world(story.start()), story.listeners(story.start())).files())
    panel = ask(snapshot, "outside:1.1.1.77@outside", "tcp:172.16.100.2:80", ["mac1:80"])
    assert "the server sees the client as 1.1.1.77" in panel.view.verdict.value
    panel.client.value = "outside:fd00::1@outside"
    assert "fd00::1 is an IPv6 address" in panel.view.verdict.value
    panel.client.value = "node1"
    assert "the server sees the client as" in panel.view.verdict.value
