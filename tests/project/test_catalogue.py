"""Every sentence a reader sees goes through the catalogue: what does not is found here, and the template is current.

A sentence is a literal or f-string with three words or more. It belongs into `tr`, `trn` or `mark` (mcnilib/language.py),
unless it is the machine's own language (what `ip`, `iptables` or `sysctl` read and print), a docstring, or the message
of an `assert`. Modules that were not converted yet are listed in `UNTRANSLATED`; that list only becomes shorter.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import house_debts as debts
import pytest

from mcnilib.catalogue import EXPECTED_BY, SAID_BY, TEMPLATE, notebook_sentences, template
from mcnilib.language import IN_TEMPLATE

ROOT = Path(__file__).resolve().parents[2] / "mcnilib"
SAYS = {*SAID_BY, *EXPECTED_BY}
WORD = re.compile(r"[A-Za-z]+(?:['’][a-z]+)?")
MACHINE = re.compile(
    r"\s*(?:\(\?|-[AImjtsdpP] |--?[a-z]+|:[A-Z]|\*|#|<|/"  # rules, options, comments, markup, paths
    r"|\.mcni|@media|\"\"\"|NETNS: |_+[a-z]+|patch |Bitstream "  # style sheets, code, fields of kubectl, fonts
    r"|(?:ip|iptables|ip6tables|conntrack|sysctl|nft|ss|ipset|bridge|kubectl|tc|ping|mcni|uv|pip|inet|link(?:/\S+)?|default"
    r"|wg|tuntap|meta|reject|set|{} via|via {}|{} dev|[0-9]+:\tfrom|family|blackhole|autoload|nexthop|unreachable|grep|readlink|sh|Netid|nsid|@|CLOSED|type|group|table|from|state|mode|proto|scope) )"
)
"""How a text begins that is a machine's: rules, commands, lines of `ip`, patterns, markup."""
COMMENTS = {"NodeLocal DNS Cache", "kubernetes firewall for dropping marked packets"}
"""Comments that programs write into their rules."""
MACHINES: dict[str, str] = {
    "repair/howto.py": r"\{\} -o yaml \| sed ",  # a command
    "cluster/cni/calico/felix.py": r"IPv4 VXLAN |IPIP packets |Allow |encapped |Return if |Drop if ",  # its comments
    "cluster/cni/calico/static.py": r"Host endpoint policy accepted |Policy explicitly ",  # comments of Felix
    "cluster/kube_proxy/legacy.py": r"Balancing rule | to service chain",  # comments of kube-proxy
    "cluster/kube_proxy/services.py": r"(\S+ -m comment )?(kubernetes |masquerade |route |pod |other |\{\} )",  # the same
    "cluster/kube_proxy/view.py": r"\{\} has no local endpoints",  # the same
    "cluster/kube_proxy/modes.py": r"this is what \S+ prints\|",  # a pattern
    "linux/device/bridge.py": r"\s+priority cost ",  # words of `ip -d link`
    "linux/device/macvlan.py": r"bcqueuelen ",  # the same
    "linux/device/link.py": r"\{\}: \{\}: <\{\}> mtu |brd peer ",  # the same
    "linux/device/tunnel/ipip.py": r"encap encap-sport |\{\} iseq ",  # the same
    "linux/device/base.py": r"\s+promiscuity ",  # the same
    "linux/netfilter/conntrack.py": r"outer daddr ",  # what conntrack logs of packets that it finds INVALID
    "linux/netfilter/conntrack_tcp.py": r"(SEQ|ACK) is |ignored ACK |packet \(|invalid tcp |\{\} bytes more |([A-Z2]{2} ){9}|FIN ACK ",
    "linux/netfilter/iptables/save.py": r"IP Virtual Server ",  # how `ipvsadm` begins
    "linux/packet.py": r"\s1 icmp ",  # protocols(5)
}
"""How texts begin that are a machine's in one module, where others may be sentences."""
EXEMPT: dict[str, str] = {
    "cluster/kube_proxy/ipvs.py": "comments of sets and rules, in kube-proxy's words",
    "__init__.py": "an AttributeError is for programmers, and the catalogue is not loaded for it",
    "cli/record.py": "only maintainers renew what the repository has recorded",
    "cluster/cni/calico/policy.py": "comments that Felix writes into its chains, and what it hashes",
    "cluster/kube_proxy/nftables.py": "the words of nft, and comments that kube-proxy writes into its table",
    "cluster/cni/calico/nftables.py": "the words of nft, as Felix spells them and as the tool prints them",
    "linux/device/master.py": "names of the fields of `ip -d link`",
    "linux/device/l3/kinds.py": "names of the fields of `ip -d link`",
    "kernel/fuzz/": "only maintainers search for disagreements with the kernel",
    "kernel/lab/": "what the lab cannot do is told to maintainers",
    "kernel/observe/": "how the kernel is read is told to maintainers",
    "kernel/compare/compare.py": "the names of differences are kept in the record",
    "kernel/compare/normalise.py": "the names of differences are kept in the record",
}
"""Rooms and modules whose texts no reader of another language sees, and why."""


