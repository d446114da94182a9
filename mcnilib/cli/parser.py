"""The parser of the command line: what is wrong is said in two lines, with the word that was probably meant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from mcnilib.cli.common import printable
from mcnilib.linux.words import nearest


class Parser(argparse.ArgumentParser):
    """A parser that names its help where others print their usage, which is longer than a terminal is high."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the right way is found; end with status 2."""
        self.exit(2, printable(f"{self.prog}: {message}\n`{self.prog} --help` shows how\n"))

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help; that it cannot be written is an error, and passed over only where it is an error that is told."""
        if file is None or file is not sys.stdout:
            super()._print_message(message, file)
        else:
            file.write(message)

    def read(self, words: Sequence[str] | None) -> argparse.Namespace:
        """Read the words of the command line; words that are left over are an error of the verb they follow."""
        found, left = self.parse_known_args(words)
        if left:
            usage: Parser = getattr(found, "usage", self)
            usage.error(usage.too_much(found, left))
        return found

    def too_much(self, found: argparse.Namespace, left: Sequence[str]) -> str:
        """Say which words nobody reads; those of a command were not quoted."""
        if getattr(found, "command", "") and not left[0].startswith("--"):
            return f'put the command in quotes: "{" ".join([found.command, *left])}"'
        return f"unrecognized arguments: {' '.join(left)}{nearest(left[0], self._option_string_actions)}"
