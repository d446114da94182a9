"""The committed notebooks: executed in order, nothing broken or stale, and outputs that have teeth."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from by_chance import drawn
from notebook_check import MISMATCH, check_command

from mcnilib.learner import SITE
from mcnilib.scenarios.exercise import exercise, exercises
from mcnilib.scenarios.link import BINDER

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WORDS = ROOT / "notebooks" / "00-words.ipynb"
FLAGSHIP = ROOT / "notebooks" / "07-macvlan-to-calico-across-nodes.ipynb"


def cells(path: Path):
    return nbformat.read(path, 4).cells


def test_there_are_notebooks() -> None:
    index, words, *lessons = NOTEBOOKS
    assert (index.name, words) == ("00-index.ipynb", WORDS)
    assert FLAGSHIP in NOTEBOOKS
    assert len({path.name[:2] for path in lessons}) == len(lessons)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_committed_in_order_and_whole(path: Path) -> None:
    code = [cell for cell in cells(path) if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_cell_prints_is_committed_in_one_piece(path: Path) -> None:
    """Pieces depend on the speed of the machine, and JupyterLab shows a gap between two of them."""
    for cell in cells(path):
        printed = [output.get("name") for output in cell.get("outputs", ())]
        assert not any(one and one == other for one, other in pairwise(printed)), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_state_of_widgets_and_no_place_of_this_machine_is_committed(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    assert "widgets" not in notebook.metadata
    assert notebook.metadata.kernelspec.name == "python3"
    assert str(ROOT) not in path.read_text()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_picture_has_words_beside_it(path: Path) -> None:
    for cell in cells(path):
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                assert len(output.data["text/plain"]) > 20


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_table_is_wider_than_a_page(path: Path) -> None:
    """JupyterLab breaks lines after 108 characters in a window of 1280 pixels with its list of files beside them."""
    for cell in cells(path):
        for text in (o.text for o in cell.get("outputs", ()) if o.output_type == "stream"):
            for table in (part for part in text.split("\n\n") if "\n-----" in part):
                lines = table.splitlines()
                rule = next(i for i, line in enumerate(lines) if line.startswith("-----"))
                assert len(lines[rule]) <= 108, lines[0]


OTHERWISE = {
    "17": {
        "explore(": "ask(",
        "matrix(": "all_scenarios()",
        "## What Spiderpool's guide says": "## What this does and does not know",
        ".check(": "print(check(",
    },
    "19": {".check(": "print(check("},
    "22": {".check(": "print(check("},
}
"""Parts with another name: notebook 17 is about the reader's own cluster, which no scenario and no guide describes."""


@pytest.mark.parametrize("path", NOTEBOOKS[2:], ids=lambda path: path.stem)
def test_a_notebook_has_all_the_parts_of_a_lesson(path: Path) -> None:
    text = "\n".join(cell.source for cell in cells(path))
    others = OTHERWISE.get(path.name[:2], {})
    for part in ("minutes", "After this lesson you can", "## The question", "## Predict", "predict(", "## Run", "explore(",
                 "## Why", "## Prove it", "matrix(", "## What Spiderpool's guide says", "## Try it on a real node", "## Exercises",
                 ".check(", "## Recap", "Next:"):  # fmt: skip
        assert others.get(part, part) in text, part


