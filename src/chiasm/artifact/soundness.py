"""What holds for the numbers of every stored part; each class checks the rest of its own when it is made."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

POSITIVE = ("scale", "slope")  # what a number is divided by, and what keeps the order of patients


def fault_of(cls: type, field: str, value: Any) -> str | None:
    """What is impossible about a field's numbers: one is not finite, or a `scale` or `slope` is not above zero.

    A class names the fields in which infinity means something in `_may_be_infinite`. Other stored parts inside the
    value are not looked at: they were checked when they were made.
    """
    infinite = field in getattr(cls, "_may_be_infinite", ())
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
        elif isinstance(item, np.ndarray) and item.dtype.kind in "fc":
            if np.isnan(item).any() or (not infinite and np.isinf(item).any()):
                return "holds numbers that are not finite"
            if field in POSITIVE and not (item > 0).all():
                return "is not above zero"
        elif isinstance(item, float):
            if math.isnan(item) or (not infinite and math.isinf(item)):
                return "holds numbers that are not finite"
            if field in POSITIVE and not item > 0:
                return "is not above zero"
    return None
