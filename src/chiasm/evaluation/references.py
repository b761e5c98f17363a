"""Reference predictions that a trial composes beside its recipes, on neither side of the verdict.

`best-available` separates what is gained by covering more patients from what is gained by combining: each patient gets
the best model of one modality among the modalities that they have. `null` is the training-set prior.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.metrics.weighted import Floats
from chiasm.targets import Outcome, kind_of


@dataclass(frozen=True, repr=False)
class OneModality:
    """Recipe of one modality in one fold: its predictions, its mean link on training patients, and its inner score.

    Args:
        recipe: name of the recipe.
        frame: its predictions for the tested patients.
        level: (C,) mean link over the training patients who have the modality.
        score: mean primary metric on inner folds among the patients who have the modality; NaN: not estimable.
    """

    recipe: str
    frame: pd.DataFrame
    level: Floats
    score: float


def ranked_modalities(candidates: Mapping[str, Sequence[OneModality]]) -> list[tuple[str, OneModality]]:
    """Rank the modalities, each with its best recipe by inner score; those not estimable come last.

    Ties go to the recipe named first, and to the modality that comes first by name.
    """

    def value(one: OneModality) -> float:
        return one.score if math.isfinite(one.score) else -math.inf

    best = {name: max(own, key=value) for name, own in candidates.items() if own}
    return sorted(best.items(), key=lambda pair: (-value(pair[1]), pair[0]))


def best_available(
    kind: str,
    ranked: Sequence[tuple[str, OneModality]],
    present: Mapping[str, NDArray[np.bool_]],
    train: Outcome,
    classes: Sequence[str],
    index: pd.Index[str],
    patterns: NDArray[np.object_],
) -> pd.DataFrame:
    """Predict each tested patient from the best-ranked modality that they have, relative to the training prior.

        link_b(i) = prior + link_m(i) - mean of link_m over the training patients who have m

    Options of each patient's own, and texts, have no level, so that an answer is that of the model as it stands; who
    has none of the modalities gets what the first model says without its own: what his options alone say, or the
    typical text.

    Args:
        ranked: (modality, its recipe) pairs, the best first.
        present: for each modality, (n,) True for patients who have it.
        train: outcomes of the training patients, which give the prior.
        index, patterns: identifiers and modality patterns of the tested patients.
    """
    target, frame = kind_of(kind), ranked[0][1].frame
    if not target.has_level:
        chosen, waiting = frame.loc[:, frame.columns != "pattern"].copy(), np.ones(len(index), dtype=bool)
        for modality, one in ranked:
            rows = np.flatnonzero(waiting & present[modality])
            chosen.iloc[rows] = one.frame[chosen.columns].iloc[rows]
            waiting[rows] = False
        return _with_pattern(chosen.set_index(index), patterns)
    columns, times = target.link_columns(frame, classes), list(target.horizon_columns(frame))
    prior = target.anchor(train, classes, columns, times)
    links = np.tile(prior, (len(index), 1))
    waiting = np.ones(len(index), dtype=bool)
    for modality, one in ranked:
        rows = np.flatnonzero(waiting & present[modality])
        links[rows] = prior + target.links(one.frame.iloc[rows], classes) - one.level
        waiting[rows] = False
    return _with_pattern(target.frame(links, columns).set_index(index), patterns)


def _with_pattern(frame: pd.DataFrame, patterns: NDArray[np.object_]) -> pd.DataFrame:
    frame.insert(0, "pattern", patterns)
    return frame


def null(
    kind: str,
    frame: pd.DataFrame,
    train: Outcome,
    classes: Sequence[str],
) -> pd.DataFrame:
    """Predict the training prior for every patient of `frame`, another recipe's predictions in this fold."""
    target = kind_of(kind)
    times = list(target.horizon_columns(frame))
    prior = target.prior_frame(train, len(frame), classes, times).set_index(frame.index)
    prior = target.fitted_to(prior, frame)
    prior.insert(0, "pattern", frame["pattern"].to_numpy(object))
    return prior
