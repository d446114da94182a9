"""Reading the line of a tunnel device from the output of `ip -d address show`.

Source: ip/{iplink_vxlan,link_iptnl}.c (iproute2 6.1).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from mcnilib.errors import Unsupported
from mcnilib.linux.device.link import Ipip, Vxlan
from mcnilib.linux.device.link_words import (
    COMMON,
    IPIP,
    IPIP_FLAGS,
    IPIP_REFUSED,
    VXLAN,
    VXLAN_FLAGS,
    VXLAN_REFUSED,
    passed_over,
)
from mcnilib.linux.text import Grammar, Words


def read_vxlan(words: Words) -> Vxlan:
    """Read the words after `vxlan`. Raises: Unsupported for one without the ends that are modelled."""
    values = words.fields(VXLAN_DEVICE, VXLAN_REFUSED, "a vxlan device")
    if not {"vni", "local", "dev", "nolearning"} <= values.keys():
        raise Unsupported(f"{words.source}:{words.number}: a vxlan device without id, local, dev or nolearning")
    known = {name: values[name] for name in ("vni", "local", "dev", "port", "udpcsum") if name in values}
    return Vxlan(**known)  # type: ignore[arg-type]


def read_ipip(words: Words) -> Ipip:
    """Read the words after `ipip`."""
    words.one_of(("any", "ipip"))
    values = words.fields(IPIP_DEVICE, IPIP_REFUSED, "an ipip device")
    return Ipip(values.get("local"), values.get("remote"))  # type: ignore[arg-type]


def _address_or_any(words: Words) -> IPv4Address | None:
    if words.next != "any":
        return words.address()
    words.take()
    return None


VXLAN_DEVICE: Grammar = {
    **passed_over(VXLAN, COMMON, flags=[*VXLAN_FLAGS, "nolearning"]),
    "noudpcsum": ("udpcsum", lambda words: False),
    "id": ("vni", lambda words: words.number_upto(0xFFFFFF)),
    "local": ("local", Words.address),
    "dev": ("dev", lambda words: words.take("a device")),
    "srcport": ("srcport", lambda words: (words.number_upto(65535), words.number_upto(65535))),
    "dstport": ("port", lambda words: words.number_upto(65535)),
}

IPIP_DEVICE: Grammar = {
    **passed_over(IPIP, COMMON, flags=IPIP_FLAGS),
    "local": ("local", _address_or_any),
    "remote": ("remote", _address_or_any),
}
