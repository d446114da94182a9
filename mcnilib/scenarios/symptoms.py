"""What a person at the client's shell sees, what may cause it, and which lesson and command show that very case.

Each case is run by the tests: it ends as its symptom says, or differs with a setting where the symptom comes and goes.
Also the legend: what each verdict means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mcnilib.language import mark, tr
from mcnilib.scenarios import scenario
from mcnilib.scenarios.matrix import SHORT_VERDICTS
from mcnilib.scenarios.scenario import Scenario
from mcnilib.trace.trace import Trace, Verdict


@dataclass(frozen=True, slots=True)
class LikelyCause:
    """A likely cause, and the scenario that shows it: its start with `given` changed.

    `varies` is a setting on which it depends whether it works; `patience` is how long the client waits, in seconds.
    """

    cause: str
    name: str
    given: tuple[tuple[str, object], ...] = ()
    varies: str = ""
    patience: float | None = None

    @property
    def story(self) -> Scenario:
        """The scenario."""
        return scenario(self.name)

    @property
    def command(self) -> str:
        """The command that shows it."""
        waits = f" --patience {self.patience:g}" if self.patience else ""
        return self.story.command(self.story.start().but(**dict(self.given))) + waits

    def run(self, **changed: object) -> Trace:
        """Run it, with other settings changed too."""
        return self.story.run(self.story.start().but(**dict(self.given), **changed), self.patience)


@dataclass(frozen=True, slots=True)
class Symptom:
    """What one sees, the verdict that says so (None: it comes and goes), and the cases."""

    sees: str
    verdict: Verdict | None
    cases: tuple[LikelyCause, ...]


SYMPTOMS = (
    Symptom(
        mark("connects, then hangs"),
        Verdict.HANGS,
        (
            LikelyCause(
                mark(
                    "The reply takes another path than the request. The client's node never sees it, calls the next "
                    "packet INVALID, and kube-proxy's rule drops it."
                ),
                "macvlan-to-calico-across-nodes",
            ),
            LikelyCause(mark("The same, but Felix drops it first, in the chain of the pod."), "macvlan-to-multi-nic"),
        ),
    ),
    Symptom(
        mark("times out"),
        Verdict.TIMED_OUT,
        (
            LikelyCause(
                mark("A stateful firewall between the nodes sees only the reply."), "macvlan-to-calico-across-subnets"
            ),
            LikelyCause(mark("A node sees only the reply, because no SNAT brings it back."), "calico-to-macvlan"),
            LikelyCause(
                mark("The answer comes from another address than the one that was called."), "nodeport-to-multi-nic"
            ),
            LikelyCause(
                mark("No endpoint runs on this node (externalTrafficPolicy Local)."),
                "nodeport-to-macvlan",
                (("endpoint", "mac4"),),
            ),
            LikelyCause(
                mark("rp_filter drops the request in the pod."), "nodeport-to-macvlan", (("pod_rp_filter", 1),)
            ),
        ),
    ),
    Symptom(
        mark("unreachable"),
        Verdict.UNREACHABLE,
        (
            LikelyCause(mark("A Macvlan pod and its own node cannot hear each other."), "macvlan-to-own-node"),
            LikelyCause(
                mark("The Macvlan mode keeps pods of one node apart."),
                "macvlan-same-subnet",
                (("macvlan_mode", "private"),),
            ),
            LikelyCause(
                mark("The gateway between the subnets is missing."),
                "macvlan-different-subnets",
                (("gateway", "absent"),),
            ),
        ),
    ),
    Symptom(
        mark("reset"),
        Verdict.RESET,
        (
            LikelyCause(
                mark(
                    "After 120 seconds the node has forgotten the first packet and lets the rest pass. The server has "
                    "given up by then."
                ),
                "macvlan-to-calico-across-nodes",
                patience=300.0,
            ),
        ),
    ),
    Symptom(
        mark("sometimes"),
        None,
        (
            LikelyCause(
                mark("`ping` and UDP work, TCP does not."), "macvlan-to-calico-across-nodes", varies="protocol"
            ),
            LikelyCause(mark("It works when both pods run on one node."), "calico-to-macvlan", varies="placement"),
            LikelyCause(
                mark("It depends on the pod that answers for the service."), "multi-nic-to-clusterip", varies="endpoint"
            ),
        ),
    ),
)

MEANINGS = {
    Verdict.CONNECTED: mark("Request and reply both arrive."),
    Verdict.REFUSED: mark("The other side answers at once that nobody listens there."),
    Verdict.TIMED_OUT: mark("No answer to the first packet reaches the client: it tries again, then gives up."),
    Verdict.HANGS: mark("The connection opens, and what is sent after that gets no answer."),
    Verdict.RESET: mark("The connection opens, and the other side then ends it at once."),
    Verdict.UNREACHABLE: mark("The client is told at once: there is no route, no answer to ARP, or a rule forbids it."),
    Verdict.ONE_WAY: mark("UDP or ping: the request arrives, the answer does not."),
    Verdict.LOST: mark("UDP or ping: the request does not arrive."),
    Verdict.UNKNOWN: mark("In a snapshot: the deciding state was not collected."),
    Verdict.DEPENDS: mark("Chance decides, for instance which of two pods answers for a service."),
}
"""What each verdict means to the person at the client's shell."""

SYMPTOM_COLUMNS = (mark("you see"), mark("likely cause"), mark("lesson"), mark("see it happen"))


def symptom_rows() -> Iterator[tuple[Symptom, LikelyCause]]:
    """Yield each case with its symptom, in the order of the table."""
    for symptom in SYMPTOMS:
        yield from ((symptom, case) for case in symptom.cases)


def symptom_table(folder: str) -> str:
    """Return the table in Markdown; `folder` is the way to the notebooks, empty or with a slash at its end."""
    return _table(tuple(map(tr, SYMPTOM_COLUMNS)), (_row(symptom, case, folder) for symptom, case in symptom_rows()))


def _row(symptom: Symptom, case: LikelyCause, folder: str) -> tuple[str, ...]:
    sees = f"**{tr(symptom.sees)}**" if case is symptom.cases[0] else ""
    lesson = f"[{case.story.number}]({folder}{case.story.notebook})"
    return sees, tr(case.cause), lesson, f"`{case.command}`"


def verdict_legend() -> str:
    """Return the legend in Markdown: each verdict in a word, as it is written, and what it means."""
    rows = ((tr(SHORT_VERDICTS[verdict]), tr(verdict.value), tr(MEANINGS[verdict])) for verdict in Verdict)
    return _table((tr("in tables"), tr("in sentences"), tr("what it means")), rows)


def _table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = (heads, ("---",) * len(heads), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
