"""One world, and for every field of every value it is made of a world that differs from it in just that field.

A field that somebody adds must get its row, or its reason in `LOST`: tests/world/test_state_fields.py asks for it by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from small_worlds import namespace, plug

from mcnilib.linux.device.base import LinkEnd
from mcnilib.linux.device.bridge import Bridge
from mcnilib.linux.device.link import Address, Hidden, Link
from mcnilib.linux.device.macvlan import Macvlan
from mcnilib.linux.device.nic import Loopback, Physical, UnmodelledDevice
from mcnilib.linux.device.port import BridgePort, FdbEntry, VlanEntry
from mcnilib.linux.device.tunnel.ipip import Ipip
from mcnilib.linux.device.tunnel.vxlan import Vxlan
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netfilter.ipset import IpSet, parse_sets
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule, Table
from mcnilib.linux.netfilter.iptables.save import parse_tables
from mcnilib.linux.netfilter.ipvs.service import RealServer, VirtualServer, parse_services
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.linux.netns import Family, Netns, add_address, add_link, add_routes, add_rule, del_route
from mcnilib.linux.routing.hop import Hop
from mcnilib.linux.routing.neigh import Neigh, parse_neigh
from mcnilib.linux.routing.route import Route, parse_route
from mcnilib.linux.routing.rule import Rule, parse_ip_rule
from mcnilib.linux.sysctl import Setting
from mcnilib.linux.unmodelled import Gap
from mcnilib.world.world import Gateway, Port, Segment, Speaker, World

STATE = """route 10.0.9.0/24 via 10.0.1.9 dev en0
route blackhole 10.0.8.0/24 table 7
rule 1000: from 10.0.2.0/24 lookup 7
neigh 10.0.1.9 dev en0 lladdr 02:00:00:00:00:09 PERMANENT
sysctl net.ipv4.ip_forward 1"""

RULES = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:MINE - [0:0]
-A FORWARD -s 10.0.2.0/24 -j DROP
COMMIT
"""

SETS = "create some hash:net family inet hashsize 1024 maxelem 65536\nadd some 10.0.7.0/24\n"

SERVERS = "-A -t 10.0.5.1:80 -s rr\n-a -t 10.0.5.1:80 -r 10.0.2.2:8080 -m -w 1\n"
SERVED = parse_services(SERVERS)[0]


def _base() -> World:
    n = namespace("n", "en0 10.0.1.1/24\nva 10.0.2.1/24 veth p 2\nvb veth p 3", STATE, RULES)
    mac, here, there = "02:00:00:00:00:{:02x}", IPv4Address("10.0.1.1"), IPv4Address("10.0.1.8")
    tunnel = Vxlan(7, here, "en0", 4789, (("66:00:00:00:00:01", there),))
    for link in (
        Link(5, "br0", Bridge((FdbEntry("02:00:00:00:00:44", "va"),)), mac.format(5)),
        Link(6, "vx", tunnel, mac.format(6), mtu=1450),
        Link(7, "mv", Macvlan(LinkEnd("n", 2)), mac.format(7)),
    ):
        n = add_link(n, link)
    links = tuple(replace(link, master="br0") if isinstance(link.kind, Veth) else link for link in n.links)
    n = n.but(links=links, sets=parse_sets(SETS))
    return plug(n, namespace("p", "eth0 10.0.2.2/24 veth n 3\neth1 veth n 4"), lan="n.en0")


BASE = _base()
N = BASE["n"]
ENDS = IPv4Address("10.0.1.1"), IPv4Address("10.0.1.8")


def netns(**changes: object) -> World:
    return BASE.put(N.but(**changes))


def family(**changes: object) -> World:
    return BASE.put(N.with_ip4(**changes))


def tunnel(*ends: Any) -> World:
    """The world with an IPIP device, which not every kernel has."""
    return BASE.put(add_link(N, Link(9, "tun", Ipip(*ends), mtu=1480)))


def address(text: str = "10.0.6.1/24", scope: str = "global", broadcast: IPv4Address | None = None) -> World:
    return BASE.put(add_address(N, "mv", Address(IPv4Interface(text), scope, broadcast)))


def filtering(*vlans: VlanEntry) -> World:
    """The world whose bridge filters VLANs, which not every kernel does; those of one of its ports."""
    there = {"va": vlans, "vb": (), "br0": ()}
    links = (replace(one, vlans=there.get(one.name)) for one in N.links)
    kind = Bridge(N.link("br0").kind.stations, vlan_filtering="1")
    return netns(links=tuple(replace(one, kind=kind) if one.name == "br0" else one for one in links))


