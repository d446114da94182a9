"""IPIP devices: which of them takes a packet, and by which mark its far end is looked up.

This kernel module is rarely there to be measured; the facts are from net/ipv4/ip_tunnel.c.
"""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from kernel_worlds import made
from small_worlds import device, plug, talk

from mcnilib.linux.iptables_save import parse_tables
from mcnilib.linux.link import Ipip
from mcnilib.linux.world import World

A, B = IPv4Address("10.0.1.1"), IPv4Address("10.0.1.2")


def tunnelled(*state: str, fallback: int = 9, ends: Ipip = Ipip(B, A)) -> World:
    """a and b with an IPIP device each; at b tunl0, with the given number, takes what no other device does."""
    routes = "route 10.9.2.1 dev t\n" + "\n".join(state)
    a = made("a", device("a", 2, "en0", f"{A}/24"), device("a", 3, "t", "10.9.1.1/32", Ipip(A, B)), state=routes)
    devices = [device("b", 5, "t", "10.9.2.1/32", ends), device("b", fallback, "tunl0", "10.9.3.1/32", Ipip())]
    back = "route 10.9.1.1 dev t\nsysctl net.ipv4.conf.all.rp_filter 1"
    b = made("b", device("b", 2, "en0", f"{B}/24"), *sorted(devices, key=lambda link: link.index), state=back)
    return plug(a, b, lan="a.en0 b.en0")


@pytest.mark.parametrize("fallback", [3, 9])
@pytest.mark.parametrize("ends", [Ipip(B, A), Ipip(None, A), Ipip(B, None)], ids=["both", "remote", "local"])
def test_the_device_with_the_most_fixed_ends_takes_the_packet(ends: Ipip, fallback: int) -> None:
    trace = talk(tunnelled(fallback=fallback, ends=ends), "tcp:10.9.2.1:80")
    unpacked = [step.action for step in trace.journeys[0].steps if step.action.startswith("unpacked")]
    assert unpacked == ["unpacked by t"]


def test_the_far_end_is_looked_up_without_the_packet_s_mark() -> None:
    mangle = "*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
    world = tunnelled("rule 100: from all fwmark 0x1 unreachable")
    a = world["a"].but(tables=parse_tables(f"{mangle}-A POSTROUTING -o t -j MARK --set-xmark 0x1/0xffffffff\nCOMMIT\n"))
    assert talk(world.put(a), "tcp:10.9.2.1:80").outcome.works
