"""Lines about frames by chance: what a bridge knows of a MAC, a device without carrier, one MAC twice."""

from __future__ import annotations

from random import Random

from mcnilib.linux.device.link import Far, Link, Loopback, Macvlan, Physical, Veth, Vxlan
from mcnilib.world.world import World

Place = tuple[str, Link]
"""A namespace and one of its devices."""


def about_frames(draw: Random, world: World) -> str:
    """Make up a line with its namespace; empty where the world has no device for it."""
    devices = [(netns.name, link) for netns in world for link in netns.links if not isinstance(link.kind, Loopback)]
    make = draw.choice((*[_entry] * 4, *[_no_carrier] * 3, _twin))
    return make(draw, devices)


def _entry(draw: Random, devices: list[Place]) -> str:
    """Tell a bridge where a MAC is: mostly where it is not, for one of those that are there."""
    ports = [place for place in devices if place[1].master]
    if not ports:
        return ""
    netns, port = draw.choice(ports)
    state = draw.choice(("static", "static", "sticky static", "permanent"))
    return f"{netns}: bridge fdb add {draw.choice(devices)[1].mac} dev {port.name} master {state}"


def _no_carrier(draw: Random, devices: list[Place]) -> str:
    """Take the carrier from a device of a kind that lets one. Source: drivers/net/{macvlan,vxlan/vxlan_core}.c."""
    able = [place for place in devices if isinstance(place[1].kind, Macvlan | Vxlan)]
    if not able:
        return ""
    netns, link = draw.choice(able)
    return f"{netns}: ip link set {link.name} protodown on"


def _twin(draw: Random, devices: list[Place]) -> str:
    """Give a device the MAC of another; a child in mode passthru has that of its lower device, and changes with it."""
    tied = [kind.lower for _, one in devices if isinstance(kind := one.kind, Macvlan) and kind.mode == "passthru"]
    able = [place for place in devices if isinstance(place[1].kind, Physical | Veth | Macvlan)]
    netns, link = draw.choice([place for place in able if Far(place[0], place[1].index) not in tied])
    return f"{netns}: ip link set {link.name} address {draw.choice(devices)[1].mac}"
