"""Numbers out of reach of a computer's arithmetic: their squares, summed over patients, leave double precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.errors import Problem, error

LARGEST = 1e100
EXTREME = "is of a magnitude that nothing measured has"


def reach_problems(column: str, value: NDArray[np.float64], path: str | None) -> list[Problem]:
    """Refuse known outcomes that are out of reach, of which no row was named when they were read."""
    if not is_extreme(value).any():
        return []
    fix = "correct the cells, or write it in another unit"
    return [error(f"column '{column}' {EXTREME}", fix, path=path, finding="target-out-of-reach")]


def is_extreme(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where finite numbers other than zero are so large or small that their squares leave double precision."""
    size = np.abs(values)
    return np.asarray(np.isfinite(values) & ((size > LARGEST) | ((size < 1 / LARGEST) & (size > 0))))
