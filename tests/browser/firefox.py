"""Firefox as Debian has it, driven by the protocol it brings itself: what playwright asks of a Firefox, this one lacks.

Source: Marionette, https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html; its commands are those of WebDriver.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 90
"""Seconds Firefox may take to start, and a script to end."""

PREFERENCES = {
    "marionette.port": 0,  # any that is free; the profile then says which
    "network.proxy.type": 1,  # whatever is not on this machine goes nowhere
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.disabledForTesting": True,
    "browser.shell.checkDefaultBrowser": False,
}


class Firefox:
    """A window of Firefox: `go` somewhere, `run` scripts there."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._number = 0
        self._receive()  # what it is
        self._ask("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": False}}})
        self._ask("WebDriver:SetTimeouts", {"script": PATIENCE * 1000, "pageLoad": PATIENCE * 1000})

    def go(self, address: str) -> None:
        """Open a page, and wait until it is loaded."""
        self._ask("WebDriver:Navigate", {"url": address})

    def run(self, body: str, *arguments: object) -> Any:
        """Run the body of an asynchronous function in the page, and return what it returns."""
        script = f"const done = arguments[arguments.length - 1]; (async (...given) => {{ {body} }})(...arguments).then(value => done([value]), problem => done(String(problem)));"
        ended = self._ask("WebDriver:ExecuteAsyncScript", {"script": script, "args": list(arguments), "sandbox": None})
        assert isinstance(ended["value"], list), ended["value"]
        return ended["value"][0]

    def wait(self, condition: str, *arguments: object) -> None:
        """Wait until an expression of `given` is true in the page."""
        self.run(f"while (!({condition})) await new Promise(later => setTimeout(later, 50));", *arguments)

    def _ask(self, command: str, parameters: dict[str, object]) -> Any:
        self._number += 1
        data = json.dumps([0, self._number, command, parameters]).encode()
        self._connection.sendall(str(len(data)).encode() + b":" + data)
        _, _, problem, result = self._receive()
        assert problem is None, f"{command}: {problem}"
        return result

    def _receive(self) -> Any:
        length = b""
        while (byte := self._connection.recv(1)) != b":":
            assert byte, "Firefox has ended"
            length += byte
        data = b""
        while len(data) < int(length):
            data += self._connection.recv(int(length) - len(data))
        return json.loads(data)


@contextmanager
def started_firefox(profile: Path) -> Iterator[Firefox]:
    """Start Firefox without a window in a profile of its own; it ends with the block."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("needs Firefox: apt install firefox-esr")
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items())
    (profile / "user.js").write_text("\n".join(lines))
    command = [program, "--headless", "--marionette", "--no-remote", "--profile", str(profile)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Firefox(_port(profile))
    finally:
        process.terminate()
        process.wait(timeout=30)


def _port(profile: Path) -> int:
    told = profile / "MarionetteActivePort"
    until = time.monotonic() + PATIENCE
    while not (told.exists() and told.read_text()):
        assert time.monotonic() < until, "Firefox did not start"
        time.sleep(0.2)
    return int(told.read_text())