EMPTY = IpSet("some")
BASES = {VlanEntry: filtering(VlanEntry(7)), Ipip: tunnel(*ENDS), Address: address(), IpSet: netns(sets=(EMPTY,))}
BASES |= dict.fromkeys((VirtualServer, RealServer), family(ipvs=(SERVED,)))
"""Where the world to compare with is another."""


def link(device: str, /, **changes: Any) -> World:
    return netns(links=tuple(replace(one, **changes) if one.name == device else one for one in N.links))


def kind(device: str, /, **changes: Any) -> World:
    return link(device, kind=replace(N.link(device).kind, **changes))


def route(**changes: Any) -> World:
    old = next(one for one in N.ip4.routes if one.via)
    return BASE.put(add_routes(del_route(N, old.dst), replace(old, **changes)))


def rule(**changes: Any) -> World:
    old = next(one for one in N.ip4.rules if one.priority == 1000)
    return BASE.put(
        add_rule(N.with_ip4(rules=tuple(one for one in N.ip4.rules if one != old)), replace(old, **changes))
    )


def neigh(**changes: Any) -> World:
    return family(neighbours=(replace(N.ip4.neighbours[0], **changes),))


def table(**changes: Any) -> World:
    return family(tables=(replace(N.ip4.tables[0], **changes),))


def chain(place: int, **changes: Any) -> World:
    chains = N.ip4.tables[0].chains
    return table(chains=(*chains[:place], replace(chains[place], **changes), *chains[place + 1 :]))


def chain_rule(**changes: Any) -> World:
    return chain(1, rules=(replace(N.ip4.tables[0].chains[1].rules[0], **changes),))


def segment(**changes: Any) -> World:
    return replace(BASE, segments=(replace(BASE.segments[0], **changes),))


def served(**changes: Any) -> World:
    new = replace(SERVED, **changes)
    return family(ipvs=(replace(new, servers=tuple(replace(one, service=new.name) for one in new.servers)),))


def server(**changes: Any) -> World:
    return served(servers=(replace(SERVED.servers[0], **changes),))


SPEAKER = Speaker(IPv4Address("10.0.1.5"), Port("n", "en0"))
GATEWAY = Gateway(IPv4Interface("10.0.1.3/24"))

