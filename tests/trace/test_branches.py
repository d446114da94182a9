"""Where chance decides, every course it may take is followed, and the verdict names how each ends."""

import pytest
from small_worlds import routed, talk

from mcnilib.linux.chance import Chance
from mcnilib.trace.branches import MAX_BRANCHES, parts
from mcnilib.trace.explain import verdict
from mcnilib.trace.trace import Trace

SERVICE = """*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
{rules}
COMMIT
"""
ALIVE, DEAD = "10.0.2.2:80", "10.0.2.9:80"


def service(*endpoints: str, port: int = 80) -> str:
    """The rules of a service 10.0.9.9: each endpoint as probable as any other, as kube-proxy writes them."""
    left = len(endpoints)
    rules = []
    for endpoint in endpoints:
        share = f"-m statistic --mode random --probability {1 / left:.11f} " if left > 1 else ""
        rules.append(f"-A PREROUTING -d 10.0.9.9/32 -p tcp {share}-j DNAT --to-destination {endpoint}")
        left -= 1
    return SERVICE.format(rules="\n".join(rules))


def filtered(rule: str, more: str = "") -> str:
    return f"*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD {rule}\nCOMMIT\n{more}"


MASQUERADE = SERVICE.format(rules="-A POSTROUTING -o e2 -j MASQUERADE --random-fully")
NOT_FULLY = SERVICE.format(rules="-A POSTROUTING -o e2 -j MASQUERADE")


def asked(tables: str, to: str = "tcp:10.0.9.9:80", **more: object) -> Trace:
    return talk(routed(tables), to, **more)


@pytest.mark.parametrize(
    ("endpoints", "says"),
    [
        pytest.param((ALIVE,), "connected; the server sees the client as 10.0.1.2", id="one endpoint: no chance"),
        pytest.param((ALIVE, ALIVE), "connected; the server sees the client as 10.0.1.2", id="both are alive"),
        pytest.param(
            (ALIVE, DEAD),
            "it depends: works through 10.0.2.2 (1 of 2); through 10.0.2.9 (1 of 2): unreachable (EHOSTUNREACH): "
            "packet 1 (SYN) stops on r: nothing answers ARP for 10.0.2.9",
            id="the second of two is dead",
        ),
        pytest.param(
            (DEAD, ALIVE),
            "it depends: works through 10.0.2.2 (1 of 2); through 10.0.2.9 (1 of 2): unreachable (EHOSTUNREACH): "
            "packet 1 (SYN) stops on r: nothing answers ARP for 10.0.2.9",
            id="the first of two is dead",
        ),
        pytest.param(
            (ALIVE, DEAD, ALIVE),
            "it depends: works through 10.0.2.2 (2 of 3); through 10.0.2.9 (1 of 3): unreachable (EHOSTUNREACH): "
            "packet 1 (SYN) stops on r: nothing answers ARP for 10.0.2.9",
            id="one of three is dead",
        ),
        pytest.param(
            (ALIVE, "10.0.2.2:81"),
            "it depends: works through 10.0.2.2:80 (1 of 2); through 10.0.2.2:81 (1 of 2): connection refused (ECONNREFUSED)",
            id="one endpoint's port is closed",
        ),
    ],
)
def test_a_service_depends_on_the_endpoint(endpoints, says) -> None:
    said = verdict(asked(service(*endpoints)))
    assert said.startswith(says)


