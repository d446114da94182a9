"""What conntrack knows of one TCP connection: the state table, and what it makes of the next segment.

`tcp_packet` moves the knowledge by one segment and says what conntrack thinks of it. Not modelled: SYN proxy.
Source: net/netfilter/nf_conntrack_proto_tcp.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Literal, NamedTuple

from mcnilib.linux.packet import Packet, Tcp

MAX_ACK_WINDOW = 66000


class TcpSender(NamedTuple):
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


class TcpConntrack(StrEnum):
    """The states in the kernel's order (enum tcp_conntrack); `conntrack -L` prints these names."""

    NONE = "NONE"
    SYN_SENT = "SYN_SENT"
    SYN_RECV = "SYN_RECV"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT = "FIN_WAIT"
    CLOSE_WAIT = "CLOSE_WAIT"
    LAST_ACK = "LAST_ACK"
    TIME_WAIT = "TIME_WAIT"
    CLOSE = "CLOSE"
    SYN_SENT2 = "SYN_SENT2"


class SegmentKind(StrEnum):
    """What the state table tells segments apart by (enum tcp_bit_set)."""

    SYN = auto()
    SYNACK = auto()
    FIN = auto()
    ACK = auto()
    RST = auto()
    NONE = auto()


_SYN, _SYNACK, _FIN, _ACK, _RST, _NONE = SegmentKind


class TcpVerdict(StrEnum):
    """What becomes of a segment."""

    ACCEPT = auto()
    IGNORE = auto()  # it passes, the state stays
    INVALID = auto()
    REOPEN = auto()  # it begins another connection of the same tuple (NF_REPEAT)


def before(a: int, b: int) -> bool:
    """Compare sequence numbers modulo 2**32."""
    return (a - b) & 0xFFFFFFFF >= 0x80000000


def segment_end(packet: Packet, tcp: Tcp) -> int:
    """Return the sequence number after the segment; SYN and FIN count one each."""
    return (tcp.seq + packet.length + ("SYN" in tcp.flags) + ("FIN" in tcp.flags)) & 0xFFFFFFFF


def tcp_in_window(
    sender: TcpSender, receiver: TcpSender, packet: Packet, tcp: Tcp, *, reply: bool, state: TcpConntrack, lenient: bool
) -> tuple[TcpVerdict, TcpSender, TcpSender, str]:  # long because it follows tcp_in_window() check by check
    """Return the verdict, what is known of both sides afterwards, and the kernel's words of complaint.

    `state` is the connection's before the segment; `lenient`: be_liberal is set.
    """
    end, ack, win = segment_end(packet, tcp), tcp.ack, tcp.window
    seq, syn, has_ack = tcp.seq, "SYN" in tcp.flags, "ACK" in tcp.flags
    opening = state in (TcpConntrack.SYN_SENT, TcpConntrack.SYN_RECV)
    if syn and (sender.maxwin == 0 or (opening and before(sender.end, end))):
        sender, receiver = _init_sender(sender, receiver, tcp, end, reply)
        if not has_ack:
            return TcpVerdict.ACCEPT, sender, receiver, ""
    elif sender.maxwin == 0:
        sender, receiver = _pick_up(sender, receiver, win, end, ack)
    if not has_ack or ("RST" in tcp.flags and ack == 0):
        ack = receiver.end
    if "RST" in tcp.flags and seq == 0 and state is TcpConntrack.SYN_SENT:
        seq = end = sender.end
    bad = _complaint(sender, receiver, seq, end, ack, max(sender.maxwin, MAX_ACK_WINDOW))
    if bad:
        overshot = bad[0] is TcpVerdict.IGNORE and not before(seq, sender.maxend + 1)
        sender = sender._replace(end=end, unacked=True) if overshot else sender
        return TcpVerdict.ACCEPT if lenient or sender.liberal else bad[0], sender, receiver, bad[1]
    return TcpVerdict.ACCEPT, *_learn(sender, receiver, end, ack, win if syn else win << sender.scale, has_ack), ""


