"""Commands an administrator types into a namespace, carried out on the model: `ip`, `iptables`, `nft`, `sysctl`.

    world = do(world, "node1", "iptables -t raw -I PREROUTING -i veth1 -j NOTRACK")
    world = do(world, "node2", "ip route add 172.16.100.2 via 172.16.1.2 dev en0")

Understood: ip route add|append|prepend|replace|del, ip rule add|del, ip address add, ip neigh add,
ip link set DEV up|down, iptables -A|-I|-D|-P|-N|-F, nft add|insert|delete|flush, sysctl [-w] KEY=VALUE.
Nothing is run on this machine. What the tool or the kernel would refuse is refused; what else they take is refused by
name.
Source: sysctl(8). Next: `ip_command`, `iptables_command`, `nft_command`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from getopt import GetoptError, getopt

from mcnilib.errors import McniError, StateSyntaxError, Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.netns import Netns, set_sysctl
from mcnilib.linux.origin import Origin
from mcnilib.linux.text import nearest, shell_words
from mcnilib.world.ip_command import ip
from mcnilib.world.iptables_command import iptables
from mcnilib.world.nft_command import nft, nft_words
from mcnilib.world.world import World

_LEARNER = Origin(mark("you"), mark("typed as a command"))

USAGE = "ip route|rule|address|neigh|link ..., iptables ..., nft ..., sysctl KEY=VALUE"


_NFT = re.compile(r"\s*(sudo\s+)?nft(?!\S)")


def do(world: World, netns: str, *commands: str, origin: Origin = _LEARNER) -> World:
    """Carry out commands in a namespace, one after the other, and return the world afterwards.

    Raises: McniError: StateSyntaxError and Unsupported for a command that is not understood, Refused (with the errno)
    for one the kernel would refuse, NotThere for a namespace or device that does not exist.
    """
    for command in commands:
        world = world.put(run_command(world[netns], command, origin))
    return world


def run_command(netns: Netns, command: str, origin: Origin = _LEARNER) -> Netns:
    """Carry out one command in a namespace; see `do`."""
    if _NFT.match(command):
        return nft(netns, nft_words(command), origin)
    argv = shell_words(command)
    if not argv:
        raise _fail(tr("the command is empty"), command)
    tools: dict[str, Callable[[Netns, list[str], Origin], Netns]] = {"iptables": iptables, "sysctl": _sysctl, "ip": ip}
    if argv[0] not in tools:
        raise _fail(
            tr(
                "{word!r} is not understood; understood are {usage}{nearest}",
                word=argv[0],
                usage=USAGE,
                nearest=nearest(argv[0], tools),
            ),
            command,
        )
    try:
        return tools[argv[0]](netns, argv[1:], origin)
    except StateSyntaxError as wrong:
        raise _pointed(wrong, command) from None


def _pointed(wrong: StateSyntaxError, command: str) -> StateSyntaxError:
    """Return an error about the words in another order as one about the command as it was typed."""
    word = wrong.text[wrong.column - 1 :].split()[:1]
    match = re.search(rf"(?<!\S){re.escape(word[0])}(?!\S)", command) if word else None
    column = match.start() + 1 if match else 1 if word else len(command) + 1
    return StateSyntaxError(wrong.what, source="command", line=1, column=column, text=command)


def _fail(what: str, command: str) -> StateSyntaxError:
    return StateSyntaxError(what, source="command", line=1, column=1, text=command)


def _sysctl(netns: Netns, arguments: list[str], origin: Origin) -> Netns:
    try:
        _, pairs = getopt(arguments, "wq", ["write", "quiet"])
    except GetoptError as problem:
        raise Unsupported(tr("sysctl: {msg}; expected sysctl -w KEY=VALUE", msg=problem.msg)) from None
    if not pairs:
        raise McniError(tr("sysctl: expected sysctl -w KEY=VALUE"))
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise McniError(tr("sysctl: {pair!r} is not KEY=VALUE", pair=pair))
        netns = set_sysctl(netns, key.strip(), value, origin)
    return netns
