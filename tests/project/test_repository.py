"""What surrounds the sources: the workflow that runs the tests, the hooks before a commit, the forms, the changelog."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
HOOKS = ROOT / ".pre-commit-config.yaml"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def hooks() -> list[dict[str, Any]]:
    return [hook for repo in read(HOOKS)["repos"] for hook in repo["hooks"]]


def test_the_workflow_runs_what_ci_runs_on_every_change() -> None:
    workflow = read(WORKFLOW)
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1]["run"] == ".ci/run"
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111, ".ci/run cannot be started"
    assert set(workflow[True]) >= {"push", "pull_request"}  # to YAML 1.1, `on` is a truth value


def test_the_workflow_may_only_read_and_ends_of_itself() -> None:
    workflow = read(WORKFLOW)
    (job,) = workflow["jobs"].values()
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in job
    assert {"timeout-minutes" in part for part in (job, *job["steps"])} == {True}
    assert [step["with"]["persist-credentials"] for step in job["steps"] if "uses" in step] == [False]


def test_only_the_job_that_publishes_the_site_may_write_and_only_pages() -> None:
    workflow = read(WORKFLOW.with_name("pages.yml"))
    jobs = workflow["jobs"]
    assert workflow["permissions"] == {"contents": "read"}
    assert {name: job.get("permissions") for name, job in jobs.items()} == {
        "write": None,
        "publish": {"pages": "write", "id-token": "write"},
    }
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert {"timeout-minutes" in part for part in (*jobs.values(), *steps)} == {True}
    assert [step["with"]["persist-credentials"] for step in steps if "checkout" in step.get("uses", "")] == [False]
    assert jobs["publish"]["needs"] == "write"


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: hook["id"])
def test_a_hook_runs_a_program_of_the_lock(hook) -> None:
    words = shlex.split(hook["entry"])
    assert words[:4] == ["uv", "run", "--locked", "--all-extras"]
    assert Path(sys.executable).with_name(words[4]).exists(), words[4]
    assert hook["language"] == "system"


def test_the_hooks_check_what_the_tests_check() -> None:
    assert [hook["id"] for hook in hooks()] == ["ruff-format", "ruff-check", "mypy", "quick-tests"]
    names = {re.split(r"[=<>\[]", one)[0] for one in extras()["test"]}
    assert {"ruff", "mypy", "pytest"} <= names


def extras() -> dict[str, list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    return extras


ASKED = {
    "wrong-answer": {"version", "asked", "answer", "kernel", "linux", "snapshot", "looked-through"},
    "wrong-sentence": {"version", "lesson", "sentence", "instead", "source"},
}
"""What each form asks for."""
LABELS = {"input": "label", "textarea": "label", "checkboxes": "label"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_for_what_is_needed(path: Path) -> None:
    form = read(path)
    assert {"name", "description", "body"} <= set(form)
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert [part["id"] for part in fields if part["type"] not in LABELS] == []
    assert len({part["id"] for part in fields}) == len(fields)
    assert {part["id"] for part in fields} == ASKED[path.stem]
    assert all(part["attributes"]["label"] for part in fields)


def test_there_is_a_form_for_each_kind_of_fault() -> None:
    assert {path.stem for path in FORMS} == set(ASKED)


def test_a_snapshot_is_looked_through_before_it_is_sent() -> None:
    (path,) = (path for path in FORMS if path.stem == "wrong-answer")
    (boxes,) = (part for part in read(path)["body"] if part["type"] == "checkboxes")
    assert [box["required"] for box in boxes["attributes"]["options"]] == [True]


def test_holes_are_reported_as_the_security_page_says() -> None:
    (link,) = read(FORMS[0].with_name("config.yml"))["contact_links"]
    assert {"name", "url", "about"} == set(link)
    assert link["url"].endswith("/SECURITY.md")


@pytest.mark.parametrize("path", [*FORMS, FORMS[0].with_name("config.yml")], ids=lambda path: path.stem)
def test_links_in_the_forms_lead_to_files_of_the_project(path: Path) -> None:
    for name in re.findall(r"https://github.com/mcnilib/mcnilib/blob/main/([\w./-]+\w)", path.read_text("utf-8")):
        assert (ROOT / name).exists(), name


KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_changelog_has_the_form_its_head_names() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    assert next(line for line in lines if line.startswith("## ")) == "## [Unreleased]"
    assert {line.removeprefix("### ") for line in lines if line.startswith("### ")} <= KINDS
    releases = [line for line in lines if line.startswith("## ")][1:]
    assert [line for line in releases if not re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", line)] == []


LEFT_OUT = ("kernel", "browser", "notebook", "slow")
"""Marks of what the quick selection of tests has no time for."""


def collected(*words: str) -> set[str]:
    """Return the tests that pytest would run."""
    command = (sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *words)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    return {line for line in done.stdout.splitlines() if "::" in line}


@pytest.mark.slow
def test_the_quick_selection_is_all_but_what_is_marked() -> None:
    marked = " or ".join(LEFT_OUT)
    quick = collected("--quick")
    assert quick == collected("-m", f"not ({marked})", "tests")
    assert len(quick) > 5000
    assert not [name for name in quick if name.startswith(("notebooks", "tests/browser"))]
