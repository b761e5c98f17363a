"""How recipes fare under each fault, on the folds of a trial.

    change = M(with the fault) - M(without),    M the primary metric on the tested patients of a fold

and the same of the share explained (`explained.more_explained`): a drift that moves all patients alike hardly touches
a metric of ranks, and may leave probabilities that are worse than the prior.

A recipe is fitted once a fold, as in a trial, and once more for each share of wrong labels; every other fault is put
into the tested patients, who are the same with and without. The mean over folds has the wider of two intervals
(`contrasts.contrast`). A fault that changes no ranking has a change of zero and no interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort import Cohort
from chiasm.compute.isolation import seeded
from chiasm.evaluation.contrasts import UNKNOWN, Contrast, Values, contrast, whole_values
from chiasm.evaluation.estimates import Estimate, estimate, estimate_of_labels
from chiasm.evaluation.explained import Compared, more_explained
from chiasm.evaluation.fits import Execute, said_of, with_horizons, without_values
from chiasm.evaluation.folded import folded
from chiasm.evaluation.protocol import Protocol, Split
from chiasm.evaluation.stress.faults import ATTACKS, EVERY, LABELS, SITES, Fault, mislabelled, struck
from chiasm.evaluation.stress.sites import held_out_frames, site_splits, within_sites
from chiasm.fitting.attacked import attacked, can_be_attacked, spread_of
from chiasm.targets import kind_of

NONE = Fault("none", "", 0.0)
COLUMNS = (
    "recipe", "fault", "modality", "level", "struck", "metric", "low", "high", "change", "change_low", "change_high",
    "explained", "explained_low", "explained_high", "explained_change", "explained_change_low", "explained_change_high",
)  # fmt: skip


@dataclass(frozen=True)
class _Asked:
    """What is fitted in each fold, and the faults that are put in."""

    cohort: Cohort
    recipes: tuple[Any, ...]
    faults: tuple[Fault, ...]
    seed: int
    device: str


@dataclass(frozen=True)
class _Task:
    """One recipe on one outer fold, with every fault or `plain`."""

    split: Split
    recipe: int
    plain: bool = False


def _attacks(faults: Sequence[Fault]) -> bool:
    return any(fault.kind in ATTACKS for fault in faults)


def _predict(asked: _Asked, task: _Task) -> tuple[_Task, list[pd.DataFrame], list[float]]:
    """Predict the tested patients of a fold without a fault, and with each; and how many each fault strikes.

    NaN where a model cannot be attacked.
    """
    cohort, recipe = asked.cohort, asked.recipes[task.recipe]
    train, test = with_horizons(cohort.subset(task.split.train)), cohort.subset(task.split.test)
    outcome, test = test.outcome, test.with_target(None, None)
    assert outcome is not None
    seed = seeded(asked.seed, task.split.key)

    def fitted(on: Cohort) -> Any:
        return recipe.fit(on, seed=seed, checkpoint=None, device=asked.device)

    faults = () if task.plain else asked.faults
    frames: list[pd.DataFrame] = []
    numbers: list[float] = []
    with without_values(recipe, task.split):
        model = fitted(train)
        spread = spread_of(model, train) if _attacks(faults) and can_be_attacked(model) else {}
        for fault in (NONE, *faults):
            number: float
            if fault.kind in ATTACKS and spread:
                aimed = test.modalities if fault.modality == EVERY else (fault.modality,)
                own_seed = seeded(seed, f"{fault.kind}:{fault.modality}")
                found, number = attacked(model, test, outcome, fault.kind, aimed, fault.level, spread, own_seed)
            elif fault.kind in ATTACKS:
                found, number = frames[0], np.nan
            elif fault.kind == LABELS:
                wrong, number = mislabelled(train, fault.level, seed)
                found = said_of(fitted(wrong), test)
            else:
                own, number = struck(fault, test, train, seed)
                found = said_of(model, own)
            frames.append(found.loc[list(test.ids)])
            numbers.append(number)
    return task, frames, numbers


def stressed(
    cohort: Cohort,
    recipes: Sequence[Any],
    faults: Sequence[Fault],
    protocol: Protocol,
    *,
    seed: int,
    jobs: int,
    device: str,
    execute: Execute,
    progress: Callable[[int, int], None],
) -> pd.DataFrame:
    """Fit recipes on the folds of a trial, and score them with and without each fault.

    Args:
        cohort: encoded, with a target.
        execute: how fits are run in parallel.
        progress: called with (finished, all) training sets.

    Returns:
        One row a recipe and fault with the columns `COLUMNS`, the first of each recipe without a fault. `struck` is how
        many patients are struck, in the mean of the folds: of those tested, or for `labels` of those trained on, who
        have another outcome. `metric` is the primary one, `explained` the share explained. A recipe whose models have
        no gradient has no row of an attack. `metric` and `change` of `sites` are within sites, `level` is the number of
        parts that were left out; of times nothing is explained there, because horizons differ.

    Raises:
        Unsupported: no target.
    """
    known = folded(cohort, protocol, seed)
    used, target, splits, folds = known.cohort, known.target, known.splits, known.folds
    tasks = [_Task(split, number) for split in splits for number in range(len(recipes))]
    apart = site_splits(used) if any(fault.kind == SITES for fault in faults) else []
    tasks += [_Task(split, number, plain=True) for split in apart for number in range(len(recipes))]
    of_sites, faults = [fault for fault in faults if fault.kind == SITES], [f for f in faults if f.kind != SITES]
    asked = _Asked(used, tuple(recipes), tuple(faults), seed, device)
    found: dict[tuple[int, str], tuple[list[pd.DataFrame], list[float]]] = {}
    progress(0, len(tasks))
    for done, (task, frames, numbers) in enumerate(execute(_predict, asked, tasks, jobs), start=1):
        found[task.recipe, task.split.key] = frames, numbers
        progress(done, len(tasks))
    kind, names = target.kind, target.names
    n_test, n_train = np.mean([(len(split.test), len(split.train)) for split in splits], axis=0)
    tested = known.outcome.take(np.unique(np.concatenate([split.test for split in splits])))
    sizes = {"n_test": float(n_test), "n_train": float(n_train)}

    def explained(ours: Sequence[pd.DataFrame], theirs: Sequence[pd.DataFrame] | None) -> Contrast:
        others = [None] * len(folds) if theirs is None else theirs
        parts = [Compared(*own) for own in zip(folds, ours, others, strict=True)]
        return more_explained(target, tested, parts, known.draws, **sizes)

    rows = []
    for number, recipe in enumerate(recipes):
        own = [found[number, split.key] for split in splits]
        plain = [frames[0] for frames, _ in own]
        plain_values = whole_values(kind, folds, plain, names, known.draws)
        for place, fault in enumerate((NONE, *faults)):
            many = float(np.mean([counted[place] for _, counted in own]))
            if np.isnan(many):  # an attack on what has no gradient, in one fold or more
                continue
            frames = [of_fold[place] for of_fold, _ in own]
            values = whole_values(kind, folds, frames, names, known.draws)
            changes = contrast(values, plain_values, **sizes), explained(frames, None), explained(frames, plain)
            rows.append(_row(recipe.name, fault, many, _mean(kind, values), changes))
        for fault in of_sites:
            ours, theirs = held_out_frames(known, plain, [found[number, split.key][0][0] for split in apart])
            known_there, left_out = within_sites(known, ours), within_sites(known, theirs)
            assert used.site is not None  # else there is no such fault
            many = float(np.mean([(used.site[split.test] != "").sum() for split in splits]))
            scaled = UNKNOWN if kind_of(kind).has_times else explained(theirs, None)
            more = UNKNOWN if kind_of(kind).has_times else explained(theirs, ours)
            changes = contrast(left_out, known_there, **sizes), scaled, more
            rows.append(_row(recipe.name, fault, many, _mean(kind, left_out), changes))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _mean(kind: str, values: Values) -> Estimate:
    return estimate_of_labels(values) if kind_of(kind).has_labels else estimate(*values[0])


def _row(recipe: str, fault: Fault, many: float, metric: Estimate, changes: Sequence[Contrast]) -> tuple[object, ...]:
    """One row of the table."""
    told = (recipe, fault.kind, fault.modality, fault.level, many, metric.mean, metric.low, metric.high)
    return *told, *(end for change in changes for end in _ends(change))


def _ends(change: Contrast) -> tuple[float, float, float]:
    """The change with its interval, which says nothing where no prediction changes."""
    return (0.0, np.nan, np.nan) if change.same else change.numbers
