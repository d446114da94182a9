"""What a panel shows when it cannot answer: why, and nothing that answered another question."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from html import escape
from typing import Any

from mcnilib.errors import McniError


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
