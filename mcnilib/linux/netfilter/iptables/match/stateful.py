"""Matches that remember the packets they saw: limit, quota, statistic by count, recent.

What they remember belongs to one run, which begins as if the rules had just been loaded; time is the run's own. What a
rule remembers is kept under the match itself: two equal rules remember apart. Rules of a running machine have seen
packets before: what they remember is not known.
Source: iptables-extensions(8); net/netfilter/{nft_limit,xt_limit,xt_quota,nft_numgen,xt_recent}.c (Linux 6.18).
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Any, ClassVar, Self, TypeVar

from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.chance import Chance
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, MatchRecord, Purity, Test, needs_exact_length
from mcnilib.linux.netfilter.iptables.grammar import Grammar, OptionEntry, flag_option
from mcnilib.linux.netfilter.iptables.values import Rate, any_word, long_number, number, read_ip, read_rate
from mcnilib.linux.netfilter.iptables.words import RuleWords
from mcnilib.linux.packet import Packet, lengths
from mcnilib.linux.unmodelled import Gap


def _share(words: RuleWords) -> int:
    """Read a probability; in units of 2**-31."""
    word = words.take(tr("the value of --probability"))
    if not _is_probability(word):
        raise words.fail(tr("{word!r} is not a probability from 0 to 1", word=word))
    return round(float(word) * 0x80000000)


def _is_probability(word: str) -> bool:
    return bool(re.fullmatch(r"(\d+\.?\d*|\.\d+)(e[-+]?\d{1,3})?", word, re.ASCII)) and float(word) <= 1


def _number_packets(words: RuleWords, fields: dict[str, Any]) -> None:
    """Turn the words of the mode nth into numbers."""
    if fields.keys() - {"negated"} == {"mode", "every", "packet"} and fields["mode"] == "nth":
        fields["every"] = words.as_number(fields["every"], "a count", 1)
        fields["packet"] = words.as_number(fields["packet"], "a packet", 0, fields["every"] - 1)


STATISTIC = Grammar(
    {
        "--mode": OptionEntry(("mode",), any_word(mark("the value of --mode"))),
        "--probability": OptionEntry(("share",), _share, lambda share: f"{share / 0x80000000:.11f}", "negated"),
        "--every": OptionEntry(("every",), any_word(mark("the value of --every")), negated="negated"),
        "--packet": OptionEntry(("packet",), any_word(mark("the value of --packet"))),
    },
    check=_number_packets,
    usage="--mode random --probability P or --mode nth --every N --packet P",
)


@dataclass(frozen=True, slots=True)
class Statistic(Match):
    """`-m statistic --mode random --probability P`; P is kept in units of 2**-31, as the kernel does."""

    records = (
        MatchRecord(
            "statistic",
            STATISTIC,
            purity=Purity.UNDECIDED,
            tracks=False,
            samples=("--mode random [!] --probability 0.5",),
        ),
    )

    share: int
    negated: bool = False
    mode: ClassVar = "random"
    every: ClassVar = None
    packet: ClassVar = None

    def test(self) -> Test:
        """Draw a number."""
        share, question = self._share, str(self)
        return lambda packet, at: (at.chance or Chance()).holds(question, share)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that chance decides; nothing is drawn."""
        return tr("chance decides, it holds with probability {share:.3g}", share=self._share)

    @property
    def _share(self) -> float:
        """How probable it is that the match holds."""
        share = self.share / 0x80000000
        return 1 - share if self.negated else share


LIMIT_SCALE = 10_000

THREE_AN_HOUR = Rate(1200 * LIMIT_SCALE, LIMIT_SCALE)

ONE_ADDRESS = IPv4Address("255.255.255.255")


def _limit_rate(words: RuleWords) -> Rate:
    return read_rate(words, words.take("a rate"), LIMIT_SCALE)


def _burst(words: RuleWords) -> int:
    return words.number("a number", 0, 10000) or 5


Memory = TypeVar("Memory")


def remembered(at: Context, owner: Remembering, key: object, begin: Callable[[], Memory]) -> Memory:
    """Return what was remembered under a key, from the first packet on. `owner` stays alive as long as its memory.

    Raises: Unsupported where there is no run, Unknown where packets came before it.
    """
    if owner.gap:
        owner.gap.meet()
    if at.memory is None:
        raise Unsupported(tr("match {owner} outside a run: it remembers packets", owner=str(owner)[3:]))
    return at.memory.setdefault(key, (owner, begin()))[1]  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Remembering(Match):
    """A match that remembers packets; what it remembers is not known where packets came before the run began."""

    gap: Gap | None = field(default=None, compare=False, kw_only=True)  # None: no packet has come yet

    @property
    @abstractmethod
    def uncollected(self) -> str:
        """What it remembers and nobody knows once packets have come; empty where that does not matter."""

    def running(self, only_tells: bool) -> Self:
        """Return the match of a rule that has seen packets before, nobody knows which."""
        return replace(self, gap=Gap(self.uncollected)) if self.uncollected else self


