"""Every kind of device and every listing declares what it needs, in one literal table each; what nobody declared is named."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import fields, replace
from importlib import import_module
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from small_worlds import device, namespace, plug
from state_fields import BASE, NATIVE, SERVERS

import mcnilib
from mcnilib.errors import McniError, Unsupported
from mcnilib.kernel.lab.capabilities import needs
from mcnilib.kernel.lab.devices import makings
from mcnilib.kernel.observe.path import Cabling
from mcnilib.linux.device.base import NO_MAC, Frame, Kind, LinkEnd
from mcnilib.linux.device.bridge import Bridge
from mcnilib.linux.device.child.ipvlan import Ipvlan
from mcnilib.linux.device.child.vlan import Vlan
from mcnilib.linux.device.l3.kinds import Tun, WireGuard
from mcnilib.linux.device.link import KINDS as REGISTERED
from mcnilib.linux.device.link import Link, parse_links, print_links
from mcnilib.linux.device.macvlan import Macvlan
from mcnilib.linux.device.master import Bond, Vrf
from mcnilib.linux.device.nic import Dummy, Loopback, Physical, UnmodelledDevice
from mcnilib.linux.device.tunnel.ipip import Gre, Ipip
from mcnilib.linux.device.tunnel.vxlan import Vxlan
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netfilter.ipvs.service import RealServer, VirtualServer, parse_services
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.linux.netns import Family, Netns, add_link
from mcnilib.linux.routing.neigh import Neigh, parse_neigh
from mcnilib.linux.routing.route import Route
from mcnilib.linux.routing.rule import Rule
from mcnilib.linux.sysctl import Setting
from mcnilib.linux.unmodelled import Gap
from mcnilib.snapshots.files import save
from mcnilib.snapshots.load import load_collected
from mcnilib.snapshots.netns_ids import Home, connected
from mcnilib.trace.stack.ethernet import Wire
from mcnilib.world.json_form import link_lines, text_of
from mcnilib.world.listing import COMMANDS, ListingRow, evidence_command
from mcnilib.world.listing import LISTINGS as REGISTER
from mcnilib.world.world import World


class KindFacts(NamedTuple):
    """What a kind of device declares."""

    example: Kind
    printed: str = ""  # its line of `ip -d address`
    flags: str = "BROADCAST,MULTICAST"  # what else is printed between < and > than whether it is up
    slaves: bool = False  # other devices may have it as their master
    strict: bool = True  # reads back what it prints
    arp: bool = True  # neighbours are resolved on it
    leads: bool = False  # its other end is in a namespace that has to be named
    made: str = ""  # the words with which the lab makes it
    refused: bool = False  # the lab does not make it
    needs: str = ""  # what a kernel must have for it
    lands: str = ""  # who takes a broadcast sent on it
    paths: str = ""  # as what the lab's packet paths know it


HERE, THERE, TO_ALL = IPv4Address("10.0.1.1"), IPv4Address("10.0.1.2"), "ff:ff:ff:ff:ff:ff"
TUNNELLED = "nobody: it carries packets, not frames"
VXLAN, IPIP = Vxlan(7, HERE, "en0"), Ipip(HERE, THERE)
KINDS = {
    "Loopback": KindFacts(Loopback(), flags="LOOPBACK", arp=False, lands="n.lo"),
    "Physical": KindFacts(Physical(), made="veth", lands="m.en1"),
    "Veth": KindFacts(Veth(LinkEnd("p", 2)), "veth", leads=True, made="veth", needs="veth", lands="p.eth0", paths="peer"),
    "Macvlan": KindFacts(Macvlan(LinkEnd("n", 2)), "macvlan mode bridge", leads=True, made="macvlan", needs="macvlan", lands="m.en0", paths="below"),
    "Ipvlan": KindFacts(Ipvlan(LinkEnd("n", 2)), "ipvlan  mode l2 bridge", leads=True, made="ipvlan", needs="ipvlan", lands="m.en0", paths="below"),
    "Vlan": KindFacts(Vlan(LinkEnd("n", 2), 7), "vlan protocol 802.1Q id 7 <REORDER_HDR>", leads=True, made="vlan", needs="vlan", paths="below"),
    "Bond": KindFacts(Bond(active="en1"), "bond mode active-backup active_slave en1", "BROADCAST,MULTICAST,MASTER", slaves=True, made="bond", needs="bond"),
    "Dummy": KindFacts(Dummy(), "dummy", "BROADCAST,NOARP", arp=False, made="dummy", needs="dummy"),
    "Bridge": KindFacts(Bridge(), "bridge", slaves=True, made="bridge", needs="bridge"),
    "Vxlan": KindFacts(VXLAN, "vxlan id 7 local 10.0.1.1 dev en0 srcport 0 0 dstport 4789 nolearning", made="vxlan", needs="vxlan", lands=TUNNELLED, paths="tunnels"),
    "Ipip": KindFacts(IPIP, "ipip ipip remote 10.0.1.2 local 10.0.1.1", "NOARP", arp=False, made="ipip", needs="ipip", lands=TUNNELLED, paths="tunnels"),
    "Vrf": KindFacts(Vrf("10"), "vrf table 10", "NOARP,MASTER", slaves=True, arp=False, made="vrf", needs="vrf", lands=TUNNELLED),
    "Gre": KindFacts(Gre(HERE, THERE, ikey=IPv4Address(5), okey=IPv4Address(6)), "gre remote 10.0.1.2 local 10.0.1.1 ttl inherit ikey 0.0.0.5 okey 0.0.0.6", "NOARP", arp=False, made="gre", needs="gre", lands=TUNNELLED, paths="tunnels"),
    "Tun": KindFacts(Tun(), "tun type tun pi off vnet_hdr off persist off", "POINTOPOINT,MULTICAST,NOARP", arp=False, needs="tun", lands=TUNNELLED),
    "WireGuard": KindFacts(WireGuard(), "wireguard", "POINTOPOINT,NOARP", arp=False, made="wireguard", needs="wireguard", lands=TUNNELLED, paths="tunnels"),
    "UnmodelledDevice": KindFacts(UnmodelledDevice(Gap("bond"), LinkEnd("n", 2)), "bond", strict=False, leads=True, refused=True),
}  # fmt: skip
"""Each kind by the name of its class. How it is drawn is in the tests of the pictures."""

IN_JSON = {
    "Veth": {"info_kind": "veth"},
    "Macvlan": {"info_kind": "macvlan", "info_data": {"mode": "bridge", "bcqueuelen": 1000}},
    "Ipvlan": {"info_kind": "ipvlan", "info_data": {"mode": "l2", "bridge": True}},
    "Vlan": {"info_kind": "vlan", "info_data": {"protocol": "802.1Q", "id": 7, "flags": ["REORDER_HDR"]}},
    "Bond": {"info_kind": "bond", "info_data": {"mode": "active-backup", "active_slave": "en1", "miimon": 100, "arp_validate": None, "ad_lacp_rate": "slow", "all_slaves_active": 0}},
    "Dummy": {"info_kind": "dummy"},
    "Bridge": {"info_kind": "bridge", "info_data": {"priority": 32768, "vlan_filtering": 0, "nf_call_iptables": 0, "group_addr": "x"}},
    "Vxlan": {"info_kind": "vxlan", "info_data": {"id": 7, "local": "10.0.1.1", "link": "en0", "port": 4789, "learning": False, "df": "unset", "udp_csum": True}},
    "Vrf": {"info_kind": "vrf", "info_data": {"table": 10}},
    "Gre": {"info_kind": "gre", "info_data": {"remote": "10.0.1.2", "local": "10.0.1.1", "ttl": 0, "pmtudisc": True, "ikey": "0.0.0.5", "okey": "0.0.0.6"}},
    "Tun": {"info_kind": "tun", "info_data": {"type": "tun", "pi": False, "vnet_hdr": False, "persist": False}},
    "WireGuard": {"info_kind": "wireguard"},
    "Ipip": {"info_kind": "ipip", "info_data": {"proto": "ipip", "remote": "10.0.1.2", "local": "10.0.1.1", "ttl": 0, "encap": {"type": "none"}}},
}  # fmt: skip
"""What `ip -d -j address` says of each, where it names the kind; measured with iproute2 6.1, but for ipip."""

IN_JSON_REFUSED = [
    ({"info_kind": "vxlan", "info_data": {"id": 7, "tos": "0x10"}}, "'tos' in a vxlan device"),
    ({"info_kind": "bridge", "info_data": {"vlan_protocol": "802.1ad"}}, "a bridge with vlan_protocol 802.1ad"),
    ({"info_kind": "ipip", "info_data": {"encap": {"type": "fou"}}}, "'encap' in an ipip device"),
    ({"info_kind": "ipip", "info_data": {"link": "en0"}}, "'dev' in an ipip device"),
    ({"info_kind": "bond", "info_data": {"mode": "balance-alb"}}, "a bond in mode balance-alb"),
    ({"info_kind": "team", "info_data": {}}, "link kind 'team'"),
    (
        {"info_slave_kind": "bridge", "info_slave_data": {"hairpin": True, "locked": True}},
        "a bridge port with locked on",
    ),
    ({"info_slave_kind": "bridge", "info_slave_data": {"learning": False}}, "a bridge port with learning off"),
]


def world_with(kind: Kind) -> World:
    """A node n with a NIC and a device d of some kind; m on the same switch; p, where the other end of a veth is."""
    n, m = namespace("n", "en0 10.0.1.1/24"), namespace("m", "en0 10.0.1.2/24\nen1")
    p = namespace("p", "eth0 veth n 3")
    here = Physical() if isinstance(kind, Loopback) else kind
    wan = {"wan": "n.d m.en1"} if isinstance(here, Physical) else {}
    link = replace(device("n", 3, "d", "", here), mac=NO_MAC) if not here.has_mac else device("n", 3, "d", "", here)
    return plug(add_link(n, link), m, p, lan="n.en0 m.en0", **wan)


def facts_of(kind: Kind) -> KindFacts:
    """Find out what holds for a kind of device."""
    world = world_with(kind)
    netns = world["n"]
    link = netns.link("lo" if isinstance(kind, Loopback) else "d")
    text = print_links(netns.links, "n")
    line = re.search(rf"^{link.index}: .*\n .*\n    (?!inet)(.*) $", text, re.MULTILINE)
    return KindFacts(
        kind,
        line[1] if line else "",
        re.findall(rf"^{link.index}: .*<(.*),UP,LOWER_UP>", text, re.MULTILINE)[0],
        _masters(world, link),
        _reads(text, netns.links),
        link.has_arp,
        _is_named(world, link.name),
        *_making(world, link.index),
        " ".join(needs(replace(world, namespaces=(netns,)))),
        " ".join(_landings(world, link.name)),
        " ".join(
            name
            for name, held in vars(Cabling(world)).items()
            if ("n", link.name) in held and name not in ("segments", "macs")
        ),
    )


def _reads(text: str, links: object) -> bool:
    try:
        return parse_links(text, netns="n") == links
    except McniError:
        return False


def _masters(world: World, link: Link) -> bool:
    """Tell whether a device whose master it is reads back, with the line of that kind."""
    port = replace(device("n", 4, "port", "", Veth(LinkEnd("p", 3))), master=link.name)
    text = print_links([*world["n"].links, port], "n") + f"    {link.kind.word}_slave \n"
    try:
        return parse_links(text, netns="n")[-1] == port
    except McniError:
        return False


def _is_named(world: World, name: str) -> bool:
    """Tell whether the namespace of its other end is found by an id of the tools."""
    link = world["n"].link(name)
    ends = [one.name for one in fields(link.kind) if isinstance(getattr(link.kind, one.name), LinkEnd)]
    far = replace(link, kind=replace(link.kind, **{one: LinkEnd("/5", 2) for one in ends}))
    (named,) = connected([Home("n", (far,), ids={5: "p"})])["n"]
    return bool(ends) and all(getattr(named.kind, one) == LinkEnd("p", 2) for one in ends)


def _making(world: World, index: int) -> tuple[str, bool]:
    """Return the kind the lab makes a device of, and whether it refuses."""
    try:
        made = [one.command for one in makings(world, str) if ("n", index) in one.ends]
    except Unsupported:
        return "", True
    return " ".join(found[1] for command in made if (found := re.search(r" type (\w+)", command))), False


def _landings(world: World, name: str) -> list[str]:
    link = world["n"].link(name)
    try:
        return [f"{one.netns}.{one.link.name}" for one in Wire(world).send("n", link, Frame(link.mac, TO_ALL))]
    except Unsupported:
        return [TUNNELLED]


def in_json(kind: Kind, info: dict[str, Any]) -> str:
    """Turn what `ip -d -j address` says of device d, an object, into the lines of the text form."""
    netns = world_with(kind)["n"]
    head, layer, *_ = print_links([netns.link("d")], "n").splitlines()
    others = print_links([link for link in netns.links if link.name != "d"], "n")
    told = {
        "ifindex": 3,
        "ifname": "d",
        "flags": re.findall(r"<(.*)>", head)[0].split(","),
        "mtu": 1500,
        "linkinfo": info,
    }
    _, word, mac, *_ = re.split(r"\s+(?:link/)?|link/", layer)
    end = netns.link("d").kind.endpoint
    told |= {"link_type": word, "address": mac, **({"link_index": end.index, "link_netns": end.netns} if end else {})}
    return others + text_of(json.dumps([told]), link_lines, "ip -j")


@pytest.mark.parametrize("name", [name for name, facts in KINDS.items() if facts.printed and facts.strict])
def test_a_kind_is_read_from_json_too(name: str) -> None:
    example = KINDS[name].example
    assert parse_links(in_json(example, IN_JSON[name]), netns="n")[-1].kind == example


@pytest.mark.parametrize(("info", "says"), IN_JSON_REFUSED)
def test_what_is_not_modelled_is_refused_in_json_too(info: dict[str, Any], says: str) -> None:
    with pytest.raises(Unsupported, match=re.escape(says)):
        parse_links(in_json(Physical(), info), netns="n")


@pytest.mark.parametrize(("name", "facts"), KINDS.items())
def test_a_kind_of_device_is_what_it_declares(name: str, facts: KindFacts) -> None:
    assert type(facts.example).__name__ == name
    assert facts_of(facts.example)._asdict() == facts._asdict()


def kinds_of(family: type[Kind]) -> set[str]:
    """Return the names of all kinds that are written down, those of a family only if nobody derives from it."""
    derived = (one for one in family.__subclasses__() if one.__module__.startswith(Kind.__module__.rpartition(".")[0]))
    below = {name for one in derived for name in kinds_of(one)}
    return below or {family.__name__}


def test_every_kind_of_device_is_declared() -> None:
    room = Path(sys.modules[Kind.__module__].__file__ or "").parent
    for module in room.rglob("*.py"):
        import_module(".".join(("mcnilib.linux.device", *module.relative_to(room).with_suffix("").parts)))
    assert sorted({one.__name__ for one in REGISTERED} ^ set(KINDS)) == []
    assert sorted({one.__name__ for one in REGISTERED} ^ kinds_of(Kind)) == [], "link.KINDS"


class ListingFacts(NamedTuple):
    """What a file of a snapshot declares."""

    command: str  # whose output it holds
    fields: str = ""  # what of a namespace is lost without it
    gap: bool = False  # without it nobody knows the namespace
    rules: bool = False  # then only its netfilter rules are not known
    json: bool = False  # may be given in the tool's JSON form
    shown: tuple[str, ...] = ()  # commands of a shell that print it, or part of it
    read_back: tuple[str, ...] = ()  # commands by which the lab reads it back
    evidence: str = ""  # a line of state, and the command that shows it
    script: str = ""  # what the script that collects runs, if not the command


SERVED = (VirtualServer, RealServer)
SYSCTLS = """sh -c 'lines=$(sysctl -e net.ipv4 net.netfilter net.bridge | sed -n -E "/^$0 ?=/p")
            [ -n "$lines" ] && printf "%s\\n" "$lines"' "$sysctls\""""
