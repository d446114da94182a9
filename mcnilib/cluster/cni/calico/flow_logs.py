"""The rules by which Felix tells Goldmane of connections: NFLOG, which goes on to the next rule.

Group 1 is for packets to pods, 2 for those from pods. A prefix says action (A, D, P), owner (P policy, R profile),
direction, number of the rule, and a name.
Source: felix/rules/{policy,endpoints}.go, v3.30 to v3.32; hashes of the profiles' chains agree with published ones.
"""

from __future__ import annotations

from mcnilib.cluster.cni.calico.hashes import FelixRule
from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr

LONGEST_PREFIX = 62
"""A longer prefix is hashed, in a way that was not read."""

_GROUP = {"ingress": 1, "egress": 2}


def logged(prefix: str, direction: str, match: str = "") -> FelixRule:
    """Return the rule that logs with a prefix. Raises: Unsupported for a prefix that would be hashed."""
    if len(prefix) > LONGEST_PREFIX:
        raise Unsupported(tr("flow logs of a policy with a long name: {prefix}", prefix=prefix))
    action = f"--jump NFLOG --nflog-group {_GROUP[direction]} --nflog-prefix {prefix} --nflog-size 80"
    return FelixRule(action, match, why=mark("tells the flow logs of it; the packet goes on"))
