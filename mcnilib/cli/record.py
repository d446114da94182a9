"""`mcni record`: renew what a clone of the project has recorded of what the model says, where it now says otherwise.

It looks at one part after the other, in an order that ends: notebooks quote the kernel's record, the errata page quotes
notebooks. A file is replaced as a whole when its part is done, so an interrupted run leaves what was there. What the
kernel contradicts is told and not recorded: then the model is wrong, not the record.
"""

from __future__ import annotations

import argparse
import json
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from re import sub
from typing import Any

from mcnilib.catalogue import TEMPLATE, template
from mcnilib.cli.common import add_verb
from mcnilib.errors import McniError, MissingExtra
from mcnilib.learner import PROJECT
from mcnilib.progress import counted
from mcnilib.scenarios import Scenario, all_scenarios, scenario
from mcnilib.writing import write_file

EXAMPLES = """examples:
  mcni record --check                   # say what is stale, write nothing
  mcni record                           # renew it
  mcni record notebooks errata          # only these
  mcni record fuzz --force              # also if it is fresh

It works in a clone of the project, with all extras: uv run --all-extras mcni record
exit status: 0 all is fresh now, 1 something is stale or could not be renewed, 2 wrong input
"""
RANDOM_WORLDS = 10_000
"""Random worlds of the fuzzer's record."""
FLAGSHIP = "macvlan-to-calico-across-nodes"
STRUCTURES = "tests/browser/test_notebooks.py"
WIDGET = "application/vnd.jupyter.widget-view+json"
UNCOMPARED = ("image/png", WIDGET)
"""Outputs no two runs have in common: pixels of other fonts, random names of widgets."""


@dataclass(frozen=True, slots=True)
class Stale:
    """A file that does not hold what would be recorded now, what changed ("": nothing), and how it is renewed."""

    file: Path
    because: str
    renew: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Part:
    """One kind of record: what it is, how long looking and renewing take on two cores, and how it is looked at.

    `look` is given the clone and whether everything counts as stale.
    """

    what: str
    takes: str
    look: Callable[[Path, bool], Iterator[Stale]]


def add_verbs(verbs: Any) -> None:
    """Add the verb to the command line."""
    said = "renew what the repository has recorded: kernel runs, outputs of notebooks, pictures (in a clone)"
    record = add_verb(verbs, "record", said, renew_records, EXAMPLES)
    parts = "; ".join(f"{name}: {part.what}" for name, part in RECORDS.items())
    record.add_argument("part", nargs="*", choices=RECORDS, help=f"all of them when left out. {parts}")
    record.add_argument("--check", action="store_true", help="say what is stale and write nothing")
    record.add_argument("--force", action="store_true", help="renew what is fresh, too")
    record.refuse("--force", "beside --check, which writes nothing", lambda parsed: parsed.check)


def renew_records(arguments: argparse.Namespace, clone: Path = PROJECT) -> int:
    """Look at each part that was asked for, and renew what is stale. Raises: McniError outside of a clone."""
    if not ((clone / "notebooks").is_dir() and (clone / "docs" / "errata.py").is_file()):
        raise McniError("the records' sources are not here: `mcni record` works in a clone of the project")
    left = []
    for name in arguments.part or RECORDS:
        say = _silent if arguments.json else partial(print, flush=True)
        say(f"{name}: {RECORDS[name].what} ({RECORDS[name].takes})")
        left += [{"part": name, **part} for part in _renewed(name, arguments, clone, say)]
    if arguments.json:
        print(json.dumps(left, indent=1))
    return int(any(not part["renewed"] for part in left))


def _silent(text: str) -> None:
    """Say nothing."""


