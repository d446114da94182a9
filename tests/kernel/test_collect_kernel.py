"""From the model to the kernel and back: a scenario made real and collected like a machine is walked through as before."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace

import pytest

from mcnilib.kernel.collect import collect_world
from mcnilib.kernel.lab.capabilities import lacking, probe
from mcnilib.kernel.lab.workers import Worker
from mcnilib.scenarios import scenario
from mcnilib.snapshots.folder import read_stream, script
from mcnilib.snapshots.merge import merged
from mcnilib.snapshots.snapshot import Snapshot, snapshot_of
from mcnilib.trace.explain import difference, verdict
from mcnilib.world.world import World

pytestmark = pytest.mark.kernel

STORIES = ("4", "7", "9", "11", "14")
"""Macvlan alone, the flagship, a service, two NICs, a NodePort."""


def test_where_ip_is_not_that_of_iproute2_the_script_says_so(tmp_path) -> None:
    busybox = tmp_path / "ip"
    busybox.write_text("#!/bin/sh\necho 'ip: invalid option -- V' >&2; exit 1\n")
    busybox.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["unshare", "--net", "sh"], input=script(), env=path, capture_output=True, text=True, check=False
    )
    if "unshare" in done.stderr:
        pytest.skip(f"this kernel test needs a namespace of its own: {done.stderr.strip()}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "needs the ip of iproute2" in done.stderr


def taken(worker: Worker, world: World) -> Snapshot:
    """Make a world real and collect it; only the switches are told, as an administrator would."""
    if missing := ", ".join(lacking(world, worker.run(probe))):
        pytest.skip(f"this kernel has no {missing}")
    files = read_stream(worker.run(collect_world, world, script()).decode())
    files = {name: without_probes(name, text) for name, text in files.items()}
    return snapshot_of(merged([files], world.segments))


def without_probes(name: str, text: str) -> str:
    """Leave out the lab's own table of nftables, which only looks."""
    if not name.endswith("/nft.json"):
        return text.replace("table ip mcni\n", "")
    entries = ((kind, one) for entry in json.loads(text)["nftables"] for kind, one in entry.items())
    kept = [{kind: one} for kind, one in entries if "mcni" not in (one.get("table"), one.get("name"))]
    return json.dumps({"nftables": kept})


@pytest.mark.parametrize("number", STORIES)
def test_a_scenario_collected_from_the_kernel_is_walked_as_the_model(worker: Worker, number: str) -> None:
    story = scenario(number)
    settings = story.start()
    snapshot = taken(worker, story.world(settings))
    found, meant = snapshot.trace(story.flow(settings), story.listeners(settings)), story.run(settings)
    assert verdict(found).partition(", written by")[0] == verdict(meant).partition(", written by")[0]
    assert difference(found, meant) is None


def test_without_one_namespace_nothing_is_guessed(worker: Worker) -> None:
    story = scenario("7")
    settings = story.start()
    whole = taken(worker, story.world(settings)).world
    part = Snapshot(replace(whole, namespaces=tuple(n for n in whole if n.name != "node2")))
    said = verdict(part.trace(story.flow(settings), story.listeners(settings)))
    assert said.startswith("unknown beyond this point: ")
    assert "node2" in said
