"""What a viewer without a running kernel shows of a widget: words, and a picture whose words are its alternative text.

Source: `_repr_mimebundle_` of IPython's display protocol (data, metadata); nbconvert takes the text from `alt`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Bundle = tuple[dict[str, Any], dict[str, Any]]


def still(bundle: Any, lines: Iterable[str], picture: bytes = b"") -> Bundle:
    """Return a widget's bundle with these lines, and with a picture (PNG) if there is one."""
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
    words = {"text/plain": "\n".join(lines)}
    if not picture:
        return data | words, metadata
    return data | words | {"image/png": picture}, metadata | {"image/png": {"alt": words["text/plain"]}}
