"""The verbs for teachers: `mcni link`, `mcni handout`, `mcni check`, `mcni learner` and `mcni site`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mcnilib.cli.common import (
    add_settings,
    add_story,
    add_verb,
    chosen_settings,
    new_folder,
    pdf_file,
    print_files,
    story_named,
    web_address,
    zip_file,
)
from mcnilib.cluster.settings import options
from mcnilib.errors import printable
from mcnilib.language import mark, tr
from mcnilib.learner import PROJECT, learner_copy, nbgrader_course
from mcnilib.progress import counted, shown
from mcnilib.scenarios import all_scenarios
from mcnilib.scenarios.exercises.own_world import own_world
from mcnilib.scenarios.link import BINDER, print_link
from mcnilib.scenarios.submission import (
    GRADE_MARKS,
    Grade,
    Graded,
    Predicted,
    SubmissionError,
    grade_notebook,
    predictions,
    table_of,
)
from mcnilib.writing import write_file, write_new_folder

EXAMPLES = mark("""examples:
  mcni link 7 --kube-proxy 1.30 --be-liberal 1
  mcni link 7 --base http://localhost:8888/lab/tree/notebooks
  mcni handout 7 handout.pdf --workaround "host route back"
  mcni handout 7 worksheet.pdf --worksheet
  mcni handout 7 key.pdf --key                    # the answers to the worksheet
  mcni handout 7 quiz.pdf --quiz                  # ten questions on lessons 6 to 8; its key: --quiz --key
  mcni check handed-in                            # a folder for each learner, with notebooks in it
  mcni check notebooks/07-macvlan-to-calico-across-nodes.ipynb --json
  mcni learner ../course-for-learners --binder my-school/course
  mcni learner ../course --names class.txt        # a name on each line: each learner gets a world of their own
  mcni nbgrader ../graded                         # then, there: nbgrader generate_assignment lesson-07
  mcni site public                                # a web site; its interpreter comes by npm
  mcni site public --pyodide node_modules/pyodide
  mcni site public --lite                         # and the notebooks to run in it, by JupyterLite
  mcni scorm lesson-07.zip --lesson 7             # for Moodle and others; all exercises: mcni scorm course.zip
  python3 -m http.server --directory public       # shows it at http://localhost:8000
