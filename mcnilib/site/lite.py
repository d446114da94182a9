"""The notebooks to run and to change in the browser: JupyterLite, with all it needs in the site itself.

JupyterLite's own program builds it. The Python packages are those installed here, packed again as wheels: nothing is
downloaded, and the versions are those of `uv.lock`. What would install more is replaced by a sentence. numpy and
matplotlib are not there: they have no wheels for WebAssembly on PyPI.
Source: https://jupyterlite.readthedocs.io/en/stable/howto/pyodide/pyodide.html; the form of the lock: pyodide-lock.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from mcnilib import __version__
from mcnilib.errors import MissingExtra
from mcnilib.language import tr
from mcnilib.site.engine import SiteError
from mcnilib.site.lessons import LITE
from mcnilib.site.library import archive, library_files

NEEDED = ("ipython", "ipywidgets", "anywidget", "comm")
"""What the kernel and the panels import; what these need in turn comes with them."""

NOT_NEEDED = {"widgetsnbextension", "jupyterlab-widgets", "jedi"}
"""The first two are scripts, which JupyterLite has already; jedi is 5000 files, and completion works without."""

BROWSER = {
    "sys_platform": "emscripten",
    "platform_system": "Emscripten",
    "os_name": "posix",
    "python_version": "3.14",
    "python_full_version": "3.14.2",
    "extra": "",
}
"""What packages are told about the interpreter when they say what they need. Source: PEP 508."""

KERNEL_EXTENSION = "extensions/@jupyterlite/pyodide-kernel-extension/static/pypi"
KERNEL_WHEELS = ("pyodide-kernel", "ipykernel")
KERNEL_PLUGIN = "@jupyterlite/pyodide-kernel-extension:kernel"
ENGINE = "static/pyodide"

STANDS_IN = {
    "piplite": {
        "piplite/__init__.py": "from piplite.piplite import install\n",
        "piplite/piplite.py": '''"""Stands in for piplite, which would ask another host."""


async def install(*names, **options):
    """Refuse."""
    raise RuntimeError("nothing can be installed here: what the notebooks need is there, and no other host is asked")
''',
    },
    "micropip": {},
    "jedi": {},
}
"""Packages the kernel would install when it starts, and what they are here."""

BUILD_PATIENCE = 600
"""Seconds JupyterLite's program may take."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package for the interpreter: its name and version, its modules, and the archive that is unpacked."""

    name: str
    version: str
    data: bytes

    @property
    def file(self) -> str:
        """The name of the archive."""
        return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"

    @property
    def locked(self) -> dict[str, object]:
        """Its entry in the lock."""
        return {
            "name": self.name,
            "version": self.version,
            "file_name": self.file,
            "install_dir": "site",
            "sha256": hashlib.sha256(self.data).hexdigest(),
            "package_type": "package",
            "imports": [],
            "depends": [],
        }


def check_lite(notebooks: Path) -> None:
    """Tell at once whether it can be built. Raises: MissingExtra without JupyterLite, SiteError without notebooks."""
    if not any(notebooks.glob("*.ipynb")):
        raise SiteError(tr("JupyterLite has no notebooks to run: they are in a clone of the project"))
    if find_spec("jupyterlite_core") is None:
        raise MissingExtra("JupyterLite", "jupyterlite-core", "lite")


def lite_files(pyodide: Mapping[str, bytes], notebooks: Path) -> dict[str, bytes]:
    """Return JupyterLite with the notebooks, name in the site -> content, from the files of Pyodide.

    Raises: as `check_lite`; SiteError with what its program says when it fails.
    """
    check_lite(notebooks)
    built = _built(notebooks)
    wheels = (*installed_wheels(), *_kernel_wheels(built), *_own_wheels())
    lock = json.loads(pyodide["pyodide-lock.json"]) | {"packages": {one.name: one.locked for one in wheels}}
    engine = {**pyodide, "pyodide-lock.json": json.dumps(lock).encode(), **{one.file: one.data for one in wheels}}
    files = built | {f"{ENGINE}/{name}": data for name, data in engine.items()}
    files["jupyter-lite.json"] = _settings(built["jupyter-lite.json"], [one.name for one in wheels])
    return {f"{LITE}/{name}": data for name, data in files.items()}


