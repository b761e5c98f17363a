"""Validation of the options of merging methods, when a method is created and before any model is read."""

from __future__ import annotations

import math


def require_share(name: str, value: float, *, zero: bool = False) -> None:
    """Raise ValueError unless a share is between 0 and 1, with 0 allowed only if `zero`."""
    if not (0 <= value <= 1) or (value == 0 and not zero):
        raise ValueError(f"{name} is a share of the entries, {'0' if zero else 'above 0 and up'} to 1, not {value:g}")


def require_finite(name: str, value: float) -> None:
    """Raise ValueError unless a factor is finite."""
    if not math.isfinite(value):
        raise ValueError(f"{name} is a finite number, not {value}")


def require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise ValueError unless a name is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} is one of {', '.join(choices)}, not '{value}'")
