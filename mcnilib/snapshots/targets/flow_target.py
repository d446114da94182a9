"""Where a conversation goes: `10.233.101.2:80`, an address alone, a URL, a name, or all of it spelt out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

from mcnilib.errors import McniError
from mcnilib.language import mark, tr
from mcnilib.linux.text import names_of
from mcnilib.snapshots.targets.names import Name
from mcnilib.trace.flow import FLOW_PROTOCOLS

FORMS = mark("ADDRESS:PORT, ADDRESS (ping), http://ADDRESS, tcp:ADDRESS:PORT, udp:ADDRESS:PORT, icmp:ADDRESS")
"""How a target is written; wherever ADDRESS stands, the name of a pod, a service or a namespace may stand too."""

WEB_PORTS = {"http": 80, "https": 443}


class QuestionError(McniError, ValueError):
    """A conversation that cannot be read; the message says how one is written."""


class FlowTarget(NamedTuple):
    """Where a conversation goes; the port is 0 for a ping."""

    proto: str
    address: IPv4Address
    port: int

    def __str__(self) -> str:
        return f"{self.proto}:{self.address}" + (f":{self.port}" if self.port else "")


NameLookup = Callable[[str], Sequence[Name]]
"""What a name may mean."""


def no_names(text: str) -> Sequence[Name]:
    """Know no name."""
    return ()


def read_flow_target(to: str, lookup: NameLookup = no_names) -> FlowTarget:
    """Read where a conversation goes, in one of the `FORMS`; a service that has one port needs none.

    Raises: QuestionError, with the candidates where several targets may be meant.
    """
    refuse_ipv6(to)
    proto, host, port = _parts(to.strip())
    if re.fullmatch(r"[\d.]+", host):
        names: Sequence[Name] = [Name("address", host, typed_address(host))]
    elif not (names := lookup(host)):
        raise QuestionError(
            tr("{host!r} is not an IPv4 address, nor a pod, service or namespace that is known here", host=host)
        )
    meant = {target: name for name in names for target in _destinations_of(name, proto, port)}
    if not meant:
        ports = ", ".join(f"{name} has {proto}:{port}" for name in names for proto, port in name.ports)
        raise QuestionError(tr("{to!r} is no port of that service; {ports}", to=to, ports=ports))
    if len(meant) > 1:
        candidates = names_of([f"{one} ({name})" for one, name in meant.items()])
        raise QuestionError(tr("{to!r} may mean {candidates}; name one of them", to=to, candidates=candidates))
    return next(iter(meant))


def _parts(to: str) -> tuple[str, str, int]:
    """Return protocol (empty: not said), host and port (0: not said). Raises: QuestionError."""
    if "://" in to:
        return _of_url(to)
    first, _, rest = to.partition(":")
    proto = first.lower() if first.lower() in FLOW_PROTOCOLS else ""
    host, colon, port = (rest if proto else to).partition(":")
    lacks = not colon and proto in ("tcp", "udp") and _numeric(host)
    if not host or ":" in port or lacks or (colon and proto == "icmp"):
        raise QuestionError(tr("{to!r} is none of {forms}{near}", to=to, forms=FORMS, near=_near(to)))
    return proto or ("tcp" if colon and _numeric(host) else ""), host, typed_port(port) if colon else 0


def _numeric(host: str) -> bool:
    return not re.search("[^0-9.]", host)


def _of_url(to: str) -> tuple[str, str, int]:
    """Read host and port of `http://HOST:PORT/...`; packets show nothing else of it here."""
    match = re.fullmatch(r"(\w+)://(?:[^/?#@]*@)?([^/?#:\[\]]+)(?::(\w*))?(?:[/?#].*)?", to)
    if not match or match[1].lower() not in WEB_PORTS:
        raise QuestionError(
            tr("{to!r} is not http://HOST or https://HOST, with :PORT or without{near}", to=to, near=_near(to))
        )
    return "tcp", match[2], typed_port(match[3]) if match[3] else WEB_PORTS[match[1].lower()]


def _destinations_of(name: Name, proto: str, port: int) -> Iterator[FlowTarget]:
    """Yield the targets a name may mean: of a service those of its ports that fit what was said."""
    if name.ports and proto != "icmp":
        fitting = ((its, number) for its, number in name.ports if proto in ("", its) and port in (0, number))
        yield from (FlowTarget(its, name.address, number) for its, number in fitting)
    elif port or proto in ("", "icmp"):
        yield FlowTarget(proto or ("tcp" if port else "icmp"), name.address, port)
    else:
        raise QuestionError(tr("{proto}:{spelt} lacks a port, as in {proto}:{spelt}:80", proto=proto, spelt=name.spelt))


def _near(to: str) -> str:
    """Guess what was meant by an address, and a port if there is one, written in another form."""
    match = re.search(r"([0-9]+(?:\.[0-9]+){3})(?::([0-9]+))?", to)
    if not match:
        return ""
    named = get_close_matches(re.split(r"\W", to)[0].lower(), FLOW_PROTOCOLS, 1)
    proto = "icmp" if not match[2] else named[0] if named and named[0] != "icmp" else "tcp"
    port = f":{match[2]}" if match[2] else ""
    return tr("; did you mean '{proto}:{host}{port}'?", proto=proto, host=match[1], port=port)


_IPV6 = re.compile(r"\[?([0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*)(?:%\w+)?(?:/\d+)?")
"""What may be an IPv6 address: hexadecimal groups between two colons at least."""


def refuse_ipv6(text: str) -> None:
    """Refuse an IPv6 address, alone or within what was typed: only IPv4 is modelled. Raises: QuestionError."""
    for match in _IPV6.finditer(text):
        for written in (match[1], match[1][1:]):  # a colon may belong to what stands before it
            try:
                address = IPv6Address(written)
            except AddressValueError:
                continue
            raise QuestionError(tr("{address} is an IPv6 address; only IPv4 is modelled", address=address))


def typed_address(text: str) -> IPv4Address:
    """Read an IPv4 address. Raises: QuestionError."""
    refuse_ipv6(text)
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise QuestionError(tr("{word!r} is not an IPv4 address", word=text)) from None


def typed_port(text: str) -> int:
    """Read a port from 1 to 65535. Raises: QuestionError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) <= 65535):
        raise QuestionError(tr("{text!r} is not a port from 1 to 65535", text=text))
    return int(text)
