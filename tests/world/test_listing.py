"""Listings of a namespace, word for word those of the real tools, and a world as files."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from ip_shell import model, real
from ip_states import STATES, State

from mcnilib.errors import McniError, StateSyntaxError
from mcnilib.linux.device.link import Address, Link, parse_links
from mcnilib.linux.device.nic import Physical
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netfilter.ipset import parse_sets
from mcnilib.linux.netfilter.iptables.save import parse_tables
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.linux.netns import Netns
from mcnilib.snapshots.files import FILES, save
from mcnilib.snapshots.load import load
from mcnilib.world.listing import listing
from mcnilib.world.world import Port, Segment, World

TABLES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate INVALID -j DROP
COMMIT
"""
NO_NAT = """\
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
COMMIT
"""
SETS = "create web hash:ip family inet hashsize 1024 maxelem 65536\nadd web 10.0.0.9\n"


NODE = """
        address add 10.0.0.1/24 dev e0
        sysctl net.ipv4.ip_forward 1
        route add default via 10.0.0.9 dev e0
        route add 10.7.0.1 dev e2 table 500
        rule add lookup 500 priority 1000
        neigh add 10.0.0.9 dev e0 lladdr 02:00:00:00:00:09 nud permanent
        """


def node() -> Netns:
    netns = model(NODE)
    return netns.with_ip4(tables=parse_tables(TABLES)).but(sets=parse_sets(SETS))


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("ip rule", "0:\tfrom all lookup local\n1000:\tfrom all lookup 500\n32766:\tfrom all lookup main\n"
                    "32767:\tfrom all lookup default\n"),
        ("ip route", "default via 10.0.0.9 dev e0 \n10.0.0.0/24 dev e0 proto kernel scope link src 10.0.0.1 \n"),
        ("ip route show table main", "default via 10.0.0.9 dev e0 \n10.0.0.0/24 dev e0 proto kernel scope link src 10.0.0.1 \n"),
        ("ip route show table 500", "10.7.0.1 dev e2 scope link \n"),
        ("ip neigh", "10.0.0.9 dev e0 lladdr 02:00:00:00:00:09 PERMANENT \n"),
        ("ip neigh show", "10.0.0.9 dev e0 lladdr 02:00:00:00:00:09 PERMANENT \n"),
        ("iptables-save -t filter", TABLES),
        ("iptables-save", TABLES),
        ("iptables-save -t nat", NO_NAT),
        ("ipset save", SETS),
        ("ipset  save", SETS),
        ("sysctl net.ipv4.ip_forward", "net.ipv4.ip_forward = 1\n"),
    ],
)  # fmt: skip
def test_what_a_command_prints(command: str, text: str) -> None:
    assert listing(node(), command) == text


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("ip -d address", "    inet 10.0.0.1/24 scope global e0"),
        ("ip -d address show", "2: e0@e1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000"),
        ("ip route show table all", "10.7.0.1 dev e2 table 500 scope link "),
        ("ip route show table local", "local 10.0.0.1 dev e0 proto kernel scope host src 10.0.0.1 "),
        ("sysctl -a", "net.ipv4.ip_forward = 1"),
        ("sysctl -a", "net.ipv4.conf.e0.forwarding = 1"),
        ("sysctl -a", "net.ipv4.conf.e0.rp_filter = 0"),
        ("sysctl -a", "net.netfilter.nf_conntrack_tcp_be_liberal = 0"),
        ("ip address", "    inet 10.0.0.1/24 scope global e0"),
        ("ip address show e0", "    inet 10.0.0.1/24 scope global e0"),
    ],
)  # fmt: skip
def test_a_line_among_others(command: str, line: str) -> None:
    assert line in listing(node(), command).split("\n")


def test_a_device_without_its_details() -> None:
    text = listing(node(), "ip -d address")
    assert "    veth \n" in text
    assert listing(node(), "ip address") == text.replace("    veth \n", "").replace(
        "brd ff:ff:ff:ff:ff:ff ", "brd ff:ff:ff:ff:ff:ff"
    ).replace("brd 00:00:00:00:00:00 ", "brd 00:00:00:00:00:00")
    assert [line[:7] for line in listing(node(), "ip -d address show e2").splitlines() if line[0] != " "] == ["4: e2@e"]


def test_a_sysctl_listing_is_in_order_and_without_repetition() -> None:
    keys = [line.partition(" = ")[0] for line in listing(node(), "sysctl -a").splitlines()]
    assert keys == sorted(set(keys))


