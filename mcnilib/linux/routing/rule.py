"""A line of `ip rule` as text and back, and which selector keeps it from applying.

Models priorities, selectors (not, from, to, iif, oif, fwmark/mask), tables, suppress_prefixlength, blackhole,
unreachable and prohibit. Other words of the tool raise `Unsupported`; in what was collected elsewhere they are kept,
and end the way of a packet that needs them. The lookup is in `mcnilib.linux.routing.fib`.
Source: ip-rule(8), iproute2 6.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.origin import KERNEL, Origin
from mcnilib.linux.routing.route import (
    ANY,
    FULL_MASK,
    L3MDEV,
    MACHINE_NAMES,
    NUMBER,
    PROTOCOLS,
    Query,
    prefix_text,
    read_device,
    read_flag,
    read_table,
    read_value,
)
from mcnilib.linux.text import WordReaders, Words
from mcnilib.linux.unmodelled import Gap

UNNUMBERED = -1
"""Priority of a rule that was written without one."""

UNSUPPRESSED = -1
"""Prefix length of a rule that passes over no route."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of `ip rule`. Priority `UNNUMBERED` lets the kernel choose when the rule is added."""

    priority: int
    table: str = "main"
    src: IPv4Network = ANY
    dst: IPv4Network = ANY
    iif: str = ""
    oif: str = ""
    fwmark: int | None = None
    fwmask: int = FULL_MASK
    action: str = "lookup"  # lookup, blackhole, unreachable, prohibit
    inverted: bool = False  # `not`: applies when a selector does not hold
    suppress: int = (
        UNSUPPRESSED  # of the routes it leads to, those with a prefix of at most this length are passed over
    )
    proto: str = ""
    text: str = ""  # the whole line, when it has words that are not modelled; the selectors above hold besides
    gap: Gap | None = field(default=None, compare=False)  # names the first of these
    origin: Origin | None = field(default=None, compare=False)

    def __str__(self) -> str:
        if self.text:
            return self.text
        arguments = ["not"] if self.inverted else []
        arguments += ["from", prefix_text(self.src, "all")]
        arguments += ["to", prefix_text(self.dst, "all")] if self.dst != ANY else []
        arguments += ["fwmark", _mark_text(self.fwmark, self.fwmask)] if self.fwmark is not None else []
        arguments += ["iif", self.iif] if self.iif else []
        arguments += ["oif", self.oif] if self.oif else []
        arguments += ["lookup", self.table] if self.action == "lookup" else [self.action]
        arguments += ["suppress_prefixlength", str(self.suppress)] if self.suppress != UNSUPPRESSED else []
        arguments += ["proto", self.proto] if self.proto else []
        priority = "" if self.priority == UNNUMBERED else f"{self.priority}:\t"
        return priority + " ".join(arguments)

    def why_not(self, query: Query) -> str:
        """Say in words which selector keeps the rule from applying; empty when it applies."""
        failed = _failed_selector(self, query)
        if self.inverted:
            return "" if failed else tr("every selector holds, and the rule says `not`")
        return failed


DEFAULT_RULES = tuple(Rule(n, table, origin=KERNEL) for n, table in ((0, "local"), (32766, "main"), (32767, "default")))
"""The rules every namespace starts with. Source: ip-rule(8)."""


def _failed_selector(rule: Rule, query: Query) -> str:
    if query.src not in rule.src:
        return tr("source {src} is not in {rule_src}", src=query.src, rule_src=rule.src)
    if query.dst not in rule.dst:
        return tr("destination {dst} is not in {rule_dst}", dst=query.dst, rule_dst=rule.dst)
    if rule.iif and rule.iif != query.iif:
        return tr("came in by {iif}, not {rule_iif}", iif=query.iif, rule_iif=rule.iif)
    if rule.oif and rule.oif != query.oif:
        return tr("is not bound to {oif}", oif=rule.oif)
    if rule.fwmark is not None and (rule.fwmark ^ query.mark) & rule.fwmask:
        return tr("mark is {mark:#x}, not {wanted}", mark=query.mark, wanted=_mark_text(rule.fwmark, rule.fwmask))
    return ""


def _mark_text(mark: int, mask: int) -> str:
    text = f"{mark:#x}" if mark else "0"
    return text if mask == FULL_MASK else f"{text}/{mask:#x}" if mask else f"{text}/0"


def _mark(words: Words) -> tuple[int, int]:
    word = words.take("a mark")
    numbers = re.fullmatch(rf"({NUMBER})(?:/({NUMBER}))?", word, re.ASCII)
    if not numbers:
        raise words.wrong(tr("{word!r} is not a mark", word=word))
    mark, mask = int(numbers[1], 0), int(numbers[2], 0) if numbers[2] else FULL_MASK
    if max(mark, mask) > FULL_MASK:
        raise words.wrong(tr("{word!r} does not fit 32 bits", word=word))
    return mark, mask