FIELDS: dict[type, dict[str, Callable[[], World]]] = {
    World: {
        "namespaces": lambda: replace(BASE, namespaces=(*BASE.namespaces, namespace("q", ""))),
        "segments": lambda: replace(BASE, segments=(*BASE.segments, Segment("wan", ()))),
        "complete": lambda: replace(BASE, complete=False),
    },
    Segment: {
        "name": lambda: segment(name="wan"),
        "ports": lambda: segment(ports=()),
        "reflects": lambda: segment(reflects=True),
        "uplink": lambda: segment(uplink=True),
        "gateway": lambda: segment(gateway=GATEWAY),
        "speakers": lambda: segment(speakers=(SPEAKER,)),
    },
    Speaker: {
        "address": lambda: segment(speakers=(replace(SPEAKER, address=IPv4Address("10.0.1.6")),)),
        "port": lambda: segment(speakers=(replace(SPEAKER, port=Port("n", "va")),)),
    },
    Gateway: {
        "address": lambda: segment(gateway=replace(GATEWAY, address=IPv4Interface("10.0.1.4/24"))),
        "routes": lambda: segment(gateway=replace(GATEWAY, routes=("10.0.6.0/24 via 10.0.1.1",))),
    },
    Port: {
        "netns": lambda: segment(ports=(Port("p", "en0"),)),
        "link": lambda: segment(ports=(Port("n", "mv"),)),
    },
    Netns: {
        "name": lambda: replace(BASE, namespaces=(*BASE.namespaces, namespace("q", ""))),
        "links": lambda: BASE.put(add_link(N, Link(8, "br1", Bridge(), "02:00:00:00:00:08"))),
        "ip4": lambda: netns(ip4=replace(N.ip4, tables=())),
        "sets": lambda: netns(sets=(*N.sets, *parse_sets(SETS.replace("some", "other")))),
        "sysctls": lambda: netns(sysctls=(*N.sysctls, Setting("net.ipv4.conf.en0.rp_filter", "2"))),
        "missing": lambda: netns(missing=(Gap("nobody looked"),)),
        "unseen": lambda: netns(unseen=("sockets",)),
    },
    Family: {
        "rules": lambda: BASE.put(add_rule(N, parse_ip_rule("900: from all iif en0 lookup 7"))),
        "routes": lambda: BASE.put(add_routes(N, parse_route("10.0.3.0/24 via 10.0.1.7 dev en0"))),
        "neighbours": lambda: family(neighbours=(*N.ip4.neighbours, parse_neigh("10.0.1.8 dev en0 proxy"))),
        "tables": lambda: family(tables=(*N.ip4.tables, *parse_tables(RULES.replace("filter", "security")))),
        "legacy": lambda: family(legacy=parse_tables(RULES)),
        "nft": lambda: family(nft=read_ruleset(NATIVE)),
        "ipvs": lambda: family(ipvs=parse_services(SERVERS)),
        "learned": lambda: family(learned=(Neigh(IPv4Address("10.0.1.7"), "en0", "02:00:00:00:00:07", "REACHABLE"),)),
    },
    Link: {
        "index": lambda: link("mv", index=8),
        "name": lambda: link("vx", name="vx1"),
        "kind": lambda: link("mv", kind=Bridge()),
        "mac": lambda: link("mv", mac="02:00:00:00:00:77"),
        "addresses": lambda: address(),
        "up": lambda: link("mv", up=False),
        "mtu": lambda: link("mv", mtu=1400),
        "master": lambda: link("vb", master=""),
        "carrier": lambda: link("mv", carrier=False),
        "hidden": lambda: link("en0", hidden=(Hidden("", Gap("what", collect="it")),)),
        "port": lambda: link("va", port=BridgePort(hairpin=True)),
        "vlans": lambda: filtering(VlanEntry(9)),
        "egress": lambda: link("en0", egress=Gap("tbf")),
    },
    Loopback: {},
    Physical: {},
    Veth: {"peer": lambda: link("mv", kind=Veth(LinkEnd("p", 9)))},
    LinkEnd: {"netns": lambda: kind("mv", lower=LinkEnd("p", 3)), "index": lambda: kind("mv", lower=LinkEnd("n", 3))},
    Macvlan: {"lower": lambda: kind("mv", lower=LinkEnd("n", 3)), "mode": lambda: kind("mv", mode="private")},
    FdbEntry: {
        "mac": lambda: kind("br0", fdb=(FdbEntry("02:00:00:00:00:45", "va"),)),
        "port": lambda: kind("br0", fdb=(FdbEntry("02:00:00:00:00:44", "vb"),)),
        "state": lambda: kind("br0", fdb=(FdbEntry("02:00:00:00:00:44", "va", "permanent"),)),
        "sticky": lambda: kind("br0", fdb=(FdbEntry("02:00:00:00:00:44", "va", sticky=True),)),
    },
    Bridge: {
        "fdb": lambda: kind("br0", fdb=()),
        "nf_call_iptables": lambda: kind("br0", nf_call_iptables="1"),
        "vlan_filtering": lambda: filtering(),
    },
    BridgePort: {
        "hairpin": lambda: link("va", port=BridgePort(hairpin=True)),
        "isolated": lambda: link("va", port=BridgePort(isolated=True)),
    },
    VlanEntry: {
        "id": lambda: filtering(VlanEntry(8)),
        "pvid": lambda: filtering(VlanEntry(7, pvid=True)),
        "untagged": lambda: filtering(VlanEntry(7, untagged=True)),
    },
    Vxlan: {
        "vni": lambda: kind("vx", vni=8),
        "local": lambda: kind("vx", local=IPv4Address("10.0.2.1")),
        "dev": lambda: kind("vx", dev="va"),
        "port": lambda: kind("vx", port=8472),
        "fdb": lambda: kind("vx", fdb=()),
        "udpcsum": lambda: kind("vx", udpcsum=False),
        "df": lambda: kind("vx", df="set"),
    },
    Ipip: {
        "local": lambda: tunnel(None, ENDS[1]),
        "remote": lambda: tunnel(ENDS[0], None),
        "ignore_df": lambda: tunnel(*ENDS, True),
    },
    UnmodelledDevice: {"gap": lambda: link("mv", kind=UnmodelledDevice(Gap("bond"))), "lower": lambda: link("mv", kind=UnmodelledDevice(Gap("bond"), LinkEnd("n", 2)))},
    Address: {
        "interface": lambda: address("10.0.6.2/25"),
        "scope": lambda: address(scope="link"),
        "broadcast": lambda: address(broadcast=IPv4Address("10.0.6.255")),
    },
    Rule: {
        "priority": lambda: rule(priority=1001),
        "table": lambda: rule(table="8"),
        "src": lambda: rule(src=IPv4Network("10.0.2.9")),
        "dst": lambda: rule(dst=IPv4Network("10.0.2.9")),
        "iif": lambda: rule(iif="en0"),
        "oif": lambda: rule(oif="en0"),
        "fwmark": lambda: rule(fwmark=5),
        "fwmask": lambda: rule(fwmark=5, fwmask=7),
        "action": lambda: rule(action="prohibit", table="main"),
        "inverted": lambda: rule(inverted=True),
        "suppress": lambda: rule(suppress=0),
        "proto": lambda: rule(proto="static"),
        "text": lambda: rule(text="1000:\tfrom all ipproto tcp lookup 7"),
    },
    Route: {
        "dst": lambda: route(dst=IPv4Network("10.0.9.0/25")),
        "dev": lambda: route(dev="va", onlink=True),
        "via": lambda: route(via=IPv4Address("10.0.1.8")),
        "src": lambda: route(src=IPv4Address("10.0.2.1")),
        "type": lambda: route(type="prohibit", via=None, dev=""),
        "table": lambda: route(table="9"),
        "scope": lambda: route(scope="site"),
        "proto": lambda: route(proto="bird"),
        "metric": lambda: route(metric=7),
        "onlink": lambda: route(onlink=True),
        "linkdown": lambda: route(linkdown=True),
        "nhid": lambda: route(nhid=3),
        "settings": lambda: route(settings="mtu 1400"),
        "hops": lambda: route(hops=(Hop("en0", IPv4Address("10.0.1.8")), Hop("en0", IPv4Address("10.0.1.9"), 2)), via=None, dev=""),
        "text": lambda: route(text="10.0.9.0/24 encap mpls 1 via 10.0.1.9 dev en0"),
    },
    Neigh: {
        "ip": lambda: neigh(ip=IPv4Address("10.0.1.8")),
        "dev": lambda: neigh(dev="mv"),
        "mac": lambda: neigh(mac="02:00:00:00:00:08"),
        "state": lambda: neigh(state="NOARP"),
    },
    Table: {"name": lambda: table(name="security"), "chains": lambda: table(chains=N.ip4.tables[0].chains[:3])},
    Chain: {
        "name": lambda: chain(3, name="YOURS"),
        "rules": lambda: chain(1, rules=()),
        "policy": lambda: chain(1, policy="DROP"),
    },
    ChainRule: {
        "chain": lambda: chain(2, rules=(replace(N.ip4.tables[0].chains[1].rules[0], chain="OUTPUT"),)),
        "matches": lambda: chain_rule(matches=()),
        "target": lambda: chain_rule(target=None),
    },
    VirtualServer: {
        "proto": lambda: served(proto="udp"),
        "address": lambda: served(address=IPv4Address("10.0.5.2")),
        "port": lambda: served(port=81),
        "scheduler": lambda: served(scheduler="sh"),
        "servers": lambda: served(servers=()),
        "mark": lambda: served(proto="fwmark", mark=7, address=IPv4Address(0), port=0),
        "timeout": lambda: served(timeout=300),
        "mask": lambda: served(timeout=300, mask="255.255.255.0"),
        "one_packet": lambda: served(proto="udp", one_packet=True),
        "flags": lambda: served(flags="flag-2"),
    },
    RealServer: {
        "service": lambda: served(port=81),
        "address": lambda: server(address=IPv4Address("10.0.2.9")),
        "port": lambda: server(port=81),
        "forwarding": lambda: server(forwarding="-g"),
        "weight": lambda: server(weight=0),
    },
    IpSet: {
        "name": lambda: netns(sets=(replace(EMPTY, name="other"),)),
        "type": lambda: netns(sets=(replace(EMPTY, type="hash:ip"),)),
        "members": lambda: netns(sets=(replace(EMPTY, members=(IPv4Network("10.0.7.0/25"),)),)),
        "options": lambda: netns(sets=(replace(EMPTY, options="family inet hashsize 2048 maxelem 65536"),)),
    },
    Setting: {
        "key": lambda: netns(sysctls=(Setting("net.ipv4.conf.en0.proxy_arp", "1"),)),
        "value": lambda: netns(sysctls=(Setting("net.ipv4.ip_forward", "0"),)),
    },
}  # fmt: skip
"""Class, field, and the world that differs in it."""