@pytest.mark.parametrize(
    ("spelt", "command"),
    [
        ("ip r", "ip route"),
        ("ip -4 route", "ip route"),
        ("ip route list", "ip route"),
        ("ip ro lst", "ip route"),
        ("ip r s t all", "ip route show table all"),
        ("ip route ls table 0", "ip route show table all"),
        ("ip route show table 254", "ip route show table main"),
        ("ip route show table 0x1f4", "ip route show table 500"),
        ("ip route show 'table' 500", "ip route show table 500"),
        ("sudo ip route show table 500", "ip route show table 500"),
        ("ip ru", "ip rule"),
        ("ip -4 rule list", "ip rule"),
        ("ip n", "ip neigh"),
        ("ip neighbour show", "ip neigh"),
        ("ip neigh show nud permanent", "ip neigh"),
        ("ip -d a", "ip -d address"),
        ("ip a", "ip address show"),
        ("ip a s e0", "ip address show dev e0"),
        ("ip -details addr ls", "ip -d address"),
        ("iptables-save -tfilter", "iptables-save -t filter"),
        ("iptables-save --table=filter", "iptables-save -t filter"),
        ("iptables-save --table 'filter'", "iptables-save -t filter"),
        ("iptables-save -t nat -t filter", "iptables-save -t filter"),
        ("sysctl -A", "sysctl -a"),
        ("ipset -S", "ipset save"),
    ],
)
def test_other_spellings_the_tools_take(spelt: str, command: str) -> None:
    assert listing(node(), spelt) == listing(node(), command) != ""


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("", "command '' is not modelled"),
        ("ip", "command 'ip' is not modelled"),
        ("ip route get 10.0.0.1", "command 'ip route get 10.0.0.1' is not modelled; there are ip -d address, bridge fdb"),
        ("ip nieghbour", "did you mean 'ip neigh'?"),
        ("ip -4 address", "did you mean 'ip -d address'?"),  # of devices without an address it prints nothing
        ("ip address show dev e9", "no device 'e9' in here; there are lo, e0, e1, e2, e3"),
        ("ip -j route", "command 'ip -j route' is not modelled"),
        ("ip -6 route", "command 'ip -6 route' is not modelled"),
        ("ip route table 500", "command 'ip route table 500' is not modelled"),
        ("ip route show dev e0", "command 'ip route show dev e0' is not modelled"),
        ("ip route show 'table 500'", "is not modelled"),
        ("ip route show table", "is not modelled"),
        ("ip route show table 501", "here has no routing table '501'; it has main, 500, local; did you mean '500'?"),
        ("ip route show table default", "no routing table 'default'"),  # the kernel makes it with its first route
        ("ip route show table mian", "did you mean 'main'?"),
        ("ip route show table 99999999999999", "no routing table '99999999999999'"),
        ("ip route show table 4294967296", "no routing table '4294967296'"),
        ("ip route show table 0500", "no routing table '0500'"),  # octal there
        ("iptables -L", "did you mean 'iptables-save'?"),
        ("iptables-save -t filtr", "table 'filtr' does not exist; there are raw, mangle, nat, filter, security; did you mean 'filter'?"),
        ("iptables-save -t Filter", "table 'Filter' does not exist"),
        ("iptables-save -t ''", "table '' does not exist"),
        ("iptables-save -t", "option -t requires argument"),
        ("iptables-save -c", "option -c not recognized; -t TABLE is modelled"),
        ("iptables-save filter", "unknown argument 'filter'; it takes -t TABLE"),
        ("iptables-save list", "unknown argument 'list'"),
        ("iptables-save -t 'filter", '"iptables-save -t \'filter": no closing quotation'),
        ("iptables-save | grep FORWARD", "'|' in 'iptables-save | grep FORWARD' is for a shell"),
        ("ip rule; ip route", "';' in 'ip rule; ip route' is for a shell"),
        ("ipset save web", "command 'ipset save web' is not modelled"),
        ("sysctl net.ipv4.ip_foward", "did you mean 'net.ipv4.ip_forward'?"),
        ("sysctl -n net.ipv4.ip_forward", "is not modelled"),
        ("conntrack -L", "command 'conntrack -L' is not modelled"),
        ("ss -ltun", "command 'ss -ltun' is not modelled"),
    ],
)  # fmt: skip
def test_what_is_not_printed_is_refused_by_name(command: str, says: str) -> None:
    with pytest.raises(McniError) as caught:
        listing(node(), command)
    assert says in str(caught.value)


