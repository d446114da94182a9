"""The notebook of one packet's walk: where it stands, and the steps so far, frozen into a Journey at the end."""

from __future__ import annotations

from mcnilib.language import tr
from mcnilib.linux.netfilter.conntrack import Entry, Tracked
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule
from mcnilib.linux.netfilter.nftables.rule import NftChain, NftRule
from mcnilib.linux.packet import Packet
from mcnilib.trace.stack.host import Network, Skb
from mcnilib.trace.trace import Fate, Stage, Step, Told, What


class Recorder:
    """Goes with one packet: `host` is the namespace it is in, `skb` the packet as it is now, with what goes with it."""

    __slots__ = ("host", "net", "skb", "steps")

    def __init__(self, net: Network, netns: str, skb: Skb) -> None:
        """Begin in the namespace the packet was made in."""
        self.net, self.steps = net, list[Step]()
        self.enter(netns, skb)

    def enter(self, netns: str, skb: Skb) -> None:
        """Stand in a namespace, perhaps with another packet, put around the one before or taken out of it.

        Raises: Unknown for a namespace that nobody collected.
        """
        self.host, self.skb = self.net.hosts[netns], skb

    def note(
        self,
        stage: Stage,
        action: str,
        after: Packet | None = None,
        *,
        line: object = None,
        fate: Fate = Fate.GOES_ON,
        iif: str = "",
        oif: str = "",
        to: tuple[str, str] | None = None,
        path: tuple[tuple[str, str], ...] = (),
        what: What | None = None,
    ) -> None:
        """Note a decision; `line` is the state that decided it, `after` what it made of the packet."""
        netns, packet = self.host.name, self.skb.packet
        self.steps.append(
            Step(
                netns, stage, action, packet, after or packet, line,
                iif=iif, oif=oif, fate=fate, to=to, path=path, what=what,
            )
        )  # fmt: skip

    def rule(
        self,
        at: Context,
        table: str,
        line: ChainRule | Chain | NftRule | NftChain | None,
        action: str,
        before: Packet,
        after: Packet,
    ) -> None:
        """Note a netfilter rule that matched, or the chain whose policy decided."""
        self.steps.append(
            Step(
                self.host.name, Stage.NETFILTER, action, before, after, line, table, at.hook, at.iif, at.oif,
                entry=at.entry, context=at,
                ctstate="" if table == "raw" else at.ctstate,  # nobody has looked at the connection yet
            )
        )  # fmt: skip

    def connection(
        self, hook: str, action: str, before: Packet, after: Packet, tracked: Tracked, entry: Entry | None
    ) -> None:
        """Note what conntrack or NAT did: the connection as it stands afterwards."""
        stage = Stage.NAT if before is not after else Stage.CONNTRACK
        step = Step(self.host.name, stage, action, before, after, hook=hook, entry=entry, ctstate=tracked.state or "")
        self.steps.append(step)

    def amend(self, **changes: object) -> None:
        """Complete the last step, once it is known what came of it."""
        self.steps[-1] = self.steps[-1]._replace(**changes)  # type: ignore[arg-type]

    def silence(self, limit: str) -> None:
        """Take back what the last step says of an answer: a limit keeps its sender from being told."""
        step = self.steps[-1]
        decision = step.what.decision if isinstance(step.what, Told) else step.action
        self.amend(
            action=tr("{decision}: says nothing, as {limit}", decision=decision, limit=limit),
            what=Told(decision, limit),
        )
