"""TCP endpoints: enough of the protocol for one short conversation, with retransmission until somebody gives up.

The client connects, sends a request, reads the answer, closes; the server answers and closes. Times are seconds. What
has a size is cut into segments by a `SendQueue`. Not modelled: delayed ACKs, keep-alive, urgent data.
Source: net/ipv4/tcp_{input,output,timer,minisocks}.c, Documentation/networking/ip-sysctl.rst (Linux 6.18), RFC 793,
RFC 6298.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

from mcnilib.linux.netfilter.conntrack_tcp import before, segment_end
from mcnilib.linux.packet import Packet, Tcp
from mcnilib.trace.events import Events
from mcnilib.trace.flow import Client, Flow
from mcnilib.trace.stack.host import Host, Skb
from mcnilib.trace.transport.send_queue import SendQueue

REQUEST, ANSWER = 5, 5
"""Payload bytes of the request and the answer, where they have no size."""

UDP_ANSWER = 7
"""Of a datagram: captures tell it from the request by its length, as both may have the IP id 0 (RFC 6864)."""

FIRST_RTO, MIN_RTO, MAX_RTO = 1.0, 0.2, 120.0
"""Retransmission timeouts: before the round trip is known, afterwards, at most (TCP_TIMEOUT_INIT, TCP_RTO_MIN,
TCP_RTO_MAX)."""

SYN_LINEAR = 4
"""SYN timeouts before backing off doubles them (net.ipv4.tcp_syn_linear_timeouts, Linux >= 6.5)."""

WINDOW_SCALE = 7

HARD_ERRORS = {(3, 0): "ENETUNREACH", (3, 1): "EHOSTUNREACH", (3, 2): "ENOPROTOOPT", (3, 3): "ECONNREFUSED"}

HARD_ERRORS |= {
    (3, 4): "EMSGSIZE",
    (3, 9): "ENETUNREACH",
    (3, 10): "EHOSTUNREACH",
    (3, 13): "EHOSTUNREACH",
    (11, 0): "EHOSTUNREACH",
}
"""errno of a connecting socket after an ICMP error. Source: icmp_err_convert in net/ipv4/icmp.c."""

TcpState = Enum("TcpState", "CLOSED SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSING LAST_ACK")
"""States of a socket, as far as one is told from another here (tcp(7), include/net/tcp_states.h)."""


@dataclass(frozen=True, slots=True)
class FourTuple:
    """The four-tuple of a socket, its own side first."""

    netns: str
    local: IPv4Address
    lport: int
    remote: IPv4Address
    rport: int


class TcpEnd:
    """One end of a connection: sequence numbers, the segment waiting for its ACK, and its timer."""

    reply: bool  # the end is the server's

    def __init__(self, events: Events, host: Host, ends: FourTuple, isn: int, flow: Flow) -> None:
        """Start closed, in the namespace `host`."""
        self.events, self.host, self.ends = events, host, ends
        self.request_size, self.answer_size = flow.request or REQUEST, flow.answer or ANSWER
        self.received = 0  # payload bytes
        self.queue: SendQueue | None = None
        self.state = TcpState.CLOSED
        self.snd_una = self.snd_nxt = isn
        self.rcv_nxt = 0
        self._waiting: Packet | None = None
        self._journey = 0
        self._retries = 0
        self._rto = FIRST_RTO
        if flow.sized:
            self.queue = SendQueue(self, ends.local, ends.remote)
        self.transparent = False  # sends from any address (IP_TRANSPARENT)
        self.l3mdev = ""  # the VRF it belongs to
        self.txhash = 0  # changes when a segment is sent again: another way may be better
        self._timer = 0  # generation: a timer of an older one has been cancelled

    def segment(self, flags: str, length: int = 0, seq: int | None = None) -> Packet:
        """Build a segment of this connection with the given flags and payload length."""
        names = frozenset(flags.split())
        syn = "SYN" in names
        tcp = Tcp(
            names,
            seq=self.snd_nxt if seq is None else seq,
            ack=self.rcv_nxt if "ACK" in names else 0,
            window=64240 if syn else 502,
            scale=WINDOW_SCALE if syn else None,
        )
        e = self.ends
        packet = Packet(e.local, e.remote, "tcp", e.lport, e.rport, tcp, length=length)
        return self.queue.sized(packet, tcp) if self.queue else packet

    def send(self, flags: str, length: int = 0) -> None:
        """Send a segment; one that occupies sequence space is repeated until it is acknowledged."""
        packet, begin = self.segment(flags, length), self.snd_nxt
        self.snd_nxt = segment_end(packet, packet.tcp or Tcp())
        if self.snd_nxt != begin:
            self._waiting, self._retries = packet, 0
            self._arm()
        journey = self.events.emit(self.ends.netns, self._skb(packet), reply=self.reply)
        if self._waiting is packet:
            self._journey = journey

    def act(self, flags: str, length: int = 0, *, state: TcpState | None = None) -> None:
        """Send what the program writes or closes: it acts when the kernel has nothing more to do."""
        self.events.later(0.0, lambda: self._act(flags, length, state), idle=True)

    def _act(self, flags: str, length: int, state: TcpState | None) -> None:
        if self.state is not TcpState.CLOSED:
            self.state = state or self.state
            if self.queue and length:
                self.queue.write(length)
            else:
                self.send(flags, length)

    def acknowledge(self, ack: int) -> None:
        """Take note of an acknowledgement; the timer stops when nothing is outstanding."""
        furthest = self.queue.furthest if self.queue else self.snd_nxt
        if before(self.snd_una, ack) and not before(furthest, ack):
            self.snd_una = ack
            if not before(ack, self.snd_nxt):
                self._waiting, self.snd_nxt = None, ack
                self._rto = MIN_RTO
                self._timer += 1
            if self.queue:
                self.queue.go_on()

    def restart_timer(self) -> None:
        """Wait for an acknowledgement from now on, as if none had been missed."""
        self._rto, self._retries = MIN_RTO, 0
        self._arm()

    def _arm(self) -> None:
        self._timer += 1
        generation = self._timer
        request = self.state is TcpState.SYN_RECV
        self.events.later(self._rto, lambda: self._expire(generation), request=request)

    def _expire(self, generation: int) -> None:
        """Retransmit what was not acknowledged, or give up after the sysctl's number of tries."""
        outstanding = self._waiting or (self.queue and self.queue.outstanding)
        if generation != self._timer or not outstanding:
            return
        if self._retries >= self._limit():
            self.give_up()
            return
        self._retries += 1
        if not (self.state is TcpState.SYN_SENT and self._retries <= SYN_LINEAR):
            self._rto = min(self._rto * 2, MAX_RTO)
        self._arm()
        if self._waiting:
            self._repeat(self._waiting)
        elif self.queue:
            self.txhash += 1
            self.queue.time_out()

    def _repeat(self, packet: Packet) -> None:
        """Send a segment again, with another hash. Source: sk_rethink_txhash(), tcp_rtx_synack()."""
        self.txhash += 1
        self.events.emit(self.ends.netns, self._skb(packet), reply=self.reply, repeats=self._journey)

    def _skb(self, packet: Packet) -> Skb:
        return Skb(packet, txhash=self.txhash, any_source=self.transparent, l3mdev=self.l3mdev)

    def _limit(self) -> int:
        """Return how often a segment is sent again; a SYN once more for each linear timeout (tcp_write_timeout())."""
        names = {TcpState.SYN_SENT: "tcp_syn_retries", TcpState.SYN_RECV: "tcp_synack_retries"}
        linear = SYN_LINEAR if self.state is TcpState.SYN_SENT else 0
        return linear + self.host.number(f"net.ipv4.{names.get(self.state, 'tcp_retries2')}")

    def close(self) -> None:
        """Forget the connection: from now on its segments belong to no socket."""
        self.state = TcpState.CLOSED
        self._timer += 1

    def give_up(self) -> None:
        """Stop trying."""
        self.close()

    def hear(self, tcp: Tcp) -> None:
        """Take note of what the other end's SYN says of sizes."""
        if self.queue:
            self.queue.peer_mss, self.queue.timestamps = tcp.mss, bool(tcp.timestamps) and self.queue.timestamps

    def _receive_segment(self, packet: Packet, tcp: Tcp) -> None:
        """Take a segment of an open connection: what is in order counts, anything else is only acknowledged."""
        self.acknowledge(tcp.ack)
        if self._is_over(tcp):
            self.close()
            return
        if tcp.seq != self.rcv_nxt:
            self.send("ACK")
            return
        if packet.length:
            self.rcv_nxt += packet.length
            self.received += packet.length
            self.send("ACK")
            self._read()
        if "FIN" in tcp.flags:
            self.rcv_nxt += 1
            self._end_of_input()

    def _is_over(self, tcp: Tcp) -> bool:
        """Tell whether an acknowledgement was the last thing to wait for."""
        raise NotImplementedError

    def _read(self) -> None:
        """Let the program read what has come."""
        raise NotImplementedError

    def _end_of_input(self) -> None:
        """Answer the other end's FIN."""
        raise NotImplementedError

    def receive(self, packet: Packet, tcp: Tcp) -> None:
        """Handle a segment addressed to this connection."""
        raise NotImplementedError

    def icmp_error(self, kind: tuple[int, int]) -> None:
        """Handle an ICMP error about one of this connection's packets."""

    def mtu_reduced(self, quoted: Packet, mtu: int) -> None:
        """Learn the path MTU that a router names, and send again what was too long. Source: tcp_v4_mtu_reduced()."""
        if self.queue:
            self.queue.reduce_mtu(quoted, mtu)

    def reset(self, tcp: Tcp) -> bool:
        """Judge a RST: exactly the expected sequence number resets, others provoke a challenge ACK (RFC 5961)."""
        if tcp.seq == self.rcv_nxt:
            self.close()
            return True
        self.send("ACK")
        return False


