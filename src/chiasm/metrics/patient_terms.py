"""Per-patient terms of the pooled metrics, which can be stacked over several folds.

Each function takes the `Scored` of one fold and returns (n, ...) float64, NaN where a term is unknown. What depends on
the fold, such as the prior and censoring of its training patients, is already part of the terms.
"""

from __future__ import annotations

import numpy as np

from chiasm.metrics.calibration import Measure, over_columns
from chiasm.metrics.scored import Scored
from chiasm.metrics.survival import integrated_losses
from chiasm.metrics.time_dependent import null_risk
from chiasm.metrics.weighted import Floats, ratio


def probabilities(s: Scored) -> Floats:
    """Probability and membership of each class (of two only the second) or label, (n, K, 2); NaN if unknown."""
    if s.outcome.value.ndim == 2:
        return np.stack([s.prediction, s.outcome.value], axis=2)
    member = np.eye(s.prediction.shape[1])[s.outcome.value.astype(np.intp)]
    both = np.stack([s.prediction, member], axis=2)
    return both[:, 1:] if s.prediction.shape[1] == 2 else both


def calibration(measure: Measure, terms: Floats, weights: Floats, *, skip: bool) -> Floats:
    """Average a measure over classes or labels, from the terms above; see `metrics.calibration.over_columns`."""
    return over_columns(measure, terms[:, :, 0], terms[:, :, 1], weights, skip=skip)


def class_losses(s: Scored) -> Floats:
    """Squared error of the probabilities, and of the classes' shares among the training patients, (n, 2)."""
    k = s.prediction.shape[1]
    member = np.eye(k)[s.outcome.value.astype(np.intp)]
    null = np.full(k, np.nan) if s.train is None else _shares(s.train.value, k)
    square = np.stack([(s.prediction - member) ** 2, (null - member) ** 2], axis=2)  # (n, K, 2)
    return np.asarray(square[:, 1] if k == 2 else square.sum(axis=1), dtype=np.float64)


def label_losses(s: Scored) -> Floats:
    """Squared error for each label, and that of its share in the training set, (n, K, 2); NaN if unknown."""
    known = s.outcome.value
    null = np.full(known.shape[1], np.nan)
    if s.train is not None:
        seen = ~np.isnan(s.train.value)
        null = ratio(np.where(seen, s.train.value, 0.0).sum(axis=0), seen.sum(axis=0))
    return np.stack([(s.prediction - known) ** 2, (null - known) ** 2], axis=2)


def number_losses(s: Scored) -> Floats:
    """Squared error, and that of the mean of the training patients, (n, 2)."""
    value = s.outcome.value
    null = np.nan if s.train is None or not len(s.train.value) else float(s.train.value.mean())
    return np.stack([(s.prediction - value) ** 2, (null - value) ** 2], axis=1)


def survival_losses(s: Scored) -> Floats:
    """Contribution of each patient to the integrated Brier score, and to that of the training patients' own, (n, 2)."""
    train = s.train
    if s.survival is None or s.times is None or train is None or train.event is None or s.outcome.event is None:
        return np.full((len(s.prediction), 2), np.nan)
    test = (s.outcome.value, s.outcome.event)
    null = 1 - null_risk(train, s.times)
    return integrated_losses(s.survival, s.times, *test, train.value, train.event, s.outcome.main_event, null)


def integrated(terms: Floats, weights: Floats) -> Floats:
    """Mean of the first of (n, 2) terms."""
    return ratio(weights @ terms[:, 0], weights.sum(axis=1))


def scaled(terms: Floats, weights: Floats) -> Floats:
    """One minus loss / loss of the null model, from (n, 2) terms: 1 is perfect, 0 as good as the training prior.

    For probabilities it is the index of prediction accuracy, or scaled Brier score; for numbers the R^2 against the
    training mean. NaN where a patient's term is NaN. Source: Kattan and Gerds 2018, doi:10.1186/s41512-018-0029-2.
    """
    sums = weights @ terms
    return 1 - ratio(sums[:, 0], sums[:, 1])


def scaled_labels(terms: Floats, weights: Floats) -> Floats:
    """Average `scaled` over labels, each over the patients whose label is known."""
    return over_columns(
        lambda loss, null, w: scaled(np.stack([loss, null], axis=1), w), terms[:, :, 0], terms[:, :, 1], weights
    )


def pairs_of_numbers(s: Scored) -> Floats:
    """Prediction and value of each patient, (n, 2)."""
    return np.stack([s.prediction, s.outcome.value], axis=1)


def number_intercept(terms: Floats, weights: Floats) -> Floats:
    """Mean of value - prediction, the slope held at 1; 0 is ideal."""
    return ratio(weights @ (terms[:, 1] - terms[:, 0]), weights.sum(axis=1))


def number_slope(terms: Floats, weights: Floats) -> Floats:
    """Slope of the least-squares line of value on prediction; 1 is ideal; NaN where the predictions are all equal."""
    guess, truth = (terms - terms.mean(axis=0)).T
    total = weights.sum(axis=1)
    mean, level = ratio(weights @ guess, total), ratio(weights @ truth, total)
    spread = ratio(weights @ guess**2, total) - mean**2
    product = ratio(weights @ (guess * truth), total) - mean * level
    return ratio(product, np.where(spread > 1e-12 * max(float((guess**2).mean()), 1e-300), spread, 0.0))


def _shares(code: Floats, k: int) -> Floats:
    counts = np.bincount(code.astype(np.intp), minlength=k).astype(np.float64)
    return ratio(counts, counts.sum())
