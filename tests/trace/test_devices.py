"""Kinds of devices: how conversations over them end, as on a kernel that has them, and what is said of it."""

from __future__ import annotations

import pytest
from device_worlds import CASES, ipvlans, vlans
from small_worlds import talk

from mcnilib.snapshots.files import save
from mcnilib.snapshots.load import load_collected
from mcnilib.trace.explain import verdict
from mcnilib.trace.run import run


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_over_such_devices_ends_as_on_the_kernel(name: str) -> None:
    case = CASES[name]
    outcome = run(case.world, *case.talk(1)).outcome
    assert (outcome.verdict.value, outcome.error) == (case.verdict, case.error)


SAID = {
    "a macvlan child and its VLAN": "10.0.7.1 is an address of n, which does not hear eth0, a macvlan device on its en0.v",
    "a node and its ipvlan child": "10.0.1.11 is the address of eth0 of a, a ipvlan device on en0: it does not hear what en0 sends itself",
    "two ipvlan children, private": "`ipvlan  mode l2 private` and `ipvlan  mode l2 private` on one device do not hear each other",
    "what leaves by a dummy": "d0 loses it: a dummy device loses what it is to send",
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_the_verdict_says_who_does_not_hear_whom(name: str) -> None:
    assert SAID[name] in verdict(run(CASES[name].world, *CASES[name].talk(1)))


def test_a_frame_of_a_vlan_whose_device_was_not_collected_is_not_taken_for_lost() -> None:
    files = save(vlans())
    addresses = files["m/ip-address.txt"]
    files["m/ip-address.txt"] = addresses[: addresses.index("3: en0.v")]
    assert "m/ip-address has no device en0.v" in verdict(
        talk(load_collected(files), "icmp:10.0.7.2", client="n", server="m")
    )


def test_a_sibling_that_hears_the_question_is_not_said_to_be_deaf() -> None:
    files = save(ipvlans())
    del files["p/ip-route.txt"]
    said = verdict(talk(load_collected(files), "icmp:10.0.1.12", server="p"))
    assert said.startswith("unknown beyond this point") and "p/ip-route.txt" in said
