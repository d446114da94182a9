"""What `ip -j` and `bridge -j` print, turned into the lines the same tools print without `-j`.

The lines are then read by the readers of the text form, so that there is one grammar. Keys that would change a
packet's way and have no place in the line become words the readers refuse by name.
Source: ip/{ipaddress,iproute,iprule,ipneigh}.c, bridge/fdb.c (iproute2 6.1).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mcnilib.errors import StateSyntaxError
from mcnilib.language import tr
from mcnilib.linux.device.link import BY_WORD, MASTERS
from mcnilib.linux.routing.neigh import NEIGHBOUR_FLAGS

JsonObject = dict[str, Any]


def text_of(text: str, lines: Callable[[JsonObject], Iterable[str]], source: str) -> str:
    """Return the text form of a tool's JSON output; `lines` turns one of its objects into lines.

    Raises: StateSyntaxError for text that is not JSON, or not a list of objects.
    """
    entries = read_json(text, source)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        first = text.partition("\n")[0][:200]
        raise StateSyntaxError(tr("not a list of objects, as `-j` prints"), source=source, line=1, column=1, text=first)
    return "".join(f"{line}\n" for entry in entries if entry for line in _lines(entry, lines, source))


def read_json(text: str, source: str, kept: Callable[[JsonObject], Any] | None = None) -> Any:
    """Read JSON; `kept` says what is kept of an object. Raises: StateSyntaxError that says where it breaks off."""
    try:
        return json.loads(text, object_hook=kept)
    except json.JSONDecodeError as problem:
        line = text.splitlines()[problem.lineno - 1][:200] if text.splitlines()[problem.lineno - 1 :] else ""
        where = {"line": problem.lineno, "column": min(problem.colno, 200)}
        raise StateSyntaxError(problem.msg, source=source, text=line, **where) from None
    except (RecursionError, ValueError) as problem:
        first = text.partition("\n")[0][:80]
        raise StateSyntaxError(
            tr("not JSON: {problem}", problem=problem)[:200], source=source, line=1, column=1, text=first
        ) from None


def _lines(entry: JsonObject, lines: Callable[[JsonObject], Iterable[str]], source: str) -> list[str]:
    try:
        printed = [line.replace("\n", " ") for line in lines(entry)]
        strange = next((line for line in printed if not line.isprintable()), None)
        if strange is not None:
            raise ValueError(tr("control characters in {strange!r}", strange=strange))
        return printed
    except (LookupError, TypeError, AttributeError, ValueError) as problem:
        what = tr("an object without what the tool prints: {problem}", problem=problem)
        text = json.dumps(entry)[:200]
        raise StateSyntaxError(what, source=source, line=1, column=1, text=text) from None


def link_lines(entry: JsonObject) -> Iterator[str]:
    """Turn an object of `ip -d -j address` into the lines of `ip -d address`."""
    far = entry["link"] if "link" in entry else f"if{entry['link_index']}" if "link_index" in entry else ""
    iflink = f"@{far or 'NONE'}" if far is None or far else ""
    more = f" qdisc {entry['qdisc']}" if "qdisc" in entry else ""
    more += f" master {entry['master']}" if "master" in entry else ""
    xdp = f" xdp/id:{_program(entry['xdp'])}" if entry.get("xdp") else ""
    if "@" in entry["ifname"]:
        raise ValueError(tr("{name!r}, which in the text form is a device and its other end", name=entry["ifname"]))
    yield f"{entry['ifindex']}: {entry['ifname']}{iflink}: <{','.join(entry['flags'])}> mtu {entry['mtu']}{xdp}{more}"
    yield f"    link/{entry['link_type']} {entry.get('address', '')}{_far_words(entry)}"
    info = entry.get("linkinfo", {})
    if "info_kind" in info:
        kind = BY_WORD.get(info["info_kind"])
        yield f"    {kind.line_of_json(info.get('info_data', {})) if kind else info['info_kind']}"
    master = MASTERS.get(slave := f"{info.get('info_slave_kind')}_slave")
    if master and master.slave:
        yield f"    {' '.join([slave, *master.slave.words_of_json(info.get('info_slave_data', {}))])}"
    for address in entry.get("addr_info", []):
        if address.get("family") == "inet":
            yield f"    {_address_line(address, entry['ifname'])}"


def _program(xdp: JsonObject) -> object:
    """Return the id of a program that sees a device's frames first; several attached ones stand in a list."""
    return next((program["prog"]["id"] for program in (xdp, *xdp.get("attached", [])) if "prog" in program), 0)


