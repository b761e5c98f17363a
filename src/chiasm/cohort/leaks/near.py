"""Find rows that are equal but for a little noise, without comparing all pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 16  # rows compared with each row, the next along the random line
SPREAD = 5.0  # how far apart near rows may fall on that line, in units of `distance`
ROWS_AT_ONCE = 4_096

Array = NDArray[np.float64]
Pairs = NDArray[np.int_]


def near_pairs(values: Array, distance: float) -> Pairs:
    """(k, 2) pairs of rows whose root mean square difference is at most `distance`; time grows with n log n and n x p.

    Rows are projected on a random line, where near rows fall near each other; each is then compared in full with the
    next 16 there. If thousands of rows fall within a few distances of each other, some pairs are missed.

    Args:
        values: (n, p) finite, columns of similar scale.
        distance: threshold, in that scale.
    """
    n, p = values.shape
    if n < 2 or not p:
        return np.zeros((0, 2), dtype=int)
    direction = np.random.default_rng(0).normal(size=p)
    line = values @ direction / np.sqrt(p)
    order = np.argsort(line, kind="stable")
    found = []
    for step in range(1, min(NEIGHBOURS, n - 1) + 1):
        near = np.flatnonzero(line[order[step:]] - line[order[:-step]] <= SPREAD * distance)
        first, second = order[near], order[near + step]
        apart = np.empty(len(first))
        for start in range(0, len(first), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            apart[part] = np.sqrt(((values[first[part]] - values[second[part]]) ** 2).mean(axis=1))
        close = apart <= distance
        found.append(np.stack([first[close], second[close]], axis=1))
    return np.sort(np.concatenate(found), axis=1)
