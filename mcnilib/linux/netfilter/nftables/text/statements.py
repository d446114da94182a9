"""Reading the statements of a rule of nft.

What is not modelled is kept as it is written, up to the end of its rule; a packet that meets it is unknown.
Source: nft(8); src/parser_bison.y (nftables 1.0.6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from typing import Any

from mcnilib.language import mark, tr
from mcnilib.linux.netfilter.iptables.target.verdict import REJECT_KINDS
from mcnilib.linux.netfilter.nftables import datatype
from mcnilib.linux.netfilter.nftables.action import AddElement, NatStatement, NoTrack, RejectStatement, SetMark
from mcnilib.linux.netfilter.nftables.condition import Compare, Limited, VerdictMap
from mcnilib.linux.netfilter.nftables.datatype import bits_of
from mcnilib.linux.netfilter.nftables.expression import (
    Bitwise,
    Constant,
    Expression,
    PacketField,
)
from mcnilib.linux.netfilter.nftables.segment import SetMaxSegment
from mcnilib.linux.netfilter.nftables.sets import show_span
from mcnilib.linux.netfilter.nftables.statement import Decide, NftStatement, Opaque, OtherFamily, Silent
from mcnilib.linux.netfilter.nftables.text.expressions import (
    OF_IPV6,
    NotIpv4,
    NotModelled,
    Sets,
    read_expression,
    read_joined,
    read_set,
    read_verdict,
    read_wanted,
)
from mcnilib.linux.netfilter.nftables.text.tokens import Tokens


def read_statements(words: Tokens, sets: Sets) -> tuple[tuple[NftStatement, ...], str]:
    """Read a rule up to the end of its line; return its statements and its comment.

    Raises: StateSyntaxError for a value that has no such form.
    """
    statements: list[NftStatement] = []
    comment = ""
    while not words.at_end:
        if words.skip("comment"):
            comment = words.unquoted(mark("a comment"))
            continue
        at = words.read
        try:
            statements.append(_statement(words, sets))
        except NotIpv4:
            words.read = at
            text, comment = _split_comment(words.rest_of_line())
            statements.append(OtherFamily(text))
        except NotModelled:
            words.read = at
            text, comment = _split_comment(words.rest_of_line())
            statements.append(Opaque(text, tr("nft statement {text!r} is not modelled", text=text)))
    return tuple(statements), comment


def _split_comment(text: str) -> tuple[str, str]:
    """Take the comment off the end of a rule."""
    head, word, tail = text.rpartition(' comment "')
    return (head, tail[:-1]) if word and tail.endswith('"') and '"' not in tail[:-1] else (text, "")


def _statement(words: Tokens, sets: Sets) -> NftStatement:
    if read := STATEMENTS.get(words.next):
        return read(words, sets)
    return _about(words, sets, read_expression(words, sets))


def _about(words: Tokens, sets: Sets, left: Expression) -> NftStatement:
    """Read what is said of an expression: a comparison, a look-up of a verdict, or a new value."""
    word = words.next
    if word == "vmap" and words.skip("vmap"):
        return VerdictMap(left, read_set(words, left.types, sets, None))
    if word == "set" and words.skip("set"):
        if str(left) not in ("meta mark", "ct mark"):
            raise NotModelled
        return SetMark(str(left), read_expression(words, sets, left.types))
    negated = ("!",) if left.types[0].flags else ()
    operator = word if word in ("==", "!=", "<", ">", "<=", ">=", *negated) else ""
    words.read += word in (operator, "eq")
    if words.next.startswith("@") or words.next == "{":
        return Compare(left, operator, table=read_set(words, left.types, sets, ()))
    kept = operator if operator != "==" or isinstance(left, Bitwise) or left.types[0].flags else ""
    ranged = left.types == (datatype.IPV4_ADDR,) and "-" in words.next
    wanted = read_wanted(words, left)
    mask = bits_of(read_wanted(words, left)) if words.skip("/") else None
    ordered = kept in ("<", ">", "<=", ">=")
    flags = isinstance(left, Bitwise) and left.left == PacketField("tcp flags") and not ordered
    if flags and isinstance(left, Bitwise) and isinstance(left.right, Constant):
        mask, left = int(left.right.values[0]), left.left
        kept = "" if kept == "==" else kept
    if isinstance(left, Bitwise) and not kept:
        raise words.error(tr("a comparison with what the bits should be is missing"))
    return Compare(left, kept, wanted, mask=mask, ranged=ranged)


def _decide(words: Tokens, sets: Sets) -> NftStatement:
    if words.next == "queue":
        raise NotModelled
    return Decide(read_verdict(words))


def _silent(after: Mapping[str, int]) -> Callable[[Tokens, Sets], NftStatement]:
    """Make a reader of a statement nothing comes of; `after` are its options and how many words each takes."""

    def read(words: Tokens, sets: Sets) -> NftStatement:
        parts = [words.take(mark("a statement"))]
        while words.next in after:
            option = words.take(mark("an option"))
            parts += [option, *(words.take(mark("a value")) for _ in range(after[option]))]
            if parts[0] == "log" and option == "flags":
                parts.append(_log_flags(words))
        return Silent(" ".join(parts))

    return read


def _log_flags(words: Tokens) -> str:
    """Read what a log shows: `all`, `skuid`, `ether`, `tcp sequence,options`, `ip options`."""
    said = words.take(mark("a flag"))
    said += f" {words.take(mark('a flag'))}" if said in ("tcp", "ip") else ""
    while words.skip(","):
        said += "," + words.take(mark("a flag"))
    return said


def _meta(words: Tokens, sets: Sets) -> NftStatement:
    for key in ("nftrace", "priority"):
        if words.skip("meta", key, "set"):
            said = words.next
            if said in ("(", "{") or words.all[words.read + 1 : words.read + 2] == ["map"]:
                raise NotModelled
            return Silent(f"meta {key} set {words.take(mark('a value'))}")
    return _about(words, sets, read_expression(words, sets))


RATE_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
"""Seconds of the units of a rate."""


def _limit(words: Tokens, sets: Sets) -> NftStatement:
    """Read `limit rate [over] N/UNIT [burst N packets]`; rates of bytes are not modelled."""
    words.read += 1
    if words.next == "name":
        raise NotModelled
    words.expect("rate")
    over = words.skip("over")
    word = words.take(mark("a rate"))
    count, _, unit = word.partition("/")
    if not (count.isascii() and count.isdigit() and int(count)) or unit not in RATE_UNITS:
        if words.next.startswith(("bytes", "kbytes", "mbytes")):
            raise NotModelled
        raise words.error(tr("{word!r} is not a rate such as 5/minute", word=word), words.read - 1)
    burst = 5
    if words.skip("burst"):
        burst = words.number(mark("a number"), 2**32 - 1)
        words.expect("packets")
    said = f" burst {burst} packets" if burst != 5 else ""
    text = f"limit rate {'over ' if over else ''}{word}{said}"
    return Limited(text, RATE_UNITS[unit] * 10**9 // int(count), burst, over)


def _add_element(words: Tokens, sets: Sets) -> NftStatement:
    """Read `add|update|delete @SET { EXPRESSION [timeout T] }`."""
    verb = words.take(mark("a statement"))
    named = words.take(mark("a set"))
    if not named.startswith("@") or sets.get(named[1:]) is None:
        raise words.error(tr("no set {name} in the table", name=named))
    words.expect("{")
    of = read_joined(words, sets, ())
    options = []
    while words.next == "timeout":
        options += [words.take(mark("timeout")), words.take(mark("a time"))]
    if not words.skip("}"):
        raise NotModelled
    return AddElement(verb, named, of, " ".join(options))


def _tcp(words: Tokens, sets: Sets) -> NftStatement:
    """Read `tcp option maxseg size set N|rt mtu`, or what is said of a field of TCP."""
    if not words.skip("tcp", "option"):
        return _about(words, sets, read_expression(words, sets))
    if not words.skip("maxseg", "size", "set"):
        raise NotModelled
    if words.skip("rt", "mtu"):
        return SetMaxSegment()
    return SetMaxSegment(words.number(mark("a number"), 0xFFFF) or 1)


def _notrack(words: Tokens, sets: Sets) -> NftStatement:
    words.read += 1
    return NoTrack()


def _reject(words: Tokens, sets: Sets) -> NftStatement:
    words.read += 1
    if not words.skip("with"):
        return RejectStatement("reject")
    if words.skip("tcp", "reset"):
        return RejectStatement("reject with tcp reset", "tcp-reset")
    if words.next in OF_IPV6:
        raise NotIpv4
    family = words.one_of(("icmp", "icmpx"), mark("icmp, icmpx or tcp reset"))
    words.skip("type")
    word = words.take(mark("a reason"))
    kind = "icmp-" + {"prot-unreachable": "proto-unreachable"}.get(word, word)
    if kind not in REJECT_KINDS:
        raise words.error(tr("{word!r} is not a type of rejection", word=word), words.read - 1)
    return RejectStatement(f"reject with {family} {word}", kind)


NAT_FLAGS = ("random", "fully-random", "persistent")


def _nat(words: Tokens, sets: Sets) -> NftStatement:
    """Read dnat, snat, masquerade or redirect."""
    verb = words.take(mark("a statement"))
    family = "ip " if verb in ("dnat", "snat") and words.skip("ip") else ""
    if words.next in OF_IPV6:
        raise NotIpv4
    if words.next in ("addr", "prefix") or words.all[words.read + 1 : words.read + 2] == ["."]:
        raise NotModelled
    said, written = "", dict[str, Any]()
    if words.skip("to"):
        if words.next.startswith(":"):
            said = words.take(mark("ports"))
            written = _ports(words, said[1:])
        else:
            written, said = _address(words, sets)
        said = f" {family}to {said}"
    elif verb in ("dnat", "snat"):
        raise words.error(tr("expected {value!r}", value="to"))
    flags: list[str] = []
    while words.next in NAT_FLAGS or (flags and words.skip(",")):
        flags.append(words.take(mark("a flag")))
    if words.next.startswith(":"):  # the ports, computed too
        raise NotModelled
    text = f"{verb}{said}{' ' + ','.join(flags) if flags else ''}"
    return NatStatement(verb, text, flags=tuple(flags), **written)


def _address(words: Tokens, sets: Sets) -> tuple[dict[str, Any], str]:
    """Read an address or a range with or without ports, or what they are computed from: fields, and their text."""
    head = words.next
    if head in ("numgen", "jhash", "meta", "ct", "ip", "tcp", "udp", "th", "iifname", "iif"):
        words_before = words.read
        to = read_expression(words, sets, (datatype.IPV4_ADDR,))
        if len(to.types) > 2 or to.types[:1] != (datatype.IPV4_ADDR,):
            words.read = words_before
            raise NotModelled
        return {"to": to}, str(to)
    word = words.take(mark("an address"))
    span, _, ports = word.partition(":")
    try:
        low, high = datatype.IPV4_ADDR.read(span)
    except ValueError:
        raise words.error(tr("{word!r} is not an IPv4 address or a range", word=word), words.read - 1) from None
    shown = f"{show_span(datatype.IPV4_ADDR, (low, high))}{':' + ports if ports else ''}"
    first, last = IPv4Address(low), IPv4Address(high)
    there = {"low": first, "high": None if first == last else last}
    return there | (_ports(words, ports) if ports else {}), shown


def _ports(words: Tokens, ports: str) -> dict[str, Any]:
    """Read a port or a range of them: fields of a statement of NAT."""
    try:
        low, high = datatype.INET_SERVICE.read(ports)
    except ValueError:
        raise words.error(tr("{ports!r} is not a port or a range of ports", ports=ports), words.read - 1) from None
    return {"port": int(low), "last_port": int(high) if high != low else 0}


STATEMENTS: dict[str, Callable[[Tokens, Sets], NftStatement]] = {
    **dict.fromkeys(("accept", "drop", "continue", "return", "jump", "goto", "queue"), _decide),
    "counter": _silent({"packets": 1, "bytes": 1, "name": 1}),
    "log": _silent({"prefix": 1, "level": 1, "group": 1, "snaplen": 1, "queue-threshold": 1, "flags": 0}),
    **dict.fromkeys(("add", "update", "delete"), _add_element),
    "limit": _limit,
    "meta": _meta,
    "notrack": _notrack,
    "tcp": _tcp,
    "reject": _reject,
    **dict.fromkeys(("dnat", "snat", "masquerade", "redirect"), _nat),
}
"""Statements by their first word; others begin with an expression."""
