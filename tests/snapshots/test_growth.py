"""What a snapshot holds may be much: four times as much takes about four times as long, in every reader and writer.

The time is the processor's, and only its ratio at two sizes counts: 4 where it is linear, 16 where it is quadratic.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import process_time

import pytest

from mcnilib.errors import McniError
from mcnilib.snapshots.folder import read_stream
from mcnilib.snapshots.merge import merged
from mcnilib.snapshots.question import read_flow, read_listeners
from mcnilib.snapshots.snapshot import snapshot_of
from mcnilib.world.world import World

pytestmark = pytest.mark.slow

Files = dict[str, str]
Make = Callable[[int], Files]

TIMES, LIMIT = 4, 9.0
"""How much more the larger one holds, and how much longer it may take."""
LEAST = 0.004
"""Seconds below which nothing is measured: a quadratic part as short as this makes no input slow."""

LO = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n    inet 127.0.0.1/8 scope host lo\n"
RULES = "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n"
LOCAL = "10.0.0.0/8 dev eth0 proto kernel scope link src 10.0.0.{0}\nlocal 10.0.0.{0} dev eth0 table local proto kernel scope host src 10.0.0.{0}\n"
VXLAN = "vxlan id 1 local 10.0.0.1 dev eth0 srcport 0 0 dstport 4789 nolearning"
LAN = {"name": "lan", "ports": ["a/eth0", "b/eth0"]}


def mac(number: int) -> str:
    return f"02:00:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def ip(number: int) -> str:
    return f"10.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def device(index: int, name: str, kind: str = "", more: str = "", where: str = "") -> str:
    """Print a device as `ip -d address` does."""
    text = f"{index}: {name}: <BROADCAST,UP,LOWER_UP> mtu 1500{more} state UP\n"
    return text + f"    link/ether {mac(index)} brd ff:ff:ff:ff:ff:ff{where}\n" + (f"    {kind} \n" if kind else "")


def eth0(number: int = 1) -> str:
    """Print a NIC with an address in 10.0.0.0/8."""
    return device(2, "eth0").replace(mac(2), mac(number)) + f"    inet 10.0.0.{number}/8 scope global eth0\n"


def namespace(name: str, number: int = 1, /, **more: str) -> Files:
    """Return the files of a namespace with one NIC; `more` text goes into the file of that name."""
    files = {"ip-address": LO + eth0(number), "ip-rule": RULES, "ip-route": LOCAL.format(number)}
    files |= dict.fromkeys(("ip-neigh", "sysctl", "iptables", "ipset", "bridge-fdb"), "")
    added = {key.replace("_", "-"): value for key, value in more.items()}
    return {f"{name}/{key}.txt": files.get(key, "") + added.get(key, "") for key in {**files, **added}}


def world(*parts: Mapping[str, str], segments: object = (LAN,)) -> Files:
    """Return the files of a world with some parts, and a server `b` on the switch of the client `a`."""
    files = {name: text for part in (*parts, namespace("b", 2)) for name, text in part.items()}
    names = list(dict.fromkeys(name.partition("/")[0] for name in files))
    return {**files, "world.json": json.dumps({"complete": False, "namespaces": names, "segments": segments})}


def lines(**more: Callable[[int], str]) -> Make:
    """Return what makes a world whose client has `n` of something in one or several files."""
    return lambda n: world(namespace("a", **{name: "".join(line(i) for i in range(n)) for name, line in more.items()}))


def saved(rule: Callable[[int], str], chain: Callable[[int], str] = lambda i: "") -> Make:
    """Return what makes a world whose client has `n` rules in its table filter, and as many chains."""
    head = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
    return lambda n: world(
        namespace("a", iptables=head + "".join(f(i) for f in (chain, rule) for i in range(n)) + "COMMIT\n")
    )


def native(n: int) -> str:
    """Print a ruleset of nft with `n` chains of a table of its own, each with a rule."""
    at = {"family": "inet", "table": "t"}
    entries: list[object] = [{"table": {"family": "inet", "name": "t"}}]
    for i in range(n):
        entries += [{"chain": {**at, "name": f"c{i}", "hook": "input", "prio": i, "policy": "accept"}}]
        entries += [{"rule": {**at, "chain": f"c{i}", "expr": [{"drop": None}]}}]
    return json.dumps({"nftables": entries})


def pods(n: int) -> Files:
    """Return a node with the ends of `n` veth pairs, known by ids, and the namespaces with the other ends."""
    ends = (device(i + 10, f"c{i}@if3", "veth", where=f" link-netnsid {i}") for i in range(n))
    inner = (device(3, f"eth0@if{i + 10}", "veth", where=" link-netnsid 0") for i in range(n))
    return world(
        namespace("a", ip_address="".join(ends)),
        *({**namespace(f"p{i}"), f"p{i}/ip-address.txt": LO + text} for i, text in enumerate(inner)),
    )


def switch(n: int) -> Files:
    """Return `n` namespaces on the switch between client and server."""
    nics = (
        {**namespace(f"n{i}"), f"n{i}/ip-address.txt": LO + device(i + 9, "eth0"), f"n{i}/ip-route.txt": ""}
        for i in range(n)
    )
    ports = [*LAN["ports"], *(f"n{i}/eth0" for i in range(n))]
    return world(namespace("a"), *nics, segments=[{"name": "lan", "ports": ports}])


WORLDS: dict[str, tuple[int, Make]] = {
    "devices": (300, lines(ip_address=lambda i: device(i + 10, f"d{i}@if{i}", "veth"))),
    "bridges, and tables that may decide about them": (
        200,
        lines(ip_address=lambda i: device(i + 10, f"d{i}", "bridge"), nft=lambda i: f"table ip t{i}\n"),
    ),
    "bridge ports": (
        200,
        lambda n: world(
            namespace(
                "a",
                ip_address=device(9, "br0", "bridge")
                + "".join(device(i + 10, f"d{i}@if{i}", "veth", " master br0") for i in range(n)),
                ip_route="10.0.0.2 dev br0 scope link\n",
            )
        ),
    ),
    "macvlan devices": (60, lines(ip_address=lambda i: device(i + 10, f"m{i}@eth0", "macvlan mode bridge"))),
    "devices of another kind": (300, lines(ip_address=lambda i: device(i + 10, f"i{i}@eth0", "ipvlan mode l2"))),
    "addresses": (800, lines(ip_address=lambda i: f"    inet {ip(i)}/32 scope global eth0\n")),
    "addresses of one subnet": (
        800,
        lines(ip_address=lambda i: f"    inet 10.0.{i >> 8}.{i & 255}/8 scope global eth0\n"),
    ),
    "routes": (800, lines(ip_route=lambda i: f"172.{i >> 8}.{i & 255}.0/24 dev eth0 scope link\n")),
    "routes to one prefix": (2000, lines(ip_route=lambda i: f"10.0.0.2 dev eth0 scope link metric {i}\n")),
    "default routes of one metric": (
        1500,
        lines(
            ip_route=lambda i: f"default via {ip(i)} dev eth0\n",
            ip_neigh=lambda i: f"{ip(i)} dev eth0 lladdr {mac(i)} REACHABLE\n",
        ),
    ),
    "rules, each with a table": (
        600,
        lines(
            ip_rule=lambda i: f"{100 + i}:\tfrom all lookup {i + 1000}\n",
            ip_route=lambda i: f"172.0.0.2 dev eth0 table {i + 1000} scope link\n",
        ),
    ),
    "neighbours": (1000, lines(ip_neigh=lambda i: f"{ip(i)} dev eth0 lladdr {mac(i)} PERMANENT\n")),
    "sysctls": (2000, lines(sysctl=lambda i: f"net.ipv4.conf.e{i}.rp_filter = 1\n")),
    "sysctls nobody reads": (2000, lines(sysctl=lambda i: f"net.ipv4.neigh.e{i}.gc_stale_time = 60\n")),
    "sysctls that are not modelled": (2000, lines(sysctl=lambda i: f"net.ipv4.conf.e{i}.medium_id = 60\n")),
    "rules of a chain": (800, saved(lambda i: f"-A OUTPUT -s {ip(i)} -j DROP\n")),
    "chains, one after the other": (800, saved(lambda i: f"-A OUTPUT -j C{i}\n", lambda i: f":C{i} - [0:0]\n")),
    "chains, one in the other": (
        800,
        saved(lambda i: f"-A {f'C{i - 1}' if i else 'OUTPUT'} -j C{i}\n", lambda i: f":C{i} - [0:0]\n"),
    ),
    "chains that are not there": (500, saved(lambda i: f"-A INPUT -s {ip(i)} -j C{i}\n")),
    "rules that are not modelled": (
        500,
        saved(lambda i: f'-A INPUT -s {ip(i)} -m bpf --bytecode "{i},6 0 0 0" -j DROP\n'),
    ),
    "tables nobody prints": (1000, lines(iptables=lambda i: f"# Table `t{i}' is incompatible, use 'nft' tool.\n")),
    "sets": (700, lines(ipset=lambda i: f"create s{i} hash:ip family inet\nadd s{i} {ip(i)}\n")),
    "members of a set": (1000, lines(ipset=lambda i: f"add s {ip(i)}\n" if i else "create s hash:ip family inet\n")),
    "entries of a VXLAN device": (
        1000,
        lambda n: world(
            namespace(
                "a",
                ip_address=device(9, "vx0", VXLAN),
                bridge_fdb="".join(f"{mac(i)} dev vx0 dst {ip(i)} self permanent\n" for i in range(n)),
            )
        ),
    ),
    "qdiscs": (1000, lines(tc=lambda i: f"qdisc noqueue 0: dev v{i} root refcnt 2\n")),
    "devices with qdiscs": (
        300,
        lines(
            ip_address=lambda i: device(i + 10, f"d{i}@if{i}", "veth"),
            tc=lambda i: f"qdisc noqueue 0: dev d{i} root refcnt 2\n",
        ),
    ),
    "filters": (1000, lines(tc_filter=lambda i: f"v{i} filter parent 1: protocol ip pref 1 u32\n")),
    "programs": (1000, lines(bpf=lambda i: f"v{i}({i}) tcx/ingress x prog_id {i}\n" if i else "tc:\n")),
    "programs at hooks": (1000, lines(bpf=lambda i: f"\tip input prio {i} prog_id 9\n" if i else "netfilter:\n")),
    "chains of nftables": (1000, lambda n: world(namespace("a"), {"a/nft.json": native(n)})),
    "sockets": (1000, lines(ss=lambda i: f"tcp   LISTEN 0      128    {ip(i)}:80    0.0.0.0:*\n")),
    "connections": (
        500,
        lines(
            conntrack=lambda i: (
                f"udp      17 29 src=10.0.0.1 dst={ip(i)} sport={i + 1} dport=80 src={ip(i)} dst=10.0.0.1 sport=80 dport={i + 1} mark=0 use=1\n"
            )
        ),
    ),
    "ids of namespaces": (1000, lines(ip_netns=lambda i: f"nsid {i} (iproute2 netns name: n{i})\n")),
    "namespaces": (100, lambda n: world(namespace("a"), *(namespace(f"n{i}") for i in range(n)))),
    "pods known by ids": (60, pods),
    "namespaces on a switch": (100, switch),
    "segments": (
        500,
        lambda n: world(namespace("a"), segments=[LAN, *({"name": f"s{i}", "ports": [f"b/x{i}"]} for i in range(n))]),
    ),
}


def seconds(job: Callable[[], object]) -> float:
    """Measure how much of the processor's time a job takes."""
    gc.collect()
    start = process_time()
    job()
    return process_time() - start


