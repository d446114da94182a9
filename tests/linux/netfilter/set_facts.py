"""Facts about ipset 7.17: every type as `ipset save` prints it, and which packets are in which set.

Tests read them with the model, and with the real tool.
"""

from __future__ import annotations

HASH = "family inet hashsize 1024 maxelem 65536"
END = "bucketsize 12 initval 0x1e968439"

LOADED_SETS = [  # sets the kernel here has; the list stands last, because its members are free a moment after it is
    f"create a hash:ip {HASH} {END}\nadd a 10.0.0.9\n",
    f'create a hash:ip {HASH} netmask 24 timeout 100 counters comment skbinfo {END}\nadd a 10.0.1.0 timeout 0 packets 3 bytes 7 comment "hi there" skbmark 0x5/0xff skbprio 1:10 skbqueue 3\n',
    f"create a hash:ip {HASH} bitmask 255.255.0.0 {END}\nadd a 10.1.0.0\n",
    f"create a hash:net {HASH} {END}\nadd a 10.1.0.0/16 nomatch\n",
    f"create a hash:net {HASH} {END}\nadd a 128.0.0.0/1\n",
    f"create a hash:ip,port {HASH} {END}\nadd a 10.0.0.1,icmp:echo-request\n",
    f'create a hash:ip,port {HASH} comment {END}\nadd a 10.0.0.1,gre:0 comment "x"\n',
    f"create a hash:ip,port {HASH} {END}\nadd a 10.0.0.1,icmp:77/1\n",
    f"create a hash:net,port {HASH} {END}\nadd a 10.0.0.4/30,udp:5 nomatch\n",
    f"create a hash:ip,port,ip {HASH} {END}\nadd a 10.0.0.1,tcp:80,10.0.0.2\n",
    f"create a hash:ip,port,net {HASH} {END}\nadd a 10.0.0.1,tcp:80,10.0.0.0/8\n",
    f"create a hash:net,iface {HASH} {END}\nadd a 10.0.0.0/24,physdev:eth1\n",
    f"create a hash:net,iface {HASH} {END}\nadd a 0.0.0.0/0,eth wildcard\n",
    "create a bitmap:ip range 10.0.0.0-10.0.0.255\nadd a 10.0.0.5\n",
    "create a bitmap:ip range 10.0.0.0-10.0.0.207 netmask 28 counters\nadd a 10.0.0.16 packets 0 bytes 0\n",
    "create a bitmap:ip,mac range 10.0.0.0-10.0.0.255\nadd a 10.0.0.1\nadd a 10.0.0.2,00:11:22:33:44:55\n",
    "create a bitmap:port range 100-200\nadd a 100\nadd a 150\n",
    'create a bitmap:port range 1-5 timeout 0 comment\nadd a 3 timeout 0 comment "x"\n',
    f"create a hash:ip family inet6 hashsize 1024 maxelem 65536 {END}\nadd a fe80::1\n",
    f"create b hash:ip {HASH} {END}\ncreate a list:set size 8 timeout 0 counters comment skbinfo\nadd a b timeout 0 packets 0 bytes 0\n",
]  # fmt: skip

SAVED_SETS = [  # and those it may lack
    *LOADED_SETS,
    f"create a hash:mac hashsize 1024 maxelem 65536 {END}\nadd a 01:02:03:04:05:AB\n",
    f"create a hash:ip,mac {HASH} {END}\nadd a 1.1.1.1,01:02:03:04:05:06\n",
    f"create a hash:ip,mark {HASH} markmask 0xff {END}\nadd a 10.0.0.1,0x00000005\n",
    f"create a hash:net,net {HASH} {END}\nadd a 10.0.0.0/8,10.0.0.1 nomatch\n",
    f"create a hash:net,port,net {HASH} {END}\nadd a 10.0.0.0/8,tcp:0,10.0.0.1\n",
]

ASKED_SETS = """\
create ip hash:ip
add ip 127.0.0.1
create mask hash:ip netmask 31
add mask 127.0.0.2
create bits hash:ip bitmask 255.0.255.255
add bits 127.0.0.9
create net hash:net
add net 127.0.0.0/16
add net 127.0.0.2/31 nomatch
add net 127.0.0.3
create ipport hash:ip,port
add ipport 127.0.0.2,udp:5001
add ipport 127.0.0.1,tcp:5001
add ipport 127.0.0.1,udp:5002
create netport hash:net,port
add netport 127.0.0.0/24,udp:5001
add netport 127.0.0.2,udp:5001 nomatch
create ipportip hash:ip,port,ip
add ipportip 127.0.0.1,udp:5001,127.0.0.2
create ipportnet hash:ip,port,net
add ipportnet 127.0.0.1,udp:5003,127.0.0.0/16
add ipportnet 127.0.0.1,udp:5001,127.0.0.2 nomatch
add ipportnet 127.0.0.1,udp:5001,127.0.0.0/24
create netiface hash:net,iface
add netiface 127.0.0.0/24,lo
add netiface 0.0.0.0/0,en0
create begin hash:net,iface
add begin 127.1.0.0/16,l wildcard
create bip bitmap:ip range 127.0.0.0-127.0.0.255
add bip 127.0.0.2
create bmask bitmap:ip range 127.0.0.0-127.0.0.255 netmask 31
add bmask 127.0.0.2
create bport bitmap:port range 5000-6000
add bport 5002
create list list:set size 8
add list bport
add list ipport
add list ip
"""

ASKED = [  # options of -m set; the kernel counts which of some UDP packets they hold for
    *(f"--match-set {name} {side}" for name in ("ip", "mask", "bits", "net", "bip", "bmask", "bport") for side in ("src", "dst")),
    "--match-set net src --return-nomatch", "! --match-set net dst --return-nomatch", "! --match-set net src",
    *(f"--match-set {name} {sides}" for name in ("ipport", "netport") for sides in ("src,src", "src,dst", "dst,dst", "dst,src", "dst")),
    "--match-set netport dst,dst --return-nomatch",
    *(f"--match-set {name} {sides}" for name in ("ipportip", "ipportnet") for sides in ("src,dst,dst", "dst,dst,src", "src,dst")),
    "--match-set ipportnet src,dst,dst --return-nomatch", "! --match-set ipportip src,dst",
    "--match-set netiface src,dst", "--match-set netiface dst,src", "--match-set netiface dst,dst", "--match-set begin src,dst",
    "--match-set list src", "--match-set list dst", "--match-set list dst,dst", "--match-set list src,src,src", "! --match-set list src",
    "--match-set ip src,dst", "--match-set bport dst,src", "--match-set ip src ! --update-counters --packets-gt 9",
]  # fmt: skip
