"""The template of the catalogue: every sentence a reader sees, with the files that say it, for translators.

Sentences are what `tr`, `trn` and `mark` are given, in Python and in scripts; what stands between `[[` and `]]` in a
template of the site; tasks and hints of exercises; questions, answers and responses of a notebook's predictions.
Source: the GNU gettext manual, section 10 (PO files); Babel's extraction methods.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Collection, Iterator
from io import BytesIO
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

from mcnilib.language import IN_TEMPLATE

TEMPLATE = "locale/mcnilib.pot"
"""What a translation starts with, below the package: mcnilib/language.py says how its sentences are marked."""
SAID_BY: dict[str, Any] = {"tr": None, "trn": (1, 2), "mark": None}
EXPECTED_BY: dict[str, Any] = {"take": None, "number": None, "listed": None, "as_number": (2,), "as_long": (2,)}
"""Methods that read words, and which of what they are given names what they expect; it is looked up when it is missing,
since naming it with `mark` would cost more than reading the word."""
_HEADER = r"""# The sentences of mcnilib, to be translated. Written by `mcni record catalogue`.
msgid ""
msgstr ""
"Project-Id-Version: mcnilib\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"
"""
Extracted = Iterator[tuple[int, str, str, list[str]]]
"""As Babel wants it: line, function, sentence, comments; the line is not told."""


def template(package: Path) -> str:
    """Return the template of the catalogue: every sentence of a package, and of the notebooks beside it.

    It holds no dates and no line numbers, which would change with every edit. Raises: ModuleNotFoundError without
    Babel.
    """
    from babel.messages.catalog import Catalog
    from babel.messages.extract import extract_from_dir
    from babel.messages.pofile import write_po

    ways: Any = [("**.py", "python"), ("**.js", "javascript"), ("**.html", _of_template), ("**.toml", _of_exercises)]
    said: list[Any] = [
        (f"mcnilib/{file}", *rest) for file, *rest in extract_from_dir(package, ways, keywords=SAID_BY | EXPECTED_BY)
    ]
    for notebook in sorted((package.parent / "notebooks").glob("*.ipynb")):
        said += [
            (f"notebooks/{notebook.name}", 0, text, [], None)
            for text in notebook_sentences(notebook.read_text(encoding="utf-8"))
        ]
    catalog = Catalog()
    for file, _, message, comments, _ in sorted(said, key=itemgetter(0, 1)):
        catalog.add(message, locations=[(file, 0)], auto_comments=comments)
    text = BytesIO()
    write_po(text, catalog, width=0, omit_header=True, sort_output=True, include_lineno=False)
    return f"{_HEADER}\n{text.getvalue().decode()}"


def _of_template(file: IO[bytes], keywords: Collection[str], comment_tags: Collection[str], options: Any) -> Extracted:
    yield from ((0, "tr", text, []) for text in IN_TEMPLATE.findall(file.read().decode()))


def _of_exercises(file: IO[bytes], keywords: Collection[str], comment_tags: Collection[str], options: Any) -> Extracted:
    for task in tomllib.load(file)["exercise"]:
        for version in (task, *task.get("other", ())):
            yield from ((0, "tr", version[name], []) for name in ("task", "hint") if version.get(name))


def notebook_sentences(notebook: str) -> Iterator[str]:
    """Yield what the predictions of a notebook say: question, answers, and what is said to each."""
    for cell in json.loads(notebook)["cells"]:
        code = "".join(cell["source"])
        if cell["cell_type"] != "code" or not re.search(r"\bpredict\(", code):
            continue
        for node in ast.walk(ast.parse(code)):
            match node:
                case ast.Call(func=ast.Name(id="predict"), args=[question, ast.Dict(keys=answers), *_], keywords=more):
                    responses = (part for given in more if given.arg == "responses" for part in ast.walk(given.value))
                    yield from (
                        part.value
                        for part in (question, *answers, *responses)
                        if isinstance(part, ast.Constant) and isinstance(part.value, str)
                    )
