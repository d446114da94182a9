"""The site as files: what is in it before a script runs, what it is made of, and what is said when something is missing."""

from __future__ import annotations

import ast
import base64
import gzip
import hashlib
import io
import json
import posixpath
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from site_elements import Elements

from mcnilib.cli import main
from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.show.explorer import View, answer_json
from mcnilib.show.html.markup import Html
from mcnilib.site import engine, page, prepared
from mcnilib.site.engine import CHECKSUMS, UNUSED_MODULES, SiteError, compiled, engine_files, pyodide
from mcnilib.site.frame import Page, page_html
from mcnilib.site.lessons import read_lessons
from mcnilib.site.library import library

STANDS_IN = {name: b"{}" if name.endswith(".json") else name.encode() for name in CHECKSUMS}
"""For the files of Pyodide, where only their names matter."""

EMPTY_ARCHIVE = b"PK\5\6" + bytes(18)


LESSONS = read_lessons(Path(__file__).parents[2] / "notebooks")
PAGES = [
    "index.html",
    "conclusion.html",
    "cluster.html",
    "notebooks.html",
    *(f"notebooks/{lesson.page}" for lesson in LESSONS),
    "glossary.html",
]


@pytest.fixture(scope="module")
def files() -> dict[str, str | bytes]:
    return page.site_files(STANDS_IN, LESSONS)


def test_the_pages_are_these(files):
    assert [name for name in files if name.endswith(".html")] == PAGES


@pytest.fixture(scope="module")
def html(files) -> str:
    return files["index.html"]


def test_every_scenario_stands_in_the_page_before_any_script_runs(html):
    for story in all_scenarios():
        answer = View(story, story.start()).answer()
        article = html.partition(f'<article id="{story.name}"')[2].partition("</article>")[0]
        assert all(answer[part] in article for part in page.ANSWERED), story.name
        assert all(f'name="{one.name}"' in article for one in story.options())


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_well_formed_and_no_id_stands_twice(files, name):
    found = Elements()
    found.feed(files[name])
    assert found.open == []
    ids = [values["id"] for _, values in found.seen if "id" in values]
    assert len(ids) == len(set(ids))
    told = {
        one
        for _, values in found.seen
        for key in ("for", "aria-describedby", "aria-labelledby")
        for one in values.get(key, "").split()
    }
    assert told <= set(ids)


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_loads_and_where_it_leads_is_in_the_site(files, name):
    found = Elements()
    found.feed(files[name])
    named = [v.get("src") or v["href"] for _, v in found.seen if "src" in v or "href" in v]
    own = [re.split("[?#]", one)[0] for one in named if not one.startswith(("data:", "https://", "#"))]
    assert own
    assert {posixpath.normpath(posixpath.join(posixpath.dirname(name), one)) for one in own} <= set(files)
    loaded = [v.get("src") or v["href"] for tag, v in found.seen if tag in ("script", "link", "img") and len(v) > 1]
    assert not [one for one in loaded if one.startswith("http")]


def test_scripts_and_style_sheets_name_no_other_host_and_load_what_is_there(files):
    scripts = "".join(files[name] for name in page.SCRIPTS)
    assert not re.search(r"https?://", scripts + files["style.css"])
    assert {f"engine/{name}" for name in re.findall(r'load\("([^"]+)"', scripts)} <= set(files)


def test_the_only_script_in_a_page_is_the_one_its_policy_names(html):
    inside = re.findall(r"<script>(.*?)</script>", html)
    named = {base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in inside}
    policy = re.search("script-src ([^;]*)", html)[1]
    assert set(re.findall("'sha256-([^']+)'", policy)) == named
    assert "unsafe-inline" not in policy


def test_each_page_lists_the_pages_and_marks_itself():
    pages = tuple(
        Page(name, label, "A title", "", Html(""))
        for name, label in (("a.html", "A"), ("in/b.html", "B"), ("c.html", ""))
    )
    shown = page_html(pages[1], pages, 0)
    assert '<a href="../a.html">A</a>' in shown
    assert '<a href="../in/b.html" aria-current="page">B</a>' in shown
    assert "c.html" not in shown


def test_the_site_is_the_same_each_time_it_is_written(files):
    assert page.site_files(STANDS_IN, LESSONS) == files


def test_the_library_answers_without_anything_that_is_installed(tmp_path):
    archive = tmp_path / "library.zip"
    archive.write_bytes(library())
    view = json.dumps({"state": "mcni=7&kube-proxy=1.30", "step": 3})
    program = f"import sys; sys.path.insert(0, {str(archive)!r})\nfrom mcnilib.show.verbs import answer\nprint(answer('view', {view!r}))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert json.loads(done.stdout) == json.loads(answer_json(view))


