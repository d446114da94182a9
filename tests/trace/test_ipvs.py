"""How conversations with virtual servers end in the model; `tests/kernel/test_uml_ipvs.py` asks the kernel."""

from __future__ import annotations

import json

import pytest
from ipvs_worlds import CASES, IpvsCase

from mcnilib.errors import Unsupported
from mcnilib.linux.sysctl import print_settings
from mcnilib.snapshots.snapshot import Snapshot, snapshot_of
from mcnilib.trace.run import run
from mcnilib.trace.trace import Verdict


@pytest.mark.parametrize("name", CASES)
def test_a_virtual_server_takes_the_conversation(name: str) -> None:
    case = CASES[name]
    trace = run(case.world, *case.talk(1))
    assert (trace.outcome.verdict.value, str(trace.outcome.seen_source or "")) == (case.verdict, case.seen)


def with_line(state: str, name: str) -> IpvsCase:
    """A case with a line more on the router."""
    return CASES[name]._replace(state=CASES[name].state + state)


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("net.ipv4.vs.drop_packet 3", "one server"),
        ("net.ipv4.vs.drop_packet 2", "udp"),
        ("net.ipv4.vs.drop_entry 3", "one server"),
        ("net.ipv4.vs.secure_tcp 2", "two servers"),
        ("net.ipv4.vs.backup_only 1", "no server"),
    ],
)
def test_a_setting_whose_effect_is_not_modelled_is_named(setting: str, name: str) -> None:
    case = with_line(f"sysctl {setting}\n", name)
    with pytest.raises(Unsupported, match=f"`{setting.replace(' ', ' = ')}` on r"):
        run(case.world, *case.talk(1))


@pytest.mark.parametrize(
    ("setting", "name", "verdict"),
    [
        ("net.ipv4.vs.drop_packet 3", "another port", "connection refused"),  # no virtual server takes it
        ("net.ipv4.vs.sloppy_tcp 1", "one server", "connected"),  # each segment belongs to a connection
        ("net.ipv4.vs.schedule_icmp 1", "udp, nobody listens", "connection refused"),
        ("net.ipv4.vs.ignore_tunneled 1", "udp", "connected"),
        ("net.ipv4.vs.cache_bypass 1", "no server", "connection refused"),  # for marks only
        ("net.ipv4.vs.conn_reuse_mode 3", "one server", "connected"),
    ],
)
def test_a_setting_that_decides_nothing_here_is_not_asked(setting: str, name: str, verdict: str) -> None:
    case = with_line(f"sysctl {setting}\n", name)
    assert run(case.world, *case.talk(1)).outcome.verdict.value == verdict


@pytest.mark.parametrize(
    ("key", "name", "told"),
    [
        ("drop_packet", "one server", True),
        ("conntrack", "one server", True),
        ("nat_icmp_send", "a server asked by itself", True),
        ("nat_icmp_send", "one server", False),
        ("schedule_icmp", "one server", False),
        ("drop_packet", "a server asked by itself", False),
    ],
)
def test_a_snapshot_without_a_setting_is_unknown_only_where_it_decides(key: str, name: str, told: bool) -> None:
    flow, listeners = CASES[name].talk(1)
    files = Snapshot(CASES[name].world, listeners).files()
    router = CASES[name].world["r"]
    lines = print_settings(router.sysctls, [link.name for link in router.links]).splitlines(keepends=True)
    kept = [line for line in lines if f".vs.{key} " not in line]
    world = json.loads(files["world.json"])
    world["namespaces"][1] = {"name": "r", "collected": True}
    files |= {"r/sysctl.txt": "".join(kept), "world.json": json.dumps(world)}
    outcome = snapshot_of(files).trace(flow).outcome
    assert (f"has no line net.ipv4.vs.{key}" in outcome.step.action) is told, outcome.step.action
    assert (outcome.verdict is Verdict.UNKNOWN) is told
