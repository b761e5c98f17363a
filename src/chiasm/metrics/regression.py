"""Metrics of a predicted number.

Every function takes `prediction` and `value`, both (n,) in the unit of the target, and `weights` (R, n) or None (see
`weighted.as_weights`), and returns (R,) float64: one value per draw, NaN for a draw in which it is undefined.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chiasm.metrics.weighted import Floats, as_weights, midranks, ratio, sum_ties, tie_starts


def rmse(prediction: ArrayLike, value: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Root mean squared error, in the unit of the target. Equals `sklearn.metrics.root_mean_squared_error`."""
    guess, truth, w = _inputs(prediction, value, weights)
    return np.sqrt(ratio(w @ (guess - truth) ** 2, w.sum(axis=1)))


def r2(prediction: ArrayLike, value: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Coefficient of determination: 1 - squared error / squared deviation from the mean of the same patients.

    Equals `sklearn.metrics.r2_score`, which gives 0 or 1 where all values are equal; we return NaN there.
    """
    guess, truth, w = _inputs(prediction, value, weights)
    error = w @ (guess - truth) ** 2
    mean = ratio(w @ truth, w.sum(axis=1))
    deviation = np.array([row @ (truth - m) ** 2 for row, m in zip(w, mean, strict=True)])
    return np.where(_distinct(truth, w), 1 - ratio(error, deviation), np.nan)


def spearman(prediction: ArrayLike, value: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Spearman's rank correlation, with midranks of each draw; NaN where either side is constant.

    Equals `scipy.stats.spearmanr`.
    """
    guess, truth, w = _inputs(prediction, value, weights)
    middle = ((w.sum(axis=1) + 1) / 2)[:, None]
    a, b = midranks(guess, w) - middle, midranks(truth, w) - middle  # (R, n)
    product, square_a, square_b = ((w * a * b).sum(axis=1), (w * a * a).sum(axis=1), (w * b * b).sum(axis=1))
    return np.clip(ratio(product, np.sqrt(square_a * square_b)), -1.0, 1.0)


def c_index(prediction: ArrayLike, value: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Concordance index: the share of pairs of different value that are predicted in their order, ties one half.

    Equals `lifelines.utils.concordance_index(value, prediction)`: Harrell's C without censoring. In O(n log^2 n):
    pairs of different prediction are counted at the highest bit in which the ranks of the two predictions differ, by
    one cumulative sum over the patients sorted by value.
    """
    guess, truth, w = _inputs(prediction, value, weights)
    rank, level = (np.unique(numbers, return_inverse=True)[1].reshape(-1) for numbers in (guess, truth))
    concordant = np.zeros(len(w))
    for bit in range(int(rank.max(initial=0)).bit_length()):
        block = rank >> (bit + 1)
        order = np.lexsort((level, block))
        high = (rank[order] >> bit & 1).astype(bool)
        drawn = w[:, order]
        below = np.concatenate([np.zeros((len(w), 1)), np.cumsum(np.where(high, 0.0, drawn), axis=1)], axis=1)
        block_start = _run_starts(block[order])
        level_start = np.maximum(_run_starts(level[order]), block_start)
        before = below[:, level_start[high]] - below[:, block_start[high]]  # weight of lower value and lower prediction
        concordant += (drawn[:, high] * before).sum(axis=1)
    everything = _pairs(np.zeros_like(rank), w)
    same_value, same_rank = _pairs(level, w), _pairs(rank, w)
    tied = same_rank - _pairs(rank * (level.max(initial=0) + 1) + level, w)
    return ratio(concordant + tied / 2, everything - same_value)


def _pairs(label: NDArray[np.intp], w: Floats) -> Floats:
    """Half the squared weight of each label, summed, (R,): pairs of equal label, a patient with itself included."""
    order = np.argsort(label, kind="stable")
    return np.asarray((sum_ties(w[:, order], tie_starts(label[order].astype(np.float64))) ** 2).sum(axis=1) / 2)


def _run_starts(ordered: NDArray[np.intp]) -> NDArray[np.intp]:
    """First position of the run of equal values at each position, (n,)."""
    starts = tie_starts(ordered.astype(np.float64))
    return np.repeat(starts, np.diff(np.r_[starts, len(ordered)]))


def _inputs(prediction: ArrayLike, value: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    guess = np.asarray(prediction, dtype=np.float64)
    truth = np.asarray(value, dtype=np.float64)
    if guess.ndim != 1 or guess.shape != truth.shape:
        raise ValueError(f"predictions have shape {guess.shape} and values {truth.shape}: give one of each a patient")
    return guess, truth, as_weights(weights, len(truth))


def _distinct(values: Floats, w: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Mask (R,) of draws whose patients have at least two different values."""
    drawn = w > 0
    top = np.where(drawn, values, -np.inf).max(axis=1, initial=-np.inf)
    low = np.where(drawn, values, np.inf).min(axis=1, initial=np.inf)
    return np.asarray(top > low, dtype=np.bool_)