def _far_words(entry: JsonObject) -> str:
    down = " protodown on" if entry.get("proto_down") else ""
    if "link_netns" in entry:
        return f" link-netns {entry['link_netns']}{down}"
    return f" link-netnsid {entry['link_netnsid']}{down}" if "link_netnsid" in entry else down


def _address_line(address: JsonObject, name: str) -> str:
    fields = [f"inet {address['local']}"]
    fields += [f"peer {address['address']}/{address['prefixlen']}"] if "address" in address else []
    fields[0] += "" if "address" in address else f"/{address['prefixlen']}"
    fields += [f"brd {address['broadcast']}"] if "broadcast" in address else []
    return " ".join([*fields, f"scope {address['scope']}", address.get("label", name)])


def route_lines(entry: JsonObject) -> Iterator[str]:
    """Turn an object of `ip -j route show table all` into a line of `ip -4 route show table all`."""
    if ":" in entry["dst"] or entry.get("family") == "inet6":
        return
    fields = [entry["type"]] if "type" in entry else []
    fields += [entry["dst"]]
    fields += [
        f"{word} {entry[key]}" for key, word in (("encap", "encap"), ("tos", "tos"), ("nhid", "nhid")) if key in entry
    ]
    fields += _hop_words(entry)
    fields += [f"{word} {entry[key]}" for key, word in ROUTE.items() if key in entry and key not in HOP]
    fields += [*entry.get("flags", []), *(_realms(entry["flow"]) if "flow" in entry else ())]
    fields += [word for part in entry.get("metrics", []) for word in _metrics(part)]
    fields += [key for key in entry if key not in ROUTE_KEYS]
    for hop in entry.get("nexthops", []):
        fields += ["nexthop", *_hop_words(hop), f"weight {hop['weight']}", *hop.get("flags", [])]
    yield " ".join(fields)


def _hop_words(entry: JsonObject) -> list[str]:
    """Return the words for a next hop: its gateway, which may be one of IPv6, and its device."""
    via = [f"via {entry['via']['family']} {entry['via']['host']}"] if "via" in entry else []
    return [*via, *(f"{ROUTE[key]} {entry[key]}" for key in HOP if key in entry)]


def _realms(flow: JsonObject) -> list[str]:
    return [f"realms {flow['from']}/{flow['to']}" if "from" in flow else f"realm {flow['to']}"]


def _metrics(part: JsonObject) -> list[str]:
    """Return the words for a route's settings; JSON has names of its own for two of them."""
    settings = [
        f"{_METRICS.get(key, key)} {value}" for key, value in part.items() if key != "lock" and value is not None
    ]
    return settings + [f"features {key}" for key, value in part.items() if value is None]


ROUTE = {
    "gateway": "via",
    "dev": "dev",
    "table": "table",
    "protocol": "proto",
    "scope": "scope",
    "prefsrc": "src",
    "metric": "metric",
}

HOP = ("gateway", "dev")

_METRICS = {"congestion": "congctl"}

ROUTE_KEYS = {*ROUTE, "type", "dst", "flags", "tos", "nhid", "encap", "via", "flow", "metrics", "nexthops"}


