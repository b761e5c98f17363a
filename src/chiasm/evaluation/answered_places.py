"""Whether a choice depends on where an option stands: right, answered and hit by place, of all tested patients.

A model that reads options and not their order answers each place about as often as the right options stand there. One
that prefers a place answers it more often than that, and is right more often where the right option stands there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chiasm.evaluation.decisions import folds_of_first_repeat
from chiasm.evaluation.trial import Trial
from chiasm.metrics.choice import TIED, credit

FEWEST = 10
"""Patients whose right option stands in a place, for the accuracy among them to be told."""


def place_rows(trial: Trial, recipes: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each recipe and place, of the first repeat; none for another kind of target.

    `offered` are the patients who have an option there, `right` those whose right option it is, `answered` those for
    whom it was the most probable (ties by their share), and `accuracy` the share answered right among the `right`, None
    below ten of them.
    """
    if not trial.target.has_options:
        return []
    keys = folds_of_first_repeat(trial)
    code = np.concatenate([trial.folds[key].outcome.value for key in keys]).astype(int)
    found = []
    for recipe in recipes:
        names = trial.target.answers(trial.classes)
        p = np.concatenate([trial.frames[recipe][key][names].to_numpy(np.float64) for key in keys])
        best = p >= p.max(axis=1, keepdims=True) - TIED
        answered, hit = best / best.sum(axis=1, keepdims=True), credit(p, code)
        for k, place in enumerate(trial.classes):
            right = code == k
            found.append(
                {
                    "recipe": recipe,
                    "place": place,
                    "offered": int((p[:, k] > 0).sum()),
                    "right": int(right.sum()),
                    "answered": float(answered[:, k].sum()),
                    "accuracy": float(hit[right].mean()) if right.sum() >= FEWEST else None,
                }
            )
    return found
