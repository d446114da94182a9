"""Machines that run user-mode Linux, each with a lab process in it: started, heard of, ended.

A machine is an ordinary process of this user. It reads this machine's files and writes none, has no device that leads
to this machine's network, and takes no privileges. Its end ends all it runs; so does the end of who started it.
Source: arch/um/kernel/um_arch.c, arch/um/drivers/line.c (Linux 6.1); setpriv(1).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from mcnilib.kernel.lab.workers import THIS_KERNEL, Kernel, Worker
from mcnilib.kernel.uml.build import NoKernel, needed
from mcnilib.kernel.uml.guest import PIECE, READY
from mcnilib.language import tr

BOOT_WITHIN = 120.0
"""Seconds a machine may take until its lab process answers; on a quiet one it takes about 5."""

_MEMORY = "1500M"
"""How much memory a machine has; it takes what is used of it."""

_TAIL = 10
"""Lines of the console that an error quotes."""


class UmlMachine(subprocess.Popen[bytes]):
    """A machine that was started; its standard input and output lead to the lab process in it."""

    def __init__(self, program: Path) -> None:
        """Start it. `await_ready` waits until it can be talked to."""
        self._folder = TemporaryDirectory(prefix="mcni-uml-")
        self._console = TemporaryFile()  # noqa: SIM115  # open as long as the machine is
        kept = {key: value for key, value in os.environ.items() if key not in ("TMPDIR", "TMP", "TEMP")}
        super().__init__(
            (str(program), *_command_line(self._folder.name)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._console, env=kept, process_group=0,
        )  # fmt: skip

        self.stdin = _Acknowledged(self.stdin, self.stdout)  # type: ignore[assignment]

    def await_ready(self) -> None:
        """Wait until the lab process is there. Raises: NoKernel, with what the console says."""
        assert self.stdout
        if select.select([self.stdout], [], [], BOOT_WITHIN)[0] and os.read(self.stdout.fileno(), 1) == READY:
            return
        self.kill()
        self.wait()
        self._console.seek(0)
        last = self._console.read().decode(errors="replace").splitlines()[-_TAIL:]
        raise NoKernel(tr("user-mode Linux did not start a lab: {last}", last="\n".join(last)))

    def kill(self) -> None:
        """End the machine and all processes of it at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, after which nothing of the machine is left. Raises: subprocess.TimeoutExpired."""
        status = super().wait(timeout)
        self._folder.cleanup()
        return status


class _Acknowledged:
    """The way to a lab process: after each piece the machine says that it has room for another."""

    def __init__(self, to: Any, back: Any) -> None:
        self._to, self._back, self._sent = to, back, 0

    def write(self, data: bytes) -> None:
        """Send bytes. Raises: NoKernel when the machine takes no more."""
        while data:
            size = PIECE - self._sent % PIECE
            self._to.write(data[:size])
            self._to.flush()
            self._sent += len(data[:size])
            data = data[size:]
            if self._sent % PIECE == 0 and os.read(self._back.fileno(), 1) != READY:
                raise NoKernel(tr("user-mode Linux takes no more jobs"))

    def flush(self) -> None:
        """Do nothing: all was sent."""

    def close(self) -> None:
        """Close the line, which ends the lab process."""
        self._to.close()


def _command_line(folder: str) -> list[str]:
    """Return the words of the kernel's command line: devices that would be there from the start are left out."""
    paths = os.pathsep.join([str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])])
    return [
        f"mem={_MEMORY}", f"uml_dir={folder}/", "umid=mcni", "quiet",
        "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
        "con=null", "con0=null,fd:2", "con1=fd:0,fd:1",
        "bonding.max_bonds=0", "dummy.numdummies=0", "ifb.numifbs=0", "fb_tunnels=none",
        f'PYTHONPATH="{paths}"', f"init={sys.executable}", "--", "-m", "mcnilib.kernel.uml.guest",
    ]  # fmt: skip


def in_uml(number: int) -> list[Worker]:
    """Start machines with a worker in each, and return the workers. Raises: NoKernel."""
    program = needed()
    machines = [UmlMachine(program) for _ in range(number)]
    try:
        for machine in machines:
            machine.await_ready()
    except BaseException:
        for machine in machines:
            machine.kill()
            machine.wait()
        raise
    return [Worker(machine) for machine in machines]


UML = Kernel(in_uml, 2)
"""User-mode Linux: a machine has one processor, and while its worker waits another one may have it."""

KERNELS = {"": THIS_KERNEL, "uml": UML}
"""What the command line calls the kernels that labs run on; nothing: this machine's."""


def kernel_named(name: str | None) -> Kernel:
    """Return a kernel by the name it has on the command line."""
    return KERNELS[name or ""]
