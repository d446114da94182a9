"""Virtual servers and their real servers, as `ipvsadm -Sn` prints them.

The tool sorts: protocols by number, marks last, then addresses as signed numbers of 32 bits, then ports. The kernel's
own order, which some schedulers go by, is printed nowhere. Not modelled: IPv6, persistence engines.
Source: ipvsadm(8), print_service_entry() in ipvsadm.c, libipvs.c (ipvs_cmp_services, ipvs_cmp_dests) of ipvsadm 1.31.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.origin import Origin
from mcnilib.linux.packet import Packet
from mcnilib.linux.text import Words

SERVICE_WORDS = {"-t": "tcp", "-u": "udp", "--sctp-service": "sctp", "-f": "fwmark"}
"""Words of ipvsadm for what a virtual server takes, in the order in which the tool prints them."""

METHODS = ("-m", "-g", "-i")
"""How packets get to a real server: rewritten (masquerading), as they are to its MAC, in a tunnel."""

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos")
"""Names of schedulers: the modules ip_vs_* of Linux 6.1."""

_PORT, _WORD, _SECONDS = 0xFFFF, 2**32 - 1, 31 * 24 * 3600
"""The longest persistence is a month (MAX_TIMEOUT in ipvsadm.c)."""


@dataclass(frozen=True, slots=True)
class RealServer:
    """One line `-a`: a server behind a virtual one; weight 0 takes no new connection."""

    service: str  # the words that name the virtual server
    address: IPv4Address
    port: int
    forwarding: str = "-m"
    weight: int = 1
    origin: Origin | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"-a {self.service} -r {self.place} {self.forwarding} -w {self.weight}"

    @property
    def place(self) -> str:
        """Its address and port."""
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class VirtualServer:
    """One line `-A` with the lines `-a` that belong to it.

    `proto` is a protocol, or `fwmark` with `mark`; `timeout` in seconds: a client comes back to the same server, 0: it
    need not. `mask` of the client's address, and `flags` of the scheduler, as they are printed.
    """

    proto: str
    address: IPv4Address
    port: int
    scheduler: str = "wlc"
    servers: tuple[RealServer, ...] = ()
    mark: int = 0
    timeout: int = 0
    mask: str = ""
    one_packet: bool = False
    flags: str = ""
    origin: Origin | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The words that name it."""
        word = next(word for word, proto in SERVICE_WORDS.items() if proto == self.proto)
        return f"{word} {self.mark}" if self.mark else f"{word} {self.address}:{self.port}"

    def __str__(self) -> str:
        words = [f"-A {self.name} -s {self.scheduler}"]
        words += [f"-p {self.timeout}"] if self.timeout else []
        words += [f"-M {self.mask}"] if self.mask else []
        words += ["-o"] if self.one_packet else []
        words += [f"-b {self.flags}"] if self.flags else []
        return " ".join(words)

    def takes(self, packet: Packet) -> bool:
        """Tell whether a packet is for it. Source: ip_vs_service_find() in net/netfilter/ipvs/ip_vs_ctl.c."""
        if self.mark:
            return packet.mark == self.mark
        return (packet.proto, packet.dst) == (self.proto, self.address) and self.port in (packet.dport, 0)

    def by(self, origin: Origin) -> VirtualServer:
        """Return the same with who wrote it."""
        return replace(self, origin=origin, servers=tuple(replace(server, origin=origin) for server in self.servers))


def arranged(services: Iterable[VirtualServer]) -> tuple[VirtualServer, ...]:
    """Return virtual servers, and the real servers of each, in the order in which ipvsadm prints them."""
    order = list(SERVICE_WORDS.values())
    ordered = sorted(services, key=lambda x: (order.index(x.proto), x.mark, _signed(x.address), x.port))
    return tuple(
        replace(x, servers=tuple(sorted(x.servers, key=lambda s: (_signed(s.address), s.port)))) for x in ordered
    )


def real_server_of(services: Iterable[VirtualServer], packet: Packet) -> RealServer | None:
    """Return the masqueraded server that sent a packet, by address, port and protocol; None for others.

    Source: ip_vs_has_real_service() in net/netfilter/ipvs/ip_vs_ctl.c (Linux 6.1).
    """
    sender, proto = (packet.src, packet.sport, "-m"), packet.proto
    servers = (x for service in services if service.mark or service.proto == proto for x in service.servers)
    return next((x for x in servers if (x.address, x.port, x.forwarding) == sender), None)