def _renewed(
    name: str, arguments: argparse.Namespace, clone: Path, say: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Renew a part; yield each file that was stale, why, and whether it is renewed."""
    none = True
    try:
        for stale in RECORDS[name].look(clone, arguments.force):
            none, file = False, stale.file.relative_to(clone).as_posix()
            say(f"  stale: {file}: {stale.because}" if stale.because else f"  fresh, but --force: {file}")
            if not arguments.check:
                stale.renew()
                say(f"  renewed: {file}")
            yield {"file": file, "because": stale.because, "renewed": not arguments.check}
    except (McniError, ModuleNotFoundError) as problem:
        because = MissingExtra("this", problem.name or "a package") if isinstance(problem, ImportError) else problem
        say(f"  not done: {because}")
        yield {"file": "", "because": str(because), "renewed": False}
    else:
        if none:
            say("  fresh")


def _kernel(name: str, clone: Path, force: bool) -> Iterator[Stale]:
    """Look whether a kernel's record has each scenario's worlds as they are."""
    from mcnilib.kernel.compare.record import AGREES, SKIPPED, parse_records, scenario_digest

    file = _record_of(name, "record", clone)
    records = parse_records(file.read_text(encoding="utf-8")) if file.is_file() else {}

    def is_fresh(story: Scenario) -> bool:
        held = records.get(story.name)
        if held is None or held.digest != scenario_digest(story) or set(held.results) - {AGREES, SKIPPED}:
            return False
        return len(held.results) == sum(1 for _ in story.combinations())

    stale = [story for story in all_scenarios() if not is_fresh(story)]
    gone = "a scenario is gone" if {*records} - {story.name for story in all_scenarios()} else ""
    if force or stale or gone:
        names = ", ".join(story.name for story in stale) or gone
        yield Stale(file, names, partial(_measure, name, file, all_scenarios() if force else stale))


def _record_of(name: str, stem: str, clone: Path) -> Path:
    """Return a kernel's file: that of this machine's has no name beside the stem."""
    return clone / "mcnilib" / "kernel" / f"{stem}{name and f'-{name}'}.json"


def _measure(name: str, file: Path, stories: Sequence[Scenario]) -> None:
    """Measure every combination of some scenarios and put them into the record, unless the kernel contradicts."""
    from mcnilib.kernel.compare.record import DIFFERS
    from mcnilib.kernel.compare.report import kept, write_records
    from mcnilib.kernel.compare.verify import verify
    from mcnilib.kernel.uml.machine import kernel_named

    total = sum(1 for story in stories for _ in story.combinations())
    results = [*counted(verify(stories, kernel=kernel_named(name)), "  on the kernel", total)]
    _refuse([str(result) for result in results if result.letter == DIFFERS])
    write_records(file, kept(file), stories, results)


def _refuse(differing: Sequence[str], between: str = "\n") -> None:
    """Refuse to record what the kernel contradicts. Raises: McniError, with that."""
    if differing:
        raise McniError(between.join(["the kernel contradicts the model, nothing was recorded:", *differing]))


def _fuzz(name: str, clone: Path, force: bool) -> Iterator[Stale]:
    """Look whether generator and model are those of a kernel's record."""
    from mcnilib.kernel.fuzz.report import fuzz_digest

    file, first = (_record_of(kernel, "fuzz", clone) for kernel in (name, ""))
    held = json.loads((file if file.is_file() else first).read_text(encoding="utf-8"))
    is_stale = not file.is_file() or fuzz_digest(held["seed"], held["first"]) != held["digest"]
    if force or is_stale:
        because = "the generator makes other worlds, or the model other outcomes" if is_stale else ""
        yield Stale(file, because, partial(_try_worlds, name, file, held["seed"]))


def _try_worlds(name: str, file: Path, seed: int) -> None:
    """Try the random worlds of a seed and record what they came to, unless one differs."""
    from mcnilib.kernel.fuzz.report import record, try_worlds, write_run
    from mcnilib.kernel.fuzz.trial import TRIAL_DIFFERS
    from mcnilib.kernel.uml.machine import kernel_named

    numbers, kernel = range(RANDOM_WORLDS), kernel_named(name)
    trials = try_worlds(seed, numbers, "  random worlds", 2 * kernel.at_once, kernel)
    _refuse([f"{trial.case}{trial.text}" for trial in trials if trial.ended == TRIAL_DIFFERS], "\n\n")
    write_run(file, record(trials, seed, numbers))


def _notebooks(clone: Path, force: bool) -> Iterator[Stale]:
    """Execute each notebook and compare what its cells say, as the tests do."""
    import nbformat

    paths = sorted((clone / "notebooks").glob("*.ipynb"))
    for path, text in counted(((path, executed(path)) for path in paths), "  executing notebooks", len(paths)):
        spoken = [
            cell_texts(nbformat.reads(notebook, 4), clone) for notebook in (path.read_text(encoding="utf-8"), text)
        ]
        changed = [cell for cell, (old, new) in enumerate(zip(*spoken, strict=True)) if old != new]
        if force or changed:
            because = f"cell {changed[0]} says something else" if changed else ""
            yield Stale(path, because, partial(write_file, path, text))


def executed(path: Path) -> str:
    """Return a notebook's file after all cells ran: streams in one piece, no state of widgets. Raises: McniError."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.read(path, 4)
    held = notebook.metadata.get("language_info")
    before = [_widgets(cell) for cell in notebook.cells]
    options: dict[str, Any] = {
        "timeout": 900,
        "kernel_name": "python3",
        "record_timing": False,
        "extra_arguments": ["--log-level=ERROR"],
    }
    try:
        NotebookClient(notebook, resources={"metadata": {"path": str(path.parent)}}, **options).execute()
    except CellExecutionError as problem:
        raise McniError(f"{path.name} does not run: {problem}") from None
    notebook.metadata.pop("widgets", None)
    if held:
        notebook.metadata["language_info"] = held  # which Python it was is no lesson
    for cell, widgets in zip(notebook.cells, before, strict=True):
        cell.get("outputs", [])[:] = _in_one_piece(cell.get("outputs", ()))
        for new, old in zip(_widgets(cell), widgets, strict=False):
            new["model_id"] = old["model_id"]  # as good as any, and no difference to read
    return f"{nbformat.writes(notebook)}\n"


def _widgets(cell: Any) -> list[dict[str, Any]]:
    """Return the references to widgets in a cell's outputs."""
    views = (output.get("data", {}).get(WIDGET) for output in cell.get("outputs", ()))
    return [view for view in views if view]


def _in_one_piece(outputs: Sequence[Any]) -> Iterator[Any]:
    """Join the pieces of a stream: how many there are depends on the speed of the machine."""
    for name, pieces in groupby(outputs, lambda output: output.get("name")):
        first, *rest = pieces
        if name is None:
            yield from (first, *rest)
        else:
            first["text"] = "".join(piece["text"] for piece in (first, *rest))
            yield first


def cell_texts(notebook: Any, clone: Path) -> list[list[str]]:
    """Return what each cell says, without what may differ between two runs (tests/may_differ.cfg) and pictures."""
    from configparser import ConfigParser

    config = ConfigParser(interpolation=None)
    config.read(clone / "tests" / "may_differ.cfg", encoding="utf-8")
    may_differ = [(config[name]["regex"], config[name]["replace"]) for name in config.sections()]

    def of(output: Any) -> Iterator[str]:
        data = output.get("data", {"text": output.get("text", "")})
        for text in (f"{kind}: {value}" for kind, value in sorted(data.items()) if kind not in UNCOMPARED):
            for pattern, instead in may_differ:
                text = sub(pattern, instead, text)
            yield text

    return [[text for output in cell.get("outputs", ()) for text in of(output)] for cell in notebook.cells]


def _letters(clone: Path, force: bool) -> Iterator[Stale]:
    """Measure the letters of the font and compare."""
    from mcnilib.show.labels.text_metrics import ADVANCES, advance_table

    file = clone / "mcnilib" / "show" / "labels" / ADVANCES
    text = advance_table()
    if force or file.read_text(encoding="utf-8") != text:
        yield Stale(file, "the font's letters have other widths", partial(write_file, file, text))


def _picture(clone: Path, force: bool) -> Iterator[Stale]:
    """Draw the README's picture and compare."""
    from mcnilib.show.picture.files import picture_data
    from mcnilib.show.picture.story_picture import plan_for

    file, story = clone / "docs" / "flagship.svg", scenario(FLAGSHIP)
    settings = story.start()
    text = picture_data(".svg", story.world(settings), story.run(settings), plan_for(story, settings))
    yield from _compared(file, text, f"{story.command(settings)} draws another picture", force)


def _errata(clone: Path, force: bool) -> Iterator[Stale]:
    """Compute the page and compare."""
    file = clone / "docs" / "errata.md"
    text = runpy.run_path(str(clone / "docs" / "errata.py"))["page"]()
    yield from _compared(file, text, "runs or notebooks say something else", force)


def _agreement(clone: Path, force: bool) -> Iterator[Stale]:
    """Compute the page and compare."""
    file = clone / "docs" / "agreement.md"
    text = runpy.run_path(str(clone / "docs" / "agreement.py"), run_name="agreement")["page"]()
    yield from _compared(file, text, "comparisons come to something else", force)


def _compared(file: Path, text: str | bytes, because: str, force: bool) -> Iterator[Stale]:
    """Compare a file with the text it would hold now."""
    is_stale = not file.is_file() or file.read_text(encoding="utf-8") != text
    if force or is_stale:
        yield Stale(file, because if is_stale else "", partial(write_file, file, text))


def _structures(clone: Path, force: bool) -> Iterator[Stale]:
    """Open each notebook in a browser and look where the texts of its picture stand."""
    moved = [] if force else _in_the_browser(clone)
    if force or moved:
        because = f"look at the pictures before you commit: {', '.join(moved) or 'all of them'}"
        yield Stale(clone / "tests" / "data" / "structure", because, lambda: _write_structures(clone))


def _write_structures(clone: Path) -> None:
    if failed := _in_the_browser(clone, "--write-structures"):
        raise McniError(f"{', '.join(failed)}: these could not be opened; the test says more")


def _in_the_browser(clone: Path, *options: str) -> list[str]:
    """Run the test of the places; return the notebooks that fail. Raises: McniError when it cannot run."""
    import pytest

    failed, missing = [], []

    class Listener:
        @staticmethod
        def pytest_runtest_logreport(report: pytest.TestReport) -> None:
            if report.skipped:
                missing.append(str(report.longrepr))
            elif report.failed:
                failed.append(report.nodeid.partition("[")[2].rstrip("]"))

    argv = ["-q", "--no-header", "--no-summary", "-k", "has_its_texts_in_their_places", f"--rootdir={clone}", *options]
    with redirect_stdout(sys.stderr):
        status = pytest.main([*argv, str(clone / STRUCTURES)], plugins=[Listener()])
    if missing or status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise McniError(f"the notebooks could not be opened in a browser: {'; '.join(missing[:1]) or status}")
    return failed


def _catalogue(clone: Path, force: bool) -> Iterator[Stale]:
    """Extract the sentences and compare."""
    file = clone / "mcnilib" / TEMPLATE
    yield from _compared(file, template(clone / "mcnilib"), "the sentences in the code are others", force)


RECORDS = {
    "catalogue": _Part("sentences to translate, mcnilib/locale/mcnilib.pot", "seconds", _catalogue),
    "kernel": _Part(
        "every combination of each scenario, on this machine's kernel",
        "10 minutes if all is stale",
        partial(_kernel, ""),
    ),
    "kernel-uml": _Part(
        "the same in user-mode Linux, which `mcni kernel build` builds",
        "an hour if all is stale",
        partial(_kernel, "uml"),
    ),
    "fuzz": _Part(
        f"{RANDOM_WORLDS} random worlds, on this machine's kernel", "half an hour if stale", partial(_fuzz, "")
    ),
    "fuzz-uml": _Part("the same in user-mode Linux", "three hours if stale", partial(_fuzz, "uml")),
    "letters": _Part("widths of the letters in pictures", "seconds", _letters),
    "notebooks": _Part("outputs of the notebooks", "5 minutes: executing is the only way to know", _notebooks),
    "picture": _Part("docs/flagship.svg", "seconds", _picture),
    "errata": _Part("docs/errata.md", "seconds", _errata),
    "agreement": _Part("docs/agreement.md", "seconds", _agreement),
    "structures": _Part("places of the texts in pictures", "5 minutes in Chromium, twice if stale", _structures),
}
"""In this order: what is below may quote what is above."""
