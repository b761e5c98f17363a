"""Concordance of risks with censored times, counted for all bootstrap draws at once.

A bootstrap goes through blocks of the matrix of pairs, in O(n^2) for each draw. The point estimate for many patients
uses a wavelet matrix instead, in O(n log n).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chiasm.metrics.weighted import Floats, as_weights, ratio

Ints = NDArray[np.intp]

MANY = 2_000
"""Number of patients from which a point estimate is counted without the matrix of pairs."""

_CELLS = 4_000_000  # entries in one block of the pair matrix: 16 MB in float32


def concordance(
    risk: ArrayLike,
    time: ArrayLike,
    event: ArrayLike,
    weights: ArrayLike | None,
    pair_weight: Floats | None,
    tied_tolerance: float,
) -> Floats:
    """Compute the weighted share of comparable pairs that are ranked right.

        sum_ij w_i w_j v_i S_ij / sum_ij w_i w_j v_i      over comparable pairs, i the event, v the pair weight

    S_ij is 1 where i has the higher risk and 1/2 where the risks tie. The numerator is summed over blocks of rows of S,
    so that memory stays at a few blocks whatever n; the denominator is a cumulative sum.

    Args:
        risk, time, event: (n,) each.
        weights: (R, n) counts, or None.
        pair_weight: (n,) v, or None for ones.
        tied_tolerance: largest difference of two risks that count as tied.

    Returns:
        (R,) float64, NaN without a comparable pair.
    """
    score, at = np.asarray(risk, dtype=np.float64), np.asarray(time, dtype=np.float64)
    died = np.asarray(event, dtype=np.bool_)
    if not score.shape == at.shape == died.shape or score.ndim != 1:
        raise ValueError(
            f"risk, time and event have shapes {score.shape}, {at.shape}, {died.shape}: give one a patient"
        )
    w = as_weights(weights, len(at))
    if len(at) == 0:
        return np.full(len(w), np.nan)
    order = np.lexsort((~died, at))  # by time, at tied times the events first
    score, at, died, w = score[order], at[order], died[order], w[:, order]
    value = np.ones(len(at)) if pair_weight is None else pair_weight[order]
    later = _first_comparable(at, died)
    beyond = np.c_[np.cumsum(w[:, ::-1], axis=1)[:, ::-1], np.zeros(len(w))]  # (R, n + 1): weight from a position on
    rows = np.flatnonzero(died & (later < len(at)) & (value > 0))
    own = w[:, rows] * value[rows]  # (R, E)
    pairs = (own * beyond[:, later[rows]]).sum(axis=1)
    if len(at) >= MANY and len(w) == 1 and bool(np.all(w == 1)):
        return ratio(own @ _wins(score, rows, later[rows], tied_tolerance), pairs)

    # counts are whole numbers: their sums are exact in float32 below 2^23, at half the memory and twice the speed
    exact = bool(np.all(w == np.floor(w))) and float(w.sum(axis=1).max()) < 2**23
    partner = np.ascontiguousarray(w.T, dtype=np.float32 if exact else np.float64)  # (n, R)
    concordant = np.zeros(len(w))
    step = max(1, _CELLS // max(len(at), len(w)))
    for begin in range(0, len(rows), step):
        chunk = rows[begin : begin + step]
        first = int(later[chunk[0]])
        difference = score[chunk, None] - score[None, first:]  # (rows, later patients)
        wins = np.where(np.abs(difference) <= tied_tolerance, 0.5, difference > 0).astype(partner.dtype)
        wins *= np.arange(first, len(at)) >= later[chunk, None]
        concordant += (own[:, begin : begin + step].T * (wins @ partner[first:])).sum(axis=0)
    return ratio(concordant, pairs)


def _first_comparable(time: Floats, event: NDArray[np.bool_]) -> Ints:
    """First position that is comparable to the event at each position of the sorted patients, (n,).

    It is the end of the run of events at its time: those censored at that time, and all later ones, follow.
    """
    starts = np.flatnonzero(np.r_[True, (time[1:] != time[:-1]) | (event[1:] != event[:-1])])
    ends = np.r_[starts[1:], len(time)]
    return np.repeat(ends, ends - starts)


def _wins(score: Floats, rows: Ints, first: Ints, tied_tolerance: float) -> Floats:
    """Number of patients from position `first` on with a lower score than each event in `rows`, (E,), ties one half."""
    levels, rank = np.unique(score, return_inverse=True)
    own = score[rows]
    clearly_below = _levels_that(levels, own, lambda gap: gap > tied_tolerance)
    not_above = _levels_that(levels, own, lambda gap: gap >= -tied_tolerance)
    bits = len(levels).bit_length()
    return (_count_below(rank, first, clearly_below, bits) + _count_below(rank, first, not_above, bits)) / 2


def _levels_that(levels: Floats, own: Floats, holds: Callable[[Floats], NDArray[np.bool_]]) -> Ints:
    """Count the increasing `levels` that fulfil `holds(own - level)`, (E,), which holds up to some level only.

    The bisection uses the difference itself, so that rounding makes the same risks equal as in the matrix of pairs.
    """
    low, high = np.zeros(len(own), dtype=np.intp), np.full(len(own), len(levels), dtype=np.intp)
    while bool(np.any(low < high)):
        middle = (low + high) // 2
        right = (low < high) & holds(own - levels[np.minimum(middle, len(levels) - 1)])
        low, high = np.where(right, middle + 1, low), np.where(right, high, np.minimum(middle, high))
    return low


def _count_below(rank: Ints, first: Ints, limit: Ints, bits: int) -> Ints:
    """Count, for each query, the positions from `first` on whose rank is below `limit`, (E,), by a wavelet matrix.

    At each bit, from the highest, the ranks are stably partitioned, those with a zero to the left. A query keeps the
    part of its range that shares the bits of `limit` so far, and counts those that fall below it at this bit.
    """
    left, right = first.copy(), np.full(len(first), len(rank), dtype=np.intp)
    counted = np.zeros(len(first), dtype=np.intp)
    for bit in reversed(range(bits)):
        zero = (rank >> bit & 1) == 0
        before = np.r_[0, np.cumsum(zero)]  # zeros before each position
        into_left, into_right = before[left], before[right]
        high = (limit >> bit & 1) == 1
        counted += np.where(high, into_right - into_left, 0)
        left = np.where(high, before[-1] + left - into_left, into_left)
        right = np.where(high, before[-1] + right - into_right, into_right)
        rank = np.concatenate([rank[zero], rank[~zero]])
    return counted