def sentences(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """List the sentences outside of the catalogue: line, text; values in braces."""
    passed = {id(inner) for node in ast.walk(tree) for outer in _passed(node) for inner in ast.walk(outer)}
    for node in ast.walk(tree):
        if id(node) not in passed and isinstance(node, (ast.Constant, ast.JoinedStr)):
            text = _text(node)
            words = [word for word in re.split(r"[\s/]+", text) if WORD.fullmatch(word.strip("`.,;:()?!\"'"))]
            if len(words) >= 3 and " " in text.strip() and not MACHINE.match(text) and text not in COMMENTS:
                yield node.lineno, text


def _passed(node: ast.AST) -> Iterator[ast.AST]:
    """List what below this node is no sentence outside: what the catalogue has, docstrings, parts of f-strings."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in SAYS:
        yield from (argument for argument in node.args if isinstance(argument, ast.Constant))
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "re.compile":
        yield node.args[0]
    elif isinstance(node, ast.Assert) and node.msg:
        yield node.msg
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield from (part for part in node.values if isinstance(part, ast.Constant))


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def outside(root: Path) -> dict[str, list[tuple[int, str]]]:
    """Return the sentences outside of the catalogue of each module that has some."""
    files = {file.relative_to(root).as_posix(): file for file in sorted(root.rglob("*.py"))}
    found = {name: list(sentences(ast.parse(file.read_text(encoding="utf-8")))) for name, file in files.items()}
    said = {name: [line for line in lines if not is_machines(name, line[1])] for name, lines in found.items()}
    return {name: lines for name, lines in said.items() if lines}


def is_machines(name: str, text: str) -> bool:
    return name in MACHINES and re.match(MACHINES[name], text) is not None


def complaint(name: str, lines: list[tuple[int, str]]) -> str:
    """Say where the sentences of a module are."""
    return "\n".join(f"mcnilib/{name}:{line}: {text!r}" for line, text in lines)


def is_exempt(name: str) -> bool:
    return any(name == room or (room.endswith("/") and name.startswith(room)) for room in EXEMPT)


def test_every_sentence_goes_through_the_catalogue() -> None:
    found = {name: lines for name, lines in outside(ROOT).items() if not is_exempt(name)}
    new = [complaint(name, lines) for name, lines in found.items() if name not in debts.UNTRANSLATED]
    assert not new, f"Say it with tr(...) or mark(...), or the module's reason in EXEMPT:\n{chr(10).join(new)}"
    done = sorted(debts.UNTRANSLATED - set(found))
    assert not done, f"Take what is converted out of house_debts.UNTRANSLATED:\n{chr(10).join(done)}"


@pytest.mark.parametrize("room", EXEMPT)
def test_an_exemption_has_something_to_exempt(room: str) -> None:
    assert (ROOT / room).exists()
    assert any(name.startswith(room) for name in outside(ROOT))


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_says_something_there(name: str) -> None:
    found = [text for _, text in sentences(ast.parse((ROOT / name).read_text(encoding="utf-8")))]
    assert any(is_machines(name, text) for text in found), name


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = 'the packet is lost'", ["the packet is lost"]),
        ("x = f'{netns} has no route'", ["{} has no route"]),
        ("def f():\n    raise McniError(f'there is no {name}, or two')", ["there is no {}, or two"]),
        ("x = tr('a {kind} is lost', kind='packet of this flow')", ["packet of this flow"]),  # a value is none of it
        ("x = tr(f'the {packet} is lost')", ["the {} is lost"]),  # nobody can look that up
        ("x = tr('the packet is lost'); y = trn('one rule is new', 'many rules are new', 2)", []),
        ("x = language.mark('the packet is lost')", []),
        ("def f():\n    'Say what is lost.'\n    assert x, 'or it is lost'", []),
        ("x = 1\n'What is lost here.'", []),
        ("x = f'-A {chain} -m comment --comment x -j DROP'; y = 'ip route show table 100'", []),
        ("x = re.compile('not dev with x'); y = f'{ip} dev {dev} scope link'", []),
        ("x = ['two words', 'ETIMEDOUT', 'net.ipv4.ip_forward']", []),
    ],
)
def test_a_planted_sentence_is_found(source: str, found: list[str]) -> None:
    assert [text for _, text in sentences(ast.parse(source))] == found


def test_what_the_catalogue_is_asked_for_is_written_there() -> None:
    """What is looked up is a literal, which extraction finds, or the name of a text that is marked where it is held."""
    for file in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("trn", "mark"):
                texts = node.args[: 2 if ast.unparse(node.func) == "trn" else 1]
                assert all(isinstance(text, ast.Constant) for text in texts), f"{file}:{node.lineno}"


STRING = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`""", re.DOTALL)
"""A comment or a string of a script."""
FOR_THE_BROWSER = re.compile(
    r"(?:\b(?:querySelector|querySelectorAll|closest|matches|matchMedia)(?:\?\.)?\(|\bclassName: )$"
)
"""What stands in front of a selector or the names of classes."""
CODE = re.compile(r"\s*import |import\.meta|mcni-snapshot ")
"""How the Python and the snapshots begin that a script holds."""
ATTRIBUTE = re.compile(r"""\b(?:alt|title|aria-label)="([^"]*)\"""")


