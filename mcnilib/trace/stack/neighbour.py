"""Neighbours: which MAC a next hop has on a device, who answers for it, and what is remembered for the rest of the run.

Asking is the same for each address family, and is modelled first; by which protocol one asks is a `NeighbourProtocol`.
Source: net/core/neighbour.c, net/ipv4/arp.c (arp_solicit, arp_process, arp_fwd_pvlan), arp(7),
Documentation/networking/ip-sysctl.rst (arp_ignore, proxy_arp).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from ipaddress import IPv4Address
from typing import NamedTuple

from mcnilib.errors import NoRoute, Unknown, Unsupported
from mcnilib.language import all_of, clauses, tr
from mcnilib.linux.device.base import BROADCAST_MAC, Frame
from mcnilib.linux.device.link import Link
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.neigh import PROXY, Neigh
from mcnilib.linux.routing.route import UNCHOSEN, Query, RouteType
from mcnilib.linux.routing.source import source_address, validate_source
from mcnilib.trace.devices.deaf import deaf_owner, passed_by
from mcnilib.trace.stack.ethernet import Receiver
from mcnilib.trace.stack.host import Host
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.trace import Asked, Fate, Stage
from mcnilib.trace.transport.socket_lookup import route_out

RESOLUTION_TIMEOUT = 3.0
"""Seconds until an unanswered neighbour is given up: three requests, one second apart (arp(7) mcast_solicit,
retrans_time)."""


class Reply(Enum):
    """How a namespace answers who has an address: a route of type local has it, it stands in for others, or not."""

    OWNS = "owns"
    PROXIES = "proxies"
    SILENT = ""


class NeighbourProtocol(NamedTuple):
    """How one family's addresses are asked for, and how a namespace answers."""

    name: str
    stage: Stage
    group: Callable[[IPv4Address], str]  # target -> MAC that a request for it is sent to
    sender: Callable[[Host, Link, IPv4Address, Packet], IPv4Address]  # asker, device, target, waiting packet
    answer: Callable[[Host, Link, IPv4Address, IPv4Address], Reply]  # asked, its device, target, sender


def resolve(at: Recorder, link: Link, ip: IPv4Address) -> str | None:
    """Return the MAC for a next hop, asking the wire once per run; None when nobody answers.

    Raises: Unknown when somebody who was not collected might answer.
    """
    entry = known(at.host, link, ip)
    if isinstance(entry, Neigh):
        return _use(at, link, entry)
    protocol = _PROTOCOLS[ip.version]
    if entry and ip in at.host.aged:
        _Request(at, at.host, link, ip, protocol).confirm()
    if entry is None and link.kind.tunnel:
        raise Unsupported(
            tr(
                "{protocol} out of the {kind} device {device} of {host}, for {ip}",
                protocol=protocol.name,
                kind=link.kind.word.upper(),
                device=link.name,
                host=at.host.name,
                ip=ip,
            )
        )
    mac = entry or _Request(at, at.host, link, ip, protocol).send()
    if mac is None:
        at.host.unconfirmed.add(ip)
    return mac


def known(host: Host, link: Link, ip: IPv4Address) -> Neigh | str | None:
    """Return the entry of a neighbour, or the MAC that was learned before; None when one has to ask."""
    entries = (x for x in host.netns.ip4.neighbours if (x.ip, x.dev) == (ip, link.name) and x.state != PROXY)
    return next(entries, None) or host.neighbours.get((link.name, ip))


def _use(at: Recorder, link: Link, entry: Neigh) -> str:
    if int(entry.mac[:2], 16) & 1:
        raise Unsupported(
            tr(
                "{ip} on {link} of {host} is at {mac}: the frame is for a whole group",
                ip=entry.ip,
                link=link.name,
                host=at.host.name,
                mac=entry.mac,
            )
        )
    stage = _PROTOCOLS[entry.ip.version].stage
    at.note(stage, tr("{ip} is at {mac}", ip=entry.ip, mac=entry.mac), line=entry, oif=link.name)
    return entry.mac


