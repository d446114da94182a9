"""Rules of nft as they are typed, and as nft 1.0.6 lists them: what is typed is in the listing `every.nft` too."""

from __future__ import annotations

TYPED_AND_LISTED = {
    "ct state {established, related} accept": "ct state { established, related } accept",
    "ct state vmap { established : accept, invalid : drop }": "ct state vmap { invalid : drop, established : accept }",
    "iif lo accept": 'iif "lo" accept',
    'meta iifname "cali*" accept': 'iifname "cali*" accept',
    "tcp dport {443,80,22} accept": "tcp dport { 22, 80, 443 } accept",
    "tcp flags & (fin|syn|rst|ack) == syn drop": "tcp flags syn / fin,syn,rst,ack drop",
    "meta mark and 1 != 0 drop": "meta mark & 0x00000001 != 0x00000000 drop",
    "meta mark set mark or 0x4000": "meta mark set meta mark | 0x00004000",
    "ct mark set mark": "ct mark set meta mark",
    "meta mark set meta mark and 0xffff xor 0x10": "meta mark set meta mark & 0x0000ffff ^ 0x00000010",
    "reject with icmp type port-unreachable": "reject with icmp port-unreachable",
    "ip saddr 10.1.2.3/8 drop": "ip saddr 10.0.0.0/8 drop",
    "ip saddr 10.0.0.0-10.0.0.255 drop": "ip saddr 10.0.0.0-10.0.0.255 drop",  # nft 1.0.6 keeps the range
    "limit rate 5/second burst 5 packets accept": "limit rate 5/second accept",
    "fib saddr . iif oif missing drop": "fib saddr . iif oif missing drop",
    'tcp dport 22 counter accept comment "ssh"': 'tcp dport 22 counter accept comment "ssh"',
    "ip daddr . tcp dport vmap { 10.0.0.1 . 80 : drop }": "ip daddr . tcp dport vmap { 10.0.0.1 . 80 : drop }",
}  # fmt: skip

MISTAKES = {
    "ip saddr 10.0.0.300 drop": (10, "'10.0.0.300' is no value of the type ipv4_addr"),
    "ip saddr @nowhere drop": (10, "no set nowhere in the table"),
    "tcp dport 70000 drop": (11, "'70000' is no value of the type inet_service"),
    "tcp dport 90-80 drop": (11, "'90-80' is no value of the type inet_service"),
    "tcp dport { 80 drop }": (16, "unexpected word 'drop'"),
    "jump": (5, "a chain is missing"),
    "limit rate 5/fortnight drop": (12, "'5/fortnight' is not a rate such as 5/minute"),
    "dnat 10.0.0.1": (6, "expected 'to'"),
    "dnat to 10.0.0.1:99999": (9, "'99999' is not a port or a range of ports"),
    "reject with icmp nonsense": (18, "'nonsense' is not a type of rejection"),
    'log prefix "open': (12, "a quote that does not end"),
}  # fmt: skip
"""Rules with a mistake: the column in which it is, and what is said."""

WHY_NOT = {
    "ip saddr 172.16.0.0/16 accept": "",
    "ip saddr 172.17.0.0/16 accept": "ip saddr is 172.16.100.2, not 172.17.0.0/16",
    "ip saddr != 172.16.0.0/16 accept": "ip saddr is 172.16.100.2, which the rule excludes",
    "udp dport 80 accept": "the packet has no udp dport",
    "tcp dport { 22, 443 } accept": "80 is not an element of { 22, 443 }",
    "tcp dport != { 80, 443 } accept": "80 is an element of { 80, 443 }",
    "ip daddr . tcp dport @pairs accept": "10.233.101.2 . 80 is not an element of @pairs",
    "ip daddr @pods accept": "",
    "iifname \"veth*\" oifname != \"eth0\" accept": "",
    "iifname \"eth0\" accept": "iifname is \"veth1\", not \"eth0\"",
    "ct state established,related accept": "ct state is new, not established,related",
    "ct state new accept": "",
    "ct mark 0x7 accept": "the packet has no ct mark",
    "tcp flags syn / fin,syn accept": "",
    "tcp flags syn / syn,ack,psh tcp flags != syn accept": "tcp flags is syn, which the rule excludes",
    "meta mark & 0x00004000 == 0x00004000 accept": "",
    "meta mark 0x00004000 accept": "meta mark is 0x00004001, not 0x00004000",
    "meta l4proto { tcp, udp } th dport 80-90 accept": "",
    "ip ttl < 5 accept": "ip ttl is 64, not < 5",
    "fib daddr type local accept": "fib daddr type is unicast, not local",
    "fib saddr . iif oif missing drop": "",
    "ip daddr . meta l4proto . th dport vmap @services": "10.233.101.2 . tcp . 80 is not an element of @services",
}  # fmt: skip
"""Which statement of a rule does not hold for a SYN from 172.16.100.2:40000 to 10.233.101.2:80 with mark 0x4001, in
FORWARD from veth1 to cali123, the first of its connection; empty: all hold."""

SETS = """
	set pairs { type ipv4_addr . inet_service; elements = { 10.233.101.2 . 81 } }
	set pods { type ipv4_addr; flags interval; elements = { 10.233.64.0/18, 10.244.0.1-10.244.0.9 } }
	map services { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.233.0.1 . tcp . 443 : drop } }
"""
