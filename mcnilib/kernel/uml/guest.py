"""What runs first inside user-mode Linux: mounts, then the same lab process as anywhere, then the end of the machine.

The host's files are there through hostfs, which nobody can write: what is written goes into memory, by an overlay.
Source: hostfs in fs/hostfs (Linux 6.1), Documentation/filesystems/overlayfs.rst; mount(2), reboot(2).
"""

from __future__ import annotations

import ctypes
import os
import sys
import tty
from types import SimpleNamespace

from mcnilib.kernel.lab import workers

LINE = "/dev/tty1"
"""The line that leads to the process that started the machine. Source: arch/um/drivers/stdio_console.c."""

READY = b"\n"
"""The first byte on the line: it carries bytes as they are from now on."""

PIECE = 1024
"""Bytes after which the sender waits for another `READY`: a console loses what it has no room for (4 KiB)."""

POWER_OFF = 0x4321FEDC

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Mount what a lab needs, run one on the line, and switch the machine off when it ends."""
    try:
        _mount_all()
        lab = os.fork()
        if lab == 0:
            _work()
        while os.wait()[0] != lab:
            continue
    finally:
        sys.stderr.flush()
        _libc.reboot(POWER_OFF)


def _work() -> None:
    """Become the lab process: its jobs and results go over the line."""
    os.setsid()
    line = os.open(LINE, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    os.dup2(line, 0)
    os.dup2(line, 1)
    os.write(line, READY)
    sys.stdin = SimpleNamespace(buffer=_Jobs(line))
    workers.main()
    os._exit(0)


class _Jobs:
    """What comes over the line, each piece acknowledged."""

    def __init__(self, line: int) -> None:
        self._line, self._got = line, 0

    def read(self, size: int) -> bytes:
        """Return so many bytes; less at the end of the line."""
        read = b""
        while len(read) < size:
            more = os.read(self._line, min(size - len(read), PIECE - self._got % PIECE))
            if not more:
                break
            read, self._got = read + more, self._got + len(more)
            if self._got % PIECE == 0:
                os.write(self._line, READY)
        return read


def _mount_all() -> None:
    """Put memory over the host's files, and what the kernel shows of itself where programs look for it."""
    _mount("tmpfs", "/run")
    for folder in ("upper", "work", "root"):
        os.mkdir(f"/run/{folder}")
    _mount("overlay", "/run/root", "lowerdir=/,upperdir=/run/upper,workdir=/run/work")
    os.chroot("/run/root")
    os.chdir("/")
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")):
        _mount(kind, place)


def _mount(kind: str, place: str, options: str = "") -> None:
    if _libc.mount(kind.encode(), place.encode(), kind.encode(), 0, options.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {kind} on {place}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
