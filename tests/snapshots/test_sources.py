"""Reports of other tools, and what `ip` prints when it is asked shortly: read as snapshots, the rest unknown by name."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from mcnilib.cli import main
from mcnilib.errors import McniError
from mcnilib.snapshots.snapshot import Snapshot, open_files, open_snapshot, snapshot_of
from mcnilib.snapshots.typed.skeleton import skeleton
from mcnilib.trace.explain import verdict

TYPED = """\
host node1: eth0 192.0.2.11/24 @lan, cni0 10.244.1.1/24 bridge, v1 master cni0, v2 master cni0
  net.ipv4.ip_forward=1, net.bridge.bridge-nf-call-iptables=0, listen 22
  iptables -A INPUT -p tcp --dport 23 -j REJECT
pod web on node1: eth0 10.244.1.5/24 veth node1/v1, default via 10.244.1.1, listen 80
pod db on node1: eth0 10.244.1.6/24 veth node1/v2, default via 10.244.1.1
"""
FILES = skeleton(TYPED)
WORKS = "connected; the server sees the client as 10.244.1.6"


def every_sysctl(netns: str) -> str:
    """What `sysctl -a` prints: devices have lines of their own."""
    text = snapshot_of(FILES).files()[f"{netns}/sysctl.txt"]
    own = [link.name for link in snapshot_of(FILES).world[netns].links]
    of_devices = [line for line in text.splitlines() if ".conf.default." in line]
    return text + "".join(
        f"{line.replace('.default.', f'.{name}.')}\n"
        for name in own
        for line in of_devices
        if f".{name}." + line.partition(".default.")[2].split()[0] not in text
    )


SOS = "sosreport-node1-2026-11-30/"
HOST = {
    "ip-address.txt": "networking/ip_-d_address",
    "ip-rule.txt": "networking/ip_-4_rule_list",
    "ip-route.txt": "networking/ip_route_show_table_all",
    "ip-neigh.txt": "networking/ip_-s_-s_neigh_show",
    "iptables.txt": "firewall_tables/iptables-save",
    "sysctl.txt": "kernel/sysctl_-a",
    "ss.txt": "networking/ss_-peaonmi",
    "bridge-fdb.txt": "networking/bridge_-s_-s_-d_-t_fdb_show",
}
IN_NETNS = {
    "ip-address.txt": "ip_-d_address_show",
    "ip-rule.txt": "ip_-4_rule_list",
    "ip-route.txt": "ip_route_show_table_all",
    "ip-neigh.txt": "ip_-s_-s_neigh_show",
    "iptables.txt": "iptables-save",
    "sysctl.txt": "sysctl_-a",
    "ss.txt": "ss_-peaonmi",
}
EXTRA = {
    "ip-route.txt": "fe80::/64 dev eth0 proto kernel metric 256 pref medium\nlocal ::1 dev lo table local proto kernel\n",
    "ip-neigh.txt": "10.244.1.9 dev eth0 lladdr 02:00:00:00:00:09 ref 1 used 10/5/3 probes 4 STALE\n"
    "fe80::1 dev eth0 lladdr 02:00:00:00:00:09 router used 1/1/1 STALE\n",
    "ss.txt": "u_str ESTAB 0 0 * 1 * 2\n\t skmem:(r0,rb1)\n",
}


def sosreport(folder: str) -> dict[str, str]:
    """The machine as sosreport keeps it; in `folder` are the files of its other namespaces."""
    report = {f"{SOS}hostname": "node1\n", f"{SOS}sos_commands/networking/netstat_-s": "Ip:\n"}
    for name, text in FILES.items():
        netns, _, file = name.partition("/")
        text = every_sysctl(netns) if file == "sysctl.txt" else text + EXTRA.get(file, "")
        if netns == "node1" and file in HOST:
            report[f"{SOS}sos_commands/{HOST[file]}"] = text
        elif file in IN_NETNS:
            report[f"{SOS}sos_commands/networking/{folder.format(netns=netns)}{IN_NETNS[file]}"] = text
    return report


LAYOUTS = {"since 4": "namespaces/{netns}/ip_netns_exec_{netns}_", "before": "ip_netns_exec_{netns}_"}


def says(snapshot: Snapshot, netns: str, to: str) -> str:
    trace = snapshot.trace(snapshot.flow(netns, to))
    return "\n".join([verdict(trace), *trace.notes])


@pytest.mark.parametrize("folder", LAYOUTS.values(), ids=LAYOUTS)
def test_a_report_of_sosreport_is_a_snapshot(folder: str, tmp_path: Path) -> None:
    for name, text in sosreport(folder).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / SOS / "ip_addr").symlink_to("sos_commands/networking/ip_-d_address")
    for where in (tmp_path, tmp_path / SOS):
        snapshot = open_snapshot(where)
        assert [netns.name for netns in snapshot.world] == ["node1", "db", "web"]
        assert says(snapshot, "db", "tcp:10.244.1.5:80").startswith(WORKS)
        assert "rejected on node1 in filter INPUT" in says(snapshot, "db", "tcp:10.244.1.1:23")


RULESET = """# Warning: table ip filter is managed by iptables-nft, do not touch!
table ip filter {
	chain INPUT {
		type filter hook input priority filter; policy accept;
		tcp dport 23 counter packets 0 bytes 0 xt target "REJECT"
	}
}
table ip6 firewall {
	chain INPUT {
		type filter hook input priority filter; policy accept;
		ip6 saddr fe80::/10 counter packets 1 bytes 2 drop
	}
}
table inet firewalld {
	chain filter_INPUT {
		type filter hook input priority filter + 10; policy accept;
		ct state { established, related } accept
		tcp dport 22 reject with icmpx admin-prohibited
	}
}
"""


def test_the_native_rules_that_sosreport_gathers_are_met() -> None:
    gathered = f"{SOS}sos_commands/firewall_tables/nft_list_ruleset"
    report = sosreport(LAYOUTS["since 4"]) | {gathered: RULESET}
    snapshot = open_files({name: text.encode() for name, text in report.items()})
    said = says(snapshot, "db", "tcp:10.244.1.1:22")
    assert "rejected on node1 in inet firewalld filter_INPUT by `tcp dport 22 reject with icmpx" in said


def test_it_is_read_from_an_archive_with_links_and_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = tmp_path / "sos.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        link = tarfile.TarInfo(f"{SOS}ip_addr")
        link.type, link.linkname = tarfile.SYMTYPE, "sos_commands/networking/ip_-d_address"
        packed.addfile(link)
        for name, text in sosreport(LAYOUTS["since 4"]).items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            packed.addfile(member, io.BytesIO(text.encode()))
    assert main(["merge", str(archive), str(tmp_path / "merged")]) == 0
    assert main(["trace", str(tmp_path / "merged"), "--from", "db", "--to", "tcp:10.244.1.5:80"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == WORKS


def test_what_calico_gathers_is_read_and_the_rest_is_asked_for_by_name() -> None:
    sets = "Name: nets\nType: hash:net\nRevision: 6\nHeader: family inet hashsize 1024 maxelem 1048576\nMembers:\n10.0.0.0/8\n"
    diags = {
        "hostname": "node1\n",
        "ipv4_tables": FILES["node1/iptables.txt"],
        "ipsets": sets,
        "ipv4_route": "default via 192.0.2.1 dev eth0\n",
    }
    snapshot = open_files({f"diagnostics/{name}": text.encode() for name, text in diags.items()})
    node = snapshot.world["node1"]
    assert [ip_set.name for ip_set in node.sets] == ["nets"]
    assert [table.name for table in node.ip4.tables] == ["filter"]
    assert "node1/ip-address.txt is not in the snapshot" in says(snapshot, "node1", "tcp:192.0.2.11:22")
    beside = {
        f"diagnostics/{name}": FILES[f"node1/{name}"]
        for name in HOST
        if f"node1/{name}" in FILES and name != "iptables.txt"
    }
    beside["diagnostics/sysctl.txt"] = every_sysctl("node1")
    snapshot = open_files(
        {f"diagnostics/{name}": text.encode() for name, text in diags.items()}
        | {name: text.encode() for name, text in beside.items()}
    )
    assert "connected" in says(snapshot, "node1", "tcp:192.0.2.11:22")


def test_a_folder_of_other_files_is_no_snapshot(tmp_path: Path) -> None:
    (tmp_path / "ip_addr").write_text("1: lo\n")
    with pytest.raises(McniError, match=r"world\.json is missing"):
        open_snapshot(tmp_path)


def shortly(**changes: str) -> dict[str, str]:
    """The machine as `ip address` and `ip route` print it, without `-d` and `table all`."""
    files = dict(FILES)
    for name, text in FILES.items():
        lines = text.splitlines()
        if name.endswith("ip-address.txt"):
            lines = [line for line in lines if line.split()[0] not in ("veth", "bridge", "bridge_slave")]
        if name.endswith("ip-route.txt"):
            lines = [line for line in lines if "table local" not in line]
        files[name] = "".join(f"{line}\n" for line in lines)
    return files | {name.replace("__", "/").replace("_", "-") + ".txt": text for name, text in changes.items()}


def test_pairs_and_bridges_show_without_their_kinds() -> None:
    said = says(snapshot_of(shortly()), "db", "tcp:10.244.1.5:80").splitlines()
    assert said[0] == WORKS
    assert "not collected on db, node1, web: kinds and settings of devices (`ip -d address show`)" in "\n".join(said)
    assert "routes of other tables than main (`ip -4 route show table all`)" in "\n".join(said)


def test_a_device_that_no_other_names_back_stays_unknown() -> None:
    files = shortly()
    files["web/ip-address.txt"] = files["web/ip-address.txt"].replace("@if4", "@if2")  # as a macvlan on eth0 would say
    assert "of no kind that is named" in says(snapshot_of(files), "web", "tcp:10.244.1.6:80")


def test_a_bond_is_no_bridge() -> None:
    files = shortly()
    files["node1/ip-address.txt"] = files["node1/ip-address.txt"].replace(
        "cni0: <BROADCAST,MULTICAST,", "cni0: <BROADCAST,MULTICAST,MASTER,"
    )
    assert "link kind 'not-named' of cni0" in says(snapshot_of(files), "db", "tcp:10.244.1.5:80")


def test_with_rules_a_list_of_one_table_is_no_list_of_routes() -> None:
    files = shortly()
    files["db/ip-rule.txt"] += "100:\tfrom 10.244.1.6 lookup 100\n"
    assert "db/ip-route.txt is not in the snapshot" in says(snapshot_of(files), "db", "tcp:10.244.1.5:80")


def test_a_whole_listing_is_taken_as_it_is() -> None:
    assert "not collected" not in says(snapshot_of(FILES), "db", "tcp:10.244.1.5:80")