NEIGHBOURS = ("ip neigh", "ip neigh show nud noarp", "ip neigh show proxy")
ROUTES = ("ip route", "ip route show table all")
LISTINGS = {
    "ip-address": ListingFacts("ip -d address show", "links", True, json=True, shown=("ip -d address",), read_back=("ip -d address",), script="ip -d -j -p address show"),
    "bridge-fdb": ListingFacts("bridge fdb show", "links", True, json=True, shown=("bridge fdb",), read_back=("bridge fdb show",)),
    "wg": ListingFacts("wg show all allowed-ips; wg show all endpoints; wg show all listen-port; wg show all fwmark", script="""sh -c 'for part in allowed-ips endpoints listen-port fwmark; do wg show all "$part"; done'"""),
    "bridge-vlan": ListingFacts("bridge vlan show", json=True, read_back=("bridge vlan show",)),
    "ip-rule": ListingFacts("ip rule", "rules", True, json=True, shown=("ip rule",), read_back=("ip rule",), evidence="Rule: ip rule", script="ip -4 rule show"),
    "ip-route": ListingFacts("ip -4 route show table all", "routes", True, json=True, shown=ROUTES, read_back=ROUTES[1:], evidence="Route: ip route show table local"),
    "ip-neigh": ListingFacts("ip -4 neigh show nud all; ip -4 neigh show proxy", "neighbours", True, json=True, shown=NEIGHBOURS, read_back=("ip neigh", "ip neigh show proxy"), evidence="Neigh: ip neigh show proxy", script="sh -c 'ip -4 neigh show nud all; ip -4 neigh show proxy'"),
    "sysctl": ListingFacts("sysctl -a", "sysctls", True, shown=("sysctl -a",), evidence="Setting: sysctl -a", script=SYSCTLS),
    "iptables": ListingFacts("iptables-save", "tables", True, rules=True, shown=("iptables-save",), read_back=("iptables-save",), script='"$save"'),
    "ipset": ListingFacts("ipset save", "sets", shown=("ipset save",), read_back=("ipset save",)),
    "ss": ListingFacts("ss -tuan", script="""sh -c 'ss -tuan | grep -v "^tcp  *[^L ]"'"""),
    "conntrack": ListingFacts("conntrack -L"),
    "ip-netns": ListingFacts("ip netns list-id"),
    "iptables-legacy": ListingFacts("iptables-legacy-save"),
    "arptables-legacy": ListingFacts("arptables-legacy-save"),
    "ebtables-legacy": ListingFacts("grep ^ebtable_ /proc/modules"),
    "nft": ListingFacts("nft list ruleset", "nft", shown=("nft list ruleset",), read_back=("nft list ruleset",), script='sh -c "$tables"'),
    "ipvsadm": ListingFacts("ipvsadm -Sn", "ipvs", shown=("ipvsadm -Sn",), read_back=("ipvsadm -Sn",), evidence="VirtualServer: ipvsadm -Sn", script="sh -c '[ ! -e /proc/net/ip_vs ]||ipvsadm -Sn'"),
    "nft.json": ListingFacts("nft -j list ruleset"),
    "tc": ListingFacts("tc qdisc show"),
    "tc-filter": ListingFacts("tc filter show dev DEVICE, the device in front of each line", script='sh -c "$filters"'),
    "bpf": ListingFacts("readlink /proc/self/ns/net; bpftool net; bpftool link", script='sh -c "$programs"'),
    "uname": ListingFacts("uname -r"),
    "xfrm": ListingFacts("ip xfrm policy count"),
}  # fmt: skip
"""Each file of a namespace's folder by its name without `.txt`. The sysctls are read back one by one."""

