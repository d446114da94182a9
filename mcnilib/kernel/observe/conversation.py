"""One conversation with real sockets: client and servers in one loop, bounded by the client's patience.

TCP: connect, request, answer, close, close. UDP: request and answer. ICMP: one echo. Only readiness of sockets is
waited for. Every errno is the kernel's own: of ICMP errors about the echo it comes with the error queue of the socket.
Source: tcp(7), udp(7), raw(7), ip(7) (IP_RECVERR); ping4_receive_error_msg() in ping.c of iputils.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mcnilib.kernel.lab.lab import Lab
from mcnilib.kernel.observe.decode import ECHO_REPLY, ECHO_REQUEST
from mcnilib.linux.packet import checksum
from mcnilib.trace.flow import ANY_ADDRESS, Flow, Listener

_REQUEST, _ANSWER = b"ping\n", b"pong\n"

_UDP_ANSWER = b"answer\n"  # its length, like the others, is that of the model (trace/transport/tcp.py)

_ROOM = 1 << 18
"""Bytes a socket may keep that wait to be sent: more than any conversation has, so that one write takes them all."""

TCP_CLOSED, TCP_LISTEN, TCP_REPAIR = 7, 10, 19

LAST_WORDS = 60
"""Milliseconds in which nothing happens until an answered connection that does not close is left at that: a FIN is
sent again after 200."""

IP_PKTINFO, IP_RECVERR, IP_TRANSPARENT, IP_ORIGDSTADDR = 8, 11, 19, 20

FROM_ICMP = 2
"""Who tells of an error: SO_EE_ORIGIN_ICMP in linux/errqueue.h."""


@dataclass(slots=True)
class Heard:
    """What the client and the servers saw."""

    connected: bool = False
    answered: bool = False
    arrived: bool = False  # a server received something from the client
    error: str = ""
    seen_source: str = ""
    done: bool = False
    started: int = 0  # nanoseconds since the epoch
    sockets: list[socket.socket] = field(default_factory=list)


class Talk:
    """The sockets of one conversation and what to do when one of them is ready."""

    def __init__(self, lab: Lab, flow: Flow, listeners: Sequence[Listener], ident: int) -> None:
        """Open the listeners. `ident` is the ICMP echo id."""
        self.lab, self.flow, self.ident = lab, flow, ident
        self._request = bytes(flow.request) or _REQUEST
        self._answer = bytes(flow.answer) or (_ANSWER if flow.proto == "tcp" else _UDP_ANSWER)
        self._received: dict[socket.socket, int] = {}
        self.heard = Heard()
        self._poll = select.poll()
        self._actions: dict[int, Callable[[], None]] = {}
        self._accepted: list[socket.socket] = []
        for listener in listeners:
            self._listen(listener)

    def finish(self) -> Heard:
        """Run the conversation to its end, or to the end of the client's patience; sockets stay open."""
        self.heard.started = time.time_ns()
        end = time.monotonic() + self.flow.patience
        try:
            self._start()
        except OSError as problem:
            self._fail(problem.errno)
        while not self._over() and (left := end - time.monotonic()) > 0:
            for descriptor, _ in self._poll.poll(max(1, left * 1000)):
                self._actions[descriptor]()
            for watch in self.lab.watches.values():
                watch.drain()
        if self.heard.answered and self.flow.proto == "tcp":
            self._await_last_words()
        return self.heard

    def _over(self) -> bool:
        return self.heard.done or self.heard.answered

    def close(self) -> None:
        """Close all sockets without another word: nothing is sent, nothing is retransmitted.

        Source: TCP_REPAIR in tcp_disconnect(), net/ipv4/tcp.c.
        """
        for sock in self.heard.sockets:
            if sock.type == socket.SOCK_STREAM and _tcp_state(sock) != TCP_LISTEN:
                sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            sock.close()

    def _await_last_words(self) -> None:
        for _ in range(LAST_WORDS):
            if self.heard.done and all(_tcp_state(sock) == TCP_CLOSED for sock in self._accepted):
                return
            for descriptor, _ in self._poll.poll(1):
                self._actions[descriptor]()

    def _watch(self, sock: socket.socket, events: int, action: Callable[[], None]) -> None:
        self._actions[sock.fileno()] = action
        self._poll.register(sock, events)

    def _ignore(self, sock: socket.socket) -> None:
        self._poll.unregister(sock)

    def _open(self, netns: str, kind: int, protocol: int = 0) -> socket.socket:
        with self.lab.inside(netns):
            sock = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        self.heard.sockets.append(sock)
        return sock

    def _whole(self, sock: socket.socket, data: bytes, expected: bytes) -> bool:
        """Count what came; tell whether it is all that the other end sends."""
        self._received[sock] = self._received.get(sock, 0) + len(data)
        return self._received[sock] >= len(expected)

    def _listen(self, listener: Listener) -> None:
        kind = socket.SOCK_STREAM if listener.proto == "tcp" else socket.SOCK_DGRAM
        sock = self._open(listener.netns, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.dev:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, listener.dev.encode())
        if {0, listener.port} & self.lab.world[listener.netns].ip4.proxy_ports:
            sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
        sock.bind((str(listener.address), listener.port))
        if listener.proto == "tcp":
            sock.listen()
            self._watch(sock, select.POLLIN, lambda: self._accept(sock))
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, int(listener.pinned is not False))
            sock.setsockopt(socket.IPPROTO_IP, IP_ORIGDSTADDR, 1)
            self._watch(sock, select.POLLIN, lambda: self._answer_datagram(sock, listener))

    def _accept(self, sock: socket.socket) -> None:
        connection, peer = sock.accept()
        connection.setblocking(False)
        self.heard.sockets.append(connection)
        self._accepted.append(connection)
        self.heard.seen_source = self.heard.seen_source or peer[0]
        self._watch(connection, select.POLLIN, lambda: self._serve(connection))

    def _serve(self, connection: socket.socket) -> None:
        """Answer the request; close when the client has closed."""
        try:
            data = connection.recv(1 << 16)
            if data:
                self.heard.arrived = True
                if self._whole(connection, data, self._request):
                    connection.send(self._answer)
                return
            connection.shutdown(socket.SHUT_WR)
        except OSError:  # reset meanwhile
            pass
        self._ignore(connection)

    def _answer_datagram(self, sock: socket.socket, listener: Listener) -> None:
        try:
            data, control, _, peer = sock.recvmsg(1 << 16, 128)
        except BlockingIOError:  # its checksum was wrong: the kernel sees that only now, and drops it
            return
        self.heard.arrived, self.heard.seen_source = True, self.heard.seen_source or peer[0]
        if data != self._request:
            return
        told = {kind: value for _, kind, value in control}
        spec_dst = told[IP_PKTINFO][4:8] if listener.pinned is not False else b""
        info = [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("i4s4s", 0, spec_dst, bytes(4)))] if spec_dst else []
        try:
            self._answering(sock, listener, told[IP_ORIGDSTADDR]).sendmsg([self._answer], info, 0, peer)
        except OSError:
            return

    def _answering(self, sock: socket.socket, listener: Listener, asked: bytes) -> socket.socket:
        """Return the socket that answers: where TPROXY brought a datagram for another port, one that has this port."""
        port = int.from_bytes(asked[2:4], "big")
        if port == listener.port:
            return sock
        own = self._open(listener.netns, socket.SOCK_DGRAM)
        own.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind((socket.inet_ntoa(asked[4:8]), port))
        return own

    def _start(self) -> None:
        flow = self.flow
        bind = (str(flow.src or ANY_ADDRESS), flow.sport)
        if flow.proto == "icmp":
            self._start_echo()
            return
        stream = flow.proto == "tcp"
        sock = self._open(flow.netns, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(bind)
        if stream:
            self._watch(sock, select.POLLOUT, lambda: self._connected(sock))
            problem = sock.connect_ex((str(flow.dst), flow.dport))
            if problem not in (0, errno.EINPROGRESS):
                raise OSError(problem, os.strerror(problem))
        else:
            sock.connect((str(flow.dst), flow.dport))
            self._watch(sock, select.POLLIN, lambda: self._read_datagram(sock))
            sock.send(self._request)

    def _connected(self, sock: socket.socket) -> None:
        """Learn how connect() ended by asking again, as if it had waited: SO_ERROR would tell soft errors too.

        Source: __inet_stream_connect() in net/ipv4/af_inet.c, SO_ERROR in net/core/sock.c.
        """
        problem = sock.connect_ex((str(self.flow.dst), self.flow.dport))
        if problem == errno.EALREADY:  # the error came while connect() itself held the socket: noted as a soft one
            problem = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            self._fail(problem)
            return
        self.heard.connected = True
        self._ignore(sock)
        sock.send(self._request)
        self._watch(sock, select.POLLIN, lambda: self._read_stream(sock))

    def _read_stream(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(1 << 16)
        except OSError as problem:
            self._fail(problem.errno)
            return
        if data:
            if self._whole(sock, data, self._answer):
                self.heard.answered = True
                sock.shutdown(socket.SHUT_WR)
        else:
            self.heard.done = True

    def _read_datagram(self, sock: socket.socket) -> None:
        try:
            sock.recv(1 << 16)
        except OSError as problem:
            self._fail(problem.errno)
            return
        self.heard.connected = self.heard.answered = self.heard.done = True

    def _start_echo(self) -> None:
        sock = self._open(self.flow.netns, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        if self.flow.src:
            sock.bind((str(self.flow.src), 0))
        self._watch(sock, select.POLLIN, lambda: self._read_echo(sock))
        message = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, self.ident, 1) + bytes(self.flow.request or 56)
        sock.sendto(message[:2] + struct.pack("!H", checksum(message)) + message[4:], (str(self.flow.dst), 0))

    def _read_echo(self, sock: socket.socket) -> None:
        """Take the echo reply with our id, or an error about our request, as ping(8) does."""
        self._read_errors(sock)
        try:
            data = sock.recv(1 << 16)
        except OSError:  # the errno of an error that was read, or is somebody else's
            return
        kind, _, _, ident, _ = struct.unpack_from("!BBHHH", data, (data[0] & 15) * 4)
        if kind == ECHO_REPLY and ident == self.ident:
            self.heard.connected = self.heard.answered = self.heard.done = True

    def _read_errors(self, sock: socket.socket) -> None:
        """Take the errors that wait: what they are about, from the ICMP header on, and the errno the kernel gives."""
        while True:
            try:
                data, control, _, _ = sock.recvmsg(4096, 512, socket.MSG_ERRQUEUE)
            except BlockingIOError:
                return
            ours = data[:1] == bytes([ECHO_REQUEST]) and data[4:6] == struct.pack("!H", self.ident)
            for number, origin in (
                struct.unpack_from("IB", payload) for _, kind, payload in control if kind == IP_RECVERR
            ):
                if ours and origin == FROM_ICMP and not self.heard.done:
                    self._fail(number)

    def _fail(self, number: int | None) -> None:
        self.heard.error = errno.errorcode.get(number or 0, str(number))
        self.heard.done = True


def _tcp_state(sock: socket.socket) -> int:
    return int(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])
