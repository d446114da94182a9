"""What all pages of the site share: the head, the header with the list of pages, where mistakes are told, the footer.

A page is a value; `page_html` writes it. Scripts are modules of the site itself, and nothing else runs: the security
policy allows no other script, no other host, and one line in the head by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files as resources

from mcnilib import __version__
from mcnilib.language import ENGLISH, IN_TEMPLATE, current_language, mark, tr
from mcnilib.show.html.markup import Html, element, sentence, void_element
from mcnilib.show.picture.palette import dark_rules

EARLY = 'if (location.protocol !== "file:") document.documentElement.classList.add("js")'
"""Says to the style sheet, before anything is painted, that the scripts will run; modules do not run from a file."""

_IN_SCRIPT = re.compile(r'\b(?:tr|mark)\(("(?:[^"\\]|\\.)*")')
"""A sentence of a script, with its quotes."""


def script_hash(script: str) -> str:
    """Return how a content security policy names a script that stands in the page itself."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


POLICY = {
    "default-src": "'self'",
    "script-src": f"'self' 'wasm-unsafe-eval' {script_hash(EARLY)}",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "base-uri": "'none'",
    "form-action": "'none'",
}
"""The content security policy of every page."""

WITHOUT_SCRIPTS = mark(
    "Without JavaScript, or opened as a file, this page shows everything as it starts; nothing can be changed. "
    "From a web server it can: `python3 -m http.server` in its folder is one."
)

FOOTER = mark(
    "a model of Linux walks packets through a cluster with Calico and Macvlan; the real kernel checks it. "
    "Everything runs in this browser; nothing is sent anywhere."
)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the site.

    `file` is its path in the site, `label` its name in the list of pages (empty: not listed), `title` its heading,
    `script` a module of the site (empty: none), `tools` what stands in the header, `main` what the page is about.
    """

    file: str
    label: str
    title: str
    description: str
    main: Html
    script: str = ""
    tools: str = ""


def page_html(page: Page, pages: Iterable[Page], size: int) -> str:
    """Return a page as HTML; `pages` are those of the site, `size` the bytes of the engine."""
    root = "../" * page.file.count("/")
    body = (
        _header(page, pages, root),
        Html('<div id="problem" role="alert" hidden></div>'),
        element("main", "\n", page.main),
        words_html(),
        element("footer", element("p", f"mcnilib {__version__}: {tr(FOOTER)}")),
    )
    head = Html("\n".join(_head(page, root)))
    inside = (element("head", head), "\n", element("body", *body, data_size=str(size)))
    return f"<!DOCTYPE html>\n{element('html', *inside, lang=current_language())}\n"


def head_html(title: str, policy: Mapping[str, str], description: str = "") -> Html:
    """Return what the head of every page begins with: what it is called, and what it may load."""
    return Html("\n".join(_head_lines(title, policy, description)))


def _head_lines(title: str, policy: Mapping[str, str], description: str) -> Iterator[str]:
    rules = "; ".join(f"{what} {where}" for what, where in policy.items())
    yield '<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{rules}">'
    yield '<meta name="color-scheme" content="light dark">'
    if description:
        yield f'<meta name="description" content="{escape(description)}">'
    yield element("title", title)
    yield '<link rel="icon" href="data:,">'


def _head(page: Page, root: str) -> Iterator[str]:
    yield head_html(page.title, POLICY, page.description)
    yield f'<link rel="stylesheet" href="{root}style.css">'
    yield f"<script>{EARLY}</script>"
    if page.script:
        yield f'<script type="module" src="{root}{page.script}"></script>'


def _header(page: Page, pages: Iterable[Page], root: str) -> Html:
    """Return the header: what the page is called, the pages there are, its tools, and what the interpreter does."""
    links = (_link(listed, listed is page, root) for listed in pages if listed.label)
    return element(
        "header",
        element("h1", page.title),
        element("nav", element("ul", *links), class_="pages", aria_label=tr("pages")),
        page.tools,
        element("p", id="engine", role="status", aria_live="polite"),
        element("p", sentence(tr(WITHOUT_SCRIPTS)), class_="no-scripts"),
    )


def _link(page: Page, here: bool, root: str) -> Html:
    return element("li", element("a", page.label, href=f"{root}{page.file}", aria_current="page" if here else ""))


def filled(name: str, content: str = "", **attributes: str) -> Html:
    """Return a part of a page, which scripts find by its name."""
    return element("div", content, data_part=name, **attributes)


def scrolled(name: str, label: str, content: str = "", *, kind: str = "") -> Html:
    """Return a part that scrolls where it does not fit, by keyboard too; its class is its name, or `kind`."""
    return filled(name, content, class_=kind or name, tabindex="0", role="group", aria_label=label)


def stepper(number: int, *more: Html, failure: tuple[int, int] | None = None) -> Html:
    """Return what walks through a conversation of so many steps, and `more` that does; it works when scripts do.

    `failure` is the packet and the index of the step at which it fails, if it does: a button leads there.
    """
    slider = {"type": "range", "min": "0", "max": str(number), "value": "0", "step": "1"}
    return element(
        "div",
        element("button", tr("◀ step"), type="button", data_move="-1", title=tr("Show the step before (arrow left)")),
        void_element("input", **slider, aria_label=tr("step"), data_part="at"),
        element("button", tr("step ▶"), type="button", data_move="1", title=tr("Show the next step (arrow right)")),
        element("button", tr("whole"), type="button", data_move="0", title=tr("Show the whole conversation")),
        element("button", tr("✗ where it fails"), type="button", data_part="failure", **_leads_to(failure)),
        *more,
        element("output", tr("{count} steps", count=number), data_part="where", aria_live="polite"),
        class_="stepper",
    )


def _leads_to(failure: tuple[int, int] | None) -> dict[str, str]:
    title = {"title": tr("Show the step at which the conversation fails, and the line of state that decided it")}
    return title | ({"data_at": "{} {}".format(*failure)} if failure else {"hidden": "hidden"})


def site_style() -> str:
    """Return the style sheet of every page, with the dark colours of its pictures."""
    return site_part("style.css") + "\n@media screen and (prefers-color-scheme: dark) {\n" + dark_rules() + "\n}\n"


def site_part(name: str) -> str:
    """Return a script, style sheet or template of the site."""
    return resources("mcnilib.site").joinpath("parts", name).read_text(encoding="utf-8")


def translated_part(name: str, **values: object) -> str:
    """Return a template of the site in the reader's language; what stands between `[[` and `]]` is a sentence."""
    return IN_TEMPLATE.sub(lambda found: tr(found[1], **values), site_part(name))


def words_html() -> Html:
    """Return the sentences of the scripts in the reader's language, as a table for `words.js`; in English none."""
    if current_language() == ENGLISH:
        return Html()
    parts = resources("mcnilib.site").joinpath("parts").iterdir()
    scripts = (part.read_text(encoding="utf-8") for part in parts if part.name.endswith(".js"))
    table = {said: tr(said) for script in scripts for said in map(json.loads, _IN_SCRIPT.findall(script))}
    return data_html(table, id="words")


def data_html(data: object, **attributes: str) -> Html:
    """Return values for a script of the page, as JSON that cannot end its element."""
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return element("script", Html(text), type="application/json", **attributes)


def player_script() -> str:
    """Return the script that plays a conversation: the one of the notebooks."""
    return resources("mcnilib.show.widgets").joinpath("player.js").read_text(encoding="utf-8")
