"""The transport layer at both ends: which socket a delivered packet belongs to, what is answered when there is none.

Source: net/ipv4/{tcp_ipv4,udp,icmp,ping}.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv4Address

from mcnilib.errors import NoRoute, Unsupported
from mcnilib.language import tr
from mcnilib.linux.netfilter.context import FoundSocket
from mcnilib.linux.packet import PING_SIZE, Icmp, Packet, is_large
from mcnilib.trace.devices.ipvlan import lost_below
from mcnilib.trace.events import Events
from mcnilib.trace.flow import ANY_ADDRESS, Client, Flow, Listener
from mcnilib.trace.stack.fragment import believe, forbidding
from mcnilib.trace.stack.host import Emission, Host, Network, Skb
from mcnilib.trace.stack.icmp import icmp_send, reset_for
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.stack.tunnel import listens
from mcnilib.trace.trace import Fate, NoWay, Stage, Step, Told
from mcnilib.trace.transport.socket_lookup import answers_from, choose_source, lookup_listener
from mcnilib.trace.transport.tcp import (
    HARD_ERRORS,
    REQUEST,
    UDP_ANSWER,
    FourTuple,
    TcpClient,
    TcpEnd,
    TcpServer,
    TcpState,
)

CLIENT_ISN, SERVER_ISN = 1000, 5000
"""Initial sequence numbers; fixed, because nothing in the model depends on them."""

ECHO_ID = 4242

SOFT_ERRORS = ((3, 0), (3, 1), (11, 0))
"""ICMP errors a UDP socket does not hear of. Source: icmp_err_convert, __udp4_lib_err() in net/ipv4/udp.c."""


class Sockets:
    """All sockets of a run, and what the client program knows."""

    def __init__(self, net: Network, events: Events, flow: Flow, listeners: Sequence[Listener]) -> None:
        """Open the listeners; connections are added as they begin."""
        self.net, self.events, self.flow, self.listeners = net, events, flow, tuple(listeners)
        self.client = Client()
        self._tcp: dict[FourTuple, TcpEnd] = {}
        net.hosts.sockets = self.find

    def connect(self, packet: Packet) -> None:
        """Open the client's socket and send the first packet. `packet` carries the chosen source address."""
        flow, client = self.flow, self.client
        client.local = packet.src
        if flow.proto == "tcp":
            ends = FourTuple(flow.netns, packet.src, flow.sport, flow.dst, flow.dport)
            end = self._tcp[ends] = TcpClient(self.events, self.net.hosts[flow.netns], ends, CLIENT_ISN, flow, client)
            end.connect()
        elif flow.proto == "udp":
            datagram = packet.but(length=flow.request or REQUEST)
            self.events.emit(flow.netns, Skb(self._sized(datagram), txhash=self.net.held), reply=False)
        else:
            ping, length = Icmp(8, ident=ECHO_ID, seq=1), flow.request or PING_SIZE
            echo = self._sized(Packet(packet.src, flow.dst, "icmp", icmp=ping, length=length))
            self.events.emit(flow.netns, Skb(echo, unbound=flow.src is None), reply=False)  # raw_sendmsg() asks once

    def _sized(self, packet: Packet) -> Packet:
        """Return a packet of the client as its socket sends it."""
        return forbidding(self.net.hosts[self.flow.netns], packet) if is_large(packet) else packet

    def _end(self, ends: FourTuple) -> TcpEnd | None:
        """Return the TCP socket between two ends; one that is closed is none."""
        end = self._tcp.get(ends)
        return None if end is None or end.state is TcpState.CLOSED else end

    def find(self, host: Host, packet: Packet, iif: str, listening: bool) -> FoundSocket | None:
        """Return the socket of a namespace for a packet, as netfilter looks it up: a listening or a connected one."""
        if listening:
            listener = lookup_listener(self.listeners, host, iif, packet)
            bound = listener is not None and listener.address != ANY_ADDRESS
            return FoundSocket(listener, bound, _proxies(host, listener)) if listener else None
        if packet.proto == "tcp":
            end = self._end(FourTuple(host.name, packet.dst, packet.dport, packet.src, packet.sport))
            return FoundSocket(end, True, end.transparent) if end else None
        return FoundSocket(self.client, True, False) if self._is_answer(host, packet) else None

    def _is_answer(self, host: Host, packet: Packet) -> bool:
        """Tell whether a datagram is for the client's socket, which is connected."""
        flow = self.flow
        mine = (host.name, packet.dport, packet.dst) == (flow.netns, flow.sport, self.client.local)
        return mine and flow.proto == "udp" and (packet.src, packet.sport) == (flow.dst, flow.dport)

    def _listener(self, at: Recorder, iif: str, packet: Packet) -> Listener | None:
        """Return the listening socket of a packet: that which TPROXY gave it to, before any other."""
        given = at.skb.socket and at.skb.socket.socket
        return given if isinstance(given, Listener) else lookup_listener(self.listeners, at.host, iif, packet)

    def receive(self, at: Recorder, iif: str) -> Callable[[], None] | None:
        """Find the socket of the packet that came by `iif`, note it, and return what the socket will do."""
        packet = at.skb.packet
        if packet.tcp:
            return self._receive_tcp(at, iif, packet)
        if packet.proto == "udp":
            return self._receive_udp(at, iif, packet)
        if packet.icmp:
            return self._receive_icmp(at, iif, packet, packet.icmp)
        self._refuse(at, iif, tr("nothing here speaks {proto}", proto=packet.proto), tr("protocol unreachable"))
        icmp_send(at, 3, 2)
        return None

    def _receive_tcp(self, at: Recorder, iif: str, packet: Packet) -> Callable[[], None] | None:
        """Find the socket of a segment; one that TPROXY gave to a listener is not looked up again, although NAT may
        have made it one of a connection since. Source: skb_steal_sock() in include/net/request_sock.h, tcp_v4_rcv()."""
        tcp = packet.tcp
        if tcp is None:
            return None
        ends = FourTuple(at.host.name, packet.dst, packet.dport, packet.src, packet.sport)
        end, host = None if at.skb.socket and isinstance(at.skb.socket.socket, Listener) else self._end(ends), at.host
        if end and packet.src == packet.dst and packet.sport == packet.dport:
            self._check_itself(at.host.name)
        opens = "SYN" in tcp.flags and "ACK" not in tcp.flags
        if end is None and (listener := self._listener(at, iif, packet)) and opens:
            self._accept(at, iif, tr("a SYN for the listener on port {dport}", dport=listener.port), listener)
            server = self._tcp[ends] = TcpServer(self.events, host, ends, SERVER_ISN, self.flow)
            server.transparent, server.l3mdev = _proxies(host, listener), at.skb.l3mdev
            return partial(server.answer, tcp)
        if end is None:
            self._reset(at, iif, packet)
            return None
        self._accept(
            at,
            iif,
            tr("{kind} for the connection with {src}:{sport}", kind=packet.kind, src=packet.src, sport=packet.sport),
        )
        return partial(end.receive, packet, tcp)

    def _check_itself(self, netns: str) -> None:
        """Refuse a socket that talks to itself where connections are tracked: both directions look alike there."""
        if self.net.hosts[netns].netns.ip4.tracks:
            raise Unsupported(tr("conntrack of {netns}, whose socket is connected with itself", netns=netns))

    def _reset(self, at: Recorder, iif: str, packet: Packet) -> None:
        """Answer a segment that belongs to no socket with RST; a RST is only dropped."""
        tcp = packet.tcp
        if tcp is None or "RST" in tcp.flags:
            self._refuse(at, iif, tr("RST for a connection that is not there: ignored"))
            return
        self._refuse(
            at,
            iif,
            tr(
                "no socket for {src}:{sport} > {dst}:{dport}",
                src=packet.src,
                sport=packet.sport,
                dst=packet.dst,
                dport=packet.dport,
            ),
            "RST",
        )
        given = at.skb.socket is not None
        reset = Skb(reset_for(packet, tcp), any_source=given, l3mdev=at.skb.l3mdev)
        self.net.outbox.append(Emission(at.host.name, reset))

    def _receive_udp(self, at: Recorder, iif: str, packet: Packet) -> Callable[[], None] | None:
        host = at.host
        listener = self._listener(at, iif, packet)
        if listener:
            self._accept(at, iif, tr("a datagram for the socket on port {dport}", dport=listener.port), listener)
            if packet.length != (self.flow.request or REQUEST) or packet.inner:
                return None
            at.skb.l3mdev = listener.dev and at.skb.l3mdev  # it answers through the VRF if it is bound
            return partial(self._answer_udp, at, packet, answers_from(host, packet, listener))
        if self._is_answer(host, packet):
            answer = packet.length == (self.flow.answer or UDP_ANSWER)
            own = tr("its own datagram, back at the client's socket")
            self._accept(at, iif, tr("the answer for the client's socket") if answer else own)
            self.client.answered = self.client.connected = True
            return None
        if listens(host, packet):
            text = tr("no packet of a tunnel: the one whose port it is drops it")
            at.note(Stage.TUNNEL, text, iif=iif, fate=Fate.DROPPED)
            return None
        text = tr("no socket for a datagram from {src}:{sport}", src=packet.src, sport=packet.sport)
        self._refuse(at, iif, text, tr("port unreachable"))
        # udp_rcv() has let go of the connection: the error is looked up like any other
        at.skb = Skb(packet, l3mdev=at.skb.l3mdev)
        at.skb.local = True
        icmp_send(at, 3, 3)
        return None

    def _answer_udp(self, at: Recorder, packet: Packet, fixed: IPv4Address) -> None:
        """Answer a datagram from the given address, or from one the route chooses."""
        length = self.flow.answer or UDP_ANSWER
        answer = Packet(fixed, packet.src, "udp", packet.dport, packet.sport, length=length)
        unbound = fixed == ANY_ADDRESS
        chosen = choose_source(at.host, answer) if unbound else answer
        if not isinstance(chosen, NoRoute):
            whole = forbidding(at.host, chosen) if is_large(chosen) else chosen
            given = at.skb.socket is not None
            answer_skb = Skb(whole, unbound=unbound, any_source=given, l3mdev=at.skb.l3mdev)
            self.events.emit(at.host.name, answer_skb, reply=True)

    def _receive_icmp(self, at: Recorder, iif: str, packet: Packet, icmp: Icmp) -> Callable[[], None] | None:
        if icmp.type == 8:
            silent = at.host.flag("net.ipv4.icmp_echo_ignore_all")
            self._accept(at, iif, tr("echo request: ignored") if silent else tr("echo request: answers"))
            if silent:
                return None
            mark = packet.mark if at.host.flag("net.ipv4.fwmark_reflect") else 0
            answer = Icmp(0, 0, icmp.ident, icmp.seq)
            reply = Packet(packet.dst, packet.src, "icmp", icmp=answer, length=packet.length, mark=mark, tos=packet.tos)
            return partial(self._answer, at.host.name, Skb(reply, by_icmp=True, l3mdev=at.skb.l3mdev))
        if icmp.type == 0 and at.host.name == self.flow.netns and icmp.ident == ECHO_ID:
            self._accept(at, iif, tr("echo reply for the client's socket"))
            self.client.answered = self.client.connected = True
            return None
        if icmp.is_error and icmp.quoted:
            return self._receive_error(at, iif, icmp, icmp.quoted)
        self._refuse(at, iif, tr("no socket waits for this ICMP message, so it is ignored"))
        return None

    def _answer(self, netns: str, reply: Skb) -> None:
        self.events.emit(netns, reply, reply=True)

    def _receive_error(self, at: Recorder, iif: str, icmp: Icmp, quoted: Packet) -> Callable[[], None] | None:
        """Hand an ICMP error to the socket whose packet it quotes."""
        end = self._end(FourTuple(at.host.name, quoted.src, quoted.sport, quoted.dst, quoted.dport))
        kind = (icmp.type, icmp.code)
        if quoted.inner and listens(at.host, quoted):
            self._accept(at, iif, tr("{icmp}: about a packet of a tunnel of this namespace", icmp=icmp))
            believe(at, icmp)
            return None
        if end:
            self._accept(
                at,
                iif,
                tr("{icmp}: about the connection with {dst}:{dport}", icmp=icmp, dst=quoted.dst, dport=quoted.dport),
            )
            if icmp.mtu:
                return partial(end.mtu_reduced, quoted, icmp.mtu)
            return partial(self._tcp_error, end, kind)
        if self._is_ours(at, quoted):
            self._accept(at, iif, tr("{icmp}: about the client's request", icmp=icmp))
            believe(at, icmp)
            return partial(self._client_error, kind)
        if icmp.mtu and self._has_answered(at.host.name, quoted):
            self._accept(at, iif, tr("{icmp}: about an answer of the server, who does not send it again", icmp=icmp))
            believe(at, icmp)
            return None
        self._refuse(at, iif, tr("{icmp} about a packet that no socket sent, so it is ignored", icmp=icmp))
        return None

    def _has_answered(self, netns: str, quoted: Packet) -> bool:
        """Tell whether a server sent the quoted datagram."""
        return any((x.netns, x.proto, x.port) == (netns, quoted.proto, quoted.sport) for x in self.listeners)

    def _is_ours(self, at: Recorder, quoted: Packet) -> bool:
        """Tell whether the client sent the quoted packet; ping looks at its type and id only (ping.c of iputils)."""
        flow = self.flow
        if flow.proto == "tcp" or (at.host.name, quoted.proto) != (flow.netns, flow.proto):
            return False
        if quoted.icmp:
            return (quoted.icmp.type, quoted.icmp.ident) == (8, ECHO_ID)
        return (quoted.src, quoted.sport, quoted.dst, quoted.dport) == (
            self.client.local, flow.sport, flow.dst, flow.dport,
        )  # fmt: skip

    def _tcp_error(self, end: TcpEnd, kind: tuple[int, int]) -> None:
        if self.events.crossing and self.net.now == self.events.begun:
            return  # connect() still holds the socket: a soft error, tcp_v4_err()
        end.icmp_error(kind)

    def _client_error(self, kind: tuple[int, int]) -> None:
        soft = self.flow.proto == "udp" and kind in SOFT_ERRORS
        if kind in HARD_ERRORS and not soft and not self.client.error:
            self.client.error = HARD_ERRORS[kind]

    def local_error(self, netns: str, packet: Packet, steps: Sequence[Step]) -> None:
        """Tell a local socket at once that its packet has no route (errno of the lookup) or that a rule dropped it.

        A SYN that has no route once a rule changed it (fate: dropped) is sent again later. A UDP socket does not hear
        what a device lost, unless it asked for it. Source: tcp_connect(), udp_send_skb().
        """
        step = steps[-1]
        if packet.icmp and netns == self.flow.netns and lost_below(steps) and self._is_request(packet):
            self._fail_sending("ENOBUFS")
        here = netns == step.netns == self.flow.netns
        came_back = bool(step.iif)
        if not here or came_back or packet.src != self.client.local:
            return
        if step.before.inner:
            return
        if step.stage is Stage.NETFILTER and self._is_request(packet) and step.hook in ("OUTPUT", "POSTROUTING"):
            self._fail_sending("EPERM")
        if not isinstance(step.what, NoWay):
            return
        end = self._end(FourTuple(netns, packet.src, packet.sport, packet.dst, packet.dport))
        if isinstance(end, TcpClient) and end.state is TcpState.SYN_SENT and step.fate is Fate.UNREACHABLE:
            self.client.error = step.what.errno
            end.close()
        elif end is None and self._is_request(packet):
            self._fail_sending(step.what.errno)

    def _is_request(self, packet: Packet) -> bool:
        """Tell whether a packet of the client's address is its datagram or echo: connect() does not hear of the end."""
        if packet.icmp:
            return packet.icmp.type == 8
        return packet.proto == "udp" and packet.sport == self.flow.sport

    def _fail_sending(self, error: str) -> None:
        """Let sendto() fail."""
        if not self.client.done:
            self.client.error = error

    def _accept(self, at: Recorder, iif: str, text: str, line: Listener | None = None) -> None:
        at.note(Stage.SOCKET, text, line=line, iif=iif, fate=Fate.DELIVERED)

    def _refuse(self, at: Recorder, iif: str, text: str, answer: str = "") -> None:
        what, action = (
            (Told(text), tr("{text}, so it answers {answer}", text=text, answer=answer)) if answer else (None, text)
        )
        at.note(Stage.SOCKET, action, iif=iif, fate=Fate.REJECTED, what=what)


def _proxies(host: Host, listener: Listener) -> bool:
    """Tell whether a TPROXY rule names the port of a socket, whose program has set IP_TRANSPARENT then."""
    return bool({0, listener.port} & host.netns.ip4.proxy_ports)
