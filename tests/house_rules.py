"""The rules of the house that a syntax tree can tell: who may import whom, what is documented, how long things are.

Each rule is a function from one `Module` to its complaints, `RULES` lists them, and `complaints` runs them over a tree
of files. A complaint reads `path:line: what is wrong`, so that an editor can jump to it. Not here: formatting and types,
which ruff and mypy check. Read next: test_layers.py, where every rule is seen failing once.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "mcnilib"
LAYERS = {
    "errors": 0,
    "linux": 1,
    "cluster": 2,
    "trace": 2,
    "scenarios": 3,
    "show": 4,
    "kernel": 4,
    "cli": 5,
    "__main__": 6,
}
"""Imports go from a higher number to a lower one or stay inside a layer; layers of one number do not know each other."""

LAZY = ("show", "kernel", "cli")
"""What `import mcnilib` itself must not load; `__getattr__` may, when a name is asked for."""

OUTSIDE = {"show": {"matplotlib", "networkx", "ipywidgets", "IPython"}, "kernel": {"pyroute2"}}
"""Imports from outside the standard library, by the only layer that may have them."""

PROCESSES = {"subprocess", "socket", "socketserver", "multiprocessing", "pty", "ctypes", "fcntl", "asyncio"}
"""Standard modules that start processes or open devices: for `kernel` alone."""

PROCESS_CALLS = re.compile(r"os\.(system|popen|fork\w*|exec\w+|spawn\w+|posix_spawn\w*|kill\w*|setns|unshare|wait\w*)")
FOREIGN_WORDS = re.compile(r"calico|kube|spiderpool", re.IGNORECASE)
WORDLESS = ("linux", "trace")
"""Layers that describe Linux only: the words above do not stand there, not even in a comment."""

FILE_LINES, BODY_LINES = 300, 25
EXCUSE = "# long because "

Function = ast.FunctionDef | ast.AsyncFunctionDef
Complaint = tuple[int, str]


@dataclass(frozen=True)
class Module:
    """One source file, its path relative to the folder that holds the package."""

    path: Path
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, str(self.path))

    @cached_property
    def lines(self) -> list[str]:
        return self.source.splitlines()

    @property
    def layer(self) -> str:
        """The name under `mcnilib`: a folder's or a file's; the package's own `__init__` has the empty name."""
        name = self.path.with_suffix("").parts[1]
        return "" if name == "__init__" else name

    @cached_property
    def imports(self) -> list[tuple[int, str, bool]]:
        """Every import as line, dotted name, and whether it runs when the module is loaded."""
        inner = {id(node) for function in self.functions for node in ast.walk(function)}
        return [(node.lineno, name, id(node) not in inner) for node, name in self._imported()]

    @cached_property
    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    def _imported(self) -> Iterator[tuple[ast.stmt, str]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                source = self._absolute(node)
                names = [f"{source}.{alias.name}" for alias in node.names] if source == PACKAGE else [source]
                yield from ((node, name) for name in names)

    def _absolute(self, node: ast.ImportFrom) -> str:
        package = self.path.with_suffix("").parts[: -node.level] if node.level else ()
        return ".".join([*package, *([node.module] if node.module else [])])


def known_layer(module: Module) -> Iterator[Complaint]:
    """A file of the package stands in a layer that LAYERS knows."""
    if module.layer and module.layer not in LAYERS:
        yield 1, f"{module.layer} is no layer; the layers are {', '.join(LAYERS)}"


def downward(module: Module) -> Iterator[Complaint]:
    """Imports inside the package point downwards."""
    for line, name, at_load in module.imports:
        parts = name.split(".")
        target = parts[1] if parts[0] == PACKAGE and len(parts) > 1 else None
        if target not in LAYERS or target == module.layer:
            continue
        if not module.layer:
            if at_load and target in LAZY:
                yield line, f"import {PACKAGE} loads {target}"
        elif LAYERS[target] >= LAYERS.get(module.layer, 0):
            yield line, f"{module.layer} imports {target}"


def outside(module: Module) -> Iterator[Complaint]:
    """Only `show` and `kernel` import something that the standard library has not."""
    allowed = OUTSIDE.get(module.layer, set())
    for line, name, _ in module.imports:
        top = name.split(".")[0]
        if top != PACKAGE and top not in sys.stdlib_module_names and top not in allowed:
            yield line, f"{module.layer or PACKAGE} imports {top}"


def processes(module: Module) -> Iterator[Complaint]:
    """Only `kernel` starts processes or opens sockets."""
    if module.layer == "kernel":
        return
    for line, name, _ in module.imports:
        if name.split(".")[0] in PROCESSES:
            yield line, f"{module.layer or PACKAGE} imports {name}, which is for kernel alone"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and PROCESS_CALLS.fullmatch(ast.unparse(node)):
            yield node.lineno, f"{module.layer or PACKAGE} uses {ast.unparse(node)}, which is for kernel alone"


def words(module: Module) -> Iterator[Complaint]:
    """The layers that describe Linux name no component of a cluster."""
    if module.layer in WORDLESS:
        for number, line in enumerate(module.lines, start=1):
            if word := FOREIGN_WORDS.search(line):
                yield number, f"the word {word[0]!r} has no place in {module.layer}"


def documented(module: Module) -> Iterator[Complaint]:
    """Every module, and every public function and class at its top level, has a docstring."""
    if not ast.get_docstring(module.tree):
        yield 1, "the module has no docstring"
    for node in module.tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_") and not ast.get_docstring(node):
            yield node.lineno, f"{node.name} has no docstring"


def short_file(module: Module) -> Iterator[Complaint]:
    """A file is read in one sitting."""
    if len(module.lines) > FILE_LINES:
        yield FILE_LINES + 1, f"the file has {len(module.lines)} lines, {FILE_LINES} at most"


def short_functions(module: Module) -> Iterator[Complaint]:
    """A function body fits one glance, its docstring not counted, unless a comment says why not."""
    for function in module.functions:
        length = body_lines(function)
        if length > BODY_LINES and not excused(module, function):
            yield (
                function.lineno,
                f"the body of {function.name} has {length} lines, {BODY_LINES} at most without a reason",
            )


def body_lines(function: Function) -> int:
    """Count the lines of a function from its first statement to its last, the docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def excused(module: Module, function: Function) -> bool:
    """Tell whether `# long because ...` stands in the function's head or on the line above it."""
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
    return any(EXCUSE in line for line in module.lines[max(first - 2, 0) : function.body[0].lineno - 1])


RULES = (known_layer, downward, outside, processes, words, documented, short_file, short_functions)


def complaints(root: Path) -> list[str]:
    """Read every module of the package under `root` and list what breaks a rule, as `path:line: what`."""
    found: list[str] = []
    for path in sorted((root / PACKAGE).rglob("*.py")):
        module = Module(path.relative_to(root), path.read_text(encoding="utf-8"))
        found += [f"{module.path}:{line}: {what}" for rule in RULES for line, what in rule(module)]
    return found
