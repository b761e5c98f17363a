"""Rows that are equal but for a little noise, found without comparing each with each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 16  # along the line on which rows are laid, how many are compared with each
SPREAD = 5.0  # how far apart, in distances, rows that belong together may fall on that line
ROWS_AT_ONCE = 4_096

Array = NDArray[np.float64]
Pairs = NDArray[np.int_]


def near_pairs(values: Array, distance: float) -> Pairs:
    """(k, 2) rows whose root mean square difference is at most `distance`: time grows with n log n and n x p.

    All rows are laid on a random line, on which near rows fall near each other; each is then compared in full with the
    next 16 there. Where thousands of rows fall within a few distances of each other, some pairs are not seen.

    Args:
        values: (n, p) finite, columns of like scale.
        distance: in that scale.
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
