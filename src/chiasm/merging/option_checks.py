"""What the options of merging methods may be; asked when a method is made, before any model is read."""

from __future__ import annotations

import math


def require_share(name: str, value: float, *, zero: bool = False) -> None:
    """A share lies within 0 and 1, itself not 0 unless `zero`."""
    if not (0 <= value <= 1) or (value == 0 and not zero):
        raise ValueError(f"{name} is a share of the entries, {'0' if zero else 'above 0 and up'} to 1, not {value:g}")


def require_finite(name: str, value: float) -> None:
    """A factor is a finite number."""
    if not math.isfinite(value):
        raise ValueError(f"{name} is a finite number, not {value}")


def require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """A name is one of those there are."""
    if value not in choices:
        raise ValueError(f"{name} is one of {', '.join(choices)}, not '{value}'")
