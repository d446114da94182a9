"""What each match and target declares: one literal table, and how to ask the code for the same.

It is asked by its behaviour, so that it does not matter in which register a property is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from ipaddress import IPv4Address, IPv4Network
from pkgutil import walk_packages
from typing import Any, NamedTuple

import pytest
from rule_facts import in_table

from mcnilib import linux
from mcnilib.errors import McniError, StateSyntaxError
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.hooks import BUILT_IN
from mcnilib.linux.netfilter.iptables.extension import Extension, Match, Target
from mcnilib.linux.netfilter.iptables.match.header import Destination, HeaderMatch, NameMatch, NetworkMatch
from mcnilib.linux.netfilter.iptables.match.opaque import OPAQUE_MATCHES, OpaqueMatch
from mcnilib.linux.netfilter.iptables.match.stateful import Remembering
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule
from mcnilib.linux.netfilter.iptables.rule_text import MATCH_NAMES, MATCHES, TARGET_NAMES, TARGETS
from mcnilib.linux.netfilter.iptables.save import parse_rule, parse_tables
from mcnilib.linux.netfilter.iptables.target.nat import Nat
from mcnilib.linux.netfilter.iptables.target.opaque import OPAQUE_TARGETS, OpaqueTarget
from mcnilib.linux.netfilter.iptables.target.verdict import Jump
from mcnilib.linux.netns import Family
from mcnilib.linux.packet import Packet

EVERY_TABLE = "raw mangle nat filter security"
EVERY_HOOK = "PREROUTING INPUT FORWARD OUTPUT POSTROUTING"
PROTOCOLS = ("tcp", "udp", "udplite", "icmp", "dccp", "sctp", "ah", "esp", "ipcomp")
PACKET = Packet(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"), "udp", 5, 6)


HEADERS = ("Source", "Destination", "InInterface", "OutInterface", "ProtocolMatch", "Fragment", "MaskedAddress")


class Facts(NamedTuple):
    """What a match or target declares."""

    kind: str  # its class
    tables: str = EVERY_TABLE
    hooks: str = EVERY_HOOK
    protocols: str = ""  # a rule must ask for one of these
    implied: bool = False  # its options may follow `-p PROTOCOL` without `-m NAME`
    pure: bool = False  # passing it over, or asking twice, is harmless: a long chain looks its rules up
    undecided: bool = False  # chance, memory or what is not modelled decides: not asked again to say why
    remembers: bool = False  # two equal rules differ
    tracks: bool = False  # makes the kernel track connections
    changes: bool = False  # the packet, or its connection's mark
    ends: str | None = None  # the verdict with which the rule ends its table


DECLARED = {
    # the header of a packet
    "-s 10.0.0.0/8": Facts("Source", pure=True),
    "-d 10.0.0.0/8": Facts("Destination", pure=True),
    "-i eth0": Facts("InInterface", hooks="PREROUTING INPUT FORWARD", pure=True),
    "-p tcp": Facts("ProtocolMatch", pure=True),
    "-f": Facts("Fragment", pure=True),
    "-s 0.0.0.3/0.0.0.3": Facts("MaskedAddress", pure=True),
    "-o eth0": Facts("OutInterface", hooks="FORWARD OUTPUT POSTROUTING", pure=True),
    # matches that are modelled
    "-m addrtype --dst-type LOCAL": Facts("AddrType"),
    "-m addrtype --dst-type LOCAL --limit-iface-in": Facts("AddrType", hooks="PREROUTING INPUT FORWARD"),
    "-m addrtype --src-type LOCAL --limit-iface-out": Facts("AddrType", hooks="FORWARD OUTPUT POSTROUTING"),
    "-m comment --comment x": Facts("Comment", pure=True),
    "-m connmark --mark 1": Facts("ConnmarkIs", pure=True, tracks=True),
    "-m conntrack --ctexpire 1:100": Facts("ConntrackIs", tracks=True),
    "-m conntrack --ctstate NEW": Facts("ConntrackIs", pure=True, tracks=True),
    "-m dscp --dscp 0x0a": Facts("Dscp", pure=True),
    "-m ecn ! --ecn-tcp-ece --ecn-tcp-cwr --ecn-ip-ect 2": Facts("Ecn", protocols="tcp", pure=True),
    "-m ecn ! --ecn-ip-ect 3": Facts("Ecn", pure=True),
    "-m helper ! --helper ftp": Facts("Helper", pure=True, tracks=True),
    "-m icmp --icmp-type 8": Facts("IcmpType", protocols="icmp", implied=True, pure=True),
    "-m iprange --src-range 10.0.0.1-10.0.0.9 ! --dst-range 1.1.1.1-2.2.2.2": Facts("IpRange", pure=True),
    "-m length --length 100": Facts("Length"),
    "-m limit --limit 5/min": Facts("Limit", undecided=True, remembers=True),
    "-m mark --mark 1": Facts("MarkIs", pure=True),
    "-m multiport --dports 1,2": Facts("Multiport", protocols="tcp udp udplite dccp sctp", pure=True),
    "-m nfacct --nfacct-name x": Facts("NfAcct", pure=True),
    "-m pkttype --pkt-type broadcast": Facts("PacketType"),
    "-m quota ! --quota 500": Facts("Quota", undecided=True, remembers=True),
    "-m recent --set --name DEFAULT --mask 255.255.255.255 --rsource": Facts("Recent", undecided=True, remembers=True),
    "-m rpfilter": Facts("RpFilter", tables="raw mangle", hooks="PREROUTING"),
    "-m set --match-set some src --return-nomatch": Facts("InSet"),
    "-m socket --transparent": Facts("SocketMatch", hooks="PREROUTING INPUT", undecided=True),
    "-m state --state NEW": Facts("ConntrackIs", pure=True, tracks=True),
    "-m statistic --mode random --probability 0.5": Facts("Statistic", undecided=True),
    "-m statistic --mode nth --every 2 --packet 0": Facts("Nth", undecided=True, remembers=True),
    "-m physdev --physdev-in eth0 ! --physdev-out eth1 --physdev-is-bridged": Facts("PhysDev", pure=True),
    "-m tcp --dport 5 ! --tcp-option 2 --tcp-flags FIN,SYN,RST,ACK SYN": Facts("Ports", protocols="tcp", implied=True, pure=True),
    "-m tcp --dport 80": Facts("Ports", protocols="tcp", implied=True, pure=True),
    "-m tos --tos 0x10/0xff": Facts("Tos", pure=True),
    "-m ttl --ttl-eq 64": Facts("Ttl", pure=True),
    "-m udp --sport 80": Facts("Ports", protocols="udp", implied=True, pure=True),
    # matches that are kept as text
    "-m ah ! --ahspi 5:500": Facts("OpaqueMatch", protocols="ah", implied=True, undecided=True),
    '-m bpf --bytecode "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0"': Facts("OpaqueMatch", undecided=True),
    "-m cgroup ! --cgroup 1": Facts("OpaqueMatch", undecided=True),
    "-m cluster ! --cluster-local-nodemask 0x00000001 --cluster-total-nodes 2 --cluster-hash-seed 0xdeadbeef": Facts("OpaqueMatch", undecided=True, tracks=True),
    "-m connbytes --connbytes 10000:100000 --connbytes-mode bytes --connbytes-dir both": Facts("OpaqueMatch", undecided=True, tracks=True),
    '-m connlabel ! --label "40" --set': Facts("OpaqueMatch", undecided=True, tracks=True),
    "-m connlimit --connlimit-above 2 --connlimit-mask 32 --connlimit-saddr": Facts("OpaqueMatch", undecided=True, tracks=True),
    "-m cpu ! --cpu 1": Facts("OpaqueMatch", undecided=True),
    "-m dccp --sport 5:6 ! --dport 7": Facts("OpaqueMatch", protocols="dccp", implied=True, undecided=True),
    "-m dccp --sport 5": Facts("OpaqueMatch", protocols="dccp", implied=True, undecided=True),
    "-m devgroup ! --src-group 0x1 --dst-group 0x2/0xf": Facts("OpaqueMatch", undecided=True),
    "-m esp ! --espspi 1:2": Facts("OpaqueMatch", protocols="esp", implied=True, undecided=True),
    "-m hashlimit --hashlimit-upto 10/sec --hashlimit-burst 5 --hashlimit-name a": Facts("OpaqueMatch", undecided=True),
    "-m ipcomp --ipcompspi 5:6": Facts("OpaqueMatch", protocols="ipcomp", implied=True, undecided=True),
    "-m ipvs --ipvs --vproto 6 ! --vaddr 10.0.0.1 --vport 80 --vdir ORIGINAL --vmethod MASQ --vportctl 21": Facts("OpaqueMatch", undecided=True),
    "-m mac --mac-source 0a:1b:2c:3d:4e:5f": Facts("OpaqueMatch", undecided=True),
    "-m osf --genre Linux --ttl 0 --log 1": Facts("OpaqueMatch", protocols="tcp", undecided=True),
    "-m owner --uid-owner 1000": Facts("OpaqueMatch", hooks="OUTPUT POSTROUTING", undecided=True),
    "-m policy --dir in --pol ipsec --strict --reqid 5 --spi 0x10 --proto esp --mode tunnel ! --tunnel-dst 2.2.2.0/24 --tunnel-src 1.1.1.1 --next ! --reqid 7": Facts("OpaqueMatch", undecided=True),
    "-m rateest --rateest RE1 --rateest-bps 8bit --rateest-lt": Facts("OpaqueMatch", undecided=True),
    "-m realm ! --realm 0x1/0x2a": Facts("OpaqueMatch", undecided=True),
    "-m sctp --sport 5:6 ! --dport 7": Facts("OpaqueMatch", protocols="sctp", implied=True, undecided=True),
    "-m sctp --dport 7": Facts("OpaqueMatch", protocols="sctp", implied=True, undecided=True),
    '-m string --string "GET" --algo bm': Facts("OpaqueMatch", undecided=True),
    "-m tcpmss --mss 536:1460": Facts("OpaqueMatch", protocols="tcp", undecided=True),
    "-m time --datestop 2038-01-19T03:14:07": Facts("OpaqueMatch", undecided=True),
    '-m u32 --u32 "0x6&0xff=0x1&&0x4&0x3fff=0x0&&0x0>>0x16&0x3c@0x0>>0x18=0x0"': Facts("OpaqueMatch", undecided=True),
    # targets that are modelled
    "-j CT --notrack --zone 5": Facts("Notrack", tables="raw", hooks="PREROUTING OUTPUT"),
    "-j DNAT --to-destination 10.0.0.1-10.0.0.9": Facts("Dnat", tables="nat", hooks="PREROUTING OUTPUT", tracks=True, ends="ACCEPT"),
    "-j DNAT --to-destination 10.0.0.1:80": Facts("Dnat", tables="nat", hooks="PREROUTING OUTPUT", protocols="tcp udp udplite dccp sctp", tracks=True, ends="ACCEPT"),
    "-j DSCP --set-dscp 0x0a": Facts("SetDscp", tables="mangle", changes=True),
    "-j MASQUERADE --to-ports 1024-2000": Facts("Masquerade", tables="nat", hooks="POSTROUTING", protocols="tcp udp udplite dccp sctp", tracks=True, ends="ACCEPT"),
    "-j MASQUERADE --random": Facts("Masquerade", tables="nat", hooks="POSTROUTING", tracks=True, ends="ACCEPT"),
    "-j NETMAP --to 10.2.0.0/16": Facts("Netmap", tables="nat", hooks="PREROUTING INPUT OUTPUT POSTROUTING", tracks=True, ends="ACCEPT"),
    "-j NFLOG": Facts("Log"),
    "-j REDIRECT --to-ports 80": Facts("Redirect", tables="nat", hooks="PREROUTING OUTPUT", protocols="tcp udp udplite dccp sctp", tracks=True, ends="ACCEPT"),
    "-j REDIRECT": Facts("Redirect", tables="nat", hooks="PREROUTING OUTPUT", tracks=True, ends="ACCEPT"),
    "-j REJECT --reject-with icmp-net-unreachable": Facts("Reject", tables="filter", hooks="INPUT FORWARD OUTPUT", ends="DROP"),
    "-j SNAT --to-source 10.0.0.1-10.0.0.9": Facts("Snat", tables="nat", hooks="INPUT POSTROUTING", tracks=True, ends="ACCEPT"),
    "-j SNAT --to-source 10.0.0.1:1000-2000 --random --random-fully --persistent": Facts("Snat", tables="nat", hooks="INPUT POSTROUTING", protocols="tcp udp udplite dccp sctp", tracks=True, ends="ACCEPT"),
    "-j TOS --set-tos 0x10/0xff": Facts("SetTos", tables="mangle", changes=True),
    "-j TPROXY --on-port 15001 --on-ip 127.0.0.1 --tproxy-mark 0x1/0x1": Facts("Tproxy", tables="mangle", hooks="PREROUTING", protocols="tcp udp", changes=True, ends="ACCEPT"),
    "-j TTL --ttl-set 64": Facts("SetTtl", tables="mangle", changes=True),
    "-j ACCEPT": Facts("StandardTarget", ends="ACCEPT"),
    "-j DROP": Facts("StandardTarget", tables="raw mangle filter security", ends="DROP"),
    "-j RETURN": Facts("StandardTarget"),
    "-j X": Facts("Jump"),
    "-g X": Facts("Jump"),
    "-j MARK --set-mark 1": Facts("Mark", changes=True),
    "-j CONNMARK --save-mark": Facts("Connmark", tracks=True, changes=True),
    "-j CONNMARK --restore-mark": Facts("Connmark", tracks=True, changes=True),
    "-j CONNMARK --set-mark 1": Facts("Connmark", tracks=True, changes=True),
    "-j LOG": Facts("Log"),
    "-j TRACE": Facts("Log"),
    "-j NOTRACK": Facts("Notrack", tables="raw", hooks="PREROUTING OUTPUT"),
    "-j REJECT --reject-with tcp-reset": Facts("Reject", tables="filter", hooks="INPUT FORWARD OUTPUT", protocols="tcp", ends="DROP"),
    "-j MASQUERADE": Facts("Masquerade", tables="nat", hooks="POSTROUTING", tracks=True, ends="ACCEPT"),
    # targets that are kept as text
    "-j AUDIT --type accept": Facts("OpaqueTarget", changes=True),
    "-j CHECKSUM --checksum-fill": Facts("OpaqueTarget", tables="mangle", changes=True),
    "-j CLASSIFY --set-class 0001:ffff": Facts("OpaqueTarget", hooks="FORWARD OUTPUT POSTROUTING", changes=True),
    "-j CLUSTERIP --new --hashmode sourceip --clustermac 01:02:03:04:05:06 --total-nodes 2 --local-node 1": Facts("OpaqueTarget", changes=True),
    "-j CONNSECMARK --save": Facts("OpaqueTarget", tables="mangle security", tracks=True, changes=True),
    "-j CT --zone 5": Facts("OpaqueTarget", tables="raw", hooks="PREROUTING OUTPUT", tracks=True, changes=True),
    "-j CT --helper ftp": Facts("OpaqueTarget", tables="raw", hooks="PREROUTING OUTPUT", tracks=True, changes=True),
    "-j CT": Facts("OpaqueTarget", tables="raw", hooks="PREROUTING OUTPUT", tracks=True, changes=True),
    "-j CT --timeout policy": Facts("OpaqueTarget", tables="raw", hooks="PREROUTING OUTPUT", tracks=True, changes=True),
    "-j ECN --ecn-tcp-remove": Facts("OpaqueTarget", tables="mangle", protocols="tcp", changes=True),
    "-j HMARK --hmark-src-prefix 32 --hmark-dst-prefix 32 --hmark-proto-mask 0xffff --hmark-rnd 0xfeedcafe --hmark-mod 10 --hmark-offset 10000 --hmark-tuple ct": Facts("OpaqueTarget", changes=True),
    "-j IDLETIMER --timeout 5 --label x": Facts("OpaqueTarget", changes=True),
    "-j LED --led-trigger-id ssh --led-delay 50 --led-always-blink": Facts("OpaqueTarget", changes=True),
    "-j NFQUEUE --queue-num 0": Facts("OpaqueTarget", changes=True),
    "-j QUEUE": Facts("OpaqueTarget", changes=True),
    "-j RATEEST --rateest-name x --rateest-interval 250.0ms --rateest-ewmalog 500.0ms": Facts("OpaqueTarget", changes=True),
    '-j SECMARK --selctx "system_u:object_r:x_t:s0"': Facts("OpaqueTarget", tables="mangle security", changes=True),
    "-j SET --add-set some src": Facts("OpaqueTarget", changes=True),
    "-j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1460": Facts("OpaqueTarget", tables="mangle nat filter security", hooks="INPUT FORWARD", protocols="tcp", tracks=True, changes=True),
    "-j TCPMSS --clamp-mss-to-pmtu": Facts("ClampMss", protocols="tcp", changes=True),
    "-j TCPOPTSTRIP --strip-options 2,4,5,8": Facts("OpaqueTarget", protocols="tcp", changes=True),
    "-j TEE --gateway 10.0.0.1": Facts("OpaqueTarget", changes=True),
    "-j ULOG --ulog-prefix x --ulog-nlgroup 2 --ulog-cprange 5 --ulog-qthreshold 3": Facts("OpaqueTarget", changes=True),
}  # fmt: skip
"""Words of a rule, and what holds for it. Which options stand there decides about some of it."""

NO_EXTENSION = {
    "UnparsedRule": "the rest of a rule nobody understood, which has no name",
    "CtOption": "an option of ConntrackIs",
}
"""Matches that no words of iptables stand for."""


def modelled_names() -> set[str]:
    """Name the matches (`-m`) and targets (`-j`) that have a reader: the one place that knows where those are listed."""
    matches = {
        f"-m {record.name}" for extension in MATCHES if extension is not OpaqueMatch for record in extension.records
    }
    return matches | {
        f"-j {record.name}"
        for extension in TARGETS
        if extension not in (OpaqueTarget, Jump)
        for record in extension.records
    }


def opaque_names() -> set[str]:
    """Name those that are kept as text, which may also be modelled with some options."""
    matches = {f"-m {record.name}" for record in OPAQUE_MATCHES}
    return matches | {f"-j {record.name}" for record in OPAQUE_TARGETS}


def part_classes() -> set[str]:
    """Name the classes of all matches, found by what they can do, and of all targets."""
    there = linux_classes()
    matches = {part.__name__ for part in there if callable(vars(part).get("test")) and "why_not" in vars(part)}
    return (matches | {part.__name__ for part in extension_classes()}) - {"Match"}


def linux_classes() -> set[type]:
    """Return all classes of the package."""
    rooms = (import_module(member.name) for member in walk_packages(linux.__path__, f"{linux.__name__}."))
    members = ((room, member) for room in rooms for member in vars(room).values())
    return {member for room, member in members if isinstance(member, type) and member.__module__ == room.__name__}


def extension_classes() -> set[type[Extension]]:
    """Return all classes of matches and targets, without those that only others derive from."""
    bases = {Extension, Match, Target, Remembering, Nat, HeaderMatch, NetworkMatch, NameMatch}
    return {extension for extension in linux_classes() if issubclass(extension, Extension)} - bases


def undeclared(classes: Iterable[type[Extension]]) -> list[str]:
    """Name the classes without a record of their own, and the names under which nobody finds one."""
    problems = []
    for extension in classes:
        names = MATCH_NAMES if issubclass(extension, Match) else TARGET_NAMES
        records = vars(extension).get("records", ())
        problems += [] if records else [f"{extension.__name__} declares no records"]
        problems += [
            f"{record.name} of {extension.__name__} is in no register"
            for record in records
            if record.name not in {"", *names}
        ]
    return sorted(problems)


UNSAMPLED = {
    "nfacct of NfAcct": "it needs an object that somebody made",
    "TRACE of Log": "the lab watches rules by the same mark",
    " of Jump": "the fuzzer makes the chains it jumps to",
    **{f" of {one}": "in front of all -m, where the fuzzer knows what may stand" for one in HEADERS},
    " of UnparsedRule": "nobody knows what it is",
}
"""What the fuzzer does not try, and why."""


def unsampled(classes: Iterable[type[Extension]]) -> list[str]:
    """Name the matches and targets that declare nothing to try."""
    return sorted(
        {
            f"{record.name} of {extension.__name__}"
            for extension in classes
            for record in extension.records
            if not record.samples
        }
    )


def part_of(rule: ChainRule) -> Any:
    """Return what a rule of one match or target has besides its protocol."""
    return rule.target or rule.matches[-1]


def facts_of(words: str) -> Facts:
    """Find out what holds for a rule with these words."""
    protocols = [""] if _reads(words) else [name for name in PROTOCOLS if _reads(f"-p {name} {words}")]
    full = f"-p {protocols[0]} {words}" if protocols[0] else words
    rule = next(found for chain in _chains(words) if (found := _rule(f"-A {chain} {full}")))
    part = part_of(rule)
    places = [(table, hook) for table, hooks in BUILT_IN.items() for hook in hooks if _loads(_text(table, hook, full))]
    tables = " ".join(table for table in BUILT_IN if table in {one for one, _ in places})
    hooks = " ".join(hook for hook in EVERY_HOOK.split() if hook in {one for _, one in places})
    product = {(t, h) for t in tables.split() for h in hooks.split() if h in BUILT_IN[t]}
    assert product == set(places), f"{words}: {sorted(product - set(places))} is refused"
    names = protocols if protocols[0] else (["tcp", "udp", "icmp"] if "-m" in words else [])
    bare = " ".join(words.split()[2:])
    tracked = parse_tables(_text(*places[0], full))
    match = () if rule.target else (part,)
    return Facts(
        type(part).__name__,
        tables,
        hooks,
        " ".join(name for name in protocols if name),
        bool(bare) and words.startswith("-m ") and any(_reads(f"-p {name} {bare}") for name in names),
        bool(match) and _passed_over(part),
        bool(match) and _not_asked(rule),
        rule.remembers,
        Family(tables=tracked).tracks,
        rule.changes,
        rule.ends,
    )


def _chains(words: str) -> tuple[str, ...]:
    return ("X", *EVERY_HOOK.split())


def _rule(line: str) -> ChainRule | None:
    try:
        return parse_rule(line)
    except StateSyntaxError:
        return None


def _reads(words: str) -> bool:
    return any(_rule(f"-A {chain} {words}") for chain in _chains(words))


def _text(table: str, hook: str, words: str) -> str:
    return in_table(f"-A {hook} {words}", table)


def _loads(text: str) -> bool:
    try:
        return bool(parse_tables(text))
    except McniError:
        return False


def _passed_over(match: Any) -> bool:
    """Tell whether a long chain passes over a rule of this match, because of what stands behind it."""
    rule = ChainRule("X", (match, Destination(IPv4Network("10.9.9.9"))))
    return not Chain("X", (rule,) * 100).candidates(PACKET, Context("FORWARD"))


def _not_asked(rule: ChainRule) -> bool:
    """Tell whether a rule says why it does not match without asking its match."""
    match = part_of(rule)
    asked = []
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(type(match), "test", lambda self: asked.append(self))
        ChainRule("X", (match,)).why_not(PACKET, Context("FORWARD"))
    return not asked
