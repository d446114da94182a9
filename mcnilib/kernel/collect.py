"""The state of this machine's network namespaces, gathered with the script that also runs on a node."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping

from mcnilib.errors import McniError
from mcnilib.kernel.lab.devices import SWITCH
from mcnilib.kernel.lab.lab import Lab
from mcnilib.language import tr
from mcnilib.world.world import World

WITHIN = 300.0
"""Seconds the script may take."""


class CollectError(McniError, OSError):
    """This machine's state cannot be read."""


def collect_world(lab: Lab, world: World, script: str) -> bytes:
    """Turn the lab into the world and gather it as a machine's namespaces; the switch stays what nobody collects."""
    lab.realise(world)
    return collect(script, at={name: path for name, path in lab.places().items() if name != SWITCH})


def collect(
    script: str, only: Iterable[str] = (), *, at: Mapping[str, str] | None = None, connections: bool = False
) -> bytes:
    """Run the script as root and return what it printed.

    `only` names the network namespaces to take; `at` says where they are (a file in /proc) when they have no name.

    Raises: CollectError without root, or when the script fails.
    """
    if os.geteuid() != 0:
        raise CollectError(tr("reading the network namespaces of this machine takes root: sudo mcni collect ..."))
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MCNI_")}
    places = " ".join(f"{_plain(name)}={path}" for name, path in (at or {}).items())
    chosen = {
        "MCNI_AT": places,
        "MCNI_ONLY": " ".join(map(_plain, only)),
        "MCNI_CONNECTIONS": "1" if connections else "",
    }
    argv = ["sh", "-s"]
    try:
        done = subprocess.run(
            argv, input=script.encode(), env=kept | chosen, capture_output=True, timeout=WITHIN, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise CollectError(tr("the script did not run: {problem}", problem=problem)) from None
    if done.returncode:
        raise CollectError(tr("the script failed: {reason}", reason=done.stderr.decode(errors="replace").strip()[:500]))
    return done.stdout


def _plain(name: str) -> str:
    """Return a name as the script spells it: each byte that is no printable ASCII, a space or a slash becomes `_`."""
    return re.sub(rb"[^!-.0-~]", b"_", os.fsencode(name)).decode()
