"""Metrics of class probabilities.

Every function takes `probability` (n, K) float, `code` (n,) the index of each patient's class, and `weights` (R, n) or
None (see `weighted.as_weights`), and gives (R,) float64: one value a draw, NaN for a draw in which a class has nobody.
With two classes the second is the positive one; with more, the mean over one-vs-rest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chiasm.evaluation.weighted import Floats, as_weights, ratio, sum_ties, tie_starts

PROBABILITY_FLOOR = 1e-6
_NEWTON_STEPS = 100
_HALVINGS = 30


def auroc(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Area under the ROC curve: P(score of a member > score of another) + P(equal) / 2.

    Equals `sklearn.metrics.roc_auc_score`, for K > 2 with `multi_class="ovr", average="macro"`; the probabilities need
    not sum to one.
    """
    return _mean_over_classes(_binary_auroc, probability, code, weights)


def auprc(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Average precision, sum over thresholds of (recall gained) x (precision there).

    Equals `sklearn.metrics.average_precision_score` (macro for K > 2). Chance is the share of the class, not one half.
    """
    return _mean_over_classes(_binary_auprc, probability, code, weights)


def calibration_slope(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Slope of the unpenalised logistic regression of membership on logit(p); 1 is ideal, below 1 is overconfident.

    p is clipped to [1e-6, 1 - 1e-6]. NaN where no finite slope exists: one class, constant p, separable classes.
    Source: Cox 1958, "Two further applications of a model for binary regression", doi:10.1093/biomet/45.3-4.562.
    """
    return _mean_over_classes(_binary_slope, probability, code, weights)


def brier(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Mean squared error of the probabilities: (p_1 - y)^2 for two classes, the sum over classes for more.

    The one metric here that needs no member of each class; a draw without any patient is NaN.
    """
    p, y, w = _inputs(probability, code, weights)
    square = (p - np.eye(p.shape[1])[y]) ** 2  # (n, K)
    return ratio(w @ (square[:, 1] if p.shape[1] == 2 else square.sum(axis=1)), w.sum(axis=1))


def balanced_accuracy(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Mean over classes of the share of members whose most probable class is right (ties go to the first class).

    Equals `sklearn.metrics.balanced_accuracy_score` of the argmax, which averages over fewer classes when one is
    absent; we give NaN then, because the number would mean something else in each draw.
    """
    right, actual, _ = _counts(probability, code, weights)
    return np.asarray(ratio(right, actual).mean(axis=1), dtype=np.float64)


def macro_f1(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Mean over classes of F1 = 2 TP / (members + predicted), of the most probable class (ties go to the first).

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
    """(R, K) each: members predicted right, members, predicted."""
    p, y, w = _inputs(probability, code, weights)
    actual = np.eye(p.shape[1])[y]
    predicted = np.eye(p.shape[1])[p.argmax(axis=1)]
    return w @ (actual * predicted), w @ actual, w @ predicted


def _binary_auroc(score: Floats, member: NDArray[np.bool_], w: Floats) -> Floats:
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


def _binary_slope(score: Floats, member: NDArray[np.bool_], w: Floats) -> Floats:
    p = np.clip(score, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    x = np.log(p) - np.log1p(-p)
    slope = np.full(len(w), np.nan)
    rows = np.flatnonzero(_overlap(x, member, w))
    if len(rows):
        slope[rows] = _logistic_slope(x, member.astype(np.float64), w[rows])
    return slope


def _overlap(x: Floats, member: NDArray[np.bool_], w: Floats) -> NDArray[np.bool_]:
    """(R,): no threshold on x separates the classes, so that the maximum-likelihood slope exists and is finite."""
    inside, outside = (w > 0) & member, (w > 0) & ~member
    top_in, top_out = (np.where(side, x, -np.inf).max(axis=1, initial=-np.inf) for side in (inside, outside))
    low_in, low_out = (np.where(side, x, np.inf).min(axis=1, initial=np.inf) for side in (inside, outside))
    return np.asarray((top_out > low_in) & (top_in > low_out), dtype=np.bool_)


def _logistic_slope(x: Floats, y: Floats, w: Floats) -> Floats:
    """Newton's method for all draws together; a step that raises the loss of a draw is halved for that draw."""
    total = w.sum(axis=1)
    mean = (w @ x) / total
    spread = np.sqrt(np.maximum(w @ x**2 / total - mean**2, 1e-300))
    z = (x - mean[:, None]) / spread[:, None]  # (R, n): centred in each draw, for well-conditioned steps

    def loss(intercept: Floats, slope: Floats) -> Floats:
        eta = intercept[:, None] + slope[:, None] * z
        return np.asarray((w * (np.logaddexp(0, eta) - y * eta)).sum(axis=1) / total, dtype=np.float64)

    rate = (w @ y) / total
    a, b = np.log(rate / (1 - rate)), np.zeros(len(w))
    now = loss(a, b)
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(a[:, None] + b[:, None] * z, -500, 500)))
        residual, curvature = w * (y - p), w * p * (1 - p)
        g0, g1 = residual.sum(axis=1), (residual * z).sum(axis=1)
        h00, h01, h11 = curvature.sum(axis=1), (curvature * z).sum(axis=1), (curvature * z * z).sum(axis=1)
        determinant = h00 * h11 - h01**2
        da = np.nan_to_num(ratio(h11 * g0 - h01 * g1, determinant))
        db = np.nan_to_num(ratio(h00 * g1 - h01 * g0, determinant))
        step = np.ones(len(w))
        for _ in range(_HALVINGS):
            new = loss(a + step * da, b + step * db)
            worse = new > now + 1e-14 * np.maximum(now, 1.0)
            if not worse.any():
                break
            step[worse] /= 2
        a, b, now = a + step * da, b + step * db, new
        moved = np.abs(step * da) + np.abs(step * db)
        if bool(np.all(moved <= 1e-12 * (1 + np.abs(a) + np.abs(b)))):
            break
    settled = moved <= 1e-7 * (1 + np.abs(a) + np.abs(b))
    return np.where(settled, b / spread, np.nan)
