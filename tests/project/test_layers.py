"""The rules of the house, read from the syntax tree of every module: who may import whom, sizes, docstrings, words.

Order of the layers: language < errors, progress, gc_pause < linux, writing < world < cluster, trace < scenarios, snapshots < repair <
show, kernel < site < cli, notebook. Two layers on one step do not know each other.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import house_debts as debts
import pytest

ROOT = Path(__file__).resolve().parents[2] / "mcnilib"
RANK = {
    "language": -2,
    "errors": -1,
    "progress": 0,
    "gc_pause": 0,
    "linux": 1,
    "writing": 1,
    "world": 2,
    "cluster": 3,
    "trace": 3,
    "scenarios": 4,
    "snapshots": 4,
    "repair": 5,
    "show": 6,
    "kernel": 6,
    "catalogue": 0,
    "learner": 6,
    "site": 7,
    "cli": 8,
    "notebook": 8,
    "mcnilib": 9,
}
PICTURES = {"matplotlib", "networkx", "ipywidgets", "anywidget", "traitlets", "IPython"}
PROCESSES = {"subprocess", "socket", "ctypes"}
CLOCKS = {"time", "secrets"}
ONLY = dict.fromkeys(PICTURES, "show") | dict.fromkeys(PROCESSES, "kernel")
BESIDE = {("site/engine.py", "subprocess"), ("site/lite.py", "subprocess")}
"""What else may be imported where: npm brings the interpreter of the site, JupyterLite's own program builds it."""
MODEL = {"errors", "linux", "world", "cluster", "trace", "scenarios", "snapshots", "repair"}
FOREIGN_WORDS = re.compile(r"calico|kube|spiderpool", re.IGNORECASE)
MAX_FILE, MAX_BODY = 450, 25
SMALL, MAX_ROOM = 60, 12
MAX_FLOORS = 8


class Module(NamedTuple):
    """A parsed file: its path below the package, its text and its tree."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def layer(self) -> str:
        """The layer the file belongs to; `mcnilib` for the package's own `__init__`."""
        name = self.path.parts[0].removesuffix(".py")
        return {"__init__": "mcnilib", "__main__": "cli"}.get(name, name)

    @property
    def name(self) -> str:
        """The name by which it is imported."""
        parts = self.path.with_suffix("").parts
        return ".".join(("mcnilib", *(parts[:-1] if parts[-1] == "__init__" else parts)))

    @property
    def lines(self) -> list[str]:
        """Return the lines of the file."""
        return self.text.splitlines()


class Import(NamedTuple):
    """One imported module, spelt out, and whether the import waits inside a function."""

    line: int
    name: str
    lazy: bool

    @property
    def layer(self) -> str:
        """The layer of ours that is imported, or nothing for somebody else's module."""
        parts = self.name.split(".")
        if parts[0] != "mcnilib" or parts[1:] == ["__version__"]:
            return ""
        return parts[1] if len(parts) > 1 and parts[1] in RANK else "mcnilib"


Complaint = tuple[int, str]
Check = Callable[[Module], Iterator[Complaint]]


@cache
def read(root: Path) -> list[Module]:
    """Parse every module of a package."""
    files = sorted(root.rglob("*.py"))
    return [Module(f.relative_to(root), text := f.read_text(encoding="utf-8"), ast.parse(text)) for f in files]


