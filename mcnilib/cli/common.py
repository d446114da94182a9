"""What several verbs share: the options of the settings, and how their values are read."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mcnilib.cli.parser import Parser
from mcnilib.cluster.settings import SHORT, Option, SettingError, Settings, option, options
from mcnilib.errors import McniError, StateSyntaxError, capital
from mcnilib.language import listed, mark, tr
from mcnilib.scenarios import Scenario, ScenarioError, all_scenarios, scenarios
from mcnilib.scenarios.scenario import OF_SOME
from mcnilib.snapshots.question import changed
from mcnilib.trace.flow import MAX_SIZE
from mcnilib.trace.trace import DEPTHS, Depth, Trace, Verdict
from mcnilib.world.world import World
from mcnilib.writing import WriteError, check_file, check_files_in, check_folder

OWNER = "all_verbs"
"""Where a parsed command line keeps the verbs, for the one that describes them all."""
PICTURES = (".svg", ".png", ".pdf")
"""Endings of pictures, as mcnilib.show.picture.svg has them: known here without loading what draws."""

JSON = mark("print the result as JSON")
TRACE_JSON = mark("print the whole trace as JSON (docs/trace-json.md)")


def add_verb(
    verbs: Any, name: str, help: str, run: Callable[[argparse.Namespace], int], examples: str, json: str = JSON
) -> Parser:
    """Add a verb, which has examples and `--json`; `json` says what that prints."""
    look = argparse.RawDescriptionHelpFormatter
    made: Parser = verbs.add_parser(
        name, help=help, description=f"{capital(help)}.", epilog=tr(examples), formatter_class=look
    )
    made.add_argument("--json", action="store_true", help=tr(json))
    made.set_defaults(verb=run, usage=made)
    return made


def add_story(parser: argparse.ArgumentParser) -> None:
    """Add the scenario a verb is about."""
    parser.add_argument("scenario", help=tr("name or number, see `mcni list`"))


def story_named(name: str, *behind: object) -> Scenario:
    """Return a scenario by its name or number; which one it is, where several have that number, is said on stderr.

    `behind` are the words that follow it. Raises: ScenarioError, which says so when one of them is the scenario.
    """
    try:
        story, *others = scenarios(name)
    except ScenarioError as problem:
        names = {text for each in all_scenarios() for text in (each.name, str(each.number))}
        swapped = [tr("; {word} is one, and stands first", word=word) for word in map(str, behind) if word in names]
        raise ScenarioError(f"{problem}{''.join(swapped[:1])}") from None
    if others and sys.stderr is not None:
        also = ", ".join(namesake.name for namesake in others)
        with suppress(OSError):
            print(
                tr("mcni: {name} is {story} here; {name} too, by name: {also}", name=name, story=story.name, also=also),
                file=sys.stderr,
            )
    return story


def add_table(parser: Parser) -> None:
    """Add the options of a run's table."""
    parser.add_argument("--table", action="store_true", help=tr("print the steps as a table"))
    parser.add_argument(
        "--depth", choices=DEPTHS, help=tr("how much the table tells (default: {hops})", hops=Depth.HOPS)
    )
    parser.refuse("--table", tr("beside --json, which prints the whole trace"), lambda parsed: parsed.json)
    parser.refuse("--depth", tr("without --table"), lambda parsed: not (parsed.table or getattr(parsed, "page", None)))


def add_try(parser: argparse.ArgumentParser) -> None:
    """Add the option of commands that are carried out before the conversation, on the model alone."""
    said = tr("carry out a command on the model first, and say what was and what is now; may be repeated")
    parser.add_argument("--try", dest="tried", action="append", default=[], metavar="'NETNS: COMMAND'", help=said)


def after_commands(world: World, commands: Iterable[str]) -> World:
    """Return the world after commands that were typed behind `--try`. Raises: McniError, which says which is wrong."""
    for command in commands:
        try:
            world = changed(world, command)
        except StateSyntaxError as wrong:
            raise wrong.inside("--try ") from None
        except McniError as problem:
            raise McniError(tr("--try: {problem}", problem=problem)) from None
    return world


def was_and_now(before: Trace, after: Trace) -> list[str]:
    """Say how a conversation ended without the commands behind `--try`, how it ends with them, and where both part."""
    from mcnilib.trace.explain import parting, verdict

    return [
        tr("was: {verdict}", verdict=verdict(before)),
        tr("now: {verdict}", verdict=verdict(after)),
        parting(before, after),
    ]


def what_was(before: Trace | None, commands: Iterable[str]) -> dict[str, object]:
    """Return, for the JSON of a trace, the commands behind `--try` and how the conversation ended without them."""
    if before is None:
        return {}
    from mcnilib.trace.export import trace_to_json

    return {"tried": list(commands), "was": trace_to_json(before)["outcome"]}


def add_patience(parser: argparse.ArgumentParser) -> None:
    """Add the option of how long the client of a scenario waits."""
    said = tr("how long the client waits (default: the scenario's)")
    parser.add_argument("--patience", type=seconds, metavar="SECONDS", help=said)


