"""What several verbs share: the options of the settings, and how their values are read."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcnilib.cluster.settings import Settings, options
from mcnilib.scenarios import Scenario

OWNER = "all_verbs"
"""Where a parsed command line keeps the verbs, for the one that describes them all."""


JSON = "print the result as JSON"
TRACE_JSON = "print the whole trace as JSON (docs/trace-json.md)"


def add_verb(
    verbs: Any, name: str, help: str, run: Callable[[argparse.Namespace], int], examples: str, json: str = JSON
) -> argparse.ArgumentParser:
    """Add a verb, which has examples and `--json`; `json` says what that prints."""
    look = argparse.RawDescriptionHelpFormatter
    made: argparse.ArgumentParser = verbs.add_parser(
        name, help=help, description=f"{help[0].upper()}{help[1:]}.", epilog=examples, formatter_class=look
    )
    made.add_argument("--json", action="store_true", help=json)
    made.set_defaults(verb=run)
    return made


def seconds(text: str) -> float:
    """Read a number of seconds above 0 and up to a day."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 86400")
    return value


def count(text: str) -> int:
    """Read a whole number from 1 up."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def new_file(text: str) -> Path:
    """Read the name of a file to write, in a folder that is there: known before any work is done."""
    if not Path(text).absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(Path(text).parent)!r}")
    return Path(text)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add an option for each setting of the cluster."""
    group = parser.add_argument_group("settings")
    for one in options():
        text = one.text(one.default)
        group.add_argument(
            f"--{one.name}",
            metavar="|".join(one.texts) if len(one.texts) < 5 else "VALUE",
            help=f"{one.help} (default: {text})".replace("%", "%%"),
        )


def chosen(story: Scenario, arguments: argparse.Namespace) -> Settings:
    """Return the settings of a scenario, changed as the command line says."""
    texts = {o.name: getattr(arguments, o.attribute) for o in options()}
    return story.start().but(**{name: text for name, text in texts.items() if text is not None})


def printable(text: str) -> str:
    """Return a text without control characters that would act on a terminal; they are spelt out."""
    return "".join(x if x.isprintable() or x in "\n\t" else ascii(x)[1:-1] for x in text)
