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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from mcnilib.errors import McniError

_DOMAIN, _CATALOGUES = "mcnilib", Path(__file__).with_name("locale")

ENGLISH, PSEUDO = "en", "en-XA"
"""`en-XA` is the code of Android and Unicode CLDR for pseudo English: longer words with accents. It shows where a
picture or panel has no room for another language, and which text never went through the catalogue."""

_ACCENTS = str.maketrans("aeiouycnsAEIOUYCNS", "áéíóúýçñšÁÉÍÓÚÝÇÑŠ")
_LONGER = 0.3  # of its length: what a translation of a short English text takes more


class LanguageError(McniError, ValueError):
    """A language for which there is no catalogue."""


class _Pseudo(gettext.NullTranslations):
    """Every sentence as it is, accented and a third longer; what is in braces stays."""

    def gettext(self, message: str) -> str:
        parts = message.replace("{", "\0{").replace("}", "}\0").split("\0")
        accented = "".join(part if part.startswith("{") else part.translate(_ACCENTS) for part in parts)
        return f"[{accented}{'~' * round(len(message) * _LONGER)}]"

    def ngettext(self, one: str, many: str, count: int) -> str:
        return self.gettext(one if count == 1 else many)


_language: ContextVar[str] = ContextVar("language", default=ENGLISH)


def tr(text: str, /, **values: object) -> str:
    """Return a sentence in the reader's language, its `{names}` replaced by the values."""
    language = _language.get()
    if language != ENGLISH:
        text = _catalogue(language).gettext(text)
    return text.format(**values) if values else text


def trn(one: str, many: str, count: int, /, **values: object) -> str:
    """Return the sentence for this number of things; `{count}` stands for the number."""
    return _catalogue(_language.get()).ngettext(one, many, count).format(count=count, **values)


def mark(text: str) -> str:
    """Name a sentence for the catalogue and return it as it is: whoever shows it says `tr(text)`."""
    return text


def current_language() -> str:
    """Return the language in which sentences are said now: what is kept for later is kept for this language."""
    return _language.get()


@contextmanager
def spoken(language: str) -> Iterator[None]:
    """Say everything in a language while the block runs. Raises: LanguageError."""
    _catalogue(language)
    before = _language.set(language)
    try:
        yield
    finally:
        _language.reset(before)


def speak(language: str) -> None:
    """Say everything in a language from now on. Raises: LanguageError."""
    _catalogue(language)
    _language.set(language)


def languages() -> tuple[str, ...]:
    """Return the languages there is a catalogue for, and English."""
    found = (file.parents[1].name for file in _CATALOGUES.glob(f"*/LC_MESSAGES/{_DOMAIN}.mo"))
    return (ENGLISH, *sorted(found), PSEUDO)


def readers_language(environment: Mapping[str, str] = os.environ) -> str:
    """Return the first language with a catalogue that LANGUAGE, LC_ALL, LC_MESSAGES or LANG name (locale(7))."""
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        for value in environment.get(name, "").split(":"):
            wanted = value.partition(".")[0].partition("@")[0]
            for known in languages():
                if wanted and wanted in (known, known.replace("-", "_"), known.partition("_")[0]):
                    return known
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
        raise LanguageError(f"there is no catalogue for {language!r}; there are {', '.join(languages())}") from None