def _init_sender(
    sender: TcpSender, receiver: TcpSender, tcp: Tcp, end: int, reply: bool
) -> tuple[TcpSender, TcpSender]:
    sender = TcpSender(end, end, tcp.window or 1, sender.maxack, tcp.scale or 0, tcp.scale is not None)
    if reply and not (sender.has_scale and receiver.has_scale):
        return sender._replace(scale=0), receiver._replace(scale=0)
    return sender, receiver


def _pick_up(sender: TcpSender, receiver: TcpSender, win: int, end: int, ack: int) -> tuple[TcpSender, TcpSender]:
    window = (win << sender.scale) or 1
    sender = sender._replace(end=end, maxwin=window, maxend=(end + window) & 0xFFFFFFFF)
    if receiver.maxwin == 0:
        return sender, receiver._replace(end=ack, maxend=ack)
    if ack == (receiver.end + 1) & 0xFFFFFFFF:
        return sender, receiver._replace(end=ack)
    return sender, receiver


def _complaint(
    sender: TcpSender, receiver: TcpSender, seq: int, end: int, ack: int, bound: int
) -> tuple[TcpVerdict, str] | None:
    """Return what is wrong with the segment: INVALID or IGNORE, and the kernel's words; None when nothing is."""
    in_window = receiver.maxwin == 0 or before(sender.end - receiver.maxwin - 1, end)
    ack_known = before(ack, receiver.end + 1)
    ack_recent = before(receiver.end - bound - 1, ack)
    if not before(seq, sender.maxend + 1):
        over = (end - sender.maxend + 1) & 0xFFFFFFFF
        if receiver.maxwin and in_window and ack_recent and ack_known and over <= receiver.maxwin:
            return TcpVerdict.IGNORE, f"{over} bytes more than expected"
        return TcpVerdict.INVALID, f"SEQ is over upper bound {sender.maxend + 1} (over the window of the receiver)"
    if not ack_known:
        return TcpVerdict.INVALID, f"ACK is over upper bound {receiver.end + 1} (ACKed data not seen yet)"
    if not in_window:
        floor = sender.end - receiver.maxwin - 1
        return TcpVerdict.IGNORE, f"SEQ is under lower bound {floor} (already ACKed data retransmitted)"
    if not ack_recent:
        return TcpVerdict.IGNORE, f"ignored ACK under lower bound {receiver.end - bound - 1} (possible overly delayed)"
    return None


def _learn(
    sender: TcpSender, receiver: TcpSender, end: int, ack: int, win: int, has_ack: bool
) -> tuple[TcpSender, TcpSender]:
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


_Next = TcpConntrack | Literal[TcpVerdict.INVALID, TcpVerdict.IGNORE]

_COLUMNS: dict[str, _Next] = {
    **dict(zip(["SS", "SR", "ES", "FW", "CW", "LA", "TW", "CL", "S2"], tuple(TcpConntrack)[1:], strict=True)),
    "IV": TcpVerdict.INVALID,
    "IG": TcpVerdict.IGNORE,
}


def _row(states: str) -> dict[TcpConntrack, _Next]:
    return dict(zip(TcpConntrack, (_COLUMNS[word] for word in states.split()), strict=True))


# Columns: NONE SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE SYN_SENT2
TRANSITIONS = {
    False: {  # original direction
        _SYN: _row("SS SS IG IG IG IG IG SS SS S2"),
        _SYNACK: _row("IV IV SR IV IV IV IV IV IV SR"),
        _FIN: _row("IV IV FW FW LA LA LA TW CL IV"),
        _ACK: _row("ES IV ES ES CW CW TW TW CL IV"),
        _RST: _row("IV CL CL CL CL CL CL CL CL CL"),
        _NONE: _row("IV IV IV IV IV IV IV IV IV IV"),
    },
    True: {  # reply direction
        _SYN: _row("IV S2 IV IV IV IV IV SS IV S2"),
        _SYNACK: _row("IV SR IG IG IG IG IG IG IG SR"),
        _FIN: _row("IV IV FW FW LA LA LA TW CL IV"),
        _ACK: _row("IV IG SR ES CW CW TW TW CL IG"),
        _RST: _row("IV CL CL CL CL CL CL CL CL CL"),
        _NONE: _row("IV IV IV IV IV IV IV IV IV IV"),
    },
}
"""State after a segment, by direction, kind of segment and state before; IGNORE and INVALID leave the state as it
is."""

