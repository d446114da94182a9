"""The kernel lab leaves nothing behind, touches nothing of the host's, works without root, and says what is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest
from kernel_worlds import CASES
from small_worlds import routed

from mcnilib.cli import main
from mcnilib.kernel.lab.clean import clean, leftovers
from mcnilib.kernel.lab.syscalls import LAB_NAME, NoLab
from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.observe import converse, listing_mismatches, run_on_kernel

pytestmark = pytest.mark.kernel
ROOT = Path(__file__).parents[2]
SYSCTLS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/default/rp_filter",
    "net/ipv4/icmp_ratemask",
)
WITHIN = 10.0
"""Seconds the kernel may take to end a process and its namespaces."""


@pytest.fixture(autouse=True)
def _a_lab_is_possible() -> None:
    with Worker() as worker:
        try:
            worker.run(listing_mismatches, routed())
        except NoLab as problem:
            pytest.skip(str(problem))


def host_state() -> dict[str, object]:
    """Everything of the host a lab could touch: devices, routes, rules, sysctls, named namespaces.

    Of neighbours only permanent ones: the others come and go with the host's own traffic.
    """
    tools = ("ip -o link", "ip route show table all", "ip rule", "ip neigh", "ip netns")
    state: dict[str, bytes] = {tool: subprocess.run(tool.split(), capture_output=True).stdout for tool in tools}
    permanent = [line for line in state.pop("ip neigh").splitlines() if line.strip().endswith(b"PERMANENT")]
    return state | {"neighbours": permanent} | {key: Path("/proc/sys", key).read_text() for key in SYSCTLS}


def wait_for(condition: object) -> bool:
    """Wait until the kernel has done its part; False when it takes too long."""
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


CHILD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job is started with it ignored
sys.path[:0] = {paths!r}
from kernel_worlds import CASES
from mcnilib.kernel.observe.observe import converse
from mcnilib.kernel.lab.workers import Worker
case = CASES["through a router"]
with Worker() as worker:
    print(worker.pid, worker.run(converse, case.world, case.flow, case.listeners).outcome.verdict.value, flush=True)
    {then}
"""


def child(then: str, **more: object) -> subprocess.Popen[str]:
    """Start a program with a lab of its own that holds one conversation and then does something."""
    code = CHILD.format(paths=[str(ROOT), str(ROOT / "tests")], then=then)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, **more)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(
    "end", [None, signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=["normal", "kill", "ctrl-c", "term"]
)
def test_nothing_is_left_behind(end: signal.Signals | None) -> None:
    before = host_state()
    process = child("time.sleep(60)" if end else "pass", stderr=subprocess.DEVNULL, start_new_session=True)
    assert process.stdout is not None
    lab, verdict = process.stdout.readline().split(maxsplit=1)
    assert verdict.strip() == "connected"
    if end == signal.SIGINT:
        os.killpg(process.pid, end)  # as a terminal does
    elif end:
        process.send_signal(end)
    process.wait(timeout=WITHIN)
    assert wait_for(lambda: not Path("/proc", lab).exists())
    assert host_state() == before


def test_a_lab_that_is_killed_itself_is_reported() -> None:
    with Worker() as worker:
        worker.run(listing_mismatches, routed())
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises((RuntimeError, BrokenPipeError)):
            worker.run(listing_mismatches, routed())


def test_the_hosts_state_is_the_same_while_a_lab_is_at_work() -> None:
    with Worker() as worker:
        worker.run(listing_mismatches, routed())
        before = host_state()
        worker.run(converse, CASES["VXLAN"].world, CASES["VXLAN"].flow, CASES["VXLAN"].listeners)
        assert host_state() == before


def python_of_everybody() -> str:
    """A Python that a user without rights may start, with the library in a folder they may read."""
    for python in (sys.executable, "/usr/bin/python3"):
        words = [
            *NOBODY,
            python,
            "-c",
            f"import sys; sys.path[:0] = [{str(ROOT)!r}]; import mcnilib.kernel.observe.observe",
        ]
        if subprocess.run(words, capture_output=True, env={"PYTHONDONTWRITEBYTECODE": "1"}).returncode == 0:
            return python
    pytest.skip("this kernel test needs a Python and a checkout that every user may read")


NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", 'exec "$@"', "sh")
"""Run as a user without rights; setpriv itself still has them when it starts the shell."""


@pytest.mark.skipif(os.getuid() != 0, reason="this kernel lab runs without root already")
@pytest.mark.parametrize("world", ["CASES['VXLAN'].world", "CLUSTER"])
def test_it_works_without_root_in_a_user_namespace(world: str) -> None:
    code = f"""
        import sys; sys.path[:0] = {[str(ROOT), str(ROOT / "tests")]!r}
        from kernel_worlds import CASES
        from mcnilib.cluster.build import build
        from mcnilib.cluster.settings import Settings
        from mcnilib.kernel.observe.observe import listing_mismatches
        from mcnilib.kernel.lab.workers import Worker
        CLUSTER = build(Settings())
        with Worker() as worker:
            print(worker.run(listing_mismatches, {world}))"""
    words = [*NOBODY, python_of_everybody(), "-c", dedent(code)]
    done = subprocess.run(words, capture_output=True, text=True, env={"PYTHONDONTWRITEBYTECODE": "1"})
    if "user namespaces" in done.stderr:
        pytest.skip(f"this kernel forbids them: {done.stderr.strip().splitlines()[-1]}")
    assert done.stdout == "()\n", done.stderr


def test_it_says_what_is_missing_where_there_can_be_no_lab() -> None:
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}]\nfrom mcnilib.kernel.lab.capabilities import capabilities\ncapabilities()"
    limited = [
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        'echo 0 > /proc/sys/user/max_net_namespaces; exec "$@"',
        "sh",
    ]
    done = subprocess.run([*limited, sys.executable, "-c", code], capture_output=True, text=True)
    assert "NoLab: network namespaces cannot be made here" in done.stderr


