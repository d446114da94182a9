"""How a conversation ends, as HTML: the verdict, the reasons, and what Spiderpool's guide says about it."""

from __future__ import annotations

from collections.abc import Callable

from mcnilib.cluster.settings import Settings
from mcnilib.language import tr
from mcnilib.scenarios.scenario import GUIDE_ADDRESS, GUIDE_EDITION, GUIDE_TITLE, Scenario
from mcnilib.show.html.markup import Html, block, element, folded, joined, sentence, status
from mcnilib.show.picture.palette import role_of
from mcnilib.trace.explain import because, verdict
from mcnilib.trace.trace import Trace

Remark = Callable[[Scenario, Settings], str]
"""A few words about a run of a scenario under some settings."""


def no_remark(story: Scenario, settings: Settings) -> str:
    """Say nothing about a run."""
    return ""


def verdict_lines(trace: Trace) -> Html:
    """Return how a conversation ends, and what that rests on."""
    lines = [sentence(line) for line in (verdict(trace), *trace.notes)]
    return joined(f"{role_of(trace.outcome).glyph} ", Html("<br>".join(lines)))


def verdict_html(trace: Trace) -> Html:
    """Return how a conversation ends, and what that rests on, as a live region."""
    return status(verdict_lines(trace), class_="mcni mcni-verdict")


def because_html(trace: Trace, *more: str) -> Html:
    """Return why a conversation ended so, and `more`, without what its verdict says already."""
    reasons = [line for line in (*because(trace), *more) if line not in trace.notes]
    return block(*(element("div", sentence(line)) for line in reasons)) if reasons else Html()


def reasons_html(story: Scenario, settings: Settings, remark: Remark = no_remark) -> Html:
    """Return why it ended so, a remark, and what Spiderpool's guide says."""
    trace, claim, more = story.run(settings), story.claim(settings), remark(story, settings)
    reasons = [element("div", sentence(line)) for line in because(trace)]
    reasons += [element("div", element("i", more))] if more else []
    disagrees = claim.holds(trace.outcome.works) is False
    head = joined(tr("What Spiderpool's guide says"), *([element("b", tr(": Linux disagrees"))] if disagrees else []))
    said = tr("{section}: {says}.", section=tr(claim.section), says=tr(claim.says))
    says = joined(f"{said} ", guide_html())
    return block(*reasons, element("div", Html(folded(head, says)), class_="mcni-claim"))


def guide_html() -> Html:
    """Return what Spiderpool's guide is, in brackets, with a link."""
    return joined("(", element("a", tr(GUIDE_TITLE), href=GUIDE_ADDRESS), f", {tr(GUIDE_EDITION)})")
