"""A world in real network namespaces: made, changed, read back and removed. Raises: Unsupported without Linux."""

import sys

from mcnilib.errors import Unsupported

if sys.platform != "linux":
    raise Unsupported(f"this asks the kernel of Linux, and this machine runs {sys.platform}")
