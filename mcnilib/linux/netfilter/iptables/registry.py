"""Every match and target by the name that stands after -m or -j, found by the records of their classes.

Source: iptables-extensions(8) (iptables 1.8.9).
"""

from __future__ import annotations

from types import ModuleType
from typing import TypeVar

from mcnilib.linux.netfilter.iptables.extension import Extension, Match, MatchRecord, Target, TargetRecord
from mcnilib.linux.netfilter.iptables.match import addrtype, conntrack, ip, mark, misc, ports, set, stateful
from mcnilib.linux.netfilter.iptables.match import opaque as opaque_matches
from mcnilib.linux.netfilter.iptables.target import log, mangle, nat, verdict
from mcnilib.linux.netfilter.iptables.target import opaque as opaque_targets
from mcnilib.linux.netfilter.iptables.target.verdict import Jump
from mcnilib.linux.netfilter.iptables.words import RuleWords

_Kind = TypeVar("_Kind", bound=Extension)


def _classes(kind: type[_Kind], *rooms: ModuleType) -> tuple[type[_Kind], ...]:
    """Return the classes of that kind in their order; those without records only have others derived from them."""
    there = (one for room in rooms for one in vars(room).values() if getattr(one, "__module__", "") == room.__name__)
    return tuple(one for one in there if isinstance(one, type) and issubclass(one, kind) and "records" in vars(one))


MATCHES = _classes(
    Match,  # type: ignore[type-abstract]
    addrtype, conntrack, ip, mark, misc, ports, set, stateful, opaque_matches,
)  # fmt: skip

TARGETS = _classes(Target, verdict, mangle, nat, log, opaque_targets)
"""All classes; of two records of one name, as of `statistic` and CT, the first reads."""

MATCH_NAMES: dict[str, tuple[type[Match], MatchRecord]] = {
    record.name: (one, record) for one in reversed(MATCHES) for record in one.records
}

TARGET_NAMES: dict[str, tuple[type[Target], TargetRecord]] = {
    record.name: (one, record) for one in reversed(TARGETS) for record in one.records if record.name
}


def read_match(words: RuleWords, name: str) -> Match:
    """Read the options of `-m name`. Raises: StateSyntaxError; Unsupported for a match iptables does not document."""
    if name not in MATCH_NAMES:
        raise words.unsupported(f"match {name!r} is not one iptables documents for IPv4")
    one, record = MATCH_NAMES[name]
    return one.read(words, record)


def is_implied(option: str, protocol: str) -> bool:
    """Tell whether an option may follow `-p PROTOCOL` without `-m`."""
    _, record = MATCH_NAMES.get(protocol, (None, None))
    return record is not None and record.implied and option in record.options.known


def read_target(words: RuleWords, goto: bool) -> Target:
    """Read a target's name and options; a name that is no target is a chain. Raises: StateSyntaxError."""
    name = words.take("a target")
    if not name:
        raise words.fail("a target has a name")
    if goto or name not in TARGET_NAMES:
        return Jump(name, goto)
    one, record = TARGET_NAMES[name]
    return one.read(words, record)
