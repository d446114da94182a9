"""Whether iptables sees what crosses a bridge, and what a bridge does to frames that is not modelled."""

from __future__ import annotations

from collections.abc import Sequence

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.device.base import DeviceRole, Frame
from mcnilib.linux.device.link import Link
from mcnilib.linux.netns import Netns
from mcnilib.linux.sysctl import BRIDGE_CALLS


def shown_to_iptables(netns: Netns, bridge: Link) -> bool:
    """Tell whether what crosses a bridge of the namespace passes its iptables rules, as with the module br_netfilter.

    Native tables of nftables are among these rules. Source: br_nf_pre_routing() in net/bridge/br_netfilter_hooks.c.
    """
    return netns.may_filter and (bridge.kind.calls_iptables or netns.number(BRIDGE_CALLS) != 0)


def refuse_shown(netns: str, bridge: Link, promiscuous: bool) -> None:
    """Refuse a bridge with more than ports to send to, where iptables sees its packets, and one that filters VLANs."""
    if promiscuous or bridge.kind.filters_vlans:
        sees = tr("iptables of {netns} sees what crosses the bridge {bridge}", netns=netns, bridge=bridge.name)
        more = tr("filters VLANs") if bridge.kind.filters_vlans else tr("hands it to devices on it too")
        raise Unsupported(tr("{sees}, which {more}", sees=sees, more=more))


def refuse_kept(netns: str, bridge: Link, port: Link, frame: Frame, *, shown: bool) -> None:
    """Refuse a frame that iptables sees, and that a permanent entry then keeps for the bridge, whose it is not."""
    if shown and frame.dst not in (bridge.mac, port.mac):
        names = {"netns": netns, "bridge": bridge.name, "mac": frame.dst}
        raise Unsupported(
            tr("iptables of {netns} sees what {bridge} keeps for itself: its entry of {mac} is permanent", **names)
        )


def refuse_hairpin(netns: str, back: Sequence[Link], sender: str) -> None:
    """Refuse a frame that a hairpin port sends back to a switch: that learns its sender there and loses answers."""
    if any(port.kind.role is not DeviceRole.PAIR for port in back):
        names = {"port": back[0].name, "netns": netns, "mac": sender}
        raise Unsupported(
            tr("{port} of {netns} has hairpin on, and the switch behind it takes {mac} to be there", **names)
        )


def refuse_twin(netns: str, ports: Sequence[Link], port: Link, sender: str) -> None:
    """Refuse a frame from a MAC that a port on another device has too: which of both gets the answer is a race."""
    twins = (other for other in ports if other.kind.child and other.name != port.name and other.mac == sender)
    if twin := next(twins, None):
        names = {"port": port.name, "netns": netns, "mac": sender, "twin": twin.name}
        raise Unsupported(tr("a frame from {mac} comes in by {port} of {netns}, and {twin} has that MAC", **names))
