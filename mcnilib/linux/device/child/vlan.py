"""VLANs: the frames with one 802.1Q tag on a lower device, as a device of their own.

Source: vlan_print_opt() in ip/iplink_vlan.c (iproute2 6.1); vlan_dev_hard_start_xmit() in net/8021q/vlan_dev.c,
vlan_do_receive() in net/8021q/vlan_core.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

from mcnilib.language import mark
from mcnilib.linux.device.base import Child, Keyword, KindLine, LinkEnd

TAG_PROTOCOLS = ("802.1Q", "802.1ad")
"""Whose tag it is."""

FLAGS = ("REORDER_HDR", "GVRP", "MVRP", "LOOSE_BINDING", "BRIDGE_BINDING")
"""What is printed between < and > at the end: none of it changes a frame's path while the lower device is up."""

QOS_MAPS = ("ingress-qos-map", "egress-qos-map")
"""Lines that may follow: which priority a frame gets, which nothing here asks for."""

_FLAG_WORDS = tuple(f"<{','.join(some)}>" for n in range(len(FLAGS) + 1) for some in combinations(FLAGS, n))


@dataclass(frozen=True, slots=True)
class Vlan(Child):
    """The device of VLAN `id` (0 to 4095) on a lower device; its frames have the tag of `protocol` there."""

    word: ClassVar[str] = "vlan"
    probe: ClassVar[str] = "link add p9 type veth peer name p10\nlink add link p9 name p11 type vlan id 7"
    line: ClassVar[KindLine] = KindLine(
        mark("a vlan"),
        Keyword("protocol", "protocol", lambda words: words.one_of(TAG_PROTOCOLS)),
        Keyword("id", "id", lambda words: words.number_upto(4095), required=True),
        flags=" ".join(_FLAG_WORDS),
    )
    end_field: ClassVar[str] = "lower"

    lower: LinkEnd
    id: int
    protocol: str = TAG_PROTOCOLS[0]

    def __str__(self) -> str:
        return f"{super(Vlan, self).__str__()} <{FLAGS[0]}>"

    @property
    def tag(self) -> str:
        """The tag of its frames on the lower device."""
        return f"{self.protocol} {self.id}"
