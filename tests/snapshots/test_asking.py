"""How a question may be put: servers that answer by their route, sizes, patience; and what its JSON tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcnilib.cli import main
from mcnilib.errors import McniError
from mcnilib.show.inquiry import Inquiry
from mcnilib.snapshots.question import read_listeners
from mcnilib.snapshots.snapshot import snapshot_of
from mcnilib.snapshots.typed.skeleton import skeleton
from mcnilib.trace.explain import verdict

TYPED = """\
complete
host client: eth0 10.0.0.1/24 @lan, default via 10.0.0.254
host server: eth0 10.0.0.2/24 @lan, dummy0 10.9.9.9/32 dummy, listen tcp:80
host router: eth0 10.0.0.254/24 @lan, 10.9.9.9 via 10.0.0.2, net.ipv4.ip_forward=1
pod pod1 on server: net1 10.0.0.7/24 macvlan server/eth0, listen tcp:80
"""


@pytest.mark.parametrize(
    ("server", "ends"),
    [
        ("server:53", "connected; the server sees the client as 10.0.0.1"),
        ("server:53:unpinned", "no socket for a datagram from 10.0.0.2:53"),  # its route leaves by eth0
    ],
)
def test_a_server_answers_from_the_address_it_was_asked_on_unless_it_is_unpinned(server: str, ends: str) -> None:
    snapshot = snapshot_of(skeleton(TYPED))
    trace = snapshot.trace(snapshot.flow("client", "udp:10.9.9.9:53"), read_listeners([server]))
    assert ends in verdict(trace)


def test_a_server_that_is_none_is_refused() -> None:
    with pytest.raises(McniError, match="NETNS:PORT:unpinned"):
        read_listeners(["server"])


def test_an_inquiry_has_sizes_and_patience() -> None:
    snapshot = snapshot_of(skeleton(TYPED.replace("server: eth0", "server: eth0 mtu 1400")))
    asked = Inquiry("client", "udp:10.0.0.2:53", listen="server:53", sizes=(3000, 100), patience=1.0).ask(snapshot)
    assert asked.trace.journeys[0].packet.length >= 3000 or len(asked.trace.journeys) > 2
    silent = Inquiry("client", "tcp:10.0.0.99:80", patience=0.5).ask(snapshot).trace
    assert max(journey.time for journey in silent.journeys) <= 0.5


def test_json_has_lower_devices_ports_and_the_connections_before_the_close(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = TYPED.replace(
        "listen tcp:80\nhost router",
        "listen tcp:80, iptables -A INPUT -m conntrack --ctstate INVALID -j DROP\nhost router",
    )
    report = tmp_path / "report.txt"
    report.write_text(typed)
    assert main(["snapshot", "new", str(tmp_path / "folder"), str(report)]) == 0
    capsys.readouterr()
    asked = ["trace", str(tmp_path / "folder"), "--json", "--from"]
    assert main([*asked, "client", "--to", "tcp:10.0.0.7:80"]) == 0
    steps = [step for journey in json.loads(capsys.readouterr().out)["journeys"] for step in journey["steps"]]
    first = next(step for step in steps if "path" in step)
    assert first["path"] == ["client/eth0", "lan", "server/eth0"]  # a switch, and the device below the child
    assert first["to"] == ["pod1", "net1"]
    assert main([*asked, "client", "--to", "tcp:10.0.0.2:80"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [entry["state"] for entry in said["before_close"]["server"]] == ["ESTABLISHED"]
    assert [entry["state"] for entry in said["connections"]["server"]] != ["ESTABLISHED"]
