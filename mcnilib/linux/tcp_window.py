"""The window check of conntrack: is this segment plausible, given what both senders showed so far?

`be_liberal` and connections picked up in mid-stream turn every complaint into acceptance. SACK blocks are not modelled.
Source: tcp_in_window() in net/netfilter/nf_conntrack_proto_tcp.c (Linux 6.18).
"""

from __future__ import annotations

from typing import NamedTuple

from mcnilib.linux.packet import Packet, Tcp

MAX_ACK_WINDOW = 66000


class Side(NamedTuple):
    """What conntrack knows of one sender: highest sequence sent and allowed, largest window, window scale."""

    end: int = 0
    maxend: int = 0
    maxwin: int = 0
    maxack: int | None = None
    scale: int = 0
    has_scale: bool = False
    liberal: bool = False  # picked up in mid-stream: the window check never calls its segments INVALID
    close_init: bool = False
    unacked: bool = False


def before(a: int, b: int) -> bool:
    """Compare sequence numbers modulo 2**32."""
    return (a - b) & 0xFFFFFFFF >= 0x80000000


def segment_end(packet: Packet, tcp: Tcp) -> int:
    """Return the sequence number after the segment; SYN and FIN count one each."""
    return (tcp.seq + packet.length + ("SYN" in tcp.flags) + ("FIN" in tcp.flags)) & 0xFFFFFFFF


def judge(
    sender: Side, receiver: Side, packet: Packet, tcp: Tcp, *, reply: bool, state: str, lenient: bool
) -> tuple[str, Side, Side, str]:  # long because it follows tcp_in_window() check by check
    """Return accept, ignore or invalid, what is known of both sides afterwards, and the kernel's words of complaint.

    `state` is the connection's before the segment; `lenient`: be_liberal is set.
    """
    end, ack, win = segment_end(packet, tcp), tcp.ack, tcp.window
    seq, syn, has_ack = tcp.seq, "SYN" in tcp.flags, "ACK" in tcp.flags
    opening = state in ("SYN_SENT", "SYN_RECV")
    if syn and (sender.maxwin == 0 or (opening and before(sender.end, end))):
        sender, receiver = _init_sender(sender, receiver, tcp, end, reply)
        if not has_ack:
            return "accept", sender, receiver, ""
    elif sender.maxwin == 0:
        sender, receiver = _pick_up(sender, receiver, win, end, ack)
    if not has_ack or ("RST" in tcp.flags and ack == 0):
        ack = receiver.end
    if "RST" in tcp.flags and seq == 0 and state == "SYN_SENT":
        seq = end = sender.end
    bad = _complaint(sender, receiver, seq, end, ack, max(sender.maxwin, MAX_ACK_WINDOW))
    if bad:
        sender = sender._replace(end=end, unacked=True) if bad[0] == "overshot" else sender
        verdict = "invalid" if bad[0] == "invalid" else "ignore"
        return "accept" if lenient or sender.liberal else verdict, sender, receiver, bad[1]
    return "accept", *_learn(sender, receiver, end, ack, win if syn else win << sender.scale, has_ack), ""


def _init_sender(sender: Side, receiver: Side, tcp: Tcp, end: int, reply: bool) -> tuple[Side, Side]:
    sender = Side(end, end, tcp.window or 1, sender.maxack, tcp.scale or 0, tcp.scale is not None)
    if reply and not (sender.has_scale and receiver.has_scale):
        return sender._replace(scale=0), receiver._replace(scale=0)
    return sender, receiver


def _pick_up(sender: Side, receiver: Side, win: int, end: int, ack: int) -> tuple[Side, Side]:
    window = (win << sender.scale) or 1
    sender = sender._replace(end=end, maxwin=window, maxend=(end + window) & 0xFFFFFFFF)
    if receiver.maxwin == 0:
        return sender, receiver._replace(end=ack, maxend=ack)
    if ack == (receiver.end + 1) & 0xFFFFFFFF:
        return sender, receiver._replace(end=ack)
    return sender, receiver


def _complaint(sender: Side, receiver: Side, seq: int, end: int, ack: int, bound: int) -> tuple[str, str] | None:
    """Return what is wrong with the segment: (overshot, invalid or late; the kernel's words), or None."""
    in_window = receiver.maxwin == 0 or before(sender.end - receiver.maxwin - 1, end)
    ack_known = before(ack, receiver.end + 1)
    ack_recent = before(receiver.end - bound - 1, ack)
    if not before(seq, sender.maxend + 1):
        over = (end - sender.maxend + 1) & 0xFFFFFFFF
        if receiver.maxwin and in_window and ack_recent and ack_known and over <= receiver.maxwin:
            return "overshot", f"{over} bytes more than expected"
        return "invalid", f"SEQ is over upper bound {sender.maxend + 1} (over the window of the receiver)"
    if not ack_known:
        return "invalid", f"ACK is over upper bound {receiver.end + 1} (ACKed data not seen yet)"
    if not in_window:
        return "late", f"SEQ is under lower bound {sender.end - receiver.maxwin - 1} (already ACKed data retransmitted)"
    if not ack_recent:
        return "late", f"ignored ACK under lower bound {receiver.end - bound - 1} (possible overly delayed)"
    return None


def _learn(sender: Side, receiver: Side, end: int, ack: int, win: int, has_ack: bool) -> tuple[Side, Side]:
    newer = before(sender.end, end)
    maxack = sender.maxack
    if has_ack:
        maxack = ack if maxack is None or before(maxack, ack) else maxack
    rwin = receiver.maxwin
    if rwin and before(sender.maxend, end):
        rwin += (end - sender.maxend) & 0xFFFFFFFF
    rmax = receiver.maxend
    if before(rmax - 1, ack + win):
        rmax = (ack + win + (win == 0)) & 0xFFFFFFFF
    unacked = receiver.unacked and ack != receiver.end
    sender = sender._replace(
        maxwin=max(sender.maxwin, win),
        end=end if newer else sender.end,
        unacked=sender.unacked or newer,
        maxack=maxack,
    )
    return sender, receiver._replace(maxwin=rwin, maxend=rmax, unacked=unacked)
