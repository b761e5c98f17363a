"""Primary metric within strata of patients: what a model predicts beyond which modalities a patient has.

Pairs of patients, or deviations from a mean, are formed within a stratum and summed over strata. All patients of a
pattern have the same modalities, so presence alone gains nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.metrics.scored import scored_of
from chiasm.metrics.scores import METRICS
from chiasm.metrics.weighted import Floats, as_weights
from chiasm.metrics.within import Strata
from chiasm.targets import Outcome

__all__ = ["Strata", "fifth_strata", "pattern_strata", "sparse_patterns", "within"]

SPARSE = 10
FIFTHS = 5


def pattern_strata(patterns: NDArray[np.object_], several: NDArray[np.bool_], columns: int) -> Strata:
    """Number the patterns of the patients who have two modalities or more; -1 for the other patients.

    Args:
        patterns: (n,) pattern of each patient, as text.
        several: (n,) True for patients with two modalities or more.
        columns: K, how often the column is repeated.
    """
    _, number = np.unique(patterns.astype(str), return_inverse=True)
    return np.tile(np.where(several, number, -1)[:, None], (1, columns))


def fifth_strata(prediction: Floats, several: NDArray[np.bool_]) -> Strata:
    """Split these patients into fifths of what `presence` predicts, (n, K); equal predictions stay together."""
    strata = np.full(prediction.shape, -1, dtype=np.intp)
    for k, column in enumerate(prediction.T):
        own = column[several]
        if len(own):
            edges = np.unique(np.quantile(own, np.arange(1, FIFTHS) / FIFTHS))
            strata[several, k] = np.searchsorted(edges, own, side="left")
    return strata


def sparse_patterns(strata: Sequence[Strata]) -> bool:
    """Return True if under half of the patients with two modalities are in patterns of ten or more in their fold."""
    dense = total = 0
    for own in strata:
        sizes = np.bincount(own[own[:, 0] >= 0, 0])
        dense, total = dense + int(sizes[sizes >= SPARSE].sum()), total + int(sizes.sum())
    return total > 0 and dense < total / 2


def within(
    kind: str,
    frame: pd.DataFrame,
    outcome: Outcome,
    classes: Sequence[str],
    strata: Strata,
    weights: Floats | None = None,
    train: Outcome | None = None,
) -> Floats:
    """Compute the primary metric within strata, (R,); NaN where no stratum has a comparable pair.

    AUROC and Harrell's C: concordant over comparable pairs, both summed over strata; for several classes the mean over
    the one-vs-rest values that have a pair. R2: one minus the squared errors over the squared outcomes, both as
    deviations from their mean within the stratum. One label of several is scored at a time, named in `classes`. A
    metric that has no form within strata is NaN.

    Args:
        frame: (n,) predictions in the order of the outcome.
        strata: (n, K), -1 for who is left out; who is alone in a stratum is compared with nobody.
        weights: (R, n) bootstrap counts, None for the point estimate.
        train: outcomes of the training patients, for a metric that weights by their censoring.
    """
    w = as_weights(weights, len(outcome.value))
    measure = METRICS[kind][0].within
    if measure is None:
        return np.full(len(w), np.nan)
    known = np.flatnonzero(outcome.known)
    scored = scored_of(kind, frame, outcome, classes, train)
    return measure(scored, strata[known], w if len(known) == len(outcome.value) else w[:, known])
