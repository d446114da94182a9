"""IPVLAN: several devices on one lower device, which share its MAC and are told apart by their addresses.

In mode l2 a child resolves its neighbours itself, and frames are handed over by the address of the packet inside. In
modes l3 and l3s it hands packets to the IP layer of the lower device's namespace, which routes them: it has no
neighbours. What comes in goes to a child before that IP layer (l3), or through its PREROUTING and INPUT (l3s).
Source: ipvlan_print_opt() in ip/iplink_ipvlan.c (iproute2 6.1); drivers/net/ipvlan/{ipvlan_core,ipvlan_l3s}.c (Linux
6.18), Documentation/networking/ipvlan.rst.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, ClassVar

from mcnilib.language import mark
from mcnilib.linux.device.base import Child, Frame, Keyword, KindLine, LinkEnd, Passage

IPVLAN_MODES = ("l2", "l3", "l3s")
FORWARDING = ("bridge", "private", "vepa")
"""How children talk to each other: directly, not at all, or out by the lower device and back."""


@dataclass(frozen=True, slots=True)
class Ipvlan(Child):
    """A child of a lower device, in one of the IPVLAN_MODES and one way of FORWARDING: all there have the same."""

    word: ClassVar[str] = "ipvlan"
    probe: ClassVar[str] = "link add p12 type veth peer name p13\nlink add link p12 name p14 type ipvlan mode l2 bridge"
    line: ClassVar[KindLine] = KindLine(
        mark("an ipvlan"),
        Keyword("mode", "mode", lambda words: words.one_of(IPVLAN_MODES), required=True),
        *(Keyword(word, "forwarding", value=word) for word in FORWARDING),
    )
    end_field: ClassVar[str] = "lower"
    reads_packets: ClassVar[bool] = True

    lower: LinkEnd
    mode: str = "l2"
    forwarding: str = "bridge"

    @classmethod
    def line_of_json(cls, data: Mapping[str, Any]) -> str:
        """Return the line of `ip -d address`."""
        return " ".join([cls.word, *cls.line.words_of_json(data), *(word for word in FORWARDING if data.get(word))])

    def __str__(self) -> str:
        return f"{self.word}  mode {self.mode} {self.forwarding}"

    @property
    def making(self) -> str:
        """The words after `type` of the `ip link add` that makes such a device."""
        return f"{self.word} mode {self.mode} {self.forwarding}"

    @property
    def has_arp(self) -> bool:
        """Tell whether it resolves neighbours. Source: ipvlan_set_port_mode()."""
        return not self.routed

    @property
    def routed(self) -> bool:
        """Tell whether it hands packets, not frames, to the namespace of the lower device."""
        return self.mode != "l2"

    @property
    def fed_by_input(self) -> bool:
        """Tell whether what is for it passes the lower device's namespace."""
        return self.mode == "l3s"

    def wants(self, mac: str, ips: Container[IPv4Address], frame: Frame) -> bool:
        """Tell whether a frame is for the device: by the address of the packet inside, of ARP the one asked for.

        In mode l3 that holds for broadcasts too; in mode l3s no frame is handed over.
        """
        meant = frame.packet is not None and frame.packet.dst in ips and not self.fed_by_input
        return meant and (frame.dst == mac or self.mode == "l3")

    def sent(self, mac: str, ips: Container[IPv4Address], frame: Frame) -> bool:
        """Tell whether a frame that the lower device received is one it sent. Source: ipvlan_external_frame()."""
        return frame.src == mac and frame.packet is not None and frame.packet.src in ips

    def passage(self, sibling: Child, frame: Frame) -> Passage:
        """Tell how its frame gets to a sibling; broadcasts get to all. Source: ipvlan_xmit_mode_l2()."""
        if frame.to_all or self.forwarding == "bridge":
            return Passage.DIRECT
        return Passage.LOST if self.forwarding == "private" else Passage.OUT

    def keeps(self, frame: Frame) -> bool:
        """Tell whether a frame for no child goes to the lower device itself: it is for the MAC they all have."""
        return frame.dst == frame.src and self.forwarding != "vepa"

    def copied(self, own: bool, sender: Child | None) -> bool:
        """Tell whether it gets a copy of a broadcast that came in: of one that a child sent it has it already."""
        return sender is None and self.mode == "l2"
