"""Felix's chains that do not depend on the pods of a node, in all tables, and the jumps into them.

Only chains that something jumps to are programmed; without host endpoints and advertised service ranges some of them
stay empty.
Source: felix/rules/{static,nat,dscp}.go, setUpIptablesNormal() in felix/dataplane/linux/int_dataplane.go (v3.26 to
v3.32).
"""

from __future__ import annotations

from collections.abc import Iterator

from mcnilib.cluster.cni.calico.config import Calico
from mcnilib.cluster.cni.calico.hashes import APPENDED, FelixChain, FelixRule
from mcnilib.cluster.settings import Encapsulation
from mcnilib.language import mark

PODS = "cali+"
"""Matches the node's ends of all pods' pairs."""

HOST_ACCEPTED = "Host endpoint policy accepted packet."

EMPTY = {
    "raw": ("cali-from-host-endpoint", "cali-rpf-skip", "cali-to-host-endpoint"),
    "mangle": ("cali-from-host-endpoint", "cali-to-host-endpoint"),
    "nat": ("cali-fip-dnat", "cali-fip-snat"),
    "filter": (
        "cali-cidr-block",
        "cali-from-hep-forward",
        "cali-from-host-endpoint",
        "cali-to-hep-forward",
        "cali-to-host-endpoint",
    ),
}
"""Chains without rules: no host endpoints, floating addresses, allowed spoofers or advertised service ranges."""

WHY_HOST = mark("policy of the node's own devices would stand there; without host endpoints the chain is empty")

WHY_CLEAR = mark("starts with clean mark bits, whatever other rules left in them")


def hooks(calico: Calico) -> Iterator[tuple[str, FelixChain]]:
    """Yield table and rules for the top of each built-in chain, or for its end where the name ends in `*appends*`."""
    for table, names in (("raw", ("PREROUTING", "OUTPUT")), ("mangle", ("PREROUTING", "POSTROUTING"))):
        for name in names:
            yield table, _hook(name)
    late = calico.since(3, 28, 2)
    yield from (("nat", _hook(name)) for name in ("PREROUTING", "OUTPUT"))
    yield "nat", _hook("POSTROUTING", mark("behind kube-proxy, so that its masquerading comes first"), appended=late)
    yield from (("filter", _hook(name)) for name in ("INPUT", "FORWARD", "OUTPUT"))
    yield "filter", FelixChain("FORWARD" + APPENDED, tuple(_forward_end(calico)))


def _hook(
    name: str, reason: str = mark("Felix keeps its chains above everybody else's"), *, appended: bool = False
) -> FelixChain:
    jump = FelixRule(f"--jump cali-{name}", why=reason)
    return FelixChain(name + APPENDED * appended, (jump,))


def _forward_end(calico: Calico) -> Iterator[FelixRule]:
    bit = calico.marks.accept
    reason = mark("what policy allowed is accepted only here, behind kube-proxy's rules")
    yield FelixRule("--jump ACCEPT", is_set(bit), "Policy explicitly accepted packet.", reason)
    yield FelixRule(
        set_mark(bit), why=mark("tells mangle POSTROUTING that the packet is forwarded, not the node's own")
    )


def raw_chains(calico: Calico) -> Iterator[FelixChain]:
    """Yield the chains of table raw: the source check of pods, and tunnel packets kept out of connection tracking."""
    clear = FelixRule(clear_mark(calico.marks.all), why=WHY_CLEAR)
    reason = mark("lets pass what untracked policy of a host endpoint accepted")
    accepted = FelixRule("--jump ACCEPT", is_set(calico.marks.accept), why=reason)
    output = FelixRule("--jump cali-to-host-endpoint", why=WHY_HOST)
    yield FelixChain("cali-OUTPUT", (clear, output, *_notrack(calico), accepted))
    yield FelixChain("cali-PREROUTING", (clear, *_notrack(calico), *_source_check(calico), accepted))


def _notrack(calico: Calico) -> Iterator[FelixRule]:
    if calico.encapsulation is Encapsulation.VXLAN and calico.since(3, 29):
        reason = mark("the two directions of a VXLAN tunnel use different ports: they would never be one connection")
        yield FelixRule("--jump NOTRACK", "-p udp --dport 4789", why=reason)


def _source_check(calico: Calico) -> Iterator[FelixRule]:
    bit = calico.marks.scratch0
    yield FelixRule(set_mark(bit), f"--in-interface {PODS}", why=mark("marks packets that come from a pod"))
    yield FelixRule(
        "--jump cali-rpf-skip", is_set(bit), why=mark("spares pods that may use foreign source addresses: none")
    )
    check = f"{is_set(bit)} -m rpfilter --invert --validmark"
    reason = mark("a pod may send only with an address that is routed to its own device")
    yield FelixRule("--jump DROP", check, why=reason)
    yield FelixRule("--jump cali-from-host-endpoint", is_clear(bit), why=WHY_HOST)


