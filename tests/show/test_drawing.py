"""The drawing of a run: what is drawn where, before it is painted."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from kernel_worlds import CASES
from l3_worlds import CASES as L3
from picture_checks import flaws
from picture_notes import misplaced
from show_examples import EXAMPLES, connects, hangs, world

from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.scenarios.scenario import neighbours
from mcnilib.show.layout.edge_routing import waypoints_of
from mcnilib.show.layout.geometry import Rect, clip, shift, tidy
from mcnilib.show.layout.plan import CLUSTER_PLAN, STACKED, computed_plan, focus_of, plan_of
from mcnilib.show.picture.drawing import Drawing, lay_out
from mcnilib.show.picture.story_picture import _plan, crowded, picture_of
from mcnilib.trace.run import run


def drawing(name: str) -> Drawing:
    return lay_out(*EXAMPLES[name])


def arrows(picture: Drawing) -> list[tuple[tuple[int, ...], bool, bool]]:
    return [(a.numbers, a.role, a.lost) for a in picture.arrows if a.numbers]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # packets that took the same way share an arrow; one that is lost has an arrow of its own
        ("hangs", [((1,), "request", False), ((2, 6), "reply", False), ((3, 4, 5, 7), "request", True)]),
        ("connects", [((1, 3, 4, 7, 8, 10), "request", False), ((2, 5, 6, 9), "reply", False)]),
        ("rp_filter in the pod", [((1,), "request", False), ((2,), "reply", True)]),
        ("nobody answers ARP", [((1,), "request", True)]),
        ("rewritten", [((1,), "request", False), ((2,), "reply", False)]),
    ],
)
def test_packets_become_arrows(name, expected):
    assert arrows(drawing(name)) == expected


@pytest.mark.parametrize(
    ("name", "changes", "error"),
    [
        ("4", {}, "3 RST …"),
        ("4", {"protocol": "UDP", "cluster_cidr": False}, "3"),
        ("7", {}, None),
    ],
)
def test_resets_and_icmp_errors_are_neither_requests_nor_replies(name, changes, error):
    story = scenario(name)
    picture = picture_of(story, story.start().but(**changes))
    assert [note.lines[0] for note in picture.callouts if note.role == "error"] == ([error] if error else [])
    assert ("error" in {label.text for label in picture.labels}) is bool(error)  # the key names what is there


@pytest.mark.parametrize(
    ("name", "role", "lines"),
    [
        ("hangs", "drop", ("3 ACK · 4 data … dropped", "in filter KUBE-FORWARD", "ctstate INVALID → DROP", "by kube-proxy 1.28")),
        ("hangs", "request", ("1 SYN",)),
        ("hangs", "reply", ("2 SYN-ACK …",)),
        ("connects", "request", ("1 SYN · 3 ACK · 4 data …",)),
        ("rewritten", "rewrite", ("1 rewritten", "dst → 10.233.101.2", "src → 172.16.1.2", "by kube-proxy 1.28")),
        ("rewritten", "rewrite", ("2 rewritten back", "src → 10.233.0.100", "dst → 172.16.100.2")),
    ],
)  # fmt: skip
def test_what_happened_is_said_beside_it(name, role, lines):
    assert (role, lines) in [(note.role, note.lines) for note in drawing(name).callouts]


def test_what_a_connection_repeats_for_later_packets_is_said_once():
    story = scenario("nodeport-to-multi-nic")
    settings = story.start().but(external_policy="Cluster", receiving_node="node1", tuning="not tuned")
    heads = [note.lines[0] for note in picture_of(story, settings).callouts if note.role == "rewrite"]
    assert heads == ["1 rewritten", "2 rewritten back"]  # and not again for packet 3, which takes another way


def test_what_two_programs_rewrite_are_two_notes():
    story = scenario("multi-nic-to-clusterip")
    notes = picture_of(story, story.start().but(nat_outgoing=True)).callouts
    there = [(note.lines[0], note.lines[-1]) for note in notes if note.role == "rewrite"][:2]
    assert there == [("1 rewritten", "by kube-proxy 1.28"), ("1 rewritten", "by Felix v3.32")]


def test_what_a_pod_loses_is_marked_inside_the_pod_and_told_beside_it():
    story = scenario("7")
    picture = picture_of(story, story.start().but(pod_rp_filter=1))
    note = next(note for note in picture.callouts if note.role == "drop")
    pod, host = (
        next(b.rect for b in picture.scene.boxes if b.name == n and b.kind == k)
        for n, k in (("mac1", "pod"), ("node1", "host"))
    )
    assert note.lines[1].startswith("rp_filter")
    assert Rect(*note.at, 0, 0).grow(9).inside(pod)
    assert not note.rect.meets(host)
    assert note.rect.distance(pod) < 40


@pytest.mark.parametrize(
    ("name", "netns"),
    [("hangs", "node1"), ("nobody answers ARP", "node1"), ("inside VXLAN", "node1")],
)
def test_a_loss_is_marked_inside_the_namespace_that_lost_it(name, netns):
    picture = drawing(name)
    spot = next(note.at for note in picture.callouts if note.role == "drop")
    box = next(b.rect for b in picture.scene.boxes if (b.name, b.kind) == (netns, "host"))
    assert Rect(*spot, 0, 0).inside(box)


def test_a_packet_for_a_macvlan_child_passes_the_host_s_network_by():
    picture = drawing("hangs")
    reply = next(a for a in picture.arrows if a.role == "reply" and a.numbers)
    host = next(b.rect for b in picture.scene.boxes if (b.name, b.kind) == ("node1", "host"))
    assert clip(reply.points, host) == ()
    assert any("did not see 2 SYN-ACK" in label.text for label in picture.labels)


def test_a_tunnelled_packet_is_drawn_inside_a_pipe():
    request = next(a for a in drawing("inside VXLAN").arrows if a.numbers == (1,))
    assert len(request.tunnelled) == 1
    assert all(a.tunnelled == () for a in drawing("hangs").arrows)


def test_a_packed_packet_passes_the_tunnel_device_before_the_nic_and_after_it():
    _, trace = EXAMPLES["inside VXLAN"]
    assert waypoints_of(trace.journeys[0].steps)[4:12] == [
        ("node1", ""),
        ("node1", "vxlan.calico"),
        ("node1", "en0"),
        ("lan-172.16", ""),
        ("node2", "en0"),
        ("node2", "en0"),
        ("node2", "vxlan.calico"),
        ("node2", ""),
    ]


def test_what_no_packet_touches_is_faint():
    plan = plan_of(world()).look_at(focus_of(world(), hangs()))
    boxes = {(b.name, b.kind): b.involved for b in lay_out(world(), hangs(), plan).scene.boxes}
    assert boxes[("node1", "host")]
    assert not boxes[("gateway", "host")]


def test_what_plays_no_part_is_named_and_not_drawn():
    story = scenario("1")
    settings = story.start().but(placement="same node")
    part, whole = (picture_of(story, settings, everything=everything) for everything in (False, True))
    names = [{box.name for box in picture.scene.boxes} for picture in (part, whole)]
    assert names[0] < names[1]
    assert {"node2", "mac2", "gateway"} <= names[1] - names[0]
    words = [label.text for label in part.scene.labels]
    assert "take no part: cal1, mul1, mac17" in words
    assert any(text.startswith("take no part: node2, mac2,") for text in words)


def test_the_title_says_the_outcome_and_the_description_every_packet():
    picture = drawing("hangs")
    assert picture.title.startswith("connect succeeds, then hangs: packet 3 (ACK) is dropped on node1")
    assert "2 SYN-ACK" in picture.description


def test_a_step_can_be_emphasised_without_moving_anything():
    plain, lit = lay_out(world(), hangs()), lay_out(world(), hangs(), highlight=(3, 4))  # the loss
    assert plain.trail == ()
    assert len(lit.trail) > 1
    assert (lit.scene, lit.arrows, lit.callouts) == (plain.scene, plain.arrows, plain.callouts)


@pytest.mark.parametrize(
    ("at", "notes", "node1", "node2"),
    [
        ((1, 0), [], "no entry", "no entry"),  # the client has sent the SYN, and nobody has seen it
        ((2, 0), [], "SYN_SENT, unreplied", "SYN_SENT, unreplied"),
        ((3, 1), [], "SYN_SENT, unreplied", "SYN_RECV"),
        (None, ["drop"], "SYN_SENT, unreplied", "SYN_RECV"),
    ],
)
def test_a_step_shows_what_is_true_by_then(at, notes, node1, node2):
    story = scenario("7")
    picture, whole = picture_of(story, story.start(), at), picture_of(story, story.start())
    assert [note.role for note in picture.callouts if note.role == "drop"] == notes
    said = {label.text for label in picture.labels}
    assert {node1, node2} <= said
    assert any(text.endswith("see 2 SYN-ACK") or text.endswith("saw 2 SYN-ACK") for text in said) is bool(notes)
    assert set(picture.callouts) <= set(whole.callouts)  # and nothing moves


@pytest.mark.parametrize("step", range(9))
def test_every_step_of_a_packet_has_its_place_on_the_way(step):
    trail = lay_out(world(), hangs(), highlight=(1, step)).trail
    assert len(trail) != 1


# ------------------------------------------------------------------------------------------------ places stay


def spots(picture: Drawing) -> dict[object, Rect]:
    """Return where the boxes and devices stand."""
    boxes = {(b.name, b.kind): b.rect for b in picture.scene.boxes}
    return boxes | {(n.netns, n.name): n.rect for n in picture.scene.devices}


@pytest.mark.parametrize("tunnel", ["vxlan", "ipip"])
def test_a_new_device_moves_nothing(tunnel):
    plan = plan_of(world()).look_at(focus_of(world(), hangs()))
    before, after = (spots(lay_out(world(kind), hangs(), plan)) for kind in ("", tunnel))
    assert before.items() <= after.items()


def test_another_outcome_moves_nothing():
    plan = plan_of(world()).look_at(focus_of(world(), hangs(), connects()))
    assert spots(lay_out(world(), hangs(), plan)) == spots(lay_out(world(), connects(), plan))


# ------------------------------------------------------------------------------------------------ words


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_words_overlap(name):
    assert flaws(drawing(name)) == []


def variants(story, extra=12):
    """Every setting changed by itself, and a seeded sample of combinations."""
    start, options, random = story.start(), story.options(), Random(story.number)
    mixed = [start.but(**{option.attribute: random.choice(option.values) for option in options}) for _ in range(extra)]
    return list(dict.fromkeys([start, *neighbours(story, start), *mixed]))


MARKS_MEET = ("calico-to-clusterip", "multi-nic-to-clusterip-multi-nic")
"""Scenarios in whose pictures of the IPVS mode the marks of two rewrites on one wire meet."""


@pytest.mark.slow
@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_every_word_has_room_and_every_note_its_place_in_any_scenario(story):
    asked = [s for s in variants(story) if s.kube_proxy_mode != "ipvs" or story.name not in MARKS_MEET]
    pictures = {settings: picture_of(story, settings) for settings in asked}
    assert {str(settings): wrong for settings, one in pictures.items() if (wrong := flaws(one) + misplaced(one))} == {}


@pytest.mark.slow
@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_without_a_plan_the_words_find_room_too(story):
    settings = story.start()
    assert flaws(lay_out(story.world(settings), story.run(settings))) == []


@pytest.mark.slow
@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_only_the_paths_change_when_a_setting_does(story):
    """Where the whole story would be too crowded, the picture keeps still as long as the same two ends talk.

    It becomes another one where another number of machines takes part.
    """
    seen: dict[object, dict[object, Rect]] = {}
    whole = not crowded(_plan(story, None))
    for settings in [story.start(), *neighbours(story, story.start())]:
        way = story.way(settings)
        picture = picture_of(story, settings)
        machines = tuple(box.name for box in picture.scene.boxes if box.kind == "machine")
        known = seen.setdefault((None if whole else (way.client, way.server), machines, picture.width), {})
        new = spots(picture)
        assert {key: new[key] for key in known.keys() & new.keys()} == {
            key: known[key] for key in known.keys() & new.keys()
        }
        known.update(new)


# ------------------------------------------------------------------------------------------------ plans


def test_a_world_that_is_not_the_cluster_gets_a_plan_from_its_links():
    plan = computed_plan(world())
    assert [(m.host, m.members) for m in plan.machines] == [("node1", ("mac1", "cal1")), ("node2", ("cal2",))]
    assert plan.outside == ("gateway", "client")


@pytest.mark.parametrize("name", CASES)
def test_any_world_can_be_drawn(name):
    """Routers without pods, bridges, tunnels, macvlan in every mode, names that mean nothing."""
    case = CASES[name]
    trace = run(case.world, case.flow, case.listeners)
    picture = lay_out(case.world, trace)
    assert flaws(picture) == []
    left = (j for j in trace.journeys if j.last.oif or any(step.to and step.to[1] != "lo" for step in j.steps))
    travelled = {j.number for j in left if case.client != case.server}  # within a namespace: nothing to draw
    assert {number for arrow in picture.arrows for number in arrow.numbers} == travelled


def test_the_cluster_keeps_its_plan():
    assert plan_of(world()) == CLUSTER_PLAN


def test_the_focus_holds_what_packets_touch_and_the_routers_between():
    names = {"mac1", "node1", "node2", "cal2", "lan-172.16", "gateway"}
    assert focus_of(world(), hangs()) == names


def test_the_target_is_in_focus_even_when_no_packet_reaches_it():
    _, trace = EXAMPLES["nobody answers ARP"]
    assert "cal2" in focus_of(world(), trace)


def test_what_plays_no_part_keeps_its_place_and_is_left_out():
    whole = CLUSTER_PLAN.look_at({"mac1", "cal1", "cal2", "gateway"})
    part = whole.fold({"mac1", "cal2"})
    assert [(m.host, m.members) for m in part.shown_machines()] == [("node1", ("mac1", "cal1")), ("node2", ("cal2",))]
    assert [m.host for m in whole.fold({"cal2"}).shown_machines()] == ["node2"]
    assert whole.fold({"cal2"}).width < part.width == whole.width
    assert part.sees("gateway")
    assert not part.draws("gateway")


# ------------------------------------------------------------------------------------------------ geometry


@pytest.mark.parametrize(
    ("points", "by", "expected"),
    [
        (((0, 0), (10, 0)), 2, ((0, -2), (10, -2))),  # going right: left is up
        (((10, 0), (0, 0)), 2, ((10, 2), (0, 2))),
        (((0, 0), (0, 10), (10, 10)), 2, ((2, 0), (2, 8), (10, 8))),  # corners stay square
    ],
)
def test_lines_keep_to_the_left(points, by, expected):
    assert shift(points, by) == expected


def test_a_line_forgets_points_on_a_straight_run():
    assert tidy([(0, 0), (0, 5), (0, 5), (0, 9), (4, 9)]) == ((0, 0), (0, 9), (4, 9))
    assert tidy([(0, 0), (0, 9), (0, 5)]) == ((0, 0), (0, 9), (0, 5))  # a turn back is no straight run


# ------------------------------------------------------------------------------------------------ a narrow sheet


def covered_words(picture):
    return [flaw for flaw in flaws(picture) if "an arrow runs through" not in flaw]


PHONE = 844 - 60
"""Height of the window of a phone without what a browser puts above a page, in pixels."""


@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_on_a_narrow_sheet_machines_are_stacked_and_words_find_room(story):
    picture = picture_of(story, story.start(), narrow=True)
    machines = [box.rect for box in picture.scene.boxes if box.kind == "machine"]
    assert picture.width == STACKED
    assert all(above.bottom <= below.y for above, below in pairwise(machines))
    assert len(covered_words(picture)) <= (story.name == "macvlan-to-clusterip-macvlan")  # a refusal, at its pod
    outside = any(box.name in CLUSTER_PLAN.outside for box in picture.scene.boxes)
    assert picture.height <= PHONE or (len(machines) == 2 and outside)  # a third row below two machines
    wide = picture_of(story, story.start())
    assert [arrow.numbers for arrow in picture.arrows] == [arrow.numbers for arrow in wide.arrows]


NO_ROOM = [
    ("clusterip-to-macvlan-with-sidecar", "veth-address", "yes"),
    ("multi-nic-to-clusterip", "nat-outgoing", "on"),
    ("macvlan-to-clusterip-calico", "kube-proxy-mode", "ipvs"),
    ("macvlan-to-clusterip-macvlan", "kube-proxy-mode", "ipvs"),
    *(("macvlan-to-clusterip-macvlan", "kube-proxy", version) for version in ("1.29", "1.33", "1.35")),
]
"""Where rewrites in both directions, on the way to and in a pod, leave some words no room on a narrow sheet.

Lesson 4's note covers the word client there, whatever the version.
"""


@pytest.mark.slow
@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_words_find_room_on_a_narrow_sheet_one_setting_away_too(story):
    start = story.start().texts()
    covered = set()
    for settings in neighbours(story, story.start()):
        (changed,) = ((name, text) for name, text in settings.texts().items() if text != start[name])
        if (story.name, *changed) not in NO_ROOM and covered_words(picture_of(story, settings, narrow=True)):
            covered.add(changed)
    assert not covered


@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_words_find_room_on_a_narrow_sheet_with_everything_too(story):
    covered = covered_words(picture_of(story, story.start(), everything=True, narrow=True))
    assert len(covered) <= (story.name == "nodeport-to-multi-nic")  # numbers of packets at the name of a client


def test_more_machines_than_two_are_not_stacked():
    assert CLUSTER_PLAN.stack() == CLUSTER_PLAN


def test_tun_devices_that_a_program_connects_are_drawn():
    case = L3["a program carries packets of pods"]
    shown = str(lay_out(case.world, run(case.world, *case.talk(1)), computed_plan(case.world)).scene)
    assert "tun0 10.9.0.1" in shown
    assert "tun0 10.9.0.2" in shown
