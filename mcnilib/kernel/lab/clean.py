"""`mcni clean`: end lab processes whose parent is gone. Nothing else can be left.

A lab's namespaces have no names and live as long as its process; the kernel ends that process with its parent. Only a
lab whose parent vanished before it could ask for that, or one stopped in a debugger, can be found here.
"""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from mcnilib.kernel.lab.syscalls import LAB_NAME
from mcnilib.language import listed, tr


@dataclass(frozen=True, slots=True)
class Leftover:
    """A lab process without the parent that started it."""

    pid: int


def leftovers() -> tuple[Leftover, ...]:
    """Find this user's lab processes whose parent is not the one that started them: it is gone, they were handed on.

    A lab names its starter by an id that means something among the processes it sees (pid_namespaces(7)); labs of
    containers see others than we do, and are passed over.
    """
    orphans = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() == LAB_NAME and _is_left(folder):
                orphans.append(Leftover(int(folder.name)))
        except OSError:
            continue
    return tuple(orphans)


def _is_left(folder: Path) -> bool:
    state, parent = _state(folder)
    starter = (folder / "cmdline").read_text(errors="replace").rstrip("\0").rpartition("\0")[2]
    ours = folder.stat().st_uid == os.getuid() and (folder / "ns/pid").samefile("/proc/self/ns/pid")
    return ours and state != "Z" and starter.isdecimal() and starter != parent


def clean() -> tuple[Leftover, ...]:
    """End the leftovers; the kernel then removes their namespaces. Return what was ended."""
    ended = []
    for leftover in leftovers():
        try:
            os.kill(leftover.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        ended.append(leftover)
    return tuple(ended)


def _state(folder: Path) -> list[str]:
    """Read a process's state and its parent's id, the fields after the name in parentheses. Source: proc(5)."""
    return (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]


def main(*, as_json: bool = False) -> int:
    """Clean and say what was removed."""
    ended = [leftover.pid for leftover in clean()]
    if as_json:
        print(json.dumps({"ended": ended}))
    elif ended:
        print(
            tr(
                "ended {count} lab process(es) and their namespaces: {processes}",
                count=len(ended),
                processes=listed(map(str, ended)),
            )
        )
    else:
        print(tr("nothing to clean: no lab process is left, and labs leave nothing else"))
    return 0
