"""A chain while it is written, line by line: rules, and lines that look like others, to be read when asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from mcnilib.linux.netfilter import Chain, ChainRule, Outline
from mcnilib.linux.target import Jump

Later = TypeVar("Later")
"""What is kept of a line that is put off: enough to read it."""


class Body(Generic[Later]):
    """The rules of one chain so far."""

    def __init__(self, name: str, policy: str, read: Callable[[Later], ChainRule]) -> None:
        """Begin without rules; `read` reads a line that was put off, and must not fail."""
        self.name, self.policy, self._read = name, policy, read
        self._parts: list[ChainRule | Later] = []
        self._samples: dict[int, ChainRule] = {}
        self._jumps: dict[str, None] = {}

    def put(self, rule: ChainRule) -> None:
        """Append a rule."""
        self._parts.append(rule)
        self._samples[id(rule)] = rule
        if isinstance(rule.target, Jump):
            self._jumps[rule.target.chain] = None

    def put_off(self, line: Later, sample: ChainRule, to: str) -> None:
        """Append a line that looks like the sample, and jumps to the chain `to` unless that is empty."""
        self._parts.append(line)
        self._samples[id(sample)] = sample
        if to:
            self._jumps[to] = None

    def chain(self) -> Chain:
        """Return the chain."""
        outline = Outline(tuple(self._jumps), tuple(self._samples.values()))
        return Chain.later(self.name, self.policy, self._rules, outline)

    def _rules(self) -> tuple[ChainRule, ...]:
        return tuple(one if isinstance(one, ChainRule) else self._read(one) for one in self._parts)
