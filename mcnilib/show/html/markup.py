"""Text as HTML: the one place where it is escaped, and where code, live regions and printed lines get their marks.

What is HTML already says so by its type; any other text is escaped where it becomes the content of an element.

What a viewer without a running kernel shows of a widget, and what a panel shows when something went wrong in it.

Without a kernel: words, and a picture whose words are its alternative text.
Source: `_repr_mimebundle_` of IPython's display protocol (data, metadata); nbconvert takes the text from `alt`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import wraps
from html import escape
from typing import Any

from mcnilib.errors import error_text

DECIDED = "▶"
"""Stands before the line, step or row that decided or is looked at."""

MET = "▷"
"""Stands before a line that decided something before."""

HYPHENATED, UNBROKEN = re.compile(r"\S*-\S+"), r'<span class="word">\g<0></span>'

QUOTED = re.compile("`([^`]*)`")


class Html(str):
    """Text that is HTML already: it is not escaped again."""

    __slots__ = ()


def joined(*parts: str) -> Html:
    """Put parts one after the other; those that are no HTML yet are escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def element(tag: str, *content: str, **attributes: str) -> Html:
    """Return an element. `class_` stands for `class`, `aria_label` for `aria-label`; an empty attribute is left out."""
    return Html(f"{void_element(tag, **attributes)}{joined(*content)}</{tag}>")


def void_element(tag: str, **attributes: str) -> Html:
    """Return an element that has no content and no end, such as `input` or `img`."""
    named = ((name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items() if value)
    start = " ".join([tag, *(f'{name}="{escape(value)}"' for name, value in named)])
    return Html(f"<{start}>")


def option_html(text: str, value: str, *, chosen: bool) -> Html:
    """Return a choice of a list."""
    return element("option", text, value=value, selected="selected" if chosen else "")


def block(*content: str, **attributes: str) -> Html:
    """Return a part of a panel: the style sheet of panels applies to it."""
    return element("div", *content, **{"class_": "mcni"} | attributes)


def status(*content: str, tag: str = "div", class_: str = "mcni") -> Html:
    """Return a live region: screen readers read it out when it changes."""
    return element(tag, *content, class_=class_, role="status", aria_live="polite")


def alert(text: str) -> Html:
    """Return what is wrong, as a live region that is read out at once."""
    return block(element("pre", text), role="alert")


def code(text: str) -> Html:
    """Return text as code: a word with hyphens begins a new line rather than break after one of them."""
    return _code(escape(text))


def _code(html: str) -> Html:
    return Html(f"<code>{HYPHENATED.sub(UNBROKEN, html)}</code>")


def sentence(text: str) -> Html:
    """Return a sentence; what stands between backticks is code."""
    return Html(QUOTED.sub(lambda quoted: _code(quoted[1]), escape(text)))


def printed_line(text: str, *, decided: bool = False, note: str = "", met: str = "") -> Html:
    """Return one line of state as a tool prints it: its mark, its text, a remark beside it, the packets that met it."""
    remark = element("span", f"  # {note}", class_="note") if note else ""
    packets = element("span", f"{MET} {met}", class_="met") if met else ""
    shown = code(f"{DECIDED if decided else MET if met else ' '} {text}")
    return element(
        "div",
        shown,
        packets,
        remark,
        class_="line decided" if decided else "line",
        aria_current="true" if decided else "",
    )


def folded(summary: str, *content: str, opened: bool = False) -> Html:
    """Return content that hides behind its summary until it is asked for, or until it is sent away if `opened`."""
    start = "<details open>" if opened else "<details>"
    return Html(f"{start}{element('summary', summary)}{joined(*content)}</details>")


Bundle = tuple[dict[str, Any], dict[str, Any]]


def static_fallback(bundle: Any, lines: Callable[[], Iterable[str]], picture: Callable[[], bytes] = bytes) -> Bundle:
    """Return a widget's bundle with lines, and with a picture (PNG) if there is one; or with what is wrong.

    There is none where what paints it is not installed, as in a browser.
    """
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
    png = b""
    try:
        text = {"text/plain": "\n".join(lines())}
        with suppress(ModuleNotFoundError):
            png = picture()
    except Exception as problem:
        text = {"text/plain": error_text(problem)}
    if not png:
        return data | text, metadata
    return data | text | {"image/png": png}, metadata | {"image/png": {"alt": text["text/plain"]}}


def error_boundary(show: Callable[..., None]) -> Callable[..., None]:
    """Let a method end with `self.show_error(problem)` whatever goes wrong in it: widgets swallow exceptions."""

    @wraps(show)
    def guarded(panel: Any, *arguments: Any, **options: Any) -> None:
        try:
            show(panel, *arguments, **options)
        except Exception as problem:
            panel.show_error(problem)

    return guarded


def error_html(problem: Exception) -> Html:
    """Return what is wrong, as a live region that is read out at once."""
    return alert(error_text(problem))
