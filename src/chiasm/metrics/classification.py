"""Metrics of class probabilities.

Every function takes `probability` (n, K) float, `code` (n,) the index of each patient's class, and `weights` (R, n) or
None (see `weighted.as_weights`), and returns (R,) float64: one value per draw, NaN for a draw in which a class has no
patient. With two classes the second is the positive one; with more, metrics are means over one-vs-rest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chiasm.metrics.weighted import Floats, as_weights, ratio, sum_ties, tie_starts


def auroc(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Area under the ROC curve: P(score of a member > score of a non-member) + P(equal) / 2.

    Equals `sklearn.metrics.roc_auc_score`, for K > 2 with `multi_class="ovr", average="macro"`; the probabilities need
    not sum to one.
    """
    return _mean_over_classes(weighted_auroc, probability, code, weights)


def auprc(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Average precision, sum over thresholds of (recall gained) x (precision there).

    Equals `sklearn.metrics.average_precision_score` (macro for K > 2). Chance is the share of the class, not one half.
    """
    return _mean_over_classes(_binary_auprc, probability, code, weights)


def brier(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Mean squared error of the probabilities: (p_1 - y)^2 for two classes, the sum over classes for more.

    Unlike the other metrics, it does not need a member of each class; a draw without any patient is NaN.
    """
    p, y, w = _inputs(probability, code, weights)
    square = (p - np.eye(p.shape[1])[y]) ** 2  # (n, K)
    return ratio(w @ (square[:, 1] if p.shape[1] == 2 else square.sum(axis=1)), w.sum(axis=1))


def balanced_accuracy(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Mean over classes of the share of members whose most probable class is right (ties go to the first class).

    Equals `sklearn.metrics.balanced_accuracy_score` of the argmax, which averages over fewer classes when one is
    absent; we return NaN then, because the number would mean something else in each draw.
    """
    right, actual, _ = _counts(probability, code, weights)
    return np.asarray(ratio(right, actual).mean(axis=1), dtype=np.float64)


def macro_f1(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Mean over classes of F1 = 2 TP / (members + predicted) for the most probable class (ties go to the first).

    Equals `sklearn.metrics.f1_score(average="macro")` of the argmax; NaN when a class is absent, as above.
    """
    right, actual, predicted = _counts(probability, code, weights)
    f1 = np.where(actual > 0, ratio(2 * right, actual + predicted), np.nan)
    return np.asarray(f1.mean(axis=1), dtype=np.float64)


def _inputs(
    probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None
) -> tuple[Floats, NDArray[np.intp], Floats]:
    p = np.asarray(probability, dtype=np.float64)
    y = np.asarray(code).astype(np.intp)
    if p.ndim != 2 or p.shape[1] < 2 or len(p) != len(y):
        raise ValueError(
            f"probabilities have shape {p.shape}: give one row for each of {len(y)} patients, 2 or more columns"
        )
    if len(y) and (y.min() < 0 or y.max() >= p.shape[1]):
        raise ValueError(f"class codes run from {y.min()} to {y.max()}: they must lie in 0..{p.shape[1] - 1}")
    return p, y, as_weights(weights, len(y))


def _mean_over_classes(
    binary: Callable[[Floats, NDArray[np.bool_], Floats], Floats],
    probability: ArrayLike,
    code: ArrayLike,
    weights: ArrayLike | None,
) -> Floats:
    p, y, w = _inputs(probability, code, weights)
    if p.shape[1] == 2:
        return binary(p[:, 1], y == 1, w)
    return np.asarray(np.mean([binary(p[:, k], y == k, w) for k in range(p.shape[1])], axis=0), dtype=np.float64)


def _counts(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Weighted counts per class, (R, K) each: members predicted right, members, and predictions."""
    p, y, w = _inputs(probability, code, weights)
    actual = np.eye(p.shape[1])[y]
    predicted = np.eye(p.shape[1])[p.argmax(axis=1)]
    return w @ (actual * predicted), w @ actual, w @ predicted


def weighted_auroc(score: Floats, member: NDArray[np.bool_], w: Floats) -> Floats:
    """Area under the ROC curve of `score` (n,), (R,), for (R, n) weights that need not be counts."""
    order = np.argsort(score, kind="stable")
    starts = tie_starts(score[order])
    sorted_w = w[:, order]
    inside = sum_ties(sorted_w * member[order], starts)  # (R, G)
    outside = sum_ties(sorted_w * ~member[order], starts)
    below = np.cumsum(outside, axis=1) - outside
    return ratio((inside * (below + outside / 2)).sum(axis=1), inside.sum(axis=1) * outside.sum(axis=1))


def _binary_auprc(score: Floats, member: NDArray[np.bool_], w: Floats) -> Floats:
    order = np.argsort(-score, kind="stable")
    starts = tie_starts(score[order])
    sorted_w = w[:, order]
    inside = sum_ties(sorted_w * member[order], starts)  # (R, G)
    total = sum_ties(sorted_w, starts)
    precision = np.nan_to_num(ratio(np.cumsum(inside, axis=1), np.cumsum(total, axis=1)))
    members, everyone = inside.sum(axis=1), total.sum(axis=1)
    return np.where(members < everyone, ratio((inside * precision).sum(axis=1), members), np.nan)