PANELS = {
    "ask",
    "cluster_map",
    "conclusion",
    "explore",
    "look_around",
    "play",
    "predict",
    "side_by_side",
    "step_picture",
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_code_of_imports_questions_and_panels_is_hidden_and_no_other(path: Path) -> None:
    """So that a notebook reads: text, question, picture."""
    code = [cell for cell in cells(path) if cell.cell_type == "code"]
    hidden = [cell.id for cell in code if cell.metadata.get("jupyter", {}).get("source_hidden")]
    assert hidden == [cell.id for cell in code if cell is code[0] or last_call(cell.source) in PANELS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_below_each_exercise_its_hint_and_its_solution_are_folded(path: Path) -> None:
    told = cells(path)
    for cell, below in pairwise(told):
        if checks := re.match(r"exercise\((\d+), (\d+)\)\.check\(", cell.source):
            task = exercise(int(checks[1]), int(checks[2]))
            parts = (("Hint", task.hint), ("Solution", f"```\n{task.solution.strip()}\n```"))
            folded = (f"<details><summary>{name}</summary>\n\n{text}\n\n</details>" for name, text in parts)
            assert (below.id, below.source) == (f"{cell.id}-help", "\n".join(folded))
    number = int(path.name[:2])
    asked = [task for task in exercises() if task.scenario == number]
    assert sum(cell.id.endswith("-help") for cell in told) == len(asked)


TYPED = re.compile(
    r"""(?P<netns>[\w-]+)(?:", "|: )(?P<command>(?:ip|iptables|sysctl) [^"`#\n]+)""",
)
"""A command and the namespace it is for: `do(world, "node1", "ip rule")`, `node1: ip rule`."""

EVERY_REPAIR = {"07"}
"""Lessons that list every repair there is, with its commands: `fix` tells what its readers came for."""


@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path.name[:2] not in EVERY_REPAIR], ids=lambda path: path.stem
)
def test_what_comes_before_an_exercise_does_not_solve_it(path: Path) -> None:
    shown: set[str] = set()
    for cell in cells(path):
        if checks := re.match(r"exercise\((\d+), (\d+)\)\.check\(", cell.source):
            task = exercise(int(checks[1]), int(checks[2]))
            assert [command for command in sorted(shown) if task.judge(command)[0]] == [], cell.source
        elif not cell.id.endswith("-help"):
            outputs = (
                output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", ())
            )
            shown |= {
                f"{line[1]}: {line[2].strip()}" for text in (cell.source, *outputs) for line in TYPED.finditer(text)
            }


def last_call(source: str) -> str:
    """Return the name of the function whose result a cell shows."""
    match ast.parse(source).body[-1:]:
        case [ast.Expr(value=ast.Call(func=ast.Name(id=name)))]:
            return name
    return ""


def test_each_word_of_lesson_0_has_printed_text_a_picture_and_a_question() -> None:
    text = "\n".join(f"{cell.cell_type}\n{cell.source}" for cell in cells(WORDS))
    parts = text.split("\n## ")[1:-2]
    assert [part.partition("\n")[0].partition(":")[0] for part in parts] == [
        "A network namespace and a cable", "A Macvlan device", "Routes and rules", "Firewall rules", "NAT",
        "Connection tracking", "Marks",
    ]  # fmt: skip
    for part in parts:
        for piece in ("\nprint(", "\nstep_picture(", "\npredict(", "responses="):
            assert piece in part, (piece, part[:40])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_between_notebooks_lead_somewhere(path: Path) -> None:
    for cell in cells(path):
        for part in cell.source.split("](")[1:]:
            target = part.split(")")[0]
            if target.endswith(".ipynb") and "://" not in target:
                assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_into_a_notebook_and_parts_it_names_are_headings(path: Path) -> None:
    texts = {one.name: "\n".join(cell.source for cell in cells(one)) for one in NOTEBOOKS}
    headings = {
        name: {title.split(":")[0] for title in re.findall("^#+ (.+)", text, re.M)} for name, text in texts.items()
    }
    for title in re.findall(r"\]\(#([^)]+)\)", texts[path.name]):
        assert title.replace("-", " ") in headings[path.name]
    for name, begin, end in re.findall(r"\]\(([\w-]+\.ipynb)\), from \*([^*]+)\* to \*([^*]+)\*", texts[path.name]):
        assert {begin, end} <= headings[name], name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_begins_with_its_page_and_then_its_place_on_binder(path: Path) -> None:
    links = f"[Open as a page]({SITE}notebooks/{path.stem}.html)  ·  [Open on Binder]({BINDER}/{path.name})  ·  "
    assert cells(path)[0].source.splitlines()[2].startswith(links)


