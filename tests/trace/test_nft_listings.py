"""What the usual writers put into `nft list ruleset`: which of their rules are read, and which are unknown by name.

The excerpts are ours, one rule for each kind that the writer has.
"""

from __future__ import annotations

import pytest
from nft_worlds import NftCase, at

from mcnilib.linux.netfilter.nftables.rule import print_ruleset
from mcnilib.linux.netfilter.nftables.statement import Opaque
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset

CHAINS = "".join(f"\tchain {name} {{\n\t}}\n" for name in ("allow", "deny", "log", "work", "syn_flood"))
SETS = "\tset hosts {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t}\n\tset six {\n\t\ttype ipv6_addr\n\t}\n"
MAPS = "\tmap ways {\n\t\ttype ifname : verdict\n\t}\n"

WRITERS = {
    "firewalld": """\
icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
meta nfproto ipv6 fib saddr . mark . iif oif missing drop
iifname "eth1" goto work
goto allow
jump log
ct state { established, related } accept
ct status dnat accept
iifname "lo" accept
ct state invalid drop
reject with icmpx admin-prohibited
ip6 daddr { ::/96, ::ffff:0.0.0.0/96, 2002::/24 } reject with icmpv6 addr-unreachable
meta l4proto { icmp, ipv6-icmp } accept
tcp dport 22 accept
ip6 daddr fe80::/64 udp dport 546 accept
tcp dport { 80, 443 } ct state { new, untracked } accept
ip daddr 224.0.0.251 udp dport 5353 accept
ip saddr 10.0.0.0/8 goto work
ip saddr @hosts goto work
ip6 saddr @six goto deny
udp dport 137 ct helper set "helper-netbios-ns-udp"
log prefix "IN_public_REJECT: "
meta mark set meta mark | 0x00000064
tcp dport 8080 ct state new ct mark set 0x00000001
""",
    "ufw": """\
meta l4proto tcp tcp dport 22 counter packets 0 bytes 0 accept
limit rate 3/minute burst 10 packets counter packets 0 bytes 0 log prefix "[UFW BLOCK] "
fib daddr type local counter packets 1 bytes 60 return
fib daddr type multicast counter packets 0 bytes 0 return
fib daddr type broadcast counter packets 0 bytes 0 return
ct state invalid counter packets 0 bytes 0 drop
icmp type destination-unreachable counter packets 0 bytes 0 accept
meta l4proto udp udp sport 67 udp dport 68 counter packets 0 bytes 0 accept
ip daddr 239.255.255.250 meta l4proto udp udp dport 1900 counter packets 0 bytes 0 accept
""",
    "Docker": """\
oifname vmap @ways
ip daddr != 127.0.0.0/8 fib daddr type local counter packets 0 bytes 0 jump allow
ip daddr 172.17.0.2 iifname != "docker0" counter packets 0 bytes 0 drop comment "DROP DIRECT ACCESS"
ct state established,related counter packets 0 bytes 0 accept
iifname "docker0" ip daddr 172.17.0.2 tcp dport 80 ct original ip daddr != 172.17.0.2 counter packets 0 bytes 0 accept
counter packets 0 bytes 0 drop comment "UNPUBLISHED PORT DROP"
""",
    "kube-proxy and network policies": """\
ip daddr . meta l4proto . th dport { 10.96.0.1 . tcp . 443 } accept
ct state new ip daddr @hosts reject with icmp port-unreachable
numgen random mod 2 vmap { 0 : goto allow, 1 : goto deny }
meta mark & 0x00010000 == 0x00010000 accept
meta mark set meta mark & 0xfff1ffff
meta mark set meta mark | 0x00020000
iifname "cali*" goto work
ct state established,related accept
udp dport 4789 ip saddr @hosts fib daddr type local accept
udp dport 4789 fib saddr type != local drop
ip saddr @hosts ip daddr != @hosts accept
meta l4proto { tcp, udp } flow add @ft
""",
    "OpenWrt and libvirt": """\
ct state vmap { established : accept, related : accept } comment "!fw4: Handle inbound flows"
tcp flags syn / fin,syn,rst,ack jump syn_flood comment "!fw4: Rate limit TCP syn packets"
meta nfproto ipv4 udp dport 68 counter packets 0 bytes 0 accept
meta l4proto tcp reject with tcp reset
limit rate 25/second burst 50 packets return
iifname "virbr0" meta l4proto udp udp dport 53 counter packets 0 bytes 0 accept
ip saddr 192.168.122.0/24 ip daddr 224.0.0.0/24 counter packets 169 bytes 21013 return
""",
}

