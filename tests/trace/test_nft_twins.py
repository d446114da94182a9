"""A container host's firewall in two languages, as Docker writes it for iptables and for nftables: packets fare alike.

The host r publishes port 8080 for port 80 of the container b on e2; a is outside. The texts are ours, in the shape that
moby's bridge driver has (daemon/libnetwork/drivers/bridge/internal/{iptabler,nftabler}).
"""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from nft_worlds import NftCase

from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import run

IPTABLES = """\
*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 10.0.2.2/32 ! -i e2 -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 10.0.2.0/24 ! -o e2 -j MASQUERADE
-A DOCKER ! -i e2 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.2.2:80
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d 10.0.2.2/32 ! -i e2 -o e2 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER ! -i e2 -o e2 -j DROP
-A DOCKER-BRIDGE -o e2 -j DOCKER
-A DOCKER-CT -o e2 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i e2 -j ACCEPT
COMMIT
"""

NFTABLES = """\
table ip docker-bridges {
	map into {
		type ifname : verdict
		elements = { "e2" : jump into__e2 }
	}
	map out-of {
		type ifname : verdict
		elements = { "e2" : jump out-of__e2 }
	}
	map leaving {
		type ifname : verdict
		elements = { "e2" : jump leaving__e2 }
	}
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
		oifname vmap @into
		iifname vmap @out-of
	}
	chain OUTPUT {
		type nat hook output priority dstnat; policy accept;
		ip daddr != 127.0.0.0/8 fib daddr type local counter packets 0 bytes 0 jump published
	}
	chain PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local counter packets 0 bytes 0 jump published
	}
	chain POSTROUTING {
		type nat hook postrouting priority srcnat; policy accept;
		iifname vmap @leaving
	}
	chain raw-PREROUTING {
		type filter hook prerouting priority raw; policy accept;
		ip daddr 10.0.2.2 iifname != "e2" counter packets 0 bytes 0 drop comment "DROP DIRECT ACCESS"
	}
	chain published {
		iifname != "e2" tcp dport 8080 counter packets 0 bytes 0 dnat to 10.0.2.2:80 comment "DNAT"
	}
	chain into__e2 {
		ct state established,related counter packets 0 bytes 0 accept
		ip daddr 10.0.2.2 tcp dport 80 counter packets 0 bytes 0 accept
		counter packets 0 bytes 0 drop comment "UNPUBLISHED PORT DROP"
	}
	chain out-of__e2 {
		ct state established,related counter packets 0 bytes 0 accept
		counter packets 0 bytes 0 accept comment "OUTGOING"
	}
	chain leaving__e2 {
		oifname != "e2" ip saddr 10.0.2.0/24 counter packets 0 bytes 0 masquerade comment "MASQUERADE"
	}
}
"""

PACKETS = (
    ("a", "10.0.1.1", "tcp", 8080, "connected", "10.0.1.2"),
    ("a", "10.0.1.1", "tcp", 81, "connection refused", ""),
    ("a", "10.0.1.1", "udp", 8080, "connection refused", ""),
    ("a", "10.0.2.2", "tcp", 80, "connect times out", ""),
    ("a", "10.0.2.2", "icmp", 0, "lost", ""),
    ("r", "10.0.1.1", "tcp", 8080, "connected", "10.0.1.1"),
    ("r", "127.0.0.1", "tcp", 8080, "connection refused", ""),
    ("r", "10.0.2.2", "tcp", 80, "connected", "10.0.2.1"),
    ("b", "10.0.1.2", "tcp", 80, "connected", "10.0.1.1"),
    ("b", "10.0.1.2", "icmp", 0, "connected", "10.0.1.1"),
    ("b", "10.0.1.1", "tcp", 8080, "connection refused", ""),
)
"""Who sends, to what, and how it ends; the source its peer sees."""


@pytest.mark.parametrize("language", ["iptables", "nftables"])
@pytest.mark.parametrize(("client", "to", "proto", "port", "verdict", "source"), PACKETS)
def test_packets_fare_alike_in_both_languages(client, to, proto, port, verdict, source, language) -> None:
    case = NftCase("" if language == "iptables" else NFTABLES, "", tables=IPTABLES if language == "iptables" else "")
    listeners = (Listener("a", 80), Listener("b", 80)) if proto == "tcp" else ()
    outcome = run(
        case.world, Flow(client, IPv4Address(to), proto, port, sport=40000 * (proto != "icmp")), listeners
    ).outcome
    assert outcome.verdict.value == verdict
    if source:
        assert outcome.seen_source == source
