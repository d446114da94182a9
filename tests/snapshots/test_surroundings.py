"""Every verb where something is closed, full, unwritable or in another alphabet, and where somebody presses Ctrl-C."""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mcnilib.cli import command_line, main
from mcnilib.kernel.lab.workers import Worker

pytestmark = pytest.mark.slow

IS_ROOT = os.name == "posix" and os.geteuid() == 0

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "07-macvlan-to-calico-across-nodes.ipynb"

VERBS = {
    "list": ["list"],
    "run": ["run", "7", "--table", "--depth", "decisions"],
    "state": ["state", "7", "node1", "iptables-save"],
    "fix": ["fix", "6"],
    "link": ["link", "7"],
    "handout": ["handout", "7", "{}/x.pdf"],
    "learner": ["learner", "{}/copy"],
    "nbgrader": ["nbgrader", "{}/course"],
    "check": ["check", str(NOTEBOOK)],
    "save": ["save", "7", "{}/new"],
    "pcap": ["pcap", "7", "{}/new"],
    "page": ["page", "7", "{}/x.html"],
    "site": ["site", "{}/new", "--pyodide", "{there}"],
    "scorm": ["scorm", "{}/x.zip", "--pyodide", "{there}"],
    "collect": ["collect", "{}/new", "--only", "nosuch"] if IS_ROOT else ["collect"],
    "merge": ["merge", "{there}", "{}/new"],
    "snapshot": ["snapshot", "new", "--example"],
    "trace": ["trace", "{there}", "--from", "mac1", "--to", "tcp:10.233.101.2:80", "--table"],
    "verify": ["verify", "1", "--sample", "1", "--jobs", "1"],
    "fuzz": ["fuzz", "--worlds", "1"],
    "clean": ["clean"],
    "record": ["record", "errata", "--check"],
    "completion": ["completion", "bash"],
}
"""Each verb, with what it writes in the folder {} and what it reads from the snapshot {there}."""
WRITING = {
    "handout": VERBS["handout"],
    "learner": VERBS["learner"],
    "nbgrader": VERBS["nbgrader"],
    "save": VERBS["save"],
    "merge": VERBS["merge"],
    "pcap": VERBS["pcap"],
    "page": VERBS["page"],
    "a picture as svg": ["run", "7", "--picture", "{}/x.svg"],
    "a picture as png": ["run", "7", "--picture", "{}/x.png"],
    "a picture as pdf": ["run", "7", "--picture", "{}/x.pdf"],
    "a picture of a trace": [*VERBS["trace"], "--picture", "{}/x.svg"],
    "a record of fuzz": [*VERBS["fuzz"], "--record", "{}/x.json"],
}
UNDISTURBED = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot to read."""
    folder = tmp_path_factory.mktemp("surroundings") / "there"
    assert main(["save", "7", str(folder)]) == 0
    return folder


def mcni(words: list[str], folder: Path | str, there: Path, around: str = "", **more: object) -> tuple[int, str, str]:
    """Run the command in a shell that changes what is around it; return its status and what it said."""
    typed = [sys.executable, "-m", "mcnilib", *(word.format(folder, there=there) for word in words)]
    environment = os.environ | UNDISTURBED | more.pop("env", {})  # type: ignore[operator]
    command = ["sh", "-c", f'"$@" {around}', "sh", *typed]
    done = subprocess.run(command, capture_output=True, env=environment, check=False, **more)  # type: ignore[call-overload]
    said = done.stderr.decode(errors="replace")
    assert "Traceback" not in said and "Exception ignored" not in said, said
    return done.returncode, done.stdout.decode(errors="replace"), said


def test_no_verb_is_left_out() -> None:
    verbs = next(a.choices for a in command_line()._actions if isinstance(a, argparse._SubParsersAction))
    assert {*VERBS, "kernel"} == set(verbs)  # what takes minutes to build: tests/kernel/test_uml.py


@pytest.mark.parametrize("verb", VERBS)
def test_where_standard_output_is_closed(tmp_path: Path, there: Path, verb: str) -> None:
    assert mcni(VERBS[verb], tmp_path, there, ">&-") == (2, "", "mcni: standard output is closed\n")
    assert list(tmp_path.iterdir()) == []


def runs(verb: str) -> bool:
    """Tell whether a verb prints anything on this machine, or says that it cannot."""
    needs_more = ("collect", "site", "scorm")
    return verb not in (*needs_more, "verify", "fuzz") or (verb not in needs_more and IS_ROOT)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full")
@pytest.mark.parametrize(
    ("verb", "buffered"),
    [*((verb, "") for verb in VERBS if runs(verb)), ("list", "1"), ("run", "1"), ("completion", "1")],
)
def test_where_standard_output_is_full(tmp_path: Path, there: Path, verb: str, buffered: str) -> None:
    status, _, said = mcni(VERBS[verb], tmp_path, there, ">/dev/full", env={"PYTHONUNBUFFERED": buffered})
    assert (status, said) == (2, "mcni: standard output cannot be written: No space left on device\n")


@pytest.mark.parametrize("verb", [None, "run"])
def test_help_says_so_too_when_it_cannot_be_written(tmp_path: Path, there: Path, verb: str | None) -> None:
    words = [*([verb] if verb else []), "--help"]
    assert main_status(words) == 0
    assert mcni(words, tmp_path, there, ">/dev/full", env={"PYTHONUNBUFFERED": ""})[0] == 2


def main_status(words: list[str]) -> object:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code


@pytest.mark.parametrize("verb", [verb for verb in VERBS if runs(verb)])
def test_where_nothing_else_is_there(tmp_path: Path, there: Path, verb: str) -> None:
    """No input, no place for errors, no letter but those of ASCII, and a home where nothing can be written."""
    bare = {"PYTHONIOENCODING": "ascii:strict"} | dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), "/proc")
    status, printed, _ = mcni(VERBS[verb], tmp_path, there, "<&- 2>&-", env=bare)
    assert status in (0, 1)
    assert printed.isascii() and printed
    assert verb != "run" or "\\u2192" in printed


@pytest.mark.parametrize("name", WRITING)
def test_where_no_file_can_be_made(there: Path, name: str) -> None:
    status, _, said = mcni(WRITING[name], "/proc", there)
    target = next(word for word in WRITING[name] if "{}" in word).format("/proc")
    assert status == 2
    assert f"{target} cannot be written: " in said


@pytest.mark.parametrize("name", WRITING)
def test_where_the_disk_is_full_everything_stays_as_it_was(tmp_path: Path, there: Path, name: str) -> None:
    """A limit on the size of files is met at the same place as the end of a disk."""
    target = Path(next(word for word in WRITING[name] if "{}" in word).format(tmp_path))
    if target.suffix:
        target.write_text("what was there before")
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))  # noqa: E731
    status, _, said = mcni(WRITING[name], tmp_path, there, preexec_fn=limit)
    assert (status, said) == (2, f"mcni: {target} cannot be written: File too large\n")
    assert [path.name for path in tmp_path.iterdir()] == ([target.name] if target.suffix else [])
    assert not target.suffix or target.read_text() == "what was there before"


INTERRUPTED = """
import atexit, os, signal, sys
MODULE, MOMENT, *sys.argv[1:] = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job is started with it ignored
def press(*_):
    os.kill(os.getpid(), signal.SIGINT)
