"""The sysctls the model reads, with the kernel's defaults, and how `all` and a device's own value combine.

Source: Documentation/networking/ip-sysctl.rst, Documentation/networking/nf_conntrack-sysctl.rst.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mcnilib.linux.origin import Origin


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of `sysctl -a`: `key = value`."""

    key: str
    value: str
    by: Origin | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.key} = {self.value}"
