"""The site, written and served, and a tab that shows it: what the tests of its pages share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Locator, Page

from mcnilib.scenarios import all_scenarios
from mcnilib.show.explorer import View
from mcnilib.site.engine import SiteError, compiled, pyodide
from mcnilib.site.lessons import read_lessons
from mcnilib.site.library import library
from mcnilib.site.lite import lite_files
from mcnilib.site.page import site_files
from mcnilib.site.prepared import prepared_files
from mcnilib.writing import write_new_folder

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
PAGES = (
    *("index", "conclusion", "cluster", "notebooks", "glossary"),
    *(f"notebooks/{path.stem}" for path in sorted(NOTEBOOKS.glob("*.ipynb"))),
)
"""Every page of the site, without `.html`."""

FLAGSHIP = "macvlan-to-calico-across-nodes"
READY = "() => document.documentElement.dataset.ready !== undefined"
SAME = "(shown, html) => { const other = document.createElement('div'); other.innerHTML = html; return other.innerHTML === shown.innerHTML; }"
FOLLOW = "link => { history.pushState(null, '', link); dispatchEvent(new PopStateEvent('popstate')); }"


class Quiet(SimpleHTTPRequestHandler):
    """What `python -m http.server` does, without a line for every request."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served_site(folder: Path, notebooks: Path, lite: bool = False, most: int = 0) -> Iterator[str]:
    """Write the site with its notebooks, or JupyterLite alone, into a new folder and serve it; return where. Of a
    scenario so many answers are prepared at most."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm, which brings the interpreter of the site: apt install npm")
    try:
        engine = pyodide(None)
    except SiteError as problem:
        pytest.skip(str(problem))
    write_new_folder(
        folder,
        lite_files(engine, notebooks) if lite else _files(engine, notebooks, most),
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def _files(engine: dict[str, bytes], notebooks: Path, most: int) -> dict[str, str | bytes]:
    prepared = prepared_files(all_scenarios(), most)
    return site_files(compiled(engine, library()), read_lessons(notebooks), prepared)


@dataclass
class SitePage:
    """The site in a tab of its own; `foreign` are the requests to other hosts, `errors` what the page complained about."""

    page: Page
    address: str
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.context.on("request", lambda request: self._note(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)

    def _note(self, url: str) -> None:
        if not url.startswith((self.address, f"blob:{self.address}", "data:")):
            self.foreign.append(url)

    def open(self, link: str = "") -> SitePage:
        self.page.goto("about:blank")  # the same address again would not be loaded anew
        self.page.goto(self.address + link)
        self.page.wait_for_function(READY)
        return self

    def follow(self, link: str = "") -> SitePage:
        """Go to a state of the page that is open, as the browser's own back and forward do."""
        self.page.evaluate(FOLLOW, link or "/")
        return self

    def part(self, name: str) -> Locator:
        return self.page.locator(f"article.chosen [data-part={name}]")

    def check(self, view: View) -> None:
        """Insist that what is seen is what the model says here."""
        answer = view.answer()
        self.page.wait_for_function("state => location.search === '?' + state", arg=answer["state"])
        for name in ("verdict", "picture", "reasons", "table", "listing"):
            assert self.part(name).evaluate(SAME, answer[name]), name


@contextmanager
def new_tab(browser: Browser, address: str, **options: object) -> Iterator[SitePage]:
    context = browser.new_context(viewport={"width": 1280, "height": 720}, **options)
    try:
        yield SitePage(context.new_page(), address)
    finally:
        context.close()
