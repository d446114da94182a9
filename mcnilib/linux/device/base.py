"""What every kind of network device says of itself: its words in `ip -d address`, where its frames go, how it is made.

A kind is one frozen class in this folder and an entry of `link.KINDS`; those of few words share `nic`. Whoever
has to do with devices asks the kind; where a family of kinds is alike, its `DeviceRole`. Links are read in `link`.
Source: ip/{ipaddress,iplink}.c (iproute2 6.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from ipaddress import IPv4Address
from typing import Any, ClassVar, NamedTuple, Self

from mcnilib.errors import Unsupported
from mcnilib.language import any_of, mark, tr
from mcnilib.linux.device.port import NO_PORT, BridgePort, FdbEntry
from mcnilib.linux.packet import Packet
from mcnilib.linux.text import WordReaders, Words
from mcnilib.linux.unmodelled import Gap

NO_MAC, BROADCAST_MAC = "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """The device at the other end of a veth, or below a macvlan: `index` in network namespace `netns`."""

    netns: str
    index: int


NO_END = LinkEnd("", 0)
"""The other end of a device of which nobody says where it is."""


class DeviceRole(Enum):
    """Where the frames of a device go, and so where its other end is, and how pictures draw it."""

    LOOPBACK = auto()  # back into the namespace
    NIC = auto()  # to the segment it is plugged into
    PAIR = auto()  # to the other end of its pair
    CHILD = auto()  # to its siblings, or out by the device below it
    BRIDGE = auto()  # out of its ports, the devices whose master it is
    BOND = auto()  # out of one of its slaves, the devices whose master it is: together they are one NIC
    VRF = auto()  # through the routes of its table: it carries no frames
    TUNNEL = auto()  # into packets of its namespace: it carries no frames
    SINK = auto()  # nowhere: it loses them
    PROGRAM = auto()  # to the program that opened it: packets, not frames
    UNMODELLED = auto()  # nobody knows where


COMMON = """
    promiscuity allmulti minmtu maxmtu numtxqueues numrxqueues gso_max_size gso_max_segs tso_max_size tso_max_segs
    gro_max_size gso_ipv4_max_size gro_ipv4_max_size parentbus parentdev addrgenmode portid portname switchid
    permaddr group qlen mode state qdisc
    """
"""Words with one value that may follow any link and change nothing here."""


def passed_over(valued: str = "", flags: str = "") -> WordReaders:
    """Build the grammar of words that change nothing: those with a value, beside the common ones, and those without."""
    grammar: WordReaders = {word: (word, lambda words: words.take("a value")) for word in f"{COMMON} {valued}".split()}
    return {**grammar, **{word: (word, lambda words: True) for word in f"netns-immutable {flags}".split()}}


class Keyword(NamedTuple):
    """A word of a kind's line with its value: that of `field`, or `always` the same; without both it has none.

    A word that has a field but no `read` is there while the field has the `value`. `absent` is printed for None.
    """

    word: str
    field: str = ""
    read: Callable[[Words], object] | None = None
    value: object = True
    always: str = ""
    absent: str = ""
    required: bool = False  # without it a device is not modelled

    def taken(self, words: Words) -> object:
        """Read what follows the word."""
        return self.read(words) if self.read else self.value

    def shown(self, kind: Kind, making: bool) -> str:
        """Return the word and its value; nothing where it is not printed, or goes without saying in `ip link add`."""
        if not self.read:
            return self.word if not self.field or getattr(kind, self.field) == self.value else ""
        value = getattr(kind, self.field) if self.field else None
        text = str(value) if value is not None else "" if making else self.absent or self.always
        return f"{self.word} {text}" if text else ""


class KindLine:
    """The grammar of a line of `ip -d address`: reading and printing derive from its options."""

    def __init__(
        self,
        what: str,
        *options: Keyword,
        passed: str = "",
        flags: str = "",
        refused: str = "",
        usual: Mapping[str, tuple[str, ...]] | None = None,
        json: Mapping[str, str] | None = None,
    ) -> None:
        """Declare the line of `what`: the words `passed` over, with a value, and `flags`; those that are `refused`.

        `usual` names the values that are modelled, the default first, of words that would change a frame's way.
        `json` gives the words that have another name in `ip -j`, by that.
        """
        self.what, self.options, self._usual, self._json = what, options, usual or {}, json or {}
        self._refused = refused.split()
        self._grammar = passed_over(" ".join((passed, *self._usual)), flags)
        self._grammar.update({option.word: (option.field or option.word, option.taken) for option in options})

    def read(self, words: Words, usual: Mapping[str, tuple[str, ...]] | None = None) -> dict[str, Any]:
        """Read the words up to the end of the line and return the fields they fill.

        Raises: StateSyntaxError for words nobody prints, Unsupported for those that are not modelled.
        """
        values = words.fields(self._grammar, self._refused, self.what)
        for word, modelled in {**self._usual, **(usual or {})}.items():
            if values.get(word, modelled[0]) not in modelled:
                raise words.unsupported(tr("{what} with {word} {value}", what=self.what, word=word, value=values[word]))
        required = {option.field or option.word: option.word for option in self.options if option.required}
        if not required.keys() <= values.keys():
            raise words.unsupported(tr("{what} without {words}", what=self.what, words=any_of(required.values())))
        return {option.field: values[option.field] for option in self.options if option.field in values}

    def words_of_json(self, data: Mapping[str, Any]) -> list[str]:
        """Return the words for what `ip -j` says of a device, without those that are passed over."""
        reported = {
            self._json.get(key, key): value.get("type") if isinstance(value, dict) else value
            for key, value in data.items()
        }
        valued = {option.word for option in self.options if option.read}
        arguments = [word for key, value in reported.items() if (word := self._word_of_json(key, value, key in valued))]
        negative = (option for option in self.options if not option.read and option.word.startswith("no"))
        return arguments + [
            option.word for option in negative if not reported.get(option.word[2:], not option.required)
        ]

    def _word_of_json(self, word: str, value: object, valued: bool) -> str:
        if isinstance(value, bool) and (valued or self._usual.get(word, ("",))[0] in ("on", "off")):
            value = "on" if value else "off"
        elif word in self._refused:
            return word if value is True else f"{word} {value}" if value and value != "none" else ""
        return f"{word} {value}" if valued or word in self._usual else ""

    def shown(self, kind: Kind, *, making: bool = False) -> list[str]:
        """Return the words for a device, or those that make one like it."""
        return [text for option in self.options if (text := option.shown(kind, making))]


@dataclass(frozen=True, slots=True)
class Printout:
    """What the lines of a link are read against: their namespace, and the indexes of the links printed with them."""

    source: str
    netns: str
    indexes: dict[str, int]
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The first two lines of a link, and where they stand."""

    name: str
    other: str  # what follows @: a device, ifN, or nothing
    far_netns: str
    printout: Printout

    def endpoint(self, words: Words) -> LinkEnd:
        """Find the device behind `@`: by name in this namespace, by number in the one `link-netns` names.

        Raises: Unsupported when it is in no namespace that has a name.
        """
        if self.far_netns and re.fullmatch(r"if\d{1,10}", self.other, re.ASCII):
            return LinkEnd(self.far_netns, int(self.other[2:]))
        if not self.far_netns and self.other in self.printout.indexes:
            return LinkEnd(self.printout.netns, self.printout.indexes[self.other])
        raise Unsupported(
            tr(
                "{source}:{number}: the other end of {device} is in no namespace that has a name",
                source=self.printout.source,
                number=words.number,
                device=f"{self.name}@{self.other}" if self.other else self.name,
            )
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """Source and destination MAC of a frame; `packet` is what it carries, of which only some kinds want to know."""

    src: str
    dst: str
    packet: Packet | None = field(default=None, compare=False)

    @property
    def to_all(self) -> bool:
        """Tell whether it is a broadcast."""
        return self.dst == BROADCAST_MAC

    @property
    def carries_ip(self) -> bool:
        """Tell whether an IP packet is inside, not ARP."""
        return self.packet is not None and self.packet.proto != "arp"


FarEnds = tuple[tuple[str, IPv4Address], ...]
"""Which tunnel end is asked for frames to a MAC."""


class Kind:
    """A kind of device. Subclasses declare what is not true of most, and are frozen values of what one device is."""

    __slots__ = ()

    word: ClassVar[str] = ""  # its name in `ip -d address` and `ip link add`; empty: nobody prints it
    role: ClassVar[DeviceRole]
    line: ClassVar[KindLine] = KindLine(mark("a device"))
    slave: ClassVar[KindLine | None] = None  # the line of devices whose master it is; None: it is no master
    end_field: ClassVar[str] = ""  # the field with the other end
    made_with: ClassVar[str] = ""  # further words of `ip link add`
    probe: ClassVar[str] = ""  # the lines of `ip -batch` that show whether a kernel has it; empty: every kernel does
    layer: ClassVar[str] = "ether"
    flags: ClassVar[str] = "BROADCAST,MULTICAST"
    qdisc: ClassVar[str] = "noqueue"
    state: ClassVar[str] = "UP"  # the operational state of one that has a carrier
    has_mac: ClassVar[bool] = True
    has_far_ends: ClassVar[bool] = False  # `bridge fdb` says which tunnel end has which MAC
    reads_packets: ClassVar[bool] = False  # what a frame carries decides where it goes
    protodown: ClassVar[bool] = False  # its carrier can be taken from it (protodown)
    fallback: ClassVar[str] = ""  # the device of this kind that every namespace gets with the module

    @classmethod
    def begin(cls, words: Words, head: Head) -> None:
        """Read what stands between the kind's name and its options."""

    @classmethod
    def read_slave(cls, words: Words, *, up: bool) -> BridgePort:
        """Read what follows `KIND_slave` of a device whose master is of this kind, and which is `up` itself.

        Raises: Unsupported for settings that would change a frame's way and are not modelled; StateSyntaxError.
        """
        return BridgePort(**cls.slave.read(words)) if cls.slave else NO_PORT

    @classmethod
    def read(cls, words: Words, head: Head) -> Self:
        """Read the words after the kind's name. Raises: StateSyntaxError, Unsupported."""
        cls.begin(words, head)
        values = cls.line.read(words)
        return cls(**values, **({cls.end_field: head.endpoint(words)} if cls.end_field else {}))

    @classmethod
    def line_of_json(cls, data: Mapping[str, Any]) -> str:
        """Return the line of `ip -d address` for what `ip -j` says of such a device."""
        return " ".join([cls.word, *cls.line.words_of_json(data)])

    def __str__(self) -> str:
        """Return the line of `ip -d address` that names the kind; empty where there is none."""
        return " ".join([self.word, *self.line.shown(self)])

    @property
    def making(self) -> str:
        """The words after `type` of the `ip link add` that makes such a device; empty where none does."""
        return " ".join([self.word, *self.line.shown(self, making=True), *self.made_with.split()])

    @property
    def l3_table(self) -> str:
        """The table that routes what comes and goes by the devices whose master it is; empty: the rules say."""
        return ""

    def carrying(self, ports: list[str]) -> list[str]:
        """Return which of its ports, all of which are up, may carry its frames."""
        return ports

    @property
    def settling(self) -> str:
        """The words after `type` of the `ip link set` that completes it, once its ports are there and up; or none."""
        return ""

    @property
    def has_arp(self) -> bool:
        """Tell whether neighbours are resolved on it, as its flags say."""
        return "NOARP" not in self.flags

    @property
    def is_fallback(self) -> bool:
        """Tell whether it has the ends of its kind's `fallback`, of which Linux has but one in a namespace."""
        return False

    def link_layer(self, mac: str) -> str:
        """Return the words of the line `link/...`."""
        return f"link/{self.layer} {mac} brd {BROADCAST_MAC}"

    @property
    def endpoint(self) -> LinkEnd | None:
        """The device at the other end, or below."""
        return getattr(self, self.end_field) if self.end_field else None

    def leading_to(self, endpoint: LinkEnd) -> Self:
        """Return the same with another other end, if it has one."""
        return replace(self, **{self.end_field: endpoint}) if self.end_field else self  # type: ignore[type-var]

    @property
    def unmodelled(self) -> Gap | None:
        """Why nobody knows what becomes of what is sent there; None for kinds that are modelled."""
        return None

    @property
    def underlay(self) -> str:
        """The device of the same namespace that must be there first."""
        return ""

    @property
    def child(self) -> Child | None:
        """Itself, where it stands on a device and shares its frames."""
        return self if isinstance(self, Child) else None

    @property
    def tunnel(self) -> Tunnel | None:
        """Itself, where it carries packets inside packets."""
        return self if isinstance(self, Tunnel) else None

    @property
    def filters_vlans(self) -> bool:
        """Tell whether its ports let only frames of their VLANs through."""
        return False

    @property
    def calls_iptables(self) -> bool:
        """Tell whether iptables sees what crosses it, whatever the sysctl for all bridges says."""
        return False

    @property
    def stations(self) -> tuple[FdbEntry, ...]:
        """Which MAC is behind which port, as far as somebody wrote it or it was learned."""
        return ()

    def entries(self, name: str) -> Iterator[str]:
        """Yield the lines of `bridge fdb show` for a device of that name."""
        return iter(())

    def with_entries(self, far_ends: FarEnds, stations: tuple[FdbEntry, ...]) -> Self:
        """Return the same with those of the entries it keeps."""
        return self


class Passage(Enum):
    """How a frame of a child gets to another child of the same lower device that is to have it."""

    DIRECT = auto()  # from one to the other
    OUT = auto()  # out by the lower device, and in again if the switch sends it back
    LOST = auto()  # not at all


class Child(Kind):
    """A device that stands on another one and shares its frames with its siblings there."""

    __slots__ = ()

    role: ClassVar[DeviceRole] = DeviceRole.CHILD
    lower: LinkEnd

    @property
    def tag(self) -> str:
        """The VLAN tag of its frames on the lower device, where only those with it are for the device; empty: none."""
        return ""

    @property
    def routed(self) -> bool:
        """Tell whether it hands packets, not frames, to the namespace of the lower device, which routes them."""
        return False

    @property
    def fed_by_input(self) -> bool:
        """Tell whether what is for it passes PREROUTING and INPUT of the lower device's namespace, not its own."""
        return False

    @property
    def takes_all(self) -> bool:
        """Tell whether it takes every frame that is for one, whomever it is for."""
        return False

    def wants(self, mac: str, ips: Container[IPv4Address], frame: Frame) -> bool:
        """Tell whether a frame is for the device, which has that MAC and those addresses."""
        return frame.dst == mac

    def sent(self, mac: str, ips: Container[IPv4Address], frame: Frame) -> bool:
        """Tell whether a frame that the lower device received is taken for one that this device sent."""
        return frame.src == mac

    def passage(self, sibling: Child, frame: Frame) -> Passage:
        """Tell how its frame gets to a sibling that is to have it."""
        return Passage.OUT

    def keeps(self, frame: Frame) -> bool:
        """Tell whether a frame for none of its siblings goes to the lower device's own IP layer, not out by it."""
        return False

    @property
    def hears_alone(self) -> bool:
        """Tell whether a broadcast with its own MAC as sender gets to nobody else of those on the lower device."""
        return False

    def copied(self, own: bool, sender: Child | None) -> bool:
        """Tell whether it gets a copy of a broadcast the lower device received, from its `own` MAC or a sibling's."""
        return not own


class Tunnel(Kind):
    """A device that puts packets into packets of its namespace, and takes them out."""

    __slots__ = ()

    role: ClassVar[DeviceRole] = DeviceRole.TUNNEL

    @property
    def udp_port(self) -> int:
        """The UDP port it listens on; 0 for a protocol of its own."""
        return 0

    @property
    def generality(self) -> tuple[bool, ...]:
        """In which order tunnels are asked whether a packet is for them."""
        return ()

    def far_ends(self, mac: str, next_hop: IPv4Address) -> tuple[IPv4Address, ...]:
        """Return where a packet goes, whose next hop has that MAC: none drops it."""
        raise NotImplementedError

    def packed(self, packet: Packet, far_end: IPv4Address, mac: str, sport: int) -> Packet:
        """Return the outer packet; `sport` is its source port where there is UDP around it."""
        raise NotImplementedError

    def takes(self, outer: Packet) -> bool:
        """Tell whether a packet with something inside is for this device."""
        raise NotImplementedError
