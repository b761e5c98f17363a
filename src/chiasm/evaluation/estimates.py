"""Means with intervals, or "not estimable", from metric values in folds and bootstrap draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.metrics.scores import NOT_ESTIMABLE
from chiasm.metrics.weighted import Floats, ratio

CONFIDENCE = 0.95
MAX_MISSING = 0.2
"""Largest tolerated share of missing values over folds or draws; above it a mean or interval is not estimable."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; with too little data all three are NaN and the text is "not estimable"."""

    mean: float
    low: float
    high: float

    @property
    def estimable(self) -> bool:
        return bool(np.isfinite([self.mean, self.low, self.high]).all())

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})" if self.estimable else NOT_ESTIMABLE


def estimate(point: Floats, draws: Floats) -> Estimate:
    """Average `point` (J, 1) over folds, with the percentile interval of `draws` (J, R); NaN unless all exist."""
    mean = float(mean_over_folds(point)[0])
    low, high = percentile_interval(mean_over_folds(draws))
    if not np.isfinite([mean, low, high]).all():
        return Estimate(np.nan, np.nan, np.nan)
    return Estimate(mean, low, high)


def mean_over_folds(values: Floats) -> Floats:
    """Average (J, R) values over the folds, giving (R,) means.

    A fold without a value in a draw is skipped in that draw. When more than a fifth of all values are missing, the
    means are NaN, because the remaining folds would be a selection.
    """
    missing = np.isnan(values)
    if values.size == 0 or missing.mean() > MAX_MISSING:
        return np.full(values.shape[1], np.nan)
    present = (~missing).sum(axis=0)
    total = np.where(missing, 0.0, values).sum(axis=0)
    return np.where(present > 0, total / np.maximum(present, 1), np.nan)


def percentile_interval(draws: Floats, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Percentile interval of (R,) draws; NaN when more than a fifth of them are missing."""
    present = draws[np.isfinite(draws)]
    if len(present) == 0 or len(present) < (1 - MAX_MISSING) * len(draws):
        return np.nan, np.nan
    low, high = np.quantile(present, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def mean_over_labels(values: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Average the `fold_values` of several labels: the share of each fold (J,), and the mean in each draw (R,).

    Each label is averaged over its folds first, so that a label missing from a fold or draw does not leave the mean to
    easier labels; the shares of the folds are scaled so that their mean is the overall mean. A label whose mean or
    interval cannot be estimated is left out; if none remains, all values are NaN.
    """
    kept = [(point[:, 0], mean_over_folds(drawn)) for point, drawn in values if estimate(point, drawn).estimable]
    if not kept:
        return np.full(len(values[0][0]), np.nan), np.full(values[0][1].shape[1], np.nan)
    points = np.stack([point for point, _ in kept])  # (K, J)
    told = ~np.isnan(points)
    share = np.where(told, points, 0.0) * points.shape[1] / told.sum(axis=1, keepdims=True)
    drawn = np.stack([means for _, means in kept])  # (K, R)
    known = ~np.isnan(drawn)
    return (
        np.where(told.any(axis=0), share.mean(axis=0), np.nan),
        ratio(np.where(known, drawn, 0.0).sum(axis=0), known.sum(axis=0)),
    )


def estimate_of_labels(values: Sequence[tuple[Floats, Floats]]) -> Estimate:
    """Estimate the mean over labels with its percentile interval."""
    share, drawn = mean_over_labels(values)
    low, high = percentile_interval(drawn)
    found = np.array([np.nansum(share) / len(share), low, high])
    return Estimate(*(found if np.isfinite(found).all() and np.isfinite(share).any() else np.full(3, np.nan)).tolist())
