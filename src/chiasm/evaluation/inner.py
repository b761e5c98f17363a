"""Scores on inner folds, by which recipes are picked within the training set of each outer fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chiasm.cohort import Cohort, class_names
from chiasm.evaluation.fits import Fit
from chiasm.evaluation.protocol import Split
from chiasm.fitting.sides import reads_of
from chiasm.metrics.scores import PRIMARY, score


def inner_scores(
    cohort: Cohort,
    recipes: Sequence[Any],
    splits: Sequence[Split],
    inner_splits: Mapping[str, Sequence[Split]],
    fits: Mapping[tuple[str, str], Fit],
    own: bool = False,
) -> dict[tuple[str, int, str], float]:
    """Average the primary metric of each recipe over the inner folds of each outer fold, where it can be estimated.

    Args:
        own: score only the recipes that read one modality, among the patients who have it; otherwise score every recipe
            over all patients.

    Returns:
        Mapping of (recipe, repeat, outer fold) to the mean.
    """
    target, outcome = cohort.target, cohort.outcome
    if target is None or outcome is None:
        return {}
    primary, classes, found = PRIMARY[target.kind], class_names(target), {}
    for recipe in recipes:
        reads = reads_of(recipe, cohort)
        if own and len(reads) != 1:
            continue
        has = cohort.present[:, cohort.modalities.index(reads[0])] if own else None
        for split in splits:
            values = []
            for inner in inner_splits[split.key]:
                fit = fits.get((recipe.name, inner.key))
                rows = np.arange(len(inner.test)) if has is None else np.flatnonzero(has[inner.test])
                if fit is None or not len(rows):
                    continue
                known = outcome.take(inner.test[rows])
                own_train, frame = outcome.take(inner.train), fit.frame.iloc[rows]
                scores = score(target.kind, frame, known, classes, None, own_train, [primary], min_events=1)
                values.append(float(scores[primary][0]))
            known_values = [value for value in values if np.isfinite(value)]
            if known_values:
                found[(recipe.name, split.repeat, split.fold)] = float(np.mean(known_values))
    return found
