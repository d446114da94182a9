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

from mcnilib.language import all_of, any_of, listed, tr
from mcnilib.linux.netfilter.iptables.words import RuleWords, bang, need

Reader = Callable[[RuleWords], Any]
"""Reads the value of an option; of one that is kept as text as iptables-save prints it, empty without value."""

TextReader = Callable[[RuleWords], str]
"""Returns it as text."""

Given = dict[str, str]
"""Options of an extension that is kept as text, by name, each as it is printed."""

Finish = Callable[["Grammar", RuleWords, Given], str]
"""Puts options together that depend on each other."""

Check = Callable[[RuleWords, dict[str, Any]], None]
"""Insists on what holds for several options together, and may change their fields."""

OptionReader = Callable[[RuleWords, bool, dict[str, Any]], None]
"""Reads what stands behind an option, negated or not, and notes it."""


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
    overrules: str = ""  # its own name, where what it says counts and not what others say of its fields
    follows: Mapping[str, OptionEntry] = field(default_factory=dict)  # of these one stands in front of it
    sign: bool = False  # without value: the field is true, and false behind a `!`
    printed: bool = True  # otherwise another way to give the same

    @property
    def key(self) -> str:
        """What may be given once."""
        return self.overrules or next(iter(self.constants or self.to))

    def reader(self) -> OptionReader:
        """Return what reads the option and notes the fields with what they are. It raises: StateSyntaxError."""
        read, to, constants = self.read, self.to, dict(self.constants)
        only = to[0] if len(to) == 1 and read else ""
        negatable, special = bool(self.negated or self.sign), bool(self.follows or self.overrules)

        def values(words: RuleWords, negated: bool, fields: dict[str, Any]) -> None:
            if negated and not negatable:
                raise words.fail(tr("{option} cannot be negated", option=words.last))
            if special:
                fields = self._special(words, fields)
            if constants:
                fields.update(constants)
            if only:
                fields[only] = read(words)  # type: ignore[misc]
            elif to:
                fields.update(zip(to, read(words) if read else (not negated,), strict=True))
            if negated and self.negated:
                if to and fields[to[0]] == self.absent:
                    raise words.fail(tr("this would match nothing"))
                fields[self.negated] = True

        return values

    def _special(self, words: RuleWords, fields: dict[str, Any]) -> dict[str, Any]:
        """Insist on what must stand in front of the option, and return where its values are noted."""
        if self.follows and not any(first.constants.items() <= fields.items() for first in self.follows.values()):
            raise words.fail(
                tr("{option} belongs to {others}, and follows them", option=words.last, others=all_of(self.follows))
            )
        return fields.setdefault(self.overrules, {}) if self.overrules else fields

    def printer(self, name: str) -> Callable[[object], str]:
        """Return what prints the option of an object; it gives an empty text where the option does not stand."""
        constants, absent, show = self.constants, self.absent, self.show
        with_value, sign, negated = self.read is not None, self.sign, self.negated
        fields = attrgetter(*self.to) if self.to else None
        several = len(self.to) > 1
        if fields and with_value and not (constants or sign or several or self.follows):
            return _value_printer(name, fields, absent, show, negated)

        def text(part: object) -> str:
            if constants and not _has(part, constants):
                return ""
            if self.follows and not any(_has(part, first.constants) for first in self.follows.values()):
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


def _has(part: object, fields: Mapping[str, object]) -> bool:
    return all(getattr(part, name) == value for name, value in fields.items())


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


@dataclass(frozen=True, slots=True)
class PartEntry:
    """An option that becomes one of the `options` of an object: made of its name, its value and whether it stands
    behind a `!`."""

    make: Callable[[str, Any, bool], object]
    read: Reader
    negatable: bool = True


def flag_option(name: str) -> OptionEntry:
    """Return an option without value that sets a field."""
    return OptionEntry(constants={name: True})


def _option_text(name: str, value: object, negated: bool) -> str:
    return f"{bang(negated)}{name} {value}".rstrip()


def _print_parts(part: Any) -> str:
    return " ".join(map(str, part.options))


def _noted(name: str, read: Reader, make: Callable[[str, Any, bool], object], negatable: bool) -> OptionReader:
    """Return what reads an option and notes one thing under its name."""

    def values(words: RuleWords, negated: bool, fields: dict[str, Any]) -> None:
        if negated and not negatable:
            raise words.fail(tr("{option} cannot be negated", option=words.last))
        fields[name] = make(name, read(words), negated)

    return values


