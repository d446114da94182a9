"""Matches that remember the packets they saw: limit, quota, statistic by count, recent.

What they remember belongs to one run, which begins as if the rules had just been loaded; time is the run's own. What a
rule remembers is kept under the match itself: two equal rules remember apart. Rules of a running machine have seen
packets before: what they remember is not known.
Source: iptables-extensions(8); net/netfilter/{nft_limit,xt_limit,xt_quota,nft_numgen,xt_recent}.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import NamedTuple, TypeVar

from mcnilib.errors import Unknown, Unsupported
from mcnilib.linux.match_rest import lengths
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Test, bang
from mcnilib.linux.packet import Packet
from mcnilib.linux.rate import Rate

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
