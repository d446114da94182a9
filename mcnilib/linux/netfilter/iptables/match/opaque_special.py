"""Matches kept as text whose options depend on each other: connlimit, hashlimit, policy, sctp, string, time, u32.

Source: iptables-extensions(8); extensions/libxt_*.c (iptables 1.8.9).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network

from mcnilib.linux.netfilter.iptables.grammar import (
    Grammar,
    choice,
    flag,
    hexadecimal,
    number,
    prefix,
    several,
    span,
    text,
    word,
)
from mcnilib.linux.netfilter.iptables.match.stateful import read_rate
from mcnilib.linux.netfilter.iptables.words import RuleWords, has_holes


def _mask(words: RuleWords) -> str:
    """Read a prefix length, or a mask that stands for one."""
    found = words.take("a prefix length")
    try:
        if has_holes(found):
            raise ValueError
        return str(IPv4Network(f"0.0.0.0/{found}").prefixlen)
    except ValueError:
        raise words.fail(f"{found!r} is not a prefix length") from None


CONNLIMIT = Grammar(
    {
        "--connlimit-upto": number(), "--connlimit-above": number(), "--connlimit-mask": _mask,
        "--connlimit-saddr": flag, "--connlimit-daddr": flag,
    },
    frozenset(["--connlimit-upto", "--connlimit-above"]),
    defaults={"--connlimit-mask": "32", "--connlimit-saddr": ""},
)  # fmt: skip


def _connlimit(words: RuleWords) -> str:
    found = CONNLIMIT.read(words, "connlimit")
    limit = found.pop("--connlimit-upto", found.pop("--connlimit-above", ""))
    if not limit:
        raise words.fail("connlimit needs --connlimit-upto or --connlimit-above")
    side = "--connlimit-daddr" if "--connlimit-daddr" in found else "--connlimit-saddr"
    return f"{_straight(limit)} {found.get('--connlimit-mask', '--connlimit-mask 32')} {side}"


def _straight(option: str) -> str:
    """Turn `! --x-upto N` into `--x-above N` and the other way round."""
    if not option.startswith("! "):
        return option
    upto = option.partition(" ")[2].replace("-upto", "-above")
    return upto if "-above" in upto and "-upto" in option else upto.replace("-above", "-upto")


def _hash_rate(words: RuleWords) -> str:
    found = words.take("a rate")
    if re.fullmatch(r"\d{1,10}[km]?b(/s(ec)?)?", found, re.ASCII):
        return _bytes(found.partition("/")[0]) + "/s"
    return read_rate(words, found, 1_000_000).text


def _bytes(found: str) -> str:
    count = int(found.rstrip("kmb")) << {"k": 10, "m": 20}.get(found[-2:-1], 0)
    for unit, shift in (("mb", 20), ("kb", 10)):
        if count and count % (1 << shift) == 0:
            return f"{count >> shift}{unit}"
    return f"{count}b"


def _burst(words: RuleWords) -> str:
    return word(r"\d{1,10}([km]?b)?", "a number, or a number of bytes")(words)


HASHLIMIT = Grammar(
    {
        "--hashlimit-upto": _hash_rate, "--hashlimit-above": _hash_rate, "--hashlimit-burst": _burst,
        "--hashlimit-mode": several("srcip, srcport, dstip or dstport", "srcip", "srcport", "dstip", "dstport"),
        "--hashlimit-name": text, "--hashlimit-htable-size": number(), "--hashlimit-htable-max": number(),
        "--hashlimit-htable-gcinterval": number(), "--hashlimit-htable-expire": number(),
        "--hashlimit-srcmask": number(0, 32), "--hashlimit-dstmask": number(0, 32), "--hashlimit-rate-match": flag,
        "--hashlimit-rate-interval": number(1),
    },
    frozenset(["--hashlimit-upto", "--hashlimit-above"]),
    ("--hashlimit-name",),
    aliases={"--hashlimit": "--hashlimit-upto"},
)  # fmt: skip


def _hashlimit(words: RuleWords) -> str:
    found = HASHLIMIT.read(words, "hashlimit")
    limit = found.pop("--hashlimit-upto", found.pop("--hashlimit-above", ""))
    if not limit:
        raise words.fail("hashlimit needs --hashlimit-upto or --hashlimit-above")
    if not limit.endswith("b/s"):
        found.setdefault("--hashlimit-burst", "--hashlimit-burst 5")
    if found.get("--hashlimit-rate-interval", "").endswith(" 1"):
        del found["--hashlimit-rate-interval"]
    return f"{_straight(limit)} {HASHLIMIT.text(found)}"


POLICY = Grammar({"--dir": choice("in", "out"), "--pol": choice("none", "ipsec"), "--strict": flag})

ELEMENT = Grammar(
    {
        "--reqid": number(), "--spi": hexadecimal(), "--proto": choice("ah", "esp", "ipcomp"),
        "--mode": choice("tunnel", "transport"), "--tunnel-dst": prefix, "--tunnel-src": prefix,
    },
    frozenset(["--reqid", "--spi", "--proto", "--mode", "--tunnel-dst", "--tunnel-src"]),
)  # fmt: skip


def _policy(words: RuleWords) -> str:
    found = [POLICY.text(POLICY.read(words, "policy")), ELEMENT.text(ELEMENT.read(words, "policy"))]
    while words.accept("--next"):
        found += ["--next", ELEMENT.text(ELEMENT.read(words, "policy"))]
    return " ".join(filter(None, found))


CHUNKS = (
    "DATA", "INIT", "INIT_ACK", "SACK", "HEARTBEAT", "HEARTBEAT_ACK", "ABORT", "SHUTDOWN", "SHUTDOWN_ACK", "ERROR",
    "COOKIE_ECHO", "COOKIE_ACK", "ECN_ECNE", "ECN_CWR", "SHUTDOWN_COMPLETE", "I_DATA", "RE_CONFIG", "PAD", "ASCONF",
    "ASCONF_ACK", "FORWARD_TSN", "I_FORWARD_TSN", "ALL", "NONE",
)  # fmt: skip

CHUNK_ORDER = {name: place for place, name in enumerate(CHUNKS)} | {"ASCONF_ACK": 128, "RE_CONFIG": 130, "PAD": 132}


def _chunks(words: RuleWords) -> str:
    scope = choice("all", "any", "only")(words)
    found = words.take("types of chunks").split(",")
    for one in found:
        if one.partition(":")[0] not in CHUNKS:
            raise words.fail(f"{one!r} is not a type of SCTP chunks", near=CHUNKS)
    return f"{scope} {','.join(sorted(found, key=lambda one: CHUNK_ORDER[one.partition(':')[0]]))}"


SCTP = Grammar(
    {"--sport": span(65535, "a port"), "--dport": span(65535, "a port"), "--chunk-types": _chunks},
    frozenset(["--sport", "--dport", "--chunk-types"]),
    aliases={"--source-port": "--sport", "--destination-port": "--dport"},
)


def _sctp(words: RuleWords) -> str:
    return SCTP.text(SCTP.read(words, "sctp"))


STRING = Grammar(
    {
        "--string": lambda words: words.take("a pattern"), "--hex-string": lambda words: words.take("a pattern"),
        "--algo": choice("bm", "kmp"), "--from": number(0, 65535), "--to": number(0, 65535), "--icase": flag,
    },
    frozenset(["--string", "--hex-string"]), ("--algo",),
)  # fmt: skip


def _string(words: RuleWords) -> str:
    found = STRING.read(words, "string")
    option = next((name for name in ("--string", "--hex-string") if name in found), "")
    if not option:
        raise words.fail("string needs --string or --hex-string")
    sign, _, pattern = found.pop(option).rpartition(f"{option} ")
    plain = _unhex(words, pattern) if option == "--hex-string" else pattern.encode()
    shown = f"--hex-string {_hexed(plain)}" if _needs_hex(plain) else f"--string {_in_quotes(plain)}"
    return f"{sign}{shown} {STRING.text(found)}"


def _unhex(words: RuleWords, pattern: str) -> bytes:
    parts = pattern.split("|")
    try:
        pieces = [bytes.fromhex(part) if place % 2 else part.encode() for place, part in enumerate(parts)]
    except ValueError:
        raise words.fail(f"{pattern!r} has no hexadecimal digits between its bars") from None
    return b"".join(pieces)


def _needs_hex(pattern: bytes) -> bool:
    return any(not 32 <= byte < 127 for byte in pattern)


def _hexed(pattern: bytes) -> str:
    return f'"|{pattern.hex()}|"'


def _in_quotes(pattern: bytes) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", pattern.decode()) + '"'


DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

DATE = re.compile(r"(\d{4})(?:-(\d\d?)(?:-(\d\d?)(?:T(\d\d?)(?::(\d\d?)(?::(\d\d?))?)?)?)?)?", re.ASCII)


def _clock(words: RuleWords) -> str:
    parts = word(r"\d{1,2}:\d{1,2}(:\d{1,2})?", "a time of day")(words).split(":")
    return ":".join(f"{int(part):02d}" for part in [*parts, "0"][:3])


def _date(words: RuleWords) -> str:
    found = DATE.fullmatch(words.take("a date"))
    if not found:
        raise words.fail("expected YYYY-MM-DDThh:mm:ss")
    year, month, day, *rest = (int(part or low) for part, low in zip(found.groups(), (0, 1, 1, 0, 0, 0), strict=True))
    return f"{year:04d}-{month:02d}-{day:02d}T" + ":".join(f"{part:02d}" for part in rest)


def _day_of_week(one: str) -> str:
    if one in "1234567" and len(one) == 1:
        return DAYS[int(one) - 1]
    return next((day for day in DAYS if len(one) > 1 and day.lower().startswith(one.lower()[:3])), "")


def _week(words: RuleWords) -> str:
    days = [_day_of_week(one) for one in words.take("days").split(",")]
    if not all(days):
        raise words.fail("expected days of the week such as Mon,Tue", near=DAYS)
    return ",".join(day for day in DAYS if day in days)


def _month(words: RuleWords) -> str:
    found = sorted({words.as_number(one, "a day of the month", 1, 31) for one in words.take("days").split(",")})
    return ",".join(map(str, found))


TIME = Grammar(
    {
        "--timestart": _clock, "--timestop": _clock, "--monthdays": _month, "--weekdays": _week, "--datestart": _date,
        "--datestop": _date, "--kerneltz": flag, "--contiguous": flag, "--utc": flag,
    },
    frozenset(["--monthdays", "--weekdays"]),
    defaults={"--datestop": "2038-01-19T03:14:07"},
)  # fmt: skip


def _time(words: RuleWords) -> str:
    found = TIME.read(words, "time")
    found.pop("--utc", None)
    for option, every in (("--monthdays", [str(day) for day in range(1, 32)]), ("--weekdays", list(DAYS))):
        if found.get(option, "").startswith("!"):
            excluded = found[option].split()[-1].split(",")
            found[option] = f"{option} {','.join(day for day in every if day not in excluded)}"
    if "--timestart" in found or "--timestop" in found:
        found.setdefault("--timestart", "--timestart 00:00:00"), found.setdefault("--timestop", "--timestop 23:59:59")
    start, stop = (found.get(option, "")[-8:] for option in ("--timestart", "--timestop"))
    if "--contiguous" in found and stop >= start:
        raise words.fail("--contiguous needs a --timestop before --timestart")
    return TIME.text(found)


U32_TOKEN = re.compile(r"\s*(0[xX][0-9a-fA-F]+|\d+|&&|<<|>>|[&@=,:])", re.ASCII)


def _program(words: RuleWords) -> str:
    source, place, found = words.take("tests").rstrip(), 0, []
    while place < len(source):
        token = U32_TOKEN.match(source, place)
        if not token:
            raise words.fail(f"{source[place:]!r} is not a test")
        found.append(f"{words.as_number(token[1], 'a number'):#x}" if token[1][0].isdigit() else token[1])
        place = token.end()
    return f'"{"".join(found)}"'


U32 = Grammar({"--u32": _program}, frozenset(["--u32"]), ("--u32",))


def _u32(words: RuleWords) -> str:
    return U32.text(U32.read(words, "u32"))


BYTES = "packets have no payload bytes here, only their number"

SPECIAL: dict[str, tuple[str, Callable[[RuleWords], str]]] = {
    "connlimit": ("connections are not counted by address", _connlimit),
    "hashlimit": ("buckets by address are not modelled", _hashlimit),
    "policy": ("IPsec is not modelled", _policy),
    "sctp": ("packets of this protocol have no body here", _sctp),
    "string": (BYTES, _string),
    "time": ("a run has no date and no time of day", _time),
    "u32": (BYTES, _u32),
}
"""By name: why a packet is refused, and the reader that returns the text."""
