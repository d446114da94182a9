"""The command `ip` as it is typed, carried out on the model: words in any order and shortened, as the tool takes them.

Source: ip(8), do_iproute() and iproute_modify() in ip/iproute.c, iprule_modify() in ip/iprule.c, ipaddr_modify() in
ip/ipaddress.c, ipneigh_modify() in ip/ipneigh.c, iplink_parse() in ip/iplink.c (iproute2 6.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial

from mcnilib.errors import McniError, Refused, Unsupported
from mcnilib.language import listed, tr
from mcnilib.linux.device.link import Address
from mcnilib.linux.device.port import BridgePort
from mcnilib.linux.netns import (
    Netns,
    add_address,
    add_neigh,
    add_routes,
    add_rule,
    del_route,
    set_link,
    set_port,
)
from mcnilib.linux.origin import Origin
from mcnilib.linux.routing.neigh import PROXY, parse_neigh
from mcnilib.linux.routing.nexthop import device_of
from mcnilib.linux.routing.route import ANY, METRICS, REJECTING, ROUTE_KEPT, SIZES, TYPES, parse_route
from mcnilib.linux.routing.rule import RULE_KEPT, parse_ip_rule
from mcnilib.linux.text import Words, nearest

_PRIORITY = tuple(word[:n] for word in ("preference", "priority", "order") for n in range(3, len(word) + 1))
"""`ip rule` takes what begins one of its words, as `pref`. Source: iprule_modify() in ip/iprule.c."""


def ip(netns: Netns, arguments: list[str], origin: Origin) -> Netns:
    """Carry out `ip OBJECT VERB ...`. Raises: McniError for what the tool, the kernel or the model does not take."""
    while arguments[:1] in (["-4"], ["--4"]):  # the model knows no other family
        arguments = arguments[1:]
    if len(arguments) < 3:
        raise McniError(tr("ip: expected ip OBJECT VERB ..., with OBJECT one of {verbs}", verbs=listed(_VERBS)))
    kind = _full(arguments[0], tuple(_VERBS), "ip")
    verbs = _VERBS[kind]
    verb = _full(arguments[1], tuple(verbs), f"ip {kind}")
    return verbs[verb](netns, arguments[2:], origin)


def _full(word: str, names: Sequence[str], before: str) -> str:
    """Return the first name a word begins, as the tool does."""
    full_name = next((name for name in names if word and name.startswith(word)), None)
    if full_name is None:
        raise Unsupported(
            tr(
                "{before} {word}: understood are {names}{nearest}",
                before=before,
                word=word,
                names=listed(names),
                nearest=nearest(word, names),
            )
        )
    return full_name


def _typed(
    arguments: Sequence[str], valued: Mapping[str, str], flags: Sequence[str], what: str
) -> tuple[dict[str, str], list[str]]:
    """Tell the words of a command that have a value, by the name each stands for, from those that stand alone.

    Flags have an empty value. Raises: McniError for a word without its value, or that stands twice.
    """
    said: dict[str, str] = {}
    alone: list[str] = []
    rest = iter(arguments)
    for word in rest:
        name = valued.get(word, word if word in flags else "")
        if name in said:
            raise McniError(tr("{what}: {word!r} stands twice", what=what, word=word))
        if not name:
            alone.append(word)
            continue
        value = next(rest, None) if word in valued else ""
        value = f"lock {next(rest, '')}".strip() if value == "lock" and word in SIZES else value
        if value is None:
            raise McniError(tr("{what}: a value is missing behind {word!r}", what=what, word=word))
        said[name] = value
    return said, alone


def _text(said: Mapping[str, str]) -> str:
    """Return words and values as the tool would print them."""
    return " ".join(f"{name} {value}".strip() for name, value in said.items())


_ROUTE_WORDS = {
    **{word: word for word in (*METRICS, *ROUTE_KEPT, "to", "via", "dev", "table", "proto", "scope", "src", "nhid")},
    **{"oif": "dev", "metric": "metric", "priority": "metric", "preference": "metric", "protocol": "proto"},
}

_ROUTE_FLAGS = ("onlink", "linkdown")

_OF_LOCAL = {"local": "host", "broadcast": "link"}
"""Types of routes that belong to table `local`, with their scopes, unless another one is said."""


def _route(verb: str, netns: Netns, arguments: list[str], origin: Origin) -> Netns:
    """Add or delete a route: `[TYPE] PREFIX WORD VALUE ...`; the words may stand before the prefix."""
    source = f"ip route {verb}"
    hops = arguments[(at := [*arguments, "nexthop"].index("nexthop")) :]
    said, alone = _typed(arguments[:at], _ROUTE_WORDS, _ROUTE_FLAGS, source)
    kind = alone.pop(0) if alone and alone[0] in TYPES else ""
    alone += [said.pop("to")] if "to" in said else []
    if not alone:
        raise McniError(tr("{source}: the destination is missing: a prefix, an address or default", source=source))
    if said.get("table") == "0":
        del said["table"]
    table = said.get("table", "local" if kind in _OF_LOCAL else "main")
    if kind in _OF_LOCAL:
        said.setdefault("scope", _OF_LOCAL[kind])
    prefix = Words(" ".join(alone), source=source, number=1)
    _ = prefix.prefix()
    if prefix and prefix.take():
        raise prefix.unknown((*_ROUTE_WORDS, *_ROUTE_FLAGS))
    line = f"{kind} {alone[0]}".strip()
    if verb == "del":
        return _without_route(netns, line, said, kind, table)
    if "via" in said and "dev" not in said and "onlink" not in said:
        said["dev"] = device_of(netns.fib, Words(said["via"], source=source, number=1).address(), table, netns.name)
    if kind in ("", "unicast") and "via" not in said and not hops:
        said.setdefault("scope", "link")  # without a gateway the destination is on the link, ip-route(8)
    route = parse_route(" ".join([line, _text(said), *hops]), table, origin, source=source)
    return add_routes(netns, route, how=verb)


def _without_route(netns: Netns, line: str, said: dict[str, str], kind: str, table: str) -> Netns:
    """Delete the first route that is as said; what was not said may be anything."""
    any_dev = {} if kind in REJECTING or "dev" in said else {"dev": "lo"}  # a line of `ip route` names one
    route = parse_route(f"{line} {_text(said | any_dev)}", table, source="ip route del")
    given = {name: getattr(route, name) for name in said if name not in ("table", "onlink", "linkdown", *SIZES)}
    given |= {"settings": route.settings} if route.settings else {}
    if "dev" in given:
        _ = netns.link(route.dev)
    if not route.metric:
        given.pop("metric", None)
    return del_route(netns, route.dst, table=route.table, **(given | ({"type": kind} if kind else {})))


_RULE_WORDS = {
    **{word: word for word in ("from", "to", "fwmark", "iif", "oif", "lookup", "suppress_prefixlength", "proto")},
    **{"table": "lookup", "dev": "iif", "sup_pl": "suppress_prefixlength", "protocol": "proto"},
    **dict.fromkeys(_PRIORITY, "priority"),
}

_RULE_ACTIONS = ("blackhole", "unreachable", "prohibit")

_RULE_FIELDS = {
    **{"from": ("src",), "to": ("dst",), "fwmark": ("fwmark", "fwmask"), "lookup": ("table", "action")},
    **{word: (word,) for word in ("priority", "iif", "oif", "proto")},
    **{"suppress_prefixlength": ("suppress",)} | dict.fromkeys(_RULE_ACTIONS, ("action",)),
}
"""Words of `ip rule`, with the fields of a rule they fill; `not` finds a rule with or without it."""


def _rule(verb: str, netns: Netns, arguments: list[str], origin: Origin) -> Netns:
    """Add or delete a rule; a deleted one is the first that is as said."""
    source = f"ip rule {verb}"
    said, alone = _typed(arguments, _RULE_WORDS, ("not", *_RULE_ACTIONS, *RULE_KEPT), source)
    asked = dict(said)
    if said.get("lookup") == "0":
        raise Unsupported(tr("{source}: table 0, which stands for any empty one", source=source))
    for word in ("iif", "oif"):
        if not re.fullmatch(r"[^\s/]{1,15}", said.get(word, "lo")):
            raise McniError(tr("{source}: {word!r} cannot be the name of a device", source=source, word=said[word]))
    if not said.keys() & {"lookup", *_RULE_ACTIONS, *RULE_KEPT}:
        said["lookup"] = "main"
    inverted = "not " if said.pop("not", None) is not None else ""
    number, source_of = said.pop("priority", ""), said.pop("from", "all")
    text = " ".join([*alone, _text(said)])
    rule = parse_ip_rule(
        f"{number}: {inverted}from {source_of} {text}" if number else f"{inverted}from {source_of} {text}",
        origin,
        source=source,
    )
    if verb == "add":
        return add_rule(netns, rule)
    given = {field: getattr(rule, field) for word in asked for field in _RULE_FIELDS.get(word, ())}
    return _without_rule(
        netns, **{field: value for field, value in given.items() if value not in (ANY, 0) or field == "priority"}
    )


def _without_rule(netns: Netns, **given: object) -> Netns:
    """Delete the first rule whose fields are as said.

    Raises: Refused (ENOENT) when none fits. Source: rule_find() in net/core/fib_rules.c.
    """
    for index, rule in enumerate(netns.ip4.rules):
        if all(getattr(rule, name) == value for name, value in given.items()):
            return netns.with_ip4(rules=netns.ip4.rules[:index] + netns.ip4.rules[index + 1 :])
    raise Refused(tr("{netns} has no such rule", netns=netns.name), error="ENOENT")


def _add_address(netns: Netns, arguments: list[str], origin: Origin) -> Netns:
    said, alone = _typed(arguments, {"dev": "dev", "local": "local"}, (), "ip address add")
    alone += [said["local"]] if "local" in said else []
    if "dev" not in said or len(alone) != 1:
        raise Unsupported(tr("of `ip address`, `add ADDRESS/LENGTH dev DEVICE` is understood"))
    interface = Words(alone[0], source="ip address add", number=1).interface()
    if not int(interface.ip) or interface.ip.is_multicast:
        raise Unsupported(tr("ip address add: {ip} is no address of one machine", ip=interface.ip))
    address = Address(interface, "host" if interface.ip.is_loopback else "global")
    return add_address(netns, said["dev"], address, origin=origin)


def _add_neigh(netns: Netns, arguments: list[str], origin: Origin) -> Netns:
    said, alone = _typed(arguments, {w: w for w in ("dev", "lladdr", "nud", "proxy", "to")}, (), "ip neigh add")
    alone += [said[word] for word in ("to", PROXY) if word in said]
    needed = set() if PROXY in said else {"dev", "lladdr"}
    if len(alone) != 1 or not needed <= said.keys():
        raise Unsupported(
            tr("of `ip neigh`, `add ADDRESS lladdr MAC dev DEVICE` and `add proxy ADDRESS dev DEVICE` work")
        )
    line = f"{alone[0]} dev {said['dev']} " if "dev" in said else f"{alone[0]} "
    line += PROXY if PROXY in said else f"lladdr {said['lladdr'].lower()} {said.get('nud', 'permanent').upper()}"
    return add_neigh(netns, parse_neigh(line, origin, source="ip neigh add"))


PORT_SWITCHES = tuple(switch.name for switch in fields(BridgePort))


def _set_link(netns: Netns, arguments: list[str], origin: Origin) -> Netns:
    words = {word: word for word in ("dev", "type", *PORT_SWITCHES)}
    said, alone = _typed(arguments, words, ("up", "down"), "ip link set")
    names = [*alone, *([said["dev"]] if "dev" in said else [])]
    switches = {word: said[word] == "on" for word in PORT_SWITCHES if said.get(word) in ("on", "off")}
    if said.get("type") == "bridge_slave" and len(names) == 1 and len(said) == len(switches) + 1 + ("dev" in said):
        return set_port(netns, names[0], **switches)
    if len(names) != 1 or ("up" in said) == ("down" in said):
        port = f"set DEVICE type bridge_slave {'|'.join(PORT_SWITCHES)} on|off"
        raise Unsupported(tr("of `ip link`, `set DEVICE up|down` and `{port}` are understood", port=port))
    return set_link(netns, names[0], up="up" in said)


_VERBS: dict[str, dict[str, Callable[[Netns, list[str], Origin], Netns]]] = {
    "address": {"add": _add_address},
    "route": {
        **{verb: partial(_route, verb) for verb in ("add", "replace", "prepend", "append")},
        "delete": partial(_route, "del"),
    },
    "rule": {"add": partial(_rule, "add"), "delete": partial(_rule, "del")},
    "neighbour": {"add": _add_neigh},
    "neighbor": {"add": _add_neigh},
    "link": {"set": _set_link},
}
"""What is understood, in the order in which the tool looks for what a shortened word stands for."""