def said_by_script(source: str) -> Iterator[str]:
    """List the strings of a script outside of `tr` and `mark` that have two words beside each other, without tags and
    values."""
    for string in STRING.finditer(source):
        before = source[max(0, string.start() - 40) : string.start()]
        if string[0].startswith("/") or re.search(r"\b(?:tr|mark)\($", before) or FOR_THE_BROWSER.search(before):
            continue
        text = string[0][1:-1].encode().decode("unicode_escape") if "\\" in string[0] else string[0][1:-1]
        if CODE.match(text):
            continue
        yield from _two_words(re.sub(r"\$\{[^}]*\}?|<[^>]*>", "|", text), [*ATTRIBUTE.findall(text)])


def said_by_template(source: str) -> Iterator[str]:
    """List the texts of a template outside of `[[` and `]]`; commands are its code."""
    plain = IN_TEMPLATE.sub("|", source)
    plain = re.sub(r"<(script|style|code|pre)\b.*?</\1>|<!--.*?-->", "|", plain, flags=re.DOTALL)
    yield from _two_words(re.sub(r"<[^>]*>", "|", plain), ATTRIBUTE.findall(plain))


def _two_words(text: str, attributes: list[str]) -> Iterator[str]:
    for part in (*text.split("|"), *attributes):
        if re.search(r"[A-Za-z]{2,},? [A-Za-z]{2,}", part) and "$" not in part:
            yield part.strip()


@pytest.mark.parametrize("name", sorted(file.relative_to(ROOT).as_posix() for file in ROOT.rglob("*.js")))
def test_every_sentence_of_a_script_goes_through_the_catalogue(name: str) -> None:
    assert [*said_by_script((ROOT / name).read_text(encoding="utf-8"))] == [], "say it with tr(...)"