def test_what_the_library_imports_is_in_the_standard_library_of_the_site():
    unused = set(UNUSED_MODULES.split())
    archive = zipfile.ZipFile(io.BytesIO(library()))
    for name in archive.namelist():
        if name.startswith("mcnilib/") and name.endswith(".py"):
            for node in ast.walk(ast.parse(archive.read(name))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not unused & {imported.partition(".")[0] for imported in names}, name


def test_archives_of_sources_become_archives_of_bytecode(tmp_path, monkeypatch):
    """Node stands aside here; the browser's tests run what it makes."""
    monkeypatch.setattr(engine, "_run_node", lambda folder, archives: None)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("json/decoder.py", "unittest/case.py", "encodings/utf_8.py", "encodings/cp1006.py", "pdb.py"):
            archive.writestr(name, b"1")
    made = compiled(STANDS_IN | {"python_stdlib.zip": buffer.getvalue()}, b"the library")
    assert zipfile.ZipFile(io.BytesIO(made["python_stdlib.zip"])).namelist() == [
        "json/decoder.py",
        "encodings/utf_8.py",
    ]
    assert made["library.zip"] == b"the library"


@pytest.fixture
def nothing_prepared(monkeypatch):
    """What takes most of the time of writing a site; `test_prepared.py` tries it."""
    monkeypatch.setattr(prepared, "prepared_files", lambda stories: {})


@pytest.mark.usefixtures("nothing_prepared")
@pytest.mark.parametrize(
    ("script", "says"), [(None, "node does not run"), ("#!/bin/sh\necho no such >&2; exit 1", "node failed: no such")]
)
def test_a_site_that_could_not_be_compiled_says_so_and_is_written(tmp_path, monkeypatch, capsys, script, says):
    monkeypatch.setattr(engine, "pyodide", lambda folder: STANDS_IN | {"python_stdlib.zip": EMPTY_ARCHIVE})
    if script:
        (tmp_path / "node").write_text(script)
        (tmp_path / "node").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["site", str(tmp_path / "out")]) == 0
    assert says in capsys.readouterr().err
    packed = gzip.decompress((tmp_path / "out/engine/library.zip.bin").read_bytes())
    assert packed == library()


def test_the_library_leaves_out_what_a_browser_cannot_use():
    names = zipfile.ZipFile(io.BytesIO(library())).namelist()
    assert "mcnilib/show/labels/dejavu_sans.json" in names
    assert not [name for name in names if re.search("^mcnilib/(kernel|cli)/|widgets/|tests/|pyc$", name)]


def test_the_list_of_packages_that_would_come_from_elsewhere_is_unused():
    lock = json.dumps({"info": {"python": "3.14.2"}, "packages": {"numpy": {}}}).encode()
    found = engine_files(STANDS_IN | {"pyodide-lock.json": lock})
    assert json.loads(found["engine/pyodide-lock.json"]) == {"info": {"python": "3.14.2"}, "packages": {}}


def test_a_folder_without_pyodide_is_named_and_nothing_written(tmp_path, capsys):
    assert main(["site", str(tmp_path / "out"), "--pyodide", str(tmp_path)]) == 2
    assert "pyodide.mjs, pyodide.asm.mjs" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_another_version_of_pyodide_is_refused(tmp_path):
    for name, data in STANDS_IN.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SiteError, match=r"pyodide\.mjs of .* is not that of pyodide"):
        pyodide(tmp_path)


def test_what_npm_brings_is_checked(monkeypatch):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz"):
        pass
    monkeypatch.setattr(engine, "_packed_by_npm", buffer.getvalue)
    with pytest.raises(SiteError, match="SHA-512"):
        pyodide(None)


@pytest.mark.parametrize(
    ("script", "says"),
    [(None, "does not run"), ("#!/bin/sh\necho no such package >&2; exit 1", "failed: no such package")],
)
def test_when_npm_brings_nothing_the_other_way_is_named(tmp_path, monkeypatch, script, says):
    if script:
        (tmp_path / "npm").write_text(script)
        (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SiteError, match=says) as caught:
        pyodide(None)
    assert "--pyodide FOLDER" in str(caught.value)


@pytest.mark.usefixtures("nothing_prepared")
def test_the_site_is_written_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(engine, "pyodide", lambda folder: STANDS_IN)
    monkeypatch.setattr(engine, "compiled", lambda files, archive: files)
    assert main(["site", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["files"]
    assert told == sorted(
        p.relative_to(tmp_path / "out").as_posix() for p in Path(tmp_path / "out").rglob("*") if p.is_file()
    )


def test_the_page_opens_with_a_scenario_that_exists():
    assert scenario(page.FIRST)
