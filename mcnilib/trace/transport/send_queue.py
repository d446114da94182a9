"""The bytes a program gives to TCP, cut into segments, and sent again in smaller ones when the path MTU is less.

The first ten segments go at once, the others as acknowledgements come in; what is lost is sent again from the first
missing byte on. Sizes are bytes. Not modelled: selective acknowledgements, a window that is full.
Source: tcp_sync_mss(), tcp_mtu_to_mss(), tcp_advertise_mss() in net/ipv4/tcp_output.c, tcp_v4_mtu_reduced() in
net/ipv4/tcp_ipv4.c, tcp_mtu_probing() in net/ipv4/tcp_timer.c (Linux 6.18), RFC 6691, RFC 6928.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Protocol

from mcnilib.errors import NoRoute
from mcnilib.linux.netfilter.conntrack_tcp import before
from mcnilib.linux.packet import IP_HEADER, TCP_HEADER, TIMESTAMPS, Packet, Tcp
from mcnilib.linux.routing.fib import Decision
from mcnilib.linux.routing.mtu import MAX_MTU, advertised_mss
from mcnilib.linux.routing.route import Query
from mcnilib.trace.events import Events
from mcnilib.trace.stack.fragment import forbids_fragments, learn_mtu
from mcnilib.trace.stack.host import Host, Skb
from mcnilib.trace.transport.socket_lookup import route_out

FIRST_WINDOW = 10
"""Segments that are sent before one is acknowledged (TCP_INIT_CWND)."""

BASE_MSS, PATIENT = 1024, 4
"""Of tcp_mtu_probing: the payload that is tried (tcp_base_mss), and after how many timeouts if the value is 1."""

DEFAULT_MSS, LEAST_MSS = 536, 48
"""What a SYN without the option says (TCP_MSS_DEFAULT), and the least that Linux uses (tcp_min_snd_mss)."""


class Sender(Protocol):
    """What a queue needs of the end of a connection it belongs to."""

    events: Events
    host: Host
    snd_una: int
    snd_nxt: int
    txhash: int
    transparent: bool
    l3mdev: str
    reply: bool

    def segment(self, flags: str, length: int = 0, seq: int | None = None) -> Packet:
        """Build a segment."""

    def restart_timer(self) -> None:
        """Wait for an acknowledgement, from now."""


class SendQueue:
    """What one end has still to send, and how: `written` is the sequence number behind the last byte."""

    def __init__(self, end: Sender, local: IPv4Address, remote: IPv4Address) -> None:
        """Start with nothing to send and no word of the peer's."""
        self.end, self._query = end, Query(remote, local)
        self.timestamps = end.host.flag("net.ipv4.tcp_timestamps")
        self.peer_mss = 0
        self._written = self._furthest = end.snd_nxt
        self._window = FIRST_WINDOW
        self._probing = end.host.number("net.ipv4.tcp_mtu_probing")
        self._timeouts = 0  # since the last acknowledgement
        self._most = BASE_MSS if self._probing > 1 else MAX_MTU
        self._journeys: dict[int, int] = {}  # sequence number to the first journey of what begins there

    @property
    def furthest(self) -> int:
        """The sequence number behind the last byte that was ever sent."""
        return self._furthest if before(self.end.snd_nxt, self._furthest) else self.end.snd_nxt

    @property
    def outstanding(self) -> bool:
        """Tell whether bytes wait to be sent or acknowledged."""
        return before(self.end.snd_una, self._written)

    def sized(self, packet: Packet, tcp: Tcp) -> Packet:
        """Return a segment with what decides about its size: options, MSS in a SYN, DF."""
        decision = self._decision()
        host, dst = self.end.host, packet.dst
        mss = advertised_mss(decision.route, self._path_mtu(decision)) if decision and "SYN" in tcp.flags else 0
        df = decision is None or forbids_fragments(host, decision, dst)
        return packet.but(tcp=replace(tcp, mss=mss, timestamps=self.timestamps), df=df)

    def write(self, length: int) -> None:
        """Take what the program writes, and send what may be sent."""
        self._written = self.end.snd_nxt + length
        self.end.restart_timer()
        self._push()

    def go_on(self) -> None:
        """Send more, as something was acknowledged."""
        if self.outstanding:
            self._window += 1
            self._timeouts = 0
            self.end.restart_timer()
            self._push()

    def time_out(self) -> None:
        """Send the first missing segment again, and the others when it is acknowledged.

        With tcp_mtu_probing it gets smaller when it has been sent in vain for a while.
        """
        self._window, self._timeouts = 1, self._timeouts + 1
        if self._probing and self._timeouts > PATIENT:
            self._most = BASE_MSS if self._most > BASE_MSS else self._most // 2
        self._again()

    def reduce_mtu(self, quoted: Packet, mtu: int) -> None:
        """Believe a router's MTU if it is about something on its way, and send that again in smaller segments."""
        decision, end = self._decision(), self.end
        if not (decision and quoted.tcp and self.outstanding) or before(quoted.tcp.seq, end.snd_una):
            return
        if before(self.furthest, quoted.tcp.seq):
            return
        known = self._path_mtu(decision)
        learn_mtu(end.host, decision, quoted.dst, mtu)
        if self._path_mtu(decision) < known:
            self._again()

    def _again(self) -> None:
        self._furthest, self.end.snd_nxt = self.furthest, self.end.snd_una
        self._push()

    def _push(self) -> None:
        """Send segments up to the window; of several at once Linux makes one buffer where the device allows it."""
        end, mss, lengths = self.end, self._mss(), list[int]()
        left, room = self._written - end.snd_nxt, end.snd_una + self._window * mss - end.snd_nxt
        while left > 0 and room > 0:
            lengths.append(min(left, mss))
            left, room = left - mss, room - mss
        for length in lengths:
            self._send(length, burst=len(lengths) > 1)

    def _send(self, length: int, *, burst: bool) -> None:
        end, seq = self.end, self.end.snd_nxt
        packet = end.segment("PSH ACK" if seq + length == self._written else "ACK", length)
        packet = packet.but(tcp=replace(packet.tcp or Tcp(), burst=burst))
        before_it = self._journeys.get(seq, 0)
        skb = Skb(packet, txhash=end.txhash, any_source=end.transparent, l3mdev=end.l3mdev)
        number = end.events.emit(end.host.name, skb, reply=end.reply, repeats=before_it)
        self._journeys.setdefault(seq, number)
        end.snd_nxt = seq + length

    def _mss(self) -> int:
        """Return the payload of a full segment."""
        decision = self._decision()
        most = self._path_mtu(decision) - IP_HEADER - TCP_HEADER if decision else DEFAULT_MSS
        payload = min(most, self.peer_mss or DEFAULT_MSS) - TIMESTAMPS * self.timestamps
        return max(min(payload, self._most), LEAST_MSS)

    def _path_mtu(self, decision: Decision) -> int:
        return self.end.host.path_mtu(decision, self._query.dst)

    def _decision(self) -> Decision | None:
        """Look up the way to the peer; None where there is none, and nothing leaves."""
        try:
            return route_out(self.end.host, replace(self._query, oif=self.end.l3mdev), any_source=self.end.transparent)
        except NoRoute:
            return None
