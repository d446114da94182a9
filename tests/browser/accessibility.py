"""axe-core, which finds what keeps people out of a page; npm brings it, at a version and checksum."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

AXE, AXE_SHA256 = "axe-core@4.14.1", "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
FAULTS = """async () => (await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }))
  .violations.flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.html}`))"""
"""Says what is wrong. Source: the rules of axe-core for WCAG 2.1 A and AA."""


def axe_script(folder: Path) -> str:
    """Return the script, brought into a folder; the test is skipped where there is no npm, or npm brings nothing."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm, which brings axe-core: apt install npm")
    done = subprocess.run(["npm", "pack", AXE, "--silent"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm brings no axe-core: {done.stderr.strip()}")
    with tarfile.open(folder / done.stdout.split()[-1]) as package:
        script = package.extractfile("package/axe.min.js").read()
    assert hashlib.sha256(script).hexdigest() == AXE_SHA256
    return script.decode()