NO_STATE = {
    "origin": "who wrote it: said about the state, no part of it",
    "gap": "which word of `text` is not modelled: follows from the text",
    "doubt": "what another listing has against it: found anew when both are read",
}
"""Fields that equality does not look at."""

SAVED, COLLECTED, DIGEST, LAB = "saved and loaded", "a folder read as collected", "digest of the records", "lab"
"""What a field must survive: the lab builds it and reads it back."""

FILES = (SAVED, COLLECTED)
_FOUND_ANEW = "what nobody knows is found when files are read, and never written"
_LEARNED = "what ARP knew when it was collected: a world starts with what somebody wrote"
_NOT_STRICT = "only collected state may have it; strict loading refuses it"
_KNOWN = "the cables of the records' worlds are all known"
_SWITCH = "the lab's switch is not read back; packets show where its cables lead"
_FAR = "far ends are left out of what is read back; packets show where they are"
_COLLECTED_ONLY = "of a running machine; the lab does not make it"

NATIVE = """table inet t {
	chain c {
		type filter hook forward priority filter; policy accept;
		tcp dport 80 drop
	}
}
"""

OF_SERVICE = ("proto", "address", "port", "scheduler", "servers", "mark", "timeout", "mask", "one_packet", "flags")
OF_SERVER = ("service", "address", "port", "forwarding", "weight")