class TcpClient(TcpEnd):
    """The end that connects; `client` is told the outcome."""

    reply = False

    def __init__(self, events: Events, host: Host, ends: FourTuple, isn: int, flow: Flow, client: Client) -> None:
        """Start closed; `connect` begins."""
        super().__init__(events, host, ends, isn, flow)
        self.client = client

    def connect(self) -> None:
        """Send the SYN."""
        self.state = TcpState.SYN_SENT
        self.send("SYN")

    def receive(self, packet: Packet, tcp: Tcp) -> None:
        """Go from SYN_SENT through the answer to the close."""
        if self.state is TcpState.SYN_SENT:
            self._receive_answer_to_syn(tcp)
        elif "RST" in tcp.flags:
            if self.reset(tcp):
                self.client.error = "ECONNRESET"
        elif self.state is TcpState.SYN_RECV and "ACK" in tcp.flags:
            self._open(tcp)
        elif "SYN" in tcp.flags:
            self.send("ACK")  # a SYN-ACK again: our ACK was lost
        else:
            self._receive_segment(packet, tcp)

    def _receive_answer_to_syn(self, tcp: Tcp) -> None:
        if "ACK" in tcp.flags and tcp.ack != self.snd_nxt:
            self.events.emit(self.ends.netns, self.segment("RST", seq=tcp.ack), reply=False)
        elif "RST" in tcp.flags:
            if "ACK" in tcp.flags:
                self.client.error = "ECONNREFUSED"
                self.close()
        elif {"SYN", "ACK"} <= tcp.flags:
            self.rcv_nxt = tcp.seq + 1
            self.hear(tcp)
            self._open(tcp)
            self.send("ACK")
        elif "SYN" in tcp.flags:  # simultaneous open: of a socket with itself. Source: tcp_rcv_synsent_state_process()
            self.rcv_nxt, self.state = tcp.seq + 1, TcpState.SYN_RECV
            self.events.emit(self.ends.netns, self.segment("SYN ACK", seq=self.snd_una), reply=False)

    def _open(self, tcp: Tcp) -> None:
        self.acknowledge(tcp.ack)
        self.state, self.client.connected = TcpState.ESTABLISHED, True
        self.act("PSH ACK", self.request_size)

    def _is_over(self, tcp: Tcp) -> bool:
        return self.state is TcpState.CLOSING and self._waiting is None

    def _read(self) -> None:
        if self.received >= self.answer_size:
            self.client.answered = True
            self.act("FIN ACK", state=TcpState.FIN_WAIT)

    def _end_of_input(self) -> None:
        self.send("ACK")
        if self._waiting:
            self.state = TcpState.CLOSING  # its own FIN is on its way still
        else:
            self.close()

    def icmp_error(self, kind: tuple[int, int]) -> None:
        """Fail a connect at once; an established connection keeps trying. Source: tcp_v4_err()."""
        if self.state is TcpState.SYN_SENT and kind in HARD_ERRORS:
            self.client.error = HARD_ERRORS[kind]
            self.close()

    def give_up(self) -> None:
        """Report ETIMEDOUT to the program."""
        self.client.error = "ETIMEDOUT"
        self.close()


