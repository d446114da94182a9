"""A repair: what an administrator does, in the order of what it costs. It says nothing of whether it helps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address

from mcnilib.language import all_of, mark, tr
from mcnilib.world.commands import do
from mcnilib.world.world import World


class RepairKind(Enum):
    """What sort of change it is: what it is called, what it costs to live with, from 1 (little) up, and what to know.

    `{machines}` stands for the machine, or several. Source: sysctl(8), ip-route(8), iptables-extensions(8).
    """

    SYSCTL = (
        mark("set a sysctl on {machines}"),
        2,
        mark("it is lost at the next boot unless a file in /etc/sysctl.d holds it"),
    )
    ELEMENT = (
        mark("add an element to a set on {machines}"),
        2,
        mark("it is lost at the next boot, and when whoever keeps the set writes it anew"),
    )
    ROUTE = (
        mark("add a route on {machines}"),
        2,
        mark("it is lost at the next boot, and wrong once the pod gets another address or node"),
    )
    MSS = (
        mark("lower the MSS of TCP on {machines}"),
        2,
        mark("it helps TCP alone, and is lost at the next boot"),
    )
    MTU = (
        mark("lower the MTU of the route on {machines}"),
        2,
        mark("it is lost at the next boot, and too low once the path takes more"),
    )
    LOOKUP = mark("add a rule of policy routing on {machines}"), 2, mark("it is lost at the next boot")
    DIAL = mark("dial another address"), 3, mark("whoever runs the client has to change it")
    MASQUERADE = (
        mark("masquerade the client on {machines}"),
        3,
        mark("the server no longer sees the client's own address"),
    )
    ACCEPT = (
        mark("accept these packets on {machines} before the rule"),
        3,
        mark("no later rule of the chain sees them, nor a network policy"),
    )
    SETTING = mark("change settings"), 3, ""
    NOTRACK = (
        mark("keep these packets out of connection tracking on {machines}"),
        4,
        mark("what is not tracked is not translated either"),
    )
    DATA_PLANE = (
        mark("change kube-proxy's mode"),
        6,
        mark("each node writes all its services anew; the rules of the old mode may stay until it boots"),
    )
    POLICY = mark("change the policy of the chain on {machines}"), 5, mark("it holds for all packets")
    DELETE = mark("delete the rule on {machines}"), 5, mark("it holds for all packets")

    def __init__(self, said: str, cost: int, note: str) -> None:
        """Keep the parts."""
        self.said, self.cost, self.note = said, cost, note


_OF_CONTAINER = 2
"""What it costs more that a command has to be typed again for each new container."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it is typed, and the namespace it is typed in."""

    netns: str
    text: str

    def __str__(self) -> str:
        return f"{self.netns}: {self.text}"


@dataclass(frozen=True, slots=True)
class Dial:
    """Another address and port the client may dial; `endpoint` is the pod that stands behind it, if it is a service."""

    to: IPv4Address
    port: int
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Repair:
    """One change, or several that are needed together. Setting -> value by attribute; `undone_by` is the program that
    takes a command back, because the line it deletes is its own; `passing`: a command is typed in a container, and gone
    with it; `of_cause`: it mends what the verdict names as the cause."""

    kinds: tuple[RepairKind, ...]
    commands: tuple[Command, ...] = ()
    settings: tuple[tuple[str, object], ...] = ()
    dial: Dial | None = None
    undone_by: str = ""
    passing: bool = False
    of_cause: bool = field(default=False, compare=False)

    @property
    def changes(self) -> int:
        """How many changes it is: commands, settings, another address."""
        return len(self.commands) + len(self.settings) + (self.dial is not None)

    @property
    def cost(self) -> tuple[int, int]:
        """What it costs, cheapest first: all changes by their kinds, then how many there are."""
        return sum(kind.cost for kind in self.kinds) + _OF_CONTAINER * self.passing, self.changes

    @property
    def said(self) -> str:
        """What it does and where, in a few words."""
        machines = all_of(dict.fromkeys(command.netns for command in self.commands))
        return all_of(dict.fromkeys(tr(kind.said, machines=machines) for kind in self.kinds))

    def __add__(self, other: Repair) -> Repair:
        """Return both changes as one."""
        return Repair(
            (*self.kinds, *other.kinds),
            (*self.commands, *other.commands),
            tuple((dict(self.settings) | dict(other.settings)).items()),
            self.dial or other.dial,
            self.undone_by or other.undone_by,
            self.passing or other.passing,
        )


def typed_repair(kind: RepairKind, netns: str, *texts: str, undone_by: str = "") -> Repair:
    """Return the repair of commands that are typed in one namespace."""
    return Repair((kind,), tuple(Command(netns, text) for text in texts), undone_by=undone_by)


def carried_out(world: World, commands: Iterable[Command]) -> World:
    """Return the world after commands. Raises: McniError, as `mcnilib.world.commands.do`."""
    for command in commands:
        world = do(world, command.netns, command.text)
    return world
