"""Matches that remember the packets they saw: limit, quota, statistic by count, recent.

What they remember belongs to one run, which begins as if the rules had just been loaded; time is the run's own. What a
rule remembers is kept under the match itself: two equal rules remember apart. Rules of a running machine have seen
packets before: what they remember is not known.
Source: iptables-extensions(8); net/netfilter/{nft_limit,xt_limit,xt_quota,nft_numgen,xt_recent}.c (Linux 6.18).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import NamedTuple, TypeVar

from mcnilib.errors import Unknown, Unsupported
from mcnilib.linux.chance import Chance
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, Test, bang
from mcnilib.linux.netfilter.iptables.match.header import read_ip
from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option, need
from mcnilib.linux.packet import Packet, lengths

STATISTIC = {"--mode": "mode", "--probability": "probability", "--every": "every", "--packet": "packet"}


def _statistic(words: RuleWords) -> Match:
    found: dict[str, tuple[str, bool]] = {}
    for name, negated in each_option(words, "statistic", STATISTIC, plain=("mode", "packet")):
        found[name] = words.take(f"the value of --{name}"), negated
        if name == "probability" and not _is_probability(found[name][0]):
            raise words.fail(f"{found[name][0]!r} is not a probability from 0 to 1")
    match {name: value for name, (value, _) in found.items()}:
        case {"mode": "random", "probability": share, **rest} if not rest:
            return Statistic(round(float(share) * 0x80000000), found["probability"][1])
        case {"mode": "nth", "every": every, "packet": packet, **rest} if not rest:
            count = words.as_number(every, "a count", 1)
            return Nth(count, words.as_number(packet, "a packet", 0, count - 1), found["every"][1])
    raise words.fail("expected --mode random --probability P or --mode nth --every N --packet P")


def _is_probability(word: str) -> bool:
    return bool(re.fullmatch(r"(\d+\.?\d*|\.\d+)(e[-+]?\d{1,3})?", word, re.ASCII)) and float(word) <= 1


@dataclass(frozen=True, slots=True)
class Statistic:
    """`-m statistic --mode random --probability P`; P is kept in units of 2**-31, as the kernel does."""

    share: int
    negated: bool = False

    def test(self) -> Test:
        """Draw a number."""
        share, question = self._share, str(self)
        return lambda packet, at: (at.chance or Chance()).holds(question, share)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that chance decides; nothing is drawn."""
        return f"chance decides, it holds with probability {self._share:.3g}"

    @property
    def _share(self) -> float:
        """How probable it is that the match holds."""
        share = self.share / 0x80000000
        return 1 - share if self.negated else share

    def __str__(self) -> str:
        return f"-m statistic --mode random {bang(self.negated)}--probability {self.share / 0x80000000:.11f}"


UNITS = {"day": 86400, "hour": 3600, "min": 60, "sec": 1}
"""Seconds of each unit, in the order they are tried in for printing."""


