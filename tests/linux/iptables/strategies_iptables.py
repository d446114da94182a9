"""Random but valid rules and tables, for property tests."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network

from hypothesis import strategies as st

from mcnilib.linux.netfilter.hooks import BUILT_IN
from mcnilib.linux.netfilter.iptables.match.addrtype import ADDRESS_TYPES, AddrType, RpFilter
from mcnilib.linux.netfilter.iptables.match.conntrack import (
    CT_OPTIONS,
    PLAIN_STATES,
    SIDES,
    STATE_ORDER,
    STATUS_ORDER,
    ConntrackIs,
    CtAddress,
    CtDirection,
    CtPorts,
    CtProtocol,
    CtState,
    CtStatus,
)
from mcnilib.linux.netfilter.iptables.match.header import (
    WITHOUT,
    Destination,
    InInterface,
    OutInterface,
    ProtocolMatch,
    Source,
)
from mcnilib.linux.netfilter.iptables.match.ip import Dscp, Ecn, IpRange, Length, Tos, Ttl
from mcnilib.linux.netfilter.iptables.match.mark import ConnmarkIs, MarkIs
from mcnilib.linux.netfilter.iptables.match.misc import Comment, Helper, NfAcct, PacketType
from mcnilib.linux.netfilter.iptables.match.ports import FLAG_ORDER, IcmpType, Multiport, Ports
from mcnilib.linux.netfilter.iptables.match.set import InSet
from mcnilib.linux.netfilter.iptables.match.stateful import Nth, Quota, Recent, Statistic
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule, Table
from mcnilib.linux.netfilter.iptables.save import parse_rule
from mcnilib.linux.netfilter.iptables.target.log import Log
from mcnilib.linux.netfilter.iptables.target.mangle import Connmark, Mark, SetDscp, SetTos, SetTtl
from mcnilib.linux.netfilter.iptables.target.nat import Dnat, Masquerade, Netmap, Redirect, Snat
from mcnilib.linux.netfilter.iptables.target.opaque import Notrack
from mcnilib.linux.netfilter.iptables.target.verdict import ACCEPT, DROP, REJECT_KINDS, RETURN, Jump, Reject
from mcnilib.linux.netfilter.iptables.words import quoted

yes = st.booleans()
numbers = st.integers(0, 0xFFFFFFFF)
ports = st.integers(1, 65535)
ranges = st.tuples(ports, ports).map(lambda pair: (min(pair), max(pair)))
addresses = st.ip_addresses(v=4)
networks = st.tuples(addresses, st.integers(1, 32)).map(lambda pair: IPv4Network(pair, strict=False))
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12).filter(
    lambda n: not n.startswith("-")
)
devices = st.one_of(names, names.map(lambda name: f"{name}+"))
texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=29)
flag_sets = st.frozensets(st.sampled_from(FLAG_ORDER), min_size=1)


def subset(words: tuple[str, ...]):
    return st.frozensets(st.sampled_from(words), min_size=1)


def in_order(words: tuple[str, ...]):
    return subset(words).map(lambda chosen: tuple(word for word in words if word in chosen))


header = st.tuples(
    st.none() | st.builds(Source, networks, yes),
    st.none() | st.builds(Destination, networks, yes),
    st.none() | st.builds(InInterface, devices, yes),
    st.none() | st.builds(OutInterface, devices, yes),
)
sides = st.sampled_from(list(SIDES))
directions = st.builds(CtDirection, st.just("--ctdir"), st.sampled_from(["ORIGINAL", "REPLY"]))
ct_options = st.one_of(
    st.builds(CtState, st.just("--ctstate"), subset(STATE_ORDER), yes),
    st.builds(CtProtocol, st.just("--ctproto"), st.integers(1, 255), yes),
    st.builds(CtAddress, sides, st.tuples(addresses, st.integers(0, 32)).map(IPv4Interface), yes),
    st.builds(CtPorts, sides.map(lambda side: f"{side}port"), st.tuples(ports, ports), yes),
    st.builds(CtStatus, st.just("--ctstatus"), subset(STATUS_ORDER[1:]) | st.just(frozenset({"NONE"})), yes),
    directions,
)
conntrack = st.lists(ct_options, min_size=1, max_size=4, unique_by=lambda option: option.option).map(
    lambda found: ConntrackIs(tuple(sorted(found, key=lambda option: list(CT_OPTIONS.options).index(option.option))))
)
state = st.builds(CtState, st.just("--state"), subset(PLAIN_STATES), yes).map(lambda one: ConntrackIs((one,)))
types = in_order(ADDRESS_TYPES)
loadable = st.one_of(  # matches the kernel accepts anywhere, and needs nothing for
    st.builds(Comment, texts),
    conntrack,
    state,
    st.builds(MarkIs, numbers, numbers, yes),
    st.builds(ConnmarkIs, numbers, numbers, yes),
    st.builds(AddrType, types, types | st.just(()), yes, st.just(False)),
    st.builds(Statistic, st.integers(0, 0x80000000), yes),
    st.integers(1, 1000).flatmap(lambda every: st.builds(Nth, st.just(every), st.integers(0, every - 1), yes)),
    st.sampled_from(
        [
            Recent("set", name="E"),
            Recent("rcheck", name="E", seconds=10800, reap=True),
            Recent("update", True, "E", hits=3),
        ]
    ),
)
ends = st.tuples(addresses, addresses)
octets = st.integers(0, 255)
loadable |= st.one_of(
    st.builds(IpRange, ends, st.none() | ends, yes),
    st.builds(Ttl, st.just("eq"), octets, yes),
    st.builds(Ttl, st.sampled_from(["lt", "gt"]), octets),
    st.builds(Tos, octets, octets, yes),
    st.builds(Dscp, st.integers(0, 63), yes),
    st.builds(Ecn, st.none(), st.none(), st.integers(0, 3), yes),
    st.builds(Length, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), yes),
    st.builds(PacketType, st.sampled_from(["unicast", "broadcast", "multicast"]), yes),
    st.builds(Helper, st.sampled_from(["", "ftp", "a b"]), yes),
    st.builds(Quota, st.integers(0, 0xFFFFFFFFFFFFFFFF), yes),
    st.sampled_from(["5/min", "1/sec", "7/day", "90/hour --limit-burst 9"]).map(
        lambda rate: parse_rule(f"-A X -m limit --limit {rate}").matches[0]
    ),
)
elsewhere = st.one_of(  # matches that ask for a set, an object or a place
    st.builds(InSet, names, st.sampled_from(["src", "dst", "src,dst"]), yes),
    st.builds(RpFilter, yes, yes, yes, yes),
    st.builds(NfAcct, names),
    st.builds(AddrType, types, st.just(()), yes, st.just(False), st.sampled_from(["in", "out"])),
)
plain = st.one_of(loadable, elsewhere)
flags = st.tuples(flag_sets, st.frozensets(st.sampled_from(FLAG_ORDER)))
optional = st.none() | ranges


@st.composite
def transport_ports(draw, proto: str):
    sport, dport = draw(optional), draw(optional)
    chosen = draw(st.none() | flags) if proto == "tcp" else None
    negations = [draw(yes) if asked else False for asked in (sport, dport, chosen)]
    return ProtocolMatch(proto), Ports(proto, sport, dport, chosen, *negations)


icmp = st.builds(IcmpType, st.integers(0, 250), st.none() | st.integers(0, 15), yes) | st.builds(
    IcmpType, st.just(255), st.none(), yes
)
multiport = st.builds(
    Multiport, st.sampled_from(["sports", "dports", "ports"]), st.lists(ranges, min_size=1, max_size=7).map(tuple), yes
)
transport = st.one_of(
    st.just(()),
    transport_ports("tcp"),
    transport_ports("udp"),
    icmp.map(lambda m: (ProtocolMatch("icmp"), m)),
    multiport.map(lambda m: (ProtocolMatch("udp"), m)),
    st.sampled_from(["gre", "ipencap", "77"]).map(lambda name: (ProtocolMatch(name),)),
    st.just((ProtocolMatch("tcp", True),)),
)
verdicts = st.sampled_from([ACCEPT, DROP, RETURN])
marking = st.one_of(
    st.builds(Mark, numbers, numbers),
    st.builds(Connmark, st.sampled_from(["save", "restore"]), st.just(0), numbers, numbers),
    st.builds(Connmark, st.just("set"), numbers, ctmask=numbers),
)
log = st.builds(Log, st.just("LOG"), st.just("") | texts.map(lambda t: f"--log-prefix {quoted(t)} --log-uid"))
targets = st.one_of(
    st.none(),
    verdicts,
    marking,
    log,
    st.builds(Reject, st.sampled_from(REJECT_KINDS)),
    st.builds(Dnat, addresses, ports | st.just(0)),
    st.builds(Snat, addresses, ports | st.just(0), yes),
    st.builds(Masquerade, yes, yes),
    st.builds(Dnat, addresses, st.just(0), addresses, random=yes, persistent=yes).filter(
        lambda one: one.to != one.last
    ),
    st.builds(Redirect, random=yes),
    st.builds(Netmap, networks),
    st.builds(SetTtl, st.sampled_from(["set", "inc", "dec"]), st.integers(1, 255)),
    st.builds(SetTos, octets, octets),
    st.builds(SetDscp, st.integers(0, 63)),
    st.builds(Notrack, st.sampled_from(["NOTRACK", "CT"])),
    st.builds(Log, st.just("NFLOG"), st.integers(1, 65535).map(lambda group: f"--nflog-group {group}")),
)


def _rule(chain, head, extra, ends, target):
    """Put a rule together; devices a chain does not have are left out, and ports a protocol does not have."""
    devices = {"-i": InInterface, "-o": OutInterface}
    absent = tuple(devices[option] for option, chains in WITHOUT.items() if chain in chains)
    proto = ends[0].name if ends and not ends[0].negated else ""
    if isinstance(target, Dnat) and target.port and proto not in ("tcp", "udp"):
        target = Dnat(target.to)
    if isinstance(target, Snat) and proto not in ("tcp", "udp"):
        target = Snat(target.to, 0, target.random_fully)
    if target == Reject("tcp-reset") and proto != "tcp":
        target = Reject()
    kept = [match for match in head if match and not isinstance(match, absent)]
    return ChainRule(chain, (*kept, *ends, *extra), target)


def rules(chain: str, of=targets, matches=plain):
    """Rules of one chain; the transport match stands where iptables-save prints it, right after -p.

    No match stands twice: iptables-restore cannot read `-m mark ... -m connmark ... -m mark ...`, which it prints.
    """
    return st.builds(_rule, st.just(chain), header, st.lists(matches, max_size=3, unique_by=type), transport, of)


def jumps(*chains: str):
    return st.builds(Jump, st.sampled_from(chains), st.booleans())


@st.composite
def tables(draw, name: str = "filter", of=verdicts | st.none() | marking | log | st.just(Reject()), size: int = 20):
    """A table the kernel loads, with two user chains; chains jump forward only, so there are no circles."""
    made = []
    for chain in BUILT_IN[name]:
        body = draw(st.lists(rules(chain, of | jumps("one", "two"), loadable), max_size=size))
        made.append(Chain(chain, tuple(body), draw(st.sampled_from(["ACCEPT", "DROP"]))))
    made.append(Chain("one", tuple(draw(st.lists(rules("one", of | jumps("two"), loadable), max_size=size)))))
    made.append(Chain("two", tuple(draw(st.lists(rules("two", of, loadable), max_size=size)))))
    return Table(name, tuple(made))


# A small world, so that rules do match: four addresses, three ports, three devices, three marks.

FEW_ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.1.0.9"]
FEW_PORTS = [5001, 5002, 5003]
FEW_DEVICES = ["lo", "en0", "cali7"]
few_marks = st.sampled_from([0, 1, 2, 3])
few_networks = st.sampled_from([*(f"{ip}/32" for ip in FEW_ADDRESSES), "127.0.0.0/16", "127.0.0.2/31"]).map(IPv4Network)
few_ports = st.sampled_from([*((p, p) for p in FEW_PORTS), (5001, 5002), (1, 4000)])
few_headers = st.tuples(
    st.none() | st.none() | st.builds(Source, few_networks, yes),
    st.none() | st.builds(Destination, few_networks, yes),
    st.none(),
    st.none() | st.none() | st.builds(OutInterface, st.sampled_from(["lo", "l+", "en0"]), yes),
)
few_transports = st.one_of(
    st.just(()),
    st.just((ProtocolMatch("udp"),)),
    st.tuples(st.just(ProtocolMatch("udp")), st.builds(Ports, st.just("udp"), st.none(), few_ports)),
    st.tuples(
        st.just(ProtocolMatch("udp")), st.builds(Ports, st.just("udp"), st.none(), few_ports, not_dport=st.just(True))
    ),
    st.tuples(
        st.just(ProtocolMatch("udp")),
        st.builds(
            Multiport, st.just("dports"), st.lists(few_ports, min_size=1, max_size=3, unique=True).map(tuple), yes
        ),
    ),
    st.just((ProtocolMatch("tcp"),)),
)
few_matches = st.one_of(
    st.builds(Comment, st.just("why")),
    st.builds(MarkIs, few_marks, few_marks, yes),
    st.builds(ConnmarkIs, few_marks, few_marks, yes),
    st.builds(InSet, st.just("some"), st.sampled_from(["src", "dst"]), yes),
    st.builds(AddrType, st.sampled_from([("LOCAL",), ("UNICAST", "BROADCAST")]), st.just(()), yes),
    st.builds(
        CtState, st.just("--ctstate"), st.sampled_from([frozenset({"NEW"}), frozenset({"ESTABLISHED", "DNAT"})]), yes
    ).map(lambda one: ConntrackIs((one,))),
    st.builds(CtAddress, sides, st.sampled_from(FEW_ADDRESSES).map(IPv4Interface), yes).map(
        lambda o: ConntrackIs((o,))
    ),
    st.builds(CtStatus, st.just("--ctstatus"), subset(STATUS_ORDER), yes).map(
        lambda one: ConntrackIs((replace(one, value=one.value - {"NONE"} or one.value),))
    ),
    directions.map(lambda one: ConntrackIs((one,))),
)
few_targets = st.one_of(
    st.none(),
    verdicts,
    st.builds(Mark, few_marks, few_marks),
    st.builds(Connmark, st.sampled_from(["save", "restore"]), st.just(0), few_marks, few_marks),
    st.builds(Connmark, st.just("set"), few_marks, ctmask=few_marks),
)


def few_rules(chain: str, of):
    return st.builds(
        _rule, st.just(chain), few_headers, st.lists(few_matches, max_size=2, unique_by=type), few_transports, of
    )


@st.composite
def small_tables(draw, size: int = 30):
    """A filter table whose OUTPUT chain and three user chains are about packets of the small world."""
    users = ("one", "two", "three")
    made = [Chain("INPUT", (), "ACCEPT"), Chain("FORWARD", (), "ACCEPT")]
    body = draw(st.lists(few_rules("OUTPUT", few_targets | jumps(*users)), min_size=1, max_size=size))
    made.append(Chain("OUTPUT", tuple(body), draw(st.sampled_from(["ACCEPT", "DROP"]))))
    for i, name in sorted(enumerate(users), key=lambda pair: pair[1]):
        of = few_targets | jumps(*users[i + 1 :]) if users[i + 1 :] else few_targets
        made.append(Chain(name, tuple(draw(st.lists(few_rules(name, of), max_size=size)))))
    return Table("filter", tuple(made))


small_packets = st.tuples(
    st.sampled_from(FEW_ADDRESSES), st.sampled_from(FEW_ADDRESSES), st.sampled_from(FEW_PORTS), few_marks
)
"""Source, destination, destination port and mark of a UDP packet of the small world."""
