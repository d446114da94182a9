"""An iptables rule by chance, as it is typed: any match the model knows, and any target that may stand in the chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from mcnilib.linux.netfilter.hooks import BUILT_IN

_STATES = (
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
    return f"-m conntrack {inverted}--ctstate {draw.choice(_STATES)}"


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
            f"-m state {inverted}--state {draw.choice(_STATES[:5])}",
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


CHAINS_OF = {table: BUILT_IN[table] for table in ("raw", "mangle", "nat", "filter")}

WEIGHTS = ("filter", "filter", "filter", "nat", "nat", "mangle", "mangle", "raw")

LOOPBACK = 0.05
"""How often NAT sends something to 127.0.0.1."""

_PORTS = ("80", "8080", "1024:65535", "443")


def typed_rule(draw: Random, devices: list[str], addresses: list[str], own: list[str]) -> str:
    """Make up a rule for a namespace with these devices; `own` are its addresses."""
    table = draw.choice(WEIGHTS)
    chain = draw.choice(CHAINS_OF[table])
    verb = draw.choice(("-A", "-A", "-I"))
    matches = " ".join(_matches(draw, chain, devices, addresses))
    target = _target(draw, table, chain, addresses, own, matches)
    return f"iptables -t {table} {verb} {chain} {matches}{' ' if matches else ''}-j {target}"


def typed_chain(draw: Random, own_chains: dict[str, list[str]], devices: list[str], addresses: list[str]) -> str:
    """Make up a chain of one's own, a rule in it, or a jump to it; `own_chains` are those there are, by table."""
    if not own_chains:
        return f"iptables -t {draw.choice(WEIGHTS)} -N OWN"
    table = draw.choice(sorted(own_chains))
    chain, built_in = draw.choice(own_chains[table]), draw.choice(CHAINS_OF[table])
    matches = " ".join(_matches(draw, built_in, devices, addresses))
    blank = " " if matches else ""
    if draw.random() < 0.5:
        return f"iptables -t {table} -A {built_in} {matches}{blank}{draw.choice(('-j', '-j', '-g'))} {chain}"
    special = {"mangle": _marking(draw), "filter": _rejecting(matches)}.get(table, ["ACCEPT"])
    target = draw.choice(["DROP", "ACCEPT", "RETURN", "RETURN", *special])
    return f"iptables -t {table} -A {chain} {matches}{blank}-j {target}"


def _matches(draw: Random, chain: str, devices: list[str], addresses: list[str]) -> list[str]:
    words = []
    if draw.random() < 0.3:
        words.append(
            f"{draw.choice(('', '! '))}{draw.choice(('-s', '-d'))} {draw.choice(addresses)}/{draw.choice((32, 24))}"
        )
    if draw.random() < 0.25:
        words += _device(draw, chain, devices)
    if draw.random() < 0.6:
        words += _protocol(draw)
    if draw.random() < 0.4:
        words.append(other(draw, chain, addresses))
    return words


def _device(draw: Random, chain: str, devices: list[str]) -> list[str]:
    option = "-o" if chain in ("OUTPUT", "POSTROUTING") else "-i"
    return [f"{draw.choice(('', '! '))}{option} {draw.choice(devices)}"]


def _protocol(draw: Random) -> list[str]:
    proto = draw.choice(("tcp", "tcp", "udp", "icmp"))
    more = [f"-p {proto}"]
    if proto == "icmp":
        more += draw.choice(([], ["-m icmp --icmp-type 8"], ["-m icmp --icmp-type 0"]))
    elif draw.random() < 0.6:
        which = draw.choice(("--dport", "--sport"))
        more.append(f"-m {proto} {draw.choice(('', '! '))}{which} {draw.choice(_PORTS)}")
    elif draw.random() < 0.3:
        more.append(f"-m multiport {draw.choice(('--dports', '--sports', '--ports'))} 80,443")
    elif proto == "tcp" and draw.random() < 0.6:
        flags = draw.choice(("FIN,SYN,RST,ACK SYN", "SYN,ACK SYN,ACK", "FIN FIN", "RST RST", "ACK ACK"))
        more.append(f"-m tcp {draw.choice(('', '! '))}--tcp-flags {flags}")
    return more


def _target(draw: Random, table: str, chain: str, addresses: list[str], own: list[str], matches: str) -> str:
    verdict = draw.choice(("DROP", "DROP", "ACCEPT", "RETURN", "LOG"))
    special = {
        "raw": ["CT --notrack", "NOTRACK"],
        "mangle": _marking(draw),
        "nat": _rewriting(draw, chain, addresses, own, matches),
        "filter": _rejecting(matches),
    }[table]
    return draw.choice([verdict, *special, *special])


def _marking(draw: Random) -> list[str]:
    value = draw.choice(("0x1/0xffffffff", "0x2/0xffffffff", "0x3/0x3"))
    return [
        f"MARK --set-xmark {value}",
        f"MARK --set-xmark {value}",
        f"CONNMARK --set-xmark {value}",
        f"TTL {draw.choice(('--ttl-set 63', '--ttl-set 1', '--ttl-inc 1', '--ttl-dec 1', '--ttl-dec 63'))}",
        f"TOS --set-tos {draw.choice(('0x10/0xff', '0x08/0x1c', '0x00/0xff'))}",
        f"DSCP --set-dscp {draw.choice(('0x04', '0x2e', '0x00'))}",
        "CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff",
        "CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff",
    ]


def _rewriting(draw: Random, chain: str, addresses: list[str], own: list[str], matches: str) -> list[str]:
    address = draw.choice(addresses) if draw.random() > LOOPBACK else "127.0.0.1"
    port = draw.choice(("", "", ":80", ":8080")) if "-p tcp" in matches or "-p udp" in matches else ""
    network = f"{address.rpartition('.')[0]}.0/{draw.choice((24, 28))}"
    if chain in ("PREROUTING", "OUTPUT"):
        ports = draw.choice(("", " --to-ports 80", " --to-ports 8080")) if port else ""
        last = f"{address.rpartition('.')[0]}.{draw.choice((200, 254))}"
        more = (f"REDIRECT{ports}", f"NETMAP --to {network}", f"DNAT --to-destination {address}-{last}{port}")
        return [f"DNAT --to-destination {address}{port}"] * 3 + [draw.choice(more)]
    source = draw.choice(own or addresses)
    plain = [f"SNAT --to-source {source}"] * 2 + [draw.choice((f"SNAT --to-source {source}", f"NETMAP --to {network}"))]
    return [*plain, "MASQUERADE", "MASQUERADE --random-fully"] if chain == "POSTROUTING" else plain


def _rejecting(matches: str) -> list[str]:
    kinds = ["icmp-port-unreachable", "icmp-host-prohibited", "icmp-net-unreachable"]
    kinds += ["tcp-reset"] if "-p tcp" in matches and "! -p" not in matches else []
    return [f"REJECT --reject-with {kind}" for kind in kinds]
