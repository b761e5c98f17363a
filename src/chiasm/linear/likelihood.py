"""Negative log likelihood of out-of-fold links, with data prepared once for many evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.linear.loss import Loss
from chiasm.linear.losses import loss_of
from chiasm.linear.ridge_cox import checked
from chiasm.targets import Outcome

Array = NDArray[np.float64]


class FoldLikelihood:
    """Total negative log likelihood of links `(n, K)`; within each fold and summed where `folds` (n,) is given.

    A likelihood that compares patients, as Cox's does, must not mix links of models from different folds. Squared error
    is in units of twice the outcome's variance; labels count by their mean. Patients whose outcome is unknown are left
    out.

    Args:
        kind: kind of target.
        outcome: outcomes of the n patients.
        folds: (n,) the model that each link comes from, where there are several.
        loss: another loss of this kind of target than the one in the table.

    Raises:
        ValueError: a kind without a likelihood, or survival without events.
    """

    def __init__(
        self, kind: str, outcome: Outcome, folds: NDArray[Any] | None = None, *, loss: Loss | None = None
    ) -> None:
        self.loss, self.known = loss or loss_of(kind, outcome, "deviance"), np.asarray(outcome.known, bool)
        if folds is None or not self.loss.compares:  # other likelihoods are sums over patients, whatever their folds
            folds = np.zeros(len(self.known))
        numbers = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
        whole = outcome.take(self.known)
        self.parts = [self._part(outcome, rows[self.known[rows]], whole) for rows in numbers]

    def _part(self, outcome: Outcome, rows: NDArray[np.int_], whole: Outcome) -> tuple[NDArray[np.int_], Any]:
        """Return the rows of a fold, and the form of their outcomes that the likelihood reads."""
        return rows, self.loss.terms(outcome.take(rows), whole)

    def __call__(self, link: Array) -> float:
        """Evaluate the likelihood of these links, (n, K), all finite."""
        return float(self.each(checked(link, self.known)[None])[0])

    def each(self, links: Array) -> Array:
        """Evaluate the likelihood (S,) of each of S links (S, n, K), all finite."""
        if links.ndim != 3 or links.shape[1] != len(self.known) or not np.isfinite(links).all():
            raise ValueError(f"links have shape {links.shape}: they must be (S, {len(self.known)}, K), and finite")
        total = np.zeros(len(links))
        for rows, own in self.parts:
            if len(rows):
                total += self.loss.nlls(links if len(rows) == links.shape[1] else links[:, rows], own)
        return total
