"""Picks of a trial, fitted once more on every patient of the trial, to be asked about patients of none of its folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.cohort import Cohort
from chiasm.evaluation.fits import with_horizons
from chiasm.evaluation.protocol import Protocol
from chiasm.evaluation.run import kept_together, usable
from chiasm.evaluation.trial import Trial
from chiasm.protocols import Model


@dataclass(frozen=True)
class FittedPicks:
    """Recipes of a trial, fitted on all of its patients.

    Args:
        train: the patients, with what the trial keeps together of them.
        models: recipe to its model.
        described: recipe to what is said of it beside its scores.
    """

    train: Cohort
    models: Mapping[str, Model]
    described: Mapping[str, Mapping[str, Any]]


def rules_of(trial: Trial) -> Protocol:
    """What the trial keeps together, and its number of draws, which hold for other patients too."""
    stored = trial.document["protocol"]
    return Protocol(by=stored["by"], group_duplicates=stored["group_duplicates"], draws=stored["draws"])


def fit_picks(trial: Trial, cohort: Cohort, recipes: Sequence[Any], *, seed: int, device: str) -> FittedPicks:
    """Fit these recipes of a trial on every usable patient of its cohort, which is encoded."""
    train = with_horizons(kept_together(usable(cohort)[0], rules_of(trial)))
    rows = {row["name"]: row for row in trial.document["recipes"]}
    models, described = {}, {}
    for recipe in recipes:
        model = recipe.fit(train, seed=seed, checkpoint=None, device=device)
        models[recipe.name] = model
        described[recipe.name] = {
            **{key: rows[recipe.name][key] for key in ("side", "family", "paper")},
            "trained_parameters": model.trained_parameters,
        }
    return FittedPicks(train, models, described)
