"""Commands an administrator types into a namespace, carried out on the model: `ip`, `iptables`, `sysctl`.

    world = do(world, "node1", "iptables -t raw -I PREROUTING -i veth1 -j NOTRACK")
    world = do(world, "node2", "ip route add 172.16.100.2 via 172.16.1.2 dev en0")

Understood: ip route add|append|prepend|replace|del, ip rule add|del, ip address add, ip neigh add,
ip link set DEV up|down, iptables -A|-I|-D|-P|-N|-F, sysctl [-w] KEY=VALUE. Nothing is run on this machine.
Source: ip-route(8), ip-rule(8), iptables(8), sysctl(8).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mcnilib.errors import McniError, StateSyntaxError, Unsupported
from mcnilib.linux.chain_checks import check_table
from mcnilib.linux.iptables_save import parse_rule as parse_chain_rule
from mcnilib.linux.neigh import parse_neigh
from mcnilib.linux.netns import (
    Netns,
    add_address,
    add_neigh,
    add_routes,
    add_rule,
    del_route,
    set_link,
    set_sysctl,
)
from mcnilib.linux.nexthop import device_of
from mcnilib.linux.origin import Origin
from mcnilib.linux.route_parse import parse_route, parse_rule
from mcnilib.linux.tables import Tables, append, delete, find_table, flush_chain, insert, new_chain, set_policy
from mcnilib.linux.words import Words
from mcnilib.linux.world import World

LEARNER = Origin("you", "typed as a command")
USAGE = "ip route|rule|address|neigh|link ..., iptables ..., sysctl KEY=VALUE"

NEAR = {"local": "host", "broadcast": "link"}
"""Types of routes that `ip` puts into table local, unless another is named, and the scope it gives them.

