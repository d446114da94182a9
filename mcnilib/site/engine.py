"""The interpreter of the site: Pyodide, one version, checked byte by byte, packed so that no server need compress it.

It comes from the npm package, as npm is set up here (`npm pack`), or from a folder that holds the package.
Source: https://pyodide.org/en/stable/usage/downloading-and-deploying.html.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from importlib.resources import as_file
from importlib.resources import files as resources
from pathlib import Path
from tempfile import TemporaryDirectory

from mcnilib.errors import McniError
from mcnilib.language import mark, tr
from mcnilib.writing import write_new_folder

VERSION = "314.0.7"
INTEGRITY = "0YvXxEhfEdpLfb/XkM2BFAeMROq0iMUX2bzzH9pOttyMcWkwq+HbE5uyuGD82LN7y2q+SNvi/6V5JEsOlD2R1A=="
"""SHA-512 of the package, as the registry of npm has it."""

CHECKSUMS = {
    "pyodide.mjs": "6f1d60f7bf529beb300f0f47983c921d3982363640ba20af0e38efdddbc66109",
    "pyodide.asm.mjs": "f7cdc8ece80678ceb712f8e65ebe6d3a83203a180c399865f49612a051693635",
    "pyodide.asm.wasm": "cc36e3cab04fdfc9a63ff13eb52eae2b911bf46c025cc7b281f394bd3de1d5e6",
    "python_stdlib.zip": "fa1957e5777068fc4f7437f96d860ae2fbe9c19732ba06c84e004ec16dd7dd7a",
    "pyodide-lock.json": "5dc2fc119108bc148c7457dc86e7675b5c87e1cafd420b9c34c1eaef7b36c010",
}
"""The files of the package that are needed, with their SHA-256."""

NPM_PATIENCE, NODE_PATIENCE = 300, 120
"""Seconds npm may take, and node."""

ARCHIVES = ("python_stdlib.zip", "library.zip")
"""The archives of Python files: the standard library, and what is given to the interpreter beside it."""

UNUSED_MODULES = """
    _pyio _pyrepl _sysconfigdata__emscripten_wasm32-emscripten argparse bdb cProfile cmd compileall configparser ctypes
    dbm doctest filecmp fileinput ftplib getpass http imaplib mailbox mimetypes modulefinder multiprocessing netrc
    optparse pdb pickletools platform plistlib poplib profile profiling pstats pyclbr pydoc pydoc_data sched shelve
    smtplib socketserver sqlite3 statistics symtable tabnanny timeit tkinter trace tracemalloc turtle unittest uuid wave
    webbrowser wsgiref xml xmlrpc
