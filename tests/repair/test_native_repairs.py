"""What may be tried where native rules of nft end a packet, or lack an element."""

from __future__ import annotations

import pytest
from nft_worlds import SERVICE, NftCase, at, service

from mcnilib.repair.candidates import standard_repairs
from mcnilib.repair.repair import carried_out
from mcnilib.trace.run import run

HOSTS = "\tset hosts {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.1 }\n\t}\n\n"
SERVICES = "\tmap services {\n\t\ttype ipv4_addr . inet_proto . inet_service : verdict\n\t\telements = { 172.30.0.41 . tcp . 443 : goto s }\n\t}\n\n\tchain s {\n\t\tmeta l4proto tcp dnat to 10.0.2.2:80\n\t}\n\n"
DROPS = at("forward", "ct state established accept", "tcp dport 80 drop # handle 9")
POLICY = at("forward", "ct state established accept", policy="drop")
SET = at("forward", "ct state established accept", "ip saddr @hosts accept", policy="drop", more=HOSTS)
MAP = service("ip daddr . meta l4proto . th dport vmap @services", more=SERVICES)


@pytest.mark.parametrize(
    ("case", "command"),
    [
        (NftCase(DROPS, ""), "nft delete rule ip t base handle 9"),
        (NftCase(DROPS, ""), "nft insert rule ip t base ip saddr 10.0.1.2 ip daddr 10.0.2.2 accept"),
        (NftCase(POLICY, ""), "nft 'add chain ip t base { policy accept ; }'"),
        (NftCase(SET, ""), "nft add element ip t hosts '{ 10.0.1.2 }'"),
        (NftCase(MAP, "", to=SERVICE), "nft add element ip kube-proxy services '{ 172.30.0.41 . tcp . 80 : goto s }'"),
    ],
)
def test_what_is_tried_may_be_typed_and_helps(case: NftCase, command: str) -> None:
    flow, listeners = case.talk(1)
    tried = standard_repairs(case.world, run(case.world, flow, listeners))
    repair = next(one for one in tried if [typed.text for typed in one.commands] == [command])
    assert run(carried_out(case.world, repair.commands), flow, listeners).outcome.works


def test_a_rule_without_a_handle_is_not_deleted() -> None:
    case = NftCase(DROPS.replace(" # handle 9", ""), "")
    tried = standard_repairs(case.world, run(case.world, *case.talk(1)))
    assert not [typed for one in tried for typed in one.commands if "delete" in typed.text]
