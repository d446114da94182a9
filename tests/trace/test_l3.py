"""Tun and WireGuard devices: how conversations over them end, as on a kernel that has them, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from l3_worlds import CASES, wireguard

from mcnilib.errors import StateSyntaxError
from mcnilib.linux.device.l3.kinds import Tun, WireGuard
from mcnilib.linux.device.l3.wg_show import print_peers, with_peers
from mcnilib.linux.device.link import Link, parse_links
from mcnilib.snapshots.files import save
from mcnilib.snapshots.snapshot import snapshot_of
from mcnilib.trace.explain import verdict
from mcnilib.trace.notes import notes_on
from mcnilib.trace.run import run
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_over_such_devices_ends_as_on_the_kernel(name: str) -> None:
    case = CASES[name]
    outcome = run(case.world, *case.talk(1)).outcome
    assert (outcome.verdict.value, outcome.error) == (case.verdict, case.error), verdict(run(case.world, *case.talk(1)))


SAID = {
    "a tunnel": ("connected; the server sees the client as 10.9.0.1", "assumed: the keys of wg0 of m and wg0 of n fit, and their handshake works"),
    "a program carries packets": ("connected; the server sees the client as 10.9.0.1", "assumed: a program carries every packet between tun0 of m and tun0 of n"),
    "no peer for the destination": ("no peer of wg0 has 10.9.9.9 among its allowed IPs", ""),
    "no endpoint": ("wg0 knows no endpoint of the peer with 10.9.0.2/32", ""),
    "a source that is not allowed": ("wg0 drops it: 10.9.1.5 is not among the allowed IPs of the peer that sent it", ""),
    "the far device is down": ("handed to the program behind tun0; tun0 of m is down", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_is_said_of_it(name: str) -> None:
    world, (said, note) = CASES[name].world, SAID[name]
    trace = run(world, *CASES[name].talk(1))
    assert said in verdict(trace)
    assert note in ("", *notes_on(world, trace))


def asked(world: World, *, without: str = "", lost: tuple[str, ...] = ()) -> Trace:
    """Ask a snapshot of the world in which files, or whole namespaces, were not collected."""
    files = {name: text for name, text in save(world).items() if name != without and not name.startswith(lost)}
    files["world.json"] = files["world.json"].replace('"complete": true', '"complete": false')
    files["world.json"] = files["world.json"].replace('"uplink": false', '"uplink": true')
    snapshot = snapshot_of(files)
    return snapshot.trace(snapshot.flow("n", "icmp:10.9.0.2"))


def test_a_far_end_that_was_not_collected_is_named() -> None:
    alone = wireguard()
    segment = replace(alone.segments[0], ports=alone.segments[0].ports[:1], uplink=True)
    world = World((alone["n"],), (segment,), complete=False)
    trace = run(world, *CASES["a tunnel"].talk(1), partial=True)
    assert verdict(trace).startswith("unknown beyond this point")
    assert "the far end of wg0 of n, 10.0.1.2:51820, was not collected" in notes_on(world, trace)


def test_a_program_of_which_nobody_says_where_it_carries_packets() -> None:
    world = CASES["a program carries packets"].world
    trace = run(replace(world, segments=world.segments[:1]), *CASES["a program carries packets"].talk(1), partial=True)
    assert "but it is handed to the program behind tun0 of n" in verdict(trace)


def test_peers_that_were_not_collected() -> None:
    assert "the peers of wg0 of n were not collected; collect `wg show" in verdict(
        asked(wireguard(), without="n/wg.txt")
    )
    assert asked(wireguard()).outcome.works


WG = """\
wg0\tpeer1=\t10.9.0.2/32 10.9.2.0/24 fd00::2/128
wg0\tpeer2=\t(none)
wg0\tpeer1=\t10.0.1.2:51820
wg0\tpeer2=\t[fd00::9]:51820
wg0\t51820
wg0\t0xca6c
"""


def links() -> tuple[Link, ...]:
    return (Link(2, "wg0", WireGuard()),)


def test_the_text_of_wg_show_is_read_and_printed() -> None:
    there = with_peers(links(), WG)
    assert print_peers(there) == WG.replace(" fd00::2/128", "")
    assert with_peers(links(), print_peers(there)) == there
    assert with_peers(links(), "")[0].kind == WireGuard(())


@pytest.mark.parametrize("line", ["wg0\tsecret=\tpublic=\t51820\toff", "wg0\tpeer=\tsecret=", "wg0"])
def test_other_lines_are_refused_and_no_message_has_a_key(line: str) -> None:
    with pytest.raises(StateSyntaxError) as problem:
        with_peers(links(), line)
    assert "secret" not in str(problem.value)


def test_an_address_with_a_peer_does_not_hide_what_a_tun_device_is() -> None:
    text = "5: tun0: <POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP> mtu 1500 qdisc fq_codel state UNKNOWN group default qlen 500\n    link/none \n    tun type tun pi off vnet_hdr off persist off \n    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0\n"
    (link,) = parse_links(text, partial=True)
    assert (link.kind, [str(ip) for ip in link.ips]) == (Tun(), ["10.8.0.1"])
    (tap,) = parse_links(
        text.replace("type tun", "type tap").replace("link/none", "link/ether 02:00:00:00:00:05 brd ff:ff:ff:ff:ff:ff"),
        partial=True,
    )
    assert tap.kind.unmodelled and "a tun device with type tap" in tap.kind.unmodelled.why
