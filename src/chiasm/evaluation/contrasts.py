"""Contrast between two sets of predictions: a difference in each test fold and draw, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats  # type: ignore[import-untyped]

from chiasm.evaluation.estimates import CONFIDENCE, MAX_MISSING, mean_over_folds, mean_over_labels, percentile_interval
from chiasm.evaluation.intervals import Counts, TestFold, all_redrawn, fold_values, one_label, redrawn
from chiasm.evaluation.within import Strata, within
from chiasm.metrics.scores import PRIMARY
from chiasm.metrics.weighted import Floats
from chiasm.targets import kind_of

Values = list[tuple[Floats, Floats]]
"""Primary metric of some predictions: one pair per label of its values in folds (J, 1) and in draws (J, R)."""

ROUNDING = 1e-9  # metrics that differ by less than this in every fold and draw come from equal rankings


@dataclass(frozen=True)
class Contrast:
    """Difference between two primary metrics with its 95 % interval; all NaN where it is not estimable.

    The ends alone are NaN where there is no interval: one fold, whose patients are of one group or of too few.

    `same` is True if the difference is zero in every fold and every draw, because both sides rank the patients alike
    (for regression: predict the same); it is then zero by construction, and its interval says nothing. `corrected` and
    `bootstrap` are the two intervals, of which the wider was taken.
    """

    mean: float
    low: float
    high: float
    same: bool = False
    corrected: tuple[float, float] = field(default=(math.nan, math.nan), compare=False)
    bootstrap: tuple[float, float] = field(default=(math.nan, math.nan), compare=False)

    @property
    def estimable(self) -> bool:
        """True if there is a difference."""
        return math.isfinite(self.mean)

    @property
    def bounded(self) -> bool:
        """True if there is a difference with its interval."""
        return math.isfinite(self.mean) and math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def numbers(self) -> tuple[float, float, float]:
        return self.mean, self.low, self.high


UNKNOWN = Contrast(math.nan, math.nan, math.nan)


def whole_values(
    kind: str, folds: Sequence[TestFold], frames: Sequence[pd.DataFrame], classes: Sequence[str], draws: Counts
) -> Values:
    """Compute the primary metric over all tested patients of each fold."""
    name = PRIMARY[kind]
    if not kind_of(kind).has_labels:
        return [fold_values(kind, folds, frames, classes, draws, [name])[name]]
    labels = range(len(classes))
    return [fold_values(kind, *one_label(folds, frames, classes, k), draws, [name])[name] for k in labels]


def within_values(
    kind: str,
    folds: Sequence[TestFold],
    frames: Sequence[pd.DataFrame],
    classes: Sequence[str],
    draws: Counts,
    strata: Sequence[Strata],
) -> Values:
    """Compute the primary metric within strata of each fold."""
    labels: list[int | None] = list(range(len(classes))) if kind_of(kind).has_labels else [None]
    values = []
    for label in labels:
        own_folds, own_frames, own_classes = (
            (list(folds), list(frames), list(classes)) if label is None else one_label(folds, frames, classes, label)
        )
        columns = [own if label is None else own[:, [label]] for own in strata]
        judged = [
            fold.take(np.asarray((column >= 0).any(axis=1))) for fold, column in zip(own_folds, columns, strict=True)
        ]
        parts = list(zip(own_folds, own_frames, columns, strict=True))
        points = np.stack(
            [within(kind, frame, fold.outcome, own_classes, column, train=fold.train) for fold, frame, column in parts]
        )
        can_be_drawn = all_redrawn(points, [redrawn(draws, [fold]) for fold in judged])
        drawn = []
        for fold, frame, column in parts:
            weights = draws[:, fold.patients].astype(np.float64)
            own = (kind, frame, fold.outcome, own_classes, column, weights, fold.train)
            drawn.append(within(*own) if can_be_drawn else np.zeros(0))
        values.append((points, np.stack(drawn)))
    return values


def chosen(values: Sequence[Values]) -> Values:
    """Combine the values of the recipe picked in each fold: fold j is taken from item j of `values`."""
    labels = range(len(values[0]))
    return [
        (
            np.stack([own[label][0][j] for j, own in enumerate(values)]),
            np.stack([own[label][1][j] for j, own in enumerate(values)]),
        )
        for label in labels
    ]


def contrast(ours: Values, theirs: Values, *, n_test: float, n_train: float) -> Contrast:
    """Estimate ours minus theirs: the mean over folds, with the wider of two 95 % intervals.

    The corrected resampled t interval reflects the sampling of training sets, the bootstrap that of tested patients.
    With one fold there is only the bootstrap; where the patients of a fold are of one group, and cannot be drawn, or a
    label is missing in too many draws, only the other. A fold without a value is left out; if more than a fifth of the
    folds are missing, the contrast is not estimable.

    Args:
        n_test, n_train: mean numbers of test and training patients per fold.
    """
    apart = [(a[0] - b[0], a[1] - b[1]) for a, b in zip(ours, theirs, strict=True)]
    same = all(_no_difference(part) for pair in apart for part in pair)
    if len(apart) == 1:
        d, drawn = apart[0][0][:, 0], mean_over_folds(apart[0][1])
    else:
        d, drawn = mean_over_labels(apart)
    known = d[np.isfinite(d)]
    if not len(known) or len(known) < (1 - MAX_MISSING) * len(d):
        return Contrast(math.nan, math.nan, math.nan, same)
    corrected, bootstrap = corrected_interval(known, n_test, n_train), percentile_interval(drawn)
    drawable = len(drawn) > 0
    low, high = wider(corrected, bootstrap) if drawable else corrected
    if math.isnan(low) and drawable:
        return Contrast(math.nan, math.nan, math.nan, same)
    return Contrast(float(known.mean()), low, high, same, corrected, bootstrap)


def _no_difference(values: Floats) -> bool:
    known = values[np.isfinite(values)]
    return values.shape[1] == 0 or (len(known) > 0 and bool(np.all(np.abs(known) < ROUNDING)))


def corrected_interval(
    differences: Floats, n_test: float, n_train: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Corrected resampled t interval for the mean of (J,) differences, NaN for fewer than two folds.

        mean +- t_{J-1} sqrt((1 / J + n_test / n_train) s^2)

    Source: Nadeau and Bengio 2003, doi:10.1023/A:1024068626366; training sets overlap, which 1 / J alone ignores.
    """
    folds = len(differences)
    if folds < 2:
        return math.nan, math.nan
    error = math.sqrt((1 / folds + n_test / n_train) * float(differences.var(ddof=1)))
    half = float(stats.t.ppf((1 + confidence) / 2, folds - 1)) * error
    return float(differences.mean()) - half, float(differences.mean()) + half


def wider(corrected: tuple[float, float], bootstrap: tuple[float, float]) -> tuple[float, float]:
    """Return the wider interval; NaN without a bootstrap, and the bootstrap if there is only one fold."""
    if math.isnan(bootstrap[0]) or math.isnan(corrected[0]):
        return bootstrap
    return corrected if corrected[1] - corrected[0] > bootstrap[1] - bootstrap[0] else bootstrap
