"""Means with intervals, or "not estimable", from metric values in folds and bootstrap draws.

Draws of shape (J, 0) are those of patients who cannot be drawn again, because all of a fold are of one unit that is
drawn whole: there is a mean, and no interval. How patients are drawn never decides which labels are in a mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.metrics.weighted import Floats
from chiasm.shown import interval

CONFIDENCE = 0.95
MAX_MISSING = 0.2
"""Largest tolerated share of missing values over folds or draws; above it a mean or interval is not estimable."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; NaN and "not estimable" with too little data, or "no interval" beside a value."""

    mean: float
    low: float
    high: float

    @property
    def estimable(self) -> bool:
        """True if there is a value."""
        return bool(np.isfinite(self.mean))

    @property
    def bounded(self) -> bool:
        """True if there is a value with its interval."""
        return bool(np.isfinite([self.mean, self.low, self.high]).all())

    def __str__(self) -> str:
        return interval(self.mean, self.low, self.high)


ENDS = ("", "_low", "_high")
"""Behind the name of a measure, its columns of a table: the mean and the ends of its interval."""


def columns_of(measure: str, own: Estimate) -> dict[str, float]:
    """A measure's columns of a row."""
    return {measure + end: value for end, value in zip(ENDS, (own.mean, own.low, own.high), strict=True)}


NOT_KNOWN = Estimate(np.nan, np.nan, np.nan)


def estimate(point: Floats, draws: Floats) -> Estimate:
    """Average `point` (J, 1) over folds, with the percentile interval of `draws` (J, R)."""
    return estimate_of(float(mean_over_folds(point)[0]), mean_over_folds(draws))


def estimate_of(mean: float, drawn: Floats) -> Estimate:
    """Put a mean beside the percentile interval of its draws (R,); NaN unless all exist, but for R = 0."""
    if not np.isfinite(mean):
        return NOT_KNOWN
    if not len(drawn):
        return Estimate(mean, np.nan, np.nan)
    low, high = percentile_interval(drawn)
    return Estimate(mean, low, high) if np.isfinite([low, high]).all() else NOT_KNOWN


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
    easier labels; shares are scaled so that their mean, over the folds in which a label has a value, is
    the overall mean. A label whose mean cannot be estimated from the patients themselves is left out; if none remains,
    all values are NaN. The draws do not decide which labels are in the mean, only whether it has an interval
    (`draws_of_labels`).
    """
    kept = [(point[:, 0], drawn) for point, drawn in values if np.isfinite(mean_over_folds(point)[0])]
    if not kept:
        return np.full(len(values[0][0]), np.nan), np.full(values[0][1].shape[1], np.nan)
    points = np.stack([point for point, _ in kept])  # (K, J)
    told = ~np.isnan(points)
    some = told.any(axis=0)  # folds in which a label has a value: whoever averages the shares leaves out the others
    share = np.where(told, points, 0.0) * some.sum() / told.sum(axis=1, keepdims=True)
    return np.where(some, share.mean(axis=0), np.nan), draws_of_labels([drawn for _, drawn in kept])


def draws_of_labels(values: Sequence[Floats]) -> Floats:
    """Average the draws (J, R) of several labels, giving (R,) means; NaN in a draw that lacks one of the labels.

    R = 0, no interval, where a label cannot be drawn again, or where more than a fifth of the draws lack one.
    """
    if not all(drawn.shape[1] for drawn in values):
        return np.zeros(0)
    means = np.stack([mean_over_folds(drawn) for drawn in values]).mean(axis=0)
    return means if np.isnan(means).mean() <= MAX_MISSING else np.zeros(0)


def estimate_of_labels(values: Sequence[tuple[Floats, Floats]]) -> Estimate:
    """Estimate the mean over labels with its percentile interval."""
    share, drawn = mean_over_labels(values)
    return estimate_of(float(mean_over_folds(share[:, None])[0]), drawn)
