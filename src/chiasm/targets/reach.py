"""Numbers out of reach of a computer's arithmetic: their squares, summed over patients, leave double precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LARGEST = 1e100
EXTREME = "is of a magnitude that nothing measured has"


def is_extreme(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where finite numbers other than zero are so large or small that their squares leave double precision."""
    size = np.abs(values)
    return np.asarray(np.isfinite(values) & ((size > LARGEST) | ((size < 1 / LARGEST) & (size > 0))))
