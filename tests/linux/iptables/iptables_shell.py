"""iptables on the real kernel: rules loaded into a namespace of their own, and what iptables-save says of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache

import pytest
from ip_shell import prefix

VERSION = "v1.8.9 (nf_tables)"
"""The release whose output the model follows to the letter."""

LOADER = """
import json, re, subprocess, sys

def call(*words, text=""):
    return subprocess.run(words, input=text, capture_output=True, text=True)

def clean(text):
    lines = (line for line in text.splitlines(True) if not line.startswith("#"))
    return re.sub(r"\\[[0-9]+:[0-9]+\\]", "[0:0]", "".join(lines))

given = json.load(sys.stdin)
call("ipset", "restore", text=given["sets"])
answers = []
for text in given["texts"]:
    done = call("iptables-nft-restore", text=text)
    if done.returncode:
        answers.append([False, done.stderr])
    else:
        answers.append([True, clean(call("iptables-nft-save").stdout)])
    call("nft", "flush", "ruleset")
json.dump(answers, sys.stdout)
"""


@lru_cache
def tools() -> None:
    """Skip the test where the tools are missing, or print otherwise than the model."""
    missing = [tool for tool in ("iptables-nft-restore", "nft", "ipset") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    version = subprocess.run(["iptables-nft-save", "--version"], capture_output=True, text=True, check=True).stdout
    if VERSION not in version:
        pytest.skip(f"the text of {version.strip()} may differ from that of {VERSION}")


def in_namespace(script: str, given: object) -> object:
    """Run a Python script in a fresh network namespace; it reads JSON and writes JSON."""
    tools()
    argv = [*prefix(), sys.executable, "-c", script]
    done = subprocess.run(argv, input=json.dumps(given), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def load(texts: Iterable[str], sets: str = "") -> Sequence[tuple[bool, str]]:
    """Load each text into empty tables: (accepted, what iptables-save prints then, or the tool's complaint)."""
    return in_namespace(LOADER, {"texts": list(texts), "sets": sets})  # type: ignore[return-value]
