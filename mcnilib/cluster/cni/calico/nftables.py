"""Calico's nftables mode, 3.30 and later: the table `ip calico`, in the words of `nft list ruleset`.

The rules are those of the iptables mode in another spelling, in one table: names of chains begin with that of the table
in iptables (`filter-cali-FORWARD`), a pod's chain is found by a map of devices, sets stand in the table. Each hash
covers the rule as Felix spells it, without chain and comment, and the hash before.
Source: felix/nftables/*.go, v3.30 to v3.32 and the branch of 3.33; hashes agree with felix/fv/cali-nftables-dump.txt.
Derived: the order of sets and chains; how tunnel packets are kept out of connection tracking; that the jump of nat
POSTROUTING counts as appended. Not written: `table arp calico-arp` (from 3.32), as ARP is asked no rule.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha224

from mcnilib.cluster.cni.calico.hashes import APPENDED, FelixChain, FelixRule
from mcnilib.linux.netfilter.ipset import IpSet
from mcnilib.linux.netfilter.nftables.rule import NftTable
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset

_FULL = 0xFFFFFFFF

BASE_CHAINS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "filter": tuple((hook, "filter", "filter") for hook in ("INPUT", "FORWARD", "OUTPUT")),
    "nat": (
        ("PREROUTING", "nat", "dstnat"),
        ("INPUT", "nat", "-100"),
        ("OUTPUT", "nat", "110"),
        ("POSTROUTING", "nat", "srcnat + 10"),
    ),
    "mangle": (
        *((hook, "filter", "mangle") for hook in ("PREROUTING", "INPUT", "FORWARD")),
        ("OUTPUT", "route", "mangle"),
        ("POSTROUTING", "filter", "mangle"),
    ),
    "raw": tuple((hook, "filter", "raw") for hook in ("PREROUTING", "OUTPUT")),
}
"""The base chains of each layer: hook, type and priority as nft prints it. All are there, also without rules."""

DISPATCH_CHAINS = {"cali-from-wl-dispatch": "iifname", "cali-to-wl-dispatch": "oifname"}
"""The chains that find a pod's own chain by a map, and by which device."""


def calico_table(chains: Mapping[str, Iterable[FelixChain]], sets: Iterable[IpSet]) -> NftTable:
    """Return the table of a node, given Felix's chains by the table of iptables they stand in, and its sets."""
    text = "\n".join(("table ip calico {", *_sets(sets), *_maps(chains["filter"]), *_bases(chains), *_own(chains), "}"))
    return read_ruleset(text, "calico")[0]


def _sets(sets: Iterable[IpSet]) -> Iterator[str]:
    for found in sets:
        yield f"\tset {found.name.replace(':', '-')} {{"
        yield "\t\ttype ipv4_addr"
        yield from ("\t\tflags interval",) if found.type == "hash:net" else ()
        members = ", ".join(str(member).removesuffix("/32") for member in found.members)
        yield from (f"\t\telements = {{ {members} }}",) if members else ()
        yield "\t}"


def _maps(chains: Iterable[FelixChain]) -> Iterator[str]:
    for chain in chains:
        if chain.name in DISPATCH_CHAINS:
            goes = (rule for rule in chain.rules if "--goto" in rule.action)
            pairs = (f"{rule.match} {rule.action}".split() for rule in goes)
            members = ", ".join(f'"{device}" : goto filter-{target}' for _, device, _, target in pairs)
            yield f"\tmap filter-{chain.name} {{"
            yield "\t\ttype ifname : verdict"
            yield from (f"\t\telements = {{ {members} }}",) if members else ()
            yield "\t}"


def _bases(chains: Mapping[str, Iterable[FelixChain]]) -> Iterator[str]:
    for layer, hooks in BASE_CHAINS.items():
        by_name = {chain.name: chain for chain in chains[layer]}
        for hook, kind, priority in hooks:
            yield f"\tchain {layer}-{hook} {{"
            yield f"\t\ttype {kind} hook {hook.lower()} priority {priority}; policy accept;"
            for name in (hook, hook + APPENDED):
                yield from _rules(layer, by_name.get(name, FelixChain(name)))
            yield "\t}"


def _own(chains: Mapping[str, Iterable[FelixChain]]) -> Iterator[str]:
    for layer in BASE_CHAINS:
        for chain in chains[layer]:
            if chain.name.startswith("cali-"):
                yield f"\tchain {layer}-{chain.name} {{"
                yield from _rules(layer, chain)
                yield "\t}"


def _rules(layer: str, chain: FelixChain) -> Iterator[str]:
    digest = sha224(f"{layer}-{chain.name}".encode()).digest()
    for text, comment in _spelled(layer, chain):
        digest = sha224(digest + text.encode()).digest()
        hashed = urlsafe_b64encode(digest).decode()[:16]
        yield f'\t\t{as_nft_lists(text)} comment "cali:{hashed};{f" {comment}" if comment else ""}"'


def _spelled(layer: str, chain: FelixChain) -> Iterator[tuple[str, str]]:
    """Yield each rule as Felix spells it, and its comment."""
    rules = chain.rules
    if device := DISPATCH_CHAINS.get(chain.name):
        yield f"{device} vmap @{layer}-{chain.name}", ""
        rules = rules[-1:]
    for rule in rules:
        yield as_felix_spells(layer, rule), rule.comment


