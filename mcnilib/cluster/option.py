"""One setting as a control or a command line sees it, and how a field of `Settings` declares it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import Enum
from typing import Any

from mcnilib.errors import McniError
from mcnilib.language import listed, tr


class SettingError(McniError, ValueError):
    """A setting or a value that does not exist; the message names the nearest ones that do."""


FORMER_TEXTS = {"only net1": "v0.8.6"}
"""Values that were renamed, by the text that links and scripts of before carry."""


def choice_field(
    label: str, *values: object, default: object, help: str, changes: str, texts: tuple[str, ...] = ()
) -> Any:
    """Declare a setting with a fixed list of values.

    `help` is one line for the reader, `changes` names the Linux or Kubernetes object behind the setting, `texts` how
    the values are written (default: an Enum's value, or str).
    """
    texts = texts or tuple(str(value.value if isinstance(value, Enum) else value) for value in values)
    metadata = {"label": label, "values": values, "texts": texts, "help": help, "changes": changes}
    return field(default=default, metadata=metadata)


def switch(label: str, texts: tuple[str, str], *, default: bool, help: str, changes: str) -> Any:
    """Declare a setting with two values, written as `texts` for False and True."""
    return choice_field(label, False, True, default=default, help=help, changes=changes, texts=texts)


@dataclass(frozen=True, slots=True)
class Option:
    """One setting as a control or a command line sees it: `name` is spelt `--name` there, `attribute` in Python."""

    name: str
    attribute: str
    label: str
    values: tuple[object, ...]
    texts: tuple[str, ...]
    default: object
    help: str
    changes: str

    @property
    def fits_buttons(self) -> bool:
        """Tell whether its values are so few and so short that all of them can stand side by side."""
        return len(self.texts) <= 3 and all(len(text) < 9 for text in self.texts)

    def only(self, *values: object) -> Option:
        """Return the same setting with some of its values left to choose from; SettingError when one is not valid."""
        return replace(self, values=values, texts=tuple(self.text(value) for value in values))

    def place(self, settings: object) -> int | None:
        """Return the place of what the settings have among the values; None where it is none of them."""
        value = getattr(settings, self.attribute)
        return self.values.index(value) if value in self.values else None

    def text(self, value: object) -> str:
        """Write one of the values; SettingError when it is not one."""
        if value not in self.values:
            said = {"name": self.name, "value": value, "texts": listed(self.texts)}
            raise SettingError(tr("{name} cannot be {value!r}; it is one of {texts}", **said))
        return self.texts[self.values.index(value)]

    def read(self, text: str) -> object:
        """Read a value, also a renamed one by its former text, without regard to case; SettingError names the nearest
        valid one."""
        lowered = [valid.lower() for valid in self.texts]
        plain = FORMER_TEXTS.get(text.strip().lower(), text.strip().lower())
        if plain in lowered:
            return self.values[lowered.index(plain)]
        near = get_close_matches(plain, lowered, n=1, cutoff=0.4)
        meant = tr("did you mean {near!r}? ", near=self.texts[lowered.index(near[0])]) if near else ""
        said = {"name": self.name, "value": text, "texts": listed(self.texts), "question": meant}
        raise SettingError(tr("{name} cannot be {value!r}: {question}it is one of {texts}", **said))


def number_of(settings: object, options: Sequence[Option]) -> int | None:
    """Return the number of a combination where all of them are swept, the last option changing fastest.

    None where one of the values is not among those of its option.
    """
    number = 0
    for option in options:
        place = option.place(settings)
        if place is None:
            return None
        number = number * len(option.values) + place
    return number
