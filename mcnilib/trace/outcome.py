"""The outcome of a conversation, derived from its journeys and from what the client program saw."""

from __future__ import annotations

from collections.abc import Sequence

from mcnilib.trace.flow import Client
from mcnilib.trace.trace import Fate, Journey, Outcome, Stage, Verdict

UNREACHABLE = (
    "ENETUNREACH",
    "EHOSTUNREACH",
    "EACCES",
    "EINVAL",
    "ENOPROTOOPT",
    "EADDRNOTAVAIL",
    "EPERM",
    "ENOKEY",
    "EDESTADDRREQ",
)


def judge(journeys: Sequence[Journey], client: Client) -> Outcome:
    """Name the verdict and the step that decided it: the first loss, or the last delivery."""
    verdict = _verdict(journeys, client)
    journey = _deciding(journeys, verdict)
    error = client.error or ("ETIMEDOUT" if verdict in (Verdict.TIMED_OUT, Verdict.HANGS) else "")
    return Outcome(verdict, journey, journey.last, _seen_source(journeys), error)


def _verdict(journeys: Sequence[Journey], client: Client) -> Verdict:
    if journeys[-1].fate is Fate.UNKNOWN:
        return Verdict.UNKNOWN
    if client.answered:
        return Verdict.CONNECTED
    if client.error == "ECONNRESET":
        return Verdict.RESET
    if client.error == "ECONNREFUSED":
        return Verdict.REFUSED
    if client.error in UNREACHABLE:
        return Verdict.UNREACHABLE
    if client.connected:
        return Verdict.HANGS
    if any(journey.packet.tcp for journey in journeys):
        return Verdict.TIMED_OUT
    return Verdict.ONE_WAY if _requests_arrive(journeys) else Verdict.LOST


def _requests_arrive(journeys: Sequence[Journey]) -> bool:
    return any(j.fate is Fate.DELIVERED for j in journeys if _asks(j))


def _asks(journey: Journey) -> bool:
    """Tell whether it is a packet of the client's, not an error about one of the answers."""
    return not journey.reply and not (journey.packet.icmp and journey.packet.icmp.is_error)


def _deciding(journeys: Sequence[Journey], verdict: Verdict) -> Journey:
    """Return the first journey that did not end at its socket; when all is well, the last that did."""
    if verdict is Verdict.UNKNOWN:
        return journeys[-1]
    lost = [j for j in journeys if j.fate is not Fate.DELIVERED]
    if verdict is Verdict.CONNECTED or not lost:
        answers = [j for j in journeys if j.fate is Fate.DELIVERED and j.reply]
        return answers[-1] if answers and verdict is Verdict.CONNECTED else journeys[-1]
    return lost[0]


def _seen_source(journeys: Sequence[Journey]) -> str:
    """Return the client's address as the server's socket saw it."""
    for journey in journeys:
        if _asks(journey) and journey.last.stage is Stage.SOCKET:
            return str(journey.last.after.src)
    return ""
