"""What several verbs share: the options of the settings, and how their values are read."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcnilib.cluster.settings import Option, SettingError, Settings, option, options
from mcnilib.scenarios import Scenario
from mcnilib.trace.trace import Trace, Verdict
from mcnilib.writing import WriteError, check_file, check_files_in

OWNER = "all_verbs"
"""Where a parsed command line keeps the verbs, for the one that describes them all."""
PICTURES = (".svg", ".png", ".pdf")
"""Endings of pictures, as mcnilib.show.files has them: known here without loading what draws."""

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
    made.set_defaults(verb=run, usage=made)
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


def status_of(trace: Trace) -> int:
    """Return the exit status of a conversation: 0 it works, 1 it does not, 3 nobody knows, 4 chance decides.

    Where some courses fail and some are unknown, it may be that none works: 3.
    """
    ends = {course.outcome.verdict for course in trace.courses}
    if ends == {Verdict.CONNECTED}:
        return 0
    if Verdict.CONNECTED in ends and ends - {Verdict.CONNECTED, Verdict.UNKNOWN}:
        return 4
    return 3 if Verdict.UNKNOWN in ends else 1


def new_file(text: str) -> Path:
    """Read the name of a file to write: what stands in the way is known before any work is done."""
    return _writable(check_file, text)


def files_in(text: str) -> Path:
    """Read the name of a folder to write files into; it is made when it is not there."""
    return _writable(check_files_in, text)


def _writable(check: Callable[[Path], None], text: str) -> Path:
    try:
        check(Path(text))
    except WriteError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    return Path(text)


def picture_file(text: str) -> Path:
    """Read the name of a picture to write."""
    return _ending_in(PICTURES, text)


def pdf_file(text: str) -> Path:
    """Read the name of a PDF to write."""
    return _ending_in((".pdf",), text)


def _ending_in(endings: tuple[str, ...], text: str) -> Path:
    if Path(text).suffix.lower() not in endings:
        raise argparse.ArgumentTypeError(f"{text!r} must end in {', '.join(endings)}")
    return new_file(text)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add an option for each setting of the cluster."""
    group = parser.add_argument_group("settings")
    for one in options():
        start = f"(default: the scenario's, else {one.text(one.default)})"
        group.add_argument(
            f"--{one.name}",
            metavar="|".join(one.texts) if len(one.texts) < 5 else "VALUE",
            help=f"{one.help} {start}".replace("%", "%%"),
        )


def chosen(story: Scenario, arguments: argparse.Namespace) -> Settings:
    """Return the settings of a scenario, changed as the command line says.

    Raises: SettingError for a value that does not exist, or that the scenario has no conversation for.
    """
    settings = story.start().but(**_asked_for(arguments))
    for one in story.options():
        _check(story, one, settings)
    return settings


def _asked_for(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the settings that stand on the command line: name -> value."""
    texts = {one.name: getattr(arguments, one.attribute) for one in options()}
    return {name: text for name, text in texts.items() if text is not None}


def _check(story: Scenario, one: Option, settings: Settings) -> None:
    """Insist on a value the story is told with. Raises: SettingError, naming those."""
    if getattr(settings, one.attribute) not in one.values:
        text = option(one.name).text(getattr(settings, one.attribute))
        raise SettingError(f"{one.name} cannot be {text!r} in {story.name}; it is one of {', '.join(one.texts)}")


def printable(text: str) -> str:
    """Return a text without control characters that would act on a terminal; they are spelt out."""
    return "".join(x if x.isprintable() or x in "\n\t" else ascii(x)[1:-1] for x in text)