ACK_ROW = (
    "linux/netfilter/conntrack_tcp.py",
    '_ACK: _row("ES IV ES ES',
    '_ACK: _row("ES ES ES ES',
)  # the ACK after a lone SYN is fine
SYNACK_ROW = (
    "linux/netfilter/conntrack_tcp.py",
    '_SYNACK: _row("IV IV SR',
    '_SYNACK: _row("SS IV SR',
)  # a SYN-ACK may begin a connection
GATE = ("cluster/kube_proxy/config.py", "return self.minor >= 29", "return self.minor >= 28")
MODES = (
    "linux/device/macvlan.py",
    'self.mode == sibling.mode == "bridge"',
    '"private" not in (self.mode, sibling.mode)',
)
GATEWAYS = ("linux/routing/nexthop.py", "    return route.via\n", "    return destination\n")
TABLE_500 = ("cluster/cni/spiderpool.py", "from all lookup {HOST_TABLE}", "from all lookup 501")
MARKS = ("cluster/cni/spiderpool.py", "from all fwmark 0x1 lookup", "from all fwmark 0x2 lookup")
MASQUERADE = (
    "cluster/kube_proxy/services.py",
    "-A KUBE-MARK-MASQ -j MARK --set-xmark {proxy.masquerade_mark}/{proxy.masquerade_mark}",
    "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x0/{proxy.masquerade_mark}",
)
OUTGOING = (
    "cluster/cni/calico/felix.py",
    "calico.pools if calico.nat_outgoing else ()",
    "() if calico.nat_outgoing else calico.pools",
)
POLICY = (
    "cluster/cni/spiderpool.py",
    "from {pod.overlay} lookup {MARK_TABLE}",
    "from {pod.overlay} lookup {NIC_TABLE}",
)
POOLS = ("cluster/cni/spiderpool.py", "() if self.hijack is Hijack.NO_POOL else (self.pod_cidr,)", "(self.pod_cidr,)")
HIJACKED = ("cluster/cni/spiderpool.py", "() if self.hijack is Hijack.NO_LINK_LOCAL else HIJACK", "HIJACK")
REDIRECTS = ("cluster/cni/spiderpool.py", "(Address(VETH_ADDRESS),) * coordinator.veth_address", "()")
TEETH = {
    "01": [MODES], "02": [GATEWAYS], "03": [TABLE_500], "04": [MASQUERADE], "05": [MARKS], "06": [TABLE_500],
    "07": [ACK_ROW, GATE], "08": [GATEWAYS], "09": [MASQUERADE], "10": [OUTGOING], "11": [POLICY], "12": [POLICY],
    "13": [OUTGOING], "14": [POLICY], "15": [GATE], "16": [GATE], "17": [ACK_ROW],
    "18": [POOLS], "19": [GATE], "20": [REDIRECTS], "21": [HIJACKED],
    "22": [MASQUERADE],
}  # fmt: skip
"""For each notebook what to break in the library (file, right, wrong): it must notice."""

BREAKS = {path.name: [(path, *one) for one in TEETH.get(path.name[:2], [])] for path in NOTEBOOKS[2:]}
BREAKS[WORDS.name] = [(WORDS, *one) for one in (SYNACK_ROW, MARKS, MASQUERADE)]
BROKEN = [one for name in drawn(BREAKS, WORDS.name, FLAGSHIP.name) for one in BREAKS[name]]


def test_only_one_module_of_the_tests_knows_the_comparator() -> None:
    """A learner's copy has no tests, so its configuration names the comparator once more."""
    sources = [path for folder in ("tests", "mcnilib") for path in (ROOT / folder).rglob("*.py")]
    knows = [str(path.relative_to(ROOT)) for path in sources if re.search(r"nbv[a]l", path.read_text(encoding="utf-8"))]
    assert sorted(knows) == ["mcnilib/learner.py", "tests/notebook_check.py"]
    assert re.findall(r"nbv[a]l", (ROOT / "pyproject.toml").read_text(encoding="utf-8")) == ["nbv" + "al"]


def test_every_lesson_has_teeth() -> None:
    assert {path.name[:2] for path in NOTEBOOKS[2:]} == set(TEETH)


def test_what_is_broken_is_there_to_be_broken() -> None:
    every = (one for breaks in BREAKS.values() for one in breaks)
    assert not [(file, right) for _, file, right, _ in every if (ROOT / "mcnilib" / file).read_text().count(right) != 1]


@pytest.mark.notebook
@pytest.mark.parametrize(("path", "file", "right", "wrong"), BROKEN, ids=lambda value: getattr(value, "stem", None))
def test_breaking_one_rule_of_the_library_turns_the_notebook_red(
    tmp_path: Path, path: Path, file: str, right: str, wrong: str
) -> None:
    shutil.copytree(ROOT / "mcnilib", tmp_path / "mcnilib")  # with what is compiled
    shutil.copy(path, tmp_path)
    broken = tmp_path / "mcnilib" / file
    source = broken.read_text()
    broken.write_text(source.replace(right, wrong))
    command, env = check_command(tmp_path / path.name, tmp_path), {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stdout[-2000:]
    assert MISMATCH in ended.stdout
