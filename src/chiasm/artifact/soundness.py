"""What holds for the numbers of every stored part; each class checks the rest of its own when it is made."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

POSITIVE = ("scale", "slope")  # what a number is divided by, and what keeps the order of patients


def fault_of(field: str, value: Any, *, infinite: bool, unknown: bool) -> str | None:
    """What is impossible about a field's numbers: one is not finite, or a `scale` or `slope` is not above zero.

    Other stored parts inside the value are not looked at: they were checked when they were made.

    Args:
        infinite: infinity means something in this field.
        unknown: NaN means something in it.
    """
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
        elif isinstance(item, np.ndarray) and item.dtype.kind in "fc":
            if (not unknown and np.isnan(item).any()) or (not infinite and np.isinf(item).any()):
                return "holds numbers that are not finite"
            if field in POSITIVE and not (item > 0).all():
                return "is not above zero"
        elif isinstance(item, float):
            if (not unknown and math.isnan(item)) or (not infinite and math.isinf(item)):
                return "holds numbers that are not finite"
            if field in POSITIVE and not item > 0:
                return "is not above zero"
    return None
