"""Which real server of a virtual one takes a new connection.

Where a scheduler goes by what happened before, or by an order that is printed nowhere, each server with a weight may be
the one: chance decides. Source: net/netfilter/ipvs/ip_vs_{rr,wrr,lc,wlc,sed,nq,sh}.c (Linux 6.1).
"""

from __future__ import annotations

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.chance import Chance
from mcnilib.linux.netfilter.ipvs.connection import IpvsTable
from mcnilib.linux.netfilter.ipvs.service import RealServer, VirtualServer
from mcnilib.linux.packet import Packet

EVEN, BY_WEIGHT, BY_LOAD = ("rr",), ("wrr",), ("lc", "wlc", "sed", "nq")
"""Schedulers that take all servers in turn, each as often as its weight says, or by their connections."""

BY_SOURCE = "sh"
"""Takes the same server for the same client, by a hash over a table whose order is printed nowhere."""

_TAKES_NONE = ("ovf",)
"""Schedulers that may take no server although one has a weight."""


def schedule(
    service: VirtualServer, packet: Packet, table: IpvsTable, chance: Chance, now: float, where: str
) -> RealServer | None:
    """Choose the server of a new connection; None where none has a weight. Raises: Unsupported for other schedulers."""
    if service.timeout and (kept := table.template(service, packet.src, now)):
        table.remember(service, packet.src, kept, now)
        return kept
    server = _chosen(service, packet, table, chance, where)
    if server and service.timeout:
        table.remember(service, packet.src, server, now)
    return server


def _chosen(service: VirtualServer, packet: Packet, table: IpvsTable, chance: Chance, where: str) -> RealServer | None:
    usable = [server for server in service.servers if server.weight]
    if not usable:
        return None
    if service.scheduler == BY_SOURCE and len(usable) == len(service.servers):
        key = service.name, packet.src, packet.sport if "sh-port" in service.flags else 0
        if key not in table.hashed:
            table.hashed[key] = _picked(service, usable, chance, where)
        return table.hashed[key]
    alone = len(service.servers) == 1 and service.scheduler not in _TAKES_NONE
    if alone or service.scheduler in (*EVEN, *BY_WEIGHT, *BY_LOAD):
        return _picked(service, usable, chance, where)
    raise Unsupported(tr("the scheduler {name} of IPVS, for {service}", name=service.scheduler, service=service.name))


def _picked(service: VirtualServer, usable: list[RealServer], chance: Chance, where: str) -> RealServer:
    if len(usable) == 1:
        return usable[0]
    weights = [1 if service.scheduler in EVEN else server.weight for server in usable]
    shares = () if service.scheduler in BY_LOAD else [weight / sum(weights) for weight in weights]
    question = tr("the server that IPVS of {where} takes for {service}", where=where, service=service.name)
    return usable[chance.pick(question, [tr("is {place}", place=server.place) for server in usable], shares)]
