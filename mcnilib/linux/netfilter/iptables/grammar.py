"""The options of matches and targets as data: who reads the value of each, where it goes, how iptables-save prints it.

One table says what may stand after `-m NAME` or `-j NAME`; reading and printing both go by it, in the order
iptables-save prints.
Source: iptables-extensions(8); extensions/lib{xt,ipt}_*.c (iptables 1.8.9).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any

from mcnilib.linux.netfilter.iptables.words import RuleWords, bang, each_option, need

Reader = Callable[[RuleWords], Any]
"""Reads the value of an option; of one that is kept as text as iptables-save prints it, empty without value."""

TextReader = Callable[[RuleWords], str]
"""Returns it as text."""

Given = dict[str, str]
"""Options of an extension that is kept as text, by name, each as it is printed."""

Finish = Callable[["Grammar", RuleWords, Given], str]
"""Puts options together that depend on each other."""


@dataclass(frozen=True, slots=True)
class OptionEntry:
    """An option of a class: the fields its value goes to, and how they are printed."""

    to: tuple[str, ...] = ()
    read: Reader | None = None  # None: the option has no value
    show: Callable[..., object] = str
    negated: str = ""  # the field that tells of a `!`; without one there must be none
    absent: object = None  # the first field when the option does not stand; ... for one that always does
    aliases: tuple[str, ...] = ()
    constants: Mapping[str, object] = field(default_factory=dict)  # what other fields are when it stands
    sign: bool = False  # without value: the field is true, and false behind a `!`
    printed: bool = True  # otherwise another way to give the same

    @property
    def key(self) -> str:
        """What may be given once."""
        return next(iter(self.constants or self.to))

    def reader(self) -> Callable[[RuleWords, bool, dict[str, Any]], None]:
        """Return what reads the option and notes the fields with what they are. It raises: StateSyntaxError."""
        read, to, constants = self.read, self.to, dict(self.constants)
        only = to[0] if len(to) == 1 and read else ""
        negatable = bool(self.negated or self.sign)

        def values(words: RuleWords, negated: bool, fields: dict[str, Any]) -> None:
            if negated and not negatable:
                raise words.fail(f"{words.last} cannot be negated")
            if constants:
                fields.update(constants)
            if only:
                fields[only] = read(words)  # type: ignore[misc]
            elif to:
                fields.update(zip(to, read(words) if read else (not negated,), strict=True))
            if negated and self.negated:
                if to and fields[to[0]] == self.absent:
                    raise words.fail("this would match nothing")
                fields[self.negated] = True

        return values

    def printer(self, name: str) -> Callable[[object], str]:
        """Return what prints the option of an object; it gives an empty text where the option does not stand."""
        constants, absent, show = tuple(self.constants.items()), self.absent, self.show
        with_value, sign, negated = self.read is not None, self.sign, self.negated
        fields = attrgetter(*self.to) if self.to else None
        several = len(self.to) > 1
        if fields and with_value and not (constants or sign or several):
            return _value_printer(name, fields, absent, show, negated)

        def text(part: object) -> str:
            for constant, value in constants:
                if getattr(part, constant) != value:
                    return ""
            if fields is None:
                return f"! {name}" if negated and getattr(part, negated) else name
            value = fields(part)
            if (value[0] if several else value) == absent:
                return ""
            bang = "! " if (not value if sign else negated and getattr(part, negated)) else ""
            if not with_value:
                return bang + name
            return f"{bang}{name} {show(*value) if several else show(value)}"

        return text


def _value_printer(
    name: str, field: Callable[[object], object], absent: object, show: Callable[[object], object], negated: str
) -> Callable[[object], str]:
    """Return what prints an option with the value of one field, as most are."""

    def text(part: object) -> str:
        value = field(part)
        if value == absent:
            return ""
        if negated and getattr(part, negated):
            return f"! {name} {show(value)}"
        return f"{name} {show(value)}"

    return text


def flag_option(name: str) -> OptionEntry:
    """Return an option without value that sets a field."""
    return OptionEntry(constants={name: True})


@dataclass(frozen=True)
class Grammar:
    """What stands after `-m NAME` or `-j NAME`."""

    options: Mapping[str, OptionEntry | Reader] = field(default_factory=dict)
    negatable: frozenset[str] = frozenset()  # of those that are kept as text
    needed: tuple[str, ...] = ()  # options of which each must stand
    defaults: Mapping[str, str] = field(default_factory=dict)  # printed though not given
    aliases: Mapping[str, str] = field(default_factory=dict)
    some: bool = False  # at least one option must stand
    one_of: tuple[str, ...] = ()  # one of these must stand
    single: bool = False  # one option and no more, at once
    finish: Finish | None = None

    @cached_property
    def known(self) -> dict[str, str]:
        """Every spelling of every option, and what may be given once."""
        spellings = dict(self.aliases)
        for name, option in self.options.items():
            key = option.key if isinstance(option, OptionEntry) else name
            spellings |= dict.fromkeys((name, *(option.aliases if isinstance(option, OptionEntry) else ())), key)
        return spellings

    @cached_property
    def readers(self) -> dict[str, Callable[[RuleWords, bool, dict[str, Any]], None]]:
        """What reads the options of a class, by every spelling."""
        options = [(name, option) for name, option in self.options.items() if isinstance(option, OptionEntry)]
        return {spelling: option.reader() for name, option in options for spelling in (name, *option.aliases)}

    @cached_property
    def _printers(self) -> tuple[Callable[[object], str], ...]:
        options = [(name, option) for name, option in self.options.items() if isinstance(option, OptionEntry)]
        return tuple(option.printer(name) for name, option in options if option.printed)

    def values(self, words: RuleWords, owner: str) -> dict[str, Any]:
        """Read the options of a class: its fields with what they are. Raises: StateSyntaxError."""
        fields: dict[str, Any] = {}
        if self.single:
            name, negated = need(words, self.readers)
            self.readers[name](words, negated, fields)
            return fields
        for _, negated in each_option(words, self.known):
            self.readers[words.last](words, negated, fields)
        for name in self.needed:
            if self.known[name] not in fields:
                need(words, (name,))
        if self.one_of and not any(self.known[name] in fields for name in self.one_of):
            raise words.fail(f"{owner} needs {', '.join(self.one_of[:-1])} or {self.one_of[-1]}")
        return fields

    def print(self, part: object) -> str:
        """Print the options of an object."""
        return " ".join([text for printer in self._printers if (text := printer(part))])

    def read(self, words: RuleWords, owner: str) -> str:
        """Read the options of what is kept as text, and return the text. Raises: StateSyntaxError."""
        options = self.given(words, owner)
        return self.finish(self, words, options) if self.finish else self.text(options)

    def given(self, words: RuleWords, owner: str) -> Given:
        """Read the options: by name, each with its value as it is printed. Raises: StateSyntaxError."""
        options: Given = {}
        for option, negated in each_option(words, self.known, plain=frozenset(self.options) - self.negatable):
            reader = self.options[option]
            value = "" if isinstance(reader, OptionEntry) else str(reader(words))
            options[option] = f"{bang(negated)}{option}{' ' if value else ''}{value}"
        for option in self.needed:
            if option not in options:
                raise words.fail(f"{owner} needs {option}")
        if self.some and not options:
            raise words.fail(f"{owner} needs one of {', '.join(self.options)}")
        return options

    def text(self, given: Given) -> str:
        """Put options in the order they are printed in, with those that are printed always."""
        whole = {**{option: f"{option} {value}" for option, value in self.defaults.items()}, **given}
        return " ".join(whole[option] for option in self.options if option in whole)
