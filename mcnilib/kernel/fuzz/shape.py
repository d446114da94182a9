"""What a world has, for lines by chance to name: devices, addresses, networks, chains."""

from __future__ import annotations

from ipaddress import IPv4Interface

from mcnilib.linux.device.link import Loopback
from mcnilib.linux.netns import Netns
from mcnilib.world.world import World

NOWHERE, SERVICE = "10.3.0.9", "10.96.0.10"
"""Addresses nobody has; rules may send the second to somebody."""


def own_chains(netns: Netns) -> dict[str, list[str]]:
    """List the chains somebody made, by table."""
    found = {table.name: [chain.name for chain in table.chains if not chain.policy] for table in netns.tables}
    return {table: chains for table, chains in found.items() if chains}


def devices(netns: Netns) -> list[str]:
    """Name the devices of a namespace but for its loopback."""
    return [link.name for link in netns.links if not isinstance(link.kind, Loopback)]


def addresses(netns: Netns) -> list[str]:
    """List the addresses of a namespace but for its loopback's."""
    return [str(a.ip) for link in netns.links if not isinstance(link.kind, Loopback) for a in link.addresses]


def every_address(world: World) -> list[str]:
    """List all addresses of a world."""
    return [address for netns in world for address in addresses(netns)]


def networks(world: World) -> list[str]:
    """List the networks the addresses of a world lie in."""
    return sorted({str(IPv4Interface(f"{address}/24").network) for address in every_address(world)})
