"""A packet's journey reduced to what can be compared: text lines without what is free to differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from mcnilib.linux.packet import Packet
from mcnilib.trace.trace import Fate, HasSocket, Journey, Stage, Stays, Step, Tunnelled

UNCOUNTED = ("prohibit", "unreachable")
"""Types of routes that send an ICMP error and raise no counter. Source: ip_error() in net/ipv4/route.c."""

_UNSEEN = (Stage.ROUTE, Stage.RP_FILTER, Stage.FORWARDING)
"""Where a packet can end without a trace of what the last rule made of it."""

ASKING_HOOKS = ("PREROUTING", "OUTPUT")


@dataclass(frozen=True, slots=True)
class NormalisedJourney:
    """One packet: what it is, the devices it crossed, the rules it matched, its connection states, its end."""

    key: str
    crossings: tuple[str, ...]
    rules: tuple[str, ...]
    states: tuple[tuple[tuple[str, str], str], ...]  # ((namespace, hook), state)
    end: str
    stage: Stage | None  # that ended it; None where no counter tells

    @property
    def summary(self) -> str:
        """Say in a line how far it came."""
        return f"{self.crossings[-1] if self.crossings else 'no device reached'}; {self.end}"


def normalise(journey: Journey, ports: set[int], tracked: set[str]) -> NormalisedJourney:
    """Reduce a journey. `ports` are those that are not drawn at random; states count where the kernel tracks."""
    steps = journey.steps
    end, stage = _end(steps[-1], forwarded=any(s.stage in (Stage.DEVICE, Stage.TUNNEL) for s in steps))
    if _asked_by_bridge(steps):
        end, stage = _nowhere(steps[-1]), None
    told = steps[:-1] if _asked_by_bridge(steps) else steps
    seen = max((at for at, step in enumerate(told) if step.stage not in _UNSEEN), default=0)
    return NormalisedJourney(
        key=f"{_direction(journey)} {kind(journey.packet)}",
        crossings=_crossings(steps, ports),
        rules=tuple(_rule(s, ports, shown=at < seen) for at, s in enumerate(steps) if s.stage is Stage.NETFILTER),
        states=tuple(((s.netns, s.hook), s.ctstate) for s in steps if _tells_state(s, tracked)),
        end=end,
        stage=stage,
    )


def _crossings(steps: Sequence[Step], ports: set[int]) -> tuple[str, ...]:
    """Tell the devices crossed; captures cannot tell two equal packets on one device apart, so equal ones are one."""
    shown = [s for s in steps if s.stage in (Stage.DEVICE, Stage.TUNNEL) and not _lost(s)]
    if steps[-1].stage is Stage.NETFILTER and steps[-1].hook == "PREROUTING" and shown:
        shown[-1] = _before_bridge(shown[-1])
    return tuple(crossing for crossing, _ in groupby(_crossing(step, ports) for step in shown))


def _before_bridge(step: Step) -> Step:
    """Return a crossing up to the first device of the namespace it ends in: iptables may see a packet before a bridge.

    Source: br_nf_pre_routing() in net/bridge/br_netfilter_hooks.c.
    """
    if step.to is None:
        return step
    first = next((place for place in step.path if place[0] == step.to[0] and place != step.path[0]), step.to)
    return step._replace(to=first, path=step.path[: step.path.index(first) + 1] if first in step.path else step.path)


def _lost(step: Step) -> bool:
    """Tell whether no device shows that a packet was lost: no tunnel took it, or a bridge had no port for it."""
    return step.stage in (Stage.TUNNEL, Stage.DEVICE) and step.fate is Fate.DROPPED and not step.oif


def _direction(journey: Journey) -> str:
    """Tell whose packet it is; what an ICMP error belongs to depends on its quote, which a tunnel hides."""
    if journey.packet.icmp and journey.packet.icmp.is_error:
        return "error"
    return "reply" if journey.reply else "request"


def group(stories: Iterable[NormalisedJourney]) -> dict[str, list[NormalisedJourney]]:
    """Collect the different stories of each kind of packet, in order; equal ones are one."""
    groups: dict[str, list[NormalisedJourney]] = {}
    for journey in stories:
        journeys = groups.setdefault(journey.key, [])
        if journey not in journeys:
            journeys.append(journey)
    return groups


def kind(packet: Packet) -> str:
    """Name the packet: SYN, SYN-ACK, ACK, data, FIN, RST, or the ICMP name or protocol."""
    if not packet.tcp:
        return packet.kind
    flags = packet.tcp.flags
    if "RST" in flags:
        return "RST"
    if packet.length:
        return "data"
    return "-".join(flag for flag in ("SYN", "FIN", "ACK") if flag in flags and not (flag == "ACK" and "FIN" in flags))


def address_pair(packet: Packet, ports: set[int]) -> str:
    """Write source and destination; ports drawn at random become a star."""
    if packet.inner:
        return f"{packet.proto} {packet.src} > {packet.dst} [{address_pair(packet.inner.packet, ports)}]"
    if packet.icmp:
        return f"icmp {packet.src} > {packet.dst}"
    sport, dport = (port if port in ports else "*" for port in (packet.sport, packet.dport))
    return f"{packet.proto} {packet.src}:{sport} > {packet.dst}:{dport}"


def _crossing(step: Step, ports: set[int]) -> str:
    if step.stage is Stage.TUNNEL:
        inner = step.after if step.before.inner else step.before
        unpacked = step.what is Tunnelled.UNPACKED and step.fate is not Fate.DROPPED
        verb = Tunnelled.UNPACKED if unpacked else Tunnelled.PACKED  # or takes it and finds nowhere to send it
        return f"{step.netns} {verb.value} by {step.oif}: {address_pair(inner, ports)}"
    if step.to is None:
        return f"{step.netns} {step.oif} > nobody: {address_pair(step.before, ports)}"
    devices = [device for device in step.path if device[1]]
    devices += [step.to] if devices[-1] != step.to else []
    way = " > ".join(f"{netns} {dev}" for netns, dev in devices)
    return f"{way}: {address_pair(step.before, ports)}"


def _rule(step: Step, ports: set[int], *, shown: bool) -> str:
    """Tell a rule that matched; what it made of the packet only where something later shows it."""
    before, after = _header(step.before, ports), _header(step.after, ports)
    change = "" if after == before or not shown else f" -> {after}"
    mark = f" mark {step.after.mark:#x}" if step.after.mark else ""
    where = f"{step.netns} {step.hook} {step.table}"
    return f"{where}: {step.evidence} | {before}{change}{mark}"


def _header(packet: Packet, ports: set[int]) -> str:
    """Write the addresses a rule sees: a rule trace does not show what a tunnel header carries."""
    return address_pair(packet.but(inner=None), {*ports, 4789} - {packet.sport} if packet.dport == 4789 else ports)


def _tells_state(step: Step, tracked: set[str]) -> bool:
    return step.stage is Stage.CONNTRACK and step.hook in ASKING_HOOKS and step.netns in tracked and step.iif != "lo"


def _end(step: Step, *, forwarded: bool) -> tuple[str, Stage | None]:
    """Say where the packet ended and what ended it; sockets may take or refuse it, which their answers tell."""
    if step.stage is Stage.IPVS:  # no rule trace and no counter tells of it
        step = step._replace(stage=Stage.ROUTE, fate=Fate.DROPPED, line=None)
    if step.stage is Stage.SOCKET:
        return f"reaches the sockets of {step.netns}", step.stage
    reason = f": {step.evidence}" if step.stage is Stage.NETFILTER else ""
    if _silent(step, forwarded=forwarded):
        return f"{_nowhere(step)}{reason}", None
    return f"{step.fate.value} in {step.netns} ({step.stage.value}){reason}", step.stage


def _nowhere(step: Step) -> str:
    return f"{Fate.DROPPED.value} in {step.netns} (no counter rises)"


def _asked_by_bridge(steps: Sequence[Step]) -> bool:
    """Tell whether a bridge asked in vain for whom DNAT sent a packet to: that comes before FORWARD and POSTROUTING.

    Source: br_nf_pre_routing_finish_bridge() in net/bridge/br_netfilter_hooks.c.
    """
    *_, before, last = (*steps[:1], *steps)
    return isinstance(before.what, Stays) and last.stage is Stage.ARP and last.fate is not Fate.GOES_ON


def _silent(step: Step, *, forwarded: bool) -> bool:
    """Tell whether the kernel counts such an end nowhere: a blackhole, or a source that cannot be but for rp_filter.

    Source: ip_route_input_slow() in net/ipv4/route.c, __fib_validate_source() in net/ipv4/fib_frontend.c, ip_forward().
    """
    if (step.stage is Stage.DEVICE and _lost(step)) or isinstance(step.what, HasSocket):
        return True
    if step.stage is Stage.ROUTE and forwarded:
        uncounted = getattr(step.line, "type", "") in UNCOUNTED or getattr(step.line, "action", "") == "prohibit"
        return step.fate is Fate.DROPPED or (step.fate is Fate.UNREACHABLE and uncounted)
    listed = step.stage is Stage.RP_FILTER and step.listing is not None
    return listed and not getattr(step.line, "key", "").endswith("rp_filter")
