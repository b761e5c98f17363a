"""What is drawn of each label, boxes or label maps, recipe by recipe: how well, and how much, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from chiasm.evaluation.estimates import ENDS, Estimate, columns_of, estimate
from chiasm.evaluation.intervals import Counts, TestFold, all_redrawn, redrawn
from chiasm.metrics import detection, segmentation
from chiasm.metrics.scored import Scored, scored_of
from chiasm.metrics.weighted import Floats, as_weights
from chiasm.targets import Target, kind_of

if TYPE_CHECKING:
    from chiasm.evaluation.trial import Trial


@dataclass(frozen=True)
class Drawn:
    """What is said of each label of things that are drawn.

    Args:
        measures: their names.
        by_label: `(scored, weights (R, n)) -> (measures, K, R)`.
    """

    measures: tuple[str, ...]
    by_label: Callable[[Scored, Floats], Floats]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table."""
        return ("recipe", "label", "drawn", *(own + end for own in self.measures for end in ENDS))


BOXES = Drawn(detection.LABEL_MEASURES, detection.by_label)
MAPS = Drawn(segmentation.LABEL_MEASURES, segmentation.by_label)


def drawn_by(target: Target | type[Target]) -> Drawn:
    """What is said of each label of a kind of target that is drawn."""
    return MAPS if target.has_masks else BOXES


def found_table(trial: Trial, recipe: str | None = None) -> pd.DataFrame:
    """Table of each recipe and label, `Drawn.columns`; empty for targets that are not drawn.

    Means over test folds, with bootstrap intervals over patients.

    Args:
        recipe: a recipe of the trial; None takes all.

    Raises:
        ValueError: the trial has no such recipe.
    """
    columns = list(drawn_by(trial.target).columns)
    if not trial.target.is_drawn:
        return pd.DataFrame(columns=columns)
    if recipe is not None and recipe not in trial.frames:
        raise ValueError(f"the trial has no recipe '{recipe}': it has {', '.join(trial.frames)}")
    stored = {str(row["recipe"]): row for row in trial.document.get("found", ())}
    names = list(trial.frames) if recipe is None else [recipe]
    rows = [row for row in trial.document.get("found", ()) if row["recipe"] in names]
    rows += found_document(trial, [name for name in names if name not in stored])
    return pd.DataFrame(rows, columns=columns)


def found_document(trial: Trial, recipes: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of each recipe and label for `trial.json`; `drawn` counts tested boxes, or patients who have it."""
    keys, rows = list(trial.folds), []
    tested = np.unique(np.concatenate([fold.patients for fold in trial.folds.values()]))
    value = trial.all_outcomes.take(tested).value
    drawn = (value > 0).sum(axis=0) if trial.target.has_masks else np.nansum(value, axis=0)
    for name in recipes:
        frames = [trial.frames[name][key] for key in keys]
        found = label_estimates(trial.kind, list(trial.folds.values()), frames, trial.classes, trial.draws)
        for label, many, measures in zip(trial.classes, drawn, found, strict=True):
            row: dict[str, Any] = {"recipe": name, "label": label, "drawn": int(many)}
            for measure, own in measures.items():
                row |= columns_of(measure, own)
            rows.append(row)
    return rows


def label_estimates(
    kind: str, folds: Sequence[TestFold], frames: Sequence[pd.DataFrame], labels: Sequence[str], draws: Counts
) -> list[dict[str, Estimate]]:
    """Estimate of each measure, label by label: means over folds, with intervals over patients.

    Args:
        folds, frames, draws: as for `intervals.trial_scores`.
    """
    own_measures = drawn_by(kind_of(kind))
    can, points, drawn = [redrawn(draws, [fold]) for fold in folds], list[Floats](), list[Floats]()
    for fold, frame in zip(folds, frames, strict=True):
        scored = scored_of(kind, frame, fold.outcome, labels, fold.train)
        weights = np.asarray(draws[:, fold.patients][:, fold.outcome.known], np.float64)
        points.append(own_measures.by_label(scored, as_weights(None, len(scored.prediction))))
        drawn.append(own_measures.by_label(scored, weights))
    point, draw = np.stack(points), np.stack(drawn)  # (J, Q, K, 1), (J, Q, K, R)
    found = []
    for k in range(len(labels)):
        own: dict[str, Estimate] = {}
        for q, measure in enumerate(own_measures.measures):
            redone = all_redrawn(point[:, q, k], can)
            own[measure] = estimate(point[:, q, k], draw[:, q, k] if redone else draw[:, q, k, :0])
        found.append(own)
    return found
