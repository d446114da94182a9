"""JupyterLite in the site: what its interpreter finds there, and what is said when it cannot be built."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mcnilib.cli import main
from mcnilib.site import engine, lite
from mcnilib.site.engine import CHECKSUMS, SiteError
from mcnilib.site.library import archive
from mcnilib.site.lite import ENGINE, KERNEL_EXTENSION, KERNEL_PLUGIN, KERNEL_WHEELS, installed_wheels, lite_files

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PYODIDE = dict.fromkeys(CHECKSUMS, b'{"info": {"python": "3.14.2"}, "packages": {"numpy": {}}}')
BUILT = {
    "jupyter-lite.json": b'{"jupyter-config-data": {"appName": "JupyterLite"}}',
    f"{KERNEL_EXTENSION}/pyodide_kernel-0.8.6-py3-none-any.whl": b"kernel",
    f"{KERNEL_EXTENSION}/ipykernel-6.9.2-py3-none-any.whl": b"stands in",
}
"""What JupyterLite's program makes, as far as it matters here."""


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lite, "_built", lambda notebooks: BUILT)
        return lite_files(PYODIDE, NOTEBOOKS)


@pytest.fixture(scope="module")
def lock(files) -> dict[str, dict[str, object]]:
    return json.loads(files[f"lite/{ENGINE}/pyodide-lock.json"])["packages"]


def test_every_package_of_the_lock_is_there_and_is_what_the_lock_says(files, lock):
    for name, entry in lock.items():
        data = files[f"lite/{ENGINE}/{entry['file_name']}"]
        assert hashlib.sha256(data).hexdigest() == entry["sha256"], name
    assert "numpy" not in lock


def test_the_interpreter_and_its_packages_come_from_the_site(files, lock):
    config = json.loads(files["lite/jupyter-lite.json"])["jupyter-config-data"]
    settings = config["litePluginSettings"][KERNEL_PLUGIN]
    assert f"lite/{settings['pyodideUrl'].removeprefix('./')}" in files
    assert settings["disablePyPIFallback"] is True
    assert set(settings["loadPyodideOptions"]["packages"]) == set(lock)
    # what the kernel would ask another host for when it starts. Source: initKernel of @jupyterlite/pyodide-kernel
    assert {"micropip", "piplite", "ipykernel", "comm", "pyodide-kernel", "jedi", "ipython"} <= set(lock)


def test_a_package_is_packed_without_what_was_compiled_for_this_machine(files, lock):
    for name, entry in lock.items():
        if name not in KERNEL_WHEELS:
            names = zipfile.ZipFile(io.BytesIO(files[f"lite/{ENGINE}/{entry['file_name']}"])).namelist()
            assert any(one.endswith(".dist-info/METADATA") for one in names), name
            assert not [one for one in names if re.search(r"\.(so|pyd|pyc)$|^\.\.", one)], name


def test_packing_again_gives_the_same_bytes():
    assert next(installed_wheels()) == next(installed_wheels())
    assert archive({"b": b"2", "a": b"1"}) == archive({"a": b"1", "b": b"2"})


def test_the_panels_are_there_and_need_no_matplotlib(files, lock, tmp_path):
    data = files[f"lite/{ENGINE}/{lock['mcnilib']['file_name']}"]
    zipfile.ZipFile(io.BytesIO(data)).extractall(tmp_path / "unpacked")
    program = f"""
import sys
sys.modules["matplotlib"] = None
sys.path.insert(0, {str(tmp_path / "unpacked")!r})
from mcnilib import cluster_map, explore, scenario, side_by_side
import mcnilib
assert "unpacked" in mcnilib.__file__
for shown in (explore(scenario("7")), cluster_map(), side_by_side(scenario("7"), kube_proxy="1.30")):
    data = shown._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert "image/png" not in data
    print(data["text/plain"].splitlines()[0])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("connect succeeds, then hangs")
    assert "mcnilib made a mistake" not in done.stdout


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("sh", "-c", "echo no such thing >&2; exit 1"), "was not built: no such thing"),
        (("sleep", "9"), "was not built in time"),
    ],
)
def test_what_the_program_says_is_said(monkeypatch, command, says):
    run = subprocess.run
    monkeypatch.setattr(lite, "BUILD_PATIENCE", 0.5)
    monkeypatch.setattr(subprocess, "run", lambda ignored, **options: run(command, **options))
    with pytest.raises(SiteError, match=says):
        lite_files(PYODIDE, NOTEBOOKS)


def test_without_notebooks_nothing_is_written(tmp_path, monkeypatch, capsys):
    from mcnilib.cli import classroom

    monkeypatch.setattr(classroom, "PROJECT", tmp_path)
    monkeypatch.setattr(engine, "pyodide", lambda folder: PYODIDE)
    monkeypatch.setattr(engine, "compiled", lambda files, library: files)
    assert main(["site", str(tmp_path / "out"), "--lite"]) == 2
    assert "no notebooks to run" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_jupyterlite_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(lite, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"uv run --extra lite mcni"):
        lite_files(PYODIDE, NOTEBOOKS)
