"""Sysctls: defaults, who follows whom, and how `all` and a device combine."""

from __future__ import annotations

import pytest
from ip_shell import START, model, real

from mcnilib.errors import StateSyntaxError, Unsupported
from mcnilib.linux.device.link import Link
from mcnilib.linux.netns import add_link, new_netns, set_sysctl
from mcnilib.linux.sysctl import (
    BRIDGE_CALLS,
    CONF,
    GLOBAL,
    conf,
    conf_key,
    deciding,
    get,
    get_flag,
    get_number,
    parse_setting,
    parse_settings,
)
from mcnilib.world.listing import listing

# Commands, then KEY=VALUE as they read afterwards (`conf.` stands for `net.ipv4.conf.`).
WRITTEN = [
    ("", "net.ipv4.ip_forward=0 conf.all.forwarding=0 conf.e0.forwarding=0 conf.e0.send_redirects=1"),
    ("sysctl net.ipv4.ip_forward 1", "conf.all.forwarding=1 conf.default.forwarding=1 conf.e0.forwarding=1 conf.lo.forwarding=1"),
    ("sysctl net.ipv4.conf.all.forwarding 1", "net.ipv4.ip_forward=1 conf.e0.forwarding=1"),
    ("sysctl net.ipv4.conf.e0.forwarding 1", "net.ipv4.ip_forward=0 conf.e0.forwarding=1 conf.e1.forwarding=0"),
    ("sysctl net.ipv4.conf.e0.forwarding 1\nsysctl net.ipv4.ip_forward 0", "conf.e0.forwarding=1"),  # it was 0 before
    ("sysctl net.ipv4.ip_forward 1\nsysctl net.ipv4.ip_forward 0", "conf.e0.forwarding=0 conf.default.forwarding=0"),
    ("sysctl net.ipv4.ip_forward 1\nsysctl net.ipv4.conf.e0.forwarding 0", "conf.e0.forwarding=0 conf.e1.forwarding=1"),
    ("sysctl net.ipv4.ip_forward 1\nsysctl net.ipv4.conf.default.forwarding 0", "conf.e0.forwarding=1 conf.default.forwarding=0"),
    ("sysctl net.ipv4.conf.default.forwarding 1", "conf.e0.forwarding=0"),  # devices that are there keep theirs
    ("sysctl net.ipv4.conf.default.route_localnet 1", "conf.e0.route_localnet=0"),
    ("sysctl net.ipv4.conf.all.accept_local 1", "conf.e0.accept_local=0 conf.default.accept_local=0"),
    ("sysctl net.ipv4.conf.default.accept_local 1", "conf.e0.accept_local=1 conf.lo.accept_local=0 conf.all.accept_local=0"),
    ("address add 10.0.0.1/24 dev e0\nsysctl net.ipv4.conf.default.accept_local 1", "conf.e0.accept_local=0 conf.e1.accept_local=1"),
    ("sysctl net.ipv4.conf.e0.accept_local 0\nsysctl net.ipv4.conf.default.accept_local 1", "conf.e0.accept_local=0"),
    ("sysctl net.ipv4.conf.default.accept_local 1\naddress add 10.0.0.1/24 dev e0\nsysctl net.ipv4.conf.default.accept_local 0",
     "conf.e0.accept_local=1 conf.e1.accept_local=0"),
    ("sysctl net.ipv4.conf.e0.rp_filter 2\nsysctl net.ipv4.conf.e0.rp_filter 1", "conf.e0.rp_filter=1"),
]  # fmt: skip


def readings(text: str) -> list[tuple[str, str]]:
    return [(k.replace("conf.", "net.ipv4.conf."), v) for k, v in (pair.split("=") for pair in text.split())]


@pytest.mark.parametrize(("commands", "values"), WRITTEN)
def test_what_a_write_changes(commands: str, values: str) -> None:
    netns = model(commands)
    assert [(key, get(netns.sysctls, key)) for key, _ in readings(values)] == readings(values)


@pytest.mark.kernel
@pytest.mark.parametrize(("commands", "values"), WRITTEN)
def test_the_kernel_changes_the_same(commands: str, values: str) -> None:
    found = real(commands, [f"sysctl -n {key}" for key, _ in readings(values)])
    assert [text.strip() for text in found] == [value for _, value in readings(values)]


@pytest.mark.kernel
def test_defaults_are_those_of_the_kernel() -> None:
    (found,) = real("", ["sysctl -a"], before=START)
    real_lines = set(found.splitlines())
    for line in listing(model(""), "sysctl -a").splitlines():
        key = line.partition(" = ")[0]
        assert line in real_lines or key == BRIDGE_CALLS, line  # 0 is taken where the module is not loaded