class Rate(NamedTuple):
    """One packet in `period` units of 1/scale seconds."""

    period: int
    scale: int

    @property
    def nanoseconds(self) -> int:
        """Nanoseconds from one packet to the next."""
        return self.period * 1_000_000_000 // self.scale

    @property
    def text(self) -> str:
        """The rate as iptables-save prints it."""
        best = "day"
        for name, seconds in UNITS.items():
            whole = seconds * self.scale
            if name != "day" and (self.period > whole or whole // self.period < whole % self.period):
                break
            best = name
        return f"{UNITS[best] * self.scale // self.period}/{best}"


def read_rate(words: RuleWords, word: str, scale: int) -> Rate:
    """Turn a word just read, such as `5/min` or `3`, into a rate. Raises: StateSyntaxError."""
    found = re.fullmatch(r"(\d{1,9})(?:/([a-z]+))?", word, re.ASCII)
    unit = next((name for name in UNITS if found and _means(found[2] or "sec", name)), "")
    if not found or not unit or not int(found[1]):
        raise words.fail(f"{word!r} is not a rate such as 5/min")
    period = UNITS[unit] * scale // int(found[1])
    if not period:
        raise words.fail(f"{word!r} is faster than the kernel can measure")
    return Rate(period, scale)


def _means(word: str, unit: str) -> bool:
    """Tell whether a word is a unit or begins as one does: `s`, `sec`, `second`."""
    whole = {"sec": "second", "min": "minute"}.get(unit, unit)
    return whole.startswith(word)


Memory = TypeVar("Memory")


def remembered(at: Context, owner: object, key: object, begin: Callable[[], Memory]) -> Memory:
    """Return what was remembered under a key, from the first packet on. `owner` stays alive as long as its memory.

    Raises: Unsupported where there is no run.
    """
    if at.memory is None:
        raise Unsupported(f"match {str(owner)[3:]} outside a run: it remembers packets")
    return at.memory.setdefault(key, (owner, begin()))[1]  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Limit:
    """`-m limit --limit RATE --limit-burst N`: a bucket of N packets that is filled again at a rate."""

    rate: Rate
    burst: int = 5
    known: bool = field(default=True, compare=False)  # no packet has come yet

    def test(self) -> Test:
        """Take a packet out of the bucket, if there is one."""
        return self._take

    def _take(self, packet: Packet, at: Context) -> bool:
        """Count in nanoseconds, of which a packet costs as many as the rate lies between two. Source: nft_limit.c."""
        if not self.known:
            raise Unknown(
                f"how many packets a bucket of {self.burst} at {self.rate.text} has left, nobody knows", collect=""
            )
        cost, now = self.rate.nanoseconds, round(at.now * 1e9)
        bucket = remembered(at, self, id(self), lambda: [self.burst * cost, now])
        bucket[0] = min(self.burst * cost, bucket[0] + now - bucket[1])
        bucket[1] = now
        if bucket[0] < cost:
            return False
        bucket[0] -= cost
        return True

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that the bucket decides; nothing is taken."""
        return f"the rate decides, {self.burst} packets at once, then {self.rate.text}"

    def __str__(self) -> str:
        return f"-m limit --limit {self.rate.text}{f' --limit-burst {self.burst}' if self.burst != 5 else ''}"


@dataclass(frozen=True, slots=True)
class Quota:
    """`-m quota --quota BYTES`: holds until so many bytes have passed; negated, from then on."""

    bytes: int
    negated: bool = False
    known: bool = field(default=True, compare=False)  # no packet has come yet

    def test(self) -> Test:
        """Take the packet's bytes from the quota."""
        return lambda packet, at: self._take(packet, at) is not self.negated

    def _take(self, packet: Packet, at: Context) -> bool:
        if not self.known:
            raise Unknown(f"how many bytes of its quota of {self.bytes} a rule has left was not collected", collect="")
        left = remembered(at, self, id(self), lambda: [self.bytes])
        shortest, longest = lengths(packet)
        if shortest <= left[0] and shortest != longest:
            raise Unsupported(f"match {str(self)[3:]} for a packet of {shortest} to {longest} bytes: its exact length")
        enough = left[0] >= longest
        left[0] = left[0] - longest if enough else 0
        return enough

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that the bytes so far decide; none are taken."""
        return f"the bytes seen so far decide, the quota is {self.bytes}"

    def __str__(self) -> str:
        return f"-m quota {bang(self.negated)}--quota {self.bytes}"


@dataclass(frozen=True, slots=True)
class Nth:
    """`-m statistic --mode nth --every N --packet P`: one packet of N, first the one number P counted from 0."""

    every: int
    packet: int
    negated: bool = False
    known: bool = field(default=True, compare=False)  # no packet has come yet

    def test(self) -> Test:
        """Count the packet."""
        return lambda packet, at: self._count(at) is not self.negated

    def _count(self, at: Context) -> bool:
        if not self.known and self.every > 1:
            raise Unknown(f"which packet of {self.every} the next one is was not collected", collect="")
        seen = remembered(at, self, id(self), lambda: [0])
        seen[0] += 1
        return (seen[0] - 1) % self.every == self.packet

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that the count decides."""
        return f"the count decides, one packet in {self.every} is chosen"

    def __str__(self) -> str:
        return f"-m statistic --mode nth {bang(self.negated)}--every {self.every} --packet {self.packet}"


LIST_SIZE, STAMPS = 100, 65536
"""Addresses a list of `-m recent` holds, and most moments a rule may count of one address."""


class Seen:
    """What a list of `-m recent` knows of one address: when it was seen, in seconds, and with which TTL."""

    __slots__ = ("stamps", "ttl")

    def __init__(self, now: float, ttl: int) -> None:
        """Begin with one moment."""
        self.stamps, self.ttl = [now], ttl


@dataclass(frozen=True, slots=True)
class Recent:
    """`-m recent ...`: addresses seen lately, in lists that the rules of a namespace share by name.

    `words` are the options in the order iptables-save prints them.
    """

    words: str
    known: bool = field(default=True, compare=False)  # the list was empty when the run began

    def test(self) -> Test:
        """Look the address up, or note it, in the list."""
        asked, wanted = _Asked.of(self.words), not self.words.startswith("!")
        return lambda packet, at: asked.ask(packet, at, self) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that the list decides; nothing is noted."""
        asked = _Asked.of(self.words)
        return f"the list {asked.name} of recent addresses decides about {packet.dst if asked.dst else packet.src}"

    def __str__(self) -> str:
        return f"-m recent {self.words}"


class _Asked(NamedTuple):
    """The options of one `-m recent`."""

    mode: str
    name: str
    mask: int
    dst: bool
    seconds: int
    hits: int
    reap: bool
    rttl: bool

    @classmethod
    def of(cls, text: str) -> _Asked:
        words = text.removeprefix("! ").split()
        value = dict(zip(words, [*words[1:], ""], strict=True))
        return cls(
            words[0].lstrip("-"), value["--name"], int(IPv4Address(value["--mask"])), "--rdest" in words,
            int(value.get("--seconds", 0)), int(value.get("--hitcount", 0)), "--reap" in words, "--rttl" in words,
        )  # fmt: skip

    def ask(self, packet: Packet, at: Context, owner: Recent) -> bool:
        """Tell whether the address is in the list as asked, and note what is to be noted. Source: recent_mt()."""
        if not owner.known and self.mode != "set":  # which always notes the address
            raise Unknown(f"the list {self.name} of recent addresses was not collected", collect="")
        mask, seen = self._list(at, owner)
        ip = int(packet.dst if self.dst else packet.src) & mask
        ttl = packet.ttl + (1 if at.iif and at.oif else 0)  # as it was before it was forwarded
        known = seen.get(ip)
        if known is None or (self.rttl and known.ttl != ttl):
            if self.mode == "set":
                _add(seen, ip, at.now, ttl)
            return self.mode == "set"
        if self.mode == "remove":
            del seen[ip]
            return True
        found = self.mode == "set" or self._found(known, at.now)
        if self.reap:
            self._drop_eldest(seen, at.now, ip if self.mode == "update" and found else None)
        if self.mode == "set" or (self.mode == "update" and found):
            known.stamps, known.ttl = [*known.stamps, at.now][-STAMPS:], ttl
            seen[ip] = seen.pop(ip)  # the address seen last stands last
        return found

    def _list(self, at: Context, owner: Recent) -> tuple[int, dict[int, Seen]]:
        """Return the list's mask and addresses; the kernel takes the mask of the rule it loaded first."""
        found: tuple[int, dict[int, Seen]] = remembered(at, owner, ("recent", self.name), lambda: (self.mask, {}))
        if found[0] != self.mask:
            raise Unsupported(f"match {str(owner)[3:]}: the rules of one list differ in their masks")
        return found

    def _found(self, known: Seen, now: float) -> bool:
        since = now - self.seconds if self.seconds else 0.0
        return sum(stamp >= since for stamp in known.stamps) >= max(1, self.hits)

    def _drop_eldest(self, seen: dict[int, Seen], now: float, kept: int | None) -> None:
        eldest = next(iter(seen))
        if eldest != kept and seen[eldest].stamps[-1] < now - self.seconds:
            del seen[eldest]


def _add(seen: dict[int, Seen], ip: int, now: float, ttl: int) -> None:
    if len(seen) >= LIST_SIZE:
        del seen[next(iter(seen))]
    seen[ip] = Seen(now, ttl)


MEMORIES = (Limit, Quota, Nth, Recent)
"""Matches that answer differently when the same packet asks again, because they remember it."""

LIMIT_SCALE = 10_000


def _limit(words: RuleWords) -> Match:
    rate, burst = read_rate(words, "3/hour", LIMIT_SCALE), 0
    known = {"--limit": "rate", "--limit-burst": "burst"}
    for name, _ in each_option(words, "limit", known, plain=known.values()):
        if name == "rate":
            rate = read_rate(words, words.take("a rate"), LIMIT_SCALE)
        else:
            burst = words.number("a number", 0, 10000)
    return Limit(rate, burst or 5)


def _quota(words: RuleWords) -> Match:
    _, negated = need(words, "--quota")
    return Quota(words.as_long(words.take("a number of bytes"), "a number of bytes"), negated)


RECENT_MODES = ("set", "rcheck", "update", "remove")

RECENT = {f"--{name}": name for name in ("seconds", "reap", "hitcount", "rttl", "name", "mask", "rsource", "rdest")}
"""Options of `-m recent` beside the mode, in the order iptables-save prints them."""


def _recent(words: RuleWords) -> Match:
    """Keep the words, in the order iptables-save prints them."""
    known = RECENT | dict.fromkeys([f"--{mode}" for mode in RECENT_MODES], "mode")
    found = {"name": "--name DEFAULT", "mask": "--mask 255.255.255.255"}
    for name, negated in each_option(words, "recent", known, plain=RECENT.values()):
        option = words.last
        found[name] = f"{bang(negated)}{option}{_recent_value(words, name)}"
    mode = found.get("mode", "").removeprefix("! ")
    if not mode or ("reap" in found and "seconds" not in found) or ("rttl" in found and mode in ("--set", "--remove")):
        raise words.fail("expected --set, --rcheck, --update or --remove; --reap needs --seconds, --rttl a check")
    found["rsource"] = found.pop("rdest", "--rsource")
    return Recent(" ".join(found[name] for name in ("mode", *RECENT.values()) if found.get(name)))


def _recent_value(words: RuleWords, name: str) -> str:
    match name:
        case "seconds" | "hitcount":
            return f" {words.number(name, 1)}"
        case "name":
            return f" {words.take('the name')}"
        case "mask":
            return f" {read_ip(words, words.take('the mask'))}"
    return ""
