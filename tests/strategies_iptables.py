"""Random but valid rules and tables, for property tests."""

from __future__ import annotations

from ipaddress import IPv4Network

from hypothesis import strategies as st

from mcnilib.linux.match import Destination, InInterface, OutInterface, Protocol, Source
from mcnilib.linux.match_ports import FLAG_ORDER, IcmpType, Multiport, Ports
from mcnilib.linux.match_state import (
    STATE_ORDER,
    AddrType,
    Comment,
    ConnmarkIs,
    CtState,
    InSet,
    MarkIs,
    NfAcct,
    RpFilter,
    Statistic,
)
from mcnilib.linux.netfilter import BUILT_IN, Chain, ChainRule, Table
from mcnilib.linux.target import (
    ACCEPT,
    DROP,
    REJECT_KINDS,
    RETURN,
    Connmark,
    Dnat,
    Jump,
    Log,
    Mark,
    Masquerade,
    Notrack,
    Reject,
    Snat,
)

numbers = st.integers(0, 0xFFFFFFFF)
ports = st.integers(1, 65535)
ranges = st.tuples(ports, ports).map(lambda pair: (min(pair), max(pair)))
addresses = st.ip_addresses(v=4)
networks = st.tuples(addresses, st.integers(1, 32)).map(lambda pair: IPv4Network(pair, strict=False))
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12).filter(
    lambda n: not n.startswith("-")
)
devices = st.one_of(names, names.map(lambda name: f"{name}+"))
texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40)
flag_sets = st.frozensets(st.sampled_from(FLAG_ORDER), min_size=1)

header = st.tuples(
    st.one_of(st.none(), st.builds(Source, networks, st.booleans())),
    st.one_of(st.none(), st.builds(Destination, networks, st.booleans())),
    st.one_of(st.none(), st.builds(InInterface, devices, st.booleans())),
    st.one_of(st.none(), st.builds(OutInterface, devices, st.booleans())),
)
plain = st.one_of(
    st.builds(Comment, texts),
    st.builds(CtState, st.frozensets(st.sampled_from(STATE_ORDER), min_size=1), st.booleans()),
    st.builds(MarkIs, numbers, numbers, st.booleans()),
    st.builds(ConnmarkIs, numbers, numbers, st.booleans()),
    st.builds(
        AddrType, st.just(("LOCAL",)), st.just(()), st.booleans(), st.just(False), st.sampled_from(["", "in", "out"])
    ),
    st.builds(InSet, names, st.sampled_from(["src", "dst"]), st.booleans()),
    st.builds(Statistic, st.integers(0, 1000).map(lambda n: round(n / 1000 * 0x80000000))),
    st.builds(RpFilter, st.booleans(), st.booleans(), st.just(False), st.booleans()),
    st.builds(NfAcct, names),
)
flags = st.tuples(flag_sets, flag_sets).map(lambda pair: (pair[0] | pair[1], pair[1]))
tcp = st.builds(Ports, st.just("tcp"), st.none() | ranges, st.none() | ranges, st.none() | flags)
udp = st.builds(Ports, st.just("udp"), st.none() | ranges, st.none() | ranges)
icmp = st.builds(IcmpType, st.integers(0, 250), st.none() | st.integers(0, 15), st.booleans())
multiport = st.builds(
    Multiport, st.sampled_from(["sports", "dports", "ports"]), st.lists(ranges, min_size=1, max_size=7).map(tuple)
)
transport = st.one_of(
    st.just(()),
    tcp.map(lambda m: (Protocol("tcp"), m)),
    udp.map(lambda m: (Protocol("udp"), m)),
    icmp.map(lambda m: (Protocol("icmp"), m)),
    multiport.map(lambda m: (Protocol("udp"), m)),
)
verdicts = st.sampled_from([ACCEPT, DROP, RETURN])
targets = st.one_of(
    st.none(),
    verdicts,
    st.builds(Reject, st.sampled_from(REJECT_KINDS)),
    st.builds(Mark, numbers, numbers),
    st.builds(Connmark, st.sampled_from(["save", "restore"]), st.just(0), numbers, numbers),
    st.builds(Connmark, st.just("set"), numbers, ctmask=numbers),
    st.builds(Dnat, addresses, ports | st.just(0)),
    st.builds(Snat, addresses, ports | st.just(0), st.booleans()),
    st.builds(Masquerade, st.booleans()),
    st.builds(Notrack, st.sampled_from(["NOTRACK", "CT --notrack"])),
    st.builds(Log, st.just("LOG"), st.just(()) | texts.map(lambda t: (("--log-prefix", t),))),
)


def _rule(chain, head, extra, ends, target):
    return ChainRule(chain, (*filter(None, head), *ends, *extra), target)


def rules(chain: str, of=targets):
    """Rules of one chain; the transport match stands where iptables-save prints it, right after -p."""
    return st.builds(_rule, st.just(chain), header, st.lists(plain, max_size=3), transport, of)


def jumps(*chains: str):
    return st.builds(Jump, st.sampled_from(chains), st.booleans())


@st.composite
def tables(draw, name: str = "filter", of=verdicts | st.none() | st.builds(Mark, numbers, numbers)):
    """A table with two user chains; chains jump forward only, so there are no circles."""
    users = ("one", "two")
    made = []
    for chain in BUILT_IN[name]:
        body = draw(st.lists(rules(chain, of | jumps(*users)), max_size=20))
        made.append(Chain(chain, tuple(body), draw(st.sampled_from(["ACCEPT", "DROP"]))))
    made.append(Chain("one", tuple(draw(st.lists(rules("one", of | jumps("two")), max_size=20)))))
    made.append(Chain("two", tuple(draw(st.lists(rules("two", of), max_size=20)))))
    return Table(name, tuple(made))
