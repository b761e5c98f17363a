"""Folds that keep relatives together: no family, and no group of the cohort, is on both sides of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.splits import NEVER_TESTED, fold_ids, holdout, lacking
from chiasm.cohort.units import components
from chiasm.errors import CohortError, count, error

Ints = NDArray[np.int_]
TEST = "test"


def related_folds(
    cohort: Cohort, families: NDArray[np.int_], *, folds: int = 5, test: float | None = None, seed: int = 0
) -> tuple[NDArray[np.str_], Ints]:
    """Draw folds, or one test set, that keep families and groups whole: (B,) the fold, and (B,) what was kept together.

    Folds are stratified by the outcome as far as families allow (`fold_ids`, `holdout`). Whoever shares a family with
    one and a group with another keeps the two together.

    Args:
        families: (B,) number of the family, -1 of a patient who has none.
        folds: number of folds, named 0, 1, ...; every patient is tested once.
        test: share of the patients in one test set, `test`; the others are in `train`. None: folds are drawn.

    Raises:
        CohortError: fewer families than folds, or a fold without a class or an event.
        ValueError: fewer than two folds, or a share that does not lie between 0 and 1.
    """
    require_parts(folds, test)
    keys = [np.array([str(own) if own >= 0 else "" for own in families.tolist()], dtype=str)]
    if cohort.group is not None:
        keys.append(cohort.group)
    together = components(keys, len(cohort))
    number = int(together.max(initial=-1)) + 1
    parts = 2 if test is not None else folds
    if number < parts:
        largest = int(np.bincount(together).max(initial=0))
        families_told = "1 family" if number == 1 else f"{number:,} families"
        what = f"the {len(cohort):,} patients are {families_told}, the largest of {count(largest, 'patient')}"
        fix = f"which cannot be dealt to {parts} parts: raise the threshold, or ask for fewer folds"
        raise CohortError([error(what, fix, finding="too-few")])
    kept = replace(cohort, group=np.array([f"f{own}" for own in together.tolist()], dtype=str), fold=None)
    if test is None:
        return fold_ids(kept, folds, seed=seed).astype(str), together
    held = np.isin(together, together[holdout(kept, test, seed=seed)])  # those of unknown outcome go with their family
    fold = np.where(held, TEST, NEVER_TESTED)
    if not held.any() or held.all():
        what = "no family, nor several, come near the share that is to be tested"
        raise CohortError([error(what, "ask for another share, or for folds", finding="too-few")])
    if lacks := lacking(kept, fold, TEST):
        fix = "ask for another share or another seed, or raise the threshold"
        raise CohortError([error(what, fix, finding="fold-lacks-class") for what in lacks])
    return fold, together


def require_parts(folds: int, test: float | None) -> None:
    """Refuse fewer than two folds, and a share of the patients that is none.

    Raises:
        ValueError: it is one.
    """
    if test is None and folds < 2:
        raise ValueError(f"a cross-validation needs at least 2 folds, not {folds}")
    if test is not None and not 0 < test < 1:
        raise ValueError(f"the share that is tested lies between 0 and 1, not at {test:g}")


def table_of_folds(fold: NDArray[np.str_], together: Ints) -> pd.DataFrame:
    """One row a fold: `patients`, `families`, and `largest`, the patients of its largest family."""
    rows = []
    for name in sorted(set(fold.tolist()), key=lambda own: (own == NEVER_TESTED, len(own), own)):
        sizes = np.unique(together[fold == name], return_counts=True)[1]
        rows.append((name, int(sizes.sum()), len(sizes), int(sizes.max())))
    return pd.DataFrame(rows, columns=["fold", "patients", "families", "largest"])