@pytest.mark.parametrize("name", sorted(file.relative_to(ROOT).as_posix() for file in ROOT.rglob("*.html")))
def test_every_sentence_of_a_template_goes_through_the_catalogue(name: str) -> None:
    assert [*said_by_template((ROOT / name).read_text(encoding="utf-8"))] == [], "put it between [[ and ]]"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('at.textContent = "It is lost.";', ["It is lost."]),
        ("throw new Error('no packet');", ["no packet"]),
        ("at.innerHTML = `<p>It ends ${how}</p>`;", ["It ends"]),
        ('at.innerHTML = `<div title="the picture"></div>`;', ["the picture"]),
        ('say(tr("It is lost."), mark("It is"), tr(`of ${x}`));', []),
        ('at.querySelector("tbody tr"); at.closest(".a .b"); // It is a comment\n', []),
        ('make({ className: "one two" }); const x = "two_words", y = "a/b c";', []),
        ('at.innerHTML = `<p class="one two" title="${tr("the picture")}">${tr("It ends")}</p>`;', []),
    ],
)
def test_a_sentence_planted_in_a_script_is_found(source: str, found: list[str]) -> None:
    assert [*said_by_script(source)] == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>Drop it here</p>", ["Drop it here"]),
        ('<p title="The picture">[[Drop it here]]</p>', ["The picture"]),
        ("<p>[[Drop it here]] $depths</p><code>mcni run 7</code>", []),
    ],
)
def test_a_sentence_planted_in_a_template_is_found(source: str, found: list[str]) -> None:
    assert [*said_by_template(source)] == found


def test_the_template_is_current() -> None:
    assert (ROOT / TEMPLATE).read_text(encoding="utf-8") == template(ROOT), "mcni record catalogue"


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("x = tr('a {kind} is lost', kind=kind)", "#: mcnilib/a.py\n#, python-brace-format\nmsgid \"a {kind} is lost\"\nmsgstr \"\"\n"),
        ("x = mark('a packet '\n  'is lost')", '#: mcnilib/a.py\nmsgid "a packet is lost"\nmsgstr ""\n'),
        ("x = words.take('a device')", 'msgid "a device"\nmsgstr ""\n'),
        ("x = words.as_number(word, 'a port', 1, 65535)", 'msgid "a port"\nmsgstr ""\n'),
        ("x = trn('{count} rule', '{count} rules', 2)", 'msgid "{count} rule"\nmsgid_plural "{count} rules"\nmsgstr[0] ""\nmsgstr[1] ""\n'),
    ],
)  # fmt: skip
def test_the_template_has_what_a_translator_needs(tmp_path: Path, text: str, entry: str) -> None:
    (tmp_path / "mcnilib").mkdir()
    (tmp_path / "mcnilib" / "a.py").write_text(f"# one\n{text}\n", encoding="utf-8")
    made = template(tmp_path / "mcnilib")
    assert entry in made
    (tmp_path / "mcnilib" / "a.py").write_text(f"\n\n{text}\n", encoding="utf-8")
    assert template(tmp_path / "mcnilib") == made, "no line numbers, no date: an edit elsewhere changes nothing"


def test_the_template_has_what_is_said_outside_of_python(tmp_path: Path) -> None:
    (tmp_path / "mcnilib").mkdir()
    (tmp_path / "mcnilib" / "a.js").write_text('say(tr("Reading {size} …", { size }));', encoding="utf-8")
    (tmp_path / "mcnilib" / "a.html").write_text("<p>[[Drop it here]]</p>", encoding="utf-8")
    (tmp_path / "mcnilib" / "a.toml").write_text('[[exercise]]\ntask = "Mend it."\nhint = ""\n', encoding="utf-8")
    made = template(tmp_path / "mcnilib")
    assert all(f'msgid "{text}"' in made for text in ("Reading {size} …", "Drop it here", "Mend it."))


def test_the_template_has_the_predictions_of_notebooks() -> None:
    code = "predict('Where?', {'here': 1, 'there': 2}, lambda: 1, responses=('It is.', 'No.'))\npredict(question)"
    cell = {"cell_type": "code", "source": code.splitlines(keepends=True)}
    assert [*notebook_sentences(json.dumps({"cells": [cell]}))] == ["Where?", "here", "there", "It is.", "No."]
