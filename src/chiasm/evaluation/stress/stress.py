"""How the primary metric of recipes falls under each fault, on the folds of a trial.

    change = M(with the fault) - M(without),    M the primary metric on the tested patients of a fold

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
from chiasm.evaluation.contrasts import Contrast, contrast, whole_values
from chiasm.evaluation.estimates import Estimate, estimate, estimate_of_labels
from chiasm.evaluation.fits import Execute, said_of, with_horizons
from chiasm.evaluation.intervals import TestFold, patient_draws
from chiasm.evaluation.protocol import Protocol, Split, plan, with_repeats
from chiasm.evaluation.run import kept_together, require_clusters, usable
from chiasm.evaluation.stress.faults import LABELS, Fault, mislabelled, struck
from chiasm.targets import kind_of

NONE = Fault("none", "", 0.0)
COLUMNS = (
    "recipe", "fault", "modality", "level", "struck", "metric", "low", "high", "change", "change_low", "change_high"
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
    """One recipe on one outer fold."""

    split: Split
    recipe: int


def _predict(asked: _Asked, task: _Task) -> tuple[_Task, list[pd.DataFrame], list[int]]:
    """Predict the tested patients of a fold without a fault, and with each; and how many each fault strikes."""
    cohort, recipe = asked.cohort, asked.recipes[task.recipe]
    train, test = with_horizons(cohort.subset(task.split.train)), cohort.subset(task.split.test)
    test = test.with_target(None, None)

    def fitted(on: Cohort) -> Any:
        return recipe.fit(on, seed=seeded(asked.seed, task.split.key), checkpoint=None, device=asked.device)

    model, frames, numbers = fitted(train), [], []
    for fault in (NONE, *asked.faults):
        own, number = struck(fault, test, train, asked.seed)
        if fault.kind == LABELS:
            wrong = mislabelled(train, fault.level, asked.seed)
            found, number = said_of(fitted(wrong), test), len(train)
        else:
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
        many patients are struck, in the mean of the folds; of `labels` it counts training patients. `metric` is the
        primary one.

    Raises:
        Unsupported: no target.
    """
    used, _ = usable(cohort)
    protocol = with_repeats(protocol, used)
    require_clusters(used, protocol)
    used = kept_together(used, protocol)
    assert used.target is not None and used.outcome is not None
    splits = plan(used, protocol, seed)
    tasks = [_Task(split, number) for split in splits for number in range(len(recipes))]
    asked = _Asked(used, tuple(recipes), tuple(faults), seed, device)
    found: dict[tuple[int, str], tuple[list[pd.DataFrame], list[int]]] = {}
    progress(0, len(tasks))
    for done, (task, frames, numbers) in enumerate(execute(_predict, asked, tasks, jobs), start=1):
        found[task.recipe, task.split.key] = frames, numbers
        progress(done, len(tasks))
    folds = [
        TestFold(
            split.repeat, split.fold, split.test, used.outcome.take(split.test), used.outcome.take(split.train),
            None if used.group is None else used.group[split.test],
        )
        for split in splits
    ]  # fmt: skip
    draws = patient_draws(folds, len(used), protocol.draws, seed)
    kind, names = used.target.kind, used.target.names
    n_test, n_train = np.mean([(len(split.test), len(split.train)) for split in splits], axis=0)
    rows = []
    for number, recipe in enumerate(recipes):
        own = [found[number, split.key] for split in splits]
        plain = whole_values(kind, folds, [frames[0] for frames, _ in own], names, draws)
        for place, fault in enumerate((NONE, *faults)):
            values = whole_values(kind, folds, [frames[place] for frames, _ in own], names, draws)
            level = estimate_of_labels(values) if kind_of(kind).has_labels else estimate(*values[0])
            change = contrast(values, plain, n_test=float(n_test), n_train=float(n_train))
            many = float(np.mean([counted[place] for _, counted in own]))
            rows.append((recipe.name, fault.kind, fault.modality, fault.level, many, *_numbers(level), *_ends(change)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _numbers(found: Estimate) -> tuple[float, float, float]:
    return found.mean, found.low, found.high


def _ends(change: Contrast) -> tuple[float, float, float]:
    """The change with its interval, which says nothing where no ranking changes."""
    return (0.0, np.nan, np.nan) if change.same else change.numbers
