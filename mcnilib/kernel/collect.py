"""The state of this machine's network namespaces, gathered with the script that also runs on a node."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable

from mcnilib.errors import McniError

WITHIN = 300.0
"""Seconds the script may take."""


class CollectError(McniError, OSError):
    """This machine's state cannot be read."""


def collect(script: str, only: Iterable[str] = (), *, connections: bool = False) -> bytes:
    """Run the script as root and return what it printed. `only` names the network namespaces to take.

    Raises: CollectError without root, or when the script fails.
    """
    if os.geteuid() != 0:
        raise CollectError("reading the network namespaces of this machine takes root: sudo mcni collect ...")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MCNI_")}
    chosen = {"MCNI_ONLY": " ".join(only), "MCNI_CONNECTIONS": "1" if connections else ""}
    words = ["sh", "-s"]
    try:
        done = subprocess.run(
            words, input=script.encode(), env=kept | chosen, capture_output=True, timeout=WITHIN, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise CollectError(f"the script did not run: {problem}") from None
    if done.returncode:
        raise CollectError(f"the script failed: {done.stderr.decode(errors='replace').strip()[:500]}")
    return done.stdout
