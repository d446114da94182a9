"""What is sent and who listens: the two things a run needs besides a world."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

ANY_ADDRESS = IPv4Address(0)


@dataclass(frozen=True, slots=True)
class Listener:
    """A server socket, as `ss -ltn` would show it. ICMP echo needs none.

    `pinned` (UDP): the answer is sent from the address the request came to; otherwise the kernel chooses a source
    again; None: nobody knows how the program does it (IP_PKTINFO in ip(7)). `dev` is the device the socket is bound to,
    with SO_BINDTODEVICE; empty for all. `full` (TCP): more connections waited to be accepted than the program asked
    to keep waiting, when the socket was listed.
    """

    netns: str
    port: int
    proto: str = "tcp"
    address: IPv4Address = ANY_ADDRESS
    pinned: bool | None = False
    dev: str = ""
    full: bool = False

    @property
    def host(self) -> str:
        """The address as `ss` prints it, `%` and the device behind it where there is one."""
        return f"{self.address}%{self.dev}" if self.dev else str(self.address)

    def __str__(self) -> str:
        host = self.host
        return (
            f"{self.proto} LISTEN {host}:{self.port}"
            if self.proto == "tcp"
            else f"{self.proto} UNCONN {host}:{self.port}"
        )


@dataclass(frozen=True, slots=True)
class Flow:
    """One conversation the client starts: from namespace `netns` to `proto` `dst`:`dport`.

    `patience` is how many seconds the client program waits for the answer before it gives up (curl --max-time);
    `src` binds the client's socket to an address.
    """

    netns: str
    dst: IPv4Address
    proto: str = "tcp"
    dport: int = 80
    src: IPv4Address | None = None
    sport: int = 40000
    patience: float = 5.0
