"""The parser of the command line: what is wrong is said in two lines, with the word that was probably meant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from mcnilib.errors import printable
from mcnilib.language import listed, mark, tr, trn
from mcnilib.linux.text import nearest
from mcnilib.scenarios import all_scenarios

_LONGEST = 300
"""Characters of one line of a message."""

OWN_WORDS = frozenset(
    (
        mark("usage: "),
        mark("options"),
        mark("positional arguments"),
        mark("show this help message and exit"),
        mark("show program's version number and exit"),
        mark("argument %(argument_name)s: %(message)s"),
        mark("the following arguments are required: %s"),
        mark("one of the arguments %s is required"),
        mark("expected one argument"),
        mark("expected at most one argument"),
        mark("expected at least one argument"),
        mark("not allowed with argument %s"),
        mark("ignored explicit argument %r"),
        mark("ambiguous option: %(option)s could match %(matches)s"),
        mark("invalid %(type)s value: %(value)r"),
    )
)
"""What argparse itself says to readers of this command line; what another Python says instead stays English."""


@contextmanager
def own_words_translated() -> Iterator[None]:
    """Let argparse say its own words through this catalogue while the block runs; it asks gettext's for them.

    Source: argparse's source, which imports `gettext` as `_` (Python 3.11 to 3.14).
    """
    names = vars(argparse)
    before = {name: names[name] for name in ("_", "ngettext")}
    names.update(_=_own_word, ngettext=_own_number)
    try:
        yield
    finally:
        names.update(before)


def _own_word(text: str) -> str:
    return tr(text) if text in OWN_WORDS else text


def _own_number(one: str, many: str, count: int) -> str:
    if one == "expected %s argument":
        return trn("expected %s argument", "expected %s arguments", count)
    return one if count == 1 else many


class Parser(argparse.ArgumentParser):
    """A parser that names its help where others print their usage, which is longer than a terminal is high."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Begin without options that need others."""
        super().__init__(*arguments, **options)
        self._idle: list[tuple[str, str, Callable[[argparse.Namespace], bool]]] = []

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the right way is found; end with status 2."""
        said = message if len(message) <= _LONGEST else f"{message[: _LONGEST // 2]} ... {message[-_LONGEST // 2 :]}"
        more = tr("`{prog} --help` shows how", prog=self.prog)
        self.exit(2, printable(f"{self.prog}: {said}\n{more}\n"))

    def refuse(self, option: str, because: str, when: Callable[[argparse.Namespace], bool]) -> None:
        """Refuse an option `when` it would change nothing: `because` says why. Its default must be None or empty."""
        self._idle.append((option, because, when))

    def check(self, parsed: argparse.Namespace) -> None:
        """Insist that each option on the command line changes something; end with status 2 otherwise."""
        for option, because, when in self._idle:
            given = getattr(parsed, option.removeprefix("--").replace("-", "_"))
            if given not in (None, False, "", []) and when(parsed):
                self.error(tr("{option} changes nothing {because}", option=option, because=because))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value != [] and value not in action.choices:
            raise argparse.ArgumentError(action, self._not_a_choice(str(value), list(map(str, action.choices)), action))

    def _not_a_choice(self, value: str, choices: Iterable[str], action: argparse.Action) -> str:
        near = nearest(value, choices)
        stories = {name for story in all_scenarios() for name in (story.name, str(story.number))}
        if isinstance(action, argparse._SubParsersAction) and value in stories:
            near = tr("; did you mean `mcni run {value}`?", value=value)
        elif f"--{value}" in self._option_string_actions:
            near = tr("; did you mean `{prog} --{value}`?", prog=self.prog, value=value)
        return tr("{value!r} is none of {choices}{near}", value=value, choices=listed(choices), near=near)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help; that it cannot be written is an error, and passed over only where it is an error that is told."""
        if file is None or file is not sys.stdout:
            super()._print_message(message, file)
        else:
            file.write(message)

    def read(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Read the words of the command line; words that are left over are an error of the verb they follow."""
        parsed, left = self.parse_known_args(arguments)
        if left:
            usage: Parser = getattr(parsed, "usage", self)
            usage.error(usage.too_much(parsed, left))
        if hasattr(parsed, "usage"):
            parsed.usage.check(parsed)
        return parsed

    def too_much(self, arguments: argparse.Namespace, left: Sequence[str]) -> str:
        """Say which words nobody reads; those of a command were not quoted."""
        if getattr(arguments, "command", "") and not left[0].startswith("--"):
            return tr('put the command in quotes: "{value}"', value=" ".join([arguments.command, *left]))
        for action in self._actions:  # a value of several words
            value = f"{getattr(arguments, action.dest, '')} {' '.join(left)}"
            if value.lower() in str(action.metavar).lower().split("|"):
                return tr(
                    'put the value in quotes: {option_strings} "{value}"',
                    option_strings=action.option_strings[0],
                    value=value,
                )
        actions = self._option_string_actions
        if left[0].partition("=")[0] in actions:
            return tr("{left} belongs behind the verb: {prog} ... {left}", left=left[0], prog=self.prog)
        near = nearest(left[0].partition("=")[0], actions)
        return tr("unrecognized arguments: {left}{near}", left=" ".join(left), near=near)