LOST: dict[tuple[type, str], dict[str, str]] = {
    (World, "segments"): {LAB: _SWITCH},
    (World, "complete"): {DIGEST: _KNOWN, LAB: _KNOWN},
    **{(Segment, name): {LAB: _SWITCH} for name in ("name", "ports", "reflects")},
    **{(Segment, name): {DIGEST: _KNOWN, LAB: _KNOWN} for name in ("uplink", "gateway", "speakers")},
    **{(Speaker, name): {DIGEST: _KNOWN, LAB: _KNOWN} for name in ("address", "port")},
    **{(Gateway, name): {DIGEST: _KNOWN, LAB: _KNOWN} for name in ("address", "routes")},
    **{(Port, name): {LAB: _SWITCH} for name in ("netns", "link")},
    **{(Netns, name): dict.fromkeys((*FILES, DIGEST, LAB), _FOUND_ANEW) for name in ("missing", "unseen")},
    (Family, "legacy"): {
        LAB: "of a kernel whose modules may be missing; test_kernel_netfilter.py asks what packets meet"
    },
    **{
        (one, name): {LAB: "of a kernel that has IPVS; test_uml_ipvs.py reads it back on the second one"}
        for one, names in ((Family, ("ipvs",)), (VirtualServer, OF_SERVICE), (RealServer, OF_SERVER))
        for name in names
    },
    (Family, "learned"): dict.fromkeys((*FILES, DIGEST, LAB), _LEARNED),
    (Link, "index"): {LAB: "the kernel chooses indexes; their order is read back"},
    **{(Link, name): dict.fromkeys((*FILES, LAB), _FOUND_ANEW) for name in ("hidden", "egress")},
    **{(UnmodelledDevice, name): dict.fromkeys((*FILES, LAB), _FOUND_ANEW) for name in ("gap", "lower")},
    (Veth, "peer"): {LAB: _FAR},
    (Macvlan, "lower"): {LAB: _FAR},
    **{(LinkEnd, name): {LAB: _FAR} for name in ("netns", "index")},
    (Rule, "text"): dict.fromkeys(FILES, _NOT_STRICT + "; read as collected, it has a reason besides"),
    **{(Route, name): {SAVED: _NOT_STRICT, LAB: _COLLECTED_ONLY} for name in ("nhid", "text")},
    (Route, "linkdown"): {LAB: "the kernel says so of a device that has no carrier"},
    (IpSet, "type"): {DIGEST: "its members tell it"},
    (IpSet, "options"): {DIGEST: "sizes of a hash decide nothing", LAB: "sizes of a hash decide nothing"},
}
"""Class and field -> what it does not survive, and why that is right."""