_RULE_LINE = mark("a rule")

_RULE: WordReaders = {
    "from": ("src", lambda words: words.prefix(strict=False)),
    "to": ("dst", lambda words: words.prefix(strict=False)),
    "fwmark": ("fwmark", _mark),
    "iif": ("iif", read_device),
    "oif": ("oif", read_device),
    "lookup": ("table", lambda words: words.take() if words.next == L3MDEV else read_table(words)),
    "suppress_prefixlength": ("suppress", lambda words: words.number_upto(0x7FFFFFFF)),
    "blackhole": ("action", lambda words: "blackhole"),
    "unreachable": ("action", lambda words: "unreachable"),
    "prohibit": ("action", lambda words: "prohibit"),
    "proto": ("proto", lambda words: words.named(PROTOCOLS)),
}

RULE_KEPT: WordReaders = {
    **{word: (word, read_value) for word in ("tos", "dsfield", "dscp", "goto", "realms", "suppress_ifgroup")},
    **{word: (word, read_value) for word in ("ipproto", "sport", "dport", "uidrange", "tun_id")},
    "map-to": ("map-to", read_value),
    **{word: (word, read_flag) for word in ("nop", "masquerade", "l3mdev", "[unresolved]", L3MDEV)},
}

_COLLECTED_RULE: WordReaders = {**_RULE, **RULE_KEPT, **{word: MACHINE_NAMES[word] for word in ("lookup", "proto")}}


def parse_ip_rule(
    line: str, origin: Origin | None = None, *, source: str = "ip rule", number: int = 1, partial: bool = False
) -> Rule:
    """Read one line of `ip rule`; without `PRIORITY:` in front the rule is unnumbered.

    With `partial`, words that are not modelled are kept, and names of tables and protocols are the machine's own.
    Linux keeps and prints the host bits of a rule's prefix but does not look at them; here they are cut off.

    Raises: StateSyntaxError for text `ip` does not print, Unsupported for words that are not modelled.
    """
    words = Words(line.replace("[detached]", " " * len("[detached]")), source=source, number=number)
    priority = _priority(words)
    inverted = words.next == "not" and bool(words.take())
    if words.next != "from":
        raise words.error(tr("from is missing"))
    values = words.fields(_COLLECTED_RULE if partial else _RULE, () if partial else RULE_KEPT, _RULE_LINE)
    vrf = [L3MDEV] if inverted and values.get("table") == L3MDEV else []  # which then leads nowhere
    if vrf and not partial:
        raise Unsupported(tr("{source}:{number}: {word!r} in a rule", source=source, number=number, word=L3MDEV))
    unmodelled = [word for word in (*values, *vrf) if word in RULE_KEPT]
    if unmodelled:
        values |= {
            "text": line.strip(),
            "gap": Gap(tr("{word!r} in a rule", word=unmodelled[0]), f"{source}:{number}"),
        }
        actions = [word for word in unmodelled if word in RULE_ACTIONS]
        if actions and values.get("table", L3MDEV) == L3MDEV:
            values = {name: value for name, value in values.items() if name != "table"} | {"action": actions[0]}
        values = {name: value for name, value in values.items() if name not in RULE_KEPT}
    if ("table" in values) == ("action" in values):
        raise words.error(tr("a rule says either lookup or what becomes of the packet"))
    if "fwmark" in values:
        values["fwmark"], values["fwmask"] = values["fwmark"]  # type: ignore[misc]
    return Rule(priority, inverted=inverted, origin=origin, **values)  # type: ignore[arg-type]


def parse_rules(text: str, *, source: str = "ip rule", partial: bool = False) -> tuple[Rule, ...]:
    """Read the output of `ip rule`; with `partial` sorted by priority, as Linux tries them."""
    lines = enumerate(text.splitlines(), 1)
    rules = [parse_ip_rule(line, source=source, number=n, partial=partial) for n, line in lines if line.strip()]
    return tuple(sorted(rules, key=lambda rule: rule.priority) if partial else rules)


def _priority(words: Words) -> int:
    if not words.next.endswith(":"):
        return UNNUMBERED
    text = words.take()[:-1]
    if not (re.fullmatch(r"\d{1,10}", text, re.ASCII) and int(text) <= FULL_MASK):
        raise words.wrong(tr("{text!r} is not a priority", text=text))
    return int(text)


RULE_ACTIONS = ("goto", "nop", "map-to", "masquerade", "l3mdev", L3MDEV)
"""What a rule may do instead of looking into a table of its own."""
