"""The verbs for teachers: `mcni link`, `mcni handout`, `mcni learner` and `mcni site`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
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
)
from mcnilib.errors import printable
from mcnilib.learner import PROJECT, learner_copy
from mcnilib.progress import shown
from mcnilib.scenarios.link import BINDER, print_link
from mcnilib.writing import write_new_folder

EXAMPLES = """examples:
  mcni link 7 --kube-proxy 1.30 --be-liberal 1
  mcni link 7 --base http://localhost:8888/lab/tree/notebooks
  mcni handout 7 handout.pdf --workaround "host route back"
  mcni learner ../course-for-learners --binder my-school/course
  mcni site public                                # a web site; its interpreter comes by npm
  mcni site public --pyodide node_modules/pyodide
  mcni site public --lite                         # and the notebooks to run in it, by JupyterLite
  python3 -m http.server --directory public       # shows it at http://localhost:8000
"""


def add_verbs(verbs: Any) -> None:
    """Add the verbs to the command line."""
    link = add_verb(verbs, "link", "print a link that opens the lesson in this state", link_to_state, EXAMPLES)
    add_story(link)
    where = "where a JupyterLab shows the notebooks, as http://localhost:8888/lab/tree/notebooks (default: Binder)"
    link.add_argument("--base", type=web_address, default=BINDER, metavar="URL", help=where)
    add_settings(link)
    paper = add_verb(
        verbs, "handout", "print a run on paper: picture, reasons, packets, deciding state", write_handout, EXAMPLES
    )
    add_story(paper)
    paper.add_argument("file", type=pdf_file, help="output PDF (A4)")
    add_settings(paper)
    learner = add_verb(
        verbs, "learner", "write a copy of the course without results and solutions", write_learner_copy, EXAMPLES
    )
    learner.add_argument("folder", type=new_folder, help="a folder that is not there yet, or empty")
    where = "the GitHub repository the copy will be in: its Binder links open that one (default: it has no such links)"
    learner.add_argument("--binder", default="", metavar="OWNER/REPO", help=where)
    said = "write a web site on which every scenario can be changed and walked through, in the reader's browser"
    site = add_verb(verbs, "site", said, write_site, EXAMPLES, "print the names of the files as JSON")
    site.add_argument("folder", type=new_folder, help="a folder that is not there yet, or empty")
    where = "an unpacked npm package `pyodide` of the version that is asked for (default: npm brings it)"
    site.add_argument("--pyodide", type=Path, metavar="FOLDER", help=where)
    site.add_argument("--lite", action="store_true", help="add JupyterLite: all notebooks to run in the browser")


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
    with shown(f"mcni: drawing {printable(str(arguments.file))}"):
        from mcnilib.show.picture.handout import handout  # takes most of the time

        handout(arguments.file, story, settings)
    print(json.dumps({"file": str(arguments.file)}) if arguments.json else printable(str(arguments.file)))
    return 0


def write_learner_copy(arguments: argparse.Namespace) -> int:
    """Write the copy for learners."""
    names = learner_copy(arguments.folder, binder=arguments.binder)
    if arguments.json:
        print_files(arguments.folder, names)
        return 0
    where = printable(str(arguments.folder))
    print(f"{where}: {len(names)} files; {sum(name.endswith('.ipynb') for name in names)} notebooks")
    return 0


def write_site(arguments: argparse.Namespace) -> int:
    """Write the site, whole or not at all."""
    from mcnilib.site.engine import pyodide
    from mcnilib.site.lessons import MISSING, read_lessons
    from mcnilib.site.page import site_files  # takes most of the time

    with shown("mcni: bringing the interpreter"):
        engine = pyodide(arguments.pyodide)
    notebooks = PROJECT / "notebooks"
    lessons = read_lessons(notebooks, arguments.lite)
    if not lessons:
        print(f"mcni: {MISSING}", file=sys.stderr)
    with shown(f"mcni: drawing {printable(str(arguments.folder))}"):
        files = site_files(_compiled(engine), lessons)
        if arguments.lite:
            from mcnilib.site.lite import lite_files

            files |= lite_files(engine, notebooks)
        write_new_folder(arguments.folder, files)
    if arguments.json:
        print_files(arguments.folder, files)
        return 0
    size = sum(map(len, files.values())) / 1e6
    print(f"{printable(str(arguments.folder))}: {len(files)} files, {size:.1f} MB; a web server shows them")
    return 0


def _compiled(engine: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Have the Python code compiled; without, the site is as good, and slower to start."""
    from mcnilib.site.engine import SiteError, compiled
    from mcnilib.site.library import library

    try:
        return compiled(engine, library())
    except SiteError as problem:
        print(f"mcni: {problem}", file=sys.stderr)
        return engine
