"""Memory while much is made that stays: Python's search for garbage would go through all of it again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """Do not look for garbage meanwhile, and later pass over what there is at the end.

    Nothing is lost by it but circles: what nobody holds any more is freed as always, and neither states nor runs hold
    each other. A search through all of a session takes half a second, and a click would wait for it.
    Source: freeze() in the module gc, Python's library reference.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()
            gc.enable()
