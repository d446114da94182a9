"""User-mode Linux, built from the sources that Debian packs: once for each version and configuration, and kept.

What is built lies in the user's cache, never in the project. Nothing is downloaded: the sources are a package.
Source: Documentation/virt/uml/user_mode_linux_howto_v2.rst (Linux 6.1); the XDG Base Directory Specification.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

from mcnilib.errors import McniError
from mcnilib.language import all_of, listed, tr
from mcnilib.progress import Line, shown
from mcnilib.writing import add_file, check_files_in

SOURCES = "linux-source-6.1"
"""Debian's package of the sources."""

TARBALL = Path(f"/usr/src/{SOURCES}.tar.xz")
_CONFIG = "uml.config"
_MACHINE = "x86_64"
"""The machines that user-mode Linux 6.1 is for."""

_PACKAGES = {
    str(TARBALL): SOURCES,
    "gcc": "gcc",
    "/usr/include/stdio.h": "libc6-dev",
    "make": "make",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "strip": "binutils",
    "xz": "xz-utils",
    "tar": "tar",
}
"""A file or program that building or starting takes -> the Debian package it is in."""

_COMPILED = 1060
"""About how many files are compiled: only how full the line of progress is depends on it."""

_TAIL = 15
"""Lines of a program's output that an error quotes."""


class NoKernel(McniError, OSError):
    """User-mode Linux is not there, or cannot be built; the message says what is missing."""


def configuration() -> str:
    """Return the options of the kernel that differ from none at all, as `make` reads them."""
    return files("mcnilib.kernel.uml").joinpath(_CONFIG).read_text(encoding="utf-8")


def cache() -> Path:
    """Return the folder of the kernels that were built."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcnilib" / "kernel"


def cached() -> Path | None:
    """Return the newest kernel that was built with this configuration; None where there is none."""
    programs = (path for path in cache().glob(f"linux-*-{_digest()}/linux") if os.access(path, os.X_OK))
    return max(programs, key=lambda path: path.stat().st_mtime, default=None)


def needed() -> Path:
    """Return the kernel to start. Raises: NoKernel, naming the command that builds it."""
    program = cached()
    if program is None:
        raise NoKernel(
            tr("user-mode Linux is not built yet: `mcni kernel build` does it, in {minutes} minutes", minutes="5 to 10")
        )
    return program


def _digest() -> str:
    return sha256(configuration().encode()).hexdigest()[:12]


def packages_missing() -> tuple[str, ...]:
    """Name the Debian packages that building takes and that are not installed."""
    absent = (
        package
        for what, package in _PACKAGES.items()
        if not (Path(what).exists() if "/" in what else shutil.which(what))
    )
    return tuple(dict.fromkeys(absent))


def build_kernel(*, force: bool = False) -> Path:
    """Build the kernel unless it was built before, and return it; `force` builds it anew.

    Raises: NoKernel before anything is written where something is missing, and when a step fails.
    """
    _check()
    target = cache() / f"linux-{_version()}-{_digest()}"
    program = target / "linux"
    if os.access(program, os.X_OK) and not force:
        return program
    check_files_in(target)
    with TemporaryDirectory(prefix="mcni-kernel-") as folder:
        add_file(target, program.name, _compiled(Path(folder)).read_bytes())
    program.chmod(0o755)
    return program


def _check() -> None:
    """Insist on what building takes. Raises: NoKernel."""
    if platform.machine() != _MACHINE:
        raise NoKernel(
            tr(
                "user-mode Linux runs on {machine} alone; this machine is {here}",
                machine=_MACHINE,
                here=platform.machine(),
            )
        )
    if packages := packages_missing():
        raise NoKernel(
            tr(
                "building user-mode Linux takes {packages}, not installed here: sudo apt-get install {words}",
                packages=all_of(packages),
                words=" ".join(packages),
            )
        )


def _version() -> str:
    """Return the version of the sources' package; where no package manager knows it, a digest of the sources."""
    if shutil.which("dpkg-query"):
        argv = ("dpkg-query", "--show", "--showformat", "${Version}", SOURCES)
        asked = subprocess.run(argv, capture_output=True, text=True, check=False)
        if asked.returncode == 0 and re.fullmatch(r"[\w.+~:-]+", asked.stdout):
            return asked.stdout.replace(":", "_")
    return sha256(TARBALL.read_bytes()).hexdigest()[:12]


def _compiled(folder: Path) -> Path:
    """Unpack, configure and compile in a folder; return the program without what only a debugger reads."""
    sources, objects = folder / SOURCES, folder / "objects"
    with shown(tr("mcni kernel: unpacking the sources")):
        _run("tar", "--extract", "--file", str(TARBALL), "--directory", str(folder))
        _configure(sources, objects)
    _compile(sources, objects)
    _run("strip", "--strip-all", str(objects / "linux"))
    return objects / "linux"


def _configure(sources: Path, objects: Path) -> None:
    """Write the configuration. Raises: NoKernel, naming the options that these sources do not take."""
    with as_file(files("mcnilib.kernel.uml").joinpath(_CONFIG)) as wanted:
        _run(*_make(sources, objects), f"KCONFIG_ALLCONFIG={wanted}", "allnoconfig")
    taken = {*(objects / ".config").read_text(encoding="utf-8").splitlines()}
    if refused := [line for line in configuration().splitlines() if line.startswith("CONFIG_") and line not in taken]:
        raise NoKernel(tr("{sources} does not take {options}", sources=SOURCES, options=listed(refused)))


def _make(sources: Path, objects: Path) -> tuple[str, ...]:
    return "make", "--directory", str(sources), "ARCH=um", f"O={objects}", f"--jobs={os.cpu_count() or 1}"


def _compile(sources: Path, objects: Path) -> None:
    """Compile, and show how far it is."""
    argv = (*_make(sources, objects), "linux")
    line, said, done = Line(tr("mcni kernel: compiling"), _COMPILED), deque[str](maxlen=_TAIL), 0
    with _started(argv) as making:
        for text in making.stdout or ():
            said.append(text)
            done += text.startswith("  CC ")
            line.show(min(done, _COMPILED))
        line.clear()
    _check_status(argv, making.returncode, "".join(said))


def _run(*argv: str) -> None:
    with _started(argv) as running:
        said, _ = running.communicate()
    _check_status(argv, running.returncode, said)


@contextmanager
def _started(argv: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a program in a group of its own, and end that group with the block: make starts others."""
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        process_group=0, env=os.environ | {"LC_ALL": "C"},
    ) as process:  # fmt: skip
        try:
            yield process
            process.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _check_status(argv: Sequence[str], status: int, said: str) -> None:
    if status:
        last = "\n".join(said.strip().splitlines()[-_TAIL:])
        raise NoKernel(tr("{program} ended with {status}:\n{last}", program=argv[0], status=status, last=last))
