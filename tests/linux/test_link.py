"""Links as `ip -d address` and `bridge fdb` print them."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from ip_shell import real

from mcnilib.errors import McniError, StateSyntaxError, Unsupported
from mcnilib.linux.device.base import LinkEnd
from mcnilib.linux.device.bridge import Bridge
from mcnilib.linux.device.fdb import print_fdb, with_fdb
from mcnilib.linux.device.link import Link, parse_links, print_links
from mcnilib.linux.device.macvlan import Macvlan
from mcnilib.linux.device.nic import Loopback, Physical
from mcnilib.linux.device.tunnel.ipip import Ipip
from mcnilib.linux.device.tunnel.vxlan import Vxlan
from mcnilib.linux.device.veth import Veth

SIZES = "numtxqueues 1 numrxqueues 1 gso_max_size 65536 gso_max_segs 65535 tso_max_size 65536 tso_max_segs 65535 gro_max_size 65536 "

# As iproute2 6.1 printed it on Linux 6.18, offload sizes shortened.
REAL = f"""\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0  allmulti 0 minmtu 0 maxmtu 0 {SIZES}
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
    inet6 ::1/128 scope host 
       valid_lft forever preferred_lft forever
2: en0@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff link-netns switch promiscuity 1  allmulti 0 minmtu 68 maxmtu 65535 
    veth {SIZES}
    inet 172.16.1.2/16 brd 172.16.255.255 scope global dynamic noprefixroute en0
       valid_lft 3599sec preferred_lft 3599sec
    inet 172.16.1.9/16 scope global secondary en0:1
       valid_lft forever preferred_lft forever
3: mv0@en0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
    link/ether ce:fb:66:23:be:49 brd ff:ff:ff:ff:ff:ff promiscuity 0  allmulti 0 minmtu 68 maxmtu 65535 
    macvlan mode bridge bcqueuelen 1000 usedbcqueuelen 1000 {SIZES}
4: vxlan.1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN group default qlen 1000
    link/ether 82:29:4d:4f:65:69 brd ff:ff:ff:ff:ff:ff promiscuity 0  allmulti 0 minmtu 68 maxmtu 65535 
    vxlan id 4096 local 172.16.1.2 dev en0 srcport 0 0 dstport 4789 nolearning ttl auto ageing 300 udpcsum noudp6zerocsumtx noudp6zerocsumrx {SIZES}
5: br0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
    link/ether fe:f4:97:44:4e:29 brd ff:ff:ff:ff:ff:ff promiscuity 0  allmulti 0 minmtu 68 maxmtu 65535 
    bridge forward_delay 1500 hello_time 200 max_age 2000 ageing_time 30000 stp_state 0 priority 32768 vlan_filtering 0 bridge_id 8000.fe:f4:97:44:4e:29 hello_timer    0.00 mcast_snooping 1 nf_call_iptables 0 {SIZES}
    inet 10.5.0.1/24 metric 7 scope link br0
       valid_lft forever preferred_lft forever
6: k0@k1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master br0 state UP group default qlen 1000
    link/ether 2a:02:5b:d0:e0:22 brd ff:ff:ff:ff:ff:ff promiscuity 1  allmulti 1 minmtu 68 maxmtu 65535 
    veth 
    bridge_slave state forwarding priority 32 cost 2 hairpin off guard off learning on flood on isolated off port_id 0x8001 {SIZES}
7: k1@k0: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default qlen 1000
    link/ether 2a:02:5b:d0:e0:23 brd ff:ff:ff:ff:ff:ff promiscuity 0  allmulti 0 minmtu 68 maxmtu 65535 
    veth {SIZES}
8: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400 qdisc pfifo_fast state UP group default qlen 1000
    link/ether 02:fc:00:00:00:01 brd ff:ff:ff:ff:ff:ff promiscuity 0  allmulti 0 minmtu 68 maxmtu 65535 {SIZES}parentbus virtio parentdev virtio2 
    altname enp0s3
