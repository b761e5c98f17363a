"""Findings from the trial itself: a modality that predicts too well alone, and folds of very unequal size."""

from __future__ import annotations

from collections.abc import Sequence

from chiasm.cohort import Problem
from chiasm.cohort.leaks import TOO_GOOD, too_good
from chiasm.errors import warning
from chiasm.evaluation.trial import Trial
from chiasm.fitting.sides import SINGLE, side_of
from chiasm.metrics.table import primary_label

UNEQUAL = 2.0


def trial_findings(trial: Trial) -> list[Problem]:
    """Collect the findings that need fitted scores or the folds of the trial."""
    return [*too_good_alone(trial), *unequal_folds(trial)]


def too_good_alone(trial: Trial) -> Sequence[Problem]:
    """Flag each modality that alone scores .98 or more out of fold, in AUROC, Harrell's C or R2: most often a leak."""
    best: dict[str, float] = {}
    for row in trial.document["recipes"]:
        reads = row.get("reads", [])
        if side_of(row) == SINGLE and len(reads) == 1 and row["mean"] is not None:
            best[reads[0]] = max(best.get(reads[0], row["mean"]), row["mean"])
    metric = primary_label(trial.kind)
    return [too_good(name, metric, value) for name, value in sorted(best.items()) if value >= TOO_GOOD]


def unequal_folds(trial: Trial) -> Sequence[Problem]:
    """Warn if one test fold holds more than twice the patients of another, since each counts the same in a mean."""
    sizes = [len(fold.patients) for fold in trial.folds.values()]
    if max(sizes) <= UNEQUAL * min(sizes):
        return []
    what = f"the test folds hold between {min(sizes):,} and {max(sizes):,} patients, and each counts the same in a mean"
    return [warning(what, "merge small folds, or read the means with this in mind", finding="unequal-folds")]
