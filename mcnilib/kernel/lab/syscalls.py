"""The few system calls Python 3.11 lacks: unshare, setns and prctl, and the entry into a world of one's own.

A lab is one process that left the host's network namespace before it made anything. All its namespaces are anonymous
(open files, no names), so the kernel removes them with the process, however it ends.
Source: namespaces(7), user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcnilib.errors import McniError

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15

LAB_NAME = "mcni-lab"
"""What `ps` shows for a lab process; `mcni clean` looks for it. At most 15 characters."""

_libc = ctypes.CDLL(None, use_errno=True)


class NoLab(McniError, PermissionError):
    """The kernel lab cannot run here; the message says what is missing."""


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags` for new ones."""
    _check(_libc.unshare(flags), "unshare")


def enter(netns: int) -> None:
    """Move this thread to the network namespace behind an open file."""
    _check(_libc.setns(netns, CLONE_NEWNET), "setns")


@contextmanager
def in_netns(netns: int, home: int) -> Iterator[None]:
    """Work in namespace `netns`, then return to `home`."""
    enter(netns)
    try:
        yield
    finally:
        enter(home)


def this_netns() -> int:
    """Open the network namespace this thread is in; child processes inherit the open file."""
    descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    return descriptor


def make_netns(home: int) -> int:
    """Make an empty network namespace, open it, and return to `home`."""
    unshare(CLONE_NEWNET)
    try:
        return this_netns()
    finally:
        enter(home)


def leave_host() -> int:
    """Move this single-threaded process away from the host's network and return its own, empty one.

    Root needs nothing more. Anyone else becomes root of a user namespace first.
    Raises: NoLab, naming what the system forbids.
    """
    die_with_parent()
    if not _may_make_netns():
        _become_root_of_user_namespace()
    try:
        unshare(CLONE_NEWNET)
    except OSError as problem:
        raise NoLab(f"network namespaces cannot be made here: {problem.strerror} (needs CAP_SYS_ADMIN)") from None
    return this_netns()


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, and give it the name `mcni clean` looks for."""
    parent = os.getppid()
    _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    _libc.prctl(PR_SET_NAME, LAB_NAME.encode(), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _may_make_netns() -> bool:
    """Tell whether CAP_SYS_ADMIN (bit 21) and CAP_NET_ADMIN (bit 12) are effective."""
    status = Path("/proc/self/status").read_text()
    effective = int(next(line for line in status.splitlines() if line.startswith("CapEff")).split()[1], 16)
    return bool(effective >> 21 & 1 and effective >> 12 & 1)


def _become_root_of_user_namespace() -> None:
    uid, gid = os.getuid(), os.getgid()
    try:
        unshare(CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as problem:
        raise NoLab(
            f"the kernel lab needs root or unprivileged user namespaces; this system allows neither: {_why(problem)}"
        ) from None


def _why(problem: OSError) -> str:
    limits = {
        "/proc/sys/user/max_user_namespaces": "0",
        "/proc/sys/kernel/unprivileged_userns_clone": "0",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
    }
    for path, forbids in limits.items():
        if Path(path).exists() and Path(path).read_text().strip() == forbids:
            return f"{path.removeprefix('/proc/sys/').replace('/', '.')} = {forbids}"
    return f"{problem.strerror} (a container's seccomp profile forbids it?)"


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
