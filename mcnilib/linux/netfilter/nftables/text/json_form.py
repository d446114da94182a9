"""What `nft -j list ruleset` prints, as the text that `nft list ruleset` prints: there is one reader for both.

Source: libnftables-json(5); src/json.c (nftables 1.0.6).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

JsonValue = Any
"""A value as json.loads returns it."""

_PLAIN = re.compile(r"@\S+|[\w.-]+", re.ASCII)
"""Words that need no quotes."""


def ruleset_text(entries: list[dict[str, JsonValue]]) -> str:
    """Write the entries below the key `nftables` as text.

    Raises: LookupError, TypeError, ValueError for what nft does not print.
    """
    tables: dict[tuple[str, str], _TableText] = {}
    for entry in entries:
        for kind, said in entry.items():
            if kind == "table":
                tables[said["family"], said["name"]] = _TableText(said)
            elif kind in _PARTS:
                _PARTS[kind](tables[said["family"], said["table"]], said)
    return "".join(text for table in tables.values() for text in table.lines())


class _TableText:
    """The text of one table so far."""

    def __init__(self, said: Mapping[str, JsonValue]) -> None:
        self.head = f"table {said['family']} {said['name']} {{\n"
        flags = _list(said.get("flags", []))
        self.notes = [f"\tflags {','.join(flags)}\n"] if flags else []
        self.notes += [f'\tcomment "{said["comment"]}"\n'] if "comment" in said else []
        self.sets: list[tuple[str, Mapping[str, JsonValue]]] = []
        self.dynamic: set[str] = set()  # to which rules add elements: nft 1.0.6 leaves the flag out of this form
        self.chains: dict[str, list[str]] = {}

    def chain(self, said: Mapping[str, JsonValue]) -> None:
        lines = [f'\t\tcomment "{said["comment"]}"\n'] if "comment" in said else []
        if "hook" in said:
            device = f' device "{said["dev"]}"' if "dev" in said else ""
            where = f"type {said.get('type', 'filter')} hook {said['hook']}{device} priority {said.get('prio', 0)}"
            lines.append(f"\t\t{where}; policy {said.get('policy', 'accept')};\n")
        self.chains[said["name"]] = lines

    def rule(self, said: Mapping[str, JsonValue]) -> None:
        comment = f' comment "{said["comment"]}"' if "comment" in said else ""
        statements = [_statement(statement) for statement in said["expr"]]
        self.dynamic |= {s["set"]["set"].removeprefix("@") for s in said["expr"] if isinstance(s, dict) and "set" in s}
        if said["family"] == "ip":  # what `reject` says by itself
            statements = ["reject" if s == "reject with icmp port-unreachable" else s for s in statements]
        handle = f" # handle {said['handle']}" if "handle" in said else ""
        self.chains[said["chain"]].append(f"\t\t{' '.join(statements)}{comment}{handle}\n")

    def named_set(self, said: Mapping[str, JsonValue]) -> None:
        self.sets.append(("set", said))

    def named_map(self, said: Mapping[str, JsonValue]) -> None:
        self.sets.append(("map", said))

    def lines(self) -> Iterator[str]:
        yield self.head
        yield from self.notes
        for kind, said in self.sets:
            yield from _set_lines(kind, said, dynamic=said["name"] in self.dynamic)
        for name, lines in self.chains.items():
            yield f"\tchain {name} {{\n"
            yield from (*lines, "\t}\n")
        yield "}\n"


_PARTS: dict[str, Callable[[_TableText, Mapping[str, JsonValue]], None]] = {
    "chain": _TableText.chain,
    "rule": _TableText.rule,
    "set": _TableText.named_set,
    "map": _TableText.named_map,
}
"""What a table holds; named counters, quotas and flowtables are left out."""


def _set_lines(kind: str, said: Mapping[str, JsonValue], *, dynamic: bool) -> Iterator[str]:
    yield f"\t{kind} {said['name']} {{\n"
    data = f" : {' . '.join(_list(said['map']))}" if "map" in said else ""
    yield f"\t\ttype {' . '.join(_list(said['type']))}{data}\n"
    yield from (f"\t\tsize {said['size']}\n" for _ in range("size" in said))
    flags = _list(said.get("flags", []))
    if flags := [*flags, *(["dynamic"] if dynamic and "dynamic" not in flags else [])]:
        yield f"\t\tflags {','.join(flags)}\n"
    yield from (f"\t\ttimeout {said['timeout']}s\n" for _ in range("timeout" in said))
    yield from (f'\t\tcomment "{said["comment"]}"\n' for _ in range("comment" in said))
    if elements := said.get("elem"):
        yield f"\t\telements = {_elements(elements)}\n"
    yield "\t}\n"


def _list(value: JsonValue) -> list[str]:
    return value if isinstance(value, list) else [value]


def _elements(elements: list[JsonValue]) -> str:
    return f"{{ {', '.join(map(_element, elements))} }}"


def _element(element: JsonValue) -> str:
    """Write an element; that of a map is a pair."""
    if isinstance(element, list):
        return f"{_element(element[0])} : {_data(element[1])}"
    if isinstance(element, dict) and "elem" in element:
        said = element["elem"]
        parts = [_expression(said["val"])]
        parts += [f"{name} {said[name]}s" for name in ("timeout", "expires") if name in said]
        parts += [_statement({"counter": said["counter"]})] if "counter" in said else []
        parts += [f'comment "{said["comment"]}"'] if "comment" in said else []
        return " ".join(parts)
    return _expression(element)


def _data(value: JsonValue) -> str:
    if isinstance(value, dict) and value.keys() & _VERDICTS.keys():
        return _statement(value)
    return _expression(value)


def _expression(value: JsonValue) -> str:
    """Write an expression; of a kind that is not known its name, which no reader takes for another."""
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else f'"{value}"'
    if isinstance(value, bool):
        return "exists" if value else "missing"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return ",".join(map(_expression, value))
    ((kind, said),) = value.items()
    return _EXPRESSIONS[kind](said) if kind in _EXPRESSIONS else f"json-{kind}"


def _payload(said: Mapping[str, JsonValue]) -> str:
    return (
        f"{said['protocol']} {said['field']}"
        if "protocol" in said
        else f"@{said['base']},{said['offset']},{said['len']}"
    )


def _ct(said: Mapping[str, JsonValue]) -> str:
    key = said["key"]
    direction = f"{said['dir']} " if "dir" in said else ""
    return f"ct {direction}{key}"


def _meta(said: Mapping[str, JsonValue]) -> str:
    return f"meta {said['key']}"


def _fib(said: Mapping[str, JsonValue]) -> str:
    flags = sorted(_list(said["flags"]), key=("saddr", "daddr", "mark", "iif", "oif").index)
    return f"fib {' . '.join(flags)} {said['result']}"


def _drawn(word: str) -> Callable[[Mapping[str, JsonValue]], str]:
    def write(said: Mapping[str, JsonValue]) -> str:
        what = said["mode"] if word == "numgen" else _expression(said["expr"])
        seed = f" seed 0x{said['seed']:x}" if said.get("seed") else ""
        offset = f" offset {said['offset']}" if said.get("offset") else ""
        return f"{word} {what} mod {said['mod']}{seed}{offset}"

    return write


def _bitwise(operator: str) -> Callable[[list[JsonValue]], str]:
    def write(said: list[JsonValue]) -> str:
        first, *others = map(_expression, said)
        masked = ",".join(others) if operator == "|" and not isinstance(said[0], dict) else ""
        return f"{first},{masked}" if masked else f" {operator} ".join((first, *others))

    return write


_EXPRESSIONS: dict[str, Callable[[JsonValue], str]] = {
    "payload": _payload,
    "meta": _meta,
    "ct": _ct,
    "fib": _fib,
    "numgen": _drawn("numgen"),
    "jhash": _drawn("jhash"),
    "concat": lambda said: " . ".join(map(_expression, said)),
    "set": _elements,
    "prefix": lambda said: f"{_expression(said['addr'])}/{said['len']}",
    "range": lambda said: "-".join(map(_expression, said)),
    "map": lambda said: f"{_expression(said['key'])} map {_expression(said['data'])}",
    "elem": lambda said: _element({"elem": said}),
    **{operator: _bitwise(operator) for operator in ("&", "|", "^", "<<", ">>")},
}


def _match(said: Mapping[str, JsonValue]) -> str:
    operator, left = said["op"], _expression(said["left"])
    if isinstance(said["right"], dict) and "|" in said["right"]:
        right = f"({_expression(said['right'])})".replace(",", " | ")
    else:
        right = _expression(said["right"])
    shown = "" if operator in ("==", "in") and "&" not in said["left"] else f"{operator} "
    return f"{left} {shown}{right}"


def _options(said: Mapping[str, JsonValue] | None, *names: str) -> str:
    return "".join(f" {name} {said[name]}" for name in names if name in said) if said else ""


def _nat(verb: str) -> Callable[[Mapping[str, JsonValue] | None], str]:
    def write(said: Mapping[str, JsonValue] | None) -> str:
        said = said or {}
        to = _expression(said["addr"]) if "addr" in said else ""
        to += f":{_expression(said['port'])}" if "port" in said else ""
        family = (
            " ip" if said.get("family") == "ip" and isinstance(said.get("addr"), dict) and "map" in said["addr"] else ""
        )
        flags = f" {','.join(_list(said['flags']))}" if "flags" in said else ""
        return f"{verb}{f'{family} to {to}' if to else ''}{flags}"

    return write


def _reject(said: Mapping[str, JsonValue] | None) -> str:
    if not said:
        return "reject"
    if said == {"type": "icmpx", "expr": "port-unreachable"}:
        return "reject"
    return "reject with tcp reset" if said["type"] == "tcp reset" else f"reject with {said['type']} {said['expr']}"


def _limit(said: Mapping[str, JsonValue]) -> str:
    unit = f" {said['rate_unit']}" if said.get("rate_unit", "packets") != "packets" else ""
    over = "over " if said.get("inv") else ""
    burst = f" burst {said['burst']} {said.get('burst_unit', 'packets')}" if "burst" in said else ""
    return f"limit rate {over}{said['rate']}{unit}/{said['per']}{burst}"


def _log(said: Mapping[str, JsonValue] | None) -> str:
    prefix = f' prefix "{said["prefix"]}"' if said and "prefix" in said else ""
    return f"log{prefix}{_options(said, 'level', 'group', 'snaplen', 'queue-threshold')}"


_VERDICTS: dict[str, Callable[[JsonValue], str]] = {
    **{name: (lambda word: lambda said: word)(name) for name in ("accept", "drop", "continue", "return")},
    **{name: (lambda word: lambda said: f"{word} {said['target']}")(name) for name in ("jump", "goto")},
}

_STATEMENTS: dict[str, Callable[[JsonValue], str]] = {
    **_VERDICTS,
    "match": _match,
    "vmap": lambda said: f"{_expression(said['key'])} vmap {_expression(said['data'])}",
    "mangle": lambda said: f"{_expression(said['key'])} set {_expression(said['value'])}",
    "counter": lambda said: f"counter{_options(said, 'packets', 'bytes')}" if isinstance(said, dict) else "counter",
    "log": _log,
    "limit": _limit,
    "notrack": lambda said: "notrack",
    "reject": _reject,
    "set": lambda said: (
        f"{said['op']} {said['set']} {{ {_element(said['elem'])} }}{' json-stmt' if 'stmt' in said else ''}"
    ),
    **{verb: _nat(verb) for verb in ("dnat", "snat", "masquerade", "redirect")},
}
"""Statements; of another its name, which the reader keeps as one that is not modelled."""


def _statement(statement: Mapping[str, JsonValue]) -> str:
    ((kind, said),) = statement.items()
    return _STATEMENTS[kind](said) if kind in _STATEMENTS else f"json-{kind}"
