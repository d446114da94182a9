"""The script that collects: how it spells names, and that it takes what is on its list and no secret."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

from mcnilib.kernel.collect import collect
from mcnilib.linux.sysctl import CONF, GLOBAL, conf_key
from mcnilib.snapshots.folder import read_stream, script
from mcnilib.snapshots.unsupported import ODD, USE


def sysctls_collected() -> re.Pattern[str]:
    """The expression by which the script chooses sysctls."""
    head = script().partition("<<'SCRIPT'\n")[2].partition("has()")[0]
    found = subprocess.run(
        ["sh", "-s"], input=f'{head}printf %s "$sysctls"', capture_output=True, text=True, check=True
    )
    return re.compile(found.stdout)


def test_every_sysctl_the_model_reads_is_collected() -> None:
    collected = sysctls_collected()
    keys = [*GLOBAL, *(conf_key(name, dev) for name in CONF for dev in ("all", "default", "vxlan/0", "eth0@x"))]
    keys += [f"net.netfilter.nf_conntrack_{name}" for name in USE]
    assert [key for key in keys if not collected.fullmatch(key)] == []
    odd = re.findall(r"[a-z]+_[a-z_]+", ODD.pattern)
    places = ("net.ipv4.{}", "net.ipv4.conf.eth0.{}", "net.ipv4.neigh.eth0.{}")
    assert odd and not [name for name in odd if not any(collected.fullmatch(one.format(name)) for one in places)]


@pytest.mark.parametrize(
    "key",
    [
        "net.ipv4.tcp_fastopen_key",
        "net.ipv4.fib_multipath_hash_seed",
        "net.ipv4.ip_forward_key",
        "net.ipv4.conf.eth0.stable_secret",
        "net.ipv4.conf.x.forwarding.stable_secret",
        "net.ipv6.conf.all.stable_secret",
        "kernel.random.boot_id",
    ],
)
def test_what_is_not_on_the_list_of_sysctls_is_not_collected(key: str) -> None:
    assert not sysctls_collected().fullmatch(key)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("node1\n", "node1"),
        ("# the name of this machine\n\n  node1  \nnode2\n", "node1"),
        ("my node\n", "my_node"),
        ("../../dev/shm/x\n", "_.._.._dev_shm_x"),
        ("..\n", "_.."),
        ("node/1\x1b[2J\n", "node_1_[2J"),
        ("nöde\n", "n__de"),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_machine_s_name_is_one_step_of_a_path(tmp_path, text: str, name: str) -> None:
    (tmp_path / "hostname").write_text(text)
    head = script().partition("<<'SCRIPT'\n")[2].partition("# the ip of BusyBox")[0]
    head = head.replace("/proc/1/root/etc/hostname", str(tmp_path / "hostname"))
    for shell in filter(shutil.which, ("sh", "bash", "dash")):
        found = subprocess.run([shell], input=f'{head}printf %s "$node"', capture_output=True, text=True, check=True)
        assert found.stdout == name
        named = subprocess.run(
            [shell],
            input=f'{head}printf %s "$node"',
            env=os.environ | {"MCNI_NODE": text.strip()},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "#" in text or named.stdout == name


ROOT_ONLY = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="network namespaces take root")


@ROOT_ONLY
@pytest.mark.kernel
@pytest.mark.parametrize(
    ("node", "name"),
    [
        ("../../dev/shm/mcni-node", "_.._.._dev_shm_mcni-node"),
        ("/dev/shm/mcni-node", "_dev_shm_mcni-node"),
        ("a\nend\nb", "a_end_b"),
        ("-n", "-n"),
        ("$(id)`id`", "$(id)`id`"),
    ],
)
def test_whatever_a_machine_is_called_the_script_writes_nowhere(node: str, name: str) -> None:
    folders = ("/dev/shm", "/run", "/", "/dev", "/tmp")
    before = {folder: [x for x in os.listdir(folder) if "mcni-node" in x] for folder in folders}
    told = {"MCNI_NODE": node, "MCNI_ONLY": name}
    done = subprocess.run(
        ["sh", "-s"], input=script(), env=os.environ | told, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    files = read_stream(done.stdout)
    (found,) = (one for one in json.loads(files["world.json"])["namespaces"] if one["name"] == name)
    assert (found["node"], found["called"]) == (name, name)
    assert {path.partition("/")[0] for path in files} == {"world.json", name}
    assert before == {folder: [x for x in os.listdir(folder) if "mcni-node" in x] for folder in folders}


@ROOT_ONLY
@pytest.mark.kernel
def test_odd_names_of_namespaces_and_a_key_stay_out_of_what_is_collected() -> None:
    start = f"mcnifiles-{os.getpid()}"
    names = [f"{start} a", f"{start}\n@ b", f"{start}_a"]
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
        key = "net.ipv4.tcp_fastopen_key=deadbeef-deadbeef-deadbeef-deadbeef"
        subprocess.run(["ip", "netns", "exec", names[0], "sysctl", "-qw", key], check=True)
        text = collect(script(), [names[0], names[1]]).decode()
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)
    files = read_stream(text)
    found = [one["name"] for one in json.loads(files["world.json"])["namespaces"]]
    assert f"{start}_@_b" in found and [name for name in found if name.startswith(f"{start}_a")]
    assert "net.ipv4.ip_forward = 0" in files[f"{start}_a/sysctl.txt"]
    assert "deadbeef" not in text and "fastopen" not in text
