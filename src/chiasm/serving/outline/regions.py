"""The plain tool of a click: pixels about it that are as bright, joined with it in the slice that is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def region_of(values: NDArray[np.float64], row: int, column: int, reach: float) -> NDArray[np.bool_]:
    """Pixels `(rows, columns)` joined with one, each as bright as it to within `reach` in the unit of the values.

    A pixel alone is too noisy to be the measure: it is the median of it and of the eight about it.
    """
    from scipy import ndimage

    about = values[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
    alike = np.abs(values - np.median(about)) <= reach
    alike[row, column] = True
    named: Any = ndimage.label(alike)[0]
    return np.asarray(named == named[row, column], dtype=np.bool_)


def clicked(
    codes: NDArray[np.integer[Any]], values: NDArray[np.float64], row: int, column: int, reach: float, label: int,
    inside: bool,
) -> NDArray[np.int64]:  # fmt: skip
    """Codes of a slice after a click: the region about it has the label, or has it no longer."""
    region, found = region_of(values, row, column, reach), codes.astype(np.int64)
    if inside:
        found[region] = label
    else:
        found[region & (found == label)] = 0
    return found
