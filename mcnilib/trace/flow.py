"""What is sent, who listens, and what the client program gets: what a run is asked besides a world, and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from mcnilib.errors import McniError
from mcnilib.language import listed, tr

ANY_ADDRESS = IPv4Address(0)
MAX_SIZE = 0xFFFF - 20 - 8
"""Bytes a datagram or a ping can have at most, without its headers. Source: RFC 768, RFC 791."""

FLOW_PROTOCOLS = ("tcp", "udp", "icmp")
"""What a client may speak, as the words of `Flow.proto`; servers listen for the first two."""


class NoConversation(McniError, ValueError):
    """A conversation or a server that no program could have; the message says what may stand there."""


def _check(value: object, allowed: tuple[str, ...], **ports: object) -> None:
    """Refuse another word for the protocol, and what is no port. Raises: NoConversation."""
    if value not in allowed:
        raise NoConversation(
            tr("the protocol is one of {allowed}, not {value!r}", allowed=listed(allowed), value=value)
        )
    for name, port in ports.items():
        if not isinstance(port, int) or not 0 < port <= 0xFFFF:
            raise NoConversation(tr("{name} is a port from 1 to 65535, not {port!r}", name=name, port=port))


@dataclass(frozen=True, slots=True)
class Listener:
    """A server socket, as `ss -ltn` would show it. ICMP echo needs none.

    `pinned` (UDP): the answer is sent from the address the request came to; otherwise the kernel chooses a source
    again; None: nobody knows how the program does it (IP_PKTINFO in ip(7)). `dev` is the device the socket is bound to,
    with SO_BINDTODEVICE; empty for all. `full` (TCP): more connections waited to be accepted than the program asked
    to keep waiting, when the socket was listed. `peer` (UDP): the address and port the socket is connected to; it takes
    datagrams of nobody else.
    """

    netns: str
    port: int
    proto: str = "tcp"
    address: IPv4Address = ANY_ADDRESS
    pinned: bool | None = False
    dev: str = ""
    full: bool = False
    peer: tuple[IPv4Address, int] | None = None

    def __post_init__(self) -> None:
        """Refuse what `ss` lists nowhere. Raises: NoConversation."""
        _check(self.proto, FLOW_PROTOCOLS[:2], port=self.port)

    @property
    def host(self) -> str:
        """The address as `ss` prints it, `%` and the device behind it where there is one."""
        return f"{self.address}%{self.dev}" if self.dev else str(self.address)

    def __str__(self) -> str:
        if self.peer:
            return f"{self.proto} ESTAB {self.host}:{self.port} {self.peer[0]}:{self.peer[1]}"
        return f"{self.proto} {'LISTEN' if self.proto == 'tcp' else 'UNCONN'} {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Flow:
    """One conversation the client starts: from namespace `netns` to `proto` `dst`:`dport`.

    `patience` is how many seconds the client program waits for the answer before it gives up (curl --max-time);
    `src` binds the client's socket to an address, `sport` to a port; 0: the kernel draws one. ICMP has no ports: they
    are not looked at.
    `request` and `answer` are how many bytes client and server send, from 1 to MAX_SIZE, without headers; 0: a few, and
    nothing is asked about sizes then. An echo is answered with as many bytes as it has.
    Raises: NoConversation for another protocol, a port that is none, or a patience that is no time.
    """

    netns: str
    dst: IPv4Address
    proto: str = "tcp"
    dport: int = 80
    src: IPv4Address | None = None
    sport: int = 0
    patience: float = 5.0
    request: int = 0
    answer: int = 0

    def __post_init__(self) -> None:
        """Check what the words and numbers may be."""
        ports = {"dport": self.dport} | ({"sport": self.sport} if self.sport else {})
        _check(self.proto, FLOW_PROTOCOLS, **({} if self.proto == "icmp" else ports))
        for address in (self.dst, self.src or ANY_ADDRESS):
            if not isinstance(address, IPv4Address):
                raise NoConversation(tr("a conversation takes an IPv4Address, not {address!r}", address=address))
        if not self.patience >= 0:  # nor NaN
            raise NoConversation(
                tr("patience is a number of seconds from 0 on, not {patience!r}", patience=self.patience)
            )
        for size in (self.request, self.answer):
            if not isinstance(size, int) or not 0 <= size <= MAX_SIZE:
                raise NoConversation(
                    tr("a size is a number of bytes from 1 to {max_size}, not {size!r}", max_size=MAX_SIZE, size=size)
                )

    @property
    def sized(self) -> bool:
        """Tell whether it is asked which sizes get through."""
        return bool(self.request or self.answer)


@dataclass(slots=True)
class Client:
    """What the client program knows: whether it connected, got its answer, or an error (the errno's name)."""

    connected: bool = False
    answered: bool = False
    error: str = ""
    local: IPv4Address | None = None

    @property
    def done(self) -> bool:
        """Tell whether the program waits for nothing more."""
        return self.answered or bool(self.error)
