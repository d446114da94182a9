"""One notebook in JupyterLab, driven as a person would: open, run, find a control by its label, use it, look.

Nothing sleeps: every wait is for a state of the page or of the kernel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from playwright.sync_api import Browser, Locator, Page

from browser.server import LabServer

PATIENCE = 30_000  # milliseconds for whatever the kernel has to do

READY = """() => {
  const panel = window.jupyterapp?.shell?.currentWidget;
  return !!(panel?.context?.isReady && panel.sessionContext?.isReady && panel.sessionContext.session?.kernel);
}"""
IDLE = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
ANSWERED = """async () => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  for (let asked = 0; asked < 2; asked++) await kernel.requestKernelInfo();  // a widget may hold back one message
}"""
RUN_ALL = """() => {
  window.mcniRan = null;
  window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.mcniRan = true; });
}"""
AT_REST = """() => new Promise(resolve => {
  const list = window.jupyterapp.shell.currentWidget.content.node.querySelector('.jp-WindowedPanel-outer');
  let before = '', alike = 0;
  const look = () => {
    const now = list ? `${list.scrollTop} ${list.scrollHeight}` : '';
    alike = now === before ? alike + 1 : 0;
    before = now;
    alike < 20 ? requestAnimationFrame(look) : resolve(true);
  };
  look();
})"""
"""The list of cells scrolls to the last one for a while after all have run; what is clicked meanwhile moves away."""
FAILURES = """() => window.jupyterapp.shell.currentWidget.content.widgets.flatMap(
  cell => (cell.model.toJSON().outputs ?? []).filter(o => o.output_type === 'error').map(o => `${o.ename}: ${o.evalue}`)
)"""
TEXTS = """svgs => svgs.flatMap(svg => [...svg.querySelectorAll('text')].map(node => {
  const box = node.getBoundingClientRect();
  return [node.textContent, box.x, box.y, box.width, box.height, parseFloat(getComputedStyle(node).fontSize)];
}))"""
WATCH = """selector => {
  const look = () => [...document.querySelectorAll(selector)];
  const before = look(), texts = before.map(node => node.outerHTML);
  const changed = now =>
    now.length !== before.length || now.some((n, i) => n !== before[i] || n.outerHTML !== texts[i]);
  window.mcniPaint = null;
  window.mcniWatch?.abort();  // of a click that changed nothing
  const watch = window.mcniWatch = new AbortController();
  let start = null;
  for (const kind of ['click', 'keydown', 'input', 'change'])
    document.addEventListener(kind, event => { start ??= event.timeStamp; }, {capture: true, signal: watch.signal});
  const observer = new MutationObserver(async () => {
    const now = look();
    if (start === null || !now.length || !changed(now)) return;
    watch.abort();
    const images = now.flatMap(n => n.tagName === 'IMG' ? [n] : [...n.querySelectorAll('img')]);
    await Promise.all(images.map(image => image.decode().catch(() => null)));
    requestAnimationFrame(() => {
      const {port1, port2} = new MessageChannel();
      port1.onmessage = () => { window.mcniPaint = performance.now() - start; };
      port2.postMessage(0);
    });
  });
  watch.signal.addEventListener('abort', () => observer.disconnect());
  observer.observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
}"""


@dataclass(frozen=True)
class TextBox:
    """A piece of text in a picture and where it is painted, in CSS pixels."""

    text: str
    x: float
    y: float
    width: float
    height: float
    font_size: float

    def overlaps(self, other: TextBox, slack: float = 0.0) -> bool:
        """Tell whether two boxes share more than `slack` pixels in both directions."""
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return across > slack and down > slack


FOREIGN = "/extensions/@jupyterlite/"
"""What comes with the extra `lite` is for JupyterLite alone; JupyterLab finds it installed and tries it in vain."""


@dataclass
class LabPage:
    """A browser page with one notebook open in JupyterLab; `errors` collects what the page complained about."""

    page: Page
    server: LabServer
    errors: list[str] = field(default_factory=list)
    name: str = ""

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.on("pageerror", lambda error: self._complains(str(error)))
        self.page.on("console", lambda said: self._complains(said.text) if said.type == "error" else None)

    def _complains(self, text: str) -> None:
        if FOREIGN not in text:
            self.errors.append(text)

    def save(self, name: str, *cells: object) -> str:
        """Write a notebook that names its kernel, else JupyterLab asks the reader for one; return its name."""
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), self.server.root / name)
        return name

    def open(self, notebook: str, query: str = "") -> LabPage:
        """Open a notebook of the server's folder, by a link that says `query`, and wait until its kernel is idle."""
        self.page.goto(f"{self.server.url(notebook)}{'&' if query else ''}{query}")
        self.page.wait_for_function(READY)
        return self.wait_idle()

    def open_from_list(self, notebook: str) -> LabPage:
        """Open a notebook in the JupyterLab this page already shows, by a double click in its file list."""
        self.page.locator(".jp-DirListing-item").filter(has_text=notebook).dblclick()
        self.page.wait_for_function(READY)
        return self.wait_idle()

    def wait_idle(self) -> LabPage:
        """Wait until the kernel has answered all that was asked before: it takes requests in turn."""
        self.page.wait_for_function(IDLE)
        self.page.evaluate(ANSWERED)
        return self

    def run_all(self) -> LabPage:
        """Run all cells and wait for the last; an AssertionError tells which errors the cells raised."""
        self.page.evaluate(RUN_ALL)
        self.page.wait_for_function("() => window.mcniRan !== null")
        self.wait_idle()
        self.page.evaluate(AT_REST)
        assert (failures := self.page.evaluate(FAILURES)) == [], failures
        return self

    def control(self, label: str) -> Locator:
        """Find a control by what a reader sees: the label of a checkbox, list or field, or the text of a button."""
        exactly = re.compile(rf"^\s*{re.escape(label)}\s*$")
        by_text = self.page.locator("button, label:has(input[type=radio])").filter(has_text=exactly)
        return self.page.get_by_label(label, exact=True).or_(by_text).first

    def press(self, label: str, *keys: str) -> None:
        """Give a control the focus and press keys, as a reader without a mouse does."""
        self.control(label).focus()
        for key in keys:
            self.page.keyboard.press(key)

    def after(self, selector: str, action: Callable[[], object]) -> Locator:
        """Do something and wait until what `selector` shows has become something else."""
        seen = self.page.locator(selector).evaluate_all("nodes => nodes.map(n => n.outerHTML).join()")
        action()
        self.page.wait_for_function(
            "([s, seen]) => [...document.querySelectorAll(s)].map(n => n.outerHTML).join() !== seen",
            arg=[selector, seen],
        )
        return self.page.locator(selector)

    def click_to_paint(
        self, control: Locator, selector: str, act: Callable[[Locator], object] = Locator.click
    ) -> float:
        """Use a control and return the milliseconds until the change of `selector` is on the screen."""
        return click_to_paint(self.page, control, selector, act)

    def texts(self, selector: str = "svg") -> list[TextBox]:
        """List the texts inside the pictures `selector` finds, with the boxes they occupy."""
        return [TextBox(*values) for values in self.page.locator(selector).evaluate_all(TEXTS)]

    def screenshot(self, path: Path, selector: str = "body") -> Path:
        """Save what the reader sees."""
        self.page.locator(selector).first.screenshot(path=path)
        return path


def click_to_paint(
    page: Page, control: Locator, selector: str, act: Callable[[Locator], object] = Locator.click
) -> float:
    """Use a control of a page and return the milliseconds until the change of `selector` is on the screen.

    Measured in the page: from the time stamp of the input event, over the mutation of the picture and the animation
    frame after it, to the end of that frame.
    """
    page.evaluate(WATCH, selector)
    act(control)
    return float(page.wait_for_function("() => window.mcniPaint").json_value())


@contextmanager
def new_page(browser: Browser, server: LabServer) -> Iterator[LabPage]:
    """Open a page that shares nothing with any other, big enough for a picture with its controls and tables."""
    context = browser.new_context(viewport={"width": 1280, "height": 1600})
    try:
        yield LabPage(context.new_page(), server)
    finally:
        context.close()