AS_PRINTED = """\
tcp flags == syn drop
tcp flags != 0x12 drop
tcp flags == 0x0 drop
tcp flags & syn != syn drop
tcp flags & ack == ack drop
tcp flags syn / fin,syn,rst,ack drop
tcp flags & (fin | syn | rst) < fin drop
tcp flags > syn drop
tcp flags { fin, syn | ack } drop
ct state == established drop
ct state != established | related drop
ct status & dnat == dnat drop
icmp type 0-20 drop
ip protocol 6-17 drop
ip dscp 0x01-0x05 drop
meta mark 0x00000001-0x00000005 drop
ip saddr 10.0.0.0-10.0.0.255 drop
ip saddr != 10.0.0.0-10.0.0.255 drop
meta mark set ct mark >> 8
log flags tcp sequence,options
log flags skuid flags ether
tcp flags syn / syn,rst tcp option maxseg size set rt mtu
oifname "ppp0" tcp option maxseg size set 1452
"""
"""Lines as nft 1.0.6 prints them, of which values, ranges and flags are shown in several ways."""

BY_NAME = """\
dnat to tcp dport map { 80 : 10.0.2.2 }:tcp dport map { 80 : 8080 }
meta priority set (@nh,8,8 & 0xfc) >> 2 map @prio
ct mark set osf name map @os
limit name "slow" drop
update @hosts { ip saddr limit rate over 15/second burst 50 packets } drop
socket transparent 1 accept
tproxy to :7894 accept
queue flags bypass to 0
ct count over 10 drop
tcp dport 22 jump { drop }
vlan id 5 drop
"""
"""Rules that are unknown where a packet meets them, from the statement on that is not modelled."""


@pytest.mark.parametrize("line", AS_PRINTED.splitlines())
def test_values_are_printed_as_nft_prints_them(line: str) -> None:
    (rule,) = NftCase(at("forward", line), "").world["r"].ip4.nft[0].chain("base").rules
    assert (str(rule), [one for one in rule.statements if isinstance(one, Opaque)]) == (line, [])


@pytest.mark.parametrize("line", BY_NAME.splitlines())
def test_what_is_not_modelled_is_kept_and_unknown_where_it_is_met(line: str) -> None:
    (rule,) = NftCase(at("forward", line, more=SETS), "").world["r"].ip4.nft[0].chain("base").rules
    assert str(rule) == line
    assert isinstance(rule.statements[-1], Opaque)


KEPT = (
    "table ip6 six {\n"
    "\tset six {\n"
    "\t\ttype ipv6_addr\n"
    "\t\telements = { fd00::/8,\n"
    "\t\t\t     fe80::/10 }\n"
    "\t}\n"
    "}\n"
    "table inet t {\n"
    "\tset six {\n"
    "\t\ttype ipv6_addr\n"
    "\t\tflags interval\n"
    "\t\telements = { fd00::/8,\n"
    "\t\t\t     fe80::/10 }\n"
    "\t}\n"
    "\n"
    "\tset all {\n"
    "\t\ttype ipv4_addr\n"
    "\t\tcounter\n"
    "\t\telements = { 10.0.0.1 counter packets 0 bytes 0, * counter packets 0 bytes 0 }\n"
    "\t}\n"
    "}\n"
)


def test_what_is_not_read_is_printed_as_it_was() -> None:
    tables = read_ruleset(KEPT)
    assert print_ruleset(tables) == KEPT
    assert [bool(one.gap) for one in tables[1].sets] == [True, True]


UNKNOWN = ("ct helper set", "flow add")
"""How the statements begin that are unknown where a packet meets them."""


@pytest.mark.parametrize("writer", WRITERS)
def test_rules_of_a_writer_are_read(writer: str) -> None:
    typed = WRITERS[writer].splitlines()
    ruleset = at("forward", *typed, family="inet", more=SETS + MAPS + CHAINS)
    rules = NftCase(ruleset, "").world["r"].ip4.nft[0].chain("base").rules
    assert list(map(str, rules)) == typed
    unknown = [str(one) for rule in rules for one in rule.statements if isinstance(one, Opaque)]
    assert all(text.startswith(UNKNOWN) for text in unknown)


def test_less_than_a_twentieth_of_all_rules_is_unknown() -> None:
    typed = [line for text in WRITERS.values() for line in text.splitlines()]
    assert sum(any(f" {word}" in f" {line}" for word in UNKNOWN) for line in typed) / len(typed) < 0.05
