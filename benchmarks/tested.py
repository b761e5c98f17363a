"""Recipes on the outer folds of a trial alone: what a comparison needs where nobody asks for a verdict.

A trial also fits every modality by kernels and trees, and each recipe on inner trials that pick one. Here a recipe
meets the same splits with the same seeds and is scored by the same draws, so that its figures are those of a trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from chiasm import Protocol, Trial
from chiasm.cohort import Cohort
from chiasm.compute.memo import work_clock
from chiasm.evaluation.estimates import mean_over_folds, percentile_interval
from chiasm.evaluation.fits import Context, Task, run_task
from chiasm.evaluation.intervals import fold_values, trial_scores
from chiasm.evaluation.protocol import plan, with_repeats
from chiasm.evaluation.run import kept_together, usable
from chiasm.evaluation.summary import Setting, bare_trial
from chiasm.fitting.sides import sides_of
from chiasm.recipes.registry import make_recipe


def tested(cohort: Cohort, recipes: Sequence[str], protocol: Protocol, seed: int = 0) -> Trial:
    """Fit recipes on each outer training set of an encoded cohort, and return their predictions as a trial."""
    cohort, excluded = usable(cohort)
    protocol = with_repeats(protocol, cohort)
    made, together = [make_recipe(name) for name in recipes], kept_together(cohort, protocol)
    splits = plan(cohort, protocol, seed)
    context = Context(together, tuple(made), seed, "cpu", None, work_clock)
    every = [fit for split in splits for fit in run_task(context, Task(split, tuple(range(len(made)))))]
    setting = Setting(cohort, together, excluded, made, protocol, seed, splits, sides_of(made, cohort))
    return bare_trial(setting, {(fit.recipe, fit.split): fit for fit in every}, {})[0]


def scores_of(trial: Trial, recipe: str, metrics: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Mean and 95 % interval of some metrics of a recipe."""
    frames = trial.frames[recipe]
    folds, own = list(trial.folds.values()), [frames[key] for key in trial.folds]
    found = trial_scores(trial.kind, folds, own, trial.classes, trial.draws, metrics)
    return {name: _finite(asdict(found[name])) for name in metrics}


def difference(trial: Trial, one: str, other: str, metric: str) -> dict[str, float | None]:
    """A metric of a recipe less that of another on the same patients, mean over folds, with its 95 % interval."""
    folds = list(trial.folds.values())
    frames = [[trial.frames[name][key] for key in trial.folds] for name in (one, other)]
    ours, theirs = (fold_values(trial.kind, folds, f, trial.classes, trial.draws, [metric])[metric] for f in frames)
    low, high = percentile_interval(mean_over_folds(ours[1] - theirs[1]))
    return _finite({"mean": np.mean(ours[0] - theirs[0]), "low": low, "high": high})


def _finite(values: dict[str, Any]) -> dict[str, float | None]:
    return {key: float(value) if value is not None and np.isfinite(value) else None for key, value in values.items()}
