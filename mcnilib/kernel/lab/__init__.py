"""A world in real network namespaces: made, changed, read back and removed. Raises: Unsupported without Linux."""

import sys

from mcnilib.errors import Unsupported
from mcnilib.language import mark

if sys.platform != "linux":
    raise Unsupported(mark("this asks the kernel of Linux, and this machine runs {platform}", platform=sys.platform))
