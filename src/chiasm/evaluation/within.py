"""Primary metric within strata of patients: what a model predicts beyond which modalities a patient has.

Pairs of patients, or deviations from a mean, are formed within a stratum and summed over strata. All patients of a
pattern have the same modalities, so presence alone gains nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.targets import Outcome
from chiasm.metrics import classification as classification_metrics
from chiasm.metrics import survival as survival_metrics
from chiasm.metrics.weighted import Floats, as_weights, ratio

Strata = NDArray[np.intp]
"""Stratum of each patient, (n, K): one column per class or label, or a single one; -1 means left out."""

Pairs = Callable[[NDArray[np.intp]], tuple[Floats, Floats]]
"""Function of the rows of a stratum: the weights of its concordant and comparable pairs, (R,) each."""

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
) -> Floats:
    """Compute the primary metric within strata, (R,); NaN where no stratum has a comparable pair.

    AUROC and Harrell's C: concordant over comparable pairs, both summed over strata; for several classes the mean over
    the one-vs-rest values that have a pair. R2: one minus the squared errors over the squared outcomes, both as
    deviations from their mean within the stratum. One label of several is scored at a time, named in `classes`.

    Args:
        frame: (n,) predictions in the order of the outcome.
        strata: (n, K); a stratum of fewer than two patients is left out.
        weights: (R, n) bootstrap counts, None for the point estimate.
    """
    w = as_weights(weights, len(outcome.value))
    if kind == "regression":
        return _r2(frame["prediction"].to_numpy(np.float64), outcome, strata[:, 0], w)
    if kind == "survival":
        risk = frame["risk"].to_numpy(np.float64)

        def survival_pairs(rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
            return _survival_pairs(risk[rows], outcome.take(rows), w[:, rows])

        return ratio(*_summed(strata[:, 0], survival_pairs, w))
    if kind == "multilabel":
        member, columns = outcome.value[:, 0] == 1, [0]
    else:
        member, columns = np.zeros(0), [1] if len(classes) == 2 else list(range(len(classes)))
    values = []
    for k in columns:
        score = frame[f"p_{classes[k]}"].to_numpy(np.float64)
        positive = member if kind == "multilabel" else outcome.value == k
        own = np.where(outcome.known, strata[:, min(k, strata.shape[1] - 1)], -1)
        values.append(ratio(*_summed(own, partial(_class_pairs, score, positive, w), w)))
    several = np.stack(values)
    told = ~np.isnan(several)
    return ratio(np.where(told, several, 0.0).sum(axis=0), told.sum(axis=0))


def _summed(strata: NDArray[np.intp], pairs: Pairs, w: Floats) -> tuple[Floats, Floats]:
    """Sum the concordant and the comparable pairs, (R,) each, over strata of two patients or more."""
    above, below = np.zeros(len(w)), np.zeros(len(w))
    for stratum in np.unique(strata[strata >= 0]):
        rows = np.flatnonzero(strata == stratum)
        if len(rows) > 1:
            concordant, comparable = pairs(rows)
            above, below = above + concordant, below + comparable
    return above, below


def _class_pairs(
    scores: Floats, positives: NDArray[np.bool_], weights: Floats, rows: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    score, positive, w = scores[rows], positives[rows], weights[:, rows]
    comparable = (w @ positive) * (w @ ~positive)
    if not positive.any() or positive.all():
        return np.zeros(len(w)), comparable
    probability = np.c_[1 - score, score]
    found = classification_metrics.auroc(probability, positive.astype(int), w)
    return np.where(comparable > 0, np.nan_to_num(found) * comparable, 0.0), comparable


def _survival_pairs(risk: Floats, outcome: Outcome, w: Floats) -> tuple[Floats, Floats]:
    assert outcome.event is not None  # survival has events
    comparable = comparable_pairs(outcome.value, outcome.event, w)
    found = survival_metrics.harrell_c(risk, outcome.value, outcome.event, w)
    return np.where(comparable > 0, np.nan_to_num(found) * comparable, 0.0), comparable


def comparable_pairs(time: Floats, event: NDArray[np.bool_], w: Floats) -> Floats:
    """Total weight (R,) of the pairs comparable in Harrell's C, with its tie rule: the shorter time is an event."""
    order = np.lexsort((~event, time))
    at, died, weight = time[order], event[order], w[:, order]
    # an event is comparable to everyone after the run of events at its own time
    starts = np.flatnonzero(np.r_[True, (at[1:] != at[:-1]) | (died[1:] != died[:-1])])
    ends = np.repeat(np.r_[starts[1:], len(at)], np.diff(np.r_[starts, len(at)]))
    beyond = np.c_[np.cumsum(weight[:, ::-1], axis=1)[:, ::-1], np.zeros(len(weight))]
    return np.asarray((weight[:, died] * beyond[:, ends[died]]).sum(axis=1))


def _r2(prediction: Floats, outcome: Outcome, strata: NDArray[np.intp], w: Floats) -> Floats:
    squares, spread = np.zeros(len(w)), np.zeros(len(w))
    error = outcome.value - prediction
    for stratum in np.unique(strata[strata >= 0]):
        rows = np.flatnonzero(strata == stratum)
        if len(rows) > 1:
            squares += _about_mean(error[rows], w[:, rows])
            spread += _about_mean(outcome.value[rows], w[:, rows])
    return 1 - ratio(squares, spread)


def _about_mean(values: Floats, w: Floats) -> Floats:
    """Weighted sum of squares about the weighted mean, (R,)."""
    values = values - values.mean()  # keeps precision when the mean is large
    mean = np.nan_to_num(ratio(w @ values, w.sum(axis=1)))
    return np.asarray(np.maximum(w @ values**2 - w.sum(axis=1) * mean**2, 0.0))
