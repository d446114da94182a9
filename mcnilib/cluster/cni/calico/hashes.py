"""The `cali:...` comments by which Felix knows its own rules: hashes over the rule texts in Felix's own words.

Each hash covers the one before it, so a rule's hash depends on its chain and on every earlier rule of that chain. Felix
writes long options (`--jump`, `--in-interface`); iptables-save prints the short ones in an order of its own. `saved`
translates.
Source: felix/generictables/rules.go, felix/iptables/{renderer,actions,match_builder}.go (v3.26 to v3.32).
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha224, sha256

MAX_CHAIN_NAME = 28
"""Longest name of a chain that xtables accepts."""

APPENDED = "*appends*"
"""What Felix adds to a built-in chain's name when it hashes the rules at the end of that chain."""


@dataclass(frozen=True, slots=True)
class FelixRule:
    """One rule in Felix's own words, in the order they are hashed, and why Felix writes it."""

    action: str = ""
    match: str = ""
    comment: str = ""
    why: str = ""

    @property
    def text(self) -> str:
        """The rule as it is hashed, without its chain."""
        return " ".join(filter(None, (_comment(self.comment), self.match, self.action)))


@dataclass(frozen=True, slots=True)
class FelixChain:
    """A chain Felix owns, with its rules."""

    name: str
    rules: tuple[FelixRule, ...] = ()


def hashes(chain: str, rules: tuple[FelixRule, ...]) -> Iterator[str]:
    """Yield the hash of each rule of a chain; for rules appended to a built-in chain its name ends in `*appends*`."""
    digest = sha224(chain.encode()).digest()
    for rule in rules:
        digest = sha224(digest + f"-A {chain} HASH {rule.text}".rstrip().encode()).digest()
        yield urlsafe_b64encode(digest).decode()[:16]


def lines(chain: FelixChain) -> Iterator[tuple[str, str]]:
    """Yield each rule as iptables-save prints it, hash included, and why it is there."""
    for rule, hashed in zip(chain.rules, hashes(chain.name, chain.rules), strict=True):
        yield saved(chain.name.removesuffix(APPENDED), rule, hashed), rule.why


_FRONT = re.compile(r"--(source|destination|in-interface|out-interface) (\S+) ?|-(p) (\S+) ?")

_IN_FRONT = {"source": "-s", "destination": "-d", "in-interface": "-i", "out-interface": "-o", "p": "-p"}
"""What iptables-save prints in front of everything else, in its order."""

EVERYWHERE = "0.0.0.0/0"
"""A range that iptables-save does not print."""

_NFLOG = re.compile(r"(--nflog-group \d+) --nflog-prefix (\S+) ")

_PROTOCOLS = {"4": "ipencap", "17": "udp"}

_SPELLINGS = (
    ("--jump ", "-j "),
    ("--goto ", "-g "),
    ("--set-mark 0/", "--set-xmark 0x0/"),
    ("--set-mark ", "--set-xmark "),
    ("--mark 0/", "--mark 0x0/"),
    ("--destination-ports", "--dports"),
    ("--invert --validmark", "--validmark --invert"),
)


def saved(chain: str, rule: FelixRule, hashed: str) -> str:
    """Translate a rule to what iptables-save prints: addresses, devices, protocol, then comments, then the rest."""
    rest = f"{rule.match} {rule.action}".strip()
    found = {match[1] or match[3]: match[2] or _PROTOCOLS.get(match[4], match[4]) for match in _FRONT.finditer(rest)}
    front = [f"{short} {found[name]}" for name, short in _IN_FRONT.items() if found.get(name, EVERYWHERE) != EVERYWHERE]
    rest = _FRONT.sub("", rest)
    for felix, printed in _SPELLINGS:
        rest = rest.replace(felix, printed)
    rest = _NFLOG.sub(r'--nflog-prefix "\2" \1 ', rest)
    if rest.startswith("--dport "):
        rest = f"-m udp {rest}"
    comments = (_comment(f"cali:{hashed}"), _comment(rule.comment))
    return " ".join(filter(None, (f"-A {chain}", *front, *comments, rest)))


def limited(prefix: str, name: str, longest: int = MAX_CHAIN_NAME) -> str:
    """Return a chain name that fits: the prefix and the name, or a hash of the name where that is too long.

    Source: GetLengthLimitedID() in libcalico-go/lib/hash/id.go.
    """
    room = longest - len(prefix)
    if len(name) < room or (len(name) == room and not name.startswith("_")):
        return prefix + name
    return f"{prefix}_{urlsafe_b64encode(sha256(name.encode()).digest()).decode()}"[:longest]


def _comment(text: str) -> str:
    return f'-m comment --comment "{text}"' if text else ""
