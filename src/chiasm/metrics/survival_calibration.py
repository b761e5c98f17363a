"""Calibration of survival predictions at a horizon, over all patients tested in one repeat.

At a horizon t the outcome is the event by t. A patient for whom it is known has weight 1 / G (`censoring.seen_by`),
where G is the censoring survival of the training patients of the same fold. With these weights the measures are those
of `metrics.calibration`. Each function takes `terms` (n, 4): risk by t, event by t, weight, the null model's risk; and
counts (R, n). Austin, Harrell and van Klaveren (2020, doi:10.1002/sim.8570) smooth by a Cox model with restricted cubic
splines of log(-log(1 - risk)) instead, which cannot pool folds that each have their own horizon.
"""

from __future__ import annotations

import numpy as np

from chiasm.metrics.calibration import Measure
from chiasm.metrics.weighted import Floats, ratio


def at_horizon(measure: Measure, terms: Floats, weights: Floats) -> Floats:
    """Apply a measure of `metrics.calibration` to patients whose event by the horizon is known, with their weights."""
    known = bool(np.isfinite(terms[:, 2]).all())
    rows = np.flatnonzero(terms[:, 2] > 0) if known else np.zeros(0, dtype=np.intp)
    risk, died, seen = terms[rows, :3].T
    return measure(risk, died, weights[:, rows] * seen)


def observed_expected_at(terms: Floats, weights: Floats) -> Floats:
    """Observed share with the event by the horizon, over the mean risk of all patients, the censored included.

    The share is weighted by the inverse probability of not being censored; where G comes from the same patients it is
    one minus their Kaplan-Meier survival.
    """
    risk, died, seen, _ = terms.T
    return ratio(weights @ (died * seen), weights @ risk)


def ipa_at(terms: Floats, weights: Floats) -> Floats:
    """Index of prediction accuracy at a horizon: 1 - Brier / Brier of the null model.

    Equals `IPA` of `riskRegression::Score`, whose null model and censoring come from the patients it scores; ours come
    from the training patients.

    Source: Kattan and Gerds 2018, doi:10.1186/s41512-018-0029-2.
    """
    risk, died, seen, null = terms.T
    return 1 - ratio(weights @ (seen * (died - risk) ** 2), weights @ (seen * (died - null) ** 2))