def as_felix_spells(layer: str, rule: FelixRule) -> str:
    """Return a rule in Felix's words for nftables."""
    if not rule.action:
        return "continue"
    match, before = rule.match, ""
    for pattern, words in _MATCHES:
        match = pattern.sub(words, match)
    return " ".join(filter(None, (before, match.strip(), "counter", _action(layer, rule.action))))


def _mark_test(found: re.Match[str]) -> str:
    no, value, mask = found.groups()
    wanted = "0" if value == "0" else value
    return f"meta mark & {mask} {'!=' if no else '=='} {wanted}"


def _ports(found: re.Match[str]) -> str:
    proto, between, ports = found.groups()
    name = {"17": "udp"}.get(proto, proto)
    numbers = ", ".join(port.replace(":", "-") for port in ports.split(","))
    return f"meta l4proto {proto}{between}{name} dport {{ {numbers} }}"


def _set_test(found: re.Match[str]) -> str:
    no, name, end = found.groups()
    return f"ip {'saddr' if end == 'src' else 'daddr'} {'!= ' if no else ''}@{name.replace(':', '-')}"


_Words = str | Callable[[re.Match[str]], str]

_MATCHES: tuple[tuple[re.Pattern[str], _Words], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"-p (\w+)( .*?)-m multiport --destination-ports (\S+)", _ports),
        (r"-p udp --dport (\d+)", r"meta l4proto udp udp dport \1"),
        (r"-p (\w+)", r"meta l4proto \1"),
        (r"-m mark (! )?--mark (\w+)/(\w+)", _mark_test),
        (r"-m conntrack --ctstate RELATED,ESTABLISHED", "ct state related,established"),
        (r"-m conntrack --ctstate INVALID", "ct state invalid"),
        (r"-m conntrack ! --ctstate DNAT", "ct status != dnat"),
        (r"-m conntrack --ctstate DNAT", "ct status dnat"),
        (r"-m set (! )?--match-set (\S+) (src|dst)", _set_test),
        (r"-m addrtype ! --src-type LOCAL --limit-iface-out", "fib saddr . oif type != local"),
        (r"-m addrtype --src-type LOCAL", "fib saddr type local"),
        (r"-m addrtype --dst-type LOCAL", "fib daddr type local"),
        (r"-m rpfilter --invert --validmark", "fib saddr . mark . iif oif 0"),
        (r"--source (\S+)", r"ip saddr \1"),
        (r"--destination (\S+)", r"ip daddr \1"),
        (r"--in-interface (\S+?)(\+?)(?= |$)", lambda found: f"iifname {found[1]}{'*' if found[2] else ''}"),
        (r"--out-interface (\S+?)(\+?)(?= |$)", lambda found: f"oifname {found[1]}{'*' if found[2] else ''}"),
    )
)


def _action(layer: str, action: str) -> str:
    kind, target, *more = action.split(" ")
    if kind == "--goto" or target.startswith("cali-"):
        return f"{kind.removeprefix('--')} {layer}-{target}"
    match target:
        case "MARK":
            return _set_mark(more[1])
        case "MASQUERADE":
            ports = f" to :{more[more.index('--to-ports') + 1]}" if "--to-ports" in more else ""
            return f"masquerade{ports} fully-random"
        case "NFLOG":
            return f'log prefix "{more[3]}" snaplen {more[5]} group {more[1]}'
    return target.lower()


def _set_mark(words: str) -> str:
    value, mask = (int(word, 0) for word in words.split("/"))
    if not value:
        return f"meta mark set mark & {_FULL & ~mask:#x}"
    if value == mask:
        return f"meta mark set mark or {value:#x}"
    return f"meta mark set mark & {_FULL & ~mask:#x} ^ {value:#x}"


def as_nft_lists(text: str) -> str:
    """Return a rule as nft prints it, given as Felix spells it."""
    for pattern, words in _LISTED:
        text = pattern.sub(words, text)
    return text


def _masked(found: re.Match[str]) -> str:
    kept, bit = int(found[1], 16), int(found[2], 16)
    return f"meta mark set meta mark & {kept | bit:#010x} | {bit:#010x}"


_LISTED: tuple[tuple[re.Pattern[str], _Words], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        ("ct state related,established", "ct state established,related"),
        (r"meta mark set mark & (0x\w+) \^ (0x\w+)", _masked),
        (r"meta mark set mark & ", "meta mark set meta mark & "),
        (r"meta mark set mark or (0x\w+)", lambda found: f"meta mark set meta mark | {int(found[1], 16):#010x}"),
        (
            r"meta mark & (0x\w+) (==|!=) (\w+)",
            lambda found: f"meta mark & {int(found[1], 16):#010x} {found[2]} {int(found[3], 0):#010x}",
        ),
        (r"(iifname|oifname) (?!vmap)(\S+)", r'\1 "\2"'),
        (r"meta l4proto \w+ (.*?)(udp|tcp|sctp) dport", r"\1\2 dport"),
        (r"dport \{ (\S+) \}", r"dport \1"),
        (r"meta l4proto 4\b", "meta l4proto ipencap"),
        (r"log prefix (\S+) snaplen (\d+) group (\d+)", r"log prefix \1 group \3 snaplen \2"),
    )
)
