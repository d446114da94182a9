"""How some options of matches that are kept as text are read: those whose values or whose order are their own.

Source: iptables-extensions(8); extensions/libxt_*.c (iptables 1.8.9).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network

from mcnilib.language import mark, tr
from mcnilib.linux.netfilter.iptables.grammar import Given, Grammar
from mcnilib.linux.netfilter.iptables.values import choice, hexadecimal, number, prefix, read_rate, word
from mcnilib.linux.netfilter.iptables.words import RuleWords, has_holes

IDS = word(r"\d{1,10}(-\d{1,10})?", mark("a number or a range of numbers"))


def node_mask(words: RuleWords) -> str:
    """Read the mask of nodes, or the number of one of them."""
    if words.last == "--cluster-local-node":
        return f"0x{1 << (words.number('a node', 1, 32) - 1):08x}"
    return hexadecimal(8)(words)


def one_or_range(words: RuleWords) -> str:
    """Read a number or a range of numbers."""
    low, _, high = IDS(words).partition("-")
    return low if high in ("", low) else f"{low}-{high}"


def from_to(words: RuleWords) -> str:
    """Read FROM or FROM:TO, 64 bits each."""
    low, _, high = word(r"\d{0,20}(:\d{0,20})?", tr("a number or a range"))(words).partition(":")
    return f"{int(low or 0)}:{int(high)}" if high else str(int(low or 0))


def label(words: RuleWords) -> str:
    """Read the number of a label, or a name."""
    name = words.take("a label")
    if name.isdecimal():
        words.as_number(name, "a label", 0, 127)
    return f'"{name}"'


def bytecode(words: RuleWords) -> str:
    """Read a program of the classic packet filter."""
    read = word(r"[0-9]+(,[0-9]+ [0-9]+ [0-9]+ [0-9]+)+", mark("a program of the classic packet filter"))
    return f'"{read(words)}"'


def mask(words: RuleWords) -> str:
    """Read a prefix length, or a mask that stands for one."""
    length = words.take(tr("a prefix length"))
    try:
        if has_holes(length):
            raise ValueError
        return str(IPv4Network(f"0.0.0.0/{length}").prefixlen)
    except ValueError:
        raise words.fail(tr("{length!r} is not a prefix length", length=length)) from None


def connlimit(grammar: Grammar, words: RuleWords, options: Given) -> str:
    """Read how many connections, by which address."""
    limit = options.pop("--connlimit-upto", options.pop("--connlimit-above", ""))
    if not limit:
        raise words.fail(tr("connlimit needs --connlimit-upto or --connlimit-above"))
    side = "--connlimit-daddr" if "--connlimit-daddr" in options else "--connlimit-saddr"
    return f"{_straight(limit)} {options.get('--connlimit-mask', '--connlimit-mask 32')} {side}"


def _straight(option: str) -> str:
    """Turn `! --x-upto N` into `--x-above N` and the other way round."""
    if not option.startswith("! "):
        return option
    upto = option.partition(" ")[2].replace("-upto", "-above")
    return upto if "-above" in upto and "-upto" in option else upto.replace("-above", "-upto")


def hash_rate(words: RuleWords) -> str:
    """Read a rate of packets or of bytes."""
    rate = words.take("a rate")
    if re.fullmatch(r"\d{1,10}[km]?b(/s(ec)?)?", rate, re.ASCII):
        return _bytes(rate.partition("/")[0]) + "/s"
    return read_rate(words, rate, 1_000_000).text


def _bytes(amount: str) -> str:
    count = int(amount.rstrip("kmb")) << {"k": 10, "m": 20}.get(amount[-2:-1], 0)
    for unit, shift in (("mb", 20), ("kb", 10)):
        if count and count % (1 << shift) == 0:
            return f"{count >> shift}{unit}"
    return f"{count}b"


def byte_burst(words: RuleWords) -> str:
    """Read a number of packets or of bytes."""
    return word(r"\d{1,10}([km]?b)?", tr("a number, or a number of bytes"))(words)


def hashlimit(grammar: Grammar, words: RuleWords, options: Given) -> str:
    """Put the rate first, and leave out what is the default."""
    limit = options.pop("--hashlimit-upto", options.pop("--hashlimit-above", ""))
    if not limit:
        raise words.fail(tr("hashlimit needs --hashlimit-upto or --hashlimit-above"))
    if not limit.endswith("b/s"):
        options.setdefault("--hashlimit-burst", "--hashlimit-burst 5")
    return f"{_straight(limit)} {grammar.text(options)}"


ELEMENT = Grammar(
    {
        "--reqid": number(),
        "--spi": hexadecimal(),
        "--proto": choice("ah", "esp", "ipcomp"),
        "--mode": choice("tunnel", "transport"),
        "--tunnel-dst": prefix,
        "--tunnel-src": prefix,
    },
    frozenset(["--reqid", "--spi", "--proto", "--mode", "--tunnel-dst", "--tunnel-src"]),
)


def policy(grammar: Grammar, words: RuleWords, options: Given) -> str:
    """Read the elements of a policy."""
    parts = [grammar.text(options), ELEMENT.values(words, "policy")["words"]]
    while words.accept("--next"):
        parts += ["--next", ELEMENT.values(words, "policy")["words"]]
    return " ".join(filter(None, parts))


CHUNKS = (
    "DATA", "INIT", "INIT_ACK", "SACK", "HEARTBEAT", "HEARTBEAT_ACK", "ABORT", "SHUTDOWN", "SHUTDOWN_ACK", "ERROR",
    "COOKIE_ECHO", "COOKIE_ACK", "ECN_ECNE", "ECN_CWR", "SHUTDOWN_COMPLETE", "I_DATA", "RE_CONFIG", "PAD", "ASCONF",
    "ASCONF_ACK", "FORWARD_TSN", "I_FORWARD_TSN", "ALL", "NONE",
)  # fmt: skip

CHUNK_ORDER = {name: number for number, name in enumerate(CHUNKS)} | {"ASCONF_ACK": 128, "RE_CONFIG": 130, "PAD": 132}


def chunks(words: RuleWords) -> str:
    """Read the types of SCTP chunks, in the order of their numbers."""
    scope = choice("all", "any", "only")(words)
    names = words.take(tr("types of chunks")).split(",")
    for name in names:
        if name.partition(":")[0] not in CHUNKS:
            raise words.fail(tr("{name!r} is not a type of SCTP chunks", name=name), near=CHUNKS)
    return f"{scope} {','.join(sorted(names, key=lambda name: CHUNK_ORDER[name.partition(':')[0]]))}"


def pattern_text(grammar: Grammar, words: RuleWords, options: Given) -> str:
    """Print a pattern in hexadecimal where it needs that."""
    option = next((name for name in ("--string", "--hex-string") if name in options), "")
    if not option:
        raise words.fail(tr("string needs --string or --hex-string"))
    sign, _, pattern = options.pop(option).rpartition(f"{option} ")
    plain = _unhex(words, pattern) if option == "--hex-string" else pattern.encode()
    shown = f"--hex-string {_hexed(plain)}" if _needs_hex(plain) else f"--string {_in_quotes(plain)}"
    return f"{sign}{shown} {grammar.text(options)}"


def _unhex(words: RuleWords, pattern: str) -> bytes:
    parts = pattern.split("|")
    try:
        pieces = [bytes.fromhex(part) if position % 2 else part.encode() for position, part in enumerate(parts)]
    except ValueError:
        raise words.fail(tr("{pattern!r} has no hexadecimal digits between its bars", pattern=pattern)) from None
    return b"".join(pieces)


def _needs_hex(pattern: bytes) -> bool:
    return any(not 32 <= byte < 127 for byte in pattern)


def _hexed(pattern: bytes) -> str:
    return f'"|{pattern.hex()}|"'


def _in_quotes(pattern: bytes) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", pattern.decode()) + '"'


DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

DATE = re.compile(r"(\d{4})(?:-(\d\d?)(?:-(\d\d?)(?:T(\d\d?)(?::(\d\d?)(?::(\d\d?))?)?)?)?)?", re.ASCII)


def clock(words: RuleWords) -> str:
    """Read a time of day."""
    parts = word(r"\d{1,2}:\d{1,2}(:\d{1,2})?", tr("a time of day"))(words).split(":")
    return ":".join(f"{int(part):02d}" for part in [*parts, "0"][:3])


def date(words: RuleWords) -> str:
    """Read a date with a time of day."""
    parts = DATE.fullmatch(words.take("a date"))
    if not parts:
        raise words.fail(tr("expected YYYY-MM-DDThh:mm:ss"))
    year, month, day, *rest = (int(part or low) for part, low in zip(parts.groups(), (0, 1, 1, 0, 0, 0), strict=True))
    return f"{year:04d}-{month:02d}-{day:02d}T" + ":".join(f"{part:02d}" for part in rest)


def _day_of_week(name: str) -> str:
    if name in "1234567" and len(name) == 1:
        return DAYS[int(name) - 1]
    return next((day for day in DAYS if len(name) > 1 and day.lower().startswith(name.lower()[:3])), "")


def week(words: RuleWords) -> str:
    """Read days of the week."""
    days = [_day_of_week(name) for name in words.take("days").split(",")]
    if not all(days):
        raise words.fail(tr("expected days of the week such as Mon,Tue"), near=DAYS)
    return ",".join(day for day in DAYS if day in days)


def month_days(words: RuleWords) -> str:
    """Read days of the month."""
    numbers = sorted(
        {words.as_number(number, tr("a day of the month"), 1, 31) for number in words.take("days").split(",")}
    )
    return ",".join(map(str, numbers))


def moments(grammar: Grammar, words: RuleWords, options: Given) -> str:
    """Complete the hours; turn days that are excluded into those that are left."""
    options.pop("--utc", None)
    for option, every in (("--monthdays", [str(day) for day in range(1, 32)]), ("--weekdays", list(DAYS))):
        if options.get(option, "").startswith("!"):
            excluded = options[option].split()[-1].split(",")
            options[option] = f"{option} {','.join(day for day in every if day not in excluded)}"
    if "--timestart" in options or "--timestop" in options:
        options.setdefault("--timestart", "--timestart 00:00:00")
        options.setdefault("--timestop", "--timestop 23:59:59")
    start, stop = (options.get(option, "")[-8:] for option in ("--timestart", "--timestop"))
    if "--contiguous" in options and stop >= start:
        raise words.fail(tr("--contiguous needs a --timestop before --timestart"))
    return grammar.text(options)


U32_TOKEN = re.compile(r"\s*(0[xX][0-9a-fA-F]+|\d+|&&|<<|>>|[&@=,:])", re.ASCII)


def program(words: RuleWords) -> str:
    """Read the tests of u32."""
    source, position, printed = words.take("tests").rstrip(), 0, []
    while position < len(source):
        token = U32_TOKEN.match(source, position)
        if not token:
            raise words.fail(tr("{source!r} is not a test", source=source[position:]))
        printed.append(f"{words.as_number(token[1], 'a number'):#x}" if token[1][0].isdigit() else token[1])
        position = token.end()
    return f'"{"".join(printed)}"'
