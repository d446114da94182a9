"""The rules of the house hold for the library, and each of them can fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from house_rules import BODY_LINES, FILE_LINES, LAYERS, OUTSIDE, PACKAGE, complaints

ROOT = Path(__file__).parents[1]
DOC = '"""Planted."""\n'


def function(lines: int, above: str = "", beside: str = "", docstring: str = '"""Planted."""') -> str:
    """Write a module whose only function has a body of so many lines below its docstring."""
    return f"{DOC}{above}\ndef planted():{beside}\n    {docstring}\n" + "    pass\n" * lines


PLANTED = [
    # layers: a lower one imports a higher one, two of one rank import each other, in whatever spelling
    ("linux/route.py", f"{DOC}import mcnilib.cluster.spec", "2: linux imports cluster"),
    ("linux/route.py", f"{DOC}from mcnilib import errors, trace", "2: linux imports trace"),
    ("linux/route.py", f"{DOC}from ..trace import walk", "2: linux imports trace"),
    ("linux/route.py", f"{DOC}from .. import trace", "2: linux imports trace"),
    ("linux/kinds/veth.py", f"{DOC}from ...trace.walk import step", "2: linux imports trace"),
    ("cluster/build.py", f"{DOC}from mcnilib.trace.walk import step", "2: cluster imports trace"),
    ("trace/walk.py", f"{DOC}from mcnilib.cluster import spec", "2: trace imports cluster"),
    ("trace/walk.py", f"{DOC}def f():\n    '''Do.'''\n    import mcnilib.scenarios", "4: trace imports scenarios"),
    (
        "trace/walk.py",
        f"{DOC}from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import mcnilib.cli",
        "4: trace imports cli",
    ),
    ("scenarios/one.py", f"{DOC}import mcnilib.show.paint", "2: scenarios imports show"),
    ("show/paint.py", f"{DOC}from mcnilib.kernel import record", "2: show imports kernel"),
    ("kernel/verify.py", f"{DOC}from mcnilib.show import table", "2: kernel imports show"),
    ("errors.py", f"{DOC}import mcnilib.linux", "2: errors imports linux"),
    ("helpers.py", DOC, "1: helpers is no layer"),
    ("__init__.py", f"{DOC}from mcnilib.show.controls import explore", "2: import mcnilib loads show"),
    ("__init__.py", f"{DOC}from .kernel import verify", "2: import mcnilib loads kernel"),
    # what comes from outside, and what starts processes
    ("linux/route.py", f"{DOC}import numpy", "2: linux imports numpy"),
    ("scenarios/one.py", f"{DOC}import matplotlib.pyplot", "2: scenarios imports matplotlib"),
    ("kernel/plan.py", f"{DOC}import networkx", "2: kernel imports networkx"),
    ("show/graph.py", f"{DOC}import pyroute2", "2: show imports pyroute2"),
    ("cluster/spec.py", f"{DOC}import subprocess", "2: cluster imports subprocess"),
    ("show/files.py", f"{DOC}from socket import socket", "2: show imports socket"),
    ("cli.py", f"{DOC}import os\nos.system('true')", "3: cli uses os.system"),
    ("trace/walk.py", f"{DOC}import os\nos.posix_spawn('x', [], {{}})", "3: trace uses os.posix_spawn"),
    # words, docstrings, sizes
    ("linux/match.py", f"{DOC}# as KUBE-FORWARD has it", "2: the word 'KUBE' has no place in linux"),
    ("trace/explain.py", f"{DOC}TEXT = 'Spiderpool'", "2: the word 'Spiderpool' has no place in trace"),
    ("cluster/build.py", "x = 1", "1: the module has no docstring"),
    ("cluster/build.py", f"{DOC}def build(): ...", "2: build has no docstring"),
    ("cluster/build.py", f"{DOC}class Builder: ...", "2: Builder has no docstring"),
    ("cluster/build.py", DOC + "\n" * FILE_LINES, f"301: the file has {FILE_LINES + 1} lines"),
    ("cluster/build.py", function(BODY_LINES + 1), "3: the body of planted has 26 lines"),
    ("cluster/build.py", function(BODY_LINES + 1, above="# long"), "3: the body of planted has 26 lines"),
]

INNOCENT = [
    (
        "trace/walk.py",
        f"{DOC}from mcnilib.linux import route\nfrom mcnilib.errors import Unsupported\nfrom .step import Step",
    ),
    ("show/paint.py", f"{DOC}import matplotlib.figure\nimport networkx\nfrom mcnilib.scenarios import scenario"),
    ("kernel/tools.py", f"{DOC}import os, socket, subprocess\nos.kill(1, 0)\nimport pyroute2"),
    ("cli.py", f"{DOC}from mcnilib.show import table\nfrom mcnilib.kernel import verify\nimport mcnilib"),
    ("__init__.py", f"{DOC}import mcnilib.scenarios\ndef __getattr__(name):\n    from mcnilib.show import controls"),
    ("cluster/kube_proxy.py", f"{DOC}# Calico"),
    ("cluster/build.py", function(BODY_LINES)),
    ("cluster/build.py", function(BODY_LINES + 1, above="# long because the kernel's function is")),
    ("cluster/build.py", function(BODY_LINES + 1, beside="  # long because of a table")),
    ("cluster/build.py", function(BODY_LINES, docstring='"""Planted.\n\n    Of three lines.\n    """')),
    ("cluster/build.py", f"{DOC}def _helper(): ..."),
]


def plant(root: Path, path: str, source: str) -> list[str]:
    """Make a package of one file and return the complaints about it, without the path."""
    file = root / PACKAGE / path
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
    return [complaint.removeprefix(f"{PACKAGE}/{path}:") for complaint in complaints(root)]


def test_the_library_keeps_the_rules():
    found = complaints(ROOT)
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(("path", "source", "expected"), PLANTED)
def test_a_planted_violation_is_found(tmp_path, path, source, expected):
    (complaint,) = plant(tmp_path, path, source)
    assert complaint.startswith(expected)


@pytest.mark.parametrize(("path", "source"), INNOCENT)
def test_what_is_allowed_raises_no_complaint(tmp_path, path, source):
    assert plant(tmp_path, path, source) == []


def test_importing_the_package_loads_neither_pictures_nor_processes():
    """What the syntax tree cannot see: the modules that a bare import really loads."""
    code = f"import sys; before = set(sys.modules); import {PACKAGE}; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    forbidden = {f"{PACKAGE}.{layer}" for layer in ("show", "kernel", "cli")}
    assert not {name for name in loaded if ".".join(name.split(".")[:2]) in forbidden}
    assert {name.split(".")[0] for name in loaded} <= {*sys.stdlib_module_names, PACKAGE}


def test_every_layer_of_the_table_is_named_in_the_order_of_the_design():
    assert sorted(LAYERS, key=lambda name: LAYERS[name]) == list(LAYERS)
    assert set(OUTSIDE) <= set(LAYERS)
