"""A server of one's own, of JupyterLab or Notebook 7: a free port, a token, a home in a temporary folder, gone at the end."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds until the server has to answer

SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}
"""User settings, so that no question or reminder stands in front of the notebook."""


@dataclass(frozen=True)
class LabServer:
    """Where a running server listens and which folder it shows."""

    port: int
    token: str
    root: Path
    app: str = "jupyterlab"  # or `notebook`

    def url(self, path: str = "") -> str:
        """Return the address of a notebook, given relative to `root`, or of the list, in a workspace of its own."""
        if self.app == "notebook":
            return f"http://127.0.0.1:{self.port}/notebooks/{path}?token={self.token}"
        tree = f"/tree/{path}" if path else ""
        return f"http://127.0.0.1:{self.port}/lab/workspaces/{secrets.token_hex(4)}{tree}?token={self.token}"

    def answers(self) -> bool:
        """Tell whether the server is ready."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/status?token={self.token}", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def lab_server(root: Path, home: Path, app: str = "jupyterlab") -> Iterator[LabServer]:
    """Run JupyterLab, or `notebook`, on a folder; configuration and run-time files stay in `home`."""
    server = LabServer(_free_port(), secrets.token_hex(16), root, app)
    _write_settings(home / "settings")
    (home / "config").mkdir()
    shutil.copy(ROOT / "jupyter_server_config.py", home / "config")
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            _command(server), cwd=root, env=_environment(home), stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait(server, process, home / "server.log")
            yield server
        finally:
            _stop(process)


def _command(server: LabServer) -> list[str]:
    return [
        *(sys.executable, "-m", server.app, "--no-browser", "--allow-root", "--expose-app-in-browser"),
        *("--ip=127.0.0.1", f"--port={server.port}", "--ServerApp.port_retries=0"),
        *(f"--IdentityProvider.token={server.token}", f"--ServerApp.root_dir={server.root}"),
        "--LabApp.news_url=None",
    ]


def _environment(home: Path) -> dict[str, str]:
    folders = {f"JUPYTER_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    lab = {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces")}
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return (
        os.environ | folders | lab | one_thread | {"IPYTHONDIR": str(home / "ipython"), "JUPYTER_PREFER_ENV_PATH": "1"}
    )


def _write_settings(folder: Path) -> None:
    for name, values in SETTINGS.items():
        file = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(server: LabServer, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not server.answers():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(
                f"JupyterLab did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-4000:]}"
            )
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)  # the server shuts its kernels down
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
