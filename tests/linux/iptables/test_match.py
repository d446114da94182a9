"""Matches: which packets satisfy them, and the words for why one does not."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest

from mcnilib.errors import Unknown, Unsupported
from mcnilib.linux.chance import Chance
from mcnilib.linux.netfilter.conntrack import ConnTuple, Entry
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.ipset import IpSet
from mcnilib.linux.netfilter.iptables.save import parse_rule
from mcnilib.linux.packet import Icmp, Packet, Tcp

CLIENT, SERVER = IPv4Address("172.16.100.2"), IPv4Address("10.233.101.2")
PACKET = Packet(CLIENT, SERVER, "tcp", 40000, 80, Tcp(frozenset({"SYN"})), mark=0x4001)
PING = Packet(CLIENT, SERVER, "icmp", icmp=Icmp(8))
DNATED = Entry(ConnTuple("tcp", CLIENT, SERVER), ConnTuple("tcp", SERVER, CLIENT), dnat=True, mark=0x7)
AT = Context(
    "FORWARD", "veth1", "cali123", "NEW", sets={"pods": IpSet("pods", members=(IPv4Network("10.233.64.0/18"),))},
    address_type=lambda ip, dev: "LOCAL" if ip == CLIENT else "UNICAST", reverse_path=lambda *_: False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "why_not"),
    [
        ("-s 172.16.0.0/16", ""),
        ("-s 172.17.0.0/16", "source is 172.16.100.2, not 172.17.0.0/16"),
        ("! -s 172.16.0.0/16", "source is 172.16.100.2, which the rule excludes"),
        ("-d 10.233.101.2/32 -i veth+ -o cali+ -p tcp", ""),
        ("-i eth0", "incoming device is veth1, not eth0"),
        ("! -o cali+", "outgoing device is cali123, which the rule excludes"),
        ("-p udp", "protocol is tcp, not udp"),
        ("-p tcp -m tcp --dport 80", ""),
        ("-p tcp -m tcp --dport 1:79", "destination port is 80, not 1:79"),
        ("-p tcp -m tcp ! --sport 40000", "source port is 40000, which the rule excludes"),
        ("-p tcp -m tcp --tcp-flags SYN,ACK SYN", ""),
        ("-p tcp -m tcp --tcp-flags SYN,ACK ACK", "TCP flags is SYN, not ACK"),
        ("-p tcp -m multiport --dports 22,80", ""),
        ("-p tcp -m multiport --dports 22,81", "dport is 80, not 22,81"),
        ("-m mark --mark 0x4000/0x4000", ""),
        ("-m mark --mark 0x4000", "mark is 0x4001, not 0x4000"),
        ("-m mark ! --mark 0x4000/0x4000", "mark is 0x4001, which the rule excludes"),
        ("-m conntrack --ctstate NEW", ""),
        ("-m conntrack --ctstate INVALID", "ctstate is NEW, not INVALID"),
        ("-m conntrack ! --ctstate DNAT", ""),
        ("-m connmark --mark 0x7", "connection mark is absent (no connection), not 0x7"),
        ("-m addrtype --src-type LOCAL", ""),
        ("-m addrtype --dst-type LOCAL", "type of destination 10.233.101.2 is UNICAST, not LOCAL"),
        ("-m set --match-set pods dst", ""),
        ("-m set --match-set pods src", "src 172.16.100.2 is not in set pods"),
        ("-m set ! --match-set pods dst", "dst 10.233.101.2 is in set pods by `10.233.64.0/18`"),
        ("-m rpfilter --invert", ""),
        ("-p udp -m multiport --ports 80", "protocol is tcp, not udp"),
        ("! -p tcp", "protocol is tcp, which the rule excludes"),
        ("-m rpfilter", "the way back to 172.16.100.2 is not by veth1"),
        ("-m comment --comment x -m nfacct --nfacct-name n", ""),
    ],
)
def test_why_a_rule_does_not_match(rule: str, why_not: str) -> None:
    parsed = parse_rule(f"-A FORWARD {rule}")
    assert parsed.why_not(PACKET, AT) == why_not
    assert parsed.holds(PACKET, AT) is (why_not == "")


# A client's connection to a service, SNATed and DNATed on the way, seen at the answer.
NODE, SERVICE = IPv4Address("172.16.1.2"), IPv4Address("10.233.0.100")
ENTRY = Entry(
    ConnTuple("tcp", CLIENT, SERVICE, 40000, 80), ConnTuple("tcp", SERVER, NODE, 8080, 41000),
    seen_reply=True, confirmed=True, dnat=True, snat=True, mark=0x7,
)  # fmt: skip
ANSWER = Context("FORWARD", ctstate="ESTABLISHED", reply=True, entry=ENTRY)


@pytest.mark.parametrize(
    ("options", "why_not"),
    [
        ("--ctstate DNAT", ""),
        ("--ctstate NEW,SNAT", ""),
        ("! --ctstate RELATED,DNAT", "ctstate is ESTABLISHED,SNAT,DNAT, which the rule excludes"),
        ("--ctstate NEW", "ctstate is ESTABLISHED,SNAT,DNAT, not NEW"),
        ("--ctproto 6", ""),
        ("! --ctproto tcp", "protocol of the connection is 6, which the rule excludes"),
        ("--ctorigsrc 172.16.0.0/16", ""),
        ("--ctorigsrc 10.0.0.0/8", "original source is 172.16.100.2, not 10.0.0.0/8"),
        ("--ctorigdst 10.233.0.100 --ctorigdstport 80", ""),
        ("--ctorigdst 10.233.101.2", "original destination is 10.233.0.100, not 10.233.101.2"),
        ("--ctreplsrc 10.233.101.2 --ctreplsrcport 8000:8080", ""),
        ("--ctrepldst 172.16.1.2 --ctrepldstport 41000", ""),
        ("! --ctrepldst 172.16.1.2", "destination of the reply is 172.16.1.2, which the rule excludes"),
        ("--ctorigsrcport 1:1024", "port of the original source is 40000, not 1:1024"),
        ("--ctorigsrcport 50000:40000", "port of the original source is 40000, not 50000:40000"),
        ("--ctstatus SEEN_REPLY,ASSURED", ""),
        ("--ctstatus ASSURED", "status of the connection is SEEN_REPLY,CONFIRMED, not ASSURED"),
        ("! --ctstatus NONE", ""),  # no bit is never set
        ("--ctdir REPLY", ""),
        ("--ctdir ORIGINAL", "direction is REPLY, not ORIGINAL"),
        ("--ctstate ESTABLISHED --ctdir REPLY ! --ctproto 17", ""),
    ],
)
def test_what_a_rule_may_ask_of_a_connection(options: str, why_not: str) -> None:
    rule = parse_rule(f"-A X -m conntrack {options}")
    assert rule.why_not(PACKET, ANSWER) == why_not
    assert rule.holds(PACKET, ANSWER) is (why_not == "")


# conntrack_mt() ends early for a packet without connection: what is left of the options then does not count.
@pytest.mark.parametrize(
    ("options", "why_not"),
    [
        ("--ctstate INVALID", ""),
        ("--ctstate INVALID --ctdir REPLY --ctproto 17", ""),
        ("--ctstate NEW --ctdir REPLY", "ctstate is INVALID, not NEW"),
        ("--ctdir ORIGINAL", "the packet belongs to no connection, its ctstate is INVALID"),
        ("! --ctproto 17", "the packet belongs to no connection, its ctstate is INVALID"),
    ],
)
def test_a_packet_without_connection_is_asked_for_its_state_only(options: str, why_not: str) -> None:
    rule, at = parse_rule(f"-A X -m conntrack {options}"), Context("FORWARD", ctstate="INVALID")
    assert rule.why_not(PACKET, at) == why_not
    assert rule.holds(PACKET, at) is (why_not == "")


PINGS = ConnTuple("icmp", CLIENT, SERVER, 77, 77, (8, 0))


@pytest.mark.parametrize(
    ("option", "holds"),
    [
        ("--ctorigsrcport 77", True),
        ("--ctorigdstport 2048", True),
        ("--ctreplsrcport 77", True),
        ("--ctrepldstport 77", False),
    ],
)
def test_ports_of_a_ping_are_its_identifier_and_its_type(option: str, holds: bool) -> None:
    at = Context("FORWARD", entry=Entry(PINGS, PINGS.inverse()))
    assert parse_rule(f"-A X -m conntrack {option}").holds(PING, at) is holds


@pytest.mark.parametrize(
    ("rule", "why_not"),
    [
        ("8", ""),
        ("8/0", ""),
        ("any", ""),
        ("8/1", "ICMP type is echo request, not 8/1"),
        ("0", "ICMP type is echo request, not 0"),
    ],
)
def test_icmp_types(rule: str, why_not: str) -> None:
    parsed = parse_rule(f"-A X -p icmp -m icmp --icmp-type {rule}")
    assert parsed.why_not(PING, AT) == why_not
    assert parsed.holds(PING, AT) is (why_not == "")


def test_icmp_types_exclude() -> None:
    assert not parse_rule("-A X -p icmp -m icmp ! --icmp-type any").holds(PING, AT)
    assert not parse_rule("-A X -p icmp -m icmp ! --icmp-type 8").holds(PING, AT)
    assert parse_rule("-A X -p icmp -m icmp ! --icmp-type 0").holds(PING, AT)


@pytest.mark.parametrize(
    ("share", "answers", "holds", "asked"),
    [
        pytest.param("0.5", (0,), True, 1, id="asked, and it holds"),
        pytest.param("0.5", (1,), False, 1, id="asked, and it does not"),
        pytest.param("0.4", (), False, 1, id="the likelier answer is no"),
        pytest.param("0.6", (), True, 1, id="the likelier answer is yes"),
        pytest.param("1", (), True, 0, id="always: no question"),
        pytest.param("0", (), False, 0, id="never: no question"),
    ],
)
def test_chance_is_asked_once_and_why_not_never_asks(
    share: str, answers: tuple[int, ...], holds: bool, asked: int
) -> None:
    chance = Chance(answers)
    at = Context("FORWARD", chance=chance)
    rule = parse_rule(f"-A X -p tcp -m statistic --mode random --probability {share}")
    assert rule.holds(PACKET, at) is holds
    assert len(chance.turns) == asked
    assert rule.why_not(PACKET, at) == f"chance decides, it holds with probability {float(share):g}"
    assert rule.why_not(PING, at) == "protocol is icmp, not tcp"
    assert len(chance.turns) == asked


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("-m recent --set --name E", "recent"),
        ("-m statistic --mode nth --every 2 --packet 0", "statistic --mode nth"),
    ],
)
def test_what_cannot_be_answered_is_an_error_not_a_miss(rule: str, says: str) -> None:
    with pytest.raises(Unsupported, match=says):
        parse_rule(f"-A X {rule}").holds(PACKET, AT)


def test_a_set_that_is_not_there_is_unknown_not_empty() -> None:
    with pytest.raises(Unknown, match="set nowhere does not exist; collect ipset save"):
        parse_rule("-A X -m set --match-set nowhere src").holds(PACKET, AT)


@pytest.mark.parametrize("rule", ["-m addrtype --dst-type LOCAL", "-m rpfilter"])
def test_routing_is_asked_or_the_answer_is_an_error(rule: str) -> None:
    with pytest.raises(Unsupported, match="no routing tables"):
        parse_rule(f"-A X {rule}").holds(PACKET, Context("PREROUTING", "lo"))


def test_rpfilter_hands_on_its_options() -> None:
    asked: list[tuple[object, ...]] = []
    at = Context("PREROUTING", "veth1", reverse_path=lambda packet, *rest: asked.append(rest) or True)
    assert parse_rule("-A PREROUTING -m rpfilter --loose --accept-local").holds(PACKET, at)
    assert not parse_rule("-A PREROUTING -m rpfilter --validmark --invert").holds(PACKET, at)
    assert asked == [("veth1", True, False, True), ("veth1", False, True, False)]


@pytest.mark.parametrize(("sides", "holds"), [("src", False), ("dst", True), ("dst,src", True), ("src,dst", False)])
def test_sets_of_one_dimension_use_the_first_word(sides: str, holds: bool) -> None:
    assert parse_rule(f"-A X -m set --match-set pods {sides}").holds(PACKET, AT) is holds


STORED = ENTRY._replace(expires=100.0)


@pytest.mark.parametrize(
    ("rule", "at", "holds"),
    [
        ("-m conntrack --ctexpire 40:60", Context("FORWARD", entry=STORED, now=50.0), True),
        ("-m conntrack --ctexpire 51:60", Context("FORWARD", entry=STORED, now=50.0), False),
        ("-m conntrack ! --ctexpire 49", Context("FORWARD", entry=STORED, now=50.5), False),
        ("-p tcp -m tcp --dport 81 --tcp-option 5", Context("FORWARD"), False),
        ("-p tcp -m tcp --dport 80 --tcp-option 5", Context("FORWARD"), "TCP options"),
        ("-p tcp -m tcp ! --tcp-option 5", Context("FORWARD"), "TCP options"),
        ("-m conntrack --ctexpire 5", Context("FORWARD", entry=STORED._replace(confirmed=False)), "not stored yet"),
        ("-m string --string GET --algo bm", Context("FORWARD"), "payload bytes"),
    ],
)
def test_what_is_known_of_time_and_options(rule: str, at: Context, holds: bool | str) -> None:
    parsed = parse_rule(f"-A FORWARD {rule}")
    if not isinstance(holds, str):
        assert parsed.holds(PACKET, at) is holds
        return
    with pytest.raises(Unsupported, match=holds):
        parsed.holds(PACKET, at)
    assert holds in parsed.why_not(PACKET, at)


def test_an_address_of_another_family_is_another_address() -> None:
    addresses = (CLIENT, IPv6Address(int(CLIENT)))
    packets = [PACKET.but(src=address, dst=address) for address in addresses]
    for text in (f"-s {CLIENT}", f"-d {CLIENT}", f"-s {CLIENT}/255.0.0.255"):
        (match,) = parse_rule(f"-A FORWARD {text} -j ACCEPT").matches
        assert [match.test()(packet, AT) for packet in packets] == [True, False], text
