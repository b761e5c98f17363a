"""Crops, slices or visits told item by item, counted by the patients or images that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from chiasm.evaluation.estimates import ENDS, columns_of, estimate
from chiasm.evaluation.intervals import all_redrawn, redrawn
from chiasm.metrics.grouped import MEASURES, of_groups, right_of

if TYPE_CHECKING:
    from chiasm.evaluation.trial import Trial

COLUMNS = ("recipe", "groups", "items", *(own + end for own in MEASURES for end in ENDS))


def grouped_document(trial: Trial, recipes: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of each recipe, `COLUMNS`, for targets of classes whose items are of groups of several; else none.

    Each is the mean over test folds of a mean over the groups tested there; intervals are bootstraps of groups.
    """
    if not trial.target.has_classes or "group" not in trial.outcomes:
        return []
    named = trial.outcomes["group"].to_numpy(str)
    named = np.where(named == "", [f"\0{k}" for k in range(len(named))], named)
    if len(np.unique(named)) == len(named):
        return []
    rows, can = [], [redrawn(trial.draws, [fold]) for fold in trial.folds.values()]
    tested = np.unique(np.concatenate([fold.patients[fold.outcome.known] for fold in trial.folds.values()]))
    many = {"groups": len(np.unique(named[tested])), "items": len(tested)}  # each once, however many repeats
    for name in recipes:
        points, draws = [], []
        for key, fold in trial.folds.items():
            here = np.flatnonzero(fold.outcome.known)
            _, first, code = np.unique(named[fold.patients[here]], return_index=True, return_inverse=True)
            frame = trial.frames[name][key].iloc[here]
            said = frame[trial.target.answers(trial.classes)].to_numpy(np.float64)
            each = of_groups(right_of(said, fold.outcome.value[here]), code)  # (3, G)
            weights = np.asarray(trial.draws[:, fold.patients[here[first]]], np.float64)  # a group is drawn whole
            total = weights.sum(axis=1)
            points.append(each.mean(axis=1))
            draws.append(np.where(total > 0, each @ weights.T / np.maximum(total, 1), np.nan))
        row: dict[str, Any] = {"recipe": name, **many}
        point, drawn = np.stack(points), np.stack(draws)  # (J, 3), (J, 3, R)
        for q, measure in enumerate(MEASURES):
            redone = all_redrawn(point[:, q, None], can)
            row |= columns_of(measure, estimate(point[:, q, None], drawn[:, q] if redone else drawn[:, q, :0]))
        rows.append(row)
    return rows


def patients_right(trial: Trial, recipe: str | None = None) -> pd.DataFrame:
    """Of how many groups every item, or most, is told rightly: a row a recipe, with intervals over groups.

    Columns: recipe, groups, items, `all_right`, `most_right` (more than half) and `share_right` (the mean share), each
    with its interval. The class of the largest probability is what is told. Empty for other targets than classes, and
    where the cohort names no groups.

    Args:
        recipe: a recipe of the trial; None takes all.

    Raises:
        ValueError: the trial has no such recipe.
    """
    if recipe is not None and recipe not in trial.frames:
        raise ValueError(f"the trial has no recipe '{recipe}': it has {', '.join(trial.frames)}")
    rows = grouped_document(trial, list(trial.frames) if recipe is None else [recipe])
    return pd.DataFrame(rows, columns=list(COLUMNS))
