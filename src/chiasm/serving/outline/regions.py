"""The plain tool of a click: pixels about it that are as bright, joined with it, in its slice or through the slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


def region_of(values: NDArray[np.float64], row: int, column: int, reach: float) -> NDArray[np.bool_]:
    """Pixels `(rows, columns)` joined with one, each as bright as it to within `reach` in the unit of the values.

    The measure is `middle_of` the pixel.
    """
    from scipy import ndimage  # type: ignore[import-untyped]

    alike = np.abs(values - middle_of(values, row, column, reach)) <= reach
    alike[row, column] = True
    named: Any = ndimage.label(alike)[0]
    return np.asarray(named == named[row, column], dtype=np.bool_)


def regions_of(
    values: Callable[[int], NDArray[np.float64]], slices: int, number: int, row: int, column: int, reach: float
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """The region of a slice, and what it goes on as in the slices above and below: number and pixels of each.

    In the next slice it is what is as bright, and joined with a pixel that lies on the region of the slice before. What
    comes back to a slice from another side is not followed.

    Args:
        values: gives those of a slice.
        slices: how many there are.
    """
    from scipy import ndimage

    first = values(number)
    start = region_of(first, row, column, reach)
    yield number, start
    middle = middle_of(first, row, column, reach)
    for way in (1, -1):
        before, at = start, number + way
        while 0 <= at < slices:
            named: Any = ndimage.label(np.abs(values(at) - middle) <= reach)[0]
            there = np.zeros(int(named.max()) + 1, dtype=np.bool_)
            there[named[before]] = True
            there[0] = False
            before = there[named]
            if not before.any():
                break
            yield at, before
            at += way


def middle_of(values: NDArray[np.float64], row: int, column: int, reach: float) -> float:
    """How bright a clicked pixel is: the median of it and the eight about it, since one alone is noisy.

    Where it differs from them by more than the reach, as at a corner or on a thin line, it is its own.
    """
    median = float(np.median(values[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]))
    own = float(values[row, column])
    return median if abs(median - own) <= reach else own


def clicked(
    codes: NDArray[np.integer[Any]], region: NDArray[np.bool_], label: int, inside: bool
) -> NDArray[np.integer[Any]]:
    """Codes of a slice once a region has the label, or has it no longer."""
    found = codes.copy()
    found[region if inside else region & (found == label)] = label if inside else 0
    return found
