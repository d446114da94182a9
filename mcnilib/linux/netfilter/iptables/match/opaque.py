"""The matches that are kept as text: what each reads, how iptables-save prints it, and why a packet is refused.

Those whose text is more than a list of options are in `kept_special`.
Source: iptables-extensions(8); extensions/lib{xt,ipt}_*.c (iptables 1.8.9).
"""

from __future__ import annotations

from mcnilib.linux.netfilter.iptables.extension import KeptMatch
from mcnilib.linux.netfilter.iptables.grammar import (
    Grammar,
    choice,
    device,
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
from mcnilib.linux.netfilter.iptables.match.opaque_special import SPECIAL
from mcnilib.linux.netfilter.iptables.words import RuleWords

BODY = "packets of this protocol have no body here"

DCCP_TYPES = (
    "REQUEST", "RESPONSE", "DATA", "ACK", "DATAACK", "CLOSEREQ", "CLOSE", "RESET", "SYNC", "SYNCACK", "INVALID",
)  # fmt: skip

PORTS = {"--sport": span(65535, "a port"), "--dport": span(65535, "a port")}

LONG_PORTS = {"--source-port": "--sport", "--destination-port": "--dport"}

IDS = word(r"\d{1,10}(-\d{1,10})?", "a number or a range of numbers")

RATE = word(r"\d+(\.\d+)?[A-Za-z]*", "a rate")


def _node_mask(words: RuleWords) -> str:
    """Read the mask of nodes, or the number of one of them."""
    if words.last == "--cluster-local-node":
        return f"0x{1 << (words.number('a node', 1, 32) - 1):08x}"
    return hexadecimal(8)(words)


def _one_or_range(words: RuleWords) -> str:
    low, _, high = IDS(words).partition("-")
    return low if high in ("", low) else f"{low}-{high}"


def _from_to(words: RuleWords) -> str:
    """Read FROM or FROM:TO, 64 bits each."""
    low, _, high = word(r"\d{0,20}(:\d{0,20})?", "a number or a range")(words).partition(":")
    return f"{int(low or 0)}:{int(high)}" if high else str(int(low or 0))


def _label(words: RuleWords) -> str:
    """Read the number of a label, or a name."""
    found = words.take("a label")
    if found.isdecimal():
        words.as_number(found, "a label", 0, 127)
    return f'"{found}"'


def _bytecode(words: RuleWords) -> str:
    return f'"{word(r"[0-9]+(,[0-9]+ [0-9]+ [0-9]+ [0-9]+)+", "a program of the classic packet filter")(words)}"'


MATCHES = {
    "ah": Grammar({"--ahspi": span(0xFFFFFFFF, "an SPI")}, frozenset(["--ahspi"]), protocols=("ah",), why=BODY),
    "bpf": Grammar({"--bytecode": _bytecode, "--object-pinned": text}, why="a program decides that looks at bytes"),
    "cgroup": Grammar(
        {"--path": in_quotes, "--cgroup": number()},
        frozenset(["--path", "--cgroup"]),
        why="processes and their groups are not modelled",
    ),
    "cluster": Grammar(
        {
            "--cluster-local-nodemask": _node_mask,
            "--cluster-total-nodes": number(1, 32),
            "--cluster-hash-seed": hexadecimal(8),
        },
        frozenset(["--cluster-local-nodemask"]),
        ("--cluster-local-nodemask", "--cluster-total-nodes", "--cluster-hash-seed"),
        aliases={"--cluster-local-node": "--cluster-local-nodemask"},
        why="the kernel's hash of addresses is not computed",
    ),
    "connbytes": Grammar(
        {
            "--connbytes": _from_to,
            "--connbytes-mode": choice("packets", "bytes", "avgpkt"),
            "--connbytes-dir": choice("original", "reply", "both"),
        },
        frozenset(["--connbytes"]),
        ("--connbytes", "--connbytes-mode", "--connbytes-dir"),
        why="connections do not count their packets and bytes",
    ),
    "connlabel": Grammar(
        {"--label": _label, "--set": flag}, frozenset(["--label"]), ("--label",),
        why="labels of connections are not modelled",
    ),
    "cpu": Grammar({"--cpu": number()}, frozenset(["--cpu"]), ("--cpu",), why="CPUs are not modelled"),
    "dccp": Grammar(
        {**PORTS, "--dccp-types": several("a type of DCCP packets", *DCCP_TYPES), "--dccp-option": number(1, 255)},
        frozenset([*PORTS, "--dccp-types", "--dccp-option"]), aliases=LONG_PORTS, protocols=("dccp",), why=BODY,
    ),
    "devgroup": Grammar(
        {"--src-group": named_hex, "--dst-group": named_hex}, frozenset(["--src-group", "--dst-group"]),
        some=True, why="groups of devices are not modelled",
    ),
    "esp": Grammar({"--espspi": span(0xFFFFFFFF, "an SPI")}, frozenset(["--espspi"]), protocols=("esp",), why=BODY),
    "ipcomp": Grammar(
        {"--ipcompspi": span(0xFFFFFFFF, "an SPI"), "--compres": flag}, frozenset(["--ipcompspi"]),
        protocols=("ipcomp",), why=BODY,
    ),
    "ipvs": Grammar(
        {
            "--ipvs": flag, "--vproto": number(0, 255), "--vaddr": prefix, "--vport": number(0, 65535),
            "--vdir": choice("ORIGINAL", "REPLY"), "--vmethod": choice("GATE", "IPIP", "MASQ"),
            "--vportctl": number(0, 65535),
        },
        frozenset(["--ipvs", "--vproto", "--vaddr", "--vport", "--vmethod", "--vportctl"]),
        why="IPVS is not modelled",
    ),
    "mac": Grammar(
        {"--mac-source": mac}, frozenset(["--mac-source"]), ("--mac-source",),
        why="a rule does not see the frame a packet came in",
    ),
    "osf": Grammar(
        {"--genre": text, "--ttl": number(0, 2), "--log": number(0, 2)}, frozenset(["--genre"]), ("--genre",),
        protocols=("tcp",), why="fingerprints of operating systems are not modelled",
    ),
    "owner": Grammar(
        {"--socket-exists": flag, "--uid-owner": _one_or_range, "--gid-owner": _one_or_range, "--suppl-groups": flag},
        frozenset(["--socket-exists", "--uid-owner", "--gid-owner"]), some=True,
        why="who sends a packet is not modelled",
    ),
    "physdev": Grammar(
        {
            "--physdev-is-in": flag, "--physdev-in": device, "--physdev-is-out": flag, "--physdev-out": device,
            "--physdev-is-bridged": flag,
        },
        frozenset(
            ["--physdev-is-in", "--physdev-in", "--physdev-is-out", "--physdev-out", "--physdev-is-bridged"]
        ),
        some=True, why="iptables on bridged packets (br_netfilter) is not modelled",
    ),
    "rateest": Grammar(
        {
            "--rateest-delta": flag, "--rateest": text, "--rateest1": text,
            "--rateest-bps": RATE, "--rateest-pps": RATE,
            "--rateest-bps1": RATE, "--rateest-pps1": RATE, "--rateest-lt": flag, "--rateest-gt": flag,
            "--rateest-eq": flag, "--rateest2": text, "--rateest-bps2": RATE, "--rateest-pps2": RATE,
        },
        frozenset(["--rateest-lt", "--rateest-gt", "--rateest-eq"]), why="rates are not estimated",
    ),
    "realm": Grammar(
        {"--realm": named_hex}, frozenset(["--realm"]), ("--realm",), why="realms of routes are not modelled"
    ),
    "socket": Grammar(
        {"--transparent": flag, "--nowildcard": flag, "--restore-skmark": flag},
        why="rules do not look for sockets",
    ),
    "tcpmss": Grammar(
        {"--mss": span(65535)}, frozenset(["--mss"]), ("--mss",), protocols=("tcp",),
        why="the maximum segment size of SYN segments is not modelled",
    ),
}  # fmt: skip
"""Matches kept as text."""

PROTOCOLS = {name: grammar.protocols for name, grammar in MATCHES.items() if grammar.protocols} | {"sctp": ("sctp",)}
"""Protocols that a rule with a kept match must ask for."""

IMPLIED = {
    "ah": ("--ahspi",), "esp": ("--espspi",), "ipcomp": ("--ipcompspi", "--compres"),
    "dccp": (*PORTS, *LONG_PORTS, "--dccp-types", "--dccp-option"), "sctp": (*PORTS, *LONG_PORTS, "--chunk-types"),
}  # fmt: skip
"""Options that may follow `-p NAME` without `-m NAME`."""


def read_kept_match(words: RuleWords, name: str) -> KeptMatch | None:
    """Read the options of a match that is kept; None for a name that is not known. Raises: StateSyntaxError."""
    if name in SPECIAL:
        why, read = SPECIAL[name]
        return KeptMatch(name, read(words), why)
    grammar = MATCHES.get(name)
    return KeptMatch(name, grammar.text(grammar.read(words, name)), grammar.why) if grammar else None