def _built(notebooks: Path) -> dict[str, bytes]:
    """Have JupyterLite's program build it in a folder of its own, and return the files."""
    with TemporaryDirectory(prefix="mcni-") as name:
        folder = Path(name)
        options = (
            "--contents",
            str(notebooks),
            "--output-dir",
            str(folder / "out"),
            "--apps",
            "lab",
            "--no-sourcemaps",
        )
        command = [sys.executable, "-m", "jupyterlite_core", "build", "--lite-dir", str(folder), *options]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILD_PATIENCE)
        except subprocess.TimeoutExpired as problem:
            raise SiteError(tr("JupyterLite was not built in time: {problem}", problem=problem)) from None
        if done.returncode:
            raise SiteError(tr("JupyterLite was not built: {stderr}", stderr=done.stderr.strip()[-2000:]))
        paths = (path for path in sorted((folder / "out").rglob("*")) if path.is_file() and path.suffix != ".map")
        return {path.relative_to(folder / "out").as_posix(): path.read_bytes() for path in paths}


def _settings(config: bytes, packages: list[str]) -> bytes:
    """Return JupyterLite's settings: the interpreter comes from the site, and all its packages at its start."""
    read = json.loads(config)
    plugins = read["jupyter-config-data"].setdefault("litePluginSettings", {})
    plugins[KERNEL_PLUGIN] = plugins.get(KERNEL_PLUGIN, {}) | {
        "pyodideUrl": f"./{ENGINE}/pyodide.mjs",
        "loadPyodideOptions": {"packages": packages},
        "disablePyPIFallback": True,
    }
    return json.dumps(read, indent=2).encode()


def installed_wheels() -> Iterator[Wheel]:
    """Yield what is needed of the packages installed here, without what was compiled for this machine."""
    for name, package in sorted(_needed().items()):
        files = [file for file in package.files or () if _portable(PurePosixPath(file))]
        yield Wheel(name, package.version, archive({str(file): file.locate().read_bytes() for file in files}))  # type: ignore[attr-defined]


def _portable(file: PurePosixPath) -> bool:
    return file.parts[0] != ".." and "__pycache__" not in file.parts and file.suffix not in {".so", ".pyd", ".dylib"}


def _needed() -> dict[str, Distribution]:
    from packaging.requirements import Requirement

    found: dict[str, Distribution] = {}
    asked = list(NEEDED)
    while asked:
        name = asked.pop().lower().replace("_", "-")
        if name in found or name in NOT_NEEDED:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            raise MissingExtra("JupyterLite", name, "lite") from None
        needs = map(Requirement, found[name].requires or ())
        asked += [one.name for one in needs if one.marker is None or one.marker.evaluate(BROWSER)]
    return found


def _kernel_wheels(built: Mapping[str, bytes]) -> Iterator[Wheel]:
    for name in KERNEL_WHEELS:
        start = f"{KERNEL_EXTENSION}/{name.replace('-', '_')}-"
        (file,) = (file for file in built if file.startswith(start) and file.endswith(".whl"))
        yield Wheel(name, file.removeprefix(start).partition("-")[0], built[file])


def _own_wheels() -> Iterator[Wheel]:
    for name, files in STANDS_IN.items():
        yield Wheel(name, "0", archive({file: text.encode() for file, text in files.items()} | _dist_info(name, "0")))
    yield Wheel("mcnilib", __version__, archive(library_files(left_out=()) | _dist_info("mcnilib", __version__)))


def _dist_info(name: str, release: str) -> dict[str, bytes]:
    folder = f"{name}-{release}.dist-info"
    return {
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n".encode(),
        f"{folder}/WHEEL": b"Wheel-Version: 1.0\nGenerator: mcnilib\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