TYPED = """
ip r; ip ro; ip -4 r; ip route s; ip route ls; ip route lst; ip route lists; ip route SHOW; ip Route; ip route show table
ip r s t all; ip route ls table 0; ip route show table main; ip route show table local; ip route show table default
ip route show table 500; ip route show table 501; ip route show table 0x1f4; ip route show table 254; ip route show table -1
ip route show table mian; ip route show table 4294967295; ip route show table 4294967296; ip route show table 99999999999999
ip route table 500; ip route show t 500; ip route show ta 500; ip route show tables 500; ip route show ''; ip '' route
ip rule; ip ru; ip -4 rule; ip rule list; ip rule lst; ip rule sho; ip rule xyz; ip rules
ip neigh; ip n; ip neighbor; ip neighbour; ip neighbors; ip neigh show; ip neigh ls; ip neigh proxy; ip neigh show proxy
ip neigh show nud permanent; ip neigh show nud NOARP; ip neigh show nud; ip --4 neigh
iptables-save -t filter; iptables-save -tfilter; iptables-save --table filter; iptables-save --tabl=filter
iptables-save -t filtr; iptables-save -t ''; iptables-save -t; iptables-save filter; iptables-save -x; iptables-save list
iptables-save -t nat; iptables-save -t raw -t filter; iptables-save -t security
ipset save; ipset -S; ipset --save; ipset save nope; sysctl net.ipv4.ip_forward; sysctl net.ipv4.nope; sysctl nope
"""


@pytest.mark.kernel
def test_the_tools_print_the_same_or_the_model_refuses() -> None:
    commands = [command.strip() for line in TYPED.strip().splitlines() for command in line.split(";")]
    asked = [f"{{ {command.replace('ip ', 'ip -4 ', 1)} || echo REFUSED; }} | grep -v '^#'" for command in commands]
    prepared = "iptables -w -P FORWARD DROP; iptables -w -A FORWARD -m conntrack --ctstate INVALID -j DROP"
    found = dict(zip(commands, real(NODE, [f"{prepared} 2>&1", *asked])[1:], strict=True))
    wrong = {}
    for command, text in found.items():
        try:
            printed = re.sub(r"\[\d+:\d+\]", "[0:0]", listing(node().but(sets=()), command))
        except McniError:
            printed = "REFUSED"
        if printed != ("REFUSED" if "REFUSED" in text else re.sub(r"\[\d+:\d+\]", "[0:0]", text)):
            wrong[command] = (text, printed)
    assert wrong == {}


def compared(netns: Netns) -> list[str]:
    tables = dict.fromkeys(["main", "local", *[route.table for route in netns.ip4.routes]])
    return ["ip rule", "ip neigh", *[f"ip route show table {table}" for table in tables]]


@pytest.mark.kernel
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_the_tools_print_the_same_after_the_same_commands(state: State) -> None:
    netns = model(state.commands)
    commands = compared(netns)
    asked = [command.replace("ip ", "ip -4 ", 1) for command in commands]
    found = dict(zip(commands, real(state.commands, asked), strict=True))
    assert {command: listing(netns, command) for command in commands} == found


@pytest.mark.kernel
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_the_tools_show_the_same_devices(state: State) -> None:
    netns = model(state.commands)
    (text,) = real(state.commands, ["ip -d address show"])
    found = parse_links(text, netns="here")
    assert [plain(link) for link in found] == [plain(link) for link in netns.links]


def plain(link: Link) -> Link:
    """A link without its random MAC; a veth's carrier is a matter of its other end."""
    return replace(link, mac="", carrier=True)


def worlds() -> World:
    pod = node().but(name="pod")
    nic = Link(2, "eth0", Physical(), "02:00:00:00:00:02", (Address(pod.links[0].addresses[0].interface, "host"),))
    return World(
        (node(), pod, Netns("bare", (nic,))), (Segment("lan", (Port("here", "e0"), Port("bare", "eth0")), True),)
    )


def test_a_world_survives_its_files() -> None:
    assert load(save(worlds())) == worlds()


def test_the_files_of_a_namespace() -> None:
    files = save(worlds())
    names = {name.removeprefix("here/") for name in files if name.startswith("here/")}
    assert names == set(FILES) - {
        "iptables-legacy.txt",
        "nft.txt",
        "ipvsadm.txt",
        "bridge-vlan.txt",
    }  # empty ones too: nothing there is another thing than not collected
    assert json.loads(files["world.json"]) == {
        "format": 1,
        "complete": True,
        "namespaces": ["here", "pod", "bare"],
        "segments": [{"name": "lan", "reflects": True, "uplink": False, "ports": ["here/e0", "bare/eth0"]}],
    }
    assert files["here/sysctl.txt"] == "net.ipv4.ip_forward = 1\n"