@pytest.mark.parametrize(
    ("tables", "to", "ends"),
    [
        pytest.param(
            filtered("-p tcp --syn -m statistic --mode random --probability 0.5 -j REJECT"),
            "tcp:10.0.2.2:80", {"connected", "connection refused"}, id="a SYN that is rejected or not",
        ),
        pytest.param(
            filtered("-m statistic --mode random --probability 0.5 -j DROP"),
            "tcp:10.0.2.2:80", {"connected", "connect times out", "connect succeeds, then hangs"}, id="each packet",
        ),
        pytest.param(
            filtered("-m statistic --mode random --probability 0.001 -j DROP"),
            "icmp:10.0.2.2", {"connected", "lost", "delivered one way only"}, id="a rare loss is told too",
        ),
        pytest.param(
            filtered("-m statistic --mode random --probability 0 -j DROP"),
            "tcp:10.0.2.2:80", {"connected"}, id="probability 0 is no chance",
        ),
        pytest.param(
            filtered("-p tcp -m tcp --sport 1024:32767 -j DROP", MASQUERADE).replace("FORWARD", "INPUT"),
            "tcp:10.0.2.2:80", {"connected"}, id="a drawn port, and a rule for it that no packet meets",
        ),
        pytest.param(
            filtered("-p tcp -m tcp --dport 41000:65535 -j DROP", MASQUERADE),
            "tcp:10.0.2.2:80", {"connected"}, id="after the answer is rewritten nobody sees the drawn port",
        ),
    ],
)  # fmt: skip
def test_conversations_end_in_all_ways_chance_allows(tables, to, ends) -> None:
    trace = asked(tables, to, sport=40000)
    assert {one.trace.outcome.verdict.value for one in trace.branches} | {trace.outcome.verdict.value} - {
        "it depends"
    } == ends


def test_a_drawn_port_that_a_rule_asks_for_decides() -> None:
    """The server refuses low ports: the client's port is drawn anew on its way out of the router."""
    world = routed(MASQUERADE)
    b = world["b"]
    guarded = routed(filtered("-p tcp -m tcp --sport 1024:32767 -j DROP").replace("FORWARD", "INPUT"))["r"].ip4.tables
    trace = talk(world.put(b.with_ip4(tables=guarded)), "tcp:10.0.2.2:80")
    said = verdict(trace)
    assert said.startswith("it depends: works if the port drawn of 1024:65535 is in 32768:65535 (50.8 %)")
    assert "if the port drawn of 1024:65535 is in 1024:32767 (49.2 %): connect times out (ETIMEDOUT)" in said


def test_not_all_branches_are_followed_where_there_are_too_many() -> None:
    trace = asked(filtered("-m statistic --mode random --probability 0.5 -j DROP"), "tcp:10.0.2.2:80")
    assert trace.open and len(trace.branches) == MAX_BRANCHES
    assert f"chance has more branches than the {MAX_BRANCHES} followed here" in verdict(trace)


@pytest.mark.parametrize("tables", [MASQUERADE, NOT_FULLY, ""], ids=["a drawn port", "a kept port", "no rule"])
def test_where_chance_has_no_say_there_are_no_branches(tables) -> None:
    trace = asked(tables, "tcp:10.0.2.2:80")
    assert trace.outcome.works and not trace.branches


def test_shares_add_up_to_the_whole() -> None:
    trace = asked(service(ALIVE, DEAD, ALIVE, ALIVE, DEAD))
    assert sum(one.share or 0 for one in trace.branches) == pytest.approx(1)
    assert [part.share for part in parts(trace)] == ["3 of 5", "2 of 5"]


@pytest.mark.parametrize(
    ("low", "high", "asked", "cases"),
    [
        pytest.param(1024, 65535, [], [], id="nobody asks"),
        pytest.param(1024, 65535, [(80, 80), (443, 443)], [], id="other ports"),
        pytest.param(1024, 65535, [(30000, 30000)], [], id="one port of many is too rare"),
        pytest.param(1024, 65535, [(30000, 32767)], ["1024:29999", "30000:32767", "32768:65535"], id="a range"),
        pytest.param(1024, 65535, [(0, 65535)], [], id="all ports"),
        pytest.param(80, 81, [], ["80", "81"], id="a small range: each port"),
    ],
)
def test_a_drawn_port_is_a_question_where_it_matters(low, high, asked, cases) -> None:
    chance = Chance(ports=lambda: asked)
    port = chance.port(low, high, "tcp")
    assert low <= port <= high
    words = [option.split()[-1] for turn in chance.turns for option in turn.options]
    assert words == cases
