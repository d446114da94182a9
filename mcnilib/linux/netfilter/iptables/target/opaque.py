"""The targets that are kept as text: what each reads, how iptables-save prints it, and why a packet is refused.

NOTRACK is among them, because CT may say the same.

A target without a gap changes nothing that a packet meets on its path.
Source: iptables-extensions(8); extensions/lib{xt,ipt}_*.c (iptables 1.8.9).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from mcnilib.language import mark, tr
from mcnilib.linux.netfilter.conntrack import DEFAULT_ZONE, ConnState, Zone
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Target, TargetRecord
from mcnilib.linux.netfilter.iptables.grammar import Given, Grammar, flag_option
from mcnilib.linux.netfilter.iptables.values import (
    address,
    any_word,
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
from mcnilib.linux.netfilter.iptables.words import RuleWords, word_list
from mcnilib.linux.packet import Packet
from mcnilib.linux.unmodelled import Gap

OPTION_NUMBERS = {"mss": 2, "wscale": 3, "sack-permitted": 4, "sack": 5, "timestamp": 8, "md5": 19}

SPAN = word(r"\d{1,9}(\.\d{1,9})?(us|ms|s)", mark("a time such as 250ms"))

_SIDES = word(r"(src|dst)(,(src|dst)){0,5}", mark("a list of src and dst"))


def _time(words: RuleWords) -> str:
    """Read a time, printed in the largest unit of which it has one at least."""
    duration = SPAN(words)
    unit = duration.lstrip("0123456789.")
    micro = round(float(duration.removesuffix(unit)) * {"us": 1, "ms": 1000, "s": 1_000_000}[unit])
    largest, factor = next(((n, f) for n, f in (("s", 1_000_000), ("ms", 1000)) if micro >= f), ("us", 1))
    return f"{micro / factor:.1f}{largest}" if factor > 1 else f"{micro}{largest}"


def _strip(words: RuleWords) -> str:
    names = words.take("TCP options").split(",")
    numbers = {
        OPTION_NUMBERS[name] if name in OPTION_NUMBERS else words.as_number(name, tr("a TCP option"), 2, 255)
        for name in names
    }
    return ",".join(map(str, sorted(numbers)))


def _class(words: RuleWords) -> str:
    major, _, minor = word(r"[0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,4}", mark("a class MAJOR:MINOR"))(words).partition(":")
    return f"{int(major, 16):04x}:{int(minor, 16):04x}"


def _set(words: RuleWords) -> str:
    return f"{words.take('a set')} {_SIDES(words)}"


TUPLE = {
    "src": "--hmark-src-prefix 32", "dst": "--hmark-dst-prefix 32", "proto": "--hmark-proto-mask 0xffff",
    "sport": "--hmark-sport-mask 0xffff", "dport": "--hmark-dport-mask 0xffff", "spi": "--hmark-spi-mask 0xffffffff",
    "ct": "--hmark-tuple ct",
}  # fmt: skip


def _hmark(grammar: Grammar, words: RuleWords, options: Given) -> str:
    """Turn the members of a tuple into the options they stand for."""
    members = options.pop("--hmark-tuple", "").rpartition(" ")[2]
    for member in members.split(",") if members else ():
        if member not in TUPLE:
            raise words.fail(tr("{member!r} is not part of a tuple", member=member), near=tuple(TUPLE))
        options[TUPLE[member].partition(" ")[0]] = TUPLE[member]
    return grammar.text(options)


def _nfqueue(grammar: Grammar, words: RuleWords, options: Given) -> str:
    if "--queue-balance" not in options:
        options.setdefault("--queue-num", "--queue-num 0")
    return grammar.text(options)


EVENTS = (
    "new", "related", "destroy", "reply", "assured", "protoinfo", "helper", "mark", "natseqinfo", "secmark",
)  # fmt: skip

ZONE = word(r"\d{1,5}|mark", mark("the number of a zone, or mark"))

CT_GAPS = {
    "--helper": Gap(mark("helpers of connection tracking are not modelled"), refused=True),
    "--timeout": Gap(mark("timeout policies of connections are not modelled"), refused=True),
}


ZONE_OPTIONS = {"--zone": (True, True), "--zone-orig": (True, False), "--zone-reply": (False, True)}
"""Options of CT, and the directions each of them is for."""

_opaque = partial(TargetRecord, changes=True, samples=())

CT = _opaque(
    "CT",
    Grammar(
        {
            "--notrack": flag_option("notrack"),
            "--helper": text,
            "--timeout": text,
            "--ctevents": several(mark("an event"), *EVENTS),
            "--expevents": several(mark("an event"), "new"),
            "--zone-orig": ZONE,
            "--zone-reply": ZONE,
            "--zone": ZONE,
        },
        unprinted=frozenset(["--zone 0"]),
    ),
    tracks=True,
    tables=("raw",),
    hooks=("PREROUTING", "OUTPUT"),
    samples=("--notrack", "--zone 1|2", "--zone-orig 1", "--zone-reply 2"),
)

OPAQUE_TARGETS = (
    CT,
    _opaque("AUDIT", Grammar({"--type": choice("accept", "drop", "reject")}, needed=("--type",)), tracks=False),
    _opaque(
        "CHECKSUM", Grammar({"--checksum-fill": flag}, needed=("--checksum-fill",)),
        tracks=False, tables=("mangle",),
    ),
    _opaque(
        "CLASSIFY", Grammar({"--set-class": _class}, needed=("--set-class",)),
        tracks=False, hooks=("FORWARD", "OUTPUT", "POSTROUTING"),
    ),
    _opaque(
        "CLUSTERIP", Grammar({
            "--new": flag, "--hashmode": choice("sourceip", "sourceip-sourceport", "sourceip-sourceport-destport"),
            "--clustermac": mac, "--total-nodes": number(1, 16), "--local-node": number(1, 16), "--hash-init": number(),
        }),
        tracks=False, why=mark("Linux 6.3 removed it; use the cluster match"),
    ),
    _opaque("CONNSECMARK", Grammar({"--save": flag, "--restore": flag}), tracks=True, tables=("mangle", "security")),
    _opaque(
        "ECN", Grammar({"--ecn-tcp-remove": flag}, needed=("--ecn-tcp-remove",)),
        tracks=False, tables=("mangle",), protocols=("tcp",),
        why=mark("explicit congestion notification is not modelled"),
    ),
    _opaque(
        "HMARK", Grammar({
            "--hmark-src-prefix": number(0, 32), "--hmark-dst-prefix": number(0, 32),
            "--hmark-sport-mask": hexadecimal(4), "--hmark-dport-mask": hexadecimal(4),
            "--hmark-spi-mask": hexadecimal(8), "--hmark-proto-mask": hexadecimal(2),
            "--hmark-rnd": hexadecimal(8), "--hmark-mod": number(1), "--hmark-offset": number(),
            "--hmark-tuple": any_word(mark("a tuple")),
        }, needed=("--hmark-mod", "--hmark-rnd"), finish=_hmark),
        tracks=False, why=mark("the kernel's hash of addresses is not computed"),
    ),
    _opaque(
        "IDLETIMER", Grammar({"--timeout": number(1), "--label": word(r"\S{1,27}", mark("a label")), "--alarm": flag}),
        tracks=False,
    ),
    _opaque("LED", Grammar({"--led-trigger-id": text, "--led-delay": text, "--led-always-blink": flag}), tracks=False),
    _opaque(
        "NFQUEUE", Grammar({
            "--queue-num": number(0, 65535), "--queue-balance": word(r"\d+:\d+", mark("two numbers")),
            "--queue-bypass": flag, "--queue-cpu-fanout": flag,
        }, finish=_nfqueue),
        tracks=False, why=mark("a program outside the kernel decides"),
    ),
    _opaque("QUEUE", Grammar(), tracks=False, why=mark("a program outside the kernel decides")),
    _opaque(
        "RATEEST", Grammar({"--rateest-name": text, "--rateest-interval": _time, "--rateest-ewmalog": _time}),
        tracks=False,
    ),
    _opaque("SECMARK", Grammar({"--selctx": text}, needed=("--selctx",)), tracks=False, tables=("mangle", "security")),
    _opaque(
        "SET", Grammar({
            "--add-set": _set, "--exist": flag, "--timeout": number(), "--del-set": _set, "--map-set": _set,
            "--map-mark": flag, "--map-prio": flag, "--map-queue": flag,
        }, some=True),
        tracks=False, why=mark("sets do not change during a run"),
    ),
    _opaque(
        "SYNPROXY", Grammar(
            {
                "--sack-perm": flag, "--timestamp": flag, "--wscale": number(0, 14), "--mss": number(0, 65535),
                "--ecn": flag,
            }
        ),
        tracks=True, hooks=("INPUT", "FORWARD"), protocols=("tcp",),
        why=mark("the kernel's own handshakes are not modelled"),
    ),
    _opaque(
        "TCPOPTSTRIP", Grammar({"--strip-options": _strip}, needed=("--strip-options",)),
        tracks=False, protocols=("tcp",), why=mark("TCP options are not modelled"),
    ),
    _opaque(
        "TEE", Grammar({"--gateway": address, "--oif": device}, needed=("--gateway",)),
        tracks=False, why=mark("copies of packets are not sent"),
    ),
    _opaque(
        "ULOG", Grammar({
            "--ulog-prefix": text, "--ulog-nlgroup": number(1, 32), "--ulog-cprange": number(),
            "--ulog-qthreshold": number(1, 50),
        }),
        tracks=False,
    ),
)  # fmt: skip
"""What is declared of each of them."""


@dataclass(frozen=True, slots=True)
class Notrack(Target):
    """Leave the packet out of connection tracking (raw table only): NOTRACK, or CT --notrack whatever else it says."""

    records = (
        TargetRecord(
            "NOTRACK", Grammar(), tracks=False, changes=False, tables=("raw",), hooks=("PREROUTING", "OUTPUT"),
            samples=("",),
        ),
        replace(CT, tracks=False, changes=False),
    )  # fmt: skip

    named = "name"
    notrack: ClassVar = True
    name: str = "NOTRACK"
    words: str = ""


@dataclass(frozen=True, slots=True)
class OpaqueTarget(Target):
    """`-j NAME OPTIONS`, kept as iptables-save prints it.

    Without a `gap` the target changes nothing a packet meets on its way (an audit record, a timer, a blinking
    light), and the walk goes on; otherwise a packet that reaches it is refused.
    """

    records = OPAQUE_TARGETS

    named = "name"
    notrack: ClassVar = None
    name: str
    words: str = ""

    @property
    def gap(self) -> Gap | None:
        """What the model lacks; of CT some options only, for its events change nothing on the way of a packet."""
        lacking = (CT_GAPS[word] for word in word_list(self.words) if self.name == "CT" and word in CT_GAPS)
        return Gap(self.record.why, refused=True) if self.record.why else next(lacking, None)

    def apply(self, packet: Packet, at: Context) -> Packet:
        """Return the packet as it is. Raises: Unsupported, unless the target has no effect on the walk."""
        if gap := self.gap:
            arguments = f" ({self.words})" if self.words else ""
            gap.meet(tr("target {name}{arguments} when a packet reaches it: ", name=self.name, arguments=arguments))
        if self.name == "CT" and at.fresh:  # a template for the connection is there now, see xt_ct_target()
            at.fresh, at.ctstate, at.zone = False, ConnState.NEW, self._zone
        return packet

    def _zone(self, packet: Packet) -> Zone:
        """Return the zone that CT asks for, which may be the packet's mark. Source: nf_ct_zone_tmpl()."""
        words = word_list(self.words)
        for option, chosen in ZONE_OPTIONS.items():
            if option in words:
                value = words[words.index(option) + 1]
                zone = packet.mark & 0xFFFF if value == "mark" else int(value)
                return Zone(*(zone if here else 0 for here in chosen))
        return DEFAULT_ZONE
