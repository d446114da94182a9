"""What is said beside a verdict: what was not looked at, and what nobody gave."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from test_collected import cluster

from mcnilib.snapshots.question import read_flow, read_listeners
from mcnilib.snapshots.snapshot import snapshot_of
from mcnilib.trace.explain import tell
from mcnilib.trace.export import trace_to_json
from mcnilib.trace.trace import Trace


def asked(files: Mapping[str, str], to: str = "tcp:10.0.0.1:80", source: str = "pod", listen: str = "node:80") -> Trace:
    """Put a question to a snapshot."""
    return snapshot_of(files).trace(read_flow(source, to), read_listeners([listen]))


def with_mtus(pod: int, node: int, route: str = "") -> dict[str, str]:
    """The pod behind a node, with the MTUs of both ends of its veth pair, and words for the node's route to it."""
    files = cluster()
    for name, mtu in (("pod", pod), ("node", node)):
        files[f"{name}/ip-address.txt"] = files[f"{name}/ip-address.txt"].replace("mtu 1500", f"mtu {mtu}")
    files["node/ip-route.txt"] = files["node/ip-route.txt"].replace("link src 10.0.0.1", f"link src 10.0.0.1{route}")
    return files


@pytest.mark.parametrize(
    ("files", "said"),
    [
        pytest.param(with_mtus(1500, 1500), "", id="all the same"),
        pytest.param(with_mtus(1500, 1400), "MTU 1400 at node.v0", id="the far end takes less than the near one"),
        pytest.param(with_mtus(1400, 1500), "MTU 1400 at pod.eth0", id="the answer meets less than its sender has"),
        pytest.param(with_mtus(1500, 1500, " mtu 1300"), "", id="a sender knows the MTU of its own route"),
    ],
)
def test_an_mtu_on_the_way_that_is_smaller_than_the_sender_s_is_named(files: dict[str, str], said: str) -> None:
    expected = [f"small packets: connected; {said} was not considered"] if said else []
    assert [note for note in asked(files).notes if "MTU" in note] == expected


def test_an_mtu_does_not_matter_where_nothing_gets_through() -> None:
    files = with_mtus(1500, 1400) | {"pod/ip-route.txt": "default dev eth0 scope link\n"}
    assert not [note for note in asked(files).notes if "MTU" in note]


def test_notes_stand_in_the_tale_and_in_the_json() -> None:
    trace = asked(with_mtus(1500, 1400))
    assert trace.notes
    assert set(trace.notes) <= set(tell(trace, "outcome"))
    assert trace_to_json(trace)["notes"] == list(trace.notes)
