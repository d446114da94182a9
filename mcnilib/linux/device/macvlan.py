"""Macvlan: several devices with MACs of their own on one lower device.

Source: ip/iplink_macvlan.c (iproute2 6.1); macvlan_queue_xmit(), macvlan_handle_frame(), macvlan_multicast_rx() in
drivers/net/macvlan.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.device.base import Child, Frame, Head, Keyword, KindLine, LinkEnd, Passage
from mcnilib.linux.text import Words

MODES = ("bridge", "private", "vepa", "passthru")
"""Modes that are modelled."""


def _mode(words: Words) -> str:
    if words.next == "source":
        raise Unsupported(tr("{source}:{number}: macvlan mode 'source'", source=words.source, number=words.number))
    return words.one_of(MODES)


@dataclass(frozen=True, slots=True)
class Macvlan(Child):
    """A child of a lower device. `mode` is bridge, private, vepa or passthru."""

    word: ClassVar[str] = "macvlan"
    probe: ClassVar[str] = "link add p3 type veth peer name p8\nlink add link p3 name p4 type macvlan mode bridge"
    line: ClassVar[KindLine] = KindLine(
        mark("a macvlan"),
        Keyword("mode", "mode", _mode),
        passed="bcqueuelen usedbcqueuelen bclim",
        flags="nopromisc",
    )
    end_field: ClassVar[str] = "lower"
    protodown: ClassVar[bool] = True

    lower: LinkEnd
    mode: str = "bridge"

    @classmethod
    def begin(cls, words: Words, head: Head) -> None:
        """Insist that the mode comes first."""
        if words.next != "mode":
            words.take("mode")
            raise words.wrong(tr("mode is missing"))

    @property
    def takes_all(self) -> bool:
        """Tell whether it takes every frame that is for one, whomever it is for."""
        return self.mode == "passthru"

    def passage(self, sibling: Child, frame: Frame) -> Passage:
        """Tell how its frame gets to a sibling: without leaving by the lower device if both are in bridge mode."""
        both = isinstance(sibling, Macvlan) and self.mode == sibling.mode == "bridge"
        return Passage.DIRECT if both else Passage.OUT

    @property
    def hears_alone(self) -> bool:
        """Tell whether a broadcast with its own MAC as sender gets to it alone, not even to the lower device itself.

        Source: macvlan_handle_frame() in drivers/net/macvlan.c, "forward to original port".
        """
        return self.mode not in ("vepa", "bridge")

    def copied(self, own: bool, sender: Child | None) -> bool:
        """Tell whether it gets a copy of a broadcast the lower device received, from its `own` MAC or a sibling's.

        What a child in bridge mode sent its siblings have already; one that may not talk to them hears only itself.
        """
        if not isinstance(sender, Macvlan):
            return not own
        if sender.hears_alone:
            return own
        return not own and self.mode in (("vepa", "bridge") if sender.mode == "vepa" else ("vepa",))
