"""Standard output: errors say that it is what cannot be written, and letters that its alphabet lacks are spelt out."""

from __future__ import annotations

import io
import os
from typing import Any, TextIO

from mcnilib.writing import WriteError


class _Output(io.FileIO):
    """A file whose errors name it. After one, what is still to come goes nowhere: it is said once."""

    def write(self, data: Any) -> int:
        """Write bytes. Raises: WriteError; BrokenPipeError when nobody reads any more."""
        try:
            return super().write(data) or 0
        except OSError as problem:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if isinstance(problem, BrokenPipeError):
                raise
            raise WriteError(f"standard output cannot be written: {problem.strerror}") from None


def named(stream: TextIO) -> TextIO:
    """Return standard output with errors that name it; other streams stay as they are."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw: Any = _Output(stream.fileno(), "wb", closefd=False)
    at_once = stream.write_through
    return io.TextIOWrapper(
        raw if at_once else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=at_once,
    )
