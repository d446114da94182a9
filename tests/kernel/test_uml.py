"""The second kernel, user-mode Linux: what building it takes, and the same labs in it as on this machine's kernel."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kernel_worlds import CASES
from test_kernel_clean import wait_for

from mcnilib.cli import main
from mcnilib.kernel.compare.record import AGREES
from mcnilib.kernel.compare.verify import check
from mcnilib.kernel.lab.capabilities import probe
from mcnilib.kernel.lab.workers import WorkerPool
from mcnilib.kernel.observe.observe import converse
from mcnilib.kernel.uml import build as building
from mcnilib.kernel.uml.machine import UML
from mcnilib.scenarios import scenario
from mcnilib.trace.run import run

ROOT = Path(__file__).parents[2]
NOT_BUILT = "this kernel test needs user-mode Linux, which is not built here: `mcni kernel build` builds it"
WAIT = 30
"""Seconds to wait for the build that `.ci/run` began beside the other tests."""


@pytest.fixture(scope="module")
def uml_built() -> None:
    """Skip where there is no second kernel, also not when a build that is under way had its time."""
    if building.cached() is None and (build := os.environ.get("MCNI_KERNEL_BUILD")):
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(["tail", f"--pid={build}", "-f", "/dev/null"], timeout=WAIT, check=False)
    if building.cached() is None:
        pytest.skip(NOT_BUILT)


needs_uml = pytest.mark.usefixtures("uml_built")


@pytest.fixture
def nothing_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_what_is_missing_is_named_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, nothing_cached: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        shutil, "which", lambda program: None if program in ("flex", "bison") else f"/usr/bin/{program}"
    )
    monkeypatch.setattr(building.Path, "exists", lambda path: path != building.TARBALL)
    assert main(["kernel", "build"]) == 2
    said = capsys.readouterr().err
    assert "takes linux-source-6.1 and flex and bison" in said
    assert "sudo apt-get install linux-source-6.1 flex bison" in said
    monkeypatch.undo()
    assert not [*nothing_cached.iterdir()]


def test_another_processor_is_named(monkeypatch: pytest.MonkeyPatch, nothing_cached: Path, capsys) -> None:
    monkeypatch.setattr(building.platform, "machine", lambda: "aarch64")
    assert main(["kernel", "build"]) == 2
    assert "runs on x86_64 alone; this machine is aarch64" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["verify", "fuzz"])
def test_without_it_the_command_that_builds_it_is_named(nothing_cached: Path, verb: str, capsys) -> None:
    assert main([verb, "--kernel", "uml"]) == 2
    assert "`mcni kernel build`" in capsys.readouterr().err
    assert main(["kernel", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["uml"] is None


def test_a_kernel_of_another_configuration_is_another_kernel(
    monkeypatch: pytest.MonkeyPatch, nothing_cached: Path
) -> None:
    for age, version in enumerate(("6.1.1-1", "6.1.2-1")):
        folder = building.cache() / f"linux-{version}-{building._digest()}"
        folder.mkdir(parents=True)
        (folder / "linux").touch(0o755)
        os.utime(folder / "linux", (age, age))
    assert building.cached() == building.cache() / f"linux-6.1.2-1-{building._digest()}" / "linux"
    monkeypatch.setattr(building, "configuration", lambda: "CONFIG_NET=y\n")
    assert building.cached() is None


@pytest.fixture(scope="module")
def machine() -> Iterator[WorkerPool]:
    """One machine for all tests here."""
    with WorkerPool(1, UML) as pool:
        yield pool


IN_UML = [
    ("7", {"encapsulation": "IPIP"}),
    ("7", {"encapsulation": "VXLAN", "kube_proxy": "1.30"}),
    ("calico-to-calico", {"encapsulation": "IPIP"}),
    ("nodeport-to-macvlan-from-lan", {}),
]


@needs_uml
@pytest.mark.kernel
@pytest.mark.parametrize(
    ("name", "changes"), IN_UML, ids=[f"{name} {'+'.join(map(str, c.values()))}" for name, c in IN_UML]
)
def test_a_scenario_agrees_on_linux_6_1(machine: WorkerPool, name: str, changes: dict[str, str]) -> None:
    story = scenario(name)
    (result,) = machine.run(check, story.name, [story.start().but(**changes)], machine.run(probe))
    assert (result.letter, result.kernel[:4]) == (AGREES, "6.1."), result.text


@needs_uml
@pytest.mark.kernel
def test_a_world_that_is_long_to_tell_gets_there(machine: WorkerPool) -> None:
    case = CASES["VXLAN"]
    found = machine.run(converse, case.world, case.flow, case.listeners)
    assert found.outcome.verdict == run(case.world, case.flow, case.listeners).outcome.verdict


@needs_uml
@pytest.mark.kernel
def test_it_has_all_a_world_may_need_but_what_came_later(machine: WorkerPool) -> None:
    came_later = {"netkit"}  # with Linux 6.7
    assert {name: why for name, why in machine.run(probe).items() if why and name not in came_later} == {}


CHILD = """
import sys, time
sys.path[:0] = {paths!r}
from mcnilib.kernel.lab.capabilities import probe
from mcnilib.kernel.uml.machine import UML
with UML.start(1)[0] as worker:
    worker.run(probe)
    print(worker.pid, flush=True)
    time.sleep(60)
"""


@needs_uml
@pytest.mark.kernel
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_a_machine_ends_with_whoever_started_it(end: signal.Signals) -> None:
    code = CHILD.format(paths=[str(ROOT)])
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    group = int(process.stdout.readline())
    process.send_signal(end)
    process.wait(timeout=10)
    assert wait_for(lambda: not [*members(group)])


def members(group: int) -> Iterator[int]:
    """Yield the processes of a group that are still there."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == group:
                yield int(folder.name)
        except ProcessLookupError:
            continue