9: tunl0@NONE: <NOARP,UP,LOWER_UP> mtu 1480 qdisc noqueue state UNKNOWN group default qlen 1000
    link/ipip 0.0.0.0 brd 0.0.0.0 promiscuity 0  allmulti 0 minmtu 0 maxmtu 0 
    ipip any remote any local any ttl inherit nopmtudisc {SIZES}
"""  # noqa: W291

FDB = """\
33:33:00:00:00:01 dev en0 self permanent
66:00:00:00:00:01 dev vxlan.1 dst 172.16.1.3 self permanent
66:00:00:00:00:02 dev vxlan.1 dst 172.17.1.1 self permanent
2a:02:5b:d0:e0:22 dev k0 master br0 
"""  # noqa: W291


def links() -> dict[str, Link]:
    return {link.name: link for link in with_fdb(parse_links(REAL, netns="node1"), FDB)}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lo", Loopback()),
        ("en0", Veth(LinkEnd("switch", 2))),
        ("mv0", Macvlan(LinkEnd("node1", 2))),
        ("br0", Bridge()),
        ("k0", Veth(LinkEnd("node1", 7))),
        ("eth0", Physical()),
        ("tunl0", Ipip()),
        ("vxlan.1", Vxlan(4096, IPv4Address("172.16.1.2"), "en0", 4789, (
            ("66:00:00:00:00:01", IPv4Address("172.16.1.3")), ("66:00:00:00:00:02", IPv4Address("172.17.1.1"))))),
    ],
)  # fmt: skip
def test_kinds_in_the_tool_s_own_words(name: str, kind: object) -> None:
    assert links()[name].kind == kind


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("k1", "up", False),
        ("k0", "master", "br0"),
        ("vxlan.1", "mtu", 1450),
        ("en0", "mac", "02:00:00:00:00:01"),
        ("tunl0", "has_arp", False),
        ("en0", "has_arp", True),
    ],
)
def test_what_else_is_read(name: str, value: str, expected: object) -> None:
    assert getattr(links()[name], value) == expected


def test_addresses_with_scope_and_broadcast() -> None:
    en0, br0 = links()["en0"], links()["br0"]
    assert [(str(a.interface), a.scope, str(a.broadcast)) for a in (*en0.addresses, *br0.addresses)] == [
        ("172.16.1.2/16", "global", "172.16.255.255"),
        ("172.16.1.9/16", "global", "None"),
        ("10.5.0.1/24", "link", "None"),
    ]
    assert en0.primary(en0.addresses[1]) == en0.addresses[0]


PRINTED = """\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
2: en0@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff link-netns switch 
    veth 
    inet 172.16.1.2/16 brd 172.16.255.255 scope global en0
       valid_lft forever preferred_lft forever
    inet 172.16.1.9/16 scope global secondary en0
       valid_lft forever preferred_lft forever
3: mv0@en0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
    link/ether ce:fb:66:23:be:49 brd ff:ff:ff:ff:ff:ff 
    macvlan mode bridge 
4: vxlan.1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN group default qlen 1000
    link/ether 82:29:4d:4f:65:69 brd ff:ff:ff:ff:ff:ff 
    vxlan id 4096 local 172.16.1.2 dev en0 srcport 0 0 dstport 4789 nolearning 
5: br0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
    link/ether fe:f4:97:44:4e:29 brd ff:ff:ff:ff:ff:ff 
    bridge 
    inet 10.5.0.1/24 scope link br0
       valid_lft forever preferred_lft forever
6: k0@k1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master br0 state UP group default qlen 1000
    link/ether 2a:02:5b:d0:e0:22 brd ff:ff:ff:ff:ff:ff 
    veth 
7: k1@k0: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default qlen 1000
    link/ether 2a:02:5b:d0:e0:23 brd ff:ff:ff:ff:ff:ff 
    veth 
8: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400 qdisc pfifo_fast state UP group default qlen 1000
    link/ether 02:fc:00:00:00:01 brd ff:ff:ff:ff:ff:ff 
