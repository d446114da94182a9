"""The language a reader sees: every sentence is looked up in one catalogue, in the way of GNU gettext.

The English text stands in the code, as the key of the catalogue. A sentence is whole: its values have names, so that
another language can put them in another order, and it is never joined from pieces. `tr` looks a sentence up when it is
said, `mark` names one that a table holds until it is shown, `trn` chooses between one and many. A catalogue is a file
`mcnilib/locale/LANGUAGE/LC_MESSAGES/mcnilib.mo`, which `pybabel compile` makes from the `.po` of a translator.

Source: the GNU gettext manual, sections 4 (Preparing Program Sources) and 11.2.6 (Plural forms); Python's gettext.
"""

from __future__ import annotations

import gettext
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

_DOMAIN, _CATALOGUES = "mcnilib", Path(__file__).with_name("locale")

_Given = ParamSpec("_Given")
_Done = TypeVar("_Done")

ENGLISH, PSEUDO = "en", "en-XA"
"""`en-XA` is the code of Android and Unicode CLDR for pseudo English: longer words with accents. It shows where a
picture or panel has no room for another language, and which text never went through the catalogue."""

IN_TEMPLATE = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
"""A sentence in a template of a page: what stands between `[[` and `]]`."""

_ACCENTS = str.maketrans("aeiouycnsAEIOUYCNS", "áéíóúýçñšÁÉÍÓÚÝÇÑŠ")
_KEPT = re.compile(r"(\{[^{}]*\}|<[^<>]*>|%(?:\(\w+\))?[sr])")  # the names of values, also argparse's, and tags
_LONGER = 0.3  # of its length: what a translation of a short English text takes more


class LanguageError(ValueError):
    """A language for which there is no catalogue. No McniError: those say their own sentences through this module."""


class _Pseudo(gettext.NullTranslations):
    """Every sentence as it is, accented and a third longer; what is in braces stays, and so do bare separators."""

    def gettext(self, message: str) -> str:
        if not any(map(str.isalpha, message)):
            return message
        parts = _KEPT.split(message)
        accented = "".join(part if _KEPT.fullmatch(part) else part.translate(_ACCENTS) for part in parts)
        tail = re.sub("(~{8})(?=~)", r"\1 ", "~" * round(len(message) * _LONGER))  # words of eight letters
        return f"[{accented}{tail}]"

    def ngettext(self, one: str, many: str, count: int) -> str:
        return self.gettext(one if count == 1 else many)


_everywhere = [ENGLISH]
_language: ContextVar[str] = ContextVar("language", default="")


class Marked(str):
    """A sentence in English that knows what it was made of, so that `tr` can say it in another language later.

    It is equal to the plain text: values that hold one do not depend on the language they were made in.
    """

    __slots__ = ("template", "values")

    template: str
    values: dict[str, object]


def tr(text: str, /, **values: object) -> str:
    """Return a sentence in the reader's language, its `{names}` replaced by the values; those that are marked, too."""
    if (language := current_language()) != ENGLISH:
        if isinstance(text, Marked):
            values, text = text.values | values, text.template
        values = {name: tr(value) if isinstance(value, Marked) else value for name, value in values.items()}
        text = _catalogue(language).gettext(text) if text else text
    return text.format(**values) if values else text


def translated(text: str) -> str:
    """Return a marked sentence in the reader's language, and any other text, such as a machine's, as it is."""
    return tr(text) if isinstance(text, Marked) else text


def trn(one: str, many: str, count: int, /, **values: object) -> str:
    """Return the sentence for this number of things; `{count}` stands for the number."""
    return _catalogue(current_language()).ngettext(one, many, count).format(count=count, **values)


def mark(text: str, /, **values: object) -> str:
    """Name a sentence for the catalogue and return it in English, for a table or noun: who shows it says `tr(text)`."""
    marked = Marked(text.format(**values) if values else text)
    marked.template, marked.values = text, values
    return marked


def listed(things: Iterable[object]) -> str:
    """Return names in one line: `a, b, c`."""
    return tr(", ").join(map(str, things))


def all_of(things: Iterable[object]) -> str:
    """Return things that go together in one line: `a and b and c`."""
    return tr(" and ").join(map(str, things))


def any_of(things: Iterable[object]) -> str:
    """Return things of which one will do, in one line: `a, b or c`."""
    *others, last = map(str, things)
    return tr("{others} or {last}", others=listed(others), last=last) if others else last


def clauses(sentences: Iterable[object]) -> str:
    """Return several sentences as one: `a; b; c`."""
    return tr("; ").join(map(str, sentences))


def current_language() -> str:
    """Return the language in which sentences are said now: what is kept for later is kept for this language."""
    return _language.get() or _everywhere[0]


@contextmanager
def spoken(language: str) -> Iterator[None]:
    """Say everything in a language while the block runs; "" leaves it as it is. Raises: LanguageError."""
    language = language or current_language()
    _catalogue(language)
    before = _language.set(language)
    try:
        yield
    finally:
        _language.reset(before)


def keeping(action: Callable[_Given, _Done]) -> Callable[_Given, _Done]:
    """Return an action that is done later, such as a click's, in the language of now."""
    language = current_language()

    def later(*arguments: _Given.args, **options: _Given.kwargs) -> _Done:
        with spoken(language):
            return action(*arguments, **options)

    return later


def in_own_language(method: Callable[_Given, _Done]) -> Callable[_Given, _Done]:
    """Let a method speak the `language` of its object, which is the one the object was made in."""

    @wraps(method)
    def own(*arguments: _Given.args, **options: _Given.kwargs) -> _Done:
        speaker: Any = arguments[0]
        with spoken(speaker.language):
            return method(*arguments, **options)

    return own


def speak(language: str) -> None:
    """Say everything in a language from now on, wherever no other was chosen. Raises: LanguageError."""
    _catalogue(language)
    _everywhere[0] = language


def languages() -> tuple[str, ...]:
    """Return the languages there is a catalogue for, and English."""
    found = (file.parents[1].name for file in _CATALOGUES.glob(f"*/LC_MESSAGES/{_DOMAIN}.mo"))
    return (ENGLISH, *sorted(found), PSEUDO)


def readers_language(environment: Mapping[str, str] = os.environ) -> str:
    """Return the first language with a catalogue that LANGUAGE, LC_ALL, LC_MESSAGES or LANG name (locale(7))."""
    known = {language.replace("-", "_"): language for language in languages()}
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        for value in environment.get(name, "").split(":"):
            wanted = value.partition(".")[0].partition("@")[0]
            near = [language for language in known if language.partition("_")[0] == wanted.partition("_")[0]]
            if wanted and near:
                return known[wanted if wanted in known else near[0]]
        if environment.get(name):
            break
    return ENGLISH


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    if language == PSEUDO:
        return _Pseudo()
    if language == ENGLISH:
        return gettext.NullTranslations()
    try:
        return gettext.translation(_DOMAIN, _CATALOGUES, [language])
    except OSError:
        raise LanguageError(
            tr(
                "there is no catalogue for {language!r}; there are {languages}",
                language=language,
                languages=listed(languages()),
            )
        ) from None
