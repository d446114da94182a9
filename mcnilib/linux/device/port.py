"""What a bridge keeps of its ports: how each is set, and which MAC is behind which.

Source: ip/iplink_bridge_slave.c, bridge/fdb.c (iproute2 6.1); net/bridge/{br_forward,br_fdb}.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class FdbEntry:
    """An entry of a bridge's forwarding database: frames for `mac` go out of `port`.

    `state`: permanent (the bridge keeps such frames itself), static, or empty for one that was learned. Unless it is
    `sticky`, an entry moves when a frame of that MAC comes in by another port. `vlan` 0: of no single VLAN.
    """

    mac: str
    port: str
    state: str = "static"
    sticky: bool = False
    vlan: int = 0


@dataclass(frozen=True, slots=True)
class BridgePort:
    """What is set of a device as a port of a bridge. Source: should_deliver() in net/bridge/br_forward.c.

    `hairpin`: frames may leave by the port they came in by. `isolated`: no frame gets from one such port to another.
    """

    hairpin: bool = False
    isolated: bool = False

    def __str__(self) -> str:
        """Return the words of the line `bridge_slave` that are not as usual."""
        return " ".join(f"{switch.name} on" for switch in fields(self) if getattr(self, switch.name))


@dataclass(frozen=True, slots=True)
class VlanEntry:
    """A VLAN that a port lets through, of a bridge with `vlan_filtering 1`; the bridge itself has such entries too.

    `pvid`: frames without a tag are of this VLAN. `untagged`: its frames leave without a tag. Source: bridge(8).
    """

    id: int
    pvid: bool = False
    untagged: bool = False

    def __str__(self) -> str:
        return f"{self.id}{' PVID' if self.pvid else ''}{' Egress Untagged' if self.untagged else ''}"


NO_PORT = BridgePort()
"""That of a device which is no port of a bridge, or a port on which nothing was set."""