@dataclass(frozen=True, slots=True)
class Limit(Remembering):
    """`-m limit --limit RATE --limit-burst N`: a bucket of N packets that is filled again at a rate."""

    records = (
        MatchRecord("limit", Grammar({
            "--limit": OptionEntry(("rate",), _limit_rate, lambda rate: rate.text),
            "--limit-burst": OptionEntry(("burst",), _burst, absent=5),
        }), purity=Purity.REMEMBERS, tracks=False, samples=("--limit 1/hour --limit-burst 1|100",)),
    )  # fmt: skip

    rate: Rate = THREE_AN_HOUR
    burst: int = 5

    def running(self, only_tells: bool) -> Limit:
        """Return the match of a rule that has seen packets; how much its bucket holds is all the same to packets where
        the rule only tells of them."""
        return self if only_tells else Remembering.running(self, only_tells)

    @property
    def uncollected(self) -> str:
        """How many packets may pass at once."""
        return tr(
            "it is unknown how many packets a bucket of {burst} at {rate} has left",
            burst=self.burst,
            rate=self.rate.text,
        )

    def test(self) -> Test:
        """Take a packet out of the bucket, if there is one."""
        return self._take

    def _take(self, packet: Packet, at: Context) -> bool:
        """Count in nanoseconds, of which a packet costs as many as the rate lies between two. Source: nft_limit.c."""
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
        return tr("the rate decides, {burst} packets at once, then {rate}", burst=self.burst, rate=self.rate.text)


@dataclass(frozen=True, slots=True)
class Quota(Remembering):
    """`-m quota --quota BYTES`: holds until so many bytes have passed; negated, from then on."""

    records = (
        MatchRecord("quota", Grammar({
            "--quota": OptionEntry(("bytes",), long_number(mark("a number of bytes")), negated="negated"),
        }, single=True), purity=Purity.REMEMBERS, tracks=False, samples=("[!] --quota 0|1",)),
    )  # fmt: skip

    bytes: int
    negated: bool = False

    @property
    def uncollected(self) -> str:
        """How many bytes may still pass."""
        return tr("how many bytes of its quota of {bytes} a rule has left was not collected", bytes=self.bytes)

    def test(self) -> Test:
        """Take the packet's bytes from the quota."""
        return lambda packet, at: self._take(packet, at) is not self.negated

    def _take(self, packet: Packet, at: Context) -> bool:
        left = remembered(at, self, id(self), lambda: [self.bytes])
        shortest, longest = lengths(packet)
        if shortest <= left[0] and shortest != longest:
            raise needs_exact_length(self, packet)
        enough = left[0] >= longest
        left[0] = left[0] - longest if enough else 0
        return enough

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that the bytes so far decide; none are taken."""
        return tr("the bytes seen so far decide, the quota is {bytes}", bytes=self.bytes)


@dataclass(frozen=True, slots=True)
class Nth(Remembering):
    """`-m statistic --mode nth --every N --packet P`: one packet of N, first the one number P counted from 0."""

    records = (
        MatchRecord(
            "statistic",
            STATISTIC,
            purity=Purity.REMEMBERS,
            tracks=False,
            samples=("--mode nth [!] --every 1|1000000 --packet 0",),
        ),
    )

    every: int
    packet: int
    negated: bool = False
    mode: ClassVar = "nth"
    share: ClassVar = None

    @property
    def uncollected(self) -> str:
        """How far it has counted; that all are chosen does not depend on it."""
        return (
            tr("which packet of {every} the next one is was not collected", every=self.every) if self.every > 1 else ""
        )

    def test(self) -> Test:
        """Count the packet."""
        return lambda packet, at: self._count(at) is not self.negated

    def _count(self, at: Context) -> bool:
        seen = remembered(at, self, id(self), lambda: [0])
        seen[0] += 1
        return (seen[0] - 1) % self.every == self.packet

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that the count decides."""
        return tr("the count decides, one packet in {every} is chosen", every=self.every)


LIST_SIZE, STAMPS = 100, 65536
"""Addresses a list of `-m recent` holds, and most moments a rule may count of one address."""


class Seen:
    """What a list of `-m recent` knows of one address: when it was seen, in seconds, and with which TTL."""

    __slots__ = ("stamps", "ttl")

    def __init__(self, now: float, ttl: int) -> None:
        """Begin with one moment."""
        self.stamps, self.ttl = [now], ttl


def _mask(words: RuleWords) -> IPv4Address:
    return read_ip(words, words.take("the mask"))