@dataclass(frozen=True)
class Grammar:
    """What stands after `-m NAME` or `-j NAME`.

    An option with a bare reader is kept as text, in the field `words`, behind the others. Where one is a part, all are.
    """

    options: Mapping[str, OptionEntry | PartEntry | Reader] = field(default_factory=dict)
    negatable: frozenset[str] = frozenset()  # of those that are kept as text
    needed: tuple[str, ...] = ()  # options of which each must stand
    defaults: Mapping[str, str] = field(default_factory=dict)  # printed though not given
    unprinted: frozenset[str] = frozenset()  # of those that are kept as text: what says no more than its absence
    aliases: Mapping[str, str] = field(default_factory=dict)
    some: bool = False  # at least one option must stand
    one_of: tuple[str, ...] = ()  # one of these must stand
    exclusive: tuple[tuple[str, ...], ...] = ()  # of each of these at most one can stand
    single: bool = False  # one option and no more, at once
    then: Grammar | None = None  # what may follow behind that
    finish: Finish | None = None
    check: Check | None = None
    usage: str = ""  # what is expected, where one of several classes stands for what was given

    @cached_property
    def known(self) -> dict[str, str]:
        """Every spelling of every option, and what may be given once."""
        keys = {name: entry.key for own, entry in self._entries.items() for name in (own, *entry.aliases)}
        return {**self.aliases, **{name: name for name in self.options}, **keys}

    @cached_property
    def _entries(self) -> dict[str, OptionEntry]:
        """The options that are fields."""
        return {name: option for name, option in self.options.items() if isinstance(option, OptionEntry)}

    @cached_property
    def _parts(self) -> bool:
        return any(isinstance(option, PartEntry) for option in self.options.values())

    @cached_property
    def _texts(self) -> frozenset[str]:
        """The options that are kept as text."""
        return frozenset() if self._parts else frozenset(self.options) - frozenset(self._entries)

    @cached_property
    def readers(self) -> dict[str, OptionReader]:
        """What reads the options, by every spelling."""
        readers = {name: entry.reader() for own, entry in self._entries.items() for name in (own, *entry.aliases)}
        for name, option in self.options.items():
            if isinstance(option, PartEntry):
                readers[name] = _noted(name, option.read, option.make, option.negatable)
            elif not isinstance(option, OptionEntry):
                readers[name] = _noted(name, option, _option_text, name in self.negatable)
        return readers | {name: readers[option] for name, option in self.aliases.items()}

    @cached_property
    def _overruling(self) -> tuple[str, ...]:
        return tuple(entry.overrules for entry in self._entries.values() if entry.overrules)

    @cached_property
    def _printers(self) -> tuple[Callable[[object], str], ...]:
        entries = [entry.printer(name) for name, entry in self._entries.items() if entry.printed]
        parts = [_print_parts] if self._parts else [attrgetter("words")] if self._texts else []
        return (*entries, *parts, *(self.then._printers if self.then else ()))

    def values(self, words: RuleWords, owner: str) -> dict[str, Any]:
        """Read the options: fields with what they are. Raises: StateSyntaxError."""
        fields: dict[str, Any] = {}
        if not self.options:
            return fields
        if self.single:
            option, negated = need(words, self.readers)
            self.readers[option](words, negated, fields)
            return fields if self._plain else self._finished(words, owner, fields)
        known, readers, seen = self.known, self.readers, set()
        while words.peek_option() in known:
            option, negated = words.take_option()
            key = known[option]
            if key in seen:
                raise words.fail(tr("{option} stands twice", option=option))
            seen.add(key)
            readers[option](words, negated, fields)
        return fields if self._plain else self._finished(words, owner, fields)

    @cached_property
    def _plain(self) -> bool:
        """Tell whether fields are what the options say, and nothing has to stand."""
        rest = self.needed, self.some, self.one_of, self.exclusive, self._overruling, self.check, self._parts, self.then
        return not (any(rest) or self._texts)

    def _finished(self, words: RuleWords, owner: str, fields: dict[str, Any]) -> dict[str, Any]:
        self._check(words, owner, fields)
        for name in self._overruling:
            fields |= fields.pop(name, {})
        if self.check:
            self.check(words, fields)
        if self._parts:
            fields = {"options": tuple(fields[name] for name in self.options if name in fields)}
        if self._texts:
            given = {name: fields.pop(name) for name in tuple(fields) if name in self._texts}
            fields["words"] = self.finish(self, words, given) if self.finish else self.text(given)
        return fields | self.then.values(words, owner) if self.then else fields

    def _check(self, words: RuleWords, owner: str, fields: Mapping[str, Any]) -> None:
        """Insist on what must stand, and on what cannot stand together."""
        missing = [(name,) for name in self.needed if self.known[name] not in fields]
        for names in [*missing, *([tuple(self.known)] if self.some and not fields else [])]:
            if not self._texts:
                need(words, names)
            raise words.fail(
                tr("{owner} needs one of {options}", owner=owner, options=listed(names))
                if self.some
                else tr("{owner} needs {options}", owner=owner, options=listed(names))
            )
        if self.one_of and not any(self.known[name] in fields for name in self.one_of):
            raise words.fail(tr("{owner} needs {options}", owner=owner, options=any_of(self.one_of)))
        for names in self.exclusive:
            if sum(name in fields for name in names) > 1:
                raise words.fail(
                    tr("only one of {others} and {last} can stand", others=listed(names[:-1]), last=names[-1])
                )

    def print(self, part: object) -> str:
        """Print the options of an object."""
        if len(self._printers) == 1:
            return self._printers[0](part)
        return " ".join([text for printer in self._printers if (text := printer(part))])

    def text(self, given: Given) -> str:
        """Put options in the order they are printed in, with those that are printed always."""
        whole = {**{option: f"{option} {value}" for option, value in self.defaults.items()}, **given}
        texts = (whole[option] for option in self.options if option in whole)
        return " ".join(text for text in texts if text not in self.unprinted)
