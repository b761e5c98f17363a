"""Weighted sums and ranks over patients, for all draws of a bootstrap at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def as_weights(weights: ArrayLike | None, n: int) -> Floats:
    """Return the weights as an (R, n) float64 matrix: how often each of n patients occurs in each of R draws.

    Args:
        weights: (R, n) or (n,) counts, not negative; None is one row of ones, which gives the point estimate.
        n: number of patients.

    Raises:
        ValueError: the matrix is not n wide, or a weight is negative or NaN.
    """
    if weights is None:
        return np.ones((1, n))
    matrix = np.atleast_2d(np.asarray(weights, dtype=np.float64))
    if matrix.ndim != 2 or matrix.shape[1] != n:
        raise ValueError(
            f"weights have shape {matrix.shape}: give one row a draw and one column for each of {n} patients"
        )
    if not bool(np.all(matrix >= 0)):
        raise ValueError("weights hold a negative number or NaN: give counts of a bootstrap")
    return matrix


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Divide, with NaN where the denominator is zero: a value that cannot be estimated."""
    above = np.asarray(numerator, dtype=np.float64)
    below = np.asarray(denominator, dtype=np.float64)
    out: Floats = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    np.divide(above, below, out=out, where=below != 0)
    return out


def tie_starts(ordered: Floats) -> NDArray[np.intp]:
    """First position of each run of equal values in a sorted array of shape (n,)."""
    return np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])


def sum_ties(weights: Floats, starts: NDArray[np.intp]) -> Floats:
    """Sum (R, n) weights in sorted order over the runs of equal values that begin at `starts`, giving (R, G)."""
    if len(starts) == weights.shape[1]:
        return weights
    return np.asarray(np.add.reduceat(weights, starts, axis=1), dtype=np.float64)


def midranks(values: Floats, weights: Floats) -> Floats:
    """Ranks from 1, with ties sharing their mean, as if each patient occurred as often as its weight says.

    Args:
        values: (n,) numbers.
        weights: (R, n) counts.

    Returns:
        (R, n) ranks; that of a patient with weight zero is meaningless.
    """
    order = np.argsort(values, kind="stable")
    starts = tie_starts(values[order])
    tied = sum_ties(weights[:, order], starts)
    rank_of_run = np.cumsum(tied, axis=1) - tied + (tied + 1) / 2  # (R, G)
    run = np.empty(len(values), dtype=np.intp)
    run[order] = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(values)]))
    return rank_of_run[:, run]
