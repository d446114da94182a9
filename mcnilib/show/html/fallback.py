"""What a viewer without a running kernel shows of a widget, and what a panel shows when something went wrong in it.

Without a kernel: words, and a picture whose words are its alternative text.
Source: `_repr_mimebundle_` of IPython's display protocol (data, metadata); nbconvert takes the text from `alt`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from mcnilib.errors import McniError
from mcnilib.show.html.markup import Html, alert

Bundle = tuple[dict[str, Any], dict[str, Any]]


def static_fallback(bundle: Any, lines: Iterable[str], picture: bytes = b"") -> Bundle:
    """Return a widget's bundle with these lines, and with a picture (PNG) if there is one."""
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
    text = {"text/plain": "\n".join(lines)}
    if not picture:
        return data | text, metadata
    return data | text | {"image/png": picture}, metadata | {"image/png": {"alt": text["text/plain"]}}


def error_boundary(show: Callable[..., None]) -> Callable[..., None]:
    """Let a method end with `self.show_error(problem)` whatever goes wrong in it: widgets swallow exceptions."""

    @wraps(show)
    def guarded(panel: Any, *arguments: Any, **options: Any) -> None:
        try:
            show(panel, *arguments, **options)
        except Exception as problem:
            panel.show_error(problem)

    return guarded


def error_text(problem: Exception) -> str:
    """Say what is wrong; what is no mistake of the reader is called one of mcnilib."""
    if isinstance(problem, McniError):
        return str(problem)
    return f"mcnilib made a mistake here, please report it: {type(problem).__name__}: {problem}"


def error_html(problem: Exception) -> Html:
    """Return what is wrong, as a live region that is read out at once."""
    return alert(error_text(problem))