class TcpServer(TcpEnd):
    """The end that a listener made for one SYN; it starts closed, `answer` takes the SYN."""

    reply = True

    def answer(self, tcp: Tcp) -> None:
        """Answer the SYN."""
        self.state, self.rcv_nxt = TcpState.SYN_RECV, tcp.seq + 1
        self.hear(tcp)
        self.send("SYN ACK")

    def receive(self, packet: Packet, tcp: Tcp) -> None:
        """Go from SYN_RECV through the request to the close."""
        if "RST" in tcp.flags:
            self.reset(tcp)
        elif "SYN" in tcp.flags:
            self._repeat_syn_ack()
        elif "ACK" in tcp.flags:
            if self.state is TcpState.SYN_RECV and tcp.ack == self.snd_nxt:
                self.state = TcpState.ESTABLISHED
            self._receive_segment(packet, tcp)

    def _repeat_syn_ack(self) -> None:
        """Answer a repeated SYN; the time until the SYN-ACK is sent unasked begins anew. Source: tcp_check_req()."""
        if self.state is TcpState.SYN_RECV and self._waiting:
            self._repeat(self._waiting)
            self._arm()
        else:
            self.send("ACK")

    def _is_over(self, tcp: Tcp) -> bool:
        return self.state is TcpState.LAST_ACK and tcp.ack == self.snd_nxt

    def _read(self) -> None:
        if self.received >= self.request_size:
            self.act("PSH ACK", self.answer_size)

    def _end_of_input(self) -> None:
        self.act("FIN ACK", state=TcpState.LAST_ACK)

    def icmp_error(self, kind: tuple[int, int]) -> None:
        """Drop a half-open connection whose client is unreachable. Source: tcp_req_err()."""
        if self.state is TcpState.SYN_RECV and kind in ((3, 0), (3, 1), (11, 0)):
            self.close()
