"""Time ranges that the survival metrics depend on, reported beside the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from chiasm.evaluation.intervals import TestFold
from chiasm.metrics.scores import horizons_of, uno_tau


@dataclass(frozen=True)
class Span:
    """Smallest and largest value of one time over the folds, in the unit of the target."""

    low: float
    high: float


@dataclass(frozen=True)
class SurvivalSpans:
    """Ranges of Uno's truncation time, and of the first and last horizon of the integrated Brier score.

    The horizons are None where the recipe predicts no survival.
    """

    uno_tau: Span
    first_horizon: Span | None
    last_horizon: Span | None


def survival_spans(folds: Sequence[TestFold], predictions: Sequence[pd.DataFrame]) -> SurvivalSpans:
    """Collect the time ranges of one recipe over its folds, which may differ in their times.

    Args:
        folds: J test folds, one or more.
        predictions: J frames, aligned with the folds.
    """
    horizons = [horizons_of(frame) for frame in predictions]
    some = [of for of in horizons if of]
    return SurvivalSpans(
        _span([uno_tau(fold.train) for fold in folds]),
        _span([of[0] for of in some]) if some else None,
        _span([of[-1] for of in some]) if some else None,
    )


def _span(times: Sequence[float]) -> Span:
    return Span(float(np.min(times)), float(np.max(times)))
