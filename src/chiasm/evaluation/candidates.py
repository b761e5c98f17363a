"""Choice of the one-modality forms that a trial adds when the cohort has many modalities: those of the top two."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from chiasm.cohort import Cohort
from chiasm.evaluation.fits import Fit, Task
from chiasm.evaluation.inner import inner_scores
from chiasm.evaluation.protocol import Split
from chiasm.fitting.sides import modality_of, reads_of

FIRST = 2


def first_modalities(
    cohort: Cohort,
    recipes: Sequence[Any],
    splits: Sequence[Split],
    inner_splits: Mapping[str, Sequence[Split]],
    fits: Mapping[tuple[str, str], Fit],
) -> dict[str, tuple[str, ...]]:
    """Find, for each outer split, the two modalities whose best single recipe scores highest on inner folds.

    The scores are those over all patients.
    """
    scores = inner_scores(cohort, recipes, splits, inner_splits, fits)
    read = {recipe.name: reads_of(recipe, cohort) for recipe in recipes}
    first = {}
    for split in splits:
        best = dict.fromkeys(cohort.modalities, -math.inf)
        for (recipe, repeat, fold), value in scores.items():
            if (repeat, fold) == (split.repeat, split.fold) and len(read[recipe]) == 1:
                (modality,) = read[recipe]
                best[modality] = max(best[modality], value)
        first[split.key] = tuple(sorted(best, key=lambda name: (-best[name], name))[:FIRST])
    return first


def forms_to_try(
    recipes: Sequence[Any],
    begin: int,
    splits: Sequence[Split],
    inner_splits: Mapping[str, Sequence[Split]],
    first: Mapping[str, tuple[str, ...]],
) -> list[Task]:
    """Build the fitting tasks of the one-modality forms, which are the recipes from index `begin` on.

    A form is fitted on every outer training set if its modality is among the top two in any of them, so that the table
    can show it; and on the inner training sets of those outer folds where it is, since it can be picked only there.
    """
    forms = {number: modality_of(recipes[number].name) for number in range(begin, len(recipes))}
    wanted = {name for names in first.values() for name in names}
    shown = tuple(number for number, modality in forms.items() if modality in wanted)
    if not shown:
        return []
    tasks = [Task(split, shown, first=split is splits[0]) for split in splits]
    for split in splits:
        candidates = tuple(number for number in shown if forms[number] in first[split.key])
        tasks += [Task(inner, candidates) for inner in inner_splits[split.key] if candidates]
    return tasks
