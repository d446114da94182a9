"""What a viewer without a running kernel shows of a widget: words, and a picture whose words are its alternative text.

Source: `_repr_mimebundle_` of IPython's display protocol (data, metadata); nbconvert takes the text from `alt`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from html import escape
from typing import Any

from mcnilib.errors import McniError

Bundle = tuple[dict[str, Any], dict[str, Any]]


def still(bundle: Any, lines: Iterable[str], picture: bytes = b"") -> Bundle:
    """Return a widget's bundle with these lines, and with a picture (PNG) if there is one."""
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
    words = {"text/plain": "\n".join(lines)}
    if not picture:
        return data | words, metadata
    return data | words | {"image/png": picture}, metadata | {"image/png": {"alt": words["text/plain"]}}


def or_gives_up(show: Callable[..., None]) -> Callable[..., None]:
    """Let a panel's method end with `panel.give_up(problem)` whatever goes wrong in it: widgets swallow exceptions."""

    @wraps(show)
    def guarded(panel: Any, *arguments: Any) -> None:
        try:
            show(panel, *arguments)
        except Exception as problem:
            panel.give_up(problem)

    return guarded


def why(problem: Exception) -> str:
    """Say what is wrong; what is no mistake of the reader is called one of mcnilib."""
    if isinstance(problem, McniError):
        return str(problem)
    return f"mcnilib made a mistake here, please report it: {type(problem).__name__}: {problem}"


def alert_html(problem: Exception) -> str:
    """Return why, as a live region that is read out at once."""
    return f'<div class="mcni" role="alert"><pre>{escape(why(problem))}</pre></div>'
