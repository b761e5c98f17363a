"""Masking of small counts in a table, so that no cell and no difference of cells gives a few patients away."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chiasm.shown import LEAST as LEAST

TINY = 1e-9


def guarded(counts: ArrayLike, sums: ArrayLike, *, secret: ArrayLike, aside: ArrayLike = False) -> NDArray[np.bool_]:
    """(C,) True for the cells that must not be told, so that no secret one is a sum or difference of what is told.

    The secret cells are hidden, and then, until none of them is determined by the sums whose results are told, a
    small count that stands in a sum with it. A hidden cell is determined where its unit vector lies in the row space
    of the sums over hidden cells, or where all hidden cells of a sum are one (Hundepool et al., 2012, chapter 4).
    Bounds narrower than that of a count, that it is more than none, are not looked for.

    Args:
        counts: (C,) counts of cells.
        sums: (Q, C) coefficients of the sums whose results are known.
        secret: (C,) the cells that must not follow.
        aside: (C,) the cells that are told nowhere, secret or not.
    """
    n, known = np.asarray(counts, dtype=np.int64), np.asarray(sums, dtype=np.float64)
    own = np.broadcast_to(np.asarray(secret, dtype=bool), n.shape)
    unseen = np.broadcast_to(np.asarray(aside, dtype=bool), n.shape)
    hidden: NDArray[np.bool_] = own | unseen
    inside = known != 0
    while (follows := own & _determined(n, known, hidden)).any():
        touched = inside[:, hidden].any(1)
        linked = inside[touched].any(0)
        closed = linked & ~inside[~touched].any(0)  # hiding one opens no sum in which it would stand alone
        near = inside[inside[:, follows].any(1)].any(0)
        for others in (closed & (n > 0), near & (n > 0), linked & (n > 0), near, linked):
            left = np.flatnonzero(others & ~hidden)
            if len(left):
                hidden[left[np.argmin(n[left])]] = True
                break
        else:
            break  # every cell is hidden, and the totals alone tell
    return hidden


def _determined(n: NDArray[np.int64], sums: NDArray[np.float64], hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(C,) True for the hidden cells that follow from the others."""
    found = np.zeros(len(n), dtype=bool)
    places = np.flatnonzero(hidden)
    if not len(places):
        return found
    system = sums[:, places]
    _, sizes, rows = np.linalg.svd(system, full_matrices=False)
    spanned = rows[sizes > TINY]
    found[places] = 1 - (spanned**2).sum(0) < TINY  # how far the unit vector of the cell is from the row space
    for row in system:
        inside = row != 0
        if inside.any() and np.ptp(row[inside]) == 0 and (n[places[inside]] == 1).all():
            found[places[inside]] = True
    return found


def small(counts: ArrayLike) -> NDArray[np.bool_]:
    """True for the counts of 1 to 4."""
    n = np.asarray(counts)
    return (n > 0) & (n < LEAST)


def told(count: int) -> int | None:
    """Return a count that may be told, None of one to four."""
    return None if 0 < count < LEAST else int(count)
