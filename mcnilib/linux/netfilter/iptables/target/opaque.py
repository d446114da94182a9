"""The targets that are kept as text: what each reads, how iptables-save prints it, and why a packet is refused.

A target without `why` changes nothing that a packet meets on its way; TCPMSS is one, because data goes in one segment
here, whatever its length.
Source: iptables-extensions(8); extensions/lib{xt,ipt}_*.c (iptables 1.8.9).
"""

from __future__ import annotations

from mcnilib.linux.netfilter.iptables.extension import KeptTarget
from mcnilib.linux.netfilter.iptables.grammar import (
    Grammar,
    address,
    choice,
    device,
    flag,
    hexadecimal,
    mac,
    number,
    several,
    text,
    word,
)
from mcnilib.linux.netfilter.iptables.words import RuleWords

OPTION_NUMBERS = {"mss": 2, "wscale": 3, "sack-permitted": 4, "sack": 5, "timestamp": 8, "md5": 19}

SPAN = word(r"\d{1,9}(\.\d{1,9})?(us|ms|s)", "a time such as 250ms")

SIDES = word(r"(src|dst)(,(src|dst)){0,5}", "a list of src and dst")


def _time(words: RuleWords) -> str:
    """Read a time, printed in the largest unit of which it has one at least."""
    found = SPAN(words)
    unit = found.lstrip("0123456789.")
    micro = round(float(found.removesuffix(unit)) * {"us": 1, "ms": 1000, "s": 1_000_000}[unit])
    best, factor = next(((n, f) for n, f in (("s", 1_000_000), ("ms", 1000)) if micro >= f), ("us", 1))
    return f"{micro / factor:.1f}{best}" if factor > 1 else f"{micro}{best}"


def _strip(words: RuleWords) -> str:
    found = words.take("TCP options").split(",")
    numbers = {
        OPTION_NUMBERS[one] if one in OPTION_NUMBERS else words.as_number(one, "a TCP option", 2, 255) for one in found
    }
    return ",".join(map(str, sorted(numbers)))


def _class(words: RuleWords) -> str:
    major, _, minor = word(r"[0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,4}", "a class MAJOR:MINOR")(words).partition(":")
    return f"{int(major, 16):04x}:{int(minor, 16):04x}"


def _set(words: RuleWords) -> str:
    return f"{words.take('a set')} {SIDES(words)}"


def _masked_mark(words: RuleWords) -> str:
    value, slash, mask = words.take("a mark").partition("/")
    return f"{words.as_number(value, 'a mark'):#x}/{words.as_number(mask, 'a mask') if slash else 0xFFFFFFFF:#x}"


TARGETS = {
    "AUDIT": Grammar({"--type": choice("accept", "drop", "reject")}, needed=("--type",)),
    "CHECKSUM": Grammar({"--checksum-fill": flag}, needed=("--checksum-fill",)),
    "CLASSIFY": Grammar({"--set-class": _class}, needed=("--set-class",)),
    "CLUSTERIP": Grammar(
        {
            "--new": flag, "--hashmode": choice("sourceip", "sourceip-sourceport", "sourceip-sourceport-destport"),
            "--clustermac": mac, "--total-nodes": number(1, 16), "--local-node": number(1, 16), "--hash-init": number(),
        },
        why="Linux 6.3 removed it; use the cluster match",
    ),
    "CONNSECMARK": Grammar({"--save": flag, "--restore": flag}),
    "ECN": Grammar(
        {"--ecn-tcp-remove": flag}, needed=("--ecn-tcp-remove",), protocols=("tcp",),
        why="explicit congestion notification is not modelled",
    ),
    "IDLETIMER": Grammar({"--timeout": number(1), "--label": word(r"\S{1,27}", "a label"), "--alarm": flag}),
    "LED": Grammar({"--led-trigger-id": text, "--led-delay": text, "--led-always-blink": flag}),
    "NFQUEUE": Grammar(
        {
            "--queue-num": number(0, 65535), "--queue-balance": word(r"\d+:\d+", "two numbers"),
            "--queue-bypass": flag, "--queue-cpu-fanout": flag,
        },
        why="a program outside the kernel decides",
    ),
    "QUEUE": Grammar(why="a program outside the kernel decides"),
    "RATEEST": Grammar({"--rateest-name": text, "--rateest-interval": _time, "--rateest-ewmalog": _time}),
    "SECMARK": Grammar({"--selctx": text}, needed=("--selctx",)),
    "SET": Grammar(
        {
            "--add-set": _set, "--exist": flag, "--timeout": number(), "--del-set": _set, "--map-set": _set,
            "--map-mark": flag, "--map-prio": flag, "--map-queue": flag,
        },
        some=True, why="sets do not change during a run",
    ),
    "SYNPROXY": Grammar(
        {"--sack-perm": flag, "--timestamp": flag, "--wscale": number(0, 14), "--mss": number(0, 65535), "--ecn": flag},
        protocols=("tcp",), why="the kernel's own handshakes are not modelled",
    ),
    "TCPMSS": Grammar({"--clamp-mss-to-pmtu": flag, "--set-mss": number(0, 65495)}, protocols=("tcp",), some=True),
    "TCPOPTSTRIP": Grammar(
        {"--strip-options": _strip}, needed=("--strip-options",), protocols=("tcp",),
        why="TCP options are not modelled",
    ),
    "TEE": Grammar(
        {"--gateway": address, "--oif": device}, needed=("--gateway",), why="copies of packets are not sent"
    ),
    "TPROXY": Grammar(
        {"--on-port": number(0, 65535), "--on-ip": address, "--tproxy-mark": _masked_mark}, needed=("--on-port",),
        defaults={"--on-ip": "0.0.0.0", "--tproxy-mark": "0x0/0x0"}, protocols=("tcp", "udp"),
        why="transparent proxying is not modelled",
    ),
    "ULOG": Grammar(
        {
            "--ulog-prefix": text, "--ulog-nlgroup": number(1, 32), "--ulog-cprange": number(),
            "--ulog-qthreshold": number(1, 50),
        }
    ),
}  # fmt: skip
"""Targets kept as text."""