def test_a_new_device_copies_what_was_written_for_default() -> None:
    netns = set_sysctl(new_netns("x"), "net.ipv4.conf.default.rp_filter", "2")
    netns = set_sysctl(add_link(netns, Link(2, "eth0")), "net.ipv4.conf.default.rp_filter", "0")
    assert get(netns.sysctls, "net.ipv4.conf.eth0.rp_filter") == "2"
    (line,) = [s for s in netns.sysctls if ".eth0." in s.key]
    assert str(line.origin) == "the kernel: copied from net.ipv4.conf.default.rp_filter when eth0 was created"


@pytest.mark.parametrize(
    ("name", "all_", "own", "result"),
    [("rp_filter", a, o, max(a, o)) for a in (0, 1, 2) for o in (0, 1, 2)]
    + [("arp_ignore", 1, 8, 8), ("accept_local", 1, 0, 1), ("accept_local", 0, 1, 1), ("send_redirects", 0, 1, 1)],
)
def test_all_and_the_device_combine(name: str, all_: int, own: int, result: int) -> None:
    netns = model(f"sysctl net.ipv4.conf.all.{name} {all_}\nsysctl net.ipv4.conf.e0.{name} {own}")
    assert conf(netns.sysctls, name, "e0") == netns.conf(name, "e0") == result


def test_forwarding_is_the_device_s_alone() -> None:
    netns = model("sysctl net.ipv4.ip_forward 1\nsysctl net.ipv4.conf.e0.forwarding 0")
    assert str(deciding(netns.sysctls, "forwarding", "e0")) == "net.ipv4.conf.e0.forwarding = 0"
    assert str(deciding(netns.sysctls, "forwarding", "e1")) == "net.ipv4.ip_forward = 1"
    assert conf(netns.sysctls, "forwarding", "e1") == 1


def test_the_deciding_line_is_the_larger() -> None:
    netns = model("sysctl net.ipv4.conf.all.rp_filter 1\nsysctl net.ipv4.conf.e0.rp_filter 2")
    lines = [str(deciding(netns.sysctls, "rp_filter", dev)) for dev in ("e0", "e1")]
    assert lines == ["net.ipv4.conf.e0.rp_filter = 2", "net.ipv4.conf.all.rp_filter = 1"]
    assert all(f"{line}\n" in listing(netns, "sysctl -a") for line in lines)


def test_dots_in_a_device_are_slashes_in_its_key() -> None:
    netns = set_sysctl(add_link(new_netns("x"), Link(2, "vxlan.0")), "net.ipv4.conf.vxlan.0.rp_filter", "1")
    assert [str(line) for line in netns.sysctls] == ["net.ipv4.conf.vxlan/0.rp_filter = 1"]
    assert conf(netns.sysctls, "rp_filter", "vxlan.0") == 1


def test_reading_values() -> None:
    assert (get_number((), "net.ipv4.tcp_syn_retries"), get_flag((), "net.netfilter.nf_conntrack_tcp_loose")) == (
        6,
        True,
    )


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("net.ipv4.conf.e0.rp_filtr", "; did you mean 'rp_filter'?"),
        ("net.netfilter.nf_conntrack_tcp_be_libral", "; did you mean 'net.netfilter.nf_conntrack_tcp_be_liberal'?"),
        ("kernel.panic", ""),
    ],
)
def test_an_unknown_key_is_named(key: str, near: str) -> None:
    with pytest.raises(Unsupported) as caught:
        get((), key)
    assert str(caught.value) == f"sysctl {key} is not modelled{near}"


@pytest.mark.parametrize(
    ("line", "column"), [("net.ipv4.ip_forward 1", 1), ("net.ipv4.ip_forward = on", 21), ("= 1", 1)]
)
def test_where_a_line_is_wrong(line: str, column: int) -> None:
    with pytest.raises(StateSyntaxError) as caught:
        parse_setting(line)
    assert caught.value.column == column


def test_a_whole_listing_is_read_past_what_is_not_modelled() -> None:
    text = "kernel.panic = 0\nnet.ipv4.ip_local_port_range = 32768\t60999\nnet.ipv4.conf.all.forwarding = 1\nnet.ipv4.ip_forward = 1\n"
    assert [str(line) for line in parse_settings(text)] == ["net.ipv4.ip_forward = 1"]


def test_every_key_says_what_it_means() -> None:
    assert all(meaning for _, meaning in (*CONF.values(), *GLOBAL.values()))
    assert conf_key("forwarding", "all") == "net.ipv4.ip_forward"
