"""Matches by chance, as they are typed, of every family the model knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

STATES = (
    "INVALID",
    "NEW",
    "ESTABLISHED",
    "RELATED",
    "UNTRACKED",
    "NEW,ESTABLISHED",
    "RELATED,ESTABLISHED",
    "SNAT",
    "DNAT",
)
REMEMBERING = ("-m recent", "-m limit", "--mode nth")
"""Matches that remember packets: no conversation of another case may have passed them."""

OFTEN = 4
"""How often a connection's state is asked for, against once for every other match."""


def remembers(lines: Iterable[str]) -> bool:
    """Tell whether a rule among these lines remembers packets."""
    return any(match in line for line in lines for match in REMEMBERING)


def other(draw: Random, chain: str, addresses: list[str]) -> str:
    """Make up a match on something else than addresses, devices and protocol."""
    inverted = draw.choice(("", "", "! "))
    made = [make(draw, inverted) for make in (_state, *FAMILIES) for _ in range(OFTEN if make is _state else 1)]
    made += [_ends(draw, inverted, addresses), _range(draw, inverted, addresses)]
    if chain == "PREROUTING":
        loose, invert = draw.choice(("", "--loose ", "--validmark ")), draw.choice(("", "--invert"))
        made.append(f"-m rpfilter {loose}{invert}".strip())
    if chain in ("PREROUTING", "INPUT"):
        made.append(f"-m addrtype {inverted}--dst-type LOCAL --limit-iface-in")
    return draw.choice(made)


def _state(draw: Random, inverted: str) -> str:
    return f"-m conntrack {inverted}--ctstate {draw.choice(STATES)}"


def _marks(draw: Random, inverted: str) -> str:
    return draw.choice(
        (
            f"-m mark {inverted}--mark {draw.choice(('0x1', '0x2', '0x1/0x1', '0x0'))}",
            f"-m connmark {inverted}--mark {draw.choice(('0x1', '0x2', '0x0'))}",
        )
    )


def _addrtype(draw: Random, inverted: str) -> str:
    return draw.choice(
        (
            f"-m addrtype {inverted}--dst-type {draw.choice(('LOCAL', 'UNICAST', 'BROADCAST'))}",
            f"-m addrtype {inverted}--src-type {draw.choice(('LOCAL', 'UNICAST'))}",
        )
    )


def _connection(draw: Random, inverted: str) -> str:
    return draw.choice(
        (
            f"-m conntrack --ctdir {draw.choice(('ORIGINAL', 'REPLY'))}",
            f"-m conntrack {inverted}--ctstatus {draw.choice(('SEEN_REPLY', 'ASSURED', 'CONFIRMED', 'SNAT', 'NONE'))}",
            f"-m conntrack {inverted}--ctproto {draw.choice((1, 6, 17))}",
            f"-m conntrack {inverted}--ctorigdstport {draw.choice(('80', '8080', '1:100'))}",
            f"-m conntrack {inverted}--ctreplsrcport {draw.choice(('80', '8080', '1:100'))}",
            f"-m state {inverted}--state {draw.choice(STATES[:5])}",
        )
    )


def _header(draw: Random, inverted: str) -> str:
    return draw.choice(
        (
            f"-m length {inverted}--length {draw.choice(('0:33', '33', '84', '81:1500', '0:84'))}",
            f"-m ttl {draw.choice(('--ttl-eq 64', '--ttl-eq 63', '--ttl-lt 63', '--ttl-gt 62', '! --ttl-eq 64'))}",
            f"-m tos {inverted}--tos {draw.choice(('0x10/0xff', '0x00/0x3f', '0xc0/0xff'))}",
            f"-m dscp {inverted}--dscp {draw.choice(('0x04', '0x00', '0x2e'))}",
            "-m ecn " + draw.choice(("--ecn-ip-ect 0", "! --ecn-ip-ect 0")),
            f"-m pkttype {inverted}--pkt-type unicast",
            f"{inverted}-f",
        )
    )


def _set(draw: Random, inverted: str) -> str:
    name, sides = draw.choice(
        (("hosts", ("src", "dst")), ("nets", ("src", "dst")), ("services", ("dst,dst", "src,src")))
    )
    return f"-m set {inverted}--match-set {name} {draw.choice(sides)}"


def _often(draw: Random, inverted: str) -> str:
    """Match what was seen before; how often TCP repeats itself is free to differ, so the counts are 1 or many."""
    return draw.choice(
        (
            f"-m statistic --mode nth {inverted}--every {draw.choice((1, 1000000))} --packet 0",
            f"-m limit --limit 1/hour --limit-burst {draw.choice((1, 100))}",
            f"-m recent {inverted}--set --name l{draw.randrange(2)} {draw.choice(('--rsource', '--rdest'))}",
            f"-m recent {inverted}{draw.choice(('--rcheck', '--rcheck --seconds 60', '--update', '--remove'))} "
            f"--name l{draw.randrange(2)} {draw.choice(('--rsource', '--rdest'))}",
        )
    )


FAMILIES: tuple[Callable[[Random, str], str], ...] = (_marks, _addrtype, _connection, _header, _set, _often)


def _ends(draw: Random, inverted: str, addresses: list[str]) -> str:
    end = draw.choice(("--ctorigsrc", "--ctorigdst", "--ctreplsrc", "--ctrepldst"))
    return f"-m conntrack {inverted}{end} {draw.choice(addresses)}{draw.choice(('', '/24'))}"


def _range(draw: Random, inverted: str, addresses: list[str]) -> str:
    side, address = draw.choice(("--src-range", "--dst-range")), draw.choice(addresses)
    return f"-m iprange {inverted}{side} {address}-{address.rpartition('.')[0]}.255"
