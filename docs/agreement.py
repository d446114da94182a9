"""The text of docs/agreement.md: every comparison of the model with something else. `mcni record agreement` writes it.

The kernel's runs come from their records. Public reports are asked here and now: those of `tests/data/reports/*.json`
are snapshots as they were rebuilt, those of `threads.txt` are typed as `mcni snapshot new` reads them.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mcnilib.errors import McniError
from mcnilib.kernel.compare.record import AGREES, DIFFERS, SKIPPED, UNKNOWN, parse_records
from mcnilib.linux.netfilter.nftables.rule import print_ruleset
from mcnilib.linux.netfilter.nftables.statement import Opaque
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.snapshots.question import changed, read_listeners
from mcnilib.snapshots.snapshot import Snapshot, snapshot_of
from mcnilib.snapshots.typed.skeleton import skeleton
from mcnilib.trace.explain import verdict
from mcnilib.trace.trace import Trace, Verdict

ROOT = Path(__file__).resolve().parents[1]
KERNEL, DATA = ROOT / "mcnilib" / "kernel", ROOT / "tests" / "data"
THREADS = DATA / "reports" / "threads.txt"
REASONS = 6
"""Reasons that are named one by one; the rest is a number."""

INTRODUCTION = """\
# Agreement: what the model was compared with