VALID_FLAGS = frozenset(
    frozenset(flags.split())
    for flags in ("SYN", "SYN URG", "SYN ACK", "RST", "RST ACK", "FIN ACK", "FIN ACK URG", "ACK", "ACK URG")
)
"""Combinations conntrack accepts once PSH, ECE and CWR are left out."""

_REOPENED = (TcpConntrack.TIME_WAIT, TcpConntrack.CLOSE, TcpConntrack.SYN_SENT2)

_CLOSING = tuple(map(TcpConntrack, ("FIN_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "CLOSE_WAIT")))


@dataclass(frozen=True, slots=True)
class Limits:
    """The sysctls the tracker reads, all of net.netfilter.nf_conntrack_tcp_*."""

    be_liberal: bool = False
    loose: bool = True
    ignore_invalid_rst: bool = False
    max_retrans: int = 3


class TcpTrack(NamedTuple):
    """The TCP part of a conntrack entry."""

    state: TcpConntrack = TcpConntrack.NONE
    senders: tuple[TcpSender, TcpSender] = (TcpSender(), TcpSender())  # original sender, reply sender
    last_kind: SegmentKind = _NONE
    last_reply: bool = False
    last_seq: int = 0
    last_ack: int = 0
    last_end: int = 0
    last_win: int = 0
    last_scale: int | None = None
    retrans: int = 0
    simultaneous: bool = False
    expect_challenge: bool = False


class Opinion(NamedTuple):
    """What conntrack makes of a segment."""

    verdict: TcpVerdict
    track: TcpTrack
    complaint: str = ""  # the kernel's log message for invalid and ignored segments


def segment_kind(tcp: Tcp) -> SegmentKind:
    """Classify a segment as the state table does."""
    flags = tcp.flags
    if "RST" in flags:
        return _RST
    if "SYN" in flags:
        return _SYNACK if "ACK" in flags else _SYN
    if "FIN" in flags:
        return _FIN
    return _ACK if "ACK" in flags else _NONE


def tcp_new(packet: Packet, tcp: Tcp, limits: Limits) -> Opinion:
    """Judge the first segment of a connection: SYN opens it, ACK or data picks it up in mid-stream if `loose`.

    Source: tcp_new().
    """
    if (tcp.flags - {"PSH", "ECE", "CWR"}) not in VALID_FLAGS:
        return Opinion(TcpVerdict.INVALID, TcpTrack(), "invalid tcp flag combination")
    state = TRANSITIONS[False][segment_kind(tcp)][TcpConntrack.NONE]
    if state is TcpVerdict.INVALID or (state is not TcpConntrack.SYN_SENT and not limits.loose):
        return Opinion(TcpVerdict.INVALID, TcpTrack(), "invalid new")
    end, window = segment_end(packet, tcp), tcp.window or 1
    if state is TcpConntrack.SYN_SENT:
        sender = TcpSender(end, end, window, scale=tcp.scale or 0, has_scale=tcp.scale is not None)
        return tcp_packet(TcpTrack(senders=(sender, TcpSender())), packet, tcp, False, limits, False, False)
    sender = TcpSender(end, (end + window) & 0xFFFFFFFF, window, liberal=True)
    return tcp_packet(TcpTrack(senders=(sender, TcpSender(liberal=True))), packet, tcp, False, limits, False, False)


def tcp_packet(
    track: TcpTrack, packet: Packet, tcp: Tcp, reply: bool, limits: Limits, seen_reply: bool, assured: bool
) -> Opinion:
    """Judge one more segment of a tracked connection and return the knowledge after it.

    `reply` is its direction; `seen_reply` and `assured` are the entry's flags before it.
    Source: nf_conntrack_tcp_packet().
    """
    if (tcp.flags - {"PSH", "ECE", "CWR"}) not in VALID_FLAGS:
        return Opinion(TcpVerdict.INVALID, track, "invalid tcp flag combination")
    kind = segment_kind(tcp)
    new = TRANSITIONS[reply][kind][track.state]
    if new is TcpVerdict.INVALID:
        return Opinion(
            TcpVerdict.INVALID, track, f"packet ({kind}) in {_way(reply)} direction invalid, state {track.state}"
        )
    if new is TcpConntrack.SYN_SENT and track.state in _REOPENED:
        aborted = track.last_reply == reply and track.last_kind is _RST
        if aborted or track.senders[0].close_init or track.senders[1].close_init:
            return Opinion(TcpVerdict.REOPEN, track)
        new = TcpVerdict.IGNORE
    if new is TcpVerdict.IGNORE:
        return _ignore(track, packet, tcp, reply, kind, limits)
    if new is TcpConntrack.TIME_WAIT and _is_challenge(track, kind, reply):
        return Opinion(TcpVerdict.IGNORE, track._replace(expect_challenge=False), "challenge-ack ignored")
    if new is TcpConntrack.SYN_SENT2:
        track = track._replace(simultaneous=True)
    if new is TcpConntrack.SYN_RECV and reply and kind is _ACK and track.simultaneous:
        new = TcpConntrack.ESTABLISHED
    if new is TcpConntrack.CLOSE and kind is _RST:
        return _reset(track, packet, tcp, reply, limits, seen_reply, assured)
    return _windowed(track, packet, tcp, reply, kind, new, limits)


def _way(reply: bool) -> str:
    return "reply" if reply else "original"


def _is_challenge(track: TcpTrack, kind: SegmentKind, reply: bool) -> bool:
    answers_syn = track.last_kind is _SYN and track.last_reply != reply
    return track.state is TcpConntrack.LAST_ACK and kind is _ACK and answers_syn and track.expect_challenge


def _ignore(track: TcpTrack, packet: Packet, tcp: Tcp, reply: bool, kind: SegmentKind, limits: Limits) -> Opinion:
    """Let the segment pass without believing it; remember it, the answer tells who is out of sync."""
    if kind is _SYNACK and track.last_kind is _SYN and track.last_reply != reply and tcp.ack == track.last_end:
        return _windowed(_synced(track, reply), packet, tcp, reply, kind, TcpConntrack.SYN_RECV, limits)
    noted = track._replace(
        last_kind=kind,
        last_reply=reply,
        last_seq=tcp.seq,
        last_end=segment_end(packet, tcp),
        last_win=tcp.window,
    )
    if kind is _SYN and not reply:
        noted = noted._replace(last_scale=tcp.scale, expect_challenge=track.state is TcpConntrack.LAST_ACK)
    if track.state is TcpConntrack.SYN_SENT and kind is _ACK and reply:
        noted = noted._replace(last_ack=tcp.ack)
    return Opinion(TcpVerdict.IGNORE, noted, f"packet ({kind}) in {_way(reply)} direction ignored, state {track.state}")


def _synced(track: TcpTrack, reply: bool) -> TcpTrack:
    """Believe a SYN that was ignored before, now that it is answered."""
    scale = track.last_scale
    theirs = TcpSender(
        track.last_end, track.last_end, track.last_win or 1, scale=scale or 0, has_scale=scale is not None
    )
    mine = TcpSender(liberal=track.senders[reply].liberal)
    return track._replace(
        state=TcpConntrack.SYN_SENT, senders=(theirs, mine) if reply else (mine, theirs), expect_challenge=False
    )


def _reset(
    track: TcpTrack, packet: Packet, tcp: Tcp, reply: bool, limits: Limits, seen_reply: bool, assured: bool
) -> Opinion:
    """Judge a RST: it must carry the sequence number the other side expects."""
    done = _accepted(track, tcp, reply, _RST, TcpConntrack.CLOSE)
    if track.state in _CLOSING:
        return done
    maxack, established = track.senders[not reply].maxack, track.state is TcpConntrack.ESTABLISHED
    new = TcpConntrack.CLOSE
    if maxack is not None and track.last_kind is not _SYN:
        if tcp.seq == 0 and not established:
            return _windowed(track, packet, tcp, reply, _RST, new, limits)
        if before(tcp.seq, maxack) and not limits.ignore_invalid_rst:
            return Opinion(TcpVerdict.INVALID, track, "invalid rst")
        train = track.last_kind is _ACK and track.last_reply == reply and tcp.seq == track.last_end
        if not established or tcp.seq == maxack or train:
            return _windowed(track, packet, tcp, reply, _RST, new, limits)
        new = track.state
    half_open = (seen_reply and track.last_kind is _SYN) or (not assured and track.last_kind is _ACK)
    challenged = track.state is TcpConntrack.SYN_SENT and track.last_kind is _ACK and track.last_reply
    if (half_open and tcp.ack == track.last_end) or (challenged and tcp.seq == track.last_ack):
        return _accepted(track, tcp, reply, _RST, new) if new is not TcpConntrack.CLOSE else done
    return _windowed(track, packet, tcp, reply, _RST, new, limits)


def _accepted(track: TcpTrack, tcp: Tcp, reply: bool, kind: SegmentKind, new: TcpConntrack) -> Opinion:
    senders = track.senders
    if new != track.state and new is TcpConntrack.FIN_WAIT:
        mine = senders[reply]._replace(close_init=True)
        senders = (senders[0], mine) if reply else (mine, senders[1])
    return Opinion(TcpVerdict.ACCEPT, track._replace(state=new, senders=senders, last_kind=kind, last_reply=reply))


def _windowed(
    track: TcpTrack, packet: Packet, tcp: Tcp, reply: bool, kind: SegmentKind, new: TcpConntrack, limits: Limits
) -> Opinion:
    """Check the segment against the windows seen so far, then move to the new state."""
    senders = track.senders
    verdict, sender, receiver, complaint = tcp_in_window(
        senders[reply], senders[not reply], packet, tcp, reply=reply, state=track.state, lenient=limits.be_liberal
    )
    track = track._replace(senders=(receiver, sender) if reply else (sender, receiver))
    if verdict is not TcpVerdict.ACCEPT:
        if verdict is TcpVerdict.INVALID and kind in (_RST, _FIN) and _remembers(track, reply):
            track = track._replace(last_kind=kind, last_reply=reply)
        return Opinion(verdict, track, complaint)
    if kind is _ACK:
        track = _count_retransmissions(track, packet, tcp, reply)
    return _accepted(track, tcp, reply, kind, new)


def _remembers(track: TcpTrack, reply: bool) -> bool:
    return not (track.last_reply != reply and track.last_kind in (_RST, _FIN))


def _count_retransmissions(track: TcpTrack, packet: Packet, tcp: Tcp, reply: bool) -> TcpTrack:
    now = (reply, tcp.seq, tcp.ack, segment_end(packet, tcp), tcp.window)
    if now == (track.last_reply, track.last_seq, track.last_ack, track.last_end, track.last_win):
        return track._replace(retrans=track.retrans + 1)
    names = ("last_reply", "last_seq", "last_ack", "last_end", "last_win")
    return track._replace(retrans=0, **dict(zip(names, now, strict=True)))  # type: ignore[arg-type]


def timeout_name(track: TcpTrack, kind: SegmentKind, limits: Limits) -> str:
    """Name the timeout that now applies, as in net.netfilter.nf_conntrack_tcp_timeout_NAME."""
    long_lived = track.state is TcpConntrack.ESTABLISHED
    if track.retrans >= limits.max_retrans and long_lived:
        return "max_retrans"
    if kind is _RST:
        return "close"
    if (track.senders[0].unacked or track.senders[1].unacked) and long_lived:
        return "unacknowledged"
    if track.last_win == 0 and long_lived:
        return "max_retrans"
    return "syn_sent" if track.state is TcpConntrack.SYN_SENT2 else track.state.lower()
