"""The rule that nearly matched, and the one that was never reached: of filters, of DNAT and of MASQUERADE."""

from __future__ import annotations

import pytest
from ipvs_worlds import IpvsCase, service
from kernel_worlds import FORWARDS, chains
from small_worlds import namespace, plug, routed, talk

from mcnilib.trace.explain import because, verdict
from mcnilib.trace.run import run
from mcnilib.trace.why.reasons import reasons
from mcnilib.world.world import World

SERVICE = "-d 10.9.9.9/32 -p tcp -m tcp --dport"
TO_B = "-j DNAT --to-destination 10.0.2.2:80"


def filtered(*rules: str, policy: str = "ACCEPT") -> str:
    return chains("filter", *(f"FORWARD {rule}" for rule in rules), policy=policy)


def mangled(*rules: str) -> str:
    return chains("mangle", *(f"FORWARD {rule}" for rule in rules))


def translated(*rules: str) -> str:
    return chains("nat", *rules)


def _with_chain(name: str, text: str) -> str:
    return text.replace(":", f":{name} - [0:0]\n:", 1)


REACHED = "comes after it and is never reached"
SAYS = {  # rules of the router, what the client dials, what the verdict says behind `because`
    "a policy, and a rule for another device": (
        filtered("-s 10.0.1.0/24 -i e9 -j ACCEPT", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", policy="DROP"),
        "10.0.2.2:80",
        "`-A FORWARD -s 10.0.1.0/24 -i e9 -j ACCEPT` did not match packet 1: incoming device is e1, not e9",
    ),
    "a rejection, and a rule for another port": (
        filtered("-p tcp -m tcp --dport 443 -j ACCEPT", "-j REJECT"), "10.0.2.2:80",
        "`-A FORWARD -p tcp -m tcp --dport 443 -j ACCEPT` did not match packet 1: destination port is 80, not 443",
    ),
    "the nearest of several": (
        filtered("-p udp -m udp --dport 80 -j ACCEPT", "-p tcp -m tcp --dport 443 -j ACCEPT",
                 "-s 10.0.1.2/32 -p tcp -m tcp --dport 8080 -j ACCEPT", "-s 10.0.2.2/32 -j ACCEPT", "-j DROP"),
        "10.0.2.2:80",
        "`-A FORWARD -s 10.0.1.2/32 -p tcp -m tcp --dport 8080 -j ACCEPT` did not match packet 1: destination port is 80, not 8080",
    ),
    "a rule that would mark it for one that accepts": (
        mangled("-s 10.0.1.2/32 -p tcp -m tcp --dport 443 -j MARK --set-xmark 0x1/0x1",
                "-m mark --mark 0x1/0x1 -j ACCEPT", "-s 10.0.2.2/32 -j ACCEPT", "-j DROP"),
        "10.0.2.2:80",
        "`-A FORWARD -s 10.0.1.2/32 -p tcp -m tcp --dport 443 -j MARK --set-xmark 0x1/0x1` did not match packet 1: "
        "destination port is 80, not 443",
    ),
    "a condition alone": (filtered("-i e9 -j ACCEPT", "-j DROP"), "10.0.2.2:80", ""),
    "an answer's connection": (
        filtered("-p tcp -m tcp --dport 80 -j ACCEPT", "-s 10.0.2.0/24 -m conntrack --ctstate RELATED -j ACCEPT", policy="DROP"),
        "10.0.2.2:80",
        "`-A FORWARD -s 10.0.2.0/24 -m conntrack --ctstate RELATED -j ACCEPT` did not match packet 2: ctstate is "
        "ESTABLISHED, not RELATED",
    ),
    "behind a general rejection": (
        filtered("-j REJECT", "-p tcp -m tcp --dport 80 -j ACCEPT"), "10.0.2.2:80",
        f"`-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT` {REACHED}",
    ),
    "behind one that asks for more": (
        filtered("-s 10.0.1.2/32 -p tcp -j REJECT", "-p tcp -j ACCEPT"), "10.0.2.2:80", "",
    ),
    "a service's other port": (
        translated(f"PREROUTING {SERVICE} 443 {TO_B}"), "10.9.9.9:80",
        f"`-A PREROUTING {SERVICE} 443 {TO_B}` did not match packet 1: destination port is 80, not 443",
    ),
    "a service's chain": (
        _with_chain("X", translated(f"PREROUTING {SERVICE} 443 -j X", f"X -p tcp {TO_B}")), "10.9.9.9:80",
        f"`-A PREROUTING {SERVICE} 443 -j X` did not match packet 1: destination port is 80, not 443",
    ),
    "a port of the router, by another device": (
        translated(f"PREROUTING -i e9 -p tcp -m tcp --dport 8080 {TO_B}"), "10.0.1.1:8080",
        f"`-A PREROUTING -i e9 -p tcp -m tcp --dport 8080 {TO_B}` did not match packet 1: incoming device is e1, not e9",
    ),
    "a service behind an ACCEPT": (
        translated("PREROUTING -s 10.0.1.0/24 -j ACCEPT", f"PREROUTING {SERVICE} 80 {TO_B}"), "10.9.9.9:80",
        "`-A PREROUTING -s 10.0.1.0/24 -j ACCEPT` takes packet 1 out of the chain before it comes to "
        f"`-A PREROUTING {SERVICE} 80 {TO_B}`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAYS.values(), ids=SAYS)
def test_the_verdict_names_the_rule_that_did_not_decide(case):
    tables, to, says = case
    assert verdict(talk(routed(tables), f"tcp:{to}")).partition(", because ")[2] == says


def _asymmetric(tables: str) -> World:
    """Client a, router r, server b, which answers by a router c that knows nothing of a."""
    return plug(
        namespace("a", "eth0 10.0.1.2/24", "route default via 10.0.1.1 dev eth0"),
        namespace("r", "e1 10.0.1.1/24\ne2 10.0.2.1/24", FORWARDS, tables),
        namespace("b", "eth0 10.0.2.2/24\neth1 10.0.3.2/24", "route default via 10.0.3.1 dev eth1"),
        namespace("c", "e3 10.0.3.1/24", FORWARDS),
        lan1="a.eth0 r.e1",
        lan2="b.eth0 r.e2",
        lan3="b.eth1 c.e3",
    )


SO = "; so b answers to 10.0.1.2, an address of a"
MASQUERADED = {
    "behind a RETURN": (
        ("POSTROUTING -d 10.0.0.0/8 -j RETURN", "POSTROUTING -j MASQUERADE"),
        "on r `-A POSTROUTING -d 10.0.0.0/8 -j RETURN` takes packet 1 out of the chain before it comes to "
        f"`-A POSTROUTING -j MASQUERADE`{SO}",
    ),
    "behind a RETURN for what has no mark": (
        ("POSTROUTING -m mark ! --mark 0x1/0x1 -j RETURN", "POSTROUTING -j MASQUERADE"), "",
    ),
    "a mark that one condition kept away": (
        ("PREROUTING -s 10.0.1.2/32 -i e9 -j MARK --set-xmark 0x1/0x1",
         "POSTROUTING -m mark ! --mark 0x1/0x1 -j RETURN", "POSTROUTING -j MASQUERADE"),
        "on r `-A PREROUTING -s 10.0.1.2/32 -i e9 -j MARK --set-xmark 0x1/0x1` did not match packet 1: incoming "
        f"device is e1, not e9{SO}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MASQUERADED.values(), ids=MASQUERADED)
def test_the_verdict_names_what_kept_a_source_from_its_translation(case):
    rules, says = case
    assert verdict(talk(_asymmetric(chains("nat", *rules)), "tcp:10.0.2.2:80")).partition(", because ")[2] == says


def test_what_would_not_have_helped_stands_in_the_table_only():
    trace = talk(routed(mangled("-s 10.0.1.2/32 -i e9 -j MARK --set-xmark 0x1/0x1", "-j DROP")), "tcp:10.0.2.2:80")
    (reason,) = reasons(trace)
    assert (reason.decides, because(trace)) == (False, [])
    assert reason.said.endswith("did not match packet 1: incoming device is e1, not e9")


@pytest.mark.parametrize(
    ("servers", "says"),
    [((), "it has no real server"), (("10.0.2.2:8080 0",), "no server of -t 172.30.0.41:80 takes connections")],
    ids=["none", "one that takes nothing"],
)
def test_a_virtual_server_that_refuses_says_what_it_lacks(servers, says):
    case = IpvsCase(service(*servers), "connection refused")
    said = verdict(run(case.world, *case.talk(1)))
    assert said.partition(", because ")[2] == says
