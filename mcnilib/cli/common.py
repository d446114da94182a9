"""What several verbs share: the options of the settings, and how their values are read."""

from __future__ import annotations

import argparse

from mcnilib.cluster.settings import Settings, options
from mcnilib.scenarios import Scenario

OWNER = "all_verbs"
"""Where a parsed command line keeps the verbs, for the one that describes them all."""


def seconds(text: str) -> float:
    """Read a number of seconds above 0 and up to a day."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 86400")
    return value


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
