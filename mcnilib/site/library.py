"""The Python code the site runs, as one archive: mcnilib without what needs a kernel, and the part of networkx it uses.

The archive is a path Python imports from; the same sources give the same bytes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from mcnilib.errors import MissingExtra
from mcnilib.language import tr
from mcnilib.site.engine import SiteError

OWN = Path(__file__).parents[1]
LEFT_OUT = ("kernel", "cli", "site", "show/widgets", "show/capture")
"""Rooms that need processes, files or a notebook."""

WRITER = ("__init__.py", "frame.py", "single.py", *(f"parts/{part}" for part in ("single.html", "single.js")))
TAKEN = {
    *(f"site/{name}" for name in WRITER),
    *(f"site/parts/{part}" for part in ("steps.js", "style.css", "words.js")),
}
"""Of the room `site` what writes a state as one file."""

KINDS_OF_FILES = {".py", ".js", ".json", ".toml", ".sh", ".mo"}

NETWORKX = (
    *("exception.py", "lazy_imports.py", "convert.py", "utils/*.py", "classes/*.py", "algorithms/voronoi.py"),
    *(f"algorithms/shortest_paths/{name}.py" for name in ("generic", "unweighted", "weighted")),
)
"""Of networkx's modules, which are 280, those for graphs, shortest paths and cells: a browser reads them in a tenth of
the time."""
LAST = "from networkx import convert_matrix"
"""Where the beginning of networkx's own `__init__` ends; what follows loads everything."""
ALGORITHMS = "".join(
    f"from networkx.algorithms.{name} import *\n"
    for name in ("shortest_paths.generic", "shortest_paths.unweighted", "shortest_paths.weighted", "voronoi")
)


def library() -> bytes:
    """Return the archive; it is packed as a whole, later. Raises: as `library_files`."""
    return archive(library_files(), zipfile.ZIP_STORED)


def archive(files: Mapping[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return files as an archive Python imports from."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, data in sorted(files.items()):
            zipped.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, kind, 9)
    return buffer.getvalue()


def library_files(left_out: Collection[str] = LEFT_OUT) -> dict[str, bytes]:
    """Return the modules without these rooms, name -> content.

    Raises: MissingExtra without networkx, SiteError where it is built in another way.
    """
    return dict([*_own(left_out), *_networkx()])


def _own(left_out: Collection[str]) -> Iterator[tuple[str, bytes]]:
    for path in OWN.rglob("*"):
        name = path.relative_to(OWN).as_posix()
        kept = path.suffix in KINDS_OF_FILES and not any(name.startswith(f"{room}/") for room in left_out)
        if kept or name in TAKEN:
            yield f"mcnilib/{name}", path.read_bytes()


def _networkx() -> Iterator[tuple[str, bytes]]:
    spec = find_spec("networkx")
    if spec is None or spec.origin is None:
        raise MissingExtra(tr("the site"), "networkx", "site")
    root = Path(spec.origin).parent
    for pattern in NETWORKX:
        yield from ((f"networkx/{path.relative_to(root).as_posix()}", path.read_bytes()) for path in root.glob(pattern))
    begin, separator, _ = (root / "__init__.py").read_text(encoding="utf-8").partition(LAST)
    if not separator:
        raise SiteError(tr("this networkx is built in another way than those known here: its `__init__` differs"))
    yield "networkx/__init__.py", f"{begin}{ALGORITHMS}".encode()
    yield from ((f"networkx/algorithms/{name}", b"") for name in ("__init__.py", "shortest_paths/__init__.py"))