def mangle_chains(calico: Calico) -> Iterator[FelixChain]:
    """Yield the chains of table mangle: policy before DNAT, and that of the node's own packets after it."""
    accept = is_set(calico.marks.accept)
    established = mark("packets of a known connection need no policy before DNAT; ends only this hook of this table")
    accepted = mark("lets pass what policy of a host endpoint accepted in table raw")
    prerouting = (
        FelixRule("--jump ACCEPT", "-m conntrack --ctstate RELATED,ESTABLISHED", why=established),
        FelixRule("--jump ACCEPT", accept, why=accepted),
        FelixRule("--jump cali-from-host-endpoint", why=WHY_HOST),
        FelixRule("--jump ACCEPT", accept, HOST_ACCEPTED, mark("lets pass what the chain before accepted")),
    )
    postrouting = (
        *_dscp(calico),
        FelixRule("--jump RETURN", accept, why=mark("forwarded packets were judged in table filter")),
        FelixRule(clear_mark(calico.marks.all), why=WHY_CLEAR),
        FelixRule("--jump cali-to-host-endpoint", "-m conntrack --ctstate DNAT", why=WHY_HOST),
        FelixRule("--jump RETURN", accept, HOST_ACCEPTED, mark("lets pass what the chain before accepted")),
    )
    yield FelixChain("cali-PREROUTING", prerouting)
    yield FelixChain("cali-POSTROUTING", postrouting)
    if calico.since(3, 31):
        yield FelixChain("cali-egress-dscp")


def _dscp(calico: Calico) -> Iterator[FelixRule]:
    if calico.since(3, 31):
        sets = (("", "cali40dscp-src-net src"), ("! ", f"{calico.pool_set} dst"), ("! ", "cali40this-host dst"))
        match = " ".join(f"-m set {no}--match-set {name}" for no, name in sets)
        reason = mark("sets the DSCP field for pods that ask for one: none")
        yield FelixRule("--jump cali-egress-dscp", match, "set dscp for traffic leaving cluster.", reason)


def nat_chains(calico: Calico) -> Iterator[FelixChain]:
    """Yield the chains of table nat: natOutgoing, and the source address of what enters the tunnel."""
    floating = FelixRule("--jump cali-fip-dnat", why=mark("floating addresses of pods: none"))
    yield FelixChain("cali-OUTPUT", (floating,))
    yield FelixChain("cali-PREROUTING", (floating,))
    yield FelixChain("cali-POSTROUTING", tuple(_postrouting(calico)))
    yield FelixChain("cali-nat-outgoing", tuple(_outgoing(calico)))


def _postrouting(calico: Calico) -> Iterator[FelixRule]:
    yield FelixRule("--jump cali-fip-snat", why=mark("floating addresses of pods: none"))
    yield FelixRule(
        "--jump cali-nat-outgoing", why=mark("masquerades what pods send out of the pools, if natOutgoing is on")
    )
    if calico.tunnel:
        types = "-m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL"
        reason = mark(
            "the node's own packets enter the tunnel with the tunnel's address, or the answer would come another way"
        )
        device = f"--out-interface {calico.tunnel} {types}"
        if calico.encapsulation is Encapsulation.VXLAN and calico.since(3, 33):
            ports = mark("never the tunnel's own port: answers to it would be taken for tunnel packets")
            yield FelixRule("--jump MASQUERADE --to-ports 4790-65535 --random-fully", f"-p 17 {device}", why=ports)
        yield FelixRule("--jump MASQUERADE --random-fully", device, why=reason)


def _outgoing(calico: Calico) -> Iterator[FelixRule]:
    if calico.nat_outgoing:
        match = f"-m set --match-set cali40masq-ipam-pools src -m set ! --match-set {calico.pool_set} dst"
        reason = mark(
            "natOutgoing: outside the pools no router knows pods' addresses, so the node replaces them with its own"
        )
        yield FelixRule("--jump MASQUERADE --random-fully", match, why=reason)


def clear_mark(bits: int) -> str:
    """Return the action that clears bits of the mark."""
    return f"--jump MARK --set-mark 0/{bits:#x}"


def set_mark(bits: int) -> str:
    """Return the action that sets bits of the mark."""
    return f"--jump MARK --set-mark {bits:#x}/{bits:#x}"


def is_set(bit: int) -> str:
    """Return the condition that a bit of the mark is set."""
    return f"-m mark --mark {bit:#x}/{bit:#x}"


def is_clear(bit: int) -> str:
    """Return the condition that a bit of the mark is clear."""
    return f"-m mark --mark 0/{bit:#x}"