def rule_lines(entry: JsonObject) -> Iterator[str]:
    """Turn an object of `ip -j rule` into a line of `ip rule`."""
    fields = [f"{entry['priority']}:", *(["not"] if "not" in entry else [])]
    fields += [f"from {_prefix(entry, 'src')}", *([f"to {_prefix(entry, 'dst')}"] if "dst" in entry else [])]
    if "fwmark" in entry:
        fields += [f"fwmark {entry['fwmark']}" + (f"/{entry['fwmask']}" if "fwmask" in entry else "")]
    fields += [f"{key} {entry[key]}" for key in ("iif", "oif", "tos", "tun_id", "ipproto") if key in entry]
    fields += [
        f"{word} {_range(entry, key)}" for word, key in _RANGES.items() if key in entry or f"{key}_start" in entry
    ]
    table = entry.get("table", "[l3mdev-table]" if "l3mdev" in entry else None)
    fields += [f"lookup {table}"] if table is not None else []
    fields += [entry["action"]] if "action" in entry else []
    fields += [f"{word} {entry[key]}" for key, word in RULE.items() if key in entry]
    fields += [f"realms {'/'.join(str(entry[key]) for key in FLOW if key in entry)}"] if "flow_to" in entry else []
    fields += [word for word in ("nop", "masquerade") if word in entry]
    fields += ["[unresolved]"] if "unresolved" in entry else []
    fields += [f"proto {entry['protocol']}"] if "protocol" in entry else []
    yield " ".join([*fields, *(key for key in entry if key not in RULE_KEYS)])


RULE = {"goto": "goto", "suppress_prefixlen": "suppress_prefixlength", "suppress_ifgroup": "suppress_ifgroup"}

_RANGES = {"uidrange": "uid", "sport": "sport", "dport": "dport"}

FLOW = ("flow_from", "flow_to")

RULE_KEYS = {
    *("priority", "not", "src", "srclen", "dst", "dstlen", "fwmark", "fwmask", "iif", "oif", "table", "action"),
    *("protocol", "iif_detached", "oif_detached", "tos", "tun_id", "ipproto", "nop", "l3mdev", "masquerade"),
    *(*RULE, *FLOW, "unresolved"),
    *(f"{key}{end}" for key in _RANGES.values() for end in ("", "_start", "_end")),
}


def _range(entry: JsonObject, key: str) -> str:
    return str(entry[key]) if key in entry else f"{entry[f'{key}_start']}-{entry[f'{key}_end']}"


def _prefix(entry: JsonObject, side: str) -> str:
    length = entry.get(f"{side}len")
    return str(entry[side]) + (f"/{length}" if length is not None else "")


def neigh_lines(entry: JsonObject) -> Iterator[str]:
    """Turn an object of `ip -j neigh` into a line of `ip neigh`."""
    if ":" not in entry["dst"]:
        mac = f" lladdr {entry['lladdr']}" if "lladdr" in entry else ""
        flags = (flag for flag in NEIGHBOUR_FLAGS if flag in entry)
        dev = f" dev {entry['dev']}" if "dev" in entry else ""
        yield " ".join([f"{entry['dst']}{dev}{mac}", *flags, *entry.get("state", [])])


def fdb_lines(entry: JsonObject) -> Iterator[str]:
    """Turn an object of `bridge -j fdb show` into a line of `bridge fdb show`."""
    far = f" dst {entry['dst']}" if "dst" in entry else ""
    others = (f"{key} {entry[key]}" for key in ("vlan", "port", "vni", "via") if key in entry)
    master = [f"master {entry['master']}"] if "master" in entry else []
    fields = [*others, *entry.get("flags", []), *master, entry.get("state", "")]
    yield " ".join([f"{entry['mac']} dev {entry['ifname']}{far}", *fields])


def vlan_lines(entry: JsonObject) -> Iterator[str]:
    """Turn an object of `bridge -j vlan show` into lines of `bridge vlan show`."""
    for number, vlan in enumerate(entry["vlans"]):
        last = f"-{vlan['vlanEnd']}" if "vlanEnd" in vlan else ""
        yield " ".join([f"{'' if number else entry['ifname']:16}", f"{vlan['vlan']}{last}", *vlan.get("flags", [])])
