"""Negative log likelihood of out-of-fold links, with data prepared once for many evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.targets import Outcome
from chiasm.linear.ridge_cox import RiskSets, checked

Array = NDArray[np.float64]


class FoldLikelihood:
    """Total negative log likelihood of links `(n, K)`; within each fold and summed where `folds` (n,) is given.

    A Cox likelihood compares patients, so it must not mix links of models from different folds. Squared error is in
    units of twice the outcome's variance. Labels count by their mean, so that a patient does not weigh more in a target
    of more labels. Patients whose outcome is unknown are left out.

    Args:
        kind: kind of target.
        outcome: outcomes of the n patients.
        folds: (n,) the model that each link comes from, where there are several.

    Raises:
        ValueError: a kind without a likelihood, or survival without events.
    """

    def __init__(self, kind: str, outcome: Outcome, folds: NDArray[Any] | None = None) -> None:
        if kind not in ("classification", "multilabel", "regression", "survival"):
            raise ValueError(f"no deviance for a target of kind {kind!r} with event={outcome.event is not None}")
        if kind == "survival" and outcome.event is None:
            raise ValueError("no deviance for a target of kind 'survival' with event=False")
        self.kind, self.known = kind, np.asarray(outcome.known, bool)
        if folds is None or kind != "survival":  # other likelihoods are sums over patients, whatever their folds
            folds = np.zeros(len(self.known))
        numbers = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
        spread = float(outcome.value[self.known].var()) if kind == "regression" and self.known.any() else 1.0
        self.scale = spread or 1.0
        self.parts = [self._part(outcome.take(rows[self.known[rows]]), rows[self.known[rows]]) for rows in numbers]

    def _part(self, own: Outcome, rows: NDArray[np.int_]) -> tuple[NDArray[np.int_], Any]:
        """Return the rows of a fold, and the form of their outcomes that the likelihood reads."""
        value = np.asarray(own.value, np.float64)
        if self.kind == "survival":
            return rows, RiskSets(value, np.asarray(own.event, bool))
        return rows, value.astype(int) if self.kind == "classification" else value

    def __call__(self, link: Array) -> float:
        """Evaluate the likelihood of these links, (n, K), all finite."""
        eta = checked(link, self.known)
        parts = ((eta if len(rows) == len(eta) else eta[rows], own) for rows, own in self.parts if len(rows))
        return float(sum(self._of(link, own) for link, own in parts))

    def _of(self, eta: Array, own: Any) -> float:
        if self.kind == "survival":
            return float(own.nll(eta[own.order, 0]))
        if self.kind == "classification":
            whole = np.logaddexp(eta[:, 0], eta[:, 1]) if eta.shape[1] == 2 else np.logaddexp.reduce(eta, axis=1)
            return float(np.sum(whole) - np.sum(eta[np.arange(len(own)), own]))
        if self.kind == "multilabel":
            asked = (~np.isnan(own)).sum() / own.shape[1]
            return float(np.nanmean(np.logaddexp(0.0, eta) - own * eta)) * float(asked)
        return float(np.sum((own - eta[:, 0]) ** 2)) / (2 * self.scale)