def check_growth(make: Callable[[int], Callable[[], object]], n: int) -> None:
    """Insist on a time in proportion to the size; a machine that was busy gets more chances."""
    small, large = make(n), make(TIMES * n)
    ratios = (seconds(large) / max(seconds(small), LEAST) for _ in range(5))
    assert any(ratio < LIMIT for ratio in ratios)


def read(files: Files) -> Callable[[], object]:
    return lambda: snapshot_of(files)


def fresh(found: World) -> World:
    """Return a world of which nothing has been indexed yet."""
    return replace(found, namespaces=tuple(netns.but() for netns in found))


def ask(files: Files, netns: str = "a", to: str = "tcp:10.0.0.2:80") -> Callable[[], object]:
    snapshot, flow, servers = snapshot_of(files), read_flow(netns, to), read_listeners(["a:80", "b:80"])
    return lambda: replace(snapshot, world=fresh(snapshot.world)).trace(flow, servers)


def ask_back(files: Files) -> Callable[[], object]:
    return ask(files, "b", "udp:10.0.0.1:80")


def save(files: Files) -> Callable[[], object]:
    snapshot = snapshot_of(files)
    return lambda: snapshot.files()


def merge(files: Files) -> Callable[[], object]:
    return lambda: merged([files, files])


@pytest.mark.parametrize("job", [read, ask, ask_back, save, merge], ids=lambda job: job.__name__)
@pytest.mark.parametrize("what", WORLDS)
def test_four_times_as_much_takes_about_four_times_as_long(
    what: str, job: Callable[[Files], Callable[[], object]]
) -> None:
    n, make = WORLDS[what]
    check_growth(lambda size: job(make(size)), n)