"""
"""Of the standard library, what needs processes, a network, a terminal or a developer."""

USED_PARTS = {
    "email": "__init__",
    "encodings": """
        __init__ aliases ascii charmap cp1252 cp437 idna latin_1 punycode raw_unicode_escape undefined unicode_escape
        utf_16 utf_16_be utf_16_le utf_32 utf_32_be utf_32_le utf_7 utf_8 utf_8_sig
    """,
}
"""Of some packages of the standard library, the modules that stay."""


class SiteError(McniError, OSError):
    """A site that cannot be made; the message says what is missing. Nothing was written."""


def pyodide(folder: Path | None) -> dict[str, bytes]:
    """Return the files of Pyodide that are needed, from a folder that holds its package, or by npm.

    Raises: SiteError, naming what is missing or is not what it should be.
    """
    return _of_folder(folder) if folder else _of_package(_packed_by_npm())


def _of_folder(folder: Path) -> dict[str, bytes]:
    missing = [name for name in CHECKSUMS if not (folder / name).is_file()]
    if missing:
        raise SiteError(
            tr(
                "{folder} holds no unpacked package pyodide {version}: {missing} missing",
                folder=folder,
                version=VERSION,
                missing=", ".join(missing),
            )
        )
    return _checked({name: (folder / name).read_bytes() for name in CHECKSUMS}, str(folder))


def _of_package(data: bytes) -> dict[str, bytes]:
    """Unpack what npm brought. Raises: SiteError when it is another package."""
    if base64.b64encode(hashlib.sha512(data).digest()).decode() != INTEGRITY:
        raise SiteError(tr("what npm brought is not pyodide {version}: its SHA-512 is another", version=VERSION))
    with tarfile.open(fileobj=io.BytesIO(data)) as package:
        members = {name: package.extractfile(f"package/{name}") for name in CHECKSUMS}
        return _checked({name: file.read() for name, file in members.items() if file}, "the package")


def _checked(files: dict[str, bytes], where: str) -> dict[str, bytes]:
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != CHECKSUMS[name]:
            raise SiteError(
                tr(
                    "{name} of {where} is not that of pyodide {version}: its SHA-256 is another",
                    name=name,
                    where=where,
                    version=VERSION,
                )
            )
    return files


def _packed_by_npm() -> bytes:
    """Have npm bring the package. Raises: SiteError with what npm says when it does not."""
    command = ["npm", "pack", f"pyodide@{VERSION}", "--silent"]
    otherwise = tr("`--pyodide FOLDER` takes an unpacked package pyodide {version} instead", version=VERSION)
    with TemporaryDirectory(prefix="mcni-") as folder:
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=NPM_PATIENCE)
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise SiteError(
                tr(
                    "the interpreter of the site comes by npm, which does not run: {problem}; {otherwise}",
                    problem=problem,
                    otherwise=otherwise,
                )
            ) from None
        if done.returncode:
            raise SiteError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}; {otherwise}")
        return (Path(folder) / done.stdout.split()[-1]).read_bytes()


def compiled(files: Mapping[str, bytes], library: bytes) -> dict[str, bytes]:
    """Return the files of Pyodide with an archive of Python code, bytecode in the place of the sources in both.

    A browser starts twice as fast with it. Raises: SiteError when node, which runs Pyodide here, does not do it.
    """
    archives = dict(zip(ARCHIVES, (_needed(files["python_stdlib.zip"]), library), strict=True))
    with TemporaryDirectory(prefix="mcni-") as name:
        folder = Path(name) / "pyodide"
        write_new_folder(folder, {**files, **{f"made/{file}": data for file, data in archives.items()}})
        _run_node(folder, [folder / "made" / file for file in ARCHIVES])
        return {**files, **{file: (folder / "made" / file).read_bytes() for file in ARCHIVES}}


def _needed(archive: bytes) -> bytes:
    """Leave out of the standard library what nothing here uses."""
    unused = UNUSED_MODULES.split()
    used = {package: modules.split() for package, modules in USED_PARTS.items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as whole, zipfile.ZipFile(buffer, "w") as part:
        for info in whole.infolist():
            first, *rest = Path(info.filename).with_suffix("").parts
            if first not in unused and (first not in used or not rest or rest[0] in used[first]):
                part.writestr(info, whole.read(info))
    return buffer.getvalue()


def _run_node(folder: Path, archives: list[Path]) -> None:
    with as_file(resources("mcnilib.site").joinpath("parts", "compile.mjs")) as script:
        command = ["node", str(script), str(folder), *map(str, archives)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=NODE_PATIENCE)
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise SiteError(
                tr("{uncompiled}, as node does not run: {problem}", uncompiled=tr(UNCOMPILED), problem=problem)
            ) from None
    if done.returncode:
        raise SiteError(
            tr("{uncompiled}, as node failed: {stderr}", uncompiled=tr(UNCOMPILED), stderr=done.stderr.strip()[-300:])
        )


UNCOMPILED = mark("the Python code of the site is not compiled, so that pages take longer to start")


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _no_packages(lock: bytes) -> bytes:
    """Leave out the list of packages Pyodide could load: they would come from another host."""
    return json.dumps(json.loads(lock) | {"packages": {}}).encode()


PACKED: Mapping[str, tuple[str, Callable[[bytes], bytes]]] = {
    "pyodide.mjs": ("pyodide.js", bytes),
    "pyodide.asm.mjs": ("pyodide.asm.js.bin", _gzip),
    "pyodide.asm.wasm": ("pyodide.asm.wasm.bin", _gzip),
    "python_stdlib.zip": ("python_stdlib.zip.bin", _gzip),
    "library.zip": ("library.zip.bin", _gzip),
    "pyodide-lock.json": ("pyodide-lock.json", _no_packages),
}
"""File of the package -> its name in the site, and what is made of it. Some servers know no `.mjs`, most compress no
`.wasm`; one that would unpack `.gz` by itself leaves `.bin` alone."""


def engine_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return what the site holds of Pyodide and of the archives that came with it."""
    return {f"engine/{name}": made(files[source]) for source, (name, made) in PACKED.items() if source in files}