class Finder:
    def find_spec(name, path=None, target=None):
        if name == MODULE:
            try:
                press()
            except KeyboardInterrupt:
                if MOMENT == "swallowed":
                    raise ImportError("numpy failed to import") from None
                raise
if MOMENT == "at its end":
    atexit.register(press)
sys.meta_path.insert(0, Finder)
from mcnilib.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("module", "moment", "status"),
    [
        ("argparse", "loading the command line", 130),
        ("mcnilib.scenarios", "loading the stories", 130),
        ("mcnilib.trace.explain", "loading in a verb", 130),
        ("matplotlib", "loading pictures", 130),
        ("numpy", "swallowed", 130),
        ("", "at its end", 1),
    ],
)
def test_ctrl_c_while_modules_are_loaded(tmp_path: Path, module: str, moment: str, status: int) -> None:
    words = ["run", "7", "--picture", str(tmp_path / "x.png")]
    command = [sys.executable, "-c", INTERRUPTED, module, moment, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | UNDISTURBED, check=False)
    assert (done.returncode, done.stderr) == (status, "mcni: interrupted\n" if status == 130 else "")
    assert [path.name for path in tmp_path.iterdir()] == ([] if status == 130 else ["x.png"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_what_ends_it_while_it_writes_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    code = f"""
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from mcnilib import writing
old = writing._put
def put(path, *rest, **more):
    old(path, *rest, **more)
    os.kill(os.getpid(), {int(number)})
writing._put = put
sys.argv[1:] = ["save", "1", {str(tmp_path / "x")!r}]
from mcnilib.__main__ import main
sys.exit(main())"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | UNDISTURBED, check=False)
    assert done.returncode == 128 + number
    assert done.stderr == ("mcni: interrupted\n" if number == signal.SIGINT else "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not shutil.which("unshare"), reason="the lab is Linux's")
def test_ctrl_c_does_not_reach_a_lab_that_starts() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with Worker() as worker:
        status = Path(f"/proc/{worker.pid}/status").read_text()
        blocked = int(next(line for line in status.splitlines() if line.startswith("SigBlk")).split()[1], 16)
        assert blocked >> (signal.SIGINT - 1) & 1
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


@pytest.mark.parametrize(
    ("words", "around", "says"),
    [
        (["trace", "-", "--from", "a", "--to", "icmp:10.0.0.1"], "<&-", "standard input is closed"),
        (["merge", "-", "{}/new"], "<&-", "standard input is closed"),
        (
            ["trace", "-", "-", "--from", "a", "--to", "icmp:10.0.0.1"],
            "</dev/null",
            "standard input is named twice (-)",
        ),
        (["merge", "-", "-", "{}/new"], "</dev/null", "standard input is named twice (-)"),
        (["merge", "-", "{}/new"], "</dev/null", "-:1:1: the stream breaks off: `end` is missing"),
    ],
)
def test_standard_input_that_cannot_be_read(
    tmp_path: Path, there: Path, words: list[str], around: str, says: str
) -> None:
    status, printed, said = mcni(words, tmp_path, there, around)
    assert (status, printed) == (2, "")
    assert f"mcni: {says}" in said
    assert list(tmp_path.iterdir()) == []
