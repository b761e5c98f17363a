"""One cohort of a cell: its verdict by the product's own code, and what is true of the models that were picked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chiasm.cohort import Cohort
from chiasm.cohort.accepted import settle
from chiasm.compute.memo import forget, work_clock
from chiasm.evaluation import Protocol
from chiasm.evaluation.contrasts import Contrast
from chiasm.evaluation.estimates import mean_over_folds, percentile_interval
from chiasm.evaluation.judging import Judging
from chiasm.evaluation.protocol import inner_plan, plan
from chiasm.evaluation.run import Gathered, fit_trial, usable
from chiasm.evaluation.summary import bare_trial
from chiasm.evaluation.trial import Trial
from chiasm.evaluation.trial_findings import trial_findings
from chiasm.evaluation.verdict import decide
from chiasm.fitting.sides import COMBINED, REFERENCE, SINGLE, reads_of
from chiasm.recipes.registry import for_trial, make_recipe, supported
from verdicts.cells import Cell, draw
from verdicts.truth import Truth, truth_of

LINEAR = ("late-fusion", "stacked-fusion", "early-fusion")
KERNELS = ("kron-rls", "kron-rls:modality=m1", "kron-rls:modality=m2")
MOST_KERNEL = 300
"""Patients up to which the tiers of linear and kernel recipes try `kron-rls`: with 1,000 it is most of the work."""
SLOW = ("kernel", "fusion", "merge", "adaptation", "federated")
"""Families whose models are asked of further patients in the folds where they are picked alone."""
FURTHER_SEED = 1_000_003  # cohorts have the seeds from 0, further patients those from here


@dataclass
class Keeper:
    """Where the models of the outer folds are kept: (recipe, split) to the model."""

    models: dict[tuple[str, str], Any] = field(default_factory=dict)
    split: str | None = None

    def execute(
        self, function: Callable[[Any, Any], Any], context: Any, tasks: Sequence[Any], jobs: int
    ) -> Iterator[Any]:
        """Each task here; the models of outer folds are kept."""
        for task in tasks:
            self.split = task.split.key if task.split.inner is None else None
            yield function(context, task)


class Kept:
    """A recipe whose fitted models a keeper keeps; everything else is the recipe's."""

    def __init__(self, recipe: Any, keeper: Keeper) -> None:
        self._recipe, self._keeper = recipe, keeper

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recipe, name)

    def fit(self, cohort: Cohort, **how: Any) -> Any:
        model = self._recipe.fit(cohort, **how)
        if self._keeper.split is not None:
            self._keeper.models[self._recipe.name, self._keeper.split] = model
        return model


def recipes_of(cohort: Cohort, every: bool) -> list[Any]:
    """The recipes of a tier; the linear and kernel ones, or all that a trial tries unasked."""
    if every:
        listed, forms = for_trial(None, cohort)
        return [*listed, *forms]
    kernels = [name for name in KERNELS if len(cohort) <= MOST_KERNEL and supported(make_recipe(name), cohort)]
    return for_trial([*LINEAR, *kernels], cohort)[0]


def judge(cell: Cell, seed: int, *, every: bool, repeats: int, further: int) -> dict[str, Any]:
    """One line of the results: the verdict of cohort `seed` of the cell, its intervals, and the truth of its models."""
    forget()
    cohort, _ = usable(draw(cell, cell.n, seed))
    keeper, protocol = Keeper(), Protocol(repeats=repeats)
    gathered = gather(cohort, recipes_of(cohort, every), protocol, seed, keeper)
    trial, _ = bare_trial(gathered.setting, gathered.fits, gathered.own)
    judging = Judging(trial, gathered.inner)
    leaks = describe(trial, gathered, judging)
    singles, fused = judging.picks(SINGLE), judging.picks(COMBINED)
    assert singles is not None and fused is not None  # both sides are in every tier
    evidence = judging.evidence(singles, fused, leaks)
    outcome, why = decide(evidence)
    unseen = draw(cell, further, FURTHER_SEED + seed)
    sides = [row for row in trial.document["recipes"] if row["side"] in (SINGLE, COMBINED)]
    shown = [row["name"] for row in sides if row["family"] not in SLOW]
    picks = dict(zip(trial.folds, zip(singles, fused, strict=True), strict=True))
    truth = truth_of(gathered, keeper.models, unseen, picks, shown)
    return {
        "seed": seed,
        "outcome": outcome,
        "why": why,
        "picked": [max(set(own), key=own.count) for own in (singles, fused)],
        **{name: line(getattr(evidence, name), getattr(truth, name)) for name in ("total", "coverage", "combining")},
        "metric": {name: metric_line(judging, trial, name, truth) for name in shown},
    }


def gather(cohort: Cohort, recipes: Sequence[Any], protocol: Protocol, seed: int, keeper: Keeper) -> Gathered:
    """What the recipes predict in every outer and inner fold, their outer models kept."""
    splits = plan(cohort, protocol, seed)
    return fit_trial(
        cohort, [Kept(recipe, keeper) for recipe in recipes], (), protocol, seed, splits,
        {split.key: inner_plan(cohort, split, protocol, seed) for split in splits},
        excluded=0, findings=(), contrasts=(), out=None, resume=False, jobs=1, device="cpu",
        execute=keeper.execute, clock=work_clock, progress=lambda finished, everything: None,
    )  # fmt: skip


def describe(trial: Trial, gathered: Gathered, judging: Judging) -> list[str]:
    """Write the rows that a verdict reads into the document; the leaks that the trial finds."""
    cohort = gathered.setting.cohort
    rows = []
    for recipe in gathered.setting.recipes:
        rows.append(
            {
                "name": recipe.name,
                "family": recipe.family,
                "side": gathered.setting.sides[recipe.name],
                "reads": list(reads_of(recipe, cohort)),
            }
        )
    rows += [{"name": name, "family": REFERENCE, "side": REFERENCE, "reads": []} for name in ("best-available", "null")]
    trial.document["recipes"].extend(rows)
    for row in rows:
        row["mean"] = float(mean_over_folds(judging.whole(judging.always(row["name"]))[0][0])[0])
    return [own.problem.what for own in settle(trial_findings(trial), cohort.accepted) if own.problem.leak]


def line(found: Contrast, true: float) -> list[float | None]:
    """mean, corrected low and high, bootstrap low and high, truth; None where it is zero by construction."""
    if found.same:
        return [None, None, None, None, None, digits(true)]
    return [digits(value) for value in (found.mean, *found.corrected, *found.bootstrap, true)]


def metric_line(judging: Judging, trial: Trial, name: str, truth: Truth) -> list[float | None]:
    """mean, low and high of the primary metric, and its mean over the fitted models among further patients."""
    point, drawn = judging.whole(judging.always(name))[0]
    low, high = percentile_interval(mean_over_folds(drawn))
    return [digits(value) for value in (mean_over_folds(point)[0], low, high, truth.metric[name])]


def digits(value: float) -> float | None:
    """Five digits; None where it is not a number."""
    return round(float(value), 5) if np.isfinite(value) else None