class _Request(NamedTuple):
    """A host asks on a device who has an address; a packet waits for the answer."""

    at: Recorder
    host: Host
    link: Link
    ip: IPv4Address
    protocol: NeighbourProtocol

    def send(self) -> str | None:
        """Return the first answer: whose address it is, then proxies, which wait a little.

        Source: arp_process(), pneigh_enqueue() in net/core/neighbour.c.
        """
        host, link, ip = self.host, self.link, self.ip
        self._refuse_own()
        sender = self.protocol.sender(host, link, ip, self.at.skb.packet)
        answering, gap, unsure = self._answering(sender)
        heard = [receiver for receiver in answering if self._is_heard(receiver, sender)]
        entry = next((x for x in host.netns.ip4.learned if (x.ip, x.dev) == (ip, link.name)), None)
        if entry and (heard or not gap):
            return self._believe(entry, heard)
        self._teach(answering, sender)
        if gap and heard and not any(self._has_it(receiver) for receiver in heard):
            question = {"protocol": self.protocol.name, "ip": ip, "why": gap.why}
            reason = tr("only collected proxies answer {protocol} for {ip}, and {why}", **question)
            raise Unknown(reason, collect=gap.collect) from gap
        if heard:
            return self._accept(self._first(sender, heard), sender)
        self._lose(answering, sender)
        return self._give_up(gap, sender, "" if unsure else deaf_owner(self.at.net, host, link, ip))

    def _refuse_own(self) -> None:
        """Refuse to ask for an address of this machine. Raises: Unsupported."""
        if self.host.is_local(self.ip):
            next_hop = tr("the next hop {ip} is an address of {host} itself", ip=self.ip, host=self.host.name)
            raise Unsupported(tr("{next_hop}, through an added local route", next_hop=next_hop))

    def _give_up(self, gap: Unknown | None, sender: IPv4Address, deaf: str) -> None:
        """Say that nobody answers, and why where that is known; where what is known ends, what is wrong even so."""
        question: dict[str, object] = {"protocol": self.protocol.name, "ip": self.ip}
        if gap and not deaf:
            reason = tr("no collected machine answers {protocol} for {ip}, and {why}", why=gap.why, **question)
            wrong = passed_by(self.at, self.link)
            raise Unknown(clauses([wrong, reason]) if wrong else reason, collect=gap.collect) from gap
        silence = tr("nothing answers {protocol} for {ip}", **question)
        self._note(f"{silence}: {deaf}" if deaf else silence, Asked(self.ip, sender), fate=Fate.UNREACHABLE)

    def _teach(self, answering: list[Receiver], sender: IPv4Address) -> None:
        """Let the kernels that answer learn the asker; a program that answers teaches its kernel nothing."""
        for receiver in answering if sender != UNCHOSEN else ():
            if self._kernel_answers(receiver, sender) is not Reply.SILENT:
                _learn(self.at.net.hosts[receiver.netns], receiver.link.name, sender, self.link.mac)

    def confirm(self) -> None:
        """See that a neighbour answers of whom nothing is known but that it asked: it is asked again after 5 s.

        Raises: Unknown when it does not, since then its entry is believed for a while only.
        Source: neigh_timer_handler() in net/core/neighbour.c, delay_first_probe_time.
        """
        answering, gap, _ = self._answering(self.protocol.sender(self.host, self.link, self.ip, self.at.skb.packet))
        if not answering:
            reason = tr(
                "{host} knows {ip} because it asked, and nothing answers {protocol} for {ip}: how long the entry is "
                "believed depends on the time",
                host=self.host.name,
                ip=self.ip,
                protocol=self.protocol.name,
            )
            raise gap or Unknown(reason, collect="")

    def _note(self, action: str, what: Asked, to: tuple[str, str] | None = None, fate: Fate = Fate.GOES_ON) -> None:
        self.at.note(self.protocol.stage, action, oif=self.link.name, to=to, fate=fate, what=what)

    def _answering(self, sender: IPv4Address) -> tuple[list[Receiver], Unknown | None, bool]:
        """Return who answers, where the request leaves what is known, and whether one of whom nobody knows hears it."""
        frame = Frame(self.link.mac, self.protocol.group(self.ip), Packet(sender, self.ip, "arp"))
        gap = self.at.net.wire.beyond(self.host.name, self.link, frame)
        answering, unsure = [], False
        for receiver in self.at.net.wire.send(self.host.name, self.link, frame):
            try:
                if self._answer(receiver, sender) is not Reply.SILENT:
                    answering.append(receiver)
            except Unknown as unknown:
                gap, unsure = gap or unknown, True
        return answering, gap, unsure

    def _has_it(self, receiver: Receiver) -> bool:
        return self._speaks(receiver) or self.at.net.hosts[receiver.netns].is_local(self.ip)

    def _speaks(self, receiver: Receiver) -> bool:
        """Tell whether a program answers there: it gets the request beside the kernel, which may say nothing."""
        speakers = self.at.net.wire.cables.speakers
        return bool(speakers) and (receiver.netns, receiver.link.name, self.ip) in speakers

    def _answer(self, receiver: Receiver, sender: IPv4Address) -> Reply:
        if self._speaks(receiver):
            return Reply.OWNS
        return self._kernel_answers(receiver, sender)

    def _kernel_answers(self, receiver: Receiver, sender: IPv4Address) -> Reply:
        return self.protocol.answer(self.at.net.hosts[receiver.netns], receiver.link, self.ip, sender)

    def _reply(self, receiver: Receiver, sender: IPv4Address) -> Frame:
        return Frame(receiver.link.mac, self.link.mac, Packet(self.ip, sender, "arp"))

    def _is_heard(self, receiver: Receiver, sender: IPv4Address) -> bool:
        back = self.at.net.wire.send(receiver.netns, receiver.link, self._reply(receiver, sender))
        return any((hearer.netns, hearer.link.name) == (self.host.name, self.link.name) for hearer in back)

    def _believe(self, entry: Neigh, heard: list[Receiver]) -> str:
        """Use what was known when this was collected, without a request. Raises: Unknown when nobody answers that."""
        if all(receiver.link.mac != entry.mac for receiver in heard):
            others = [
                tr("{link} of {netns} answers with {mac}", link=peer.link.name, netns=peer.netns, mac=peer.link.mac)
                for peer in heard
            ]
            says = all_of(others) or tr("no collected machine answers")
            reason = tr(
                "`ip neigh` of {host} has {ip} at {mac} ({state}), and {says}",
                host=self.host.name,
                ip=entry.ip,
                mac=entry.mac,
                state=entry.state,
                says=says,
            )
            raise Unknown(reason, collect=tr("the snapshot again, all of it at one time"))
        self.host.neighbours[self.link.name, entry.ip] = entry.mac
        return _use(self.at, self.link, entry)

    def _first(self, sender: IPv4Address, heard: list[Receiver]) -> Receiver:
        """Choose the answer that counts, which is the first: owners before proxies, and among several it is chance.

        The second within `locktime` (1 s) changes nothing. A bridge asks the port first that was added last, which
        nothing shows. Source: arp_process(), br_flood() in net/bridge/br_forward.c.
        """
        if len(heard) == 1:
            return heard[0]
        first = [receiver for receiver in heard if self._answer(receiver, sender) is Reply.OWNS] or heard
        if len(first) == 1:
            return first[0]
        what = tr(
            "the first to answer who has {ip} on {link} of {host}", ip=self.ip, link=self.link.name, host=self.host.name
        )
        return first[
            self.host.chance.pick(
                what, [tr("is {link} of {netns}", link=peer.link.name, netns=peer.netns) for peer in first]
            )
        ]

    def _accept(self, receiver: Receiver, sender: IPv4Address) -> str:
        mac = self.host.neighbours[self.link.name, self.ip] = receiver.link.mac
        action = tr(
            "who has {ip}? {netns} answers on {link}: {mac}",
            ip=self.ip,
            netns=receiver.netns,
            link=receiver.link.name,
            mac=mac,
        )
        self._note(action, Asked(self.ip, sender, mac), to=(receiver.netns, receiver.link.name))
        return mac

    def _lose(self, answering: list[Receiver], sender: IPv4Address) -> None:
        """Raise: Unknown when an answer leaves what is known."""
        for receiver in answering:
            frame = self._reply(receiver, sender)
            if lost := self.at.net.wire.beyond(receiver.netns, receiver.link, frame):
                reason = tr("{netns} answers who has {ip}, and {why}", netns=receiver.netns, ip=self.ip, why=lost.why)
                raise Unknown(reason, collect=lost.collect) from lost


