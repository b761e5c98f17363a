"""Metrics of a choice among each patient's own options.

Every function takes `probability` (n, K) float, zero where a patient has no such option, `code` (n,) the place of the
right option from 0, and `weights` (R, n) or None (see `weighted.as_weights`), and returns (R,) float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chiasm.metrics.scored import Scored
from chiasm.metrics.weighted import Floats, as_weights, ratio

TIED = 1e-9
LEAST = 1e-12


def credit(probability: Floats, code: NDArray[np.int_]) -> Floats:
    """Share of each patient's answer that is right, (n,): 1 if the most probable option is, 1 / t of t that are tied.

    So a model that says nothing scores as a guess does, wherever the right options stand.
    """
    best = probability >= probability.max(axis=1, keepdims=True) - TIED
    return np.asarray(best[np.arange(len(code)), code] / best.sum(axis=1), dtype=np.float64)


def accuracy(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Share of the patients whose most probable option is the right one; ties count by their share.

    Equals `sklearn.metrics.accuracy_score` of the argmax where nothing is tied.
    """
    p, y, w = _inputs(probability, code, weights)
    return ratio(w @ credit(p, y), w.sum(axis=1))


def log_loss(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Mean negative log probability of the right option, in nats; log K for a guess among K options.

    Equals `sklearn.metrics.log_loss` where all have the same number of options.
    """
    p, y, w = _inputs(probability, code, weights)
    return ratio(w @ -np.log(np.maximum(p[np.arange(len(y)), y], LEAST)), w.sum(axis=1))


def brier(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Mean over patients of the squared errors of the probabilities, summed over their options; 0 is best, 2 worst."""
    p, y, w = _inputs(probability, code, weights)
    return ratio(w @ ((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1), w.sum(axis=1))


def beyond_guessing(probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Accuracy as a share of the way from a guess to all right: `(accuracy - g) / (1 - g)`, g the mean of 1 / options.

    It compares questions of two and of five options (Brennan and Prediger 1981, kappa with uniform marginals).
    """
    p, y, w = _inputs(probability, code, weights)
    guess = ratio(w @ (1 / np.maximum((p > 0).sum(axis=1), 1)), w.sum(axis=1))
    return ratio(ratio(w @ credit(p, y), w.sum(axis=1)) - guess, 1 - guess)


def confidence_terms(s: Scored) -> Floats:
    """Probability of the option that is chosen, and whether it is right, (n, 1, 2); ties count by their share."""
    code = s.outcome.value.astype(np.intp)
    return np.stack([s.prediction.max(axis=1), credit(s.prediction, code)], axis=1)[:, None, :]


def losses(s: Scored) -> Floats:
    """Squared errors of the probabilities, and those of the same probability for each of the patient's options, (n, 2).

    A guess, and not the places of the training patients' right options, is what knowing nothing gives.
    """
    there = s.prediction > 0
    member = np.eye(s.prediction.shape[1])[s.outcome.value.astype(np.intp)]
    guess = there / np.maximum(there.sum(axis=1, keepdims=True), 1)
    return np.stack([((s.prediction - member) ** 2).sum(axis=1), ((guess - member) ** 2).sum(axis=1)], axis=1)


def _inputs(
    probability: ArrayLike, code: ArrayLike, weights: ArrayLike | None
) -> tuple[Floats, NDArray[np.int_], Floats]:
    p, y = np.asarray(probability, np.float64), np.asarray(code).astype(np.intp)
    if p.ndim != 2 or len(p) != len(y):
        raise ValueError(f"probabilities have shape {p.shape} for {len(y)} patients: give one row a patient")
    return p, y, as_weights(weights, len(y))