STREAMS: dict[str, tuple[int, Callable[[int], str]]] = {
    "names": (1000, lambda n: "".join(f"@ n{i}\t\n" for i in range(n))),
    "one name": (1000, lambda n: "@ n\t\n" * n),
    "files of a namespace": (1000, lambda n: "@ n\t\n" + "> ip-rule.txt\n =0\n" * n),
    "lines of a file": (3000, lambda n: "@ n\t\n> ip-rule.txt\n" + " x\n" * n + " =0\n"),
}


@pytest.mark.parametrize("what", STREAMS)
def test_so_it_is_with_what_the_script_prints(what: str) -> None:
    n, make = STREAMS[what]

    def job(size: int) -> Callable[[], object]:
        text = f"mcni-snapshot 1 node\n{make(size)}end\n"
        return lambda: read_stream(text)

    check_growth(job, n)


@pytest.mark.parametrize("name", ["web", "n{0}"], ids=["of one name", "of many names"])
def test_so_it_is_with_many_snapshots(name: str) -> None:
    def job(size: int) -> Callable[[], object]:
        text = {"namespaces": [name], "segments": [{"name": "lan", "ports": [f"{name}/eth0"]}]}
        parts = [{"world.json": json.dumps(text).replace("{0}", str(i))} for i in range(size)]
        return lambda: merged(parts)

    check_growth(job, 300)


def test_so_it_is_with_names_that_stand_twice() -> None:
    def job(size: int) -> Callable[[], object]:
        names = [f"n{i}" for i in range(size)]
        text = json.dumps({"namespaces": [*names, names[-1]], "segments": []})

        def refuse() -> None:
            with pytest.raises(McniError, match="is named twice"):
                snapshot_of({"world.json": text})

        return refuse

    check_growth(job, 2000)
