"""VRFs on the way out: what leaves by a device of a VRF passes OUTPUT and POSTROUTING with the VRF's device before.

On the way in PREROUTING is asked once more with the VRF's device, which INPUT and FORWARD see in place of the device
(`trace.stack.ip_input`). Not modelled: what is sent to an address of the same VRF in the same namespace, routes by the
VRF's device, and rules that change such a packet on its first way through OUTPUT.
Source: vrf_ip_out_direct(), vrf_ip_rcv(), vrf_nf_set_untracked() in drivers/net/vrf.c (Linux 6.18).
"""

from __future__ import annotations

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.netfilter.conntrack import ConnState, Tracked
from mcnilib.linux.routing.fib import Decision
from mcnilib.linux.routing.route import RouteType
from mcnilib.trace.stack.icmp import passes
from mcnilib.trace.stack.netfilter import Hook
from mcnilib.trace.stack.recorder import Recorder


def enters(at: Recorder, dev: str) -> bool:
    """Ask PREROUTING again with the device of the VRF that a device belongs to; False when the packet ended there."""
    at.skb.l3mdev = at.host.netns.fib.vrf_of.get(dev, "")
    if not at.skb.l3mdev:
        return True
    return passes(at, Hook("PREROUTING", at, iif=at.skb.l3mdev))


def leaves(at: Recorder, decision: Decision) -> bool:
    """Ask OUTPUT and POSTROUTING with the device of the VRF, untracked; False when the packet ended there.

    Raises: Unsupported where a rule changes the packet, and for an address of the namespace itself.
    """
    vrf = at.host.netns.fib.vrf_of.get(decision.route.dev, "")
    if not vrf:
        return True
    if decision.route.type is RouteType.LOCAL:
        raise Unsupported(tr("{host} sends to its own address in the VRF {vrf}", host=at.host.name, vrf=vrf))
    skb, before, untracked = at.skb, at.skb.packet, at.skb.tracked is None
    if untracked:
        skb.tracked = Tracked(ConnState.UNTRACKED)
    for name in ("OUTPUT", "POSTROUTING"):
        if not passes(at, Hook(name, at, oif=vrf)):
            return False
    if skb.packet != before:
        raise Unsupported(tr("a rule changes what {host} sends through the VRF {vrf}", host=at.host.name, vrf=vrf))
    skb.tracked = None if untracked else skb.tracked
    return True
