"""The walk of one packet: where it stands, one step, and the loop around it.

Source: the order of the Linux receive and transmit paths; each verb in `trace.stack.ip_input` names its kernel files.
"""

from __future__ import annotations

from mcnilib.errors import McniError
from mcnilib.language import tr
from mcnilib.trace.devices.br_netfilter import send_back
from mcnilib.trace.stack.host import Arrival, AtPort, Delivery, Departure, Position
from mcnilib.trace.stack.ip_input import receive, receive_at_port, send
from mcnilib.trace.stack.recorder import Recorder

MAX_PLACES = 2000
"""Places one packet may stand at before the walk is called endless; TTL ends real loops much earlier."""


def step(at: Recorder, position: Arrival | AtPort | Departure) -> Position:
    """Move the packet one place on: into a namespace, or out of it."""
    at.enter(position.netns, position.skb)
    match position:
        case Arrival(link=link):
            return receive(at, link)
        case AtPort(port=port, frame=frame):
            return receive_at_port(at, port, frame)
        case Departure(dev=dev):
            return send_back(at) if at.skb.ports else send(at, dev)


def walk(at: Recorder, start: Position) -> Delivery | None:
    """Walk the packet to its end; return where it was delivered, or None when it was lost on the way.

    Raises: McniError when the packet never comes to rest (tunnels that feed each other).
    """
    position = start
    for _ in range(MAX_PLACES):
        if position is None or isinstance(position, Delivery):
            return position
        position = step(at, position)
    raise McniError(
        tr("the packet never comes to rest: {action} in {netns}", action=at.steps[-1].action, netns=at.steps[-1].netns)
    )
