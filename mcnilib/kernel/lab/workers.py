"""A lab in a process of its own: jobs go in, results come out, and everything it made ends with it.

`Worker` is the parent's side. The worker leaves the host's network before anything else; when the parent ends, for
whatever reason, the kernel ends the worker and with it all its namespaces.
"""

from __future__ import annotations

import io
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from mcnilib.errors import McniError
from mcnilib.kernel.lab.lab import Lab
from mcnilib.kernel.lab.syscalls import NoLab, leave_host

Job = Callable[..., Any]
"""What a worker runs: a function of a module, called with the Lab and the job's arguments."""


class WorkerFailed(McniError, RuntimeError):
    """A job failed in the worker; the message has the worker's traceback."""


class Worker:
    """A worker process with an empty lab. Use it as a context manager."""

    def __init__(self, process: subprocess.Popen[bytes] | None = None) -> None:
        """Start the worker; or talk to one that was started, wherever its input and output lead.

        Errors of the start (see NoLab) appear with the first result.
        """
        self._process = process or _started()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(at_once=kind is not None)

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a result is there."""
        return _pipe(self._process.stdout).fileno()

    def submit(self, job: Job, *arguments: object) -> None:
        """Give the worker a job; take its result before the next."""
        _send(_pipe(self._process.stdin), (job, arguments))

    def result(self) -> Any:
        """Wait for the job's result. Raises: what the lab raised; WorkerFailed for anything else."""
        answer = _receive(_pipe(self._process.stdout))
        if answer is None:
            raise WorkerFailed(f"the lab process ended with status {self._process.wait()}")
        kind, value = answer
        if kind == "error":
            raise value
        return value

    def run(self, job: Job, *arguments: object) -> Any:
        """Do one job and return its result."""
        self.submit(job, *arguments)
        return self.result()

    def close(self, *, at_once: bool = False) -> None:
        """End the worker; `at_once` does not let it finish its job."""
        if at_once:
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                _pipe(pipe).close()
            except BrokenPipeError:
                continue
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def here(number: int) -> list[Worker]:
    """Start workers on this machine's kernel."""
    return [Worker() for _ in range(number)]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that labs run on: how workers are started there, and how many of them keep one processor busy."""

    start: Callable[[int], Sequence[Worker]]
    busy: int

    @property
    def at_once(self) -> int:
        """How many workers keep this machine busy."""
        return self.busy * (os.cpu_count() or 1)


THIS_KERNEL = Kernel(here, 4)
"""This machine's: most of the time a worker waits until a client's patience ends."""


class WorkerPool:
    """Several workers; each gets the next piece of work when it is done with the last."""

    def __init__(self, number: int, kernel: Kernel = THIS_KERNEL) -> None:
        """Start the workers."""
        self._workers = kernel.start(number)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.close(at_once=kind is not None)

    def run(self, job: Job, *arguments: object) -> Any:
        """Have one of the workers do one job, while none has work, and return its result."""
        return self._workers[0].run(job, *arguments)

    def work(self, job: Job, pieces: Iterable[tuple[object, ...]]) -> Iterator[tuple[int, Any]]:
        """Yield (number of the piece, result) in the order they are done."""
        waiting, idle, poll = enumerate(pieces), [*self._workers], select.poll()
        busy: dict[int, tuple[int, Worker]] = {}
        while True:
            while idle and (piece := next(waiting, None)) is not None:
                worker = idle.pop()
                worker.submit(job, *piece[1])
                busy[worker.fileno()] = piece[0], worker
                poll.register(worker, select.POLLIN)
            if not busy:
                return
            for descriptor, _ in poll.poll():
                number, worker = busy.pop(descriptor)
                poll.unregister(worker)
                idle.append(worker)
                yield number, worker.result()


def _started() -> subprocess.Popen[bytes]:
    """Start a worker's process on this machine."""
    root = str(Path(__file__).parents[3])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    with _without_interruption():
        return subprocess.Popen(
            (sys.executable, "-m", "mcnilib.kernel.lab.workers", str(os.getpid())),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip


@contextmanager
def _without_interruption() -> Iterator[None]:
    """Start what runs on when Ctrl-C is pressed: it reaches this process, whose end ends the others."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pipe(pipe: Any) -> BinaryIO:
    return pipe  # type: ignore[no-any-return]


class _Pickler(pickle.Pickler):
    """Sends frozen values by their fields: what the simulator compiled and keeps beside them stays here."""

    def reducer_override(self, value: object) -> Any:
        if (
            not is_dataclass(value)
            or isinstance(value, type)
            or not type(value).__module__.startswith(("mcnilib.linux", "mcnilib.world"))
        ):
            return NotImplemented
        given = [declared for declared in fields(value) if declared.init]
        named = {declared.name: getattr(value, declared.name) for declared in given if declared.kw_only}
        make = partial(type(value), **named) if named else type(value)
        return make, tuple(getattr(value, declared.name) for declared in given if not declared.kw_only)


def _send(pipe: BinaryIO, value: object) -> None:
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    data = buffer.getvalue()
    pipe.write(struct.pack("=Q", len(data)) + data)
    pipe.flush()


def _receive(pipe: BinaryIO) -> Any:
    header = pipe.read(8)
    if len(header) < 8:
        return None
    return pickle.loads(pipe.read(struct.unpack("=Q", header)[0]))


def main() -> None:
    """Leave the host's network and do jobs until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        lab: Lab | NoLab = Lab(leave_host())
    except NoLab as problem:
        lab = problem
    while (job := _receive(sys.stdin.buffer)) is not None:
        _send(answers, _do(lab, *job))


def _do(lab: Lab | NoLab, job: Job, arguments: tuple[object, ...]) -> tuple[str, object]:
    if isinstance(lab, NoLab):
        return "error", lab
    try:
        return "result", job(lab, *arguments)
    except McniError as problem:
        return "error", problem if _survives(problem) else WorkerFailed(str(problem))
    except Exception:
        return "error", WorkerFailed(traceback.format_exc())


def _survives(problem: McniError) -> bool:
    """Tell whether an error can be sent to the parent as it is."""
    try:
        pickle.loads(pickle.dumps(problem))
    except Exception:
        return False
    return True


if __name__ == "__main__":  # as a module of its name, so that its errors are known under that name on both sides
    from mcnilib.kernel.lab import workers

    workers.main()
