"""The SCORM package: its manifest keeps the facts of SCORM 1.2, the same files give the same bytes, nothing is replaced."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mcnilib.cli import main
from mcnilib.errors import NotThere
from mcnilib.language import PSEUDO, spoken
from mcnilib.scenarios import scenario
from mcnilib.scenarios.exercise import exercises
from mcnilib.site.scorm import scorm_package

SITE = {"index.html": "<!DOCTYPE html>", "style.css": "", "pyodide.asm.wasm": b"\0asm"}
IMS, ADL = "{http://www.imsproject.org/xsd/imscp_rootv1p1p2}", "{http://www.adlnet.org/xsd/adlcp_rootv1p2}"


def opened(package: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(package))


def test_the_manifest_keeps_the_facts_of_the_standard() -> None:
    """Source: SCORM 1.2 Content Aggregation Model, 2.3.2 and 2.3.5.1."""
    package = opened(scorm_package(SITE))
    root = ElementTree.fromstring(package.read("imsmanifest.xml"))  # in the root of the package
    assert root.tag == f"{IMS}manifest"
    assert root.get("identifier")
    assert [root.findtext(f"{IMS}metadata/{IMS}{name}") for name in ("schema", "schemaversion")] == ["ADL SCORM", "1.2"]
    organizations = root.find(f"{IMS}organizations")
    (organization,) = organizations
    assert organizations.get("default") == organization.get("identifier")
    (item,) = organization.findall(f"{IMS}item")
    (resource,) = root.findall(f"{IMS}resources/{IMS}resource")
    assert item.get("identifierref") == resource.get("identifier")
    assert item.findtext(f"{IMS}title") == "Exercises"
    assert (resource.get("type"), resource.get(f"{ADL}scormtype")) == ("webcontent", "sco")
    files = [one.get("href") for one in resource.findall(f"{IMS}file")]
    assert resource.get("href") in files
    assert sorted([*files, "imsmanifest.xml"]) == sorted(package.namelist())
    identifiers = [one.get("identifier") for one in root.iter() if one.get("identifier")]
    assert len(identifiers) == len(set(identifiers))


def test_all_exercises_count_or_those_of_a_lesson() -> None:
    tasks = " ".join(f"{one.scenario}.{one.number}" for one in exercises())
    assert f'data-tasks="{tasks}"' in opened(scorm_package(SITE)).read("scorm.html").decode()
    entry = opened(scorm_package(SITE, scenario("7"))).read("scorm.html").decode()
    assert 'data-tasks="7.1 7.2 7.3"' in entry
    assert 'src="index.html?mcni=macvlan-to-calico-across-nodes"' in entry
    with pytest.raises(NotThere, match="lesson 17 has no exercises"):
        scorm_package(SITE, type("Story", (), {"number": 17, "name": "x"})())


def test_the_page_of_the_platform_speaks_the_language_of_the_site() -> None:
    with spoken(PSEUDO):
        entry = opened(scorm_package(SITE)).read("scorm.html").decode()
    assert f'lang="{PSEUDO}"' in entry
    assert "Go to the exercises" not in entry
    assert '"Exercises done: {done} of {all}.": "[' in entry  # what its script says


def test_the_same_site_gives_the_same_package_with_every_file_of_it() -> None:
    package = scorm_package(SITE)
    assert package == scorm_package(dict(reversed(SITE.items())))
    assert {name: opened(package).read(name) for name in SITE} == {
        name: data.encode() if isinstance(data, str) else data for name, data in SITE.items()
    }


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["there.zip"], "is there already; nothing was written"),
        (["course.html"], "must end in .zip"),
        (["new/course.zip"], "new"),
    ],
)
def test_a_package_is_written_anew_or_not_at_all(
    tmp_path: Path, monkeypatch, capsys, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.zip").write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main(["scorm", *words])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"there.zip": "mine"}


def test_the_command_writes_the_package_and_says_how_large_it_is(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("mcnilib.site.engine.pyodide", lambda _: {})
    monkeypatch.setattr("mcnilib.site.page.site_files", lambda *_: SITE)
    monkeypatch.setattr("mcnilib.site.prepared.prepared_files", lambda *_: {})
    monkeypatch.setattr("mcnilib.cli.classroom._compiled", lambda engine: engine)
    path = tmp_path / "lesson.zip"
    assert main(["scorm", str(path), "--lesson", "7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(path), "bytes": path.stat().st_size}
    assert main(["scorm", str(tmp_path / "none.zip"), "--lesson", "99"]) == 2
    assert "there is no scenario '99'" in capsys.readouterr().err
