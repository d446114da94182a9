"""IPIP devices: which of them takes a packet, and by which mark its far end is looked up.

The kernel lab measures them where the module is there. Source: net/ipv4/ip_tunnel.c.
"""

from __future__ import annotations

import pytest
from kernel_worlds import ENDS, ipip_tunnels
from small_worlds import talk

from mcnilib.linux.device.tunnel.ipip import Ipip
from mcnilib.linux.netfilter.iptables.save import parse_tables

A, B = ENDS


@pytest.mark.parametrize("fallback", [3, 9])
@pytest.mark.parametrize("ends", [Ipip(B, A), Ipip(None, A), Ipip(B, None)], ids=["both", "remote", "local"])
def test_the_device_with_the_most_fixed_ends_takes_the_packet(ends: Ipip, fallback: int) -> None:
    trace = talk(ipip_tunnels(fallback=fallback, ends=ends), "tcp:10.9.2.1:80")
    unpacked = [step.action for step in trace.journeys[0].steps if step.action.startswith("unpacked")]
    assert unpacked == ["unpacked by t"]


def test_the_far_end_is_looked_up_without_the_packet_s_mark() -> None:
    mangle = "*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
    world = ipip_tunnels("rule 100: from all fwmark 0x1 unreachable")
    a = world["a"].with_ip4(
        tables=parse_tables(f"{mangle}-A POSTROUTING -o t -j MARK --set-xmark 0x1/0xffffffff\nCOMMIT\n")
    )
    assert talk(world.put(a), "tcp:10.9.2.1:80").outcome.works
