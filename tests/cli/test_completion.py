"""Completion of shells: derived from the command line, so that nothing can be forgotten; tried in a real bash."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from mcnilib.cli import main
from mcnilib.cli.completion import SHELLS


def described(capsys) -> dict[str, dict[str, object]]:
    """Return what may follow which verb."""
    assert main(["completion", "bash", "--json"]) == 0
    found: dict[str, dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_every_verb_prints_json(capsys) -> None:
    verbs = described(capsys)
    assert {
        "list",
        "run",
        "state",
        "trace",
        "collect",
        "merge",
        "save",
        "verify",
        "fuzz",
        "clean",
        "completion",
    } <= set(verbs)
    assert [name for name, one in verbs.items() if "--json" not in one["options"]] == []


@pytest.mark.parametrize("shell", SHELLS)
def test_every_verb_and_option_is_completed(capsys, shell: str) -> None:
    verbs = described(capsys)
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for name, one in verbs.items():
        assert name in script
        assert [flag for flag in one["options"] if flag.lstrip("-") not in script] == []
    assert "macvlan-to-calico-across-nodes" in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["mcni", "tr"], ["trace"]),
        (["mcni", "trace", "--fr"], ["--from"]),
        (["mcni", "run", "macvlan-to-calico-s"], ["macvlan-to-calico-same-node"]),
        (["mcni", "trace", "--depth", ""], ["outcome", "hops", "decisions"]),
        (["mcni", "completion", "f"], ["fish"]),
        (["mcni", "run", "--be-liberal", ""], ["0", "1"]),
    ],
    ids=lambda words: " ".join(words),
)
def test_bash_completes(capsys, words: list[str], expected: list[str]) -> None:
    main(["completion", "bash"])
    script = capsys.readouterr().out
    line = " ".join(f"'{word}'" for word in words)
    probe = f'{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _mcni; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == expected
