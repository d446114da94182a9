"""What one asks a snapshot: who talks to whom, as the command line and the notebook spell it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address

from mcnilib.errors import McniError, StateSyntaxError
from mcnilib.language import tr
from mcnilib.linux.text import Words
from mcnilib.snapshots.targets.flow_target import (
    NameLookup,
    QuestionError,
    no_names,
    read_flow_target,
    refuse_ipv6,
    typed_address,
    typed_port,
)
from mcnilib.trace.flow import ANY_ADDRESS, Flow, Listener
from mcnilib.world.commands import do
from mcnilib.world.world import World

STATES = {"tcp": ("LISTEN",), "udp": ("UNCONN", "ESTAB")}
"""States in which a socket takes what begins; a UDP socket that is connected takes it from its peer alone."""

OTHERS = (
    *("ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "UNCONN", "CLOSE-WAIT", "LAST-ACK"),
    *("CLOSING", "UNKNOWN"),
)

UNPINNED = ":unpinned"
"""Behind a server that was typed: the source of its datagrams is chosen by their route."""

ALL_ADDRESSES = ("0.0.0.0", "*")
"""All IPv4 addresses; `*` is an IPv6 socket that takes IPv4 as well, `[::ffff:A.B.C.D]` one that takes only IPv4."""


def parse_listeners(text: str, netns: str, source: str = "ss -ltun") -> tuple[Listener, ...]:
    """Read the output of `ss -ltun` in a namespace; sockets that take no IPv4 are passed over, connections of TCP too.

    Nobody knows from which address a UDP server on all of them answers. Raises: StateSyntaxError.
    """
    lines = enumerate(text.splitlines(), 1)
    scanners = (Words(line, source=source, number=number) for number, line in lines)
    return tuple(entry for words in scanners if words and words.next != "Netid" for entry in _listener(words, netns))


def _listener(words: Words, netns: str) -> Iterator[Listener]:
    proto = words.one_of(STATES)
    state = words.one_of((*STATES[proto], *OTHERS))
    waiting, most = (words.number_upto(0xFFFFFFFF) for _ in ("Recv-Q", "Send-Q"))
    host, port, dev = _end(words)
    if state not in STATES[proto] or host is None:
        return
    far, far_port, _ = _end(words) if state == "ESTAB" else (None, 0, "")
    if state == "ESTAB" and far is None:
        return
    peer = (far, far_port) if far else None
    full = proto == "tcp" and waiting > most
    pinned = None if proto == "udp" else False
    yield Listener(netns, port, proto, host, pinned=pinned, dev=dev, full=full, peer=peer)


def _end(words: Words) -> tuple[IPv4Address | None, int, str]:
    """Read one end of a socket: address (None for one of IPv6), port and device."""
    endpoint = words.take(tr("an address and a port"))
    host, _, port = endpoint.rpartition(":")
    if not (port.isdecimal() and port.isascii() and len(port) <= 5 and 0 < int(port) <= 65535):
        raise words.wrong(tr("{endpoint!r} is not an address and a port", endpoint=endpoint))
    host = re.sub(r"^\[::ffff:([\d.]+)\]", r"\1", host)
    host, _, dev = host.partition("%")
    if host.startswith("["):
        return None, int(port), dev
    try:
        return ANY_ADDRESS if host in ALL_ADDRESSES else IPv4Address(host), int(port), dev
    except AddressValueError:
        raise words.wrong(tr("{word!r} is not an IPv4 address", word=host)) from None


def print_listeners(listeners: Iterable[Listener]) -> str:
    """Print listeners as `ss -ltun` does."""
    lines = [_line(listener) for listener in listeners]
    return "\n".join([_HEAD, *lines]) + "\n" if lines else ""


_HEAD = "Netid State  Recv-Q Send-Q Local Address:Port  Peer Address:PortProcess"


def _line(listener: Listener) -> str:
    queue = 128 if listener.proto == "tcp" else 0
    waiting = queue + 1 if listener.full else 0
    far = f"{listener.peer[0]}:{listener.peer[1]}" if listener.peer else "0.0.0.0:*"
    state = "ESTAB" if listener.peer else STATES[listener.proto][0]
    return f"{listener.proto:<5} {state:<6} {waiting:<6} {queue:<6} {listener.host}:{listener.port}  {far}"


def read_flow(netns: str, to: str, source: str = "", patience: float = 5.0, lookup: NameLookup = no_names) -> Flow:
    """Read a conversation begun in `netns`; `to` is a target (`read_flow_target`), with names that `lookup` knows.

    `source` is what the client binds its socket to: `ADDRESS`, `ADDRESS:PORT` or `:PORT`; without a port the kernel
    draws one.
    Raises: QuestionError, NotThere for a name nobody knows.
    """
    target = read_flow_target(to, lookup)
    flow = Flow(netns, target.address, target.proto, target.port, patience=patience)
    return _from(flow, source) if source else flow


def _from(flow: Flow, source: str) -> Flow:
    """Return the conversation with the client's socket bound to `ADDRESS`, `ADDRESS:PORT` or `:PORT`."""
    refuse_ipv6(source)
    address, colon, port = source.partition(":")
    if colon and flow.proto == "icmp":
        raise QuestionError(tr("{source!r} has a port, and ICMP has none", source=source))
    return replace(
        flow, src=typed_address(address) if address else None, sport=typed_port(port) if colon else flow.sport
    )


