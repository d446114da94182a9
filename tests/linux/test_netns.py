"""What the kernel derives and refuses when a namespace is changed."""

from __future__ import annotations

import pytest
from ip_shell import model, real

from mcnilib.errors import Refused, Unsupported
from mcnilib.linux.device.link import Link
from mcnilib.linux.netns import add_address, add_link, add_routes, new_netns, set_link
from mcnilib.linux.origin import Origin
from mcnilib.linux.routing.route import parse_route

BASE = "address add 10.0.0.1/24 dev e0\naddress add 10.2.0.1/16 dev e2\n"

REFUSED = [
    ("", "address add 10.0.0.1/24 dev e0", "EEXIST"),
    ("", "address add 10.0.0.2/24 dev e0 scope link", "EINVAL"),  # the subnet is there with scope global
    ("", "route add 10.0.0.0/24 dev e2", "EEXIST"),  # the connected route has the prefix and metric 0
    ("route add 10.9.0.0/16 via 10.0.0.9 dev e0", "route add 10.9.0.0/16 via 10.0.0.8 dev e0", "EEXIST"),
    ("route add 10.9.0.0/16 via 10.0.0.9 dev e0", "route add blackhole 10.9.0.0/16", "EEXIST"),
    ("route add 10.9.0.0/16 via 10.0.0.9 dev e0", "route append 10.9.0.0/16 via 10.0.0.9 dev e0", "EEXIST"),
    ("route add 10.9.0.0/16 via 10.0.0.9 dev e0", "route prepend 10.9.0.0/16 via 10.0.0.9 dev e0", "EEXIST"),
    ("", "route del 10.9.0.0/16", "ESRCH"),
    ("route add 10.9.0.0/16 dev e0", "route del 10.9.0.0/16 dev e2", "ESRCH"),
    ("", "route add 10.9.0.0/16 via 10.77.0.1 dev e0", "ENETUNREACH"),  # no route to the gateway
    ("", "route add 10.9.0.0/16 via 10.2.0.9 dev e0", "ENETUNREACH"),  # not by this device
    ("", "route add 10.9.0.0/16 via 10.0.0.255 dev e0", "EINVAL"),  # a broadcast address
    ("route add default via 10.0.0.9 dev e0", "route add 10.9.0.0/16 via 8.8.8.8 dev e0", "ENETUNREACH"),  # not on-link
    ("", "route add 10.9.0.0/16 via 10.0.0.1 dev e0 onlink", "EINVAL"),  # an address of its own
    ("", "route add 10.9.0.0/16 dev e0 src 9.9.9.9", "EINVAL"),
    ("", "route add 10.9.0.0/16 via 10.0.0.9 dev e9", "ENODEV"),
    ("link set e0 down", "route add 10.9.0.0/16 dev e0", "ENETDOWN"),
    ("rule add to 1.1.1.1 lookup 7 priority 5", "rule add to 1.1.1.1 lookup 7 priority 5", "EEXIST"),
    ("neigh add 10.0.0.9 dev e0 lladdr 02:00:00:00:00:01 nud permanent",
     "neigh add 10.0.0.9 dev e0 lladdr 02:00:00:00:00:02 nud permanent", "EEXIST"),
    ("", "sysctl net.ipv4.conf.e9.rp_filter 1", "ENOENT"),
    ("", "sysctl net.ipv4.conf.e0.rp_filter on", "EINVAL"),
]  # fmt: skip

ALLOWED = [
    ("route add 10.9.0.0/16 dev e0", "route add 10.9.0.0/16 dev e0 metric 1"),
    ("route add 10.9.0.0/16 dev e0", "route add 10.9.0.0/16 dev e0 table 7"),
    ("route add 10.9.0.0/16 dev e0", "route append 10.9.0.0/16 dev e2"),
    ("route add 10.9.0.0/16 dev e0", "route add 10.8.0.0/16 via 10.9.0.1 dev e0"),  # behind an on-link route
    ("route add 10.9.0.0/16 dev e0 table 7", "route add 10.8.0.0/16 via 10.9.0.1 dev e0 table 7"),
    ("", "route add 10.9.0.0/16 via 10.0.0.1 dev e0"),  # an address of its own, not onlink
    ("", "route add 10.9.0.0/16 via 192.0.2.1 dev e0 onlink"),
    ("", "route add 10.9.0.0/16 dev e0 src 10.2.0.1"),  # an address of another device
    ("link set e0 down", "address add 10.5.0.1/24 dev e0"),
    ("rule add to 1.1.1.1 lookup 7", "rule add to 1.1.1.1 lookup 7"),  # the second gets a number of its own
]


@pytest.mark.parametrize(("before", "command", "error"), REFUSED)
def test_what_is_refused(before: str, command: str, error: str) -> None:
    netns_commands = BASE + before
    model(netns_commands)
    with pytest.raises(Refused) as caught:
        model(f"{netns_commands}\n{command}")
    assert caught.value.error == error


