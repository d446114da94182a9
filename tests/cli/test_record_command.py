"""`mcni record`: what it finds stale, what it renews, what it leaves alone; and that stale things name it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from notebook_check import check_command

from mcnilib.cli import command_line, record
from mcnilib.errors import McniError
from mcnilib.kernel.compare import verify as kernel_verify
from mcnilib.kernel.compare.record import parse_records
from mcnilib.kernel.compare.verify import Result
from mcnilib.kernel.fuzz import report as fuzz_report
from mcnilib.kernel.fuzz.case import Case, Exchange
from mcnilib.kernel.fuzz.trial import TRIAL_AGREES, TRIAL_DIFFERS, Trial
from mcnilib.scenarios import Scenario, all_scenarios, scenario

ROOT = Path(__file__).resolve().parents[2]
PIECES = """\
import sys, time
print("one")
sys.stdout.flush(); time.sleep(0.3)
print("two")
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a small clone: the records, the errata page, the notebooks."""
    for name in ("mcnilib/kernel/record.json", "mcnilib/kernel/fuzz.json", "docs", "tests/may_differ.cfg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    return tmp_path


def mcni(*words: str, clone: Path) -> int:
    return record.renew_records(command_line().read(["record", *words]), clone)


def contents(clone: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in clone.rglob("*") if path.is_file()}


def test_outside_of_a_clone_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(McniError, match="works in a clone of the project"):
        record.renew_records(command_line().read(["record"]), tmp_path)


@pytest.mark.slow
def test_what_is_fresh_is_left_alone(clone: Path, capsys) -> None:
    before, parts = (
        contents(clone),
        ("kernel", "errata", "picture"),
    )  # that of the fuzzer is stale: tests/kernel/test_fuzz.py
    assert mcni(*parts, "--check", clone=clone) == 0, "or it would be measured here"
    capsys.readouterr()
    assert mcni(*parts, clone=clone) == 0
    assert capsys.readouterr().out.count("  fresh\n") == 3
    assert contents(clone) == before


def test_check_writes_nothing_and_says_what_is_stale(clone: Path, capsys) -> None:
    (clone / "docs" / "errata.md").write_text("old")
    before = contents(clone)
    assert mcni("errata", "--check", clone=clone) == 1
    assert "stale: docs/errata.md" in capsys.readouterr().out
    assert contents(clone) == before


@pytest.mark.parametrize("name", ["errata.md", "flagship.svg"])
def test_a_page_is_renewed(clone: Path, name: str) -> None:
    (clone / "docs" / name).write_text("old")
    part = {"errata.md": "errata", "flagship.svg": "picture"}[name]
    assert mcni(part, clone=clone) == 0
    assert (clone / "docs" / name).read_text() == (ROOT / "docs" / name).read_text()


def test_the_template_of_the_catalogue_is_written_and_then_fresh(clone: Path, capsys) -> None:
    (clone / "mcnilib" / "a.py").write_text('x = tr("the packet is lost")\n')
    (clone / "mcnilib" / "locale").mkdir()
    assert mcni("catalogue", clone=clone) == 0
    assert 'msgid "the packet is lost"' in (clone / "mcnilib" / "locale" / "mcnilib.pot").read_text()
    capsys.readouterr()
    assert mcni("catalogue", "--check", clone=clone) == 0
    assert "  fresh\n" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("part", "name"), [("errata", "errata.md"), ("picture", "flagship.svg")])
def test_what_is_fresh_is_renewed_by_force_and_not_called_stale(clone: Path, part: str, name: str, capsys) -> None:
    assert mcni(part, "--force", clone=clone) == 0
    said = capsys.readouterr().out
    assert f"  fresh, but --force: docs/{name}\n  renewed: docs/{name}\n" in said
    assert "stale:" not in said


def test_json_names_each_file(clone: Path, capsys) -> None:
    (clone / "docs" / "errata.md").write_text("old")
    assert mcni("errata", "--json", clone=clone) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["part"], one["file"], one["renewed"]) == ("errata", "docs/errata.md", True)


def measured(letter: str):
    """Return a `verify` that gives each combination this letter."""

    def verify(stories, choose=Scenario.combinations, **_):
        for story in stories:
            for settings in choose(story):
                yield Result(story.name, settings, letter, "as planted")

    return verify


@pytest.fixture
def stale_record(clone: Path) -> Path:
    """Make the record of scenario 6 one of other worlds."""
    file = clone / "mcnilib" / "kernel" / "record.json"
    file.write_text(file.read_text().replace(parse_records(file.read_text())[scenario("6").name].digest, "0" * 16))
    return file


@pytest.mark.slow
def test_only_stale_scenarios_are_measured(monkeypatch, clone: Path, stale_record: Path, capsys) -> None:
    monkeypatch.setattr(kernel_verify, "verify", measured("a"))
    before = parse_records(stale_record.read_text())
    assert mcni("kernel", clone=clone) == 0
    after = parse_records(stale_record.read_text())
    assert [name for name in after if after[name] != before[name]] == [scenario("6").name]
    assert len(after[scenario("6").name].results) == sum(1 for _ in scenario("6").combinations())
    assert f"record.json: {scenario('6').name}\n" in capsys.readouterr().out


@pytest.mark.slow
def test_what_the_kernel_contradicts_is_not_recorded(monkeypatch, clone: Path, stale_record: Path, capsys) -> None:
    monkeypatch.setattr(kernel_verify, "verify", measured("d"))
    before = stale_record.read_text()
    assert mcni("kernel", clone=clone) == 1
    assert "the kernel contradicts the model, nothing was recorded" in capsys.readouterr().out
    assert stale_record.read_text() == before


@pytest.mark.slow
def test_an_interrupted_run_leaves_the_old_record(monkeypatch, clone: Path, stale_record: Path) -> None:
    def interrupted(stories, **_):
        yield from list(measured("a")(stories))[:3]
        raise KeyboardInterrupt

    monkeypatch.setattr(kernel_verify, "verify", interrupted)
    before = contents(clone)
    with pytest.raises(KeyboardInterrupt):
        mcni("kernel", clone=clone)
    assert contents(clone) == before


@pytest.mark.slow
@pytest.mark.parametrize(("ended", "status"), [(TRIAL_AGREES, 0), (TRIAL_DIFFERS, 1)])
def test_the_fuzzer_s_record_is_renewed_when_no_world_differs(
    monkeypatch, clone: Path, ended: str, status: int
) -> None:
    file, case = clone / "mcnilib" / "kernel" / "fuzz.json", Case("routers", (Exchange((), "a", "icmp:10.0.1.1", "b"),))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"digest": "old"}))
    trials = [Trial(case, ended, "as planted", "connected")] * 3
    monkeypatch.setattr(fuzz_report, "trials_of", lambda *_: iter(trials))
    assert mcni("fuzz", clone=clone) == status
    assert (json.loads(file.read_text())["digest"] == "old") is bool(status)


@pytest.fixture
def notebook(clone: Path) -> Path:
    """Return the only notebook of the clone: its first cell prints in two pieces, its second a new word."""
    for path in (clone / "notebooks").iterdir():
        path.unlink()
    path = clone / "notebooks" / "01-small.ipynb"
    cells = [nbformat.v4.new_code_cell(text, id=f"c{n}") for n, text in enumerate((PIECES, "print('new')"))]
    for number, (cell, text) in enumerate(zip(cells, ("one\ntwo\n", "new\n"), strict=True), 1):
        cell.execution_count, cell.outputs = number, [nbformat.v4.new_output("stream", name="stdout", text=text)]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


@pytest.mark.notebook
def test_a_notebook_that_says_the_same_is_left_alone(clone: Path, notebook: Path) -> None:
    before = contents(clone)
    assert mcni("notebooks", clone=clone) == 0
    assert contents(clone) == before


@pytest.mark.notebook
def test_a_notebook_that_says_something_else_is_renewed(clone: Path, notebook: Path, capsys) -> None:
    fresh = notebook.read_text()
    notebook.write_text(fresh.replace('"new\\n"', '"old\\n"'))
    assert notebook.read_text() != fresh
    assert mcni("notebooks", clone=clone) == 0
    assert "01-small.ipynb: cell 1 says something else" in capsys.readouterr().out
    assert {k: v for k, v in json.loads(notebook.read_text()).items() if k != "metadata"} == {
        k: v for k, v in json.loads(fresh).items() if k != "metadata"
    }
    assert "widgets" not in nbformat.read(notebook, 4).metadata


@pytest.mark.notebook
def test_a_notebook_that_fails_is_named_and_stays(clone: Path, notebook: Path, capsys) -> None:
    notebook.write_text(notebook.read_text().replace("print('new')", "1 / 0"))
    before = contents(clone)
    assert mcni("notebooks", clone=clone) == 1
    assert "not done: 01-small.ipynb does not run" in capsys.readouterr().out
    assert contents(clone) == before


STALE = re.compile(r"mcni record ([\w-]+)")


def test_every_part_is_named_where_something_of_it_is_found_stale() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    assert {name for text in texts for name in STALE.findall(text)} == set(record.RECORDS)


def test_every_part_s_sources_are_there() -> None:
    assert (ROOT / record.STRUCTURES).is_file()
    assert record.FLAGSHIP in {story.name for story in all_scenarios()}


def test_pictures_that_changed_are_to_be_looked_at(monkeypatch, clone: Path, capsys) -> None:
    seen: list[tuple[str, ...]] = []

    def in_the_browser(clone: Path, *options: str) -> list[str]:
        seen.append(options)
        return [] if options else ["03-macvlan-and-its-node.ipynb"]

    monkeypatch.setattr(record, "_in_the_browser", in_the_browser)
    assert mcni("structures", "--check", clone=clone) == 1
    assert mcni("structures", clone=clone) == 0
    assert seen == [(), (), ("--write-structures",)]
    assert "look at the pictures before you commit: 03-macvlan-and-its-node.ipynb" in capsys.readouterr().out


@pytest.mark.notebook
def test_a_cell_that_says_something_else_names_what_renews_it(clone: Path, notebook: Path) -> None:
    notebook.write_text(notebook.read_text().replace('"new\\n"', '"old\\n"'))
    command = (*check_command(notebook, clone), "-p", "notebook_check")
    env = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stdout
    assert "renew its notebook: mcni record notebooks" in done.stdout