`mcni record agreement` writes this page; a test fails when it is stale. *Read* counts what was read or built, *traced*
the conversations that were followed, *agree* those that ended as the other side says. *Unknown* are those in which the
model does not decide; it says so, with the reason.
"""

LISTED = """\
Rebuilt from what was reported, with names and addresses of our own. The first are snapshots, the others are typed
([snapshot.md](snapshot.md)). A test asks each of them; it fails when an answer contradicts what was established. An
answer agrees when it names the cause, also where it cannot follow the packet to its end. *In one course* means that
chance decides in the model between this end and another one.
"""


@dataclass(frozen=True)
class PublicReport:
    """A question somebody asked in public, as a snapshot: what was established (`says`), and how the answer shows it.

    All of `ends` are parts of the answer that agrees; after the commands of `tried` all of `now` are.
    """

    name: str
    says: str
    ask: tuple[str, ...]
    ends: tuple[str, ...]
    snapshot: Snapshot
    tried: tuple[str, ...] = ()
    now: tuple[str, ...] = ()

    def answer(self, tried: tuple[str, ...] = ()) -> Trace:
        """Ask the model, after some commands."""
        asked = _ASK.parse_args(self.ask)
        world = changed(self.snapshot.world, "\n".join(tried))
        flow = self.snapshot.flow(asked.netns, asked.to, asked.source)
        return replace(self.snapshot, world=world).trace(flow, read_listeners(asked.listen))

    def outcome(self) -> tuple[str, str]:
        """Return `agrees`, `in one course`, `unknown` or `contradicts`, and what the model says."""
        trace = self.answer()
        outcome = _judged(trace, self.ends)
        if outcome == "agrees" and self.tried:
            repaired = self.answer(self.tried)
            outcome = _judged(repaired, self.now)
            return outcome, f"{verdict(trace)}. After the repair: {verdict(repaired)}"
        return outcome, "; ".join([verdict(trace), *(note for note in trace.notes if "assumed" not in note)])


_ASK = argparse.ArgumentParser()
_ASK.add_argument("--from", dest="netns")
_ASK.add_argument("--to")
_ASK.add_argument("--source", default="")
_ASK.add_argument("--listen", action="append", default=[])


def _judged(trace: Trace, parts: tuple[str, ...]) -> str:
    said = " ".join([verdict(trace), *trace.notes])
    if all(part in said for part in parts):
        return "in one course" if trace.outcome.verdict is Verdict.DEPENDS else "agrees"
    return "unknown" if trace.outcome.verdict is Verdict.UNKNOWN else "contradicts"


def reports() -> list[PublicReport]:
    """Return every public report the project holds."""
    return [*_rebuilt(), *_typed()]


def _rebuilt() -> Iterator[PublicReport]:
    for path in sorted(THREADS.parent.glob("*.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        files = {name: "".join(f"{line}\n" for line in lines) for name, lines in case["files"].items()}
        yield PublicReport(path.stem, case["says"], tuple(case["ask"]), tuple(case["ends"]), snapshot_of(files))


def _typed() -> Iterator[PublicReport]:
    for block in re.split(r"^thread ", THREADS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, world = block.partition("\n\n")
        name, *lines = head.splitlines()
        said = [line.partition(" ")[::2] for line in lines]
        values = {key: tuple(value for other, value in said if other == key) for key, _ in said}
        ends, now = (
            tuple(part for text in values.get(key, ()) for part in text.split(" | ")) for key in ("ends", "now")
        )
        ask = tuple(values["ask"][0].split())
        snapshot = snapshot_of(skeleton(world, THREADS.name))
        yield PublicReport(name, values["says"][0], ask, ends, snapshot, values.get("try", ()), now)


def page() -> str:
    """Return the text of the page."""
    every = [(report, *report.outcome()) for report in reports()]
    return "\n".join([INTRODUCTION, *_table(Counter(outcome for _, outcome, _ in every)), *_listed(every)])


def _table(public: Counter[str]) -> Iterator[str]:
    yield "| compared with | read | traced | agree | contradict | unknown or not compared, and why |"
    yield "|---|---|---|---|---|---|"
    for path in sorted(KERNEL.glob("record*.json")):
        yield _scenarios(path)
    for path in sorted(KERNEL.glob("fuzz*.json")):
        yield _fuzzer(path)
    seeds = len([*(DATA / "fuzz").glob("*.txt")])
    yield f"| worlds in which model and kernel once differed, each a test now | {seeds} | {seeds} | {seeds} | 0 | |"
    yield _listings()
    yield _published()
    total, agree = public.total(), public["agrees"] + public["in one course"]
    why = f"{public['unknown']}: below, each with its reason" if public["unknown"] else ""
    traced = agree + public["contradicts"]
    yield f"| public reports, below | {total} | {traced} | {agree} | {public['contradicts']} | {why} |\n"


def _scenarios(path: Path) -> str:
    records = parse_records(path.read_text(encoding="utf-8")).values()
    letters = Counter(letter for record in records for letter in record.results)
    kernels = ", ".join(sorted({record.kernel for record in records}))
    skipped = Counter[str]()
    for record in records:
        skipped[record.skipped] += record.results.count(SKIPPED)
    asked = f"{letters.total() - letters[UNKNOWN]} combinations" if letters[UNKNOWN] else "every combination"
    stories = f"{len(records)} scenarios" if len(records) > 1 else "one scenario"
    what = f"Linux {kernels}: {asked} of settings of {stories}, hop by hop (`mcni verify`)"
    letters[UNKNOWN] = 0
    traced = letters[AGREES] + letters[DIFFERS]
    return _row(what, letters.total(), traced, letters[AGREES], letters[DIFFERS], skipped)


def _fuzzer(path: Path) -> str:
    held = json.loads(path.read_text(encoding="utf-8"))
    refused = Counter[str]()
    for why, number in held["refused"].items():
        refused[re.sub(r"[\w.:/-]*\d[\w.:/-]*", "…", why)] += number
    what = f"Linux {held['kernel']}: random worlds, step by step (`mcni fuzz`, seed {held['seed']})"
    return _row(what, held["worlds"], held["agrees"] + held["differs"], held["agrees"], held["differs"], refused)


def _listings() -> str:
    files = sorted((DATA / "calico").glob("*.txt"))
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    return f"| rules of whole nodes as Felix writes them, to the letter | {lines} lines | | {lines} | 0 | |"


def counted(texts: Mapping[str, str]) -> dict[str, object]:
    """Read rulesets of nft; count them, their lines and rules, what is printed otherwise, and what is unknown by its
    first words. `python docs/agreement.py FILE...` prints this, which is kept in tests/data/nftables/published.json."""
    found, unknown = Counter[str](), Counter[str]()
    for name, text in texts.items():
        found += Counter(listings=1, lines=text.count("\n"))
        try:
            tables = read_ruleset(text, name)
        except McniError:
            found["not read"] += 1
            continue
        found["printed the same"] += print_ruleset(tables).strip() == text.strip()
        for rule in (rule for table in tables for chain in table.chains for rule in chain.rules):
            kept = [one.text for one in rule.statements if isinstance(one, Opaque)]
            found += Counter({"rules": 1, "unknown": bool(kept)})
            unknown.update(" ".join(text.split()[:2]) for text in kept)
    return {**found, "reasons": dict(unknown.most_common())}


def _published() -> str:
    kept = json.loads((DATA / "nftables" / "published.json").read_text(encoding="utf-8"))
    what = f"rulesets of nft that others published, as nft prints them: {kept['rules']:,} rules"
    why = [f"{number}: `{words}`" for words, number in [*kept["reasons"].items()][:REASONS]]
    rest = kept["unknown"] - sum([*kept["reasons"].values()][:REASONS])
    said = "<br>".join([*why, f"{rest}: other statements", f"{kept.get('not read', 0)} listings not read"])
    return f"| {what} | {kept['listings']} | | {kept['printed the same']} printed the same | | {_cell(said)} |"


def _row(what: str, read: int, traced: int, agree: int, differ: int, unknown: Counter[str]) -> str:
    most = sorted(unknown.items(), key=lambda x: (-x[1], x[0]))
    named = [f"{number}: {why}" for why, number in most[:REASONS] if number]
    rest = sum(number for _, number in most[REASONS:])
    why = "<br>".join([*named, *([f"{rest}: other reasons"] if rest else [])])
    return f"| {what} | {read:,} | {traced:,} | {agree:,} | {differ:,} | {_cell(why)} |"


def _listed(every: list[tuple[PublicReport, str, str]]) -> Iterator[str]:
    yield "## Public reports\n"
    yield LISTED
    yield "| report | what was established | the model | |\n|---|---|---|---|"
    for report, outcome, said in every:
        link = re.sub(r"https://github.com/(.+)/(?:issues|pull)/(\d+)", r"[\1#\2](\g<0>)", report.name)
        yield f"| {link} | {_cell(report.says)} | {_cell(_short(said))} | {outcome} |"
    yield ""


def _short(text: str, most: int = 420) -> str:
    return text if len(text) <= most else f"{text[: most - 2]} …"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    given = {name: Path(name).read_text(encoding="utf-8") for name in sys.argv[1:]}
    print(json.dumps(counted({name: text for name, text in given.items() if text.strip()}), indent=1))