""")

MOST_BYTES = 50 << 20
"""Bytes of one notebook; one with all its pictures has less than two million."""


def add_verbs(verbs: Any) -> None:
    """Add the verbs to the command line."""
    link = add_verb(verbs, "link", tr("print a link that opens the lesson in this state"), link_to_state, EXAMPLES)
    add_story(link)
    where = tr("where a JupyterLab shows the notebooks, as http://localhost:8888/lab/tree/notebooks (default: Binder)")
    link.add_argument("--base", type=web_address, default=BINDER, metavar="URL", help=where)
    add_settings(link)
    paper = add_verb(
        verbs, "handout", tr("print a run on paper: picture, reasons, packets, deciding state"), write_handout, EXAMPLES
    )
    add_story(paper)
    paper.add_argument("file", type=pdf_file, help=tr("output PDF (A4)"))
    said = tr("write the lesson's worksheet instead: prediction, questions on the run, exercises, with blanks")
    paper.add_argument("--worksheet", action="store_true", help=said)
    said = tr("write ten questions on the lesson's block instead")
    paper.add_argument("--quiz", action="store_true", help=said)
    paper.add_argument("--key", action="store_true", help=tr("write the answers to the worksheet, or to the quiz"))
    for setting in options():
        said = tr("on a worksheet, in a quiz or in a key; the lesson's own settings are taken")
        paper.refuse(f"--{setting.name}", said, lambda parsed: parsed.worksheet or parsed.quiz or parsed.key)
    paper.refuse("--worksheet", tr("beside --quiz; choose one"), lambda parsed: parsed.quiz)
    add_settings(paper)
    _add_check(verbs)
    _add_copies(verbs)


def _add_check(verbs: Any) -> None:
    said = tr("say which exercises are done, and which predictions were right, in saved notebooks; no cell is run")
    check = add_verb(verbs, "check", said, check_notebooks, EXAMPLES)
    where = tr("a notebook, or a folder: its folders, or the notebooks in it, are named after learners")
    check.add_argument("notebook", nargs="+", type=Path, help=where)


def _add_copies(verbs: Any) -> None:
    learner = add_verb(
        verbs, "learner", tr("write a copy of the course without results and solutions"), write_learner_copy, EXAMPLES
    )
    learner.add_argument("folder", type=new_folder, help=tr("a folder that is not there yet, or empty"))
    where = tr(
        "the GitHub repository the copy will be in: its Binder links open that one (default: it has no such links)"
    )
    learner.add_argument("--binder", default="", metavar="OWNER/REPO", help=where)
    said = tr(
        "a file with a name on each line: each learner gets notebooks whose exercises have other addresses and faults"
    )
    learner.add_argument("--names", default=None, type=Path, metavar="FILE", help=said)
    said = tr("write a web site on which every scenario can be changed and walked through, in the reader's browser")
    site = add_verb(verbs, "site", said, write_site, EXAMPLES, tr("print the names of the files as JSON"))
    site.add_argument("folder", type=new_folder, help=tr("a folder that is not there yet, or empty"))
    where = tr("an unpacked npm package `pyodide` of the version that is asked for (default: npm brings it)")
    site.add_argument("--pyodide", type=Path, metavar="FOLDER", help=where)
    site.add_argument("--lite", action="store_true", help=tr("add JupyterLite: all notebooks to run in the browser"))
    _add_graded(verbs, where)


def _add_graded(verbs: Any, interpreter: str) -> None:
    said = tr("write a course for nbgrader: each lesson an assignment, with a graded cell for each exercise")
    nbgrader = add_verb(
        verbs, "nbgrader", said, write_nbgrader_course, EXAMPLES, tr("print the names of the files as JSON")
    )
    nbgrader.add_argument("folder", type=new_folder, help=tr("a folder that is not there yet, or empty"))
    said = tr("write the exercises of the site as a SCORM 1.2 package, which a learning platform opens and scores")
    scorm = add_verb(verbs, "scorm", said, write_scorm, EXAMPLES, tr("print the name and the size of the file as JSON"))
    scorm.add_argument("file", type=zip_file, help=tr("a zip that is not there yet"))
    only = tr("the exercises of this lesson alone (default: all of them)")
    scorm.add_argument("--lesson", default="", metavar="SCENARIO", help=only)
    scorm.add_argument("--pyodide", type=Path, metavar="FOLDER", help=interpreter)


def link_to_state(arguments: argparse.Namespace) -> int:
    """Print the link of a state."""
    story = story_named(arguments.scenario)
    link = print_link(story, chosen_settings(story, arguments), arguments.base)
    print(json.dumps({"link": link}) if arguments.json else link)
    return 0


def write_handout(arguments: argparse.Namespace) -> int:
    """Write a run as a PDF."""
    story = story_named(arguments.scenario)
    settings = chosen_settings(story, arguments)
    with shown(tr("mcni: drawing {file}", file=printable(str(arguments.file)))):
        from mcnilib.show.picture.handout import handout, write_paper  # takes most of the time
        from mcnilib.show.picture.worksheet import quiz, worksheet

        if arguments.quiz:
            write_paper(arguments.file, tuple(quiz(story, key=arguments.key)))
        elif arguments.worksheet or arguments.key:
            notebook = _read(PROJECT / "notebooks" / story.notebook)
            write_paper(arguments.file, tuple(worksheet(story, notebook, key=arguments.key)))
        else:
            handout(arguments.file, story, settings)
    print(json.dumps({"file": str(arguments.file)}) if arguments.json else printable(str(arguments.file)))
    return 0


def check_notebooks(arguments: argparse.Namespace) -> int:
    """Judge the answers in notebooks, and print a table of learners and exercises."""
    found = [pair for path in arguments.notebook for pair in _notebooks(path)]
    graded: dict[str, list[Graded]] = {}
    predicted: dict[str, list[Predicted]] = {}
    for learner, path in counted(found, tr("mcni: checking"), len(found)):
        text = _read(path)
        graded.setdefault(learner, []).extend(grade_notebook(text, str(path)))
        predicted.setdefault(learner, []).extend(predictions(text, str(path)))
    if arguments.json:
        told = {name: [*map(_as_json, graded[name]), *map(_prediction_as_json, predicted[name])] for name in graded}
        print(json.dumps(told, indent=1))
    else:
        print(*map(printable, _lines(graded, predicted)), sep="\n")
    return int(any(one.grade is not Grade.DONE for entries in graded.values() for one in entries))


def _notebooks(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the notebooks of a path, each with its learner. Raises: SubmissionError for a path without any."""
    if not path.is_dir():
        ours = (PROJECT / "notebooks" / path.name).exists() and path.parent.name not in ("", "notebooks")
        yield path.parent.name if ours else path.stem, path
        return
    there = [file for file in sorted(path.rglob("*.ipynb")) if ".ipynb_checkpoints" not in file.parts]
    if not there:
        raise SubmissionError(tr("{path} has no notebooks in it", path=path))
    for file in there:
        yield file.relative_to(path).parts[0].removesuffix(".ipynb"), file


