"""What a setting can be: the choices a reader knows by name, and how one setting is declared, written and read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import Enum
from typing import Any

from mcnilib.errors import McniError


class SettingError(McniError, ValueError):
    """A setting or a value that does not exist; the message names the nearest ones that do."""


class Encapsulation(Enum):
    """How Calico carries pod traffic between nodes."""

    NONE = "none"
    VXLAN = "VXLAN"
    IPIP = "IPIP"


class Protocol(Enum):
    """What the client speaks."""

    TCP = "TCP"
    UDP = "UDP"
    ICMP = "ICMP"


class Placement(Enum):
    """Where the two ends of a conversation run."""

    SAME_NODE = "same node"
    ACROSS_NODES = "across nodes"


class Workaround(Enum):
    """Something an administrator adds by hand to get asymmetric traffic through."""

    NONE = "none"
    SNAT = "SNAT on the pod's node"
    ROUTE_BACK = "host route back"
    NOTRACK = "NOTRACK for the pod's veth"


class MacvlanMode(Enum):
    """Mode of the Macvlan children: who may talk to whom on one lower device."""

    BRIDGE = "bridge"
    PRIVATE = "private"
    VEPA = "vepa"


class DefaultNic(Enum):
    """The NIC of a multi-NIC pod that holds the default route."""

    ETH0 = "eth0"
    NET1 = "net1"


class Tuning(Enum):
    """Which `from` rules the coordinator writes into a multi-NIC pod."""

    TUNED = "tuned"
    ONLY_NET1 = "only net1"
    NOT = "not tuned"


VERSIONS = tuple(f"1.{minor}" for minor in range(22, 36))
"""Minor releases of Kubernetes whose kube-proxy is modelled."""

OFF_ON, NO_YES, DIGITS = ("off", "on"), ("no", "yes"), ("0", "1")


def choice(label: str, *values: object, default: object, help: str, changes: str, texts: tuple[str, ...] = ()) -> Any:
    """Declare a setting with a fixed list of values.

    `help` is one line for the reader, `changes` names the Linux or Kubernetes object behind the setting, `texts` how
    the values are written (default: an Enum's value, or str).
    """
    texts = texts or tuple(str(value.value if isinstance(value, Enum) else value) for value in values)
    metadata = {"label": label, "values": values, "texts": texts, "help": help, "changes": changes}
    return field(default=default, metadata=metadata)


def switch(label: str, texts: tuple[str, str], *, default: bool, help: str, changes: str) -> Any:
    """Declare a setting with two values, written as `texts` for False and True."""
    return choice(label, False, True, default=default, help=help, changes=changes, texts=texts)


@dataclass(frozen=True, slots=True)
class Option:
    """One setting as a control or a command line sees it: `name` is spelt `--name` there, `attribute` in Python."""

    name: str
    attribute: str
    label: str
    values: tuple[object, ...]
    texts: tuple[str, ...]
    default: object
    help: str
    changes: str

    def only(self, *values: object) -> Option:
        """Return the same setting with some of its values left to choose from; SettingError when one is not valid."""
        return replace(self, values=values, texts=tuple(self.text(value) for value in values))

    def text(self, value: object) -> str:
        """Write one of the values; SettingError when it is not one."""
        if value not in self.values:
            raise SettingError(f"{self.name} cannot be {value!r}; it is one of {', '.join(self.texts)}")
        return self.texts[self.values.index(value)]

    def read(self, text: str) -> object:
        """Read a value, without regard to case; SettingError names the nearest valid one."""
        lowered = [valid.lower() for valid in self.texts]
        if text.strip().lower() in lowered:
            return self.values[lowered.index(text.strip().lower())]
        near = get_close_matches(text.strip().lower(), lowered, n=1, cutoff=0.4)
        meant = f"did you mean {self.texts[lowered.index(near[0])]!r}? " if near else ""
        raise SettingError(f"{self.name} cannot be {text!r}: {meant}it is one of {', '.join(self.texts)}")
