"""What is found of each label of boxes, recipe by recipe: average precision and numbers, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from chiasm.evaluation.estimates import estimate
from chiasm.evaluation.intervals import all_redrawn, redrawn
from chiasm.metrics.detection import LABEL_MEASURES, by_label
from chiasm.metrics.scored import scored_of
from chiasm.metrics.weighted import Floats, as_weights

if TYPE_CHECKING:
    from chiasm.evaluation.trial import Trial

ENDS = ("", "_low", "_high")
COLUMNS = ("recipe", "label", "drawn", *(own + end for own in LABEL_MEASURES for end in ENDS))


def found_table(trial: Trial, recipe: str | None = None) -> pd.DataFrame:
    """Table of each recipe and label, `COLUMNS`; empty for targets without boxes.

    Means over test folds, with bootstrap intervals over patients.

    Args:
        recipe: a recipe of the trial; None takes all.

    Raises:
        ValueError: the trial has no such recipe.
    """
    if not trial.target.has_boxes:
        return pd.DataFrame(columns=list(COLUMNS))
    if recipe is not None and recipe not in trial.frames:
        raise ValueError(f"the trial has no recipe '{recipe}': it has {', '.join(trial.frames)}")
    stored = {str(row["recipe"]): row for row in trial.document.get("found", ())}
    names = list(trial.frames) if recipe is None else [recipe]
    rows = [row for row in trial.document.get("found", ()) if row["recipe"] in names]
    rows += found_document(trial, [name for name in names if name not in stored])
    return pd.DataFrame(rows, columns=list(COLUMNS))


def found_document(trial: Trial, recipes: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of each recipe and label for `trial.json`; `drawn` counts the label's boxes among the tested patients."""
    folds, rows = list(trial.folds.items()), []
    can = [redrawn(trial.draws, [fold]) for _, fold in folds]
    for name in recipes:
        points, draws = [], []
        for key, fold in folds:
            scored = scored_of(trial.kind, trial.frames[name][key], fold.outcome, trial.classes, fold.train)
            weights = trial.draws[:, fold.patients][:, fold.outcome.known]
            points.append(by_label(scored, as_weights(None, len(scored.prediction))))
            draws.append(by_label(scored, np.asarray(weights, np.float64)))
        point, drawn = np.stack(points), np.stack(draws)  # (J, Q, K, 1), (J, Q, K, R)
        for k, label in enumerate(trial.classes):
            row: dict[str, Any] = {"recipe": name, "label": label, "drawn": _drawn(trial, k)}
            for q, measure in enumerate(LABEL_MEASURES):
                redone = all_redrawn(point[:, q, k], can)
                found = estimate(point[:, q, k], drawn[:, q, k] if redone else drawn[:, q, k, :0])
                row |= {measure + end: own for end, own in zip(ENDS, (found.mean, found.low, found.high), strict=True)}
            rows.append(row)
    return rows


def _drawn(trial: Trial, label: int) -> int:
    tested = np.unique(np.concatenate([fold.patients for fold in trial.folds.values()]))
    value: Floats = trial.all_outcomes.take(tested).value
    return int(np.nansum(value[:, label]))