def _learn(host: Host, dev: str, asker: IPv4Address, mac: str) -> None:
    """Let who answers learn the asker. Source: arp_process(), neigh_event_ns()."""
    if (dev, asker) not in host.neighbours:
        host.unconfirmed.add(asker)
    host.neighbours[dev, asker] = mac


def _arp_sender(host: Host, link: Link, target: IPv4Address, packet: Packet) -> IPv4Address:
    """Choose the address the request is sent from. Source: arp_solicit(), arp_announce 0 to 2."""
    announce = host.conf("arp_announce", link.name)
    if announce == 0 and host.is_local(packet.src):
        return packet.src
    if announce == 1 and any(packet.src == a.ip and target in a.interface.network for a in link.addresses):
        return packet.src
    return source_address(host.netns, link.name, target, "link") or UNCHOSEN


def _arp_answer(host: Host, link: Link, target: IPv4Address, sender: IPv4Address) -> Reply:
    """Tell how the namespace answers a request for `target` that came in by `link`. Source: arp_process()."""
    if not link.has_arp:
        return Reply.SILENT
    if sender == UNCHOSEN:  # duplicate address detection
        return Reply.OWNS if host.is_local(target) else Reply.SILENT
    probe = Packet(sender, target, proto="arp")
    try:
        route = host.route(Query(target, sender, iif=link.name)).route
    except NoRoute:
        return Reply.SILENT
    out = "" if route.type is RouteType.LOCAL else route.dev  # ip_route_input_slow(), __mkroute_input()
    if validate_source(host.netns, probe, link.name, out) is not None:
        return Reply.SILENT
    if route.type is RouteType.LOCAL:
        mine = not _arp_ignore(host, link, target, sender) and not _arp_filter(host, link, target, sender)
        return Reply.OWNS if mine else Reply.SILENT
    proxies = route.type is RouteType.UNICAST and _proxy_arp(host, link, target, route.dev == link.name, sender)
    return Reply.PROXIES if proxies else Reply.SILENT


