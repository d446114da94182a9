"""What a page may ask the model: verbs, each a function from text to text; both texts are JSON.

A verb's module is imported when it is asked for first: what a page does not use costs it nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import import_module

from mcnilib.errors import McniError, error_text
from mcnilib.language import tr
from mcnilib.progress import watched

VERBS: Mapping[str, tuple[str, str]] = {
    "view": ("mcnilib.show.explorer", "answer_json"),
    "open": ("mcnilib.show.own_cluster", "open_json"),
    "ask": ("mcnilib.show.own_cluster", "ask_json"),
    "likely": ("mcnilib.show.explorer", "likely_json"),
    "fix": ("mcnilib.show.repairs", "fix_json"),
    "repair": ("mcnilib.show.own_cluster", "repair_json"),
    "changes": ("mcnilib.show.explorer", "changes_json"),
    "machine": ("mcnilib.show.explorer", "machine_json"),
    "attempt": ("mcnilib.show.practice", "attempt_json"),
    "help": ("mcnilib.show.practice", "help_json"),
    "page": ("mcnilib.site.single", "page_json"),
}
"""Verb -> the module and the name of the function that answers."""


class VerbError(McniError, LookupError):
    """A verb that does not exist; the message lists those that do."""


def answer(verb: str, text: str, tell: Callable[[float], None] | None = None) -> str:
    """Answer a question; the answer is `{"error": ...}` as JSON where there is none, whatever goes wrong.

    `tell` hears from work that takes long how far it is, from 0 to 1.
    """
    try:
        with watched(tell):
            return _function(verb)(text)
    except Exception as problem:
        return json.dumps({"error": error_text(problem)})


def _function(verb: str) -> Callable[[str], str]:
    if verb not in VERBS:
        raise VerbError(tr("there is no verb {verb!r}; there are {verbs}", verb=verb, verbs=", ".join(VERBS)))
    module, name = VERBS[verb]
    function: Callable[[str], str] = getattr(import_module(module), name)
    return function