def _check_recent(words: RuleWords, fields: dict[str, Any]) -> None:
    mode, unchecked = fields.get("mode"), fields.get("mode") in ("set", "remove")
    if not mode or ("reap" in fields and "seconds" not in fields) or ("rttl" in fields and unchecked):
        raise words.fail(tr("expected --set, --rcheck, --update or --remove; --reap needs --seconds, --rttl a check"))


@dataclass(frozen=True, slots=True)
class Recent(Remembering):
    """`-m recent ...`: addresses seen lately, in lists that the rules of a namespace share by name."""

    records = (
        MatchRecord(
            "recent",
            Grammar(
                {
                    **{
                        f"--{mode}": OptionEntry(negated="negated", constants={"mode": mode})
                        for mode in ("set", "rcheck", "update", "remove")
                    },
                    "--seconds": OptionEntry(("seconds",), number(1, what="seconds"), absent=0),
                    "--reap": flag_option("reap"),
                    "--hitcount": OptionEntry(("hits",), number(1, what="hitcount"), absent=0),
                    "--rttl": flag_option("rttl"),
                    "--name": OptionEntry(("name",), any_word(mark("the name"))),
                    "--mask": OptionEntry(("mask",), _mask),
                    "--rsource": OptionEntry(constants={"dst": False}),
                    "--rdest": OptionEntry(constants={"dst": True}, overrules="rdest"),
                },
                check=_check_recent,
            ),
            purity=Purity.REMEMBERS,
            tracks=False,
            samples=(
                "[!] --set --name l0|l1 --rsource|--rdest",
                "[!] --rcheck|--update|--remove --name l0|l1 --rsource|--rdest",
                "[!] --rcheck --seconds 60 --name l0|l1 --rsource|--rdest",
            ),
        ),
    )

    mode: str  # set, rcheck, update or remove
    negated: bool = False
    name: str = "DEFAULT"
    mask: IPv4Address = ONE_ADDRESS
    dst: bool = False
    seconds: int = 0
    hits: int = 0
    reap: bool = False
    rttl: bool = False

    @property
    def uncollected(self) -> str:
        """Whom the list holds, which one that always notes the address does not ask."""
        return tr("the list {name} of recent addresses was not collected", name=self.name) if self.mode != "set" else ""

    def test(self) -> Test:
        """Look the address up, or note it, in the list."""
        wanted = not self.negated
        return lambda packet, at: self._ask(packet, at) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that the list decides; nothing is noted."""
        return tr(
            "the list {name} of recent addresses decides about {address}",
            name=self.name,
            address=packet.dst if self.dst else packet.src,
        )

    def _ask(self, packet: Packet, at: Context) -> bool:
        """Tell whether the address is in the list as asked, and note what is to be noted. Source: recent_mt()."""
        mask, seen = self._list(at)
        ip = int(packet.dst if self.dst else packet.src) & mask
        ttl = packet.ttl + (1 if at.iif and at.oif else 0)  # as it was before it was forwarded
        entry = seen.get(ip)
        if entry is None or (self.rttl and entry.ttl != ttl):
            if self.mode == "set":
                _add(seen, ip, at.now, ttl)
            return self.mode == "set"
        if self.mode == "remove":
            del seen[ip]
            return True
        listed = self.mode == "set" or self._found(entry, at.now)
        if self.reap:
            self._drop_eldest(seen, at.now, ip if self.mode == "update" and listed else None)
        if self.mode == "set" or (self.mode == "update" and listed):
            entry.stamps, entry.ttl = [*entry.stamps, at.now][-STAMPS:], ttl
            seen[ip] = seen.pop(ip)  # the address seen last stands last
        return listed

    def _list(self, at: Context) -> tuple[int, dict[int, Seen]]:
        """Return the list's mask and addresses; the kernel takes the mask of the rule it loaded first."""
        mask = int(self.mask)
        listed: tuple[int, dict[int, Seen]] = remembered(at, self, ("recent", self.name), lambda: (mask, {}))
        if listed[0] != mask:
            raise Unsupported(tr("match {match}: the rules of one list differ in their masks", match=str(self)[3:]))
        return listed

    def _found(self, entry: Seen, now: float) -> bool:
        since = now - self.seconds if self.seconds else 0.0
        return sum(stamp >= since for stamp in entry.stamps) >= max(1, self.hits)

    def _drop_eldest(self, seen: dict[int, Seen], now: float, kept: int | None) -> None:
        eldest = next(iter(seen))
        if eldest != kept and seen[eldest].stamps[-1] < now - self.seconds:
            del seen[eldest]


def _add(seen: dict[int, Seen], ip: int, now: float, ttl: int) -> None:
    if len(seen) >= LIST_SIZE:
        del seen[next(iter(seen))]
    seen[ip] = Seen(now, ttl)