Without a gateway the scope of a unicast route is link. Source: iproute_modify() in ip/iproute.c, ip-route(8).
"""

PRIORITY = tuple(word[:n] for word in ("preference", "priority", "order") for n in range(3, len(word) + 1))
"""`ip rule` takes what begins one of its words, as `pref`. Source: iprule_modify() in ip/iprule.c, iproute2 6.1."""


def do(world: World, netns: str, *commands: str, by: Origin = LEARNER) -> World:
    """Carry out commands in a namespace, one after the other, and return the world afterwards.

    Raises: StateSyntaxError and Unsupported for a command that is not understood, McniError (with the kernel's errno)
    for one the kernel would refuse, KeyError for a namespace that does not exist.
    """
    for command in commands:
        world = world.put(run_command(world[netns], command, by))
    return world


def run_command(netns: Netns, command: str, by: Origin = LEARNER) -> Netns:
    """Carry out one command in a namespace; see `do`."""
    words = command.split()
    if words[:1] == ["sudo"]:
        words = words[1:]
    if not words:
        raise _fail("the command is empty", command)
    verbs: dict[str, Callable[[Netns, list[str], str, Origin], Netns]] = {
        "iptables": _iptables,
        "sysctl": _sysctl,
        "ip": _ip,
    }
    if words[0] not in verbs:
        raise _fail(f"{words[0]!r} is not understood; understood are {USAGE}", command)
    return verbs[words[0]](netns, words[1:], command, by)


def _fail(what: str, command: str) -> StateSyntaxError:
    return StateSyntaxError(what, source="command", line=1, column=1, text=command)


def _sysctl(netns: Netns, words: list[str], command: str, by: Origin) -> Netns:
    settings = "".join(word for word in words if word != "-w").partition("=")
    if not settings[1]:
        raise _fail("expected sysctl -w KEY=VALUE", command)
    return set_sysctl(netns, settings[0], settings[2], by)


def _ip(netns: Netns, words: list[str], command: str, by: Origin) -> Netns:
    objects = {"r": _ip_route, "ru": _ip_rule, "a": _ip_address, "n": _ip_neigh, "l": _ip_link}
    name, verb = (words[0], words[1]) if len(words) > 2 else ("", "")
    kind = "ru" if name.startswith("ru") else name[:1]
    if kind not in objects:
        raise _fail(f"expected {USAGE}", command)
    return objects[kind](netns, verb, words[2:], by)


def _take(words: list[str], *names: str) -> tuple[str, list[str]]:
    """Take `NAME VALUE` out of a list of words; empty when it is not there."""
    for place, word in enumerate(words[:-1]):
        if word in names:
            return words[place + 1], words[:place] + words[place + 2 :]
    return "", words


def _ip_route(netns: Netns, verb: str, words: list[str], by: Origin) -> Netns:
    table, rest = _take(words, "table")
    table = table or ("local" if rest[:1] and rest[0] in NEAR else "main")
    if verb in ("del", "delete"):
        dev, _ = _take(rest, "dev")
        target = next((word for word in rest if word not in ("blackhole", "unreachable", "prohibit", *NEAR)), "default")
        return del_route(netns, target, table=table, dev=dev)
    if verb not in ("add", "append", "prepend", "replace"):
        raise Unsupported(f"ip route {verb}; add, append, prepend, replace and del are understood")
    gateway, _ = _take(rest, "via")
    if gateway and "dev" not in rest:
        rest = [*rest, "dev", device_of(netns, Words(gateway, source="ip route", number=1).address(), table)]
    route = parse_route(" ".join(rest), table, by, source=f"ip route {verb}")
    near = NEAR.get(route.type, "link" if route.type == "unicast" and not route.via else "")
    if near and "scope" not in rest:
        route = replace(route, scope=near)
    return add_routes(netns, route, how=verb)


def _ip_rule(netns: Netns, verb: str, words: list[str], by: Origin) -> Netns:
    priority, rest = _take(words, *PRIORITY)
    rest = ["lookup" if word == "table" else word for word in rest]
    text = " ".join(rest if "from" in rest else ["from all", *rest])
    rule = parse_rule(f"{priority}: {text}" if priority else text, by, source="ip rule add")
    if verb == "add":
        return add_rule(netns, rule)
    if verb not in ("del", "delete"):
        raise Unsupported(f"ip rule {verb}; add and del are understood")
    kept = tuple(
        old for old in netns.rules if replace(old, priority=rule.priority) != rule or (priority and old != rule)
    )
    if len(kept) == len(netns.rules):
        raise McniError(f"{netns.name} has no such rule: {text}")
    return netns.but(rules=kept)


def _ip_address(netns: Netns, verb: str, words: list[str], by: Origin) -> Netns:
    dev, rest = _take(words, "dev")
    if verb != "add" or not dev or len(rest) != 1:
        raise Unsupported("of `ip address`, `add ADDRESS/LENGTH dev DEVICE` is understood")
    return add_address(netns, dev, rest[0], by=by)


def _ip_neigh(netns: Netns, verb: str, words: list[str], by: Origin) -> Netns:
    nud, rest = _take(words, "nud")
    mac, rest = _take(rest, "lladdr")
    dev, rest = _take(rest, "dev")
    proxy, rest = _take(rest, "proxy")
    if verb != "add" or len(rest) != (0 if proxy else 1):
        raise Unsupported("of `ip neigh`, `add ADDRESS lladdr MAC dev DEVICE` and `add proxy ADDRESS dev DEVICE` work")
    line = f"{proxy} dev {dev} proxy" if proxy else f"{rest[0]} dev {dev} lladdr {mac} {(nud or 'permanent').upper()}"
    return add_neigh(netns, parse_neigh(line, by, source="ip neigh add"))


def _ip_link(netns: Netns, verb: str, words: list[str], by: Origin) -> Netns:
    dev, rest = _take(words, "dev")
    names = [dev, *rest] if dev else rest
    if verb != "set" or len(names) != 2 or names[1] not in ("up", "down"):
        raise Unsupported("of `ip link`, `set DEVICE up|down` is understood")
    return set_link(netns, names[0], up=names[1] == "up")


def _iptables(netns: Netns, words: list[str], command: str, by: Origin) -> Netns:
    table, rest = _take(words, "-t", "--table")
    rest = [word for word in rest if word not in ("-w", "--wait")]
    if rest == ["-F"]:
        return _flush_all(netns, table or "filter")
    if len(rest) < 2:
        raise _fail("expected iptables [-t TABLE] -A|-I|-D|-P|-N|-F CHAIN ...", command)
    verb, chain, rule = rest[0], rest[1], rest[2:]
    verbs = {"-A": _append, "-I": _insert, "-D": _delete, "-P": _policy, "-N": _new, "-F": _flush}
    if verb not in verbs:
        raise Unsupported(f"iptables {verb}; {', '.join(verbs)} are understood")
    table = table or "filter"
    if verb != "-N" and chain not in find_table(netns.tables, table).by_name:
        raise McniError(f"iptables: table {table} of {netns.name} has no chain {chain}")
    # quotes in comments: take the words from the command itself
    body = command[command.index(rule[0], command.index(chain) + len(chain)) :] if rule else ""
    return verbs[verb](netns, table, chain, body, by)


def _loaded(netns: Netns, tables: Tables, table: str) -> Netns:
    """Keep changed tables, unless the kernel would not load them."""
    check_table(find_table(tables, table), f"iptables in {netns.name}")
    return netns.but(tables=tables)


def _append(netns: Netns, table: str, chain: str, body: str, by: Origin) -> Netns:
    rule = parse_chain_rule(f"-A {chain} {body}", by)
    return _loaded(netns, append(netns.tables, table, [rule]), table)


def _insert(netns: Netns, table: str, chain: str, body: str, by: Origin) -> Netns:
    first, _, rest = body.partition(" ")
    number, body = (int(first), rest) if first.isdigit() else (1, body)
    rule = parse_chain_rule(f"-A {chain} {body}", by)
    return _loaded(netns, insert(netns.tables, table, rule, number), table)


def _delete(netns: Netns, table: str, chain: str, body: str, by: Origin) -> Netns:
    found = find_table(netns.tables, table).chain(chain)
    rule = parse_chain_rule(f"-A {chain} {body}") if not body.strip().isdigit() else None
    if rule is None and not 1 <= int(body) <= len(found.rules):
        raise McniError(f"iptables: {chain} has {len(found.rules)} rules, there is no rule {body.strip()}")
    rule = rule or found.rules[int(body) - 1]
    if rule not in found.rules:
        raise McniError(f"iptables: {chain} of {netns.name} has no rule {rule}")
    return netns.but(tables=delete(netns.tables, table, rule))


def _policy(netns: Netns, table: str, chain: str, body: str, by: Origin) -> Netns:
    if body.strip() not in ("ACCEPT", "DROP"):
        raise McniError(f"iptables: a policy is ACCEPT or DROP, not {body.strip()!r}")
    return netns.but(tables=set_policy(netns.tables, table, chain, body.strip()))


def _new(netns: Netns, table: str, chain: str, body: str, by: Origin) -> Netns:
    return netns.but(tables=new_chain(netns.tables, table, chain))


def _flush(netns: Netns, table: str, chain: str, body: str, by: Origin) -> Netns:
    return netns.but(tables=flush_chain(netns.tables, table, chain))


def _flush_all(netns: Netns, table: str) -> Netns:
    """Delete the rules of every chain of a table; the chains and their policies stay."""
    tables = netns.tables
    for chain in find_table(tables, table).chains:
        tables = flush_chain(tables, table, chain.name)
    return netns.but(tables=tables)