@pytest.mark.parametrize(("before", "command"), ALLOWED)
def test_what_is_allowed(before: str, command: str) -> None:
    assert model(f"{BASE}{before}\n{command}") != model(f"{BASE}{before}")


def attempt(command: str) -> str:
    argv = command.split()
    typed = f"sysctl -w {argv[1]}={argv[2]}" if argv[0] == "sysctl" else f"ip {command}"
    return f"({typed} && echo taken)"


@pytest.mark.kernel
@pytest.mark.parametrize(("before", "command", "error"), REFUSED)
def test_the_kernel_refuses_it_too(before: str, command: str, error: str) -> None:
    (answer,) = real(BASE + before, [attempt(command)])
    assert "taken" not in answer and answer


@pytest.mark.kernel
@pytest.mark.parametrize(("before", "command"), ALLOWED)
def test_the_kernel_allows_it_too(before: str, command: str) -> None:
    (answer,) = real(BASE + before, [attempt(command)])
    assert "taken" in answer


def test_a_fresh_namespace_has_lo_and_its_routes() -> None:
    netns = new_netns("pod")
    assert [str(a.interface) for a in netns.link("lo").addresses] == ["127.0.0.1/8"]
    assert [str(route) for route in netns.ip4.routes] == [
        "local 127.0.0.0/8 dev lo proto kernel scope host src 127.0.0.1 ",
        "local 127.0.0.1 dev lo proto kernel scope host src 127.0.0.1 ",
        "broadcast 127.255.255.255 dev lo proto kernel scope link src 127.0.0.1 ",
    ]


def test_derived_routes_name_the_address_they_come_from() -> None:
    netns = model("address add 172.16.1.2/16 dev e0")
    whys = {str(r.origin) for r in netns.ip4.routes if r.dev == "e0"}
    assert whys == {"the kernel: derived from the address 172.16.1.2/16 on e0"}


def test_a_route_keeps_who_wrote_it() -> None:
    origin = Origin("the learner", "to see what happens")
    netns = add_routes(model(BASE), parse_route("10.9.0.0/16 dev e0 scope link", origin=origin))
    assert [r.origin for r in netns.ip4.routes if str(r.dst) == "10.9.0.0/16"] == [origin]


ORDERS = [
    ("10.0.0.1/24 10.0.0.2/24", "10.0.0.1/24 10.0.0.2/24"),
    ("10.0.0.1/24 10.0.0.2/24 10.1.0.1/24", "10.0.0.1/24 10.1.0.1/24 10.0.0.2/24"),  # secondaries last
    ("10.0.0.1/24 10.0.0.2/25", "10.0.0.1/24 10.0.0.2/25"),  # another prefix length is another subnet
    ("10.0.0.1/24 127.0.0.5/32 10.1.0.1/24", "127.0.0.5/32 10.0.0.1/24 10.1.0.1/24"),  # the nearer scope first
]


def typed_addresses(addresses: str) -> str:
    return "\n".join(f"address add {address} dev e0" for address in addresses.split())


@pytest.mark.parametrize(("typed", "printed"), ORDERS)
def test_the_order_of_addresses(typed: str, printed: str) -> None:
    netns = model(typed_addresses(typed))
    assert " ".join(str(a.interface) for a in netns.link("e0").addresses) == printed


@pytest.mark.kernel
@pytest.mark.parametrize(("typed", "printed"), ORDERS)
def test_the_kernel_orders_addresses_so(typed: str, printed: str) -> None:
    (answer,) = real(typed_addresses(typed), ["ip -o -4 address show e0"])
    assert " ".join(line.split()[3] for line in answer.splitlines()) == printed


@pytest.mark.parametrize("link", [Link(2, "other"), Link(9, "e0")])
def test_names_and_numbers_of_devices_are_unique(link: Link) -> None:
    with pytest.raises(Refused, match="EEXIST"):
        add_link(model(""), link)


def test_devices_stand_in_the_order_of_their_numbers() -> None:
    netns = add_link(add_link(new_netns("x"), Link(7, "late")), Link(3, "early"))
    assert [link.name for link in netns.links] == ["lo", "early", "late"]


def test_an_unknown_device_is_named_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="no device 'e9' in here; there are lo, e0, e1, e2, e3"):
        add_address(model(""), "e9", "10.0.0.1/24")


def test_a_device_that_is_off_keeps_its_own_addresses_reachable() -> None:
    netns = set_link(model(BASE), "e0", up=False)
    assert [str(r) for r in netns.ip4.routes if r.dev == "e0"] == [
        "local 10.0.0.1 dev e0 proto kernel scope host src 10.0.0.1 "
    ]


def test_an_unknown_sysctl_is_named_with_the_nearest() -> None:
    with pytest.raises(Unsupported, match=r"net.ipv4.conf.e0.rp_filtre is not modelled; did you mean 'rp_filter'\?"):
        model("sysctl net.ipv4.conf.e0.rp_filtre 1")