@cache
def imports(module: Module) -> list[Import]:
    """List what a module imports, also inside functions and by `import_module("…")`."""
    lazy = {id(inner) for outer in ast.walk(module.tree) if isinstance(outer, FUNCTIONS) for inner in ast.walk(outer)}
    named = ((node, name) for node in ast.walk(module.tree) for name in _names(node, module))
    return [Import(node.lineno, name, id(node) in lazy) for node, name in named]  # type: ignore[attr-defined]


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _names(node: ast.AST, module: Module) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        package = ["mcnilib", *module.path.parts[:-1]]
        base = package[: len(package) - node.level + 1] if node.level else []
        return [".".join([*base, *([node.module] if node.module else []), alias.name]) for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
        return [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
    return []


def upward(module: Module) -> Iterator[Complaint]:
    """A layer imports only itself and lower ones; layers of the same rank do not know each other."""
    for one in imports(module):
        if one.layer and one.layer != module.layer and RANK[one.layer] >= RANK[module.layer]:
            yield one.line, f"{module.layer} imports {one.name}"


def foreign(module: Module) -> Iterator[Complaint]:
    """Each third-party package, and whatever starts processes, has one home; the model needs nothing installed."""
    for one in imports(module):
        top = one.name.split(".")[0]
        allowed = ONLY.get(top, module.layer)
        if allowed != module.layer and (module.path.as_posix(), top) not in BESIDE:
            yield one.line, f"only {allowed} may import {top}"
        elif top not in {*sys.stdlib_module_names, *ONLY, "mcnilib"} and module.layer in MODEL:
            yield one.line, f"{top} is not in the standard library"
        elif module.layer in MODEL and top in CLOCKS:
            yield one.line, f"{top}: the model reads no clock and no random source"


def eager(module: Module) -> Iterator[Complaint]:
    """`import mcnilib` loads nothing of ours; the command line loads pictures and the kernel lab only when asked."""
    shut = {"mcnilib": set(RANK), "cli": {"show", "kernel", "site"}}.get(module.layer, set())
    for one in imports(module):
        if one.layer in shut and not one.lazy:
            yield one.line, f"imports {one.name} when loaded, not when used"


def words(module: Module) -> Iterator[Complaint]:
    """What Linux does is told without the names of the programs that configure it."""
    if module.layer in ("linux", "world", "trace"):
        for number, line in enumerate(module.lines, 1):
            if found := FOREIGN_WORDS.search(line):
                yield number, f"the word {found[0]!r} has no place in {module.layer}/"


def long_file(module: Module) -> Iterator[Complaint]:
    """A file is one concept; one that does not fit into one sitting is two."""
    if len(module.lines) > MAX_FILE:
        yield len(module.lines), f"{len(module.lines)} lines, at most {MAX_FILE}"


def long_body(module: Module) -> Iterator[Complaint]:
    """A function fits on a screen, or says why not: `# long because …` on or above its last signature line."""
    for node in ast.walk(module.tree):
        if not isinstance(node, FUNCTIONS):
            continue
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        size = node.body[-1].end_lineno - body[0].lineno + 1 if body else 0  # type: ignore[operator]
        if size > MAX_BODY and not _has_reason(module, node):
            yield node.lineno, f"the body of {node.name} has {size} lines, at most {MAX_BODY}"


def _has_reason(module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    signature = module.lines[max(node.lineno - 2, 0) : node.body[0].lineno - 1]
    return any("# long because " in line for line in signature)


def undocumented(module: Module) -> Iterator[Complaint]:
    """Every module, public class, function and method says what it is for."""
    if ast.get_docstring(module.tree) is None:
        yield 1, "the module has no docstring"
    for node in _public(module.tree):
        if ast.get_docstring(node) is None:
            yield node.lineno, f"{node.name} has no docstring"


def _public(tree: ast.Module | ast.ClassDef) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, *FUNCTIONS)) and not node.name.startswith("_"):
            yield node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public(node)


WRITING = {
    "write_text",
    "write_bytes",
    "mkdir",
    "makedirs",
    "mkdtemp",
    "mkstemp",
    "touch",
    "rename",
    "unlink",
    "symlink_to",
}
OF_THE_KERNEL = {"sysctls.py", "syscalls.py", "guest.py"}
"""Write to /proc, or to the memory of a machine they run in: no disk."""


def writers(module: Module) -> Iterator[Complaint]:
    """All that is written to a disk passes through mcnilib.writing, which proves where it goes."""
    if module.layer == "writing" or (module.layer == "kernel" and module.path.name in OF_THE_KERNEL):
        return
    for node in (node for node in ast.walk(module.tree) if isinstance(node, ast.Call)):
        done = ast.unparse(node.func).split(".")[-1]
        modes = [x.value for x in ast.walk(node) if isinstance(x, ast.Constant) and isinstance(x.value, str)]
        if done in WRITING or (done == "open" and any(re.fullmatch("[rb+t]*[wax+][rb+t]*", mode) for mode in modes)):
            yield node.lineno, f"{done} writes"


@cache
def device_kinds() -> set[str]:
    """Name the kinds of network devices, and the families they belong to."""
    rooms = (module for module in read(ROOT) if module.path.parts[:2] == DEVICES)
    classes = [node for module in rooms for node in module.tree.body if isinstance(node, ast.ClassDef)]
    kinds = {"Kind"}
    while more := {one.name for one in classes if kinds & set(map(ast.unparse, one.bases))} - kinds:
        kinds |= more
    return kinds


DEVICES = ("linux", "device")


def kinds_apart(module: Module) -> Iterator[Complaint]:
    """Outside linux/device nobody asks which kind a device is of: the kind says what is true of it, and its role."""
    for node in ast.walk(module.tree) if module.path.parts[:2] != DEVICES else ():
        asked: list[ast.expr | None] = []
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass")):
                asked += node.args[1:]
            case ast.MatchClass():
                asked += [node.cls]
            case ast.Dict():
                asked += node.keys
            case ast.Compare() if "type(" in ast.unparse(node):
                asked += [node]
        names = {getattr(one, "id", getattr(one, "attr", "")) for part in asked if part for one in ast.walk(part)}
        for name in sorted(names & device_kinds()):
            yield node.lineno, f"tells {name} from other kinds of devices"


CHECKS: list[Check] = [upward, foreign, eager, words, writers, long_file, long_body, undocumented, kinds_apart]


def complaints(root: Path, check: Check) -> list[str]:
    """Run one check over a package; one `file:line: what` for each breach."""
    return [f"{root.name}/{m.path}:{line}: {what}" for m in read(root) for line, what in check(m)]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_house_keeps_its_rules(check):
    assert complaints(ROOT, check) == [], check.__doc__


def test_every_file_belongs_to_a_layer():
    assert {m.layer for m in read(ROOT)} <= set(RANK)


BODY = "\n".join(f"    x{i} = {i}" for i in range(MAX_BODY + 1))
REASON = "# long because the kernel's table is"


@pytest.mark.parametrize(
    ("check", "path", "source", "line"),
    [
        (upward, "linux/a.py", "import os\nfrom mcnilib.trace.run import run\n", 2),
        (upward, "linux/a.py", "from mcnilib import cluster\n", 1),
        (upward, "linux/a.py", "from ..trace import run\n", 1),
        (
            upward,
            "linux/a.py",
            "def f():\n    import mcnilib.show.picture.paint\n",
            2,
        ),  # waiting inside a function is no excuse
        (upward, "linux/a.py", "import_module('mcnilib.cluster.build')\n", 1),
        (upward, "trace/a.py", "from mcnilib import run\n", 1),  # the front door opens on everything
        (upward, "trace/a.py", "import mcnilib\n", 1),
        (upward, "cluster/a.py", "import mcnilib.trace\n", 1),  # same rank: strangers
        (upward, "trace/a.py", "import mcnilib.cluster\n", 1),
        (upward, "scenarios/a.py", "import mcnilib.show\n", 1),
        (upward, "show/a.py", "import mcnilib.kernel\n", 1),
        (upward, "kernel/a.py", "import mcnilib.show\n", 1),
        (upward, "show/a.py", "import mcnilib.cli\n", 1),
        (foreign, "linux/a.py", "import networkx\n", 1),
        (foreign, "linux/a.py", "import attrs\n", 1),
        (foreign, "scenarios/a.py", "\nfrom numpy.linalg import norm\n", 2),
        (foreign, "cli.py", "def f():\n    import matplotlib.figure\n", 2),
        (foreign, "kernel/a.py", "import ipywidgets\n", 1),
        (foreign, "show/a.py", "import subprocess\n", 1),
        (foreign, "site/a.py", "import subprocess\n", 1),
        (upward, "show/a.py", "import mcnilib.site\n", 1),
        (foreign, "trace/a.py", "from socket import AF_INET\n", 1),
        (foreign, "show/a.py", "import ctypes\n", 1),
        (foreign, "cli.py", "import ctypes\n", 1),
        (foreign, "trace/a.py", "from time import monotonic\n", 1),
        (eager, "__init__.py", "from mcnilib.trace.run import run\n", 1),
        (eager, "__init__.py", "from . import errors\n", 1),
        (eager, "cli.py", "import mcnilib.show.picture.svg\n", 1),
        (eager, "cli.py", "from mcnilib.kernel import verify\n", 1),
        (writers, "show/a.py", "x = 1\npath.write_text('x')\n", 2),
        (writers, "snapshots/a.py", "import os\n\nos.mkdir('x')\n", 3),
        (writers, "cli.py", "open(name, 'wb')\n", 1),
        (writers, "kernel/a.py", "path.open(mode='a')\n", 1),
        (words, "linux/a.py", "x = 1\n# as KUBE-FORWARD does\n", 2),
        (words, "trace/a.py", "x = 'cali' + 'Calico'\n", 1),
        (words, "trace/a.py", "spiderpool = None\n", 1),
        (long_file, "linux/a.py", "x = 1\n" * (MAX_FILE + 1), MAX_FILE + 1),
        (long_body, "linux/a.py", f"def f():\n{BODY}\n", 1),
        (long_body, "linux/a.py", f"class C:\n  async def f():\n    'Say.'\n{BODY}\n", 2),
        (long_body, "linux/a.py", f"{REASON}\n\ndef f():\n{BODY}\n", 3),  # the reason stands too far away
        (kinds_apart, "trace/a.py", "x = 1\nisinstance(link.kind, str | Bridge)\n", 2),
        (kinds_apart, "show/a.py", "isinstance(link.kind, (str, vxlan.Vxlan))\n", 1),
        (kinds_apart, "kernel/a.py", "match link.kind:\n    case Macvlan(lower=far):\n        pass\n", 2),
        (kinds_apart, "kernel/a.py", "words = {Veth: 'veth'}\n", 1),
        (kinds_apart, "linux/a.py", "x = type(link.kind) is Loopback\n", 1),
        (undocumented, "linux/a.py", "x = 1\n", 1),
        (undocumented, "linux/a.py", "'Doc.'\n\ndef f(): ...\n", 3),
        (undocumented, "linux/a.py", "'Doc.'\nclass C: ...\n", 2),
        (undocumented, "linux/a.py", "'Doc.'\nclass C:\n    'Doc.'\n    async def f(self): ...\n", 4),
    ],
)
def test_a_planted_breach_is_found(tmp_path, check, path, source, line):
    assert [c.rsplit(": ")[0] for c in _planted(tmp_path, check, path, source)] == [f"mcnilib/{path}:{line}"]


@pytest.mark.parametrize(
    ("check", "path", "source"),
    [
        (upward, "cli.py", "import mcnilib.show, mcnilib.kernel\n"),
        (upward, "scenarios/a.py", "import mcnilib.trace, mcnilib.cluster, mcnilib.linux, mcnilib.errors\n"),
        (upward, "trace/a.py", "from mcnilib import __version__\n"),
        (foreign, "show/a.py", "import matplotlib, networkx, ipywidgets, numpy\n"),
        (foreign, "kernel/a.py", "import subprocess, socket, ctypes, time\n"),
        (foreign, "site/engine.py", "import subprocess\n"),
        (foreign, "linux/a.py", "import ipaddress, re\nfrom mcnilib.errors import McniError\n"),
        (eager, "cli.py", "import mcnilib.scenarios\ndef f():\n    import mcnilib.show\n"),
        (eager, "__init__.py", "from importlib import import_module\n"),
        (writers, "writing.py", "open(name, 'xb')\n"),
        (writers, "snapshots/a.py", "open(name, 'rb')\nos.open(name, os.O_RDONLY)\n"),
        (words, "cluster/a.py", "calico = 'KUBE-FORWARD'\n"),
        (long_file, "linux/a.py", "x = 1\n" * MAX_FILE),
        (long_body, "linux/a.py", f"def f():\n    'Say.'\n{BODY.rpartition(chr(10))[0]}\n"),
        (long_body, "linux/a.py", f"{REASON}\ndef f():\n{BODY}\n"),
        (long_body, "linux/a.py", f"def f(\n  a,\n):  {REASON}\n{BODY}\n"),
        (kinds_apart, "linux/device/a.py", "isinstance(link.kind, Veth)\n"),
        (kinds_apart, "trace/a.py", "x = Veth(peer) if kind == Bridge() else isinstance(kind, str)\n"),
        (undocumented, "linux/a.py", "'Doc.'\ndef _f(): ...\nclass _C:\n    def f(self): ...\n"),
    ],
)
def test_what_is_allowed_passes(tmp_path, check, path, source):
    assert _planted(tmp_path, check, path, source) == []


def defined(module: Module) -> Iterator[str]:
    """List the public names a module binds at its top: classes, functions, constants; not what it imports."""
    for node in module.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = [node.name] if isinstance(node, (ast.ClassDef, *FUNCTIONS)) else []
        names += [one.id for target in targets if target for one in ast.walk(target) if isinstance(one, ast.Name)]
        yield from (name for name in names if not name.startswith("_"))


def twice(house: list[Module]) -> set[str]:
    """A public name is defined in one module: who reads it knows which is meant."""
    counted = Counter(name for module in house for name in dict.fromkeys(defined(module)))
    return {name for name, number in counted.items() if number > 1} - set(debts.OF_EACH)


def links(house: list[Module]) -> dict[str, set[str]]:
    """Return for each module those of ours it imports, also inside functions and for their types alone."""
    names = {module.name for module in house}
    found: dict[str, set[str]] = {name: set() for name in names}
    for module in house:
        for one in imports(module):
            longest = one.name
            while longest and longest not in names:
                longest = longest.rpartition(".")[0]
            found[module.name] |= {longest} - {"", module.name}
    return found


def small_for_one(house: list[Module]) -> set[str]:
    """A file exists because it is a concept, not because another became too long: a short one has several users.

    One that names its `Source:` is the concept of that source, and the `__init__` of a room with files is its door.
    """
    users = Counter(used for own in links(house).values() for used in own)
    doors = {parent.name for module in house for parent in house if module.name.startswith(f"{parent.name}.")}
    return {
        module.name
        for module in house
        if len(module.lines) < SMALL and users[module.name] == 1 and module.name not in doors
        if "Source: " not in (ast.get_docstring(module.tree) or "")
    }


def crowded(house: list[Module]) -> set[str]:
    """A room is overlooked at a glance: it has at most 12 files."""
    files = Counter(_room(module) for module in house)
    return {room for room, number in files.items() if number > MAX_ROOM}


def _room(module: Module) -> str:
    return ".".join(("mcnilib", *module.path.parts[:-1]))


def circles(house: list[Module]) -> set[frozenset[str]]:
    """Modules do not import one another in a circle, not even for their types: one can be understood before the other."""
    users = links(house)
    reached = {name: _reached(users, name) for name in users}
    return {frozenset({one for one in reached[name] if name in reached[one]}) for name in users} - {frozenset()}


def _reached(users: dict[str, set[str]], start: str) -> set[str]:
    done: set[str] = set()
    waiting = [start]
    while waiting:
        new = users[waiting.pop()] - done
        done |= new
        waiting += new
    return done


def floors(house: list[Module]) -> dict[str, int]:
    """Modules of linux/ stand on few floors: one stands above all it imports, so one is understood after a few others."""
    used = {
        name: {lower for lower in own if lower.startswith("mcnilib.linux.")}
        for name, own in links([module for module in house if module.path.name != "__init__.py"]).items()
        if name.startswith("mcnilib.linux.")
    }
    done: dict[str, int] = {}
    while ready := [name for name, own in used.items() if name not in done and own <= done.keys()]:
        done |= {name: 1 + max((done[lower] for lower in used[name]), default=0) for name in ready}
    return done


def too_high(house: list[Module]) -> set[str]:
    """Modules of linux/ import one another on at most 8 floors."""
    return {f"{floor} {name}" for name, floor in floors(house).items() if floor > MAX_FLOORS}


HouseCheck = Callable[[list[Module]], Iterable[object]]
OWED: list[tuple[HouseCheck, Iterable[object]]] = [
    (twice, debts.TWICE),
    (small_for_one, debts.SMALL_FOR_ONE),
    (crowded, debts.CROWDED),
    (circles, map(frozenset, debts.CIRCLES)),
    (too_high, ()),
]


@pytest.mark.parametrize(
    ("check", "owed"), [(check, set(owed)) for check, owed in OWED], ids=lambda x: getattr(x, "__name__", "")
)
def test_the_house_owes_no_more_than_it_did(check, owed):
    found = set(check(read(ROOT)))
    assert found <= owed, f"{check.__doc__} New, of {len(found)}:\n{_lines(found - owed)}"
    assert owed <= found, f"Take what is no longer true out of house_debts.py:\n{_lines(owed - found)}"


def _lines(owed: Iterable[object]) -> str:
    return "\n".join(sorted(map(_line, owed)))


def _line(debt: object) -> str:
    """Name a debt; where it is a name, with the modules that define it."""
    if isinstance(debt, frozenset):
        return " ".join(sorted(debt))
    return " ".join([str(debt), *(module.name for module in read(ROOT) if debt in defined(module))])


def test_the_debts_are_listed_once_and_bounded():
    assert len(debts.TWICE) == len(set(debts.TWICE))
    files = Counter(map(_room, read(ROOT)))
    assert {room: files[room] for room, bound in debts.CROWDED.items() if files[room] > bound} == {}


@pytest.mark.parametrize("name", debts.OF_EACH)
def test_a_name_of_each_is_defined_by_several(name):
    assert sum(name in defined(module) for module in read(ROOT)) > 1


STAIRS = {f"linux/f{i}.py": f"def f():\n    import mcnilib.linux.f{i + 1}\n" for i in range(MAX_FLOORS + 1)}
"""Each stands on the next one, and all but the last import it only when called."""


@pytest.mark.parametrize(
    ("check", "files", "found"),
    [
        (twice, {"a.py": "class Place: ...\n", "b.py": "Place = 1\n"}, {"Place"}),
        (twice, {"a.py": "def run(): ...\n", "b.py": "run: int = 1\n"}, {"run"}),
        (twice, {"a.py": "A, B = 1, 2\n", "b.py": "async def B(): ...\n"}, {"B"}),
        (twice, {"a.py": "_A = 1\nA = 2\nA = 3\n", "b.py": "_A = 1\nfrom mcnilib.a import A\ndef f(A): A = 1\n"}, set()),
        (small_for_one, {"a.py": "x = 1\n", "b.py": "import mcnilib.a\n"}, {"mcnilib.a"}),
        (small_for_one, {"r/__init__.py": "x = 1\n", "b.py": "from mcnilib.r import x\n"}, {"mcnilib.r"}),
        (small_for_one, {"r/__init__.py": "x = 1\n", "r/a.py": "", "b.py": "from mcnilib.r import x\n"}, set()),
        (small_for_one, {"a.py": "'Say. Source: x.c'\n", "b.py": "import mcnilib.a\n"}, set()),
        (small_for_one, {"a.py": "x = 'Source: x.c'\n", "b.py": "import mcnilib.a\n"}, {"mcnilib.a"}),
        (small_for_one, {"a.py": "x = 1\n" * (SMALL - 1), "b.py": "def f():\n    import mcnilib.a\n"}, {"mcnilib.a"}),
        (small_for_one, {"a.py": "x = 1\n" * SMALL, "b.py": "import mcnilib.a\n"}, set()),
        (small_for_one, {"a.py": "", "b.py": "import mcnilib.a\n", "c.py": "from mcnilib import a\n"}, set()),
        (crowded, {f"r/{i}.py": "" for i in range(MAX_ROOM + 1)}, {"mcnilib.r"}),
        (crowded, {f"r/{i}.py": "" for i in range(MAX_ROOM)} | {"r/s/a.py": ""}, set()),
        (circles, {"a.py": "import mcnilib.b\n", "b.py": "from mcnilib.a import x\n"}, {frozenset({"mcnilib.a", "mcnilib.b"})}),
        (circles, {"a.py": "if TYPE_CHECKING:\n    from mcnilib.b import B\n", "b.py": "from mcnilib import c\n", "c.py": "def f():\n    import mcnilib.a\n", "d.py": "import mcnilib.a\n"}, {frozenset({"mcnilib.a", "mcnilib.b", "mcnilib.c"})}),
        (circles, {"a.py": "import mcnilib.b\n", "b.py": "import mcnilib.c\n", "c.py": ""}, set()),
        (too_high, STAIRS, {"9 mcnilib.linux.f0"}),
        (too_high, {path: text for path, text in STAIRS.items() if path != "linux/f4.py"}, set()),
    ],
)  # fmt: skip
def test_a_planted_debt_is_found(tmp_path, check, files, found):
    for path, source in files.items():
        _plant(tmp_path, path, source)
    assert check(read(tmp_path / "mcnilib")) == found


def _planted(tmp_path: Path, check: Check, path: str, source: str) -> list[str]:
    _plant(tmp_path, path, source)
    return complaints(tmp_path / "mcnilib", check)


def _plant(tmp_path: Path, path: str, source: str) -> None:
    file = tmp_path / "mcnilib" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source, encoding="utf-8")
