"""Calibration of probabilities: in the large, in slope, and along their whole range.

Every function takes `probability` (n,) of an outcome, `happened` (n,) of 0 and 1, and `weights` (R, n): bootstrap
counts, for censored data multiplied by the inverse probability of not being censored. It returns (R,) float64: one
value per draw, NaN for a draw in which it is undefined. With more than two classes each is taken against the rest, and
labels are taken one by one; `over_columns` is the mean over them.

The measures describe all patients that were tested in one repeat of a cross-validation together: a slope within a fold
of twenty patients can be anything, and the mean of such slopes is not a slope.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chiasm.metrics.logistic import logistic_line, logistic_shift, logit
from chiasm.metrics.smoothing import lowess
from chiasm.metrics.weighted import Floats, ratio

Measure = Callable[[Floats, Floats, Floats], Floats]
Terms = Callable[[Floats, Floats], Floats]

E_SHARE = 0.9
_CELLS = 1_000_000  # draws x patients smoothed at once


def calibration_intercept(probability: Floats, happened: Floats, weights: Floats) -> Floats:
    """Calibration in the large: the a of logit P(happened) = a + logit(p); 0 is ideal, above 0 p is too low.

    The slope is held at 1. The `Intercept` of `rms::val.prob` is that of the line with a free slope, which says nothing
    by itself; ours equals `glm(y ~ offset(qlogis(p)), binomial)`. p is clipped to [1e-6, 1 - 1e-6]. NaN where all
    patients are of one class.

    Source: Cox 1958, doi:10.1093/biomet/45.3-4.562; Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7.
    """
    return logistic_shift(logit(probability), happened, weights)


def calibration_slope(probability: Floats, happened: Floats, weights: Floats) -> Floats:
    """Slope of the unpenalised logistic regression of `happened` on logit(p); 1 is ideal, below 1 overconfident.

    Equals the `Slope` of `rms::val.prob`. p is clipped to [1e-6, 1 - 1e-6]. NaN where no finite slope exists: one
    class, constant p, separable classes.

    Source: Cox 1958, "Two further applications of a model for binary regression", doi:10.1093/biomet/45.3-4.562.
    """
    return logistic_line(logit(probability), happened, weights)[1]


def observed_expected(probability: Floats, happened: Floats, weights: Floats) -> Floats:
    """Observed number of events over the number expected, sum of p; 1 is ideal, above 1 p is too low."""
    return ratio(weights @ happened, weights @ probability)


def ici(probability: Floats, happened: Floats, weights: Floats) -> Floats:
    """Integrated calibration index: mean distance of p from the smoothed share of patients with the event.

    The curve is `smoothing.lowess`. Equals `Eavg` of `rms::val.prob`.

    Source: Austin and Steyerberg 2019, doi:10.1002/sim.8281.
    """
    index: Floats = distances(probability, happened, weights)[0]
    return index


def e90(probability: Floats, happened: Floats, weights: Floats) -> Floats:
    """90th percentile of the distance whose mean is `ici`. Equals `E90` of `rms::val.prob`.

    The quantile is `weighted_quantile`.
    """
    quantile: Floats = distances(probability, happened, weights)[1]
    return quantile


def distances(probability: Floats, happened: Floats, weights: Floats) -> Floats:
    """Compute `ici` and `e90`, (2, R), which share the smoothing, a block of draws at a time."""
    n = len(probability)
    if n < 2:
        return np.full((2, len(weights)), np.nan)
    found = []
    step = max(1, _CELLS // n)
    for begin in range(0, len(weights), step):
        block = weights[begin : begin + step]
        apart = np.abs(probability - lowess(probability, happened, block))  # (r, n)
        mean = ratio(np.einsum("rn,rn->r", block, apart), block.sum(axis=1))
        found.append(np.stack([mean, weighted_quantile(apart, block, E_SHARE)]))
    return np.concatenate(found, axis=1)


def over_columns(
    measure: Measure, predicted: Floats, observed: Floats, weights: Floats, *, skip: bool = True
) -> Floats:
    """Average a measure over the columns of (n, K) predictions, each over the patients whose outcome is known.

    Args:
        measure: one of the functions above.
        predicted, observed: (n, K); NaN where the outcome is unknown.
        weights: (R, n).
        skip: leave out a column without a value in that draw, as for labels; otherwise the draw has no value, as for
            classes.

    Returns:
        (R,), or the shape that the measure returns; NaN where no column has a value.
    """
    values = []
    for p, y in zip(predicted.T, observed.T, strict=True):
        rows = np.flatnonzero(~np.isnan(y))
        values.append(measure(p[rows], y[rows], weights[:, rows]))
    stacked = np.stack(values)  # (K, ..., R)
    if not skip:
        return np.asarray(stacked.mean(axis=0), dtype=np.float64)
    known = np.isfinite(stacked)
    return ratio(np.where(known, stacked, 0.0).sum(axis=0), known.sum(axis=0))


def weighted_quantile(values: Floats, weights: Floats, share: float) -> Floats:
    """Quantile (R,) of (R, n) values that occur as often as their (R, n) weights say.

    For counts it is R's type 7: the value at place share (m - 1) of m sorted ones, interpolated, where a value of
    count c fills c places. With other weights each value stands at the sum of the weights before it.
    """
    order = np.argsort(values, axis=1)
    ordered, w = np.take_along_axis(values, order, axis=1), np.take_along_axis(weights, order, axis=1)
    counts = bool(np.all(weights == np.floor(weights)))
    out = np.full(len(values), np.nan)
    for r in np.flatnonzero((w > 0).any(axis=1)):
        some = w[r] > 0
        value, weight = ordered[r, some], w[r, some]
        place = np.cumsum(weight) - weight
        if counts:
            place, value = np.stack([place, place + weight - 1], axis=1).ravel(), np.repeat(value, 2)
        out[r] = np.interp(share * place[-1], place, value)
    return out
