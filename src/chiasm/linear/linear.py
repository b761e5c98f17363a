"""Convex linear predictors along a path of ridge penalties: Cox, logistic and least squares, in one convention.

Every fit minimises a sum over patients plus a ridge, so a penalty means the same for every kind of target:

    sum_i loss_i(features_i @ coef + intercept) + penalty / 2 * |coef|^2          (the intercept is free)

with the Cox partial likelihood (Efron's ties), the multinomial log loss, or half the squared error as the loss. Each
label has its own logistic regression, on the patients whose label is known, all with one penalty.
With more features than patients the solution lies in the row space of the features, so the fit is done there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg  # type: ignore[import-untyped]

from chiasm.artifact import storable
from chiasm.cohort.targets import Outcome
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.logistic import fit_ridge_logistic
from chiasm.linear.moments import Moments, worth_summing
from chiasm.linear.ridge_cox import Array, RiskSets, breslow, checked, cox_nll, fit_ridge_cox, row_space, survival_at
from chiasm.linear.shared_rows import Rows, SharedRows, checked_rows

__all__ = [
    "Linear",
    "breslow",
    "cox_nll",
    "deviance",
    "fit_path",
    "fit_ridge",
    "fit_ridge_cox",
    "fit_ridge_logistic",
    "information",
    "nll",
    "survival_at",
]


@storable("linear")
@dataclass(frozen=True)
class Linear:
    """A fitted linear predictor: `kind` of target, `coef` (F, K), `intercept` (K,); K > 1 for classes and labels."""

    kind: str
    coef: Array
    intercept: Array

    def linear_predictor(self, features: Rows) -> Array:
        """Logits, mean or log risk of each patient, shape (n, K), from features of shape (n, F)."""
        if isinstance(features, SharedRows):
            return features @ self.coef + self.intercept
        return np.asarray(np.asarray(features, np.float64) @ self.coef + self.intercept)


def fit_path(
    kind: str, features: Rows, outcome: Outcome, penalties: Sequence[float], *, classes: int | None = None
) -> list[Linear]:
    """Fit one linear predictor per penalty, warm-started from the largest penalty to the smallest.

    Args:
        kind: "classification", "multilabel", "regression" or "survival".
        features: (n, F), finite. Patients whose outcome is unknown are left out.
        outcome: outcomes of the same n patients: class codes, labels, numbers, or times with events.
        penalties: ridge strengths, each >= 0, in any order.
        classes: number of classes, where the given rows may lack one.

    Returns:
        One `Linear` for each penalty, in the order given. A Cox risk is centred: its training mean is zero.
    """
    known = np.asarray(outcome.known, bool)
    rows, y = checked_rows(features, known)[known], np.asarray(outcome.value, np.float64)[known]
    if not len(penalties) or min(penalties) < 0:
        raise ValueError(f"penalties must be a list of numbers >= 0, not {list(penalties)}")
    if kind == "regression":
        return [Linear(kind, *fit) for fit in fit_ridge(rows, y, penalties)]
    x = np.asarray(rows)
    if kind == "classification":
        return [Linear(kind, *fit) for fit in fit_ridge_logistic(x, y.astype(int), penalties, classes=classes)]
    if kind == "multilabel":
        return fit_labels(x, y, penalties)
    if kind != "survival" or outcome.event is None:
        raise ValueError(f"no linear predictor for a target of kind {kind!r} with event={outcome.event is not None}")
    event, mean = np.asarray(outcome.event, bool)[known], x.mean(axis=0)
    reduced, back = row_space(x - mean)
    fits: dict[float, Linear] = {}
    start, sets = np.zeros(reduced.shape[1]), RiskSets(y, event)
    for penalty in sorted(set(penalties), reverse=True):
        start = fit_ridge_cox(reduced, y, event, penalty, start=start, sets=sets)
        coef = start if back is None else back @ start
        fits[penalty] = Linear(kind, coef[:, None], np.array([-mean @ coef]))
    return [fits[penalty] for penalty in penalties]


def deviance(kind: str, linear_predictor: Array, outcome: Outcome) -> float:
    """Mean log loss (over known cells for labels), mean squared error, or Cox nll per event, on known outcomes.

    `linear_predictor` has shape (n, K). With no patient, or no event, it is 0.
    """
    known = np.asarray(outcome.known, bool)
    eta, y = checked(linear_predictor, known)[known], np.asarray(outcome.value, np.float64)[known]
    if not len(y):
        return 0.0
    if kind == "classification":
        return float(np.mean(np.logaddexp.reduce(eta, axis=1) - eta[np.arange(len(y)), y.astype(int)]))
    if kind == "multilabel":
        return float(np.nanmean(np.logaddexp(0.0, eta) - y * eta))
    if kind == "regression":
        return float(np.mean((y - eta[:, 0]) ** 2))
    if kind != "survival" or outcome.event is None:
        raise ValueError(f"no deviance for a target of kind {kind!r} with event={outcome.event is not None}")
    event = np.asarray(outcome.event, bool)[known]
    return cox_nll(eta[:, 0], y, event) / max(1, int(event.sum()))


def nll(kind: str, linear_predictor: Array, outcome: Outcome, folds: NDArray[Any] | None = None) -> float:
    """Total negative log likelihood, for a single evaluation; see `FoldLikelihood` for many."""
    return FoldLikelihood(kind, outcome, folds)(linear_predictor)


def information(kind: str, outcome: Outcome) -> float:
    """Information on the coefficient of a unit-variance feature: events, a quarter of the patients, or the patients.

    A penalty in these units means the same for few and many patients.
    """
    if kind == "survival":
        return float(max(1, int(outcome.event[outcome.known].sum()))) if outcome.event is not None else 1.0
    return max(1.0, patients_known(outcome)) / (4.0 if kind in ("classification", "multilabel") else 1.0)


def patients_known(outcome: Outcome) -> float:
    """Number of known outcomes; for labels the mean number over them."""
    value = np.asarray(outcome.value)
    return float(outcome.known.sum() if value.ndim == 1 else (~np.isnan(value)).sum() / value.shape[1])


def fit_labels(x: Array, y: Array, penalties: Sequence[float]) -> list[Linear]:
    """Fit one logistic regression per label and penalty, `y` (n, K) of 0, 1 and NaN; the link is the log odds."""
    paths = []
    for label in y.T:
        rows = ~np.isnan(label)
        if not rows.any():  # no known value here: even odds
            paths.append([(np.zeros((x.shape[1], 2)), np.zeros(2))] * len(penalties))
            continue
        paths.append(fit_ridge_logistic(x[rows], label[rows].astype(int), penalties, classes=2))
    fits = []
    for path in zip(*paths, strict=True):
        coef = np.stack([w[:, 1] - w[:, 0] for w, _ in path], axis=1)  # (F, K)
        fits.append(Linear("multilabel", coef, np.array([b[1] - b[0] for _, b in path])))
    return fits


def fit_ridge(features: Rows, y: Array, penalties: Sequence[float]) -> list[tuple[Array, Array]]:
    """Fit least squares by one singular value decomposition: minimise 1/2 sum (y - eta)^2 + penalty/2 |coef|^2.

    Many patients are summed to second moments first, which are decomposed instead.

    `features` (n, F), `y` (n,) or (n, K); returns `(coef (F, K), intercept (K,))` for each penalty. At penalty 0 it is
    the solution of least norm. Equals `sklearn.linear_model.Ridge(alpha=penalty)`.
    """
    target = np.asarray(y, np.float64).reshape(len(y), -1)
    if min(penalties) > 0 and worth_summing(features):
        own = Moments(features, target)
        return [(coef, own.level - own.mean @ coef) for coef in own.ridges(list(penalties))]
    x = np.asarray(features, np.float64)
    x_mean, y_mean = x.mean(axis=0), target.mean(axis=0)
    left, size, right = linalg.svd(x - x_mean, full_matrices=False)
    size = np.where(size > size.max(initial=0.0) * 1e-12, size, 0.0)
    projected = left.T @ (target - y_mean)
    fits = []
    for penalty in penalties:
        shrink = np.divide(size, size**2 + penalty, out=np.zeros_like(size), where=size > 0)
        coef = right.T @ (shrink[:, None] * projected)
        fits.append((coef, y_mean - x_mean @ coef))
    return fits
