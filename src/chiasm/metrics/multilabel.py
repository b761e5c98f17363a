"""Metrics of label probabilities: the mean over labels, each over the patients whose label is known.

Every function takes `probability` (n, K) float, `label` (n, K) of 0, 1 and NaN for a missing cell, and `weights` (R, n)
or None (see `weighted.as_weights`), and returns (R,) float64: one value per draw. The mean is over the labels for which
the metric is defined in that draw (for AUROC and average precision, patients with and without the label are needed); it
is NaN when there is none. Over several folds each label is averaged by itself first (`estimates.mean_over_labels`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from chiasm.metrics import classification as classes_
from chiasm.metrics.weighted import Floats, as_weights, ratio

Binary = Callable[[ArrayLike, ArrayLike, ArrayLike | None], Floats]


def auroc(probability: ArrayLike, label: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Mean area under the ROC curve. Equals `sklearn.metrics.roc_auc_score(average="macro")`."""
    return _mean_over_labels(classes_.auroc, probability, label, weights)


def auprc(probability: ArrayLike, label: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Mean average precision. Equals `sklearn.metrics.average_precision_score(average="macro")`."""
    return _mean_over_labels(classes_.auprc, probability, label, weights)


def brier(probability: ArrayLike, label: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Mean over labels of the mean squared error of the probability."""
    return _mean_over_labels(classes_.brier, probability, label, weights)


def _mean_over_labels(binary: Binary, probability: ArrayLike, label: ArrayLike, weights: ArrayLike | None) -> Floats:
    p, y = np.asarray(probability, dtype=np.float64), np.asarray(label, dtype=np.float64)
    if p.ndim != 2 or p.shape != y.shape:
        raise ValueError(f"probabilities have shape {p.shape} and labels {y.shape}: give patients x labels of both")
    w = as_weights(weights, len(y))
    total, counted = np.zeros(len(w)), np.zeros(len(w))
    for k in range(y.shape[1]):
        rows = np.flatnonzero(~np.isnan(y[:, k]))
        code = y[rows, k].astype(np.intp)
        value = binary(np.stack([1 - p[rows, k], p[rows, k]], axis=1), code, w[:, rows])
        total += np.nan_to_num(value)
        counted += np.isfinite(value)
    return ratio(total, counted)
