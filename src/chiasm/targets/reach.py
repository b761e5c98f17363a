"""Numbers of an outcome that are out of reach of a computer's arithmetic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.errors import Problem, error

LARGEST = 1e100  # a number whose square, summed over patients, is still far from overflow


def spread_of(value: NDArray[np.float64]) -> float:
    """Half the range of the numbers: a difference of two large ones may overflow."""
    return float(np.ptp(value / 2))


def reach_problems(column: str, value: NDArray[np.float64], path: str | None) -> list[Problem]:
    """Refuse numbers whose squares are too large or too small for a computer's arithmetic."""
    largest, spread = float(np.abs(value).max()), spread_of(value)
    if largest <= LARGEST and not 0 < spread < 1 / LARGEST:
        return []
    what = f"column '{column}' holds numbers that are too {'large' if largest > LARGEST else 'small'} to compute with"
    return [error(what, "write it in another unit", path=path, finding="target-out-of-reach")]
