"""Convex linear predictors along a path of ridge penalties: Cox, logistic and least squares, in one convention.

Every fit minimises a sum over patients plus a ridge, so a penalty means the same for every kind of target:

    sum_i loss_i(features_i @ coef + intercept) + penalty / 2 * |coef|^2          (the intercept is free)

with the Cox partial likelihood (Efron's ties), the multinomial log loss, or half the squared error as the loss. Each
label has its own logistic regression, on the patients whose label is known, all with one penalty.
With more features than patients the solution lies in the row space of the features, so the fit is done there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.linear.least_squares import fit_ridge
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.logistic import fit_ridge_logistic
from chiasm.linear.loss import Loss
from chiasm.linear.losses import LOSSES, loss_of
from chiasm.linear.ridge_cox import Array, breslow, checked, cox_nll, fit_ridge_cox, survival_at
from chiasm.linear.shared_rows import Rows, SharedRows, checked_rows
from chiasm.targets import Outcome

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
    "stretched",
    "survival_at",
]


@storable("linear")
@dataclass(frozen=True)
class Linear:
    """A fitted linear predictor: `kind` of target, `coef` (F, K), `intercept` (K,); K > 1 for classes and labels."""

    kind: str
    coef: Array
    intercept: Array

    def __post_init__(self) -> None:
        if self.kind not in LOSSES:
            raise ValueError(f"a linear predictor is of one of the kinds {', '.join(LOSSES)}")
        if self.coef.ndim != 2 or self.intercept.shape != self.coef.shape[1:]:
            raise ValueError("a linear predictor has one intercept for each column of its coefficients")

    def linear_predictor(self, features: Rows) -> Array:
        """Logits, mean or log risk of each patient, shape (n, K), from features of shape (n, F)."""
        if isinstance(features, SharedRows):
            return features @ self.coef + self.intercept
        return np.asarray(np.asarray(features, np.float64) @ self.coef + self.intercept)


def stretched(link: Any, slope: float, centre: Any) -> Array:
    """Calibrate links: `centre + slope (link - centre)`."""
    return np.asarray(centre + slope * (link - centre))


def fit_path(
    kind: str,
    features: Rows,
    outcome: Outcome,
    penalties: Sequence[float],
    *,
    classes: int | None = None,
    loss: Loss | None = None,
) -> list[Linear]:
    """Fit one linear predictor per penalty, warm-started from the largest penalty to the smallest.

    Args:
        kind: kind of target, one of `LOSSES`.
        features: (n, F), finite. Patients whose outcome is unknown are left out.
        outcome: outcomes of the same n patients: class codes, labels, numbers, or times with events.
        penalties: ridge strengths, each >= 0, in any order.
        classes: number of classes, where the given rows may lack one.
        loss: another loss of this kind of target than the one in the table.

    Returns:
        One `Linear` for each penalty, in the order given. A Cox risk is centred: its training mean is zero.
    """
    known = np.asarray(outcome.known, bool)
    x = checked_rows(features, known)[known]
    if not len(penalties) or min(penalties) < 0:
        raise ValueError(f"penalties must be a list of numbers >= 0, not {list(penalties)}")
    loss = loss or loss_of(kind, outcome, "linear predictor")
    return [Linear(kind, *fit) for fit in loss.path(x, _of_known(outcome, known), penalties, classes)]


def deviance(kind: str, linear_predictor: Array, outcome: Outcome) -> float:
    """Mean log loss (over known cells for labels), mean squared error, or Cox nll per event, on known outcomes.

    `linear_predictor` has shape (n, K). With no patient, or no event, it is 0.
    """
    known = np.asarray(outcome.known, bool)
    eta = checked(linear_predictor, known)[known]
    return loss_of(kind, outcome, "deviance").deviance(eta, _of_known(outcome, known)) if len(eta) else 0.0


def _of_known(outcome: Outcome, known: NDArray[np.bool_]) -> Outcome:
    own = outcome.take(known)
    event = None if own.event is None else np.asarray(own.event, bool)
    return replace(own, value=np.asarray(own.value, np.float64), event=event)


def nll(kind: str, linear_predictor: Array, outcome: Outcome, folds: NDArray[Any] | None = None) -> float:
    """Total negative log likelihood, for a single evaluation; see `FoldLikelihood` for many."""
    return FoldLikelihood(kind, outcome, folds)(linear_predictor)


def information(kind: str, outcome: Outcome) -> float:
    """Information on the coefficient of a unit-variance feature: events, a quarter of the patients, or the patients.

    A penalty in these units means the same for few and many patients.
    """
    return LOSSES[kind].information(outcome)