def _read(path: Path) -> str:
    """Read a notebook. Raises: SubmissionError."""
    try:
        with path.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except OSError as problem:
        raise SubmissionError(tr("{path} cannot be read: {strerror}", path=path, strerror=problem.strerror)) from None
    if len(data) > MOST_BYTES:
        raise SubmissionError(tr("{path} has more than {size} MB", path=path, size=MOST_BYTES >> 20))
    return data.decode(errors="replace")


def _lines(graded: dict[str, list[Graded]], predicted: dict[str, list[Predicted]]) -> Iterator[str]:
    yield from table_of(graded, predicted)
    yield ""
    yield "  ".join(f"{sign} {tr(grade.value)}" for grade, sign in GRADE_MARKS.items())
    for learner, entries in graded.items():
        for one in entries:
            if one.grade in (Grade.NOT_DONE, Grade.UNREADABLE):
                yield tr(
                    "{learner}, exercise {scenario}.{number}: {why}",
                    learner=learner,
                    scenario=one.scenario,
                    number=one.number,
                    why=one.says,
                )
            if owner := one.world_of(learner):
                yield tr(
                    "{learner}, exercise {scenario}.{number}: answered in the world of {owner}",
                    learner=learner,
                    scenario=one.scenario,
                    number=one.number,
                    owner=owner,
                )


def _as_json(one: Graded) -> dict[str, object]:
    told: dict[str, object] = {"scenario": one.scenario, "exercise": one.number}
    told |= {"grade": one.grade.value, "says": one.says, "answer": one.answer}
    return told | ({"seed": one.seed} if one.seed else {})


def _prediction_as_json(one: Predicted) -> dict[str, object]:
    return {"prediction": one.question, "grade": one.grade, "answer": one.answer, "tries": one.tries}


def write_learner_copy(arguments: argparse.Namespace) -> int:
    """Write the copy for learners."""
    learners = _learners(arguments.names) if arguments.names else ()
    counting = counted(learners, tr("mcni: drawing worlds for learners"), len(learners))
    names = learner_copy(arguments.folder, binder=arguments.binder, learners=counting)
    if arguments.json:
        print_files(arguments.folder, names)
        return 0
    where = printable(str(arguments.folder))
    notebooks = sum(name.endswith(".ipynb") for name in names)
    print(tr("{folder}: {files} files; {notebooks} notebooks", folder=where, files=len(names), notebooks=notebooks))
    return 0