def own_port(flow: Flow, servers: Iterable[Listener]) -> None:
    """Check that no server has the port the client's socket is to have. Raises: QuestionError."""
    there = (
        server
        for server in servers
        if (server.netns, server.proto, server.port) == (flow.netns, flow.proto, flow.sport)
    )
    if taken := next(there, None):
        raise QuestionError(
            tr(
                "{taken} has the client's port in {netns}: name another one, as in --source :40001",
                taken=taken,
                netns=flow.netns,
            )
        )


def read_listeners(texts: Iterable[str]) -> tuple[Listener, ...]:
    """Read `NETNS:PORT` as a server there, for TCP and UDP.

    A UDP server answers from the address it was asked on; with `:unpinned` behind the port the route of the answer
    chooses, as for a program that does not ask for IP_PKTINFO. Raises: QuestionError.
    """
    return tuple(listener for text in texts for listener in _servers(text))


def changed(world: World, commands: str) -> World:
    """Carry out commands, one `NETNS: COMMAND` a line, and return the world afterwards; the same world for none.

    Raises: QuestionError for another line; StateSyntaxError, with the line and a caret under the wrong word, for a
    command that cannot be carried out (see `mcnilib.world.commands.do`).
    """
    for number, line in enumerate(map(str.strip, commands.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        netns, colon, command = line.partition(": ") if ": " in line else line.partition(":")
        if not colon or " " in netns:
            raise QuestionError(
                tr("{line!r} is not NETNS: COMMAND, for example node1: iptables -D FORWARD 1", line=line)
            )
        try:
            world = do(world, netns, command.strip())
        except McniError as problem:
            raise pointed_at(problem, line, number, line.index(command.strip(), len(netns))) from None
    return world


def pointed_at(problem: McniError, line: str, number: int, start: int) -> StateSyntaxError:
    """Return what is wrong with a command as an error that points into its line, where the command begins at `start`.

    A problem without a column is pointed to by the words its message names: those in quotes before others, the last in
    the line; where the state refuses all of the command, it is the command's first word.
    """
    if isinstance(problem, StateSyntaxError):
        return StateSyntaxError(problem.what, source="command", line=number, column=start + problem.column, text=line)
    what = re.sub(r"^\w+:\d+:\d+: ", "", str(problem))
    said = what.partition(";")[0]
    words = [*re.finditer(r"[^\s=]+", line)]
    quoted = {name.strip() for name in re.findall(r"'([^']*)'", said)}
    named = {word.strip("'`,:()") for word in said.split()}
    at = [word.start() for word in words if word[0].strip("'\":") in quoted]
    at = at or [start, *(word.start() for word in words[2:] if word[0] in named)]
    return StateSyntaxError(what, source="command", line=number, column=at[-1] + 1, text=line)


def _servers(text: str) -> Iterator[Listener]:
    given = text.removesuffix(UNPINNED)
    netns, colon, port = given.rpartition(":")
    if not colon or not netns:
        raise QuestionError(tr("{text!r} is not NETNS:PORT, or NETNS:PORT:unpinned", text=text))
    yield Listener(netns, typed_port(port))
    yield Listener(netns, typed_port(port), "udp", pinned=given == text)