def _proxy_arp(host: Host, link: Link, target: IPv4Address, same: bool, sender: IPv4Address) -> bool:
    """Tell whether the namespace answers for addresses behind it: for all of them, or for this one (ip neigh proxy).

    `same`: the way there is the device the request came by, where switches keep neighbours apart (private VLAN).
    """
    if not host.conf("forwarding", link.name):
        return False
    if same:
        return bool(host.conf("proxy_arp_pvlan", link.name)) and sender != target
    proxies = (x.dev for x in host.netns.ip4.neighbours if (x.ip, x.state) == (target, PROXY))
    return bool(host.conf("proxy_arp", link.name)) or any(dev in ("", link.name) for dev in proxies)


def _arp_ignore(host: Host, link: Link, target: IPv4Address, sender: IPv4Address) -> bool:
    """Tell whether it keeps silent. Source: arp_ignore() in arp.c, confirm_addr_indev() in net/ipv4/devinet.c."""
    ignore = host.conf("arp_ignore", link.name)
    own = any(a.ip == target for a in link.addresses)
    if ignore == 0:
        return False
    if ignore == 1:
        return not own
    if ignore == 2:  # the subnet that holds both may be that of another address
        subnets = [address.interface.network for address in link.addresses]
        return not own or not any(target in subnet and sender in subnet for subnet in subnets)
    if ignore == 8:
        return True
    raise Unsupported(
        tr(
            "arp_ignore {ignore} on {link} in {host}; 0, 1, 2 and 8 are modelled",
            ignore=ignore,
            link=link.name,
            host=host.name,
        )
    )


def _arp_filter(host: Host, link: Link, target: IPv4Address, sender: IPv4Address) -> bool:
    """Tell whether it keeps silent: it answers only on the device an answer to the sender would leave by."""
    if not host.conf("arp_filter", link.name):
        return False
    try:
        return route_out(host, Query(sender, target)).route.dev != link.name
    except NoRoute:
        return True


_ARP = NeighbourProtocol("ARP", Stage.ARP, lambda target: BROADCAST_MAC, _arp_sender, _arp_answer)

_PROTOCOLS = {4: _ARP}
"""The protocol of each address family, by its version."""