def write_nbgrader_course(arguments: argparse.Namespace) -> int:
    """Write the course directory of nbgrader."""
    names = nbgrader_course(arguments.folder)
    if arguments.json:
        print_files(arguments.folder, names)
        return 0
    where = printable(str(arguments.folder))
    print(tr("{folder}: {count} assignments in source/, and nbgrader_config.py", folder=where, count=len(names) - 1))
    return 0


def _learners(path: Path) -> tuple[str, ...]:
    """Read the names of learners, one a line; `#` begins a remark. Raises: SubmissionError, SeedError."""
    lines = (line.partition("#")[0].strip() for line in _read(path).splitlines())
    names = tuple(own_world(line).seed for line in lines if line)
    if not names:
        raise SubmissionError(tr("{path} has no names in it", path=path))
    folded = [name.casefold() for name in names]
    for name in names:
        if "~" in name:
            raise SubmissionError(tr("{file}: {name!r} has a ~ in it", file=path, name=name))
        if folded.count(name.casefold()) > 1:
            raise SubmissionError(tr("{file}: {name!r} is there twice", file=path, name=name))
    return names


def write_site(arguments: argparse.Namespace) -> int:
    """Write the site, whole or not at all."""
    from mcnilib.site.lessons import MISSING, read_lessons
    from mcnilib.site.lite import check_lite, lite_files
    from mcnilib.site.page import site_files
    from mcnilib.site.prepared import prepared_files  # takes most of the time

    notebooks = PROJECT / "notebooks"
    if arguments.lite:
        check_lite(notebooks)
    engine = _interpreter(arguments.pyodide)
    prepared = prepared_files(all_scenarios())
    lessons = read_lessons(notebooks, arguments.lite)
    if not lessons:
        print(f"mcni: {tr(MISSING)}", file=sys.stderr)
    where = printable(str(arguments.folder))
    with shown(tr("mcni: drawing {file}", file=where)):
        files = site_files(_compiled(engine), lessons, prepared)
        if arguments.lite:
            files |= lite_files(engine, notebooks)
        write_new_folder(arguments.folder, files)
    if arguments.json:
        print_files(arguments.folder, files)
        return 0
    said = {"folder": where, "files": len(files), "size": sum(map(len, files.values())) / 1e6}
    print(tr("{folder}: {files} files, {size:.1f} MB; a web server shows them", **said))
    return 0


def write_scorm(arguments: argparse.Namespace) -> int:
    """Write the package for a learning platform, with the answers of the states that conversations start from: learners
    type commands there, and seldom change a setting."""
    from mcnilib.site.page import site_files
    from mcnilib.site.prepared import prepared_files  # takes most of the time
    from mcnilib.site.scorm import scorm_package

    story = story_named(arguments.lesson) if arguments.lesson else None
    engine = _interpreter(arguments.pyodide)
    prepared = prepared_files(all_scenarios(), 1)
    where = printable(str(arguments.file))
    with shown(tr("mcni: drawing {file}", file=where)):
        package = scorm_package(site_files(_compiled(engine), (), prepared), story)
        write_file(arguments.file, package)
    if arguments.json:
        print(json.dumps({"file": str(arguments.file), "bytes": len(package)}))
    else:
        print(tr("{file}: {size:.1f} MB; a learning platform imports it", file=where, size=len(package) / 1e6))
    return 0


def _interpreter(package: Path | None) -> Mapping[str, bytes]:
    """Bring the interpreter of the pages, from an unpacked package where there is one."""
    from mcnilib.site.engine import pyodide

    with shown(tr("mcni: bringing the interpreter")):
        return pyodide(package)


def _compiled(engine: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Have the Python code compiled; without, the site is as good, and slower to start."""
    from mcnilib.site.engine import SiteError, compiled
    from mcnilib.site.library import library

    try:
        return compiled(engine, library())
    except SiteError as problem:
        print(f"mcni: {problem}", file=sys.stderr)
        return engine
