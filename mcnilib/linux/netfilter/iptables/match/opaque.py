"""The matches that are read, kept as text and printed, but not modelled: a packet that needs one is refused by name.

Whole rulesets of real machines can so be read and compared; only a packet that comes to such a rule cannot go on.
How some of their options are read is in `opaque_options`.
Source: iptables-extensions(8); extensions/lib{xt,ipt}_*.c (iptables 1.8.9).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from mcnilib.language import mark, tr
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, MatchRecord, Purity, Test
from mcnilib.linux.netfilter.iptables.grammar import Grammar
from mcnilib.linux.netfilter.iptables.match.opaque_options import (
    byte_burst,
    bytecode,
    chunks,
    clock,
    connlimit,
    date,
    from_to,
    hash_rate,
    hashlimit,
    label,
    mask,
    moments,
    month_days,
    node_mask,
    one_or_range,
    pattern_text,
    policy,
    program,
    week,
)
from mcnilib.linux.netfilter.iptables.values import (
    any_word,
    choice,
    flag,
    hexadecimal,
    in_quotes,
    mac,
    named_hex,
    number,
    prefix,
    several,
    span,
    text,
    word,
)
from mcnilib.linux.packet import Packet
from mcnilib.linux.unmodelled import Gap

BODY = mark("packets of this protocol have no body here")

BYTES = mark("packets have no payload bytes here, only their number")

DCCP_TYPES = (
    "REQUEST", "RESPONSE", "DATA", "ACK", "DATAACK", "CLOSEREQ", "CLOSE", "RESET", "SYNC", "SYNCACK", "INVALID",
)  # fmt: skip

PORTS = {"--sport": span(65535, mark("a port")), "--dport": span(65535, mark("a port"))}

LONG_PORTS = {"--source-port": "--sport", "--destination-port": "--dport"}

RATE = word(r"\d+(\.\d+)?[A-Za-z]*", mark("a rate"))


_opaque = partial(MatchRecord, purity=Purity.UNDECIDED, samples=())

OPAQUE_MATCHES = (
    _opaque(
        "ah", Grammar({"--ahspi": span(0xFFFFFFFF, mark("an SPI"))}, frozenset(["--ahspi"])),
        tracks=False, protocols=("ah",), implied=True, why=BODY,
    ),
    _opaque(
        "bpf", Grammar({"--bytecode": bytecode, "--object-pinned": text}),
        tracks=False, why=mark("a program decides that looks at bytes"),
    ),
    _opaque(
        "cgroup", Grammar({"--path": in_quotes, "--cgroup": number()}, frozenset(["--path", "--cgroup"])),
        tracks=False, why=mark("processes and their groups are not modelled"),
    ),
    _opaque(
        "cluster", Grammar({
            "--cluster-local-nodemask": node_mask,
            "--cluster-total-nodes": number(1, 32),
            "--cluster-hash-seed": hexadecimal(8),
        }, frozenset(["--cluster-local-nodemask"]),
        ("--cluster-local-nodemask", "--cluster-total-nodes", "--cluster-hash-seed"),
        aliases={"--cluster-local-node": "--cluster-local-nodemask"}),
        tracks=True, why=mark("the kernel's hash of addresses is not computed"),
    ),
    _opaque(
        "connbytes", Grammar({
            "--connbytes": from_to,
            "--connbytes-mode": choice("packets", "bytes", "avgpkt"),
            "--connbytes-dir": choice("original", "reply", "both"),
        }, frozenset(["--connbytes"]), ("--connbytes", "--connbytes-mode", "--connbytes-dir")),
        tracks=True, why=mark("connections do not count their packets and bytes"),
    ),
    _opaque(
        "connlabel", Grammar({"--label": label, "--set": flag}, frozenset(["--label"]), ("--label",)),
        tracks=True, why=mark("labels of connections are not modelled"),
    ),
    _opaque(
        "connlimit", Grammar({
            "--connlimit-upto": number(), "--connlimit-above": number(), "--connlimit-mask": mask,
            "--connlimit-saddr": flag, "--connlimit-daddr": flag,
        }, frozenset(["--connlimit-upto", "--connlimit-above"]),
        defaults={"--connlimit-mask": "32", "--connlimit-saddr": ""}, finish=connlimit),
        tracks=True, why=mark("connections are not counted by address"),
    ),
    _opaque(
        "cpu", Grammar({"--cpu": number()}, frozenset(["--cpu"]), ("--cpu",)),
        tracks=False, why=mark("CPUs are not modelled"),
    ),
    _opaque(
        "dccp", Grammar(
            {
                **PORTS, "--dccp-types": several(mark("a type of DCCP packets"), *DCCP_TYPES),
                "--dccp-option": number(1, 255),
            },
            frozenset([*PORTS, "--dccp-types", "--dccp-option"]), aliases=LONG_PORTS
        ),
        tracks=False, protocols=("dccp",), implied=True, why=BODY,
    ),
    _opaque(
        "devgroup", Grammar(
            {"--src-group": named_hex, "--dst-group": named_hex}, frozenset(["--src-group", "--dst-group"]), some=True
        ),
        tracks=False, why=mark("groups of devices are not modelled"),
    ),
    _opaque(
        "esp", Grammar({"--espspi": span(0xFFFFFFFF, mark("an SPI"))}, frozenset(["--espspi"])),
        tracks=False, protocols=("esp",), implied=True, why=BODY,
    ),
    _opaque(
        "hashlimit", Grammar({
            "--hashlimit-upto": hash_rate, "--hashlimit-above": hash_rate, "--hashlimit-burst": byte_burst,
            "--hashlimit-mode": several(
                mark("srcip, srcport, dstip or dstport"), "srcip", "srcport", "dstip", "dstport"
            ),
            "--hashlimit-name": text, "--hashlimit-htable-size": number(), "--hashlimit-htable-max": number(),
            "--hashlimit-htable-gcinterval": number(), "--hashlimit-htable-expire": number(),
            "--hashlimit-srcmask": number(0, 32), "--hashlimit-dstmask": number(0, 32), "--hashlimit-rate-match": flag,
            "--hashlimit-rate-interval": number(1),
        }, frozenset(["--hashlimit-upto", "--hashlimit-above"]), ("--hashlimit-name",),
        unprinted=frozenset(["--hashlimit-rate-interval 1"]), aliases={"--hashlimit": "--hashlimit-upto"},
        finish=hashlimit),
        tracks=False, why=mark("buckets by address are not modelled"),
    ),
    _opaque(
        "ipcomp", Grammar(
            {"--ipcompspi": span(0xFFFFFFFF, mark("an SPI")), "--compres": flag}, frozenset(["--ipcompspi"])
        ),
        tracks=False, protocols=("ipcomp",), implied=True, why=BODY,
    ),
    _opaque(
        "ipvs", Grammar({
            "--ipvs": flag, "--vproto": number(0, 255), "--vaddr": prefix, "--vport": number(0, 65535),
            "--vdir": choice("ORIGINAL", "REPLY"), "--vmethod": choice("GATE", "IPIP", "MASQ"),
            "--vportctl": number(0, 65535),
        }, frozenset(["--ipvs", "--vproto", "--vaddr", "--vport", "--vmethod", "--vportctl"])),
        tracks=False, why=mark("IPVS is not modelled"),
    ),
    _opaque(
        "mac", Grammar({"--mac-source": mac}, frozenset(["--mac-source"]), ("--mac-source",)),
        tracks=False, why=mark("a rule does not see the frame a packet came in"),
    ),
    _opaque(
        "osf", Grammar(
            {"--genre": text, "--ttl": number(0, 2), "--log": number(0, 2)}, frozenset(["--genre"]), ("--genre",)
        ),
        tracks=False, protocols=("tcp",), why=mark("fingerprints of operating systems are not modelled"),
    ),
    _opaque(
        "owner", Grammar(
            {"--socket-exists": flag, "--uid-owner": one_or_range, "--gid-owner": one_or_range, "--suppl-groups": flag},
            frozenset(["--socket-exists", "--uid-owner", "--gid-owner"]), some=True
        ),
        tracks=False, hooks=("OUTPUT", "POSTROUTING"), why=mark("who sends a packet is not modelled"),
    ),
    _opaque(
        "policy", Grammar(
            {"--dir": choice("in", "out"), "--pol": choice("none", "ipsec"), "--strict": flag}, finish=policy
        ),
        tracks=False, why=mark("IPsec is not modelled"),
    ),
    _opaque(
        "rateest", Grammar({
            "--rateest-delta": flag, "--rateest": text, "--rateest1": text,
            "--rateest-bps": RATE, "--rateest-pps": RATE,
            "--rateest-bps1": RATE, "--rateest-pps1": RATE, "--rateest-lt": flag, "--rateest-gt": flag,
            "--rateest-eq": flag, "--rateest2": text, "--rateest-bps2": RATE, "--rateest-pps2": RATE,
        }, frozenset(["--rateest-lt", "--rateest-gt", "--rateest-eq"])),
        tracks=False, why=mark("rates are not estimated"),
    ),
    _opaque(
        "realm", Grammar({"--realm": named_hex}, frozenset(["--realm"]), ("--realm",)),
        tracks=False, why=mark("realms of routes are not modelled"),
    ),
    _opaque(
        "sctp", Grammar(
            {**PORTS, "--chunk-types": chunks}, frozenset(["--sport", "--dport", "--chunk-types"]),
            aliases=LONG_PORTS
        ),
        tracks=False, protocols=("sctp",), implied=True, why=BODY,
    ),
    _opaque(
        "string", Grammar({
            "--string": any_word(mark("a pattern")), "--hex-string": any_word(mark("a pattern")),
            "--algo": choice("bm", "kmp"), "--from": number(0, 65535), "--to": number(0, 65535), "--icase": flag,
        }, frozenset(["--string", "--hex-string"]), ("--algo",), finish=pattern_text),
        tracks=False, why=BYTES,
    ),
    _opaque(
        "tcpmss", Grammar({"--mss": span(65535)}, frozenset(["--mss"]), ("--mss",)),
        tracks=False, protocols=("tcp",), why=mark("the maximum segment size of SYN segments is not modelled"),
    ),
    _opaque(
        "time", Grammar({
            "--timestart": clock, "--timestop": clock, "--monthdays": month_days, "--weekdays": week,
            "--datestart": date,
            "--datestop": date, "--kerneltz": flag, "--contiguous": flag, "--utc": flag,
        }, frozenset(["--monthdays", "--weekdays"]), defaults={"--datestop": "2038-01-19T03:14:07"}, finish=moments),
        tracks=False, why=mark("a run has no date and no time of day"),
    ),
    _opaque("u32", Grammar({"--u32": program}, frozenset(["--u32"]), ("--u32",)), tracks=False, why=BYTES),
)  # fmt: skip
"""What is declared of each of them."""


@dataclass(frozen=True, slots=True)
class OpaqueMatch(Match):
    """`-m NAME OPTIONS`, kept as iptables-save prints it; `gap` says what the model lacks."""

    records = OPAQUE_MATCHES

    named = "name"
    name: str
    words: str = ""

    @property
    def gap(self) -> Gap:
        """What the model lacks."""
        return Gap(self.record.why, refused=True)

    def test(self) -> Test:
        """Refuse every packet that reaches the match."""
        return self._refuse

    def _refuse(self, packet: Packet, at: Context) -> NoReturn:
        self.gap.meet(tr("match {text} when a packet reaches it: ", text=self._text()))

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that the match decides, and why the model cannot."""
        return tr("match {name} decides; {why}", name=self.name, why=self.gap.why)

    def _text(self) -> str:
        return f"{self.name} ({self.words})" if self.words else self.name