9: tunl0@NONE: <NOARP,UP,LOWER_UP> mtu 1480 qdisc noqueue state UNKNOWN group default qlen 1000
    link/ipip 0.0.0.0 brd 0.0.0.0 
    ipip any remote any local any 
"""  # noqa: W291


def test_links_print_what_is_modelled() -> None:
    assert print_links(links().values(), "node1") == PRINTED
    assert parse_links(PRINTED, netns="node1") == parse_links(REAL, netns="node1")


def test_forwarding_entries_print_as_the_tool_prints_them() -> None:
    assert print_fdb(links().values()) == "".join(line + "\n" for line in FDB.splitlines() if " dst " in line)


def changed(old: str, new: str) -> str:
    assert old in REAL
    return REAL.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (changed("    veth numtx", "    tun type tap numtx"), "a tun device with type tap"),
        (changed("    macvlan mode bridge", "    ipvtap mode l2"), "link kind 'ipvtap'"),
        (changed("mode bridge", "mode source"), "macvlan mode 'source'"),
        (changed("link-netns switch", "link-netnsid 0"), "link-netnsid 0"),
        (changed("link/ether ce", "link/infiniband ce"), "link type 'infiniband'"),
        (changed("vlan_filtering 0", "vlan_protocol 802.1ad"), "a bridge with vlan_protocol 802.1ad"),
        (changed("nf_call_iptables 0", "nf_call_arptables 1"), "a bridge with nf_call_arptables 1"),
        (changed("hairpin off", "hairpin off proxy_arp on"), "a bridge port with proxy_arp on"),
        (changed("bridge_slave state forwarding", "bridge_slave state disabled"), "a bridge port with state disabled"),
        *(
            (changed("isolated off", f"isolated off {word} on"), f"a bridge port with {word} on")
            for word in (
                "locked",
                "mab",
                "neigh_suppress",
                "neigh_vlan_suppress",
                "proxy_arp",
                "proxy_arp_wifi",
                "vlan_tunnel",
            )
        ),
        (changed("ipip any remote any", "ipip any fwmark 0x5 remote any"), "'fwmark' in an ipip device"),
        (
            changed("local any ttl", "local any encap fou encap-sport auto encap-dport 5555 ttl"),
            "'encap' in an ipip device",
        ),
        (changed("learning on", "learning off"), "a bridge port with learning off"),
        (changed("flood on", "flood off"), "a bridge port with flood off"),
        (changed("6: k0@k1: <BROADCAST,", "6: k0@k1: <BROADCAST,NOARP,"), "k0 has the flag NOARP"),
        (changed("state forwarding", "state blocking"), "a bridge port with state blocking"),
        (changed("master br0", "master vrf0"), "k0 has the master vrf0, which is no bridge"),
        (changed(" nolearning", ""), "without id, local, dev or nolearning"),
        (changed(" local 172.16.1.2", " group 239.1.1.1"), "'group' in a vxlan device"),
        (changed("inet 10.5.0.1/24", "inet 10.5.0.1 peer 10.5.0.2/32"), "a point-to-point address"),
        (changed("mtu 1400", "mtu 1400 xdpgeneric/id:17"), "a device with an XDP program"),
        (changed("eth0:", "eth0@if7:"), "eth0 is of no kind that is named"),
        (changed("mv0@en0:", "mv0@gone:"), "the other end of mv0@gone"),
    ],
)
def test_what_is_not_modelled_is_named(text: str, named: str) -> None:
    with pytest.raises(Unsupported, match=named):
        parse_links(text, netns="node1")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scope host lo", "scope host proto keepalived lo"),
        ("scope host lo", "scope host proto kernel_lo lo"),
        ("qlen 1000", "qlen 1000 netns-immutable"),
        ("promiscuity 0", "promiscuity 0 netns-immutable"),
    ],
)
def test_words_that_change_nothing(old: str, new: str) -> None:
    assert parse_links(changed(old, new), netns="node1") == parse_links(REAL, netns="node1")


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (changed("mtu 65536", "mut 65536"), (1, 31), "unknown word 'mut'; did you mean 'mtu'?"),
        (changed("1: lo:", "1 lo:"), (1, 1), "'1' is not a number with a colon"),
        (changed("<LOOPBACK,UP,LOWER_UP>", "LOOPBACK"), (1, 8), "'LOOPBACK' are not flags"),
        (changed("02:00:00:00:00:01", "02:00:00:00:01"), (8, 16), "'02:00:00:00:01' is not a MAC address"),
        (changed("scope host lo", "scope hots lo"), (3, 28), "unknown word 'hots'; did you mean 'host'?"),
        (changed("inet 127.0.0.1/8", "inet 127.0.0.256/8"), (3, 10), "'127.0.0.256/8' is not an IPv4 address with prefix length"),
        (changed("macvlan mode bridge", "macvlan mode bridg"), (16, 18), "unknown word 'bridg'; did you mean 'bridge'?"),
        (changed("vxlan id 4096", "vxlan id many"), (19, 14), "'many' is not a number from 0 to 16777215"),
        ("    link/ether 02:00:00:00:00:01", (1, 1), "a link begins with its number"),
        ("2: en0: <UP> mtu 1500\n", (1, 22), "the link/ether line is missing"),
    ],
)  # fmt: skip
def test_where_a_line_is_wrong(text: str, where: tuple[int, int], what: str) -> None:
    with pytest.raises(StateSyntaxError) as caught:
        parse_links(text, netns="node1")
    assert (caught.value.what, (caught.value.line, caught.value.column)) == (what, where)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("66:00:00:00:00:01 dev vxlan.1 dst 172.16.1.3 port 4790 self permanent", "'port'"),
        ("66:00:00:00:00:01 dev en0 dst 172.16.1.3 self permanent", "far ends on en0, which is no vxlan device"),
        ("66:00:00:00:00 dev vxlan.1 dst 172.16.1.3 self permanent", "is not a MAC address"),
        ("66:00:00:00:00:01 dev vxlan.1 dst 172.16.1.3 slef", "did you mean 'self'"),
    ],
)
def test_forwarding_entries_that_cannot_be_read(text: str, what: str) -> None:
    with pytest.raises(McniError, match=what):
        with_fdb(parse_links(REAL, netns="node1"), text)


COMMANDS = """
link add name en0 index 2 address 02:00:00:00:00:01 type veth peer name up0 index 3 address 02:00:00:00:00:02
link add name mv0 index 4 address 02:00:00:00:00:03 link en0 type macvlan mode private
link add name vx0 index 5 address 02:00:00:00:00:04 type vxlan id 7 local 10.0.0.1 dev en0 dstport 4789 nolearning
link add name br0 index 6 address 02:00:00:00:00:05 type bridge
link add name k0 index 7 address 02:00:00:00:00:06 type veth peer name k1 index 8 address 02:00:00:00:00:07
link set k0 master br0
link set en0 up
link set br0 up mtu 1400
address add 10.0.0.1/24 dev en0
address add 10.0.0.2/24 brd + dev en0
address add 10.9.0.1/24 scope link dev br0
"""


@pytest.mark.kernel
def test_the_kernel_s_own_listing_is_read() -> None:
    before = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1\nip link set lo up"
    fdb = "bridge fdb append 66:00:00:00:00:01 dev vx0 dst 10.0.0.9 self permanent"
    text, _, entries = real(COMMANDS, ["ip -d address show", fdb, "bridge fdb show"], before=before)
    parsed = with_fdb(parse_links(text, netns="here"), entries)
    kinds = [type(link.kind).__name__ for link in parsed]
    assert kinds == ["Loopback", "Veth", "Veth", "Macvlan", "Vxlan", "Bridge", "Veth", "Veth"]
    printed = print_links(parsed, "here").splitlines()
    for line in text.splitlines():  # every printed line is the tool's, less the words that change nothing
        assert any(line.startswith(p.rstrip()) for p in printed) or "bridge_slave" in line or "DOWN" in line, line
    assert print_fdb(parsed) == "66:00:00:00:00:01 dev vx0 dst 10.0.0.9 self permanent\n"
