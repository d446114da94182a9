"""Sysctls that decided an answer though nobody gave them: in a world typed by hand the kernel's default is taken.

Which ones decided is found by asking again with the other value. Of what was collected nothing is assumed: a line that
is not there ends a packet's way (`mcnilib.linux.sysctl.with_missing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from mcnilib.errors import McniError
from mcnilib.linux.netns import Netns
from mcnilib.linux.sysctl import CONF, FORWARD, GLOBAL, KERNEL_DEFAULT, NETFILTER, Setting, conf_key, stored
from mcnilib.trace.trace import Trace, Verdict
from mcnilib.world.world import World

Ask = Callable[[World], Trace]

UNASKED = ("accept_redirects", "send_redirects")
"""Off where they are not listed (`mcnilib.trace.stack.icmp`)."""
ELSEWHERE = (FORWARD, "net.ipv4.icmp_errors_use_inbound_ifaddr", NETFILTER + "acct", NETFILTER + "log_invalid")
"""Asked as `forwarding`; and what decides only which address an ICMP error comes from, what is counted or logged."""
SWITCHES = (
    *(name for name in CONF if name not in UNASKED),
    *(key for key, (default, _) in GLOBAL.items() if default in ("0", "1") and key not in ELSEWHERE),
)
"""Settings that have another value than the default: on or off; numbers of seconds or packets are left out."""
OTHER = {"0": "1", "1": "0"}
STRICTER = {"arp_announce": "2", "arp_ignore": "2"}
"""Settings with more than two values: the one that is in use and farthest from the default."""
MOST = 64
"""Namespaces that are asked about one by one."""


def assumed(world: World, trace: Trace, ask: Ask) -> Iterator[str]:
    """Yield a sentence for each setting that was taken for the kernel's default and decided."""
    if trace.outcome.verdict is Verdict.UNKNOWN:
        return
    end = _end(lambda _: trace, world)
    awake = {name for course in trace.courses for name, _ in course.connections}
    there = [netns for netns in world if netns.name in awake]
    for name in SWITCHES:
        turned = {netns.name: other for netns in there if (other := _turned(netns, name)) is not netns}
        if turned and _end(ask, _with(world, *turned.values())) != end:
            alone = [one for one in turned if len(turned) <= MOST and _end(ask, _with(world, turned[one])) != end]
            yield _sentence(name, alone or [*turned])


def _turned(netns: Netns, name: str) -> Netns:
    """Return a namespace in which a setting has the other value wherever nobody gave it; itself where it was given."""
    keys = [conf_key(name, dev) for dev in ("all", *(link.name for link in netns.links))] if name in CONF else [name]
    lines = [stored(netns.settings, key) for key in keys]
    other = STRICTER.get(name)
    new = tuple(Setting(line.key, other or OTHER[line.value]) for line in lines if line.by is KERNEL_DEFAULT)
    return netns.but(sysctls=(*netns.sysctls, *new)) if new else netns


def _with(world: World, *namespaces: Netns) -> World:
    new = {netns.name: netns for netns in namespaces}
    return replace(world, namespaces=tuple(new.get(netns.name, netns) for netns in world))


def _end(ask: Ask, world: World) -> tuple[str, ...]:
    """Return how the conversation ends in a world; a refusal is an end of its own."""
    try:
        outcome = ask(world).outcome
    except McniError as problem:
        return (str(problem),)
    return outcome.verdict.value, outcome.error, outcome.seen_source


def _sentence(name: str, namespaces: list[str]) -> str:
    key = conf_key(name, "all") if name in CONF else name
    default = (CONF[name] if name in CONF else GLOBAL[key])[0]
    return f"assumed: {key.rpartition('.')[2]} = {default} on {', '.join(namespaces)}, not given"