SCRIPT = next(Path(mcnilib.__file__).parent.rglob("collect.sh")).read_text(encoding="utf-8")


RUN = re.compile(r"""\bshow (\S+\.(?:txt|json)) ((?:'[^']*'|"[^"]*"|[^;'"\n])+?)(?=;| #|\n)""")
"""A line of the script: the file, and the command whose output goes there."""


def collected(row: ListingRow) -> list[str]:
    """Return what the script runs for a listing: one thing or another, as the machine has it."""
    return [command for file, command in RUN.findall(SCRIPT) if file in row.files]


def differing(value: Any, other: Any) -> list[str]:
    return [one.name for one in fields(value) if getattr(value, one.name) != getattr(other, one.name)]


def evidence_of(row: ListingRow) -> str:
    """Return the kind of line that stands as evidence in a listing, and the command named beside the last of them."""
    n = FULL["n"]
    line = (
        {Rule: n.ip4.rules, Route: n.ip4.routes, Neigh: n.ip4.neighbours, Setting: n.sysctls, SERVED: n.ip4.ipvs}[
            row.line
        ][-1]
        if row.line
        else None
    )
    return f"{type(line).__name__}: {evidence_command(line, '')}" if line else ""


@pytest.mark.parametrize("row", REGISTER, ids=lambda row: row.stem)
def test_a_listing_is_what_it_declares(row: ListingRow) -> None:
    files = save(FULL)
    without = load_collected({name: text for name, text in files.items() if name != f"n/{row.file}"})["n"]
    lost = [*differing(without, FULL["n"]), *differing(without.ip4, FULL["n"].ip4)]
    printed = {command: set(made(FULL["n"]).splitlines()) for command, made in COMMANDS.items()}
    text = set(files.get(f"n/{row.file}", "").splitlines())
    assert LISTINGS[row.stem] == ListingFacts(
        row.command,
        " ".join(name for name in lost if name not in ("missing", "ip4")),
        bool(without.missing),
        any(gap.rules for gap in without.missing),
        row.json is not None,
        tuple(command for command, lines in printed.items() if lines & text),
        tuple(row.read_back),
        evidence_of(row),
        row.script,
    )
    assert (row.script or row.command) in collected(row)


NOARP = Neigh(IPv4Address("10.0.1.7"), "en0", "02:00:00:00:00:07", "NOARP")
FULL = BASE.put(
    BASE["n"].with_ip4(
        neighbours=(*BASE["n"].ip4.neighbours, NOARP, parse_neigh("10.0.1.8 dev en0 proxy")),
        nft=read_ruleset(NATIVE),
        ipvs=parse_services(SERVERS),
    )
)


def test_every_listing_is_declared() -> None:
    assert sorted({row.stem for row in REGISTER} ^ set(LISTINGS)) == []
    assert sorted({file for file, _ in RUN.findall(SCRIPT)} - {file for row in REGISTER for file in row.files}) == []
    assert sorted({command for one in LISTINGS.values() for command in one.shown} ^ set(COMMANDS)) == []


def test_a_listing_fills_every_field_of_a_namespace() -> None:
    filled = {name for one in LISTINGS.values() for name in one.fields.split()}
    beside = {
        "name",
        "ip4",
        "missing",
        "unseen",
        "learned",
        "legacy",
    }  # what is found while reading; what was learned with the neighbours, iptables-legacy's where nft has rules too
    assert {one.name for one in (*fields(Netns), *fields(Family))} - filled == beside