def add_size(parser: argparse.ArgumentParser) -> None:
    """Add the option of how much client and server send."""
    said = tr("bytes of request and answer, or REQUEST,ANSWER: are they too long for a device? (default: a few bytes)")
    parser.add_argument("--size", type=sizes, default=(0, 0), metavar="BYTES", help=said)


def sizes(text: str) -> tuple[int, int]:
    """Read how many bytes the client and the server send: one number for both, or two."""
    words = text.split(",")
    numbers = [int(word) if word.isascii() and word.isdecimal() and len(word) < 6 else 0 for word in words]
    if len(words) > 2 or not all(0 < number <= MAX_SIZE for number in numbers):
        reason = tr(
            "{text!r} is not a number of bytes from 1 to {max_size}, or two with a comma: REQUEST,ANSWER",
            text=text,
            max_size=MAX_SIZE,
        )
        raise argparse.ArgumentTypeError(reason)
    return numbers[0], numbers[-1]


def seconds(text: str) -> float:
    """Read a number of seconds above 0 and up to a day."""
    try:
        value = float(text) if text.isascii() else 0.0
    except ValueError:
        value = 0.0
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError(tr("{text!r} is not a number of seconds above 0, up to 86400", text=text))
    return value


def web_address(text: str) -> str:
    """Read an address of the web: no space, and no character that would act on a terminal or end a line."""
    if not re.fullmatch(r"https?://[!-~]+", text):
        raise argparse.ArgumentTypeError(
            tr("{text!r} is not an address that begins with http:// or https://", text=text)
        )
    return text.rstrip("/")


def count(text: str) -> int:
    """Read a whole number from 1 up."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(tr("{text!r} is not a whole number from 1 up", text=text))
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


def new_folder(text: str) -> Path:
    """Read the name of a folder to write, which is not there yet, or empty."""
    return _writable(check_folder, text)


def files_in(text: str) -> Path:
    """Read the name of a folder to write files into; it is made when it is not there."""
    return _writable(check_files_in, text)


def _writable(check: Callable[[Path], None], text: str) -> Path:
    try:
        check(Path(text))
    except WriteError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    return Path(text)


def print_files(folder: Path, names: Iterable[str], **beside: object) -> None:
    """Print, as JSON, the folder that was written and its files."""
    print(json.dumps({"folder": str(folder), "files": sorted(names)} | beside, indent=1))


def picture_file(text: str) -> Path:
    """Read the name of a picture to write."""
    return _ending_in(PICTURES, text)


def pdf_file(text: str) -> Path:
    """Read the name of a PDF to write."""
    return _ending_in((".pdf",), text)


def zip_file(text: str) -> Path:
    """Read the name of a zip to write, which is not there yet."""
    path = _ending_in((".zip",), text)
    if path.exists():
        raise argparse.ArgumentTypeError(tr("{file} is there already; nothing was written", file=text))
    return path


def html_file(text: str) -> Path:
    """Read the name of an HTML file to write."""
    return _ending_in((".html",), text)


def _ending_in(endings: tuple[str, ...], text: str) -> Path:
    if Path(text).suffix.lower() not in endings:
        raise argparse.ArgumentTypeError(tr("{text!r} must end in {endings}", text=text, endings=listed(endings)))
    return new_file(text)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add an option for each setting of the cluster and the conversation."""
    group = parser.add_argument_group(tr("settings"))
    for setting in options():
        start = tr("(default: the scenario's, else {text})", text=setting.text(setting.default))
        group.add_argument(
            f"--{setting.name}",
            *(f"--{short}" for short, name in SHORT.items() if name == setting.name),
            metavar="|".join(setting.texts) if len(setting.texts) < 5 else "VALUE",
            help=f"{tr(setting.help)} {start}".replace("%", "%%"),
        )


def chosen_settings(story: Scenario, arguments: argparse.Namespace) -> Settings:
    """Return the settings of a scenario, changed as the command line says.

    Raises: SettingError for a value that does not exist, or that the scenario has no conversation for, and for a
    setting that chooses actors the scenario has not.
    """
    asked = _asked_for(arguments)
    for name in asked:
        if option(name).attribute in OF_SOME and option(name).attribute not in story.settings:
            flags = ", ".join(f"--{setting.name}" for setting in story.options())
            raise SettingError(
                tr("{story} has no setting --{name}; it has {flags}", story=story.name, name=name, flags=flags)
            )
    settings = story.start().but(**asked)
    for setting in story.options():
        _check(story, setting, settings)
    return settings


def _asked_for(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the settings that stand on the command line: name -> value."""
    texts = {setting.name: getattr(arguments, setting.attribute) for setting in options()}
    return {name: text for name, text in texts.items() if text is not None}


def _check(story: Scenario, toggle: Option, settings: Settings) -> None:
    """Insist on a value the story is told with. Raises: SettingError, naming those."""
    if getattr(settings, toggle.attribute) not in toggle.values:
        text = option(toggle.name).text(getattr(settings, toggle.attribute))
        raise SettingError(
            tr(
                "{toggle} cannot be {text!r} in {story}; it is one of {texts}",
                toggle=toggle.name,
                text=text,
                story=story.name,
                texts=listed(toggle.texts),
            )
        )
