"""What needs no Linux works without what only Linux has: all but `collect`, `verify`, `fuzz` and `clean`.

A stand-in for Windows and macOS: the names Python lacks there are taken away before anything is loaded.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mcnilib.cli import main

ELSEWHERE = """
import builtins, os, sys
import _signal

for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "chown", "fchmod", "fchown", "fork", "getuid",
             "geteuid", "getgid", "setns", "unshare", "pidfd_open", "mkfifo", "killpg", "setsid"):
    if hasattr(os, name):
        delattr(os, name)
os.supports_dir_fd, os.supports_follow_symlinks = set(), set()
for name in ("SIGHUP", "SIGPIPE", "SIGKILL", "SIGALRM", "setitimer"):
    delattr(_signal, name)
MISSING = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty"}
load = builtins.__import__

def elsewhere(name, *rest, **more):
    if name.partition(".")[0] in MISSING:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return load(name, *rest, **more)

builtins.__import__ = elsewhere
"""
RUN = """
import mcnilib.__main__
sys.argv = ["mcni", *sys.argv[1:]]
sys.exit(mcnilib.__main__.main())
"""
NOTEBOOK = """
import mcnilib.notebook
from mcnilib import exercise, scenario
panel = mcnilib.notebook.explore(scenario("7"))
panel.controls["kube_proxy"].value = "1.30"
print(panel.view.verdict.value)
mcnilib.notebook.side_by_side(scenario("7"), kube_proxy="1.30")
mcnilib.notebook.look_around()
exercise(7, 1).check("node1: iptables -F")
"""
VERBS = [
    ["list"],
    ["run", "7", "--table"],
    ["run", "7", "--picture", "{}/path.svg"],
    ["state", "7", "node1", "iptables-save"],
    ["link", "7"],
    ["page", "7", "{}/state.html"],
    ["pcap", "7", "{}/captures"],
    ["save", "7", "{}/snapshot"],
    ["trace", "{}/snapshot", "--from", "mac1", "--to", "tcp:10.233.101.2:80", "--table"],
    ["merge", "{}/snapshot", "{}/merged"],
    ["learner", "{}/course"],
    ["completion", "bash"],
]


def elsewhere(code: str, *words: str) -> tuple[int, bytes, str]:
    """Run Python code where Linux is missing; return its status, what it printed and what it complained about."""
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", ELSEWHERE + code, *words], capture_output=True, check=False
    )
    return done.returncode, done.stdout, done.stderr.decode()


def written(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_every_verb_that_needs_no_linux_gives_the_same(tmp_path, capfdbinary) -> None:
    folders = [tmp_path / name for name in ("here", "elsewhere")]
    for folder in folders:
        folder.mkdir()
    for verb in VERBS:
        here, there = ([word.format(folder) for word in verb] for folder in folders)
        status, printed, said = elsewhere(RUN, *there)
        assert status == main(here), said
        assert printed.replace(b"elsewhere", b"here") == capfdbinary.readouterr().out, verb
        assert not said
    assert written(folders[0]) == written(folders[1])


@pytest.mark.slow
def test_panels_and_exercises_do_too() -> None:
    status, printed, said = elsewhere(NOTEBOOK)
    assert (status, said) == (0, "")
    assert b"connect succeeds, then hangs" in printed and b"not yet: " in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    "verb", [["verify", "7"], ["fuzz"], ["clean"], ["collect", "{}/new"]], ids=lambda verb: verb[0]
)
def test_what_needs_linux_says_so(tmp_path, verb) -> None:
    words = [word.format(tmp_path) for word in verb]
    status, printed, said = elsewhere("sys.platform = 'darwin'\n" + RUN, *words)
    assert (status, printed) == (2, b"")
    assert said == "mcni: this asks the kernel of Linux, and this machine runs darwin\n"


def test_no_name_of_a_snapshot_leads_out_where_folders_have_no_descriptors(tmp_path) -> None:
    assert main(["save", "7", str(tmp_path / "snapshot")]) == 0
    (tmp_path / "snapshot" / "mac1").rename(tmp_path / "other")
    (tmp_path / "snapshot" / "mac1").symlink_to(tmp_path / "other")
    words = ["trace", str(tmp_path / "snapshot"), "--from", "mac1", "--to", "icmp:10.233.101.2"]
    status, _, said = elsewhere(RUN, *words)
    assert (status, "mac1 cannot be read as a folder" in said) == (2, True)
    (tmp_path / "snapshot" / "mac1").unlink()
    (tmp_path / "other").rename(tmp_path / "snapshot" / "mac1")
    file = tmp_path / "snapshot" / "mac1" / "ip-rule.txt"
    file.rename(tmp_path / "rules")
    file.symlink_to(tmp_path / "rules")
    status, _, said = elsewhere(RUN, *words)
    assert (status, "mac1/ip-rule.txt cannot be read" in said) == (2, True)
