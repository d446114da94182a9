"""The connections IPVS remembers: which real server a client's packets go to, and until when.

A connection has a key for what comes from the client, and one for what comes back from the real server. Not modelled:
synchronisation, helpers (ftp, sip), and that conntrack's entry goes with the connection of IPVS.
Source: net/netfilter/ipvs/ip_vs_conn.c, ip_vs_proto_tcp.c, ip_vs_proto_udp.c (Linux 6.1).
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.netfilter.ipvs.service import RealServer, VirtualServer
from mcnilib.linux.packet import Packet, Tcp


class IpvsTcp(StrEnum):
    """The states of TCP that IPVS knows (enum IP_VS_TCP_S_*), as `ipvsadm -Lnc` prints them."""

    NONE = "NONE"
    ESTABLISHED = "ESTABLISHED"
    SYN_SENT = "SYN_SENT"
    SYN_RECV = "SYN_RECV"
    FIN_WAIT = "FIN_WAIT"
    TIME_WAIT = "TIME_WAIT"
    CLOSE = "CLOSE"
    CLOSE_WAIT = "CLOSE_WAIT"
    LAST_ACK = "LAST_ACK"
    LISTEN = "LISTEN"
    SYNACK = "SYNACK"


TIMEOUTS = dict(zip(IpvsTcp, (2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120), strict=True))
"""Seconds that a connection in a state is remembered after its last packet (tcp_timeouts)."""

UDP_TIMEOUT = 300
"""Seconds a UDP connection is remembered (udp_timeouts)."""

_SHORT = dict(zip(("NO", "ES", "SS", "SR", "FW", "TW", "CL", "CW", "LA", "LI", "SA"), IpvsTcp, strict=True))

_MOVES = {
    ("in", "SYN"): "SR,ES,ES,SR,SR,SR,SR,SR,SR,SR,SR",
    ("in", "FIN"): "CL,CW,SS,TW,TW,TW,CL,CW,LA,LI,TW",
    ("in", "ACK"): "ES,ES,SS,ES,FW,TW,CL,CW,CL,LI,ES",
    ("in", "RST"): "CL,CL,CL,SR,CL,CL,CL,CL,LA,LI,SR",
    ("out", "SYN"): "SS,ES,SS,SR,SS,SS,SS,SS,SS,LI,SR",
    ("out", "FIN"): "TW,FW,SS,TW,FW,TW,CL,TW,LA,LI,TW",
    ("out", "ACK"): "ES,ES,SS,ES,FW,TW,CL,CW,LA,ES,ES",
    ("out", "RST"): "CL,CL,SS,CL,CL,TW,CL,CL,CL,CL,CL",
}
"""tcp_states: the next state by direction and flag, in the order of the states."""

MOVES = {
    (*key, state): _SHORT[to] for key, row in _MOVES.items() for state, to in zip(IpvsTcp, row.split(","), strict=True)
}


def moved(state: IpvsTcp, tcp: Tcp, way: str) -> IpvsTcp:
    """Return the state after a segment from the client (`in`) or the server (`out`). Source: set_tcp_state()."""
    flag = next((flag for flag in ("RST", "SYN", "FIN", "ACK") if flag in tcp.flags), "")
    return MOVES[way, flag, state] if flag else IpvsTcp.CLOSE


class IpvsConnection(NamedTuple):
    """One line of `ipvsadm -Lnc`. `expires`: seconds since the run began; `nfct`: conntrack keeps its entry."""

    proto: str
    client: IPv4Address
    cport: int
    address: IPv4Address  # of the service
    port: int
    server: RealServer
    nfct: bool
    persistent: bool = False
    state: IpvsTcp = IpvsTcp.NONE
    expires: float = 0.0

    @property
    def dport(self) -> int:
        """The port of the real server; one with port 0 takes that of the service."""
        return self.server.port or self.port

    @property
    def incoming(self) -> tuple[object, ...]:
        """The key of what the client sends."""
        return self.proto, self.client, self.cport, self.address, self.port

    @property
    def outgoing(self) -> tuple[object, ...]:
        """The key of what the real server sends."""
        return self.proto, self.server.address, self.dport, self.client, self.cport

    def after(self, packet: Packet, way: str, now: float) -> IpvsConnection:
        """Return the connection after one more packet of it. Source: ip_vs_set_state(), ip_vs_conn_put()."""
        if packet.tcp is None:
            return self._replace(expires=now + UDP_TIMEOUT)
        state = moved(self.state, packet.tcp, way)
        return self._replace(state=state, expires=now + TIMEOUTS[state])


class IpvsTable:
    """The connections of one namespace during a run, and which server a client of a persistent service has."""

    def __init__(self) -> None:
        """Start empty."""
        self._by_client: dict[tuple[object, ...], IpvsConnection] = {}
        self._by_server: dict[tuple[object, ...], tuple[object, ...]] = {}
        self._templates: dict[tuple[str, IPv4Network], tuple[RealServer, float]] = {}
        self.hashed: dict[tuple[object, ...], RealServer] = {}  # what source hashing chose

    def copy(self, other: IpvsTable) -> None:
        """Take over what another table holds."""
        self._by_client, self._by_server = dict(other._by_client), dict(other._by_server)
        self._templates, self.hashed = dict(other._templates), dict(other.hashed)

    def put(self, connection: IpvsConnection) -> None:
        """Store a connection, or what became of it."""
        self._by_client[connection.incoming] = connection
        self._by_server[connection.outgoing] = connection.incoming

    def forget(self, connection: IpvsConnection) -> None:
        """Remove a connection."""
        self._by_client.pop(connection.incoming, None)
        if self._by_server.get(connection.outgoing) == connection.incoming:
            del self._by_server[connection.outgoing]

    def from_client(self, packet: Packet, now: float) -> IpvsConnection | None:
        """Find the connection of a packet that a client sent. Source: ip_vs_conn_in_get()."""
        return self._alive((packet.proto, packet.src, packet.sport, packet.dst, packet.dport), now)

    def from_server(self, packet: Packet, now: float) -> IpvsConnection | None:
        """Find the connection of a packet that a real server sent. Source: ip_vs_conn_out_get()."""
        key = self._by_server.get((packet.proto, packet.src, packet.sport, packet.dst, packet.dport))
        return self._alive(key, now) if key else None

    def _alive(self, key: tuple[object, ...], now: float) -> IpvsConnection | None:
        """Return a connection. Raises: Unsupported for one that timed out, with which conntrack's entry goes too."""
        connection = self._by_client.get(key)
        if connection and connection.expires <= now:
            what = tr("a packet of a connection to {place}, which IPVS forgot", place=connection.server.place)
            raise Unsupported(what)
        return connection

    def template(self, service: VirtualServer, client: IPv4Address, now: float) -> RealServer | None:
        """Return the server that a client of a persistent service has. Source: ip_vs_sched_persist()."""
        server, expires = self._templates.get((service.name, _masked(service, client)), (None, 0.0))
        return server if server and expires > now and server.weight else None

    def remember(self, service: VirtualServer, client: IPv4Address, server: RealServer, now: float) -> None:
        """Keep the server that a client of a persistent service got, for the time of the service."""
        self._templates[service.name, _masked(service, client)] = server, now + service.timeout


def _masked(service: VirtualServer, client: IPv4Address) -> IPv4Network:
    return IPv4Network((client, service.mask or 32), strict=False)