def _signed(address: IPv4Address) -> int:
    return (int(address) ^ 1 << 31) - (1 << 31)


def print_services(services: Iterable[VirtualServer]) -> str:
    """Print what `ipvsadm -Sn` prints."""
    return "".join(f"{line}\n" for service in services for line in (service, *service.servers))


def parse_services(text: str, source: str = "ipvsadm -Sn") -> tuple[VirtualServer, ...]:
    """Read what `ipvsadm -Sn` prints.

    Raises: StateSyntaxError for other text, Unsupported for IPv6 and persistence engines.
    """
    services: dict[str, VirtualServer] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        words = Words(line, source, number)
        if words.one_of(("-A", "-a")) == "-A":
            service = _service(words)
            if service.name in services:
                raise words.error_at(tr("{name} is there already", name=service.name), 1)
            services[service.name] = service
        else:
            _put(services, words)
    return arranged(services.values())


def _put(services: dict[str, VirtualServer], words: Words) -> None:
    """Read a real server into the virtual server it names."""
    name = _named(words, VirtualServer("", IPv4Address(0), 0)).name
    if name not in services:
        raise words.wrong(tr("there is no virtual server {name} above", name=name))
    old = services[name]
    server = _server(words, name)
    if any(there.place == server.place for there in old.servers):
        raise words.error_at(tr("{name} has the server {place} already", name=name, place=server.place), 1)
    services[name] = replace(old, servers=(*old.servers, server))


def _named(words: Words, service: VirtualServer) -> VirtualServer:
    """Read the words that name a virtual server."""
    proto = SERVICE_WORDS[words.one_of(SERVICE_WORDS)]
    if proto == "fwmark":
        return replace(service, proto=proto, mark=_mark(words))
    address, port = _place(words)
    return replace(service, proto=proto, address=address, port=port)


def _mark(words: Words) -> int:
    mark = words.number_upto(_WORD)
    if words.next == "-6":
        raise Unsupported(f"{words.source}:{words.number}: " + tr("a virtual server of IPv6"))
    if not mark:
        raise words.wrong(tr("a mark is not 0"))
    return mark


def _place(words: Words) -> tuple[IPv4Address, int]:
    """Read an address and a port. Raises: Unsupported for IPv6."""
    word = words.take(tr("an address and a port"))
    if word.startswith("["):
        raise Unsupported(f"{words.source}:{words.number}: " + tr("a virtual server of IPv6"))
    address, _, port = word.rpartition(":")
    try:
        if not port.isascii() or not port.isdecimal() or not 0 <= int(port) <= _PORT:
            raise ValueError(port)
        return IPv4Address(address), int(port)
    except ValueError:
        raise words.wrong(tr("{word!r} is not an IPv4 address and a port", word=word)) from None


def _service(words: Words) -> VirtualServer:
    """Read the rest of a line `-A`."""
    service = _named(words, VirtualServer("", IPv4Address(0), 0))
    while words:
        match words.take():
            case "-s":
                service = replace(service, scheduler=words.one_of(SCHEDULERS))
            case "-p":
                service = replace(service, timeout=words.number_upto(_SECONDS))
            case "-M":
                service = replace(service, mask=str(words.address()))
            case "-o":
                service = replace(service, one_packet=True)
            case "-b":
                service = replace(service, flags=words.take(tr("a flag")))
            case "pe" | "--pe":
                raise Unsupported(f"{words.source}:{words.number}: " + tr("a persistence engine of IPVS"))
            case _:
                raise words.unknown(("-s", "-p", "-M", "-o", "-b"))
    return service


def _server(words: Words, name: str) -> RealServer:
    """Read the rest of a line `-a`."""
    words.one_of(("-r",))
    address, port = _place(words)
    forwarding, weight = words.one_of(METHODS), 1
    if words.next == "--tun-type":
        raise Unsupported(f"{words.source}:{words.number}: " + tr("a tunnel of IPVS"))
    if words:
        words.one_of(("-w",))
        weight = words.number_upto(0xFFFF)
    words.end()
    return RealServer(name, address, port, forwarding, weight)
