"""How a setting is changed in a cluster: the commands an administrator types, and where.

What is set by hand is read from the setting itself (a sysctl of every node) or from the lines it adds (a workaround);
what a program is told is a command of kubectl. The rest is said in words.
Source: kubectl reference; IPPool and FelixConfiguration of Calico 3.30; SpiderCoordinator of Spiderpool 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from mcnilib.cluster.build import build
from mcnilib.cluster.settings import Encapsulation, Option, PodPolicy, Settings, TrafficPolicy, option
from mcnilib.cluster.workarounds import WORKAROUND
from mcnilib.language import mark, tr
from mcnilib.linux.netns import Netns
from mcnilib.repair.repair import Command, Repair

KUBECTL = "kubectl"
"""Stands where the namespace of a command stands: it is typed wherever kubectl is."""
EVERY_NODE = mark("each node")
"""Stands there for a command that is typed on every node."""

_MODES = {
    Encapsulation.NONE: '{"spec":{"ipipMode":"Never","vxlanMode":"Never"}}',
    Encapsulation.VXLAN: '{"spec":{"ipipMode":"Never","vxlanMode":"Always"}}',
    Encapsulation.IPIP: '{"spec":{"ipipMode":"Always","vxlanMode":"Never"}}',
}
_POOL = "patch ippool default-ipv4-ippool --type merge -p"
_PROXY = "-n kube-system set image daemonset/kube-proxy kube-proxy=registry.k8s.io/kube-proxy"
_CONFIG, _RESTART = "-n kube-system get configmap kube-proxy", "-n kube-system rollout restart daemonset/kube-proxy"


def _flag(value: object) -> str:
    return str(bool(value)).lower()


_TOLD: Mapping[str, Callable[[object], str]] = {
    "kube_proxy": lambda value: f"{_PROXY}:v{value}.0",
    "kube_proxy_mode": lambda value: (
        f"{_CONFIG} -o yaml | sed 's/^    mode: .*/    mode: {value}/' | kubectl apply -f - && kubectl {_RESTART}"
    ),
    "restarted": lambda value: _RESTART,
    "encapsulation": lambda value: f"{_POOL} '{_MODES[Encapsulation(value)]}'",
    "nat_outgoing": lambda value: f'{_POOL} \'{{"spec":{{"natOutgoing":{_flag(value)}}}}}\'',
    "felix_invalid": lambda value: (
        "patch felixconfiguration default --type merge -p "
        f'\'{{"spec":{{"disableConntrackInvalidCheck":{_flag(not value)}}}}}\''
    ),
    "network_policy": lambda value: "-n demo delete networkpolicies --all" * (value is PodPolicy.NONE),
    "pod_rp_filter": lambda value: (
        f'patch spidercoordinator default --type merge -p \'{{"spec":{{"podRPFilter":{value}}}}}\''
    ),
    "external_policy": lambda value: (
        f'-n demo patch service web -p \'{{"spec":{{"externalTrafficPolicy":"{TrafficPolicy(value).value}"}}}}\''
    ),
}


def how_to(repair: Repair, settings: Settings) -> tuple[Command, ...]:
    """Return all that is typed for a repair, the settings' commands first; none where it can only be said in words."""
    told = [command for name, value in repair.settings for command in _told(option(name), value, settings)]
    return *told, *repair.commands


def in_words(repair: Repair) -> tuple[str, ...]:
    """Say which settings a repair changes, and to what."""
    return tuple(
        tr("{setting} to {value!r}", setting=tr(option(name).label), value=tr(option(name).text(value)))
        for name, value in repair.settings
    )


def _told(chosen: Option, value: object, settings: Settings) -> Iterator[Command]:
    if sysctl := re.match(r"sysctl (\S+) on every node", chosen.changes):
        yield Command(EVERY_NODE, f"sysctl -w {sysctl[1]}={chosen.text(value)}")
    elif chosen.attribute in _TOLD and (told := _TOLD[chosen.attribute](value)):
        yield Command(KUBECTL, f"kubectl {told}")
    elif chosen.attribute == "workaround":
        before, after = map(build, (settings, settings.but(workaround=value)))
        for netns in after:
            yield from (Command(netns.name, text) for text in _added(before[netns.name], netns))


def _added(before: Netns, after: Netns) -> Iterator[str]:
    """Yield the commands that add the lines an administrator has added: routes, and rules where they stand."""
    for route in after.ip4.routes:
        if route.origin and route.origin.writer == WORKAROUND and route not in before.ip4.routes:
            yield f"ip route add {route}".strip()
    for table in after.ip4.tables:
        for chain in table.chains:
            for place, rule in enumerate(chain.rules, 1):
                if rule.origin and rule.origin.writer == WORKAROUND:
                    spec = str(rule).removeprefix(f"-A {chain.name} ")
                    yield f"iptables -t {table.name} -I {chain.name} {place} {spec}"
