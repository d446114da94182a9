"""States of one namespace, as typed, and what the kernel answers to `ip route get` in each.

An answer is the line of the table (`fibmatch`) or the errno, then `src` and the address an unbound socket gets. They were
taken from Linux 6.18 and are measured again by the tests marked `kernel`; the names say why a row is here.
"""

from __future__ import annotations

from typing import NamedTuple


class State(NamedTuple):
    """Commands without `ip`, and lines `QUESTION -> ANSWER [=> SOURCE]`."""

    name: str
    commands: str
    answers: str = ""

    def rows(self) -> list[tuple[str, str, str]]:
        """Split the answers into question, answer and source address."""
        rows = []
        for line in filter(None, map(str.strip, self.answers.splitlines())):
            question, _, answer = line.partition(" -> ")
            answer, _, source = answer.partition(" => ")
            rows.append((question, answer, source))
        return rows


STATES = (
    State(
        "an address",
        """
        address add 10.0.0.1/24 dev e0
        """,
        """
        10.0.0.1 -> local 10.0.0.1 dev e0 proto kernel scope host src 10.0.0.1 => 10.0.0.1
        10.0.0.9 -> 10.0.0.0/24 dev e0 proto kernel scope link src 10.0.0.1 => 10.0.0.1
        10.0.0.255 -> broadcast 10.0.0.255 dev e0 proto kernel scope link src 10.0.0.1 => 10.0.0.1
        10.0.1.1 -> ENETUNREACH
        127.0.0.9 -> local 127.0.0.0/8 dev lo proto kernel scope host src 127.0.0.1 => 127.0.0.1
        10.0.0.9 oif e0 -> 10.0.0.0/24 dev e0 proto kernel scope link src 10.0.0.1
        10.0.0.0 -> 10.0.0.0/24 dev e0 proto kernel scope link src 10.0.0.1 => 10.0.0.1
        """,
    ),
    State(
        "addresses with prefixes 8, 30, 31, 32",
        """
        address add 10.0.0.1/8 dev e0
        address add 172.16.0.1/30 dev e0
        address add 192.168.0.0/31 dev e0
        address add 192.168.9.1/32 dev e0
        """,
        """
        10.255.255.255 -> broadcast 10.255.255.255 dev e0 proto kernel scope link src 10.0.0.1 => 10.0.0.1
        172.16.0.3 -> broadcast 172.16.0.3 dev e0 proto kernel scope link src 172.16.0.1 => 172.16.0.1
        172.16.0.2 -> 172.16.0.0/30 dev e0 proto kernel scope link src 172.16.0.1 => 172.16.0.1
        192.168.0.1 -> 192.168.0.0/31 dev e0 proto kernel scope link src 192.168.0.0 => 192.168.0.0
        192.168.9.1 -> local 192.168.9.1 dev e0 proto kernel scope host src 192.168.9.1 => 192.168.9.1
        192.168.9.2 -> ENETUNREACH
        """,
    ),
    State(
        "an address with a broadcast of its own",
        """
        address add 10.0.0.1/24 dev e0 brd 10.0.0.77
        address add 10.3.0.1/24 dev e2 brd +
        """,
        """
        10.0.0.77 -> broadcast 10.0.0.77 dev e0 proto kernel scope link src 10.0.0.1 => 10.0.0.1
        10.0.0.255 -> broadcast 10.0.0.255 dev e0 proto kernel scope link src 10.0.0.1 => 10.0.0.1
        10.3.0.255 -> broadcast 10.3.0.255 dev e2 proto kernel scope link src 10.3.0.1 => 10.3.0.1
        """,
    ),
    State(
        "two addresses in one subnet: the second is secondary",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.0.0.2/24 dev e0
        address add 10.0.0.3/24 dev e0
        address add 10.0.0.4/25 dev e0
        """,
        """
        10.0.0.2 -> local 10.0.0.2 dev e0 proto kernel scope host src 10.0.0.1 => 10.0.0.1
        10.0.0.9 -> 10.0.0.0/25 dev e0 proto kernel scope link src 10.0.0.4 => 10.0.0.4
        10.0.0.200 -> 10.0.0.0/24 dev e0 proto kernel scope link src 10.0.0.1 => 10.0.0.1
        """,
    ),
    State(
        "one subnet on two devices: the first comes first",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.0.0.2/24 dev e2
        """,
        """
        10.0.0.9 -> 10.0.0.0/24 dev e0 proto kernel scope link src 10.0.0.1 => 10.0.0.1
        10.0.0.2 -> local 10.0.0.2 dev e2 proto kernel scope host src 10.0.0.2 => 10.0.0.2
        10.0.0.9 from 10.0.0.2 -> 10.0.0.0/24 dev e0 proto kernel scope link src 10.0.0.1
        """,
    ),
    State(
        "addresses on lo",
        """
        address add 10.0.0.1/24 dev lo
        address add 10.3.0.1/32 dev lo
        """,
        """
        10.0.0.77 -> local 10.0.0.0/24 dev lo proto kernel scope host src 10.0.0.1 => 10.0.0.1
        10.3.0.1 -> local 10.3.0.1 dev lo proto kernel scope host src 10.3.0.1 => 10.3.0.1
        10.0.0.255 -> broadcast 10.0.0.255 dev lo proto kernel scope link src 10.0.0.1 => 10.0.0.1
        """,
    ),
    State(
        "longest prefix, then metric, then order",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        route add default via 10.0.0.9 dev e0
        route add 10.9.0.0/16 via 10.0.0.8 dev e0
        route add 10.9.0.0/16 via 10.0.0.7 dev e0 metric 5
        route add 10.9.9.0/24 via 10.2.0.6 dev e2 metric 9
        route add 10.9.9.0/24 via 10.2.0.5 dev e2 metric 3
        route append 10.9.0.0/16 via 10.0.0.6 dev e0
        route prepend 10.9.0.0/16 via 10.0.0.5 dev e0
        """,
        """
        10.9.1.1 -> 10.9.0.0/16 via 10.0.0.5 dev e0 => 10.0.0.1
        10.9.9.1 -> 10.9.9.0/24 via 10.2.0.5 dev e2 metric 3 => 10.2.0.1
        1.1.1.1 -> default via 10.0.0.9 dev e0 => 10.0.0.1
        10.9.9.1 oif e0 -> 10.9.0.0/16 via 10.0.0.5 dev e0
        """,
    ),
    State(
        "deleting a route",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        route add 10.9.0.0/16 via 10.0.0.8 dev e0
        route add 10.9.0.0/16 via 10.2.0.8 dev e2 metric 5
        route del 10.9.0.0/16
        route add default via 10.0.0.4 dev e0
        route del default
        """,
        """
        10.9.0.1 -> 10.9.0.0/16 via 10.2.0.8 dev e2 metric 5 => 10.2.0.1
        1.1.1.1 -> ENETUNREACH
        """,
    ),
    State(
        "rejecting routes in main",
        """
        address add 10.0.0.1/24 dev e0
        route add blackhole 10.1.0.0/16 proto 80
        route add unreachable 10.2.0.0/16 metric 7
        route add prohibit 10.3.0.0/16
        route add throw 10.4.0.0/16
        route add default via 10.0.0.9 dev e0
        """,
        """
        10.1.0.1 -> EINVAL
        10.2.0.1 -> EHOSTUNREACH
        10.3.0.1 -> EACCES
        10.4.0.1 -> ENETUNREACH
        10.5.0.1 -> default via 10.0.0.9 dev e0 => 10.0.0.1
        """,
    ),
    State(
        "a rejecting route in main ends the search",
        """
        address add 10.0.0.1/24 dev e0
        route add blackhole 10.1.0.0/16
        route add 10.1.0.0/16 via 10.0.0.9 dev e0 table default
        """,
        """
        10.1.0.1 -> EINVAL
        """,
    ),
    State(
        "and so it does with a rule of somebody's own",
        """
        address add 10.0.0.1/24 dev e0
        route add blackhole 10.1.0.0/16
        route add 10.1.0.0/16 via 10.0.0.9 dev e0 table default
        rule add fwmark 0x7 lookup 7
        """,
        """
        10.1.0.1 -> EINVAL
        """,
    ),
    State(
        "local and main are one table while nobody adds a rule",
        """
        address add 10.0.0.1/24 dev e0
        route add local 10.5.0.0/16 dev lo
        route add 10.5.5.0/24 via 10.0.0.9 dev e0
        route add 127.5.0.0/16 via 10.0.0.9 dev e0
        """,
        """
        10.5.0.1 -> local 10.5.0.0/16 dev lo scope host => 10.5.0.1
        10.5.5.1 -> 10.5.5.0/24 via 10.0.0.9 dev e0 => 10.0.0.1
        127.5.0.1 -> 127.5.0.0/16 via 10.0.0.9 dev e0 => 10.0.0.1
        """,
    ),
    State(
        "and two once somebody has",
        """
        address add 10.0.0.1/24 dev e0
        route add local 10.5.0.0/16 dev lo
        route add 10.5.5.0/24 via 10.0.0.9 dev e0
        route add 127.5.0.0/16 via 10.0.0.9 dev e0
        rule add fwmark 0x7 lookup 7
        """,
        """
        10.5.0.1 -> local 10.5.0.0/16 dev lo table local scope host => 10.5.0.1
        10.5.5.1 -> local 10.5.0.0/16 dev lo table local scope host => 10.5.5.1
        127.5.0.1 -> local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1 => 127.0.0.1
        """,
    ),
    State(
        "rules by mark",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        route add default via 10.0.0.9 dev e0
        route add default via 10.2.0.9 dev e2 table 100
        rule add fwmark 0x1 lookup 100
        rule add fwmark 0x4000/0x4000 lookup 100
        rule add fwmark 0x0/0xf0000 to 9.9.9.9 lookup 100
        """,
        """
        1.1.1.1 -> default via 10.0.0.9 dev e0 => 10.0.0.1
        1.1.1.1 mark 1 -> default via 10.2.0.9 dev e2 table 100
        1.1.1.1 mark 3 -> default via 10.0.0.9 dev e0
        1.1.1.1 mark 0x4001 -> default via 10.2.0.9 dev e2 table 100
        9.9.9.9 -> default via 10.2.0.9 dev e2 table 100 => 10.2.0.1
        9.9.9.9 mark 0x10000 -> default via 10.0.0.9 dev e0
        10.0.0.5 mark 1 -> default via 10.2.0.9 dev e2 table 100
        """,
    ),
    State(
        "rules by source, destination and device",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        route add default via 10.0.0.9 dev e0
        route add default via 10.2.0.9 dev e2 table 100
        route add default via 10.2.0.8 dev e2 table 101
        rule add from 10.2.0.1 lookup 100
        rule add to 8.8.0.0/16 lookup 100
        rule add iif e3 lookup 101
        rule add oif e2 lookup 101
        rule add iif lo to 7.7.7.7 lookup 101
        """,
        """
        1.1.1.1 -> default via 10.0.0.9 dev e0 => 10.0.0.1
        1.1.1.1 from 10.2.0.1 -> default via 10.2.0.9 dev e2 table 100
        1.1.1.1 from 10.0.0.1 -> default via 10.0.0.9 dev e0
        8.8.1.1 -> default via 10.2.0.9 dev e2 table 100 => 10.2.0.1
        1.1.1.1 from 10.0.0.5 iif e0 -> default via 10.0.0.9 dev e0
        1.1.1.1 from 10.0.0.5 iif e3 -> default via 10.2.0.8 dev e2 table 101
        1.1.1.1 oif e2 -> default via 10.2.0.8 dev e2 table 101
        7.7.7.7 -> default via 10.2.0.8 dev e2 table 101 => 10.2.0.1
        7.7.7.7 from 10.0.0.5 iif e0 -> default via 10.0.0.9 dev e0
        """,
    ),
    State(
        "a rule that says not",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        route add default via 10.0.0.9 dev e0
        route add default via 10.2.0.9 dev e2 table 100
        rule add not from all fwmark 0x1 lookup 100
        """,
        """
        1.1.1.1 -> default via 10.2.0.9 dev e2 table 100 => 10.2.0.1
        1.1.1.1 mark 1 -> default via 10.0.0.9 dev e0
        """,
    ),
    State(
        "rules that reject",
        """
        address add 10.0.0.1/24 dev e0
        route add default via 10.0.0.9 dev e0
        rule add to 1.1.1.1 blackhole priority 5
        rule add to 2.2.2.2 unreachable priority 5
        rule add to 3.3.3.3 prohibit priority 5
        rule add from 10.0.0.1 to 4.4.4.4 prohibit
        """,
        """
        1.1.1.1 -> EINVAL
        2.2.2.2 -> ENETUNREACH
        3.3.3.3 -> EACCES
        4.4.4.4 -> default via 10.0.0.9 dev e0 => 10.0.0.1
        4.4.4.4 from 10.0.0.1 -> EACCES
        """,
    ),
    State(
        "a rule that passes over short prefixes, as a tunnel for everything writes it",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/24 dev e2
        route add default via 10.0.0.9 dev e0
        route add 9.0.0.0/8 via 10.0.0.8 dev e0
        route add blackhole 8.0.0.0/8
        route add default via 10.2.0.9 dev e2 table 100
        rule add not from all fwmark 0x7 lookup 100 priority 200
        rule add lookup main suppress_prefixlength 8 priority 100
        """,
        """
        1.1.1.1 -> default via 10.2.0.9 dev e2 table 100 => 10.2.0.1
        1.1.1.1 mark 7 -> default via 10.0.0.9 dev e0
        9.1.1.1 -> default via 10.2.0.9 dev e2 table 100 => 10.2.0.1
        8.1.1.1 -> EINVAL
        10.0.0.7 -> 10.0.0.0/24 dev e0 proto kernel scope link src 10.0.0.1 => 10.0.0.1
        """,
    ),
    State(
        "numbers the kernel gives to rules",
        """
        address add 10.0.0.1/24 dev e0
        rule add lookup 100
        rule add from 10.0.0.1 lookup 100
        rule add to 10.0.0.1 lookup 100 priority 1000
        rule add fwmark 0x1 lookup 101
        rule add fwmark 0x2 lookup 102 priority 1000
        """,
    ),
    State(
        "a table that throws, one that is empty, one without a match",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        route add default via 10.0.0.9 dev e0
        route add throw 10.9.0.0/16 table 100
        route add default via 10.2.0.9 dev e2 table 100
        route add 10.8.0.0/16 dev e2 table 101
        rule add lookup 100
        rule add lookup 101
        rule add lookup 102
        """,
        """
        10.9.0.1 -> default via 10.0.0.9 dev e0 => 10.0.0.1
        1.1.1.1 -> default via 10.2.0.9 dev e2 table 100 => 10.2.0.1
        10.8.0.1 -> 10.8.0.0/16 dev e2 table 101 scope link => 10.2.0.1
        """,
    ),
    State(
        "a more specific route by the wrong device",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        route add 10.9.0.0/16 via 10.0.0.8 dev e0
        route add 10.9.9.0/24 via 10.2.0.8 dev e2
        route add default via 10.2.0.7 dev e2 metric 4
        """,
        """
        10.9.9.1 oif e0 -> 10.9.0.0/16 via 10.0.0.8 dev e0
        10.9.1.1 oif e2 -> default via 10.2.0.7 dev e2 metric 4
        10.9.9.1 -> 10.9.9.0/24 via 10.2.0.8 dev e2 => 10.2.0.1
        """,
    ),
    State(
        "a device that is down",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        route add 10.9.0.0/16 via 10.2.0.8 dev e2
        route add default via 10.0.0.9 dev e0
        link set e2 down
        """,
        """
        10.9.0.1 -> default via 10.0.0.9 dev e0 => 10.0.0.1
        10.2.0.9 -> default via 10.0.0.9 dev e0 => 10.0.0.1
        10.2.0.1 -> local 10.2.0.1 dev e2 proto kernel scope host src 10.2.0.1 => 10.2.0.1
        """,
    ),
    State(
        "down and up again",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        route add 10.9.0.0/16 via 10.2.0.8 dev e2
        link set e2 down
        link set e2 up
        """,
        """
        10.9.0.1 -> ENETUNREACH
        10.2.0.9 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1 => 10.2.0.1
        """,
    ),
    State(
        "a gateway behind a host route; onlink",
        """
        address add 10.0.0.1/32 dev e0
        route add 169.254.1.1 dev e0
        route add default via 169.254.1.1 dev e0
        route add 10.9.0.0/16 via 192.0.2.1 dev e0 onlink
        neigh add 169.254.1.1 dev e0 lladdr ee:ee:ee:ee:ee:ee nud permanent
        """,
        """
        1.1.1.1 -> default via 169.254.1.1 dev e0 => 10.0.0.1
        10.9.0.1 -> 10.9.0.0/16 via 192.0.2.1 dev e0 onlink => 10.0.0.1
        169.254.1.1 -> 169.254.1.1 dev e0 scope link => 10.0.0.1
        """,
    ),
    State(
        "sources: src of the route, first address of the device, first of the namespace",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        address add 10.7.0.1/24 dev e2
        route add 10.9.0.0/16 dev e2 src 10.0.0.1
        route add 10.8.0.0/16 dev e2
        route add 10.6.0.0/16 dev e3
        route add 10.10.0.0/16 via 10.7.0.9 dev e2
        route add 10.11.0.0/16 via 10.6.0.9 dev e3 onlink
        """,
        """
        10.9.0.1 -> 10.9.0.0/16 dev e2 scope link src 10.0.0.1 => 10.0.0.1
        10.8.0.1 -> 10.8.0.0/16 dev e2 scope link => 10.2.0.1
        10.7.0.5 -> 10.7.0.0/24 dev e2 proto kernel scope link src 10.7.0.1 => 10.7.0.1
        10.6.0.1 -> 10.6.0.0/16 dev e3 scope link => 10.0.0.1
        10.10.0.1 -> 10.10.0.0/16 via 10.7.0.9 dev e2 => 10.7.0.1
        10.11.0.1 -> 10.11.0.0/16 via 10.6.0.9 dev e3 onlink => 10.0.0.1
        127.0.0.5 -> local 127.0.0.0/8 dev lo proto kernel scope host src 127.0.0.1 => 127.0.0.1
        """,
    ),
    State(
        "sources: link scope",
        """
        address add 192.168.0.1/24 dev e0 scope link
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/24 dev e2
        route add 10.8.0.0/16 dev e0
        route add 10.9.0.0/16 dev e0 scope global
        route add 10.10.0.0/16 via 192.168.0.9 dev e0
        """,
        """
        10.8.0.1 -> 10.8.0.0/16 dev e0 scope link => 192.168.0.1
        10.9.0.1 -> 10.9.0.0/16 dev e0 => 10.0.0.1
        192.168.0.5 -> 192.168.0.0/24 dev e0 proto kernel scope link src 192.168.0.1 => 192.168.0.1
        10.10.0.1 -> 10.10.0.0/16 via 192.168.0.9 dev e0 => 10.0.0.1
        """,
    ),
    State(
        "sources: only lo has a global address",
        """
        address add 10.99.0.1/32 dev lo
        route add 10.8.0.0/16 dev e0
        """,
        """
        10.8.0.1 -> 10.8.0.0/16 dev e0 scope link => 10.99.0.1
        """,
    ),
    State(
        "the node of a Calico and Macvlan cluster",
        """
        address add 172.16.1.2/16 dev e0
        sysctl net.ipv4.ip_forward 1
        route add default via 172.16.0.1 dev e0
        route add 10.233.101.0/26 via 172.16.1.3 dev e0 proto bird
        route add blackhole 10.233.100.0/26 proto bird
        route add 10.233.100.3 dev e2
        rule add lookup 500 priority 1000
        route add 172.16.100.2 dev e2 table 500
        """,
        """
        10.233.100.3 -> 10.233.100.3 dev e2 scope link => 172.16.1.2
        10.233.100.4 -> EINVAL
        10.233.101.9 -> 10.233.101.0/26 via 172.16.1.3 dev e0 proto bird => 172.16.1.2
        172.16.100.2 -> 172.16.100.2 dev e2 table 500 scope link => 172.16.1.2
        172.16.100.2 from 172.16.100.2 iif e0 -> 172.16.100.2 dev e2 table 500 scope link
        1.1.1.1 from 10.233.100.3 iif e2 -> default via 172.16.0.1 dev e0
        """,
    ),
    State(
        "forwarding off",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        """,
        """
        10.2.0.9 from 10.0.0.5 iif e0 -> EHOSTUNREACH
        10.0.0.1 from 10.0.0.5 iif e0 -> local 10.0.0.1 dev e0 proto kernel scope host src 10.0.0.1
        10.9.0.1 from 10.0.0.5 iif e0 -> EHOSTUNREACH
        """,
    ),
    State(
        "rp_filter off",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        """,
        """
        10.2.0.9 from 10.0.0.5 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.2.0.9 from 10.2.0.5 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.2.0.9 from 9.9.9.9 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.2.0.9 from 10.0.0.1 iif e0 -> EINVAL
        10.2.0.1 from 10.0.0.1 iif e0 -> EINVAL
        10.2.0.9 from 127.0.0.1 iif e0 -> EINVAL
        127.0.0.1 from 10.0.0.5 iif e0 -> EINVAL
        10.2.0.9 from 224.0.0.1 iif e0 -> EINVAL
        10.2.0.9 from 0.0.0.1 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.2.0.9 from 10.0.0.255 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.0.0.9 from 10.0.0.5 iif e0 -> 10.0.0.0/24 dev e0 proto kernel scope link src 10.0.0.1
        10.2.0.9 from 10.2.0.5 iif e1 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        """,
    ),
    State(
        "rp_filter strict",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        sysctl net.ipv4.conf.all.rp_filter 1
        route add blackhole 10.66.0.0/16
        """,
        """
        10.2.0.9 from 10.0.0.5 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.2.0.9 from 10.2.0.5 iif e0 -> EINVAL
        10.2.0.9 from 9.9.9.9 iif e0 -> EINVAL
        10.0.0.1 from 10.2.0.5 iif e0 -> EINVAL
        10.2.0.9 from 10.0.0.5 iif e1 -> EINVAL
        10.2.0.9 from 10.66.0.5 iif e0 -> EINVAL
        10.2.0.9 from 10.0.0.255 iif e0 -> EINVAL
        10.2.0.9 from 10.0.0.1 iif e0 -> EINVAL
        """,
    ),
    State(
        "rp_filter loose",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        sysctl net.ipv4.conf.e0.rp_filter 2
        sysctl net.ipv4.conf.e1.rp_filter 2
        route add blackhole 10.66.0.0/16
        """,
        """
        10.2.0.9 from 10.0.0.5 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.2.0.9 from 10.2.0.5 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.2.0.9 from 9.9.9.9 iif e0 -> EINVAL
        10.2.0.9 from 10.0.0.5 iif e1 -> EINVAL
        10.2.0.9 from 10.66.0.5 iif e0 -> EINVAL
        """,
    ),
    State(
        "the larger of all and device",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        sysctl net.ipv4.conf.all.rp_filter 1
        sysctl net.ipv4.conf.e0.rp_filter 2
        """,
        """
        10.2.0.9 from 10.2.0.5 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.0.0.9 from 10.0.0.5 iif e2 -> EINVAL
        """,
    ),
    State(
        "all off does not undo the device's own",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        sysctl net.ipv4.conf.e0.rp_filter 1
        sysctl net.ipv4.conf.all.rp_filter 0
        """,
        """
        10.2.0.9 from 10.2.0.5 iif e0 -> EINVAL
        """,
    ),
    State(
        "strict, and a host route makes the way back right",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        sysctl net.ipv4.conf.all.rp_filter 1
        route add 10.2.0.5 dev e0
        """,
        """
        10.2.0.9 from 10.2.0.5 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        """,
    ),
    State(
        "strict, and rules see the addresses swapped",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        sysctl net.ipv4.conf.all.rp_filter 1
        route add 10.2.0.5 dev e0 table 100
        rule add from 10.2.0.9 lookup 100
        route add 10.2.0.6 dev e0 table 101
        rule add iif e2 lookup 101
        """,
        """
        10.2.0.9 from 10.2.0.5 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.2.0.8 from 10.2.0.5 iif e0 -> EINVAL
        10.2.0.8 from 10.2.0.6 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.2.0.1 from 10.2.0.6 iif e0 -> EINVAL
        """,
    ),
    State(
        "strict, and a mark rule, with and without src_valid_mark",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        sysctl net.ipv4.conf.all.rp_filter 1
        sysctl net.ipv4.conf.e0.src_valid_mark 1
        route add 10.9.0.0/16 dev e0 table 100
        route add 10.9.0.0/16 dev e2 table 101
        rule add fwmark 0x1 lookup 100
        rule add fwmark 0x2 lookup 101
        """,
        """
        10.2.0.9 from 10.9.0.5 iif e0 mark 1 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.2.0.9 from 10.9.0.5 iif e0 mark 2 -> EINVAL
        10.0.0.9 from 10.9.0.5 iif e2 mark 2 -> EINVAL
        10.2.0.9 from 10.9.0.5 iif e0 -> EINVAL
        """,
    ),
    State(
        "own addresses as source: accept_local",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        sysctl net.ipv4.conf.e0.accept_local 1
        """,
        """
        10.2.0.9 from 10.0.0.1 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.2.0.9 from 10.0.0.1 iif e2 -> EINVAL
        """,
    ),
    State(
        "own addresses as source: a custom local route needs the full check",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        route add local 10.55.0.0/16 dev lo
        """,
        """
        10.2.0.9 from 10.55.0.1 iif e0 -> EINVAL
        10.2.0.9 from 10.0.0.1 iif e0 -> EINVAL
        """,
    ),
    State(
        "own addresses as source: a network on lo is local, but only addresses are asked about",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        address add 10.77.0.1/24 dev lo
        """,
        """
        10.2.0.9 from 10.77.0.9 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.2.0.9 from 10.77.0.1 iif e0 -> EINVAL
        """,
    ),
    State(
        "own addresses as source: the same with a rule of somebody's own",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        address add 10.77.0.1/24 dev lo
        rule add fwmark 0x7 lookup 7
        """,
        """
        10.2.0.9 from 10.77.0.9 iif e0 -> EINVAL
        """,
    ),
    State(
        "route_localnet",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        sysctl net.ipv4.conf.e0.route_localnet 1
        """,
        """
        10.2.0.9 from 127.0.0.5 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        127.0.0.1 from 10.0.0.5 iif e0 -> local 127.0.0.1 dev lo proto kernel scope host src 127.0.0.1
        127.0.0.1 from 10.2.0.5 iif e2 -> EINVAL
        """,
    ),
    State(
        "forwarding of one device",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        sysctl net.ipv4.conf.e2.forwarding 0
        """,
        """
        10.2.0.9 from 10.0.0.5 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.0.0.9 from 10.2.0.5 iif e2 -> EHOSTUNREACH
        """,
    ),
    State(
        "back out by the same device: redirects make the check full",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        route add 10.9.0.0/16 via 10.0.0.9 dev e0
        address add 10.77.0.1/24 dev lo
        """,
        """
        10.9.0.9 from 10.77.0.9 iif e0 -> EINVAL
        10.2.0.9 from 10.77.0.9 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        """,
    ),
    State(
        "a device follows default until it has an address",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        sysctl net.ipv4.ip_forward 1
        sysctl net.ipv4.conf.default.accept_local 1
        address add 10.7.0.1/24 dev e3
        sysctl net.ipv4.conf.default.accept_local 0
        """,
        """
        10.2.0.9 from 10.0.0.1 iif e0 -> EINVAL
        10.2.0.9 from 10.0.0.1 iif e1 -> EINVAL
        10.2.0.9 from 10.0.0.1 iif e3 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        """,
    ),
    State(
        "0.0.0.0/8 is like any other network, but for 0.0.0.0 itself",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        address add 0.5.0.1/16 dev e3
        sysctl net.ipv4.ip_forward 1
        """,
        """
        0.5.0.9 -> 0.5.0.0/16 dev e3 proto kernel scope link src 0.5.0.1 => 0.5.0.1
        10.2.0.9 from 0.0.0.1 iif e0 -> 10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1
        10.2.0.9 from 0.5.0.1 iif e0 -> EINVAL
        """,
    ),
    State(
        "one prefix in local and in main: local comes first",
        """
        address add 10.0.0.1/24 dev e0
        route add 10.5.0.0/16 via 10.0.0.9 dev e0
        route add local 10.5.0.0/16 dev lo
        """,
        """
        10.5.0.1 -> local 10.5.0.0/16 dev lo scope host => 10.5.0.1
        """,
    ),
    State(
        "prefixes that begin alike: the longer is listed first",
        """
        address add 10.0.0.1/24 dev e0
        route add 10.9.0.0/16 via 10.0.0.9 dev e0
        route add 10.9.0.0/24 via 10.0.0.8 dev e0
        route add 10.0.0.0/8 via 10.0.0.7 dev e0
        route add 10.9.0.0 via 10.0.0.6 dev e0
        """,
        """
        10.9.0.0 -> 10.9.0.0 via 10.0.0.6 dev e0 => 10.0.0.1
        10.9.0.1 -> 10.9.0.0/24 via 10.0.0.8 dev e0 => 10.0.0.1
        10.9.1.1 -> 10.9.0.0/16 via 10.0.0.9 dev e0 => 10.0.0.1
        10.10.0.1 -> 10.0.0.0/8 via 10.0.0.7 dev e0 => 10.0.0.1
        """,
    ),
    State(
        "sources: no gateway, so the destination does not matter",
        """
        address add 10.0.0.1/24 dev e0
        address add 10.2.0.1/16 dev e2
        address add 10.7.0.1/24 dev e2
        route add 10.7.0.128/25 dev e2
        """,
        """
        10.7.0.130 -> 10.7.0.128/25 dev e2 scope link => 10.2.0.1
        10.7.0.5 -> 10.7.0.0/24 dev e2 proto kernel scope link src 10.7.0.1 => 10.7.0.1
        """,
    ),
    State(
        "sources: an address of scope link stays on its device",
        """
        address add 192.168.0.1/24 dev e0 scope link
        address add 10.2.0.1/24 dev e2
        route add 10.8.0.0/16 dev e3
        route add 10.9.0.0/16 dev e0
        """,
        """
        10.8.0.1 -> 10.8.0.0/16 dev e3 scope link => 10.2.0.1
        10.9.0.1 -> 10.9.0.0/16 dev e0 scope link => 192.168.0.1
        """,
    ),
)