HMARK = Grammar(
    {
        "--hmark-src-prefix": number(0, 32), "--hmark-dst-prefix": number(0, 32), "--hmark-sport-mask": hexadecimal(4),
        "--hmark-dport-mask": hexadecimal(4), "--hmark-spi-mask": hexadecimal(8), "--hmark-proto-mask": hexadecimal(2),
        "--hmark-rnd": hexadecimal(8), "--hmark-mod": number(1), "--hmark-offset": number(),
        "--hmark-tuple": lambda words: words.take("a tuple"),
    },
    needed=("--hmark-mod", "--hmark-rnd"), why="the kernel's hash of addresses is not computed",
)  # fmt: skip

TUPLE = {
    "src": "--hmark-src-prefix 32", "dst": "--hmark-dst-prefix 32", "proto": "--hmark-proto-mask 0xffff",
    "sport": "--hmark-sport-mask 0xffff", "dport": "--hmark-dport-mask 0xffff", "spi": "--hmark-spi-mask 0xffffffff",
    "ct": "--hmark-tuple ct",
}  # fmt: skip


def _hmark(words: RuleWords) -> KeptTarget:
    """Read HMARK, whose tuple stands for options of their own."""
    found = HMARK.read(words, "HMARK")
    members = found.pop("--hmark-tuple", "").rpartition(" ")[2]
    for member in members.split(",") if members else ():
        if member not in TUPLE:
            raise words.fail(f"{member!r} is not part of a tuple", near=tuple(TUPLE))
        found[TUPLE[member].partition(" ")[0]] = TUPLE[member]
    return KeptTarget("HMARK", HMARK.text(found), HMARK.why)


EVENTS = (
    "new", "related", "destroy", "reply", "assured", "protoinfo", "helper", "mark", "natseqinfo", "secmark",
)  # fmt: skip

ZONE = word(r"\d{1,5}|mark", "the number of a zone, or mark")

CT = Grammar(
    {
        "--notrack": flag, "--helper": text, "--timeout": text, "--ctevents": several("an event", *EVENTS),
        "--expevents": several("an event", "new"), "--zone-orig": ZONE, "--zone-reply": ZONE, "--zone": ZONE,
    }
)  # fmt: skip

CT_WHY = {
    "--helper": "helpers of connection tracking are not modelled",
    "--timeout": "timeout policies of connections are not modelled",
    **dict.fromkeys(("--zone-orig", "--zone-reply", "--zone"), "zones of connection tracking are not modelled"),
}


def read_ct(words: RuleWords) -> KeptTarget:
    """Read CT; events alone change nothing on the way of a packet."""
    found = CT.read(words, "CT")
    if found.get("--zone") == "--zone 0":
        del found["--zone"]
    why = next((CT_WHY[option] for option in found if option in CT_WHY), "")
    return KeptTarget("CT", CT.text(found), why)


def read_kept_target(words: RuleWords, name: str) -> KeptTarget | None:
    """Read the options of a target that is kept; None for a name that is not known. Raises: StateSyntaxError."""
    if name == "HMARK":
        return _hmark(words)
    grammar = TARGETS.get(name)
    if not grammar:
        return None
    found = grammar.read(words, name)
    if name == "NFQUEUE" and "--queue-balance" not in found:
        found.setdefault("--queue-num", "--queue-num 0")
    return KeptTarget(name, grammar.text(found), grammar.why)