def test_the_peers_of_a_saved_world_are_found_again() -> None:
    kind = load(save(worlds()))["pod"].link("e0").kind
    assert isinstance(kind, Veth) and kind.peer.index == 3


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("world.json", "{", "world.json:1:2: Expecting property name enclosed in double quotes"),
        ("world.json", "[]", "world.json:1:1: not `namespaces` and `segments` as expected"),
        ("world.json", '{"namespaces": [1], "segments": []}', "1 is no text"),
        ("world.json", '{"namespaces": [], "segments": [{"name": "lan", "ports": ["x"]}]}', "not `namespaces` and `segments`"),
        ("here/ip-route.txt", "default via 10.0.0.9 dve e0\n", "here/ip-route.txt:1:22: unknown word 'dve'"),
        ("here/ip-rule.txt", "0:\tfrom all lokup main\n", "here/ip-rule.txt:1:13: unknown word 'lokup'"),
        ("here/ip-neigh.txt", "10.0.0.9 dev e0 ladr 1\n", "here/ip-neigh.txt:1:17: unknown word 'ladr'"),
        ("here/ip-address.txt", "1: lo: <UP>\n", "here/ip-address.txt:1:12: the link/ether line is missing"),
        ("here/sysctl.txt", "net.ipv4.ip_forward = yes\n", "here/sysctl.txt:1:21: not `key = number`"),
        ("here/iptables.txt", "-A FORWARD\n", "here/iptables.txt:1"),
        ("here/ipset.txt", "crate web\n", "here/ipset.txt:1"),
        ("here/ipvsadm.txt", "-A -t 10.0.0.9:80 -s rr\n-a -t 10.0.0.9:81 -r 10.0.0.1:80 -m -w 1\n", "here/ipvsadm.txt:2:7: there is no virtual server -t 10.0.0.9:81 above"),
        ("here/ipvsadm.txt", "-A -t 10.0.0.9:80 -s rq\n", "here/ipvsadm.txt:1:22: unknown word 'rq'"),
        ("here/ipvsadm.txt", "-A -t 10.0.0.9:65536 -s rr\n", "here/ipvsadm.txt:1:7: '10.0.0.9:65536' is not an IPv4 address and a port"),
    ],
)  # fmt: skip
def test_errors_name_the_file_the_line_and_the_column(file: str, text: str, message: str) -> None:
    with pytest.raises(StateSyntaxError) as caught:
        load({**save(worlds()), file: text})
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["", "a/b", "..", "."])
def test_a_name_no_namespace_can_have(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a network namespace"):
        save(World((Netns(name),)))


@pytest.mark.kernel
def test_a_snapshot_taken_with_the_real_tools() -> None:
    commands = """
        address add 10.0.0.1/24 dev e0
        sysctl net.ipv4.ip_forward 1
        route add default via 10.0.0.9 dev e0
        route add 10.7.0.1 dev e2 table 500
        rule add lookup 500 priority 1000
        neigh add 10.0.0.9 dev e0 lladdr 02:00:00:00:00:09 nud permanent
        """
    beside = dict.fromkeys(("ipset save", "ipvsadm -Sn"), "true")  # what the kernel may lack
    texts = real(commands, [beside.get(command, command) for command in FILES.values()])
    files = {f"here/{name}": text for name, text in zip(FILES, texts, strict=True)}
    netns = load({**files, "world.json": '{"namespaces": ["here"], "segments": []}'})["here"]
    expected = model(commands)
    assert (netns.ip4.rules, netns.ip4.routes, netns.ip4.neighbours) == (
        expected.ip4.rules,
        expected.ip4.routes,
        expected.ip4.neighbours,
    )
    bridged = {f"net.bridge.bridge-nf-call-iptables = {value}" for value in "01"}  # as the machine has the module
    printed = [
        [line for line in listing(one, "sysctl -a").splitlines() if line not in bridged] for one in (netns, expected)
    ]
    assert printed[0] == printed[1]
    assert [plain(link) for link in netns.links] == [plain(link) for link in expected.links]


def test_what_nft_lists_is_printed_by_its_command() -> None:
    with_nft = node().with_ip4(nft=read_ruleset("table ip t {\n}\n", "nft.txt"))
    assert listing(with_nft, "nft list ruleset") == listing(with_nft, "nft -s list ruleset") == "table ip t {\n}\n"
