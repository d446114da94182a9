"""The native rule that nearly matched, the element that is missing, and the rule that is never reached."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from nft_worlds import SERVICE, NftCase, at, service

from mcnilib.trace.explain import verdict
from mcnilib.trace.run import run

HOSTS = "\tset hosts {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.1, 10.0.0.2 }\n\t}\n\n"
WAYS = "\tmap ways {\n\t\ttype ipv4_addr . inet_proto . inet_service : verdict\n\t\telements = { %s }\n\t}\n\n"
OTHER_PORT, OTHER_TWO = "10.0.2.2 . tcp . 443 : accept", "10.0.2.9 . tcp . 443 : accept"
KEY = "ip daddr . meta l4proto . th dport vmap @ways"
SERVICES = "\tmap service-ips {\n\t\ttype ipv4_addr . inet_proto . inet_service : verdict\n\t\telements = { 172.30.0.41 . tcp . 443 : goto s }\n\t}\n\n\tchain s {\n\t\tmeta l4proto tcp dnat to 10.0.2.2:80\n\t}\n\n"
LOOKUP = "ip daddr . meta l4proto . th dport vmap @service-ips"


def forward(*rules: str, policy: str = "accept", more: str = "") -> NftCase:
    return NftCase(at("forward", *rules, policy=policy, more=more), "connect times out")


def dialled(*rules: str, to: IPv4Address = SERVICE, more: str = "") -> NftCase:
    return NftCase(service(*rules, more=more), "", to=to)


SAYS = {  # rules of the router, what the verdict says behind `because`
    "a policy, and a rule for another port": (
        forward("ct state established,related accept", "tcp dport 443 counter accept", "ip saddr 10.0.1.2 tcp dport 443 accept", policy="drop"),
        "`ip saddr 10.0.1.2 tcp dport 443 accept` of chain base did not match packet 1: tcp dport is 80, not 443",
    ),
    "a set without this element": (
        forward("ct state established,related accept", "ip saddr @hosts accept", "counter drop", more=HOSTS),
        "`ip saddr @hosts accept` of chain base did not match packet 1: 10.0.1.2 is not an element of @hosts",
    ),
    "a set within the rule": (
        forward("ct state established accept", "meta l4proto tcp th dport { 22, 443 } accept", policy="drop"),
        "`meta l4proto tcp th dport { 22, 443 } accept` of chain base did not match packet 1: 80 is not an element of { 22, 443 }",
    ),
    "a map with this address and another port": (
        forward("ct state established accept", KEY, policy="drop", more=WAYS % OTHER_PORT),
        f"`{KEY}` of chain base did not match packet 1: 10.0.2.2 . tcp . 80 is not an element of @ways, which has "
        f"`{OTHER_PORT}`",
    ),
    "a map with nothing near": (forward("ct state established accept", KEY, policy="drop", more=WAYS % OTHER_TWO), ""),
    "a condition alone": (forward('iifname "e9" accept', "drop"), ""),
    "an answer's connection": (
        forward("tcp dport 80 accept", "ip saddr 10.0.2.0/24 ct state related accept", policy="drop"),
        "`ip saddr 10.0.2.0/24 ct state related accept` of chain base did not match packet 2: ct state is established, not related",
    ),
    "behind a general drop": (
        forward("meta l4proto tcp drop", "ip saddr 10.0.1.0/24 tcp dport 80 accept"),
        "`ip saddr 10.0.1.0/24 tcp dport 80 accept` comes after it and is never reached",
    ),
    "a mark that another rule took away": (
        forward("meta mark set 0x00000004", "meta mark set 0x00000000", "meta mark 0x00000004 accept", "drop"),
        "`meta mark 0x00000004 accept` of chain base did not match packet 1: meta mark is 0x00000000, not 0x00000004, since it was "
        "changed in ip t FORWARD by `meta mark set 0x00000000`",
    ),
    "a service's other port": (
        dialled(LOOKUP, more=SERVICES),
        f"`{LOOKUP}` of chain services did not match packet 1: 172.30.0.41 . tcp . 80 is not an element of @service-ips, "
        "which has `172.30.0.41 . tcp . 443 : goto s`",
    ),
    "a redirection for another device": (
        dialled('iifname "e9" ip daddr 172.30.0.41 tcp dport 80 dnat to 10.0.2.2:80'),
        '`iifname "e9" ip daddr 172.30.0.41 tcp dport 80 dnat to 10.0.2.2:80` of chain services did not match packet 1: iifname is "e1", not "e9"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAYS)
def test_the_verdict_names_the_native_rule_that_did_not_decide(name: str) -> None:
    case, says = SAYS[name]
    assert verdict(run(case.world, *case.talk(1))).partition(", because ")[2] == says
