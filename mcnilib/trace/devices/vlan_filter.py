"""What a bridge with `vlan_filtering 1` lets in and out: inside it every frame has the tag of its VLAN.

Source: __allowed_ingress(), br_allowed_egress(), br_handle_vlan() in net/bridge/br_vlan.c (Linux 6.18).
"""

from __future__ import annotations

from mcnilib.errors import Unknown
from mcnilib.language import tr
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.port import VlanEntry

_TAG = "802.1Q "
"""The tags a bridge looks at: with any other a frame counts as one without."""

Tags = tuple[str, ...]


def let_in(netns: str, bridge: Link, port: Link, tags: Tags) -> Tags | str:
    """Return the tags of a frame that a port, or the bridge itself, lets in; or why it does not.

    Raises: Unknown where nobody listed its VLANs.
    """
    if not bridge.kind.filters_vlans:
        return tags
    vlan = _vlan(tags)
    if vlan:
        known = _find(netns, port, vlan)
        return tags if known else tr("{port} of {netns} is not in VLAN {vlan}", port=port.name, netns=netns, vlan=vlan)
    own = next((entry for entry in _vlans(netns, port) if entry.pvid), None)
    if own is None:
        return tr("{port} of {netns} has no VLAN for frames without a tag (PVID)", port=port.name, netns=netns)
    rest = tags[:-1] if tags and tags[-1].startswith(_TAG) else tags  # a tag that only has a priority
    return (*rest, f"{_TAG}{own.id}")


def let_out(netns: str, bridge: Link, port: Link, tags: Tags) -> Tags | str:
    """Return the tags with which a frame leaves by a port, or gets to the bridge itself; or why it does not."""
    if not bridge.kind.filters_vlans:
        return tags
    vlan = _vlan(tags)
    entry = _find(netns, port, vlan)
    if entry is None:
        return tr("{port} of {netns} is not in VLAN {vlan}", port=port.name, netns=netns, vlan=vlan)
    return tags[:-1] if entry.untagged else tags


def _vlan(tags: Tags) -> int:
    return int(tags[-1].removeprefix(_TAG)) if tags and tags[-1].startswith(_TAG) else 0


def _find(netns: str, port: Link, vlan: int) -> VlanEntry | None:
    return next((entry for entry in _vlans(netns, port) if entry.id == vlan), None)


def _vlans(netns: str, port: Link) -> tuple[VlanEntry, ...]:
    if port.vlans is None:
        reason = tr("the VLANs of {port} of {netns} are not known, and its bridge filters", port=port.name, netns=netns)
        raise Unknown(reason, collect=tr("`bridge vlan show` in {netns}", netns=netns))
    return port.vlans
