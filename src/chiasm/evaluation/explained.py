"""How much more of the outcome one set of predictions explains than another, for the same tested patients.

    gain = sum over patients of (loss of theirs - loss of ours) / sum of the losses of the training prior

over the tested patients of a repeat, then the mean over repeats: the difference of two scaled Brier scores (integrated
up to the last horizon for survival), for numbers of two R2 against the training mean. Of several labels it is the mean.
The interval is the wider of a bootstrap of patients, and of the corrected resampled t interval (`contrasts`) from

    gain of a fold = its mean of (loss of theirs - loss of ours) / the mean loss of the prior over all folds

since the prior's loss in one small fold, as a divisor, would say more of the fold than of the predictions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.evaluation.contrasts import UNKNOWN, Contrast, corrected_interval, wider
from chiasm.evaluation.estimates import percentile_interval
from chiasm.evaluation.intervals import Counts, TestFold, redrawn
from chiasm.metrics.scored import scored_of
from chiasm.metrics.scores import MIN_EVENTS
from chiasm.metrics.table import EXPLAINED, METRICS
from chiasm.metrics.weighted import Floats, ratio
from chiasm.targets import Outcome, Target, kind_of

Bools = NDArray[np.bool_]
ROUNDING = 1e-6  # of the prior's loss: what float32 leaves of predictions that are the same


@dataclass(frozen=True)
class Compared:
    """Two predictions of the tested patients of a fold, in its order; `theirs` is None for the training prior."""

    fold: TestFold
    ours: pd.DataFrame
    theirs: pd.DataFrame | None


def more_explained(
    target: Target, tested: Outcome, parts: Sequence[Compared], draws: Counts, *, n_test: float, n_train: float
) -> Contrast:
    """Estimate what ours explain more than theirs.

    Args:
        tested: outcomes of all tested patients, each once; labels that too few of them have, or lack, are left out.
        draws: (R, N) counts over the cohort.
        n_test, n_train: mean numbers of patients a fold who tell what is compared, tested and trained on.

    Returns:
        The contrast, not estimable without patients. Where both say the same, `same` is True and there is no interval.
    """
    if not parts:
        return UNKNOWN
    terms = [_terms(target, part) for part in parts]  # of each fold (n, K, 3): ours, theirs, the prior's
    kept = _labels(target, tested, terms[0].shape[1])
    known: list[Bools] = [np.asarray(~np.isnan(own).any(axis=2)) for own in terms]
    if not kind_of(target.kind).has_labels and not all(some.all() for some in known):
        return UNKNOWN  # a fold whose losses are not known: the others would be a selection
    told = [np.where(some[:, :, None], own, 0.0) for own, some in zip(terms, known, strict=True)]
    total = np.sum([own.sum(axis=0) for own in told], axis=0)  # (K, 3)
    count = np.sum([some.sum(axis=0) for some in known], axis=0)  # (K,)
    if not kept.any() or not (total[kept, 2] > 0).all():
        return UNKNOWN
    point = float(_pooled(parts, told, kept, None)[0])
    prior = total[:, 2] / np.maximum(count, 1)
    apart = np.concatenate([(own[:, :, 1] - own[:, :, 0])[:, kept].ravel() for own in told])
    if np.all(np.abs(apart) <= ROUNDING * float(prior[kept].max())):
        return Contrast(0.0, math.nan, math.nan, same=True)
    of_folds = [_of_fold(own, some, prior, kept) for own, some in zip(told, known, strict=True)]
    ends = corrected_interval(np.array([value for value in of_folds if np.isfinite(value)]), n_test, n_train)
    half = (ends[1] - ends[0]) / 2
    corrected = (point - half, point + half)
    if not redrawn(draws, [part.fold for part in parts]):
        return Contrast(point, *corrected, corrected=corrected)
    bootstrap = percentile_interval(_pooled(parts, told, kept, draws))
    return Contrast(point, *wider(corrected, bootstrap), corrected=corrected, bootstrap=bootstrap)


def _terms(target: Target, part: Compared) -> Floats:
    """Losses of both predictions and of the training prior for each patient and label, `(n, K, 3)`; NaN if unknown."""
    kind, fold = target.kind, part.fold
    (metric,) = (own for own in METRICS[kind] if own.id == EXPLAINED[kind])
    assert metric.of_patients is not None
    found = []
    for frame in (part.ours, part.theirs):
        if frame is not None:
            own = metric.of_patients(scored_of(kind, frame, fold.outcome, target.names, fold.train))
            found.append(own[:, None, :] if own.ndim == 2 else own)  # (n, K, 2): its loss and the prior's
    ours, theirs = found[0][:, :, 0], found[-1][:, :, 0 if part.theirs is not None else 1]
    return np.stack([ours, theirs, found[0][:, :, 1]], axis=2)


def _labels(target: Target, tested: Outcome, labels: int) -> Bools:
    """Which labels are in the mean; all K = 1 of other kinds."""
    own = kind_of(target.kind)
    if not own.has_labels:
        return np.ones(labels, bool)
    return np.asarray(~np.isnan(own.scorable(tested, MIN_EVENTS).value).all(axis=0))


def _pooled(parts: Sequence[Compared], told: Sequence[Floats], kept: Bools, draws: Counts | None) -> Floats:
    """Pool over the patients of each repeat, and average over labels and repeats, `(R,)`; R = 1 without draws."""
    repeats = sorted({part.fold.repeat for part in parts})
    values = []
    for repeat in repeats:
        gained = prior = np.zeros((1 if draws is None else len(draws), len(kept)))
        for part, own in zip(parts, told, strict=True):
            if part.fold.repeat != repeat:
                continue
            rows = part.fold.patients[part.fold.outcome.known]
            weights = np.ones((1, len(rows))) if draws is None else draws[:, rows].astype(np.float64)
            gained = gained + weights @ (own[:, :, 1] - own[:, :, 0])
            prior = prior + weights @ own[:, :, 2]
        values.append(ratio(gained[:, kept], prior[:, kept]).mean(axis=1))
    return np.asarray(np.mean(values, axis=0), dtype=np.float64)


def _of_fold(own: Floats, known: Bools, prior: Floats, kept: Bools) -> float:
    """Gain of one fold by the prior's loss over all; NaN where a label is known of nobody there."""
    count = known.sum(axis=0)[kept]
    if not count.all():
        return math.nan
    gained = (own[:, kept, 1] - own[:, kept, 0]).sum(axis=0) / count
    return float((gained / prior[kept]).mean())
