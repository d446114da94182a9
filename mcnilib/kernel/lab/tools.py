"""Run ip, bridge, iptables, ipset and nft inside a namespace: several at once, input and output in memory files.

Memory files instead of pipes: nothing can block, so many tools run side by side and are collected later.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from mcnilib.errors import McniError
from mcnilib.kernel.lab.syscalls import in_netns

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

PACKAGES = {
    "ip": "iproute2",
    "bridge": "iproute2",
    "nft": "nftables",
    "iptables-nft-restore": "iptables",
    "ipset": "ipset",
    "ipvsadm": "ipvsadm",
}
"""Debian packages of the programs the lab starts."""

IP, BRIDGE, NFT = ("ip", "-batch", "-"), ("bridge", "-batch", "-"), ("nft", "-f", "-")
IPVSADM = ("ipvsadm", "-R")
IPSET, IPTABLES, IPTABLES_LEGACY = ("ipset", "restore"), ("iptables-nft-restore",), ("iptables-legacy-restore",)
"""The programs, each told to read from its input what it shall do."""

_LONGEST = 60
"""Seconds any of these programs may take."""


class ToolFailed(McniError, RuntimeError):
    """A program the lab started failed; the message has its words and the namespace."""


@dataclass(frozen=True, slots=True)
class Running:
    """A started program: process, namespace name, and the files it writes to."""

    process: subprocess.Popen[bytes]
    where: str
    argv: tuple[str, ...]
    out: int
    err: int


def find(program: str) -> str:
    """Return the path of a program; FileNotFoundError names the Debian package it is in."""
    path = shutil.which(program, path=PATH)
    if not path:
        raise FileNotFoundError(f"{program} is not installed (Debian package {PACKAGES.get(program, program)})")
    return path


def missing() -> tuple[str, ...]:
    """Name the programs the lab needs and does not find."""
    return tuple(program for program in PACKAGES if not shutil.which(program, path=PATH))


def start(where: str, netns: int, home: int, argv: tuple[str, ...], text: str = "") -> Running:
    """Start a program in the namespace behind the open file `netns`, with `text` as its input."""
    files = [os.memfd_create("mcni") for _ in range(3)]
    os.write(files[0], text.encode())
    os.lseek(files[0], 0, os.SEEK_SET)
    with in_netns(netns, home):
        process = subprocess.Popen(
            (find(argv[0]), *argv[1:]), stdin=files[0], stdout=files[1], stderr=files[2], close_fds=False
        )
    os.close(files[0])
    return Running(process, where, argv, files[1], files[2])


def finish(running: Running, *, allowed: tuple[int, ...] = (0,)) -> str:
    """Wait for a program and return what it printed. Raises: ToolFailed with what it complained about."""
    status = _wait(running)
    out, err = _text(running.out), _text(running.err)
    if status not in allowed:
        raise ToolFailed(
            f"{' '.join(running.argv)} in {running.where} ended with {status}: {err.strip() or out.strip()}"
        )
    return out


def _wait(running: Running) -> int:
    """Wait for the end of a program without polling; one that takes more than a minute hangs and is ended."""
    end = os.pidfd_open(running.process.pid)
    try:
        if not select.select([end], [], [], _LONGEST)[0]:
            running.process.kill()
            raise ToolFailed(f"{' '.join(running.argv)} in {running.where} did not end within {_LONGEST} s")
    finally:
        os.close(end)
    return running.process.wait()


def finish_all(started: Iterable[Running]) -> list[str]:
    """Wait for several programs; the first failure is raised after all have ended."""
    results: list[str] = []
    problem: ToolFailed | None = None
    for running in started:
        try:
            results.append(finish(running))
        except ToolFailed as error:
            problem = problem or error
    if problem:
        raise problem
    return results


def _text(descriptor: int) -> str:
    size = os.lseek(descriptor, 0, os.SEEK_END)
    text = os.pread(descriptor, size, 0).decode(errors="replace")
    os.close(descriptor)
    return text