AS_A_LAB = f"import ctypes, time; ctypes.CDLL(None).prctl(15, {LAB_NAME.encode()!r}, 0, 0, 0); print(flush=True); time.sleep(60)"


def test_clean_finds_a_lab_without_a_parent_and_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    words = [sys.executable, "-c", AS_A_LAB, str(os.getpid())]
    subprocess.run(["sh", "-c", '"$@" >/dev/null & exit 0', "sh", *words], check=True)
    assert wait_for(leftovers)
    pids = [one.pid for one in leftovers()]
    assert main(["clean"]) == 0
    assert f"ended {len(pids)} lab process" in capsys.readouterr().out
    assert wait_for(lambda: not any(Path("/proc", str(pid), "exe").exists() for pid in pids))
    assert clean() == ()
    main(["clean"])
    assert "nothing to clean" in capsys.readouterr().out


def test_a_lab_at_work_is_not_cleaned_away(capsys: pytest.CaptureFixture[str]) -> None:
    with Worker() as worker:
        worker.run(listing_mismatches, routed())
        assert main(["clean"]) == 0
        assert worker.run(listing_mismatches, routed()) == ()
    assert "nothing to clean" in capsys.readouterr().out


@pytest.mark.skipif(os.getuid() != 0, reason="namespaces of processes take root")
def test_in_a_container_whose_first_process_runs_labs_they_are_not_cleaned_away() -> None:
    code = f"""
        import sys; sys.path[:0] = {[str(ROOT), str(ROOT / "tests")]!r}
        import os
        from small_worlds import routed
        from mcnilib.kernel.lab.clean import clean
        from mcnilib.kernel.observe.observe import listing_mismatches
        from mcnilib.kernel.lab.workers import Worker
        with Worker() as worker:
            worker.run(listing_mismatches, routed())
            print(os.getpid(), clean(), worker.run(listing_mismatches, routed()))"""
    words = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", dedent(code)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip(f"this kernel test needs namespaces of processes: {done.stderr.strip()}")
    assert done.stdout == "1 () ()\n", done.stderr


def test_a_lab_of_a_container_is_not_ours_to_clean() -> None:
    words = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-c", AS_A_LAB, "99"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as container:
        if container.stdout.readline() != "\n":  # type: ignore[union-attr]
            pytest.skip("this kernel test needs namespaces of processes")
        try:
            assert clean() == ()
        finally:
            container.kill()


def test_one_conversation_is_one_call() -> None:
    case = CASES["echo"]
    assert run_on_kernel(case.world, case.flow, case.listeners).outcome.works
